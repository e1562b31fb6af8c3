"""What the search finds is what a plain filter of the same documents finds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lifelog_lake.clock import US_PER_S
from lifelog_lake.recall.search import newest
from lifelog_lake.recall.search.find import Finder
from lifelog_lake.recall.search.request import Request
from tests.fixtures.derived import add
from tests.fixtures.searching import Question, finder, made, questions, truths
from tests.helpers import T0, FixedClock, make_home

COUNT, DAY_US = 50_000, 86_400 * US_PER_S
MOST_PAGES = 6
#: Enough for each kind of question and many of their pairs; `make bench` asks on two million.
SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lake:
    found: Finder
    truth: pl.DataFrame


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """Asked in the midst of its days, so that the newest are looked for backwards and forwards."""
    home = make_home(tmp_path_factory.mktemp("truth"))
    everything = list(made(COUNT, seed=7))
    for start in range(0, COUNT, COUNT // 2):
        add(home, *(one.event for one in everything[start : start + COUNT // 2]))
    found = finder(home, FixedClock(T0 + 40 * DAY_US))
    yield Lake(found=found, truth=truths(everything))
    found.close()


@SETTINGS
@given(question=questions(COUNT))
def test_the_hits_are_those_of_a_plain_filter(lake: Lake, question: Question) -> None:
    wanted = lake.truth.filter(question.truth)["at"].to_list()
    assert sorted(lake.found.times(Request(query=question.text))) == sorted(wanted)


@SETTINGS
@given(
    question=questions(COUNT), limit=st.integers(1, 200), order=st.sampled_from(["best", "newest"])
)
def test_the_pages_together_are_the_whole_list(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, question: Question, limit: int, order: str
) -> None:
    monkeypatch.setattr(newest, "FEW", 1_000)  # as if there were millions
    asked = Request(query=question.text, order=order, limit=max(limit, 100))  # type: ignore[arg-type]
    wanted = lake.truth.filter(question.truth)
    seen: list[str] = []
    times: list[int] = []
    cursor = None
    for _ in range(MOST_PAGES):
        page = lake.found.find(asked, cursor=cursor, total=cursor is None)
        if cursor is None:
            assert page.total == wanted.height
        seen += [hit.document.id for hit in page.hits]
        times += [hit.document.at for hit in page.hits]
        cursor = page.cursor
        if cursor is None:
            break
    assert len(seen) == len(set(seen))
    if cursor is None:
        assert set(seen) == set(wanted["key"])
    else:
        assert set(seen) < set(wanted["key"])
    if order == "newest":
        assert times == sorted(wanted["at"], reverse=True)[: len(times)]
