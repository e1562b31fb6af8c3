"""Each shipped notebook, run from top to bottom: what it shows is what the lake holds."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import nbformat
import polars as pl
import pytest
import tzlocal
from nbclient import NotebookClient

from lifelog_lake import places
from lifelog_lake.home import Home
from lifelog_lake.recall.lake import Lake, open_lake
from tests.notebooks.conftest import DEMO_END

NOTEBOOKS = sorted(places.shipped("notebooks").glob("*.ipynb"))
TOUR, WEEK = "tour", "where-did-my-week-go"
CHART = "application/vnd.jupyter.widget-view+json"
ADDRESS = re.compile(r"\w+://(?!127\.0\.0\.1|localhost)[^\s\"'<>]*")


@dataclass(frozen=True, slots=True)
class Ran:
    """What a notebook showed: each output as MIME type -> content; prints are text/plain."""

    outputs: list[dict[str, str]]

    @property
    def text(self) -> str:
        return "\n".join(shown.get("text/plain", "") for shown in self.outputs)

    @property
    def html(self) -> str:
        return "\n".join(shown.get("text/html", "") for shown in self.outputs)

    def of(self, kind: str) -> list[dict[str, str]]:
        return [shown for shown in self.outputs if any(k.startswith(kind) for k in shown)]


Run = Callable[[str, Home], Ran]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """``run(name, home)`` runs a notebook once a home; it fails if any cell does."""
    kept: dict[tuple[str, Path], Ran] = {}

    def run(name: str, home: Home) -> Ran:
        if (name, home.path) not in kept:
            folder = tmp_path_factory.mktemp("run")
            kept[name, home.path] = execute(name, home, folder)
            if name == TOUR:
                assert (folder / "my-day.csv").exists()
        return kept[name, home.path]

    return run


def execute(name: str, home: Home, folder: Path) -> Ran:
    (path,) = [path for path in NOTEBOOKS if path.stem == name]
    book = nbformat.read(path, as_version=4)
    client = NotebookClient(book, timeout=240, resources={"metadata": {"path": str(folder)}})
    client.execute(env={**os.environ, "LIFELOG_HOME": str(home.path)})
    outputs = []
    for cell in book.cells:
        for output in cell.get("outputs", []):
            # What fails while it is displayed doesn't stop a notebook.
            assert output.output_type != "error", output
            if output.output_type == "stream":
                assert output.name == "stdout", output.text
                outputs.append({"text/plain": output.text})
            else:
                outputs.append(dict(output.data))
    return Ran(outputs)


def lake_of(home: Home) -> Lake:
    return open_lake(home.lake_url)


def test_there_are_both() -> None:
    assert {path.stem for path in NOTEBOOKS} >= {TOUR, WEEK}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_nothing_foreign_and_no_outputs_are_shipped(path: Path) -> None:
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    for cell in book.cells:
        assert not ADDRESS.search(cell.source)
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    assert "widgets" not in book.metadata


@pytest.mark.parametrize("name", [TOUR, WEEK])
@pytest.mark.parametrize("home_name", ["empty_home", "single_home", "demo_home"])
def test_what_is_shown_names_nothing_foreign(
    run: Run, name: str, home_name: str, request: pytest.FixtureRequest
) -> None:
    ran = run(name, request.getfixturevalue(home_name))
    assert not ADDRESS.search(ran.text + ran.html)


def test_an_empty_lake_says_what_to_do(run: Run, empty_home: Home) -> None:
    tour, week = run(TOUR, empty_home), run(WEEK, empty_home)
    assert "It is empty" in tour.html
    assert "lifelog up" in tour.html
    for told in ("lifelog up", "lifelog demo", "No frames", "No sound", "0 rows"):
        assert told in tour.text
    assert "lifelog doctor" in week.text
    assert "0.0 hours" in week.text
    assert not tour.of(CHART) + week.of(CHART)


def test_a_lake_with_one_event_shows_it(run: Run, single_home: Home) -> None:
    tour, week = run(TOUR, single_home), run(WEEK, single_home)
    assert re.search(r"^1 events on ", tour.text, re.MULTILINE)
    assert "Editor <b> · my letter" in tour.text
    assert "tables/window: 1 rows" in tour.text
    assert "Editor <b>" not in tour.html + week.html
    assert "Editor &lt;b&gt;" in tour.html
    assert "0.1 hours between" in week.text
    assert "0.1 hours, 0.0 in the 7 days before" in week.text
    assert len(tour.of(CHART)) == 1
    assert len(week.of(CHART)) == 3  # but for sites


def test_the_tour_shows_the_demo_lake(run: Run, demo_home: Home) -> None:
    ran, lake = run(TOUR, demo_home), lake_of(demo_home)
    day = lake.last_day()
    assert day == date.fromisoformat(DEMO_END)
    events = lake.timeline(day)
    assert f"{events.height:,} events on {day:%A, %d %B %Y}" in ran.text
    assert "demo data" in ran.html
    for row in lake.summary().iter_rows(named=True):
        assert f"{row['rows']:,}" in ran.html
        assert f"tables/{row['stream']}: {row['rows']:,} rows" in ran.text
    app, _ = lake.usage(day, by="app").row(0)
    site, _ = lake.usage(day, by="site").row(0)
    assert app in ran.html
    assert site in ran.html
    assert len(ran.of("image/")) == 3
    assert len(ran.of(CHART)) == 1
    assert "shape: (5, 5)" in ran.text  # windows found by their titles


def test_the_tour_plays_a_sound(run: Run, demo_home: Home) -> None:
    ran, lake = run(TOUR, demo_home), lake_of(demo_home)
    heard = lake.timeline(date.fromisoformat(DEMO_END), streams="audio")["id"]
    sounds = lake.scan("audio").filter(pl.col("id").is_in(heard.implode()))
    most = sounds.select(pl.col("speech").max()).collect()
    assert f"speech for {most.item():.0%} of it" in ran.text
    assert re.search(r'src="data:audio/(ogg|flac);base64,', ran.html)


def test_the_week_is_what_its_rows_say(run: Run, demo_home: Home) -> None:
    """Counted anew, row by row."""
    ran, lake = run(WEEK, demo_home), lake_of(demo_home)
    zone = tzlocal.get_localzone()
    last = datetime.combine(date.fromisoformat(DEMO_END) + timedelta(days=1), datetime.min.time())
    ends = [(last - timedelta(days=n)).replace(tzinfo=zone).astimezone(UTC) for n in (0, 7, 14)]
    this, before = (ends[1], ends[0]), (ends[2], ends[1])
    hours = {app: time / timedelta(hours=1) for app, time in counted(lake, *this).items()}
    earlier = sum(counted(lake, *before).values(), timedelta(0)) / timedelta(hours=1)
    assert sum(hours.values()) > 10
    assert f"{sum(hours.values()):.1f} hours, {earlier:.1f} in the 7 days before" in ran.text
    apps = lake.usage(*this, by="app")
    assert {app: pytest.approx(time / timedelta(hours=1)) for app, time in apps.rows()} == hours
    assert len(ran.of(CHART)) == 4


def counted(lake: Lake, start: datetime, end: datetime) -> dict[str, timedelta]:
    """Time in front of each program while its device's person was there."""
    there: dict[str, list[tuple[datetime, datetime]]] = defaultdict(list)
    known = set()
    for row in lake.scan("afk").sort("at").collect().iter_rows(named=True):
        if row["end"] > start and row["at"] < end:
            known.add(row["device"])
            if row["status"] == "not-afk":
                there[row["device"]].append((row["at"], row["end"]))
    spent: dict[str, timedelta] = defaultdict(timedelta)
    windows = lake.scan("window").filter(pl.col("end") > start, pl.col("at") < end).collect()
    for row in windows.iter_rows(named=True):
        device = row["device"]
        for came, went in there[device] if device in known else [(start, end)]:
            first, last = max(row["at"], came, start), min(row["end"], went, end)
            spent[row["app"]] += max(last - first, timedelta(0))
    return {app: time for app, time in spent.items() if time}
