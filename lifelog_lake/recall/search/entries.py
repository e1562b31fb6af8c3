"""Journal entries as they stand now, of all their revisions.

The order of revisions is the Lamport counter, then time, then device, then id. One that no greater
counter names as its parent is a head; the entry is its greatest head that isn't a delete, so an
edit wins against a delete that didn't know of it. If all heads are deletes, the entry is gone.

It is the journal's rule (:mod:`lifelog_lake.recall.journal.index`), worked out again here: that
index has rows of its own, and this one must be what the tables are, and the spool.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import polars as pl

from lifelog_lake.recall.schema import polars_schema
from lifelog_lake.recall.search.documents import DAY_US, JOURNAL, Document, local_day

ATTACHMENT = "attachment"
#: When a uuid7 was made, µs since 1970: the time of writing where a row doesn't tell.
_MADE = (
    pl.when(pl.col("id").str.slice(14, 1) == "7").then(
        pl.col("id").str.replace_all("-", "").str.slice(0, 12).str.to_integer(base=16, strict=False)
    )
    * 1000
)
_ORDER = ("lamport", "written", "by", "id")


def touched(rows: pl.DataFrame) -> set[str]:
    """The entries to which rows of the journal or its attachments belong."""
    of = pl.col("entry_id") if "entry_id" in rows.columns else pl.lit(None, pl.String)
    return set(rows.select(pl.coalesce(of, "id"))["entry_id"].drop_nulls())


def entries(
    revisions: pl.LazyFrame, files: pl.LazyFrame, only: Collection[str] | None = None
) -> Iterator[Document]:
    """A document of each entry that is there; ``only`` of some entries."""
    rows = _named(revisions, JOURNAL)
    attached = _named(files, ATTACHMENT)
    if only is not None:
        rows, attached = (one.filter(pl.col("entry").is_in(list(only))) for one in (rows, attached))
    names = dict(_names(attached).collect().iter_rows())
    current = _current(rows).collect()
    for row in current.with_columns(day=local_day(current)).iter_rows(named=True):
        texts = [row["title"], row["description"], *names.get(row["entry"], ())]
        yield Document(
            stream=JOURNAL,
            device=row["by"],
            id=row["entry"],
            order=(0, row["id"]),
            at=row["at_us"],
            end=row["end_us"],
            tz=row["tz"],
            day=row["day"],
            days=(row["at_us"] // DAY_US,),
            title=row["title"],
            texts=tuple(text for text in texts if text),
            tags=tuple(dict.fromkeys(tag for tag in row["tags"] or () if tag)),
        )


def _named(rows: pl.LazyFrame, stream: str) -> pl.LazyFrame:
    """With every column of the catalogue, the entry and who wrote it."""
    there = rows.collect_schema()
    schema = {
        **polars_schema(stream),
        "author": pl.String(),
        "written_at": pl.Datetime("us", "UTC"),
    }
    return (
        rows.with_columns(
            pl.lit(None, type_).alias(name) for name, type_ in schema.items() if name not in there
        )
        .filter(pl.col("id").is_not_null(), pl.col("at").is_not_null())
        .with_columns(
            entry=pl.coalesce("entry_id", "id"),
            by=pl.coalesce("author", "device").fill_null(""),
            lamport=pl.col("lamport").fill_null(0) if stream == JOURNAL else pl.lit(0),
            written=pl.coalesce(
                pl.col("written_at").dt.epoch("us"), _MADE, pl.col("at").dt.epoch("us")
            ),
            deleted=pl.col("deleted").fill_null(value=False)
            if stream == JOURNAL or "deleted" in there
            else pl.lit(value=False),
        )
    )


def _current(rows: pl.LazyFrame) -> pl.LazyFrame:
    replaced = (
        rows.select("entry", id="parent", known="lamport")
        .drop_nulls()
        .group_by("entry", "id")
        .agg(pl.col("known").max())
    )
    return (
        rows.unique("id")
        .join(replaced, on=["entry", "id"], how="left")
        .filter((pl.col("known") > pl.col("lamport")).not_().fill_null(value=True))
        .filter(~pl.col("deleted"))
        .sort(_ORDER)
        .unique("entry", keep="last", maintain_order=True)
        .with_columns(at_us=pl.col("at").dt.epoch("us"), end_us=pl.col("end").dt.epoch("us"))
    )


def _names(rows: pl.LazyFrame) -> pl.LazyFrame:
    """The names of the files of each entry that weren't removed."""
    removed = rows.filter("deleted").select("entry", "key").unique()
    return (
        rows.filter(~pl.col("deleted"), pl.col("name").is_not_null())
        .join(removed, on=["entry", "key"], how="anti")
        .sort("at", "id")
        .group_by("entry", maintain_order=True)
        .agg(pl.col("name").unique(maintain_order=True))
    )
