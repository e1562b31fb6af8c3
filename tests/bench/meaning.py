"""What the search by meaning costs: to make vectors, to keep them, and to be asked.

The vectors of the asked lake are mixtures of real ones: to compute as many would take hours.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from lifelog_lake.care.embed import SHARES
from lifelog_lake.home import Home, open_home
from lifelog_lake.lake import init_lake, parse_url
from lifelog_lake.lake.schema import arrow_schema
from lifelog_lake.lake.store import Store
from lifelog_lake.lake.table import StreamTable
from lifelog_lake.recall.meaning.model import Model
from lifelog_lake.recall.meaning.nearest import meaning_of
from lifelog_lake.recall.meaning.pieces import sha256
from lifelog_lake.recall.search.find import Finder
from lifelog_lake.recall.search.request import Request
from tests.bench import search_corpus as corpus
from tests.bench.pairs import Row
from tests.fixtures.meaning import model_place
from tests.fixtures.pages import CODE, PROSE

COUNT, QUICK = 200_000, 5_000
TITLES = 200
QUESTIONS = ("a trip by train", "money that is owed", "repair of a bicycle", "baking bread")
ROUNDS = 5
BATCH = 20_000
Vectors = npt.NDArray[np.float32]


def run(directory: Path, *, quick: bool) -> Iterator[Row]:
    """Vectors from texts, their files, and questions with and without meaning."""
    model = Model(model_place())
    texts = [" ".join(line.split()[:10]) for line in (PROSE + CODE).splitlines() if line.strip()]
    titles = [f"{texts[n % len(texts)]} {n}" for n in range(TITLES)]
    yield _embedded(model, "titles of ten words", titles)
    yield _embedded(model, "pieces of a hundred words", [" ".join(PROSE.split() * 2)[:600]] * 16)
    count = QUICK if quick else COUNT
    given = {"semantic": True, "model": model_place()}
    home = open_home(directory / "home", flags={"spool": {"min_free_bytes": 0}, "search": given})
    init_lake(home)
    store = parse_url(home.lake_url, home)
    frame = corpus.corpus(count)
    corpus.write(store, frame)
    vectors = _mixed(model.embed([f"{text} {n}" for n, text in enumerate(titles * 10)]), count)
    _write(store, frame, vectors, model.sha256)
    finder = Finder(home.path, store, meaning=meaning_of(home, store))
    finder.refresh()
    yield _kept(home, store, finder, count)
    plain = _asked(lambda text: finder.find(Request(query=text, limit=10)))
    meant = _asked(lambda text: finder.find(Request(query=text, limit=10, semantic=True)))
    yield Row(
        name=f"a question by words and meaning, {count:,} distinct texts",
        ours=f"{meant * 1e3:.0f} ms",
        base=f"by words alone: {plain * 1e3:.1f} ms",
        value=f"{(meant - plain) * 1e3:.0f} ms more (medians)",
    )
    finder.close()


def _embedded(model: Model, what: str, texts: list[str]) -> Row:
    model.embed(texts[:8])
    began_s = time.process_time()
    model.embed(texts)
    each_ms = (time.process_time() - began_s) / len(texts) * 1e3
    return Row(
        name=f"vectors of {what}", ours=f"{each_ms:.1f} ms of processor", base="",
        value=f"{60_000 / each_ms:,.0f} a minute",
    )  # fmt: skip


def _mixed(real: Vectors, count: int) -> Vectors:
    rng = np.random.default_rng(1)
    one, other = (real[rng.integers(0, len(real), count)] for _ in range(2))
    share = rng.random((count, 1), dtype=np.float32) / 2
    mixed = (1 - share) * one + share * other
    mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
    return (mixed * SHARES).round() / SHARES


def _write(store: Store, frame: pl.DataFrame, vectors: Vectors, model_sha256: str) -> None:
    """The stream as the job commits it."""
    table, schema = StreamTable(store, "embedding"), arrow_schema("embedding")
    for start in range(0, frame.height, BATCH):
        part = frame.slice(start, BATCH)
        some = vectors[start : start + part.height].astype(np.float64)
        ends = np.arange(part.height + 1, dtype=np.int32) * some.shape[1]
        own = {
            "id": pa.array([f"vector-{n}" for n in part["number"]]),
            "device": pa.array([corpus.DEVICE] * part.height),
            "epoch": pa.array([corpus.EPOCH] * part.height),
            "seq": pa.array(range(start, start + part.height), pa.int64()),
            "at": part["at"].to_arrow(),
            "ingested_at": part["at"].to_arrow(),
            "date": part["at"].dt.date().to_arrow(),
            "text_sha256": pa.array([sha256(text) for text in part["text"]]),
            "model_sha256": pa.array([model_sha256] * part.height),
            "vector": pa.ListArray.from_arrays(pa.array(ends), pa.array(some.ravel())),
        }
        columns = [
            own[field.name].cast(field.type)
            if field.name in own
            else pa.nulls(part.height, field.type)
            for field in schema
        ]
        last = start + part.height - 1
        name = f"{corpus.DEVICE}/embedding/{corpus.EPOCH}"
        table.snapshot().commit(pa.table(columns, schema=schema), name, last)


def _kept(home: Home, store: Store, finder: Finder, count: int) -> Row:
    began_s = time.perf_counter()
    finder.find(Request(query=QUESTIONS[0], limit=10, semantic=True))
    took_s = time.perf_counter() - began_s
    local = _bytes(home.path / "index" / "meaning")
    lake = _bytes(Path(store.url) / "tables" / "embedding")
    return Row(
        name=f"vectors of {count:,} texts taken in from nothing, model and all",
        ours=f"{took_s:.1f} s",
        base="",
        value=f"{lake / count:.0f} bytes a text in the lake, {local / count:.0f} beside the index",
    )


def _bytes(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*"))


def _asked(ask: Callable[[str], object]) -> float:
    took_s = []
    for text in QUESTIONS * ROUNDS:
        began_s = time.perf_counter()
        ask(text)
        took_s.append(time.perf_counter() - began_s)
    return statistics.median(took_s)
