"""Search among two million documents: against SQLite's FTS5 and PostgreSQL 15, and against truth.

Each engine answers the same questions by turns: ten hits with id, time, text and a piece of it in
which the found words are marked.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import polars as pl
from hypothesis import HealthCheck, Phase, given, settings

from lifelog_lake.home import Home, open_home
from lifelog_lake.lake import init_lake, parse_url
from lifelog_lake.recall.search.find import Finder
from lifelog_lake.recall.search.request import Request
from tests.bench import search_corpus as corpus
from tests.bench import search_ocr
from tests.bench.pairs import Row
from tests.bench.search_databases import LIMIT, Ask, Database, Fts5, postgres

COUNT, QUICK = 2_000_000, 20_000
NEW = 1_000
EACH, ROUNDS = 20, 3
FASTER, MOST_NEW_S = 5.0, 0.5
TRUTHS = 60


def run(directory: Path, *, quick: bool) -> Iterator[Row]:
    """Index, truth, questions, and what new documents cost."""
    count = QUICK if quick else COUNT
    frame = corpus.corpus(count)
    home = open_home(directory / "home", flags={"spool": {"min_free_bytes": 0}})
    init_lake(home)
    store = parse_url(home.lake_url, home)
    corpus.write(store, frame)
    finder = Finder(home.path, store)
    began_s = time.perf_counter()
    filled = finder.refresh()
    took_s = time.perf_counter() - began_s
    assert filled is not None
    assert filled.added == count
    index_bytes = sum(path.stat().st_size for path in finder.index.path.rglob("*"))
    yield Row(
        name=f"index of {count:,} documents from nothing",
        ours=f"{count / took_s:,.0f}/s",
        base="",
        value=f"{took_s:.1f} s, {index_bytes / count:.0f} bytes a document",
    )
    yield _truth(finder, frame, quick=quick)
    with ExitStack() as held:
        others: list[Database] = [Fts5(directory, frame)]
        server = held.enter_context(postgres(directory / "postgres"))
        if server is None:
            yield Row(name="PostgreSQL", ours="", base="", value="skipped: it isn't installed")
        else:
            server.fill(frame)
            others.append(server)
        questions = _questions(frame)
        asked = {
            name: _asked(asks, finder, others, quick=quick) for name, asks in questions.items()
        }
        for name, took_ms in asked.items():
            ranked = questions[name][0].kind == "best"
            yield _compared(name, took_ms, goal=FASTER if ranked else 1.0, quick=quick)
        ranked_ms = {
            engine: [ms for name, asks in questions.items() if asks[0].kind == "best"
                     for ms in asked[name][engine]]
            for engine in ("ours", *(other.name for other in others))
        }  # fmt: skip
        yield _compared("all that are ranked", ranked_ms, goal=FASTER, quick=quick)
        others[0].close()
    yield _new(home, finder, frame, quick=quick)
    yield from search_ocr.run(quick=quick)


def _truth(finder: Finder, frame: pl.DataFrame, *, quick: bool) -> Row:
    """Hit sets are those of a plain filter: by the time, which no two documents share."""
    asked = 0

    @settings(
        max_examples=TRUTHS // 4 if quick else TRUTHS,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(question=corpus.questions(frame))
    def hold(question: tuple[str, pl.Expr]) -> None:
        nonlocal asked
        said, truth = question
        wanted = frame.filter(truth)["at"].dt.epoch("us").sort().to_list()
        assert sorted(finder.times(Request(query=said))) == wanted, said
        asked += 1

    hold()
    return Row(
        name="hit sets against a polars filter", ours="", base="", value=f"{asked} queries, equal"
    )


def _questions(frame: pl.DataFrame) -> dict[str, list[Ask]]:
    rng = random.Random(5)
    counts = (
        frame.lazy()
        .select(pl.col("text").str.split(" ").list.unique().alias("word"))
        .explode("word")
        .group_by("word")
        .len()
        .collect()
    )

    def words(least: float, most: float) -> list[str]:
        within = pl.col("len").is_between(least, most)
        found = sorted(counts.filter(within)["word"])
        return [rng.choice(found) for _ in range(EACH)]

    many = frame.height
    rare, common, middle = words(2, 60), words(many / 25, many), words(many / 200, many / 25)
    texts = [frame["text"][rng.randrange(frame.height)].split() for _ in range(EACH)]
    ends = [
        frame["at"][0].replace(hour=0) + timedelta(days=rng.randint(30, max(many // 1440 + 1, 30)))
        for _ in common
    ]
    # Whole days, as the page asks for them.
    spans = [
        (int((end - timedelta(days=30)).timestamp() * 1e6), int(end.timestamp() * 1e6))
        for end in ends
    ]
    return {
        "a rare word": [Ask(kind="best", words=(one,)) for one in rare],
        "a common word": [Ask(kind="best", words=(one,)) for one in common],
        "two words": [Ask(kind="best", words=pair) for pair in zip(common, middle, strict=True)],
        "a phrase": [Ask(kind="best", words=tuple(text[1:3]), phrase=True) for text in texts],
        "a common word, a month's newest": [
            Ask(kind="newest", words=(one,), span=span)
            for one, span in zip(common, spans, strict=True)
        ],
    }


def _asked(
    asks: list[Ask], finder: Finder, others: list[Database], *, quick: bool
) -> dict[str, list[float]]:
    """All engines by turns, question by question; milliseconds of each."""
    turns: dict[str, Callable[[Ask], int]] = {
        "ours": lambda ask: _ask(finder, ask),
        **{other.name: other.ask for other in others},
    }
    took_ms: dict[str, list[float]] = {engine: [] for engine in turns}
    for number in range(2 if quick else ROUNDS + 1):
        for ask in asks:
            found = set()
            for engine, turn in turns.items():
                began_s = time.perf_counter()
                found.add(turn(ask))
                if number:  # the first round warms up
                    took_ms[engine].append((time.perf_counter() - began_s) * 1000)
            assert len(found) == 1, f"{ask} found {found}"
    return took_ms


def _compared(name: str, took_ms: dict[str, list[float]], *, goal: float, quick: bool) -> Row:
    """p50 and p95 of each engine."""
    told = {engine: (statistics.median(ms), _p95(ms)) for engine, ms in took_ms.items()}
    ours = told.pop("ours")
    best_p95 = min(p95 for _, p95 in told.values())
    ratio = best_p95 / ours[1]
    return Row(
        name=f"{name}: p50, p95",
        ours=f"{ours[0]:.2f}, {ours[1]:.2f} ms",
        base="; ".join(f"{n} {p50:.2f}, {p95:.2f} ms" for n, (p50, p95) in told.items()),
        value=f"p95 {ratio:.1f} times faster than the better one",
        goal=f"at least {goal:.0f}",
        met=None if quick else ratio >= goal,
        rounds=len(took_ms["ours"]),
    )


def _ask(finder: Finder, ask: Ask) -> int:
    words = f'"{" ".join(ask.words)}"' if ask.phrase else " ".join(ask.words)
    start, end = ask.span or (None, None)
    order = "newest" if ask.kind == "newest" else "best"
    asked = Request(query=words, start=start, end=end, order=order, limit=LIMIT)  # type: ignore[arg-type]
    return len(finder.find(asked).hits)


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


def _new(home: Home, finder: Finder, frame: pl.DataFrame, *, quick: bool) -> Row:
    """From a commit to its rows being found, several times."""
    store = parse_url(home.lake_url, home)
    took_s = []
    for number in range(3 if quick else 9):
        fresh = corpus.corpus(NEW, seed=100 + number).with_columns(
            number=pl.col("number") + frame.height + number * NEW,
            text=pl.col("text") + f" fresh{number}",
            stream=pl.lit("window"),
        )
        corpus.write(store, fresh, first_seq=frame.height + number * NEW)
        began_s = time.perf_counter()
        finder.refresh()
        found = len(finder.times(Request(query=f"fresh{number}")))
        took_s.append(time.perf_counter() - began_s)
        assert found == NEW
    middle = statistics.median(took_s)
    return Row(
        name=f"{NEW:,} new documents found among {frame.height:,}, after their commit",
        ours=f"{middle * 1000:.0f} ms",
        base="",
        value=f"{middle * 1000:.0f} ms, at most {max(took_s) * 1000:.0f}",
        goal=f"at most {MOST_NEW_S} s",
        met=None if quick else max(took_s) <= MOST_NEW_S,
        rounds=len(took_s),
    )
