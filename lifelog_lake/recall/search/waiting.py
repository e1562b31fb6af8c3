"""Entries that wait in this home's spool: a person finds at once what they wrote.

What waits may be shipped, and may also never come (a full spool that drops its oldest rows). So
``waiting.json`` beside the index names the entries that were worked out with rows of the spool, and
which rows; an entry of which other rows wait now is worked out again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from lifelog_lake import fsio
from lifelog_lake.recall.schema import polars_schema
from lifelog_lake.recall.search.documents import JOURNAL
from lifelog_lake.recall.search.entries import ATTACHMENT

WAITING = "waiting.json"
#: Gives what waits of a stream, as :func:`lifelog_lake.recall.pending.pending`.
Outlet = Callable[[str], list[dict[str, Any]]]


def read_waiting(directory: Path) -> dict[str, list[str]]:
    """What was noted beside an index. Raises ValueError for a damaged file."""
    try:
        told: dict[str, list[str]] = orjson.loads((directory / WAITING).read_bytes())
    except FileNotFoundError:  # nothing has waited yet
        return {}
    return told


class Waiting:
    """What waits at one moment; read it before the tables, so that a row is in one of them."""

    def __init__(self, directory: Path, outlet: Outlet | None) -> None:
        self._file = directory / WAITING
        self._rows = {
            stream: [] if outlet is None else outlet(stream) for stream in (JOURNAL, ATTACHMENT)
        }
        self._now: dict[str, list[str]] = {}
        for rows in self._rows.values():
            for row in rows:
                self._now.setdefault(row.get("entry_id") or row["id"], []).append(row["id"])
        self._before = read_waiting(directory)
        either = self._now.keys() | self._before.keys()
        #: Entries that must be worked out again.
        self.touched = {one for one in either if self._now.get(one) != self._before.get(one)}

    def rows(self, stream: str) -> pl.LazyFrame:
        """As the table has them."""
        schema = polars_schema(stream)
        times = [name for name, type_ in schema.items() if type_ == pl.Datetime]
        plain = {name: pl.Int64() if name in times else type_ for name, type_ in schema.items()}
        rows = [[row.get(name) for name in schema] for row in self._rows[stream]]
        frame = pl.LazyFrame(rows, plain, orient="row")
        return frame.with_columns(pl.col(times).cast(pl.Datetime("us", "UTC")))

    def begin(self) -> None:
        """Before documents with what waits now may be in the index; durable on return."""
        if self.touched:
            self._note({**self._before, **{entry: [] for entry in self.touched}})

    def done(self) -> None:
        """Once they are; durable on return."""
        if self.touched:
            self._note(self._now)

    def _note(self, told: dict[str, list[str]]) -> None:
        fsio.write_atomic(self._file, orjson.dumps(told), at="search")
