"""What this device knows of the hub's care: ``HOME/run/care.json``.

The shipper writes it (it talks to the lake anyway), the supervisor and ``lifelog status`` read it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import orjson

from lifelog_lake import fsio
from lifelog_lake.clock import iso

NAME = "care.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class HubCare:
    """The hub's care as last seen. Times in µs since 1970 UTC.

    ``at_us`` is the hub's word for its newest run, ``device`` the hub; ``since_us`` is when the
    state began here, ``checked_us`` when this device last looked. ``noticed_us`` is the ``at_us``
    of the outage that a desktop notice was shown for.
    """

    state: Literal["running", "stopped"]
    device: str
    at_us: int
    every_s: float
    since_us: int
    checked_us: int
    noticed_us: int | None = None

    @property
    def reason(self) -> str:
        """What is wrong and what to do; "" while it runs."""
        if self.state == "running":
            return ""
        return (
            f"The hub's care has not run since {iso(self.at_us)}: start lifelog on "
            f"{self.device}, and look at its flows."
        )

    def told(self) -> dict[str, object]:
        """As the status and the pulse tell it."""
        return {
            "state": self.state,
            "reason": self.reason or None,
            "device": self.device,
            "at": self.at_us,
            "every_s": self.every_s,
            "since": self.since_us,
            "checked_at": self.checked_us,
        }


def write(run: Path, care: HubCare) -> None:
    """Keep it; durable on return."""
    fsio.write_atomic(run / NAME, orjson.dumps(asdict(care)), at="hub_care")


def read(run: Path) -> HubCare | None:
    """What is known, None if no care was ever seen (or it can't be read)."""
    try:
        return HubCare(**orjson.loads((run / NAME).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
