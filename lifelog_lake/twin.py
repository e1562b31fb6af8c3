"""Whether another home lives with this device's id, as the shipper found: ``run/twin.json``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from lifelog_lake import fsio
from lifelog_lake.clock import iso

NAME = "twin.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """Another home wrote as ``device`` at ``seen_at``; ``since`` is when that was noticed first.
    µs since 1970 UTC, by this machine's clock."""

    device: str
    since: int
    seen_at: int

    @property
    def reason(self) -> str:
        """What is wrong and what to do."""
        return (
            f"Another machine records as {self.device} too (last noticed {iso(self.seen_at)}): one "
            "home was copied from the other. Nothing is mixed up in the lake, but nobody can tell "
            "the two apart. On the copy: lifelog init --new-device"
        )

    def told(self) -> dict[str, object]:
        """As the status and the pulse tell it."""
        return {**asdict(self), "reason": self.reason}


def write(run: Path, twin: Twin) -> None:
    """Keep it; durable on return."""
    fsio.write_atomic(run / NAME, orjson.dumps(asdict(twin)), at="twin")


def read(run: Path) -> Twin | None:
    """What is known; None if there is no other (or it can't be read)."""
    try:
        return Twin(**orjson.loads((run / NAME).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def forget(run: Path) -> None:
    """It isn't so any more."""
    fsio.unlink(run / NAME, at="twin")
