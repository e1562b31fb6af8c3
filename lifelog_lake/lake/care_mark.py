"""The mark of the hub's care: ``control/care.json``, written anew by each of its health runs.

A device that finds the same mark for too long knows that the hub's care has stopped.
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from lifelog_lake.clock import Clock
from lifelog_lake.lake.store import CONTROL, Store

KEY = f"{CONTROL}/care.json"
#: So many runs may fail in a row before care counts as stopped.
MISSED_RUNS = 3
#: A mark that promises less often than this is no promise.
LONGEST_S = 7 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CareMark:
    """What a mark says: when the run was (µs since 1970 UTC, the hub's clock), on which device,
    and how often there is to be one."""

    at_us: int
    device: str
    every_s: float

    def limit_s(self, grace_s: float) -> float:
        """How old it may become."""
        return MISSED_RUNS * self.every_s + grace_s


def write(store: Store, *, device: str, every_s: float, clock: Clock) -> None:
    """Say that care ran now. Durable on return.

    Raises :class:`~lifelog_lake.errors.LakeUnreachable`, and LakeDenied for a key that may not.
    """
    mark = {"at_us": clock.wall_us(), "device": device, "every_s": every_s}
    store.write(KEY, orjson.dumps(mark), at="care_mark")


def read(store: Store) -> CareMark | None:
    """The newest mark; None if there never was one, or it says nothing that can be used.

    Raises :class:`~lifelog_lake.errors.LakeUnreachable`.
    """
    try:
        found = orjson.loads(store.read(KEY))
        mark = CareMark(
            at_us=int(found["at_us"]),
            device=str(found["device"]),
            every_s=float(found["every_s"]),
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        return None
    return mark if 0 < mark.every_s <= LONGEST_S else None
