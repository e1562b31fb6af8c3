"""Words on the screen: read well, read once, the newest first, and found."""

from __future__ import annotations

import hashlib
import shutil
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import polars as pl
import pytest
from PIL import Image

from lifelog_lake.care import ocr
from lifelog_lake.care.outcome import Outcome
from lifelog_lake.care.reading import read
from lifelog_lake.care.recognise import RapidOcr, Recogniser, Tesseract, Word, _data
from lifelog_lake.clock import SystemClock
from lifelog_lake.home import Home, open_home
from lifelog_lake.lake import parse_url
from lifelog_lake.lake.store import blob_key
from tests.fixtures.derived import add, compact, pictured
from tests.fixtures.pages import (
    CODE,
    MONO,
    PROSE,
    SANS,
    as_frame,
    from_frame,
    page,
    recall_and_precision,
)
from tests.fixtures.searching import finder, ids
from tests.helpers import frame, make_home, rows, verified
from tests.needs import lacking

READ, SAME, WAITS = "frames read", "frames with the words of another", "frames that wait"


class Counting:
    """An engine that gives a word a picture, by what is on it, and counts what it was given."""

    name, version, languages = "counting", 1, "eng"

    def __init__(self, version: int = 1) -> None:
        self.version = version
        self.heights: list[int] = []

    def words(self, picture: Image.Image) -> list[Word]:
        self.heights.append(picture.height)
        text = hashlib.sha256(picture.tobytes()).hexdigest()[:12]
        return [Word(text=text, left=0, top=0, width=9, height=picture.height, confidence=0.5)]

    def close(self) -> None:
        pass


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "home")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Counting:
    counting = Counting()

    def given(languages: Sequence[str], engine: str) -> Recogniser:
        return counting

    monkeypatch.setattr(ocr, "recogniser", given)
    return counting


@pytest.fixture(scope="module")
def tesseract() -> Tesseract:
    import tesserocr

    if "eng" not in _data(tesserocr)[1]:
        lacking("needs Tesseract's data: apt-get install --no-install-recommends tesseract-ocr-eng")
    return Tesseract(["eng"])


def run(home: Home) -> Outcome:
    return ocr.run(home, parse_url(home.lake_url, home), SystemClock())


