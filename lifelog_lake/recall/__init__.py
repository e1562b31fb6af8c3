"""Reading the lake: timeline, usage, temporal joins, search. Only the journal writes, through the
spool.

``lake`` what ``open_lake`` gives · ``tables`` the tables' newest versions, by their logs ·
``follow`` what was written into a table since · ``timeline`` events of a range · ``coverage`` what
was recorded of them · ``joins`` what happened during something else · ``usage`` where the time
went · ``summary`` what a lake holds · ``schema`` the catalogue as polars types · ``journal``
entries a person writes · ``pending`` rows of this device that the lake hasn't got yet · ``search``
what was written in events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lifelog_lake.recall.joins import during

__all__ = ["during"]


def __getattr__(name: str) -> object:
    # A device that only writes entries needn't have what reads tables.
    if name == "during":
        from lifelog_lake.recall.joins import during

        return during
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
