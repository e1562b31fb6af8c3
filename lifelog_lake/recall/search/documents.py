"""What is searched of each stream, and how rows become documents.

A document is an event: its slices are joined, of several recognitions of one source the newest
version counts, a journal entry is what its revisions make of it. Whatever order rows come in, the
same rows give the same document.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import unquote
from zoneinfo import available_timezones

import orjson
import polars as pl

from lifelog_lake.recall.schema import polars_schema
from lifelog_lake.recall.usage import site

DAY_US = 86_400_000_000
#: Boxes are shares of this many.
WHOLE = 10_000
ENVELOPE = ("id", "device", "at", "end", "cont", "tz", "blob")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A stream that is searched: the columns that are its text, the most telling one first.

    ``derived`` rows stand for the row in ``source_id``; ``boxed`` ones tell where in its picture
    each of their words stands.
    """

    stream: str
    texts: tuple[str, ...]
    title: str | None = None
    app: str | None = None
    url: str | None = None
    derived: bool = False
    boxed: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """What is read of its table."""
        own = [*self.texts, self.title, self.app, self.url]
        if self.derived:
            own += ["source_id", "transform_version"]
        if self.boxed:
            own += ["source_sha256", "words", "width", "height"]
        return (*ENVELOPE, *dict.fromkeys(name for name in own if name is not None))


SOURCES = {
    source.stream: source
    for source in (
        Source(stream="window", texts=("title", "app"), title="title", app="app"),
        Source(stream="web", texts=("title", "url"), title="title", url="url"),
        Source(stream="ocr", texts=("text",), derived=True, boxed=True),
        Source(stream="transcript", texts=("text",), derived=True),
    )
}
#: These are put together from all revisions: see :mod:`lifelog_lake.recall.search.entries`.
JOURNAL = "journal"
STREAMS = (*SOURCES, JOURNAL)


class Document(NamedTuple):
    """An event as it is found and shown. Times in µs since 1970 UTC.

    ``order`` says which of several rows the text is of, the least; ``days`` are the partitions that
    its rows lie in, days since 1970. ``day`` is the day it began by the clock on the device's wall.

    A named tuple, as each page restores many: a frozen dataclass takes ten times as long.
    """

    stream: str
    device: str
    id: str
    order: tuple[int, str]
    at: int
    end: int | None
    tz: str | None
    day: int
    days: tuple[int, ...]
    title: str | None = None
    texts: tuple[str, ...] = ()
    app: str | None = None
    url: str | None = None
    site: str | None = None
    tags: tuple[str, ...] = ()
    blob: str | None = None
    #: Of each word of a recognised text its left, top, width and height in the picture, shares of
    #: ten thousand.
    boxes: tuple[tuple[int, int, int, int], ...] = ()

    @property
    def key(self) -> str:
        """Names it in the index. An entry is one, whichever devices it was written on."""
        device = "" if self.stream == JOURNAL else self.device
        return key_of(self.stream, device, self.id)

    def with_row(self, other: Document) -> Document:
        """The document of both: the text of the first, lasting as long as both."""
        first, second = (self, other) if self.order <= other.order else (other, self)
        ends = [end for end in (first.end, second.end) if end is not None]
        return first._replace(
            end=max(ends, default=None),
            days=tuple(sorted({*first.days, *second.days})),
        )

    def stored(self) -> bytes:
        """As the index keeps it: the fields' values in their order, as JSON."""
        return orjson.dumps(tuple(self))


#: Fields that JSON has as lists.
_TUPLES = [Document._fields.index(name) for name in ("order", "days", "texts", "tags", "boxes")]


def key_of(stream: str, device: str, id_: str) -> str:
    """See :attr:`Document.key`."""
    return f"{stream}/{device}/{id_}"


def restored(content: bytes) -> Document:
    """What :meth:`Document.stored` gave."""
    values = orjson.loads(content)
    for place in _TUPLES:
        values[place] = tuple(values[place])
    return Document._make(values)


def documents(source: Source, rows: pl.DataFrame) -> Iterator[tuple[Document, bool]]:
    """A document of each row that has text, and whether others may belong to it."""
    frame = _usable(source, rows)
    for row in frame.iter_rows(named=True):
        texts = tuple(_texts(source, row))
        if not texts:
            continue
        at = row["at_us"]
        if source.derived:
            id_, order = (
                row["source_id"] or row["id"],
                (-(row["transform_version"] or 0), row["id"]),
            )
        else:
            id_, order = row["cont"] or row["id"], (at, row["id"])
        document = Document(
            stream=source.stream,
            device=row["device"],
            id=id_,
            order=order,
            at=at,
            end=row["end_us"],
            tz=row["tz"],
            day=row["day"],
            days=(at // DAY_US,),
            title=row[source.title] if source.title else None,
            texts=texts,
            app=row[source.app] if source.app else None,
            url=row[source.url] if source.url else None,
            site=row.get("site"),
            blob=row["source_sha256"] if source.boxed else row["blob"],
            boxes=tuple(_boxes(row)) if source.boxed else (),
        )
        yield document, source.derived or row["cont"] is not None


def _usable(source: Source, rows: pl.DataFrame) -> pl.DataFrame:
    """With every column, whoever wrote the rows; those that lack what names them are left out."""
    schema = polars_schema(source.stream)
    missing = [name for name in source.columns if name not in rows.columns]
    frame = rows.with_columns(pl.lit(None, schema[name]).alias(name) for name in missing).filter(
        pl.col("id").is_not_null(), pl.col("device").is_not_null(), pl.col("at").is_not_null()
    )
    own = {"site": site(pl.col(source.url))} if source.url else {}
    return frame.with_columns(
        day=local_day(frame),
        at_us=pl.col("at").dt.epoch("us"),
        end_us=pl.col("end").dt.epoch("us"),
        **own,
    )


def local_day(frame: pl.DataFrame) -> pl.Expr:
    """The day on which rows began by the clock of where their device was, days since 1970."""
    day = pl.col("at").dt.date()
    for zone in frame["tz"].unique().drop_nulls():
        if zone in _zones():
            local = pl.col("at").dt.convert_time_zone(zone).dt.date()
            day = pl.when(pl.col("tz") == zone).then(local).otherwise(day)
    return day.cast(pl.Int32)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _boxes(row: Mapping[str, Any]) -> Iterator[tuple[int, int, int, int]]:
    if not row["width"] or not row["height"]:
        return
    across, down = WHOLE / row["width"], WHOLE / row["height"]
    for word in row["words"] or ():
        yield (
            round(word["left"] * across),
            round(word["top"] * down),
            round(word["width"] * across),
            round(word["height"] * down),
        )


def _texts(source: Source, row: Mapping[str, Any]) -> Iterator[str]:
    for name in source.texts:
        if value := row[name]:
            yield unquote(value) if name == source.url else value
