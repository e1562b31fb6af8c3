"""The entries of a Delta log, read by ourselves."""

from __future__ import annotations

from pathlib import Path

import orjson

from lifelog_lake.errors import LakeDamaged

#: Names the newest checkpoint.
POINTER = "_last_checkpoint"


def read_entry(content: bytes, place: Path) -> list[dict[str, dict[str, object]]]:
    """The actions of a log entry; :class:`LakeDamaged` if it isn't whole."""
    try:
        actions = [orjson.loads(line) for line in content.splitlines() if line.strip()]
    except orjson.JSONDecodeError:
        actions = []
    if not actions or not all(isinstance(action, dict) for action in actions):
        raise LakeDamaged(
            f"The log entry {place} isn't whole.",
            hint="Restore it from a backup; until then this table takes no rows.",
            path=str(place),
        )
    return actions