class OneEachLook(SystemClock):
    """A minute passes between two looks at the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def monotonic_s(self) -> float:
        self.now_s += 60.0
        return self.now_s


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("font", [SANS, MONO])
@pytest.mark.parametrize("text", [PROSE, CODE], ids=["prose", "code"])
def test_pages_are_read_well(tesseract: Tesseract, text: str, font: str, dark: bool) -> None:
    shown = from_frame(as_frame(page(text, font=font, dark=dark)))
    found = read(tesseract, shown, None)
    recall, precision = recall_and_precision(text, found.text)
    assert recall >= 0.95, found.text
    assert precision >= 0.95, found.text
    assert all(0 <= word.left < 1100 and 0 <= word.top < 320 for word in found.words)


@pytest.mark.parametrize("size_px", [12, 13, 14])
@pytest.mark.parametrize("font", [SANS, MONO])
def test_small_letters_of_code_are_read_well(tesseract: Tesseract, font: str, size_px: int) -> None:
    shown = from_frame(as_frame(page(CODE, font=font, dark=size_px == 13, size_px=size_px)))
    found = tesseract.words(shown)
    text = " ".join(word.text for word in found)
    assert min(recall_and_precision(CODE, text)) >= 0.95, text
    first = found[0]
    assert (abs(first.left - 30) <= 2, abs(first.top - 20) <= 6) == (True, True), first


def test_rapidocr_reads_as_well_and_fetches_nothing(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refused(*words: object, **more: object) -> NoReturn:
        raise AssertionError("something was fetched")

    monkeypatch.setattr(socket, "socket", refused)
    chosen = open_home(tmp_path / "home", flags={"flows": {"ocr": {"engine": "rapidocr"}}})
    lines = "\n".join(line[:40] for line in PROSE.strip().splitlines()[-2:])
    blank = frame(1, as_frame(Image.new("RGB", (90, 60), "white")))
    add(home, blank, frame(2, as_frame(page(lines, dark=True, size=(400, 80)))))
    assert run(chosen).counts == {READ: 2, SAME: 0, WAITS: 0}
    empty, read = rows(home, "ocr").sort("at").to_dicts()
    assert (empty["text"], empty["words"]) == (None, [])
    assert read["text"].splitlines()[1].endswith("moved to Thursday, 14:30, in the")
    assert (read["transform"], read["languages"]) == ("rapidocr", "multi")
    assert read["confidence"] > 0.9
    boxes = {word["text"]: word for word in read["words"]}
    assert boxes["moved"]["left"] < 150 < boxes["Thursday,"]["left"] < 250
    assert boxes["syncs"]["top"] < 35 < boxes["moved"]["top"]


@pytest.mark.soak
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("font", [SANS, MONO])
@pytest.mark.parametrize("text", [PROSE, CODE], ids=["prose", "code"])
def test_rapidocr_reads_pages(text: str, font: str, dark: bool) -> None:
    found = read(RapidOcr(), from_frame(as_frame(page(text, font=font, dark=dark))), None)
    recall, precision = recall_and_precision(text, found.text)
    assert recall >= 0.92, found.text
    assert precision >= 0.92, found.text


def test_a_missing_engine_is_a_finding(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    chosen = open_home(tmp_path / "home", flags={"flows": {"ocr": {"engine": "rapidocr"}}})
    (finding,) = run(chosen).findings
    assert 'pip install "lifelog-lake[rapidocr]"' in finding


def test_only_what_changed_is_read_again(tesseract: Tesseract) -> None:
    lines = PROSE.strip().splitlines()
    before = read(tesseract, page("\n".join(lines)).convert("L"), None)
    lines[3] = "Another sentence stands here now, typed a moment ago by a patient person."
    counting = Counting()
    picture = page("\n".join(lines)).convert("L")
    read(counting, picture, before)
    assert sum(counting.heights) < 160, "more than the changed line was read"
    after = read(tesseract, picture, before)
    recall, precision = recall_and_precision("\n".join(lines), after.text)
    assert min(recall, precision) >= 0.95, after.text
    assert after.text.splitlines()[3].startswith("Another sentence stands here")
    assert after.text.splitlines()[4] == before.text.splitlines()[4]
    counting.heights.clear()
    assert read(counting, picture, after).words == after.words
    assert counting.heights == [], "nothing changed, and something was read"


def test_each_content_is_read_once(home: Home, engine: Counting) -> None:
    add(home, pictured(1), pictured(2, "frame 1"), pictured(3))
    outcome = run(home)
    assert outcome.counts == {READ: 2, SAME: 0, WAITS: 0}
    made = rows(home, "ocr")
    assert sorted(made["source_sha256"]) == sorted(set(rows(home, "screen")["blob"]))
    assert made["languages"].unique().to_list() == ["eng"]
    assert made["words"].list.len().to_list() == [1, 1]
    compact(home, "screen")
    assert not any(run(home).counts.values())
    shutil.rmtree(home.path / "index")
    assert not any(run(home).counts.values())
    add(home, pictured(4))
    assert run(home).counts[READ] == 1
    verified(home)


def test_the_newest_is_read_first_and_the_rest_waits(home: Home, engine: Counting) -> None:
    add(home, *(pictured(n) for n in range(5)))
    store = parse_url(home.lake_url, home)
    outcome = ocr.run(home, store, OneEachLook())
    assert outcome.counts[WAITS] == 4
    newest = rows(home, "screen")["blob"][-1]
    assert rows(home, "ocr")["source_sha256"].to_list() == [newest]
    run(home)
    assert rows(home, "ocr").height == 5


def test_a_frame_with_the_words_of_another_refers_to_it(home: Home, engine: Counting) -> None:
    plain = Image.new("RGB", (640, 360), (200, 200, 200))
    nearly = Image.new("RGB", (640, 360), (203, 203, 203))
    first, second = frame(1, as_frame(plain)), frame(2, as_frame(nearly))
    add(home, first, second)
    assert run(home).counts == {READ: 1, SAME: 1, WAITS: 0}
    old, new = rows(home, "ocr").sort("at").select("text", "same_as", "source_id").to_dicts()
    assert (new["source_id"], new["same_as"]) == (second.id, None)
    assert (old["text"], old["same_as"]) == (None, second.id)


def test_an_older_version_is_read_again_by_choice(
    home: Home, engine: Counting, tmp_path: Path
) -> None:
    add(home, pictured(1))
    run(home)
    engine.version = 2
    assert not any(run(home).counts.values())
    anew = open_home(tmp_path / "home", flags={"flows": {"ocr": {"redo_older": True}}})
    assert run(anew).counts[READ] == 1
    assert not any(run(anew).counts.values())
    assert sorted(rows(home, "ocr")["transform_version"]) == [1, 2]


def test_what_cannot_be_read_is_told_once(home: Home, engine: Counting) -> None:
    add(home, frame(1, b"no picture"), pictured(2), pictured(3))
    lost = rows(home, "screen")["blob"][-1]
    parse_url(home.lake_url, home).delete(blob_key(lost), at="test")
    outcome = run(home)
    assert outcome.counts[READ] == 1
    assert "2 contents" in outcome.findings[0]
    assert run(home).findings == ()
    refused = rows(home, "ocr").filter(pl.col("extra").is_not_null())
    assert refused.height == 2


def test_a_language_without_data_is_a_finding(home: Home, tmp_path: Path) -> None:
    odd = open_home(tmp_path / "home", flags={"flows": {"ocr": {"languages": ["xyz"]}}})
    (finding,) = run(odd).findings
    assert "'xyz'" in finding


def test_what_stood_on_the_screen_is_found(home: Home, tesseract: Tesseract) -> None:
    shown = frame(1, as_frame(page(PROSE)))
    add(home, shown)
    assert run(home).counts[READ] == 1
    found = finder(home)
    assert ids(found, '"quarterly budget" stream:ocr') == [shown.id]
    found.close()
