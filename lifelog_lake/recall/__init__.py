"""Reading the lake: timeline, usage, temporal joins. Nothing here writes.

``lake`` what ``open_lake`` gives · ``tables`` the tables' newest versions, by their logs ·
``timeline`` events of a range · ``joins`` what happened during something else · ``usage`` where
the time went · ``summary`` what a lake holds · ``schema`` the catalogue as polars types.
"""

from lifelog_lake.recall.joins import during

__all__ = ["during"]
