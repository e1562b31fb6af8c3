"""Two million invented documents for the search's bench: windows and journal entries with tags.

Words follow Zipf's law, as in any language: a few stand in every third text, most in a handful.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pyarrow as pa
from hypothesis import strategies as st

from lifelog_lake.lake.schema import arrow_schema
from lifelog_lake.lake.store import Store
from lifelog_lake.lake.table import StreamTable

WORDS = 60_000
BATCH = 100_000
DEVICE, EPOCH = "bench", "01a1fd41-c3cc-705e-9515-2670930a5d51"
START = datetime(2022, 1, 1, tzinfo=UTC)
EVERY = timedelta(seconds=60)
TAGS = ("work", "home", "idea", "rare-tag")
_SYLLABLES = tuple(a + b for a in "bdfghklmnprstvz" for b in "aeiou")


def word(rank: int) -> str:
    """The word of a rank: 0 is the most common one."""
    parts = []
    rest = rank + len(_SYLLABLES)
    while rest:
        rest, part = divmod(rest, len(_SYLLABLES))
        parts.append(_SYLLABLES[part])
    return "".join(parts)


def corpus(count: int, seed: int = 1) -> pl.DataFrame:
    """``number``, ``at``, ``text``, ``stream`` and ``tags``, a row a minute."""
    rng = np.random.default_rng(seed)
    weights = 1.0 / (np.arange(WORDS) + 8.0)
    lengths = rng.integers(4, 15, count)
    ranks = rng.choice(WORDS, int(lengths.sum()), p=weights / weights.sum())
    vocabulary = np.array([word(rank) for rank in range(WORDS)], dtype=object)
    words, ends = vocabulary[ranks], lengths.cumsum()
    texts = [" ".join(words[end - n : end]) for end, n in zip(ends, lengths, strict=True)]
    numbers = np.arange(count)
    journal = numbers % 10 == 0
    tagged = rng.random((count, len(TAGS))) < np.array([0.5, 0.3, 0.1, 0.001])
    tags = [
        [tag for tag, there in zip(TAGS, row, strict=True) if there] if own else []
        for own, row in zip(journal, tagged, strict=True)
    ]
    return pl.DataFrame(
        {"number": numbers, "text": texts, "tags": tags},
        schema_overrides={"tags": pl.List(pl.String)},
    ).with_columns(
        at=pl.lit(START) + pl.col("number") * EVERY,
        stream=pl.when(pl.Series(journal)).then(pl.lit("journal")).otherwise(pl.lit("window")),
    )


def write(store: Store, frame: pl.DataFrame, first_seq: int = 0) -> None:
    """Commit documents as a device's rows."""
    for stream in ("window", "journal"):
        table, rows = StreamTable(store, stream), frame.filter(pl.col("stream") == stream)
        for start in range(0, rows.height, BATCH):
            part = rows.slice(start, BATCH)
            content = _rows(stream, part, first_seq + start)
            last = first_seq + start + part.height - 1
            table.snapshot().commit(content, f"{DEVICE}/{stream}/{EPOCH}", last)


def _rows(stream: str, frame: pl.DataFrame, first_seq: int) -> pa.Table:
    own = {
        "id": pl.format("doc-{}", "number"),
        "device": pl.lit(DEVICE),
        "epoch": pl.lit(EPOCH),
        "seq": pl.int_range(first_seq, first_seq + frame.height, dtype=pl.Int64),
        "title": pl.col("text"),
        "tags": pl.col("tags"),
        "lamport": pl.lit(1, pl.Int64),
        "at": pl.col("at"),
        "ingested_at": pl.col("at"),
        "date": pl.col("at").dt.date(),
    }
    schema = arrow_schema(stream)
    there = frame.select(
        **{name: value for name, value in own.items() if name in schema.names}
    ).to_arrow(compat_level=pl.CompatLevel.oldest())
    columns = [
        there[field.name].cast(field.type)
        if field.name in there.column_names
        else pa.nulls(frame.height, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def questions(frame: pl.DataFrame) -> st.SearchStrategy[tuple[str, pl.Expr]]:
    """Queries with the filter that each stands for."""
    ranks = st.one_of(st.integers(0, 20), st.integers(0, 2_000), st.integers(0, WORDS - 1))
    text = " " + pl.col("text") + " "
    single = ranks.map(
        lambda rank: (word(rank), text.str.contains(f" {word(rank)} ", literal=True))
    )

    def phrase(given: tuple[int, int]) -> tuple[str, pl.Expr]:
        words = frame["text"][given[0]].split()
        said = " ".join(words[given[1] % len(words) :][:2])
        return f'"{said}"', text.str.contains(f" {said} ", literal=True)

    def dated(given: tuple[str, int]) -> tuple[str, pl.Expr]:
        at = START + EVERY * given[1]
        began = pl.col("at") >= at
        said = f"{given[0]}:{at:%Y-%m-%dT%H:%M:%SZ}"
        return said, began if given[0] == "after" else ~began

    number = st.integers(0, frame.height - 1)
    tags = st.sampled_from(TAGS).map(lambda tag: (f"tag:{tag}", pl.col("tags").list.contains(tag)))
    leaf = st.one_of(
        single,
        st.tuples(number, st.integers(0, 10)).map(phrase),
        tags,
        st.tuples(st.sampled_from(["after", "before"]), number).map(dated),
    )
    return st.recursive(leaf, _both, max_leaves=4)


def _both(part: st.SearchStrategy[tuple[str, pl.Expr]]) -> st.SearchStrategy[tuple[str, pl.Expr]]:
    def one(given: tuple[str, tuple[str, pl.Expr], tuple[str, pl.Expr]]) -> tuple[str, pl.Expr]:
        how, (a, is_a), (b, is_b) = given
        truth = {"AND": is_a & is_b, "OR": is_a | is_b, "NOT": is_a & ~is_b}[how]
        return f"({a} {how} {b})", truth

    return st.tuples(st.sampled_from(["AND", "OR", "NOT"]), part, part).map(one)


def batches(frame: pl.DataFrame, rows: int = 10_000) -> Iterator[list[tuple[int, int, str]]]:
    """Number, time (µs) and text, for the databases."""
    for part in frame.select("number", pl.col("at").dt.epoch("us"), "text").iter_slices(rows):
        yield part.rows()
