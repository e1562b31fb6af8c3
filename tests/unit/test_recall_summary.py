"""What a lake says of itself: right, cheap, and harmless as HTML."""

from __future__ import annotations

import dataclasses
from datetime import date, timedelta
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest
import tzlocal

from lifelog_lake.clock import US_PER_S, SystemClock, utc
from lifelog_lake.events import new_event
from lifelog_lake.home import Home
from lifelog_lake.lake import parse_url
from lifelog_lake.recall import tables
from lifelog_lake.recall.lake import open_lake
from lifelog_lake.recall.summary import ago, as_html, size
from lifelog_lake.ship import Shipper
from lifelog_lake.spool import Spool
from tests.helpers import T0, frame, make_home, pulse, ship, window

HOSTILE = "<img src=x onerror=alert(1)>'\"\u202e"
DAY_US = 86_400 * US_PER_S


class Elements(HTMLParser):
    """The elements and texts of a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert {name for name, _ in attrs} <= {"style"}

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Windows of one device on two days, and one of another device; frames that share content."""
    home = make_home(tmp_path / "home")
    spool = Spool.of(home)
    spool.append([window(n, end=T0 + (n + 1) * US_PER_S) for n in range(20)])
    spool.append([window(-DAY_US // US_PER_S)])
    frames = [frame(n, b"the same") for n in range(3)]
    spool.append([*frames, frame(3, b"the same", cont=frames[-1].id)])  # the last one has a slice
    ship(home)
    other = dataclasses.replace(home, device=HOSTILE)
    clock = SystemClock()
    spool = Spool(home.path / "other-spool", HOSTILE, home.settings.spool, clock)
    spool.append([window(-3600)])
    shipped = Shipper(other, spool, parse_url(home.lake_url), clock, batch_rows=100).run_once()
    assert not shipped.errors
    return home


def test_the_summary_counts_what_is_there(home: Home) -> None:
    found = open_lake(home.lake_url).summary()
    assert found["stream"].to_list() == ["screen", "window"]  # in the catalogue's order
    windows = found.row(1, named=True)
    assert (windows["label"], windows["rows"], windows["files"]) == ("Windows", 22, 3)
    assert windows["first_at"] == utc(T0 - DAY_US)
    assert windows["last_at"] == utc(T0 + 19 * US_PER_S)
    table = Path(home.lake_url) / "tables" / "window"
    assert windows["data_bytes"] == sum(p.stat().st_size for p in table.glob("*/*.parquet"))
    assert found["blob_bytes"].to_list() == [3 * len(b"the same"), 0]
    devices = {row["device"]: row for row in windows["devices"]}
    assert {name: row["last_at"] for name, row in devices.items()} == {
        home.device: utc(T0 + 19 * US_PER_S),
        HOSTILE: utc(T0 - 3600 * US_PER_S),
    }
    for row in [windows, *devices.values()]:
        assert row["lag"] > timedelta(days=100)
    assert all(row["ingested_at"] > row["last_at"] for row in devices.values())


def test_only_lately_and_content_are_read_from_rows(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool.of(home)
    for n in (100, 200, 300):
        spool.append([window(-n * 86_400)])
    ship(home)
    read: list[str] = []
    scan = pl.scan_parquet

    def noting(paths: list[str], **options: object) -> pl.LazyFrame:
        read.extend("/".join(Path(path).parts[-3:-1]) for path in paths)
        return scan(paths, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(tables.pl, "scan_parquet", noting)
    assert open_lake(home.lake_url).summary()["rows"].to_list() == [4, 25]
    assert set(read) == {
        "screen/date=2026-01-02", "window/date=2026-01-02", "window/date=2026-01-01",
    }  # fmt: skip


def test_as_html_it_escapes_and_names_the_zone(home: Home) -> None:
    lake = open_lake(home.lake_url)
    seen = Elements(lake._repr_html_())
    table = {"table", "thead", "tbody", "tr", "th", "td"}
    assert seen.tags == {"div", "span", "strong", "br", "bdi", *table}
    text = " ".join(seen.texts)
    assert HOSTILE in text
    assert str(tzlocal.get_localzone()) in text
    assert "Windows" in text
    assert "demo" not in text
    assert repr(lake) == f"Lake({home.lake_url!r}, generation 1)"
    assert Elements(as_html(lake.summary(), "/<i>lake</i>", 1, None)).tags == seen.tags


def test_an_empty_lake_says_what_to_do(tmp_path: Path) -> None:
    lake = open_lake(make_home(tmp_path / "home").lake_url)
    assert lake.summary().is_empty()
    assert lake.last_day() is None
    for told in ("It is empty", "lifelog up", "lifelog demo"):
        assert told in lake._repr_html_()


def test_the_last_day_is_of_what_was_captured(home: Home) -> None:
    lake = open_lake(home.lake_url)
    assert lake.last_day() == date(2026, 1, 2)
    spool = Spool.of(home)
    spool.append([pulse(9 * 86_400)])
    ship(home)
    assert lake.last_day() == date(2026, 1, 2)
    spool.append([new_event("sensor", at=T0 + DAY_US, data={"name": "battery", "value": 1.0})])
    ship(home)
    assert lake.last_day() == date(2026, 1, 3)


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1_400_000_000, "1.4 GB"),
        (10**15, "1,000.0 TB"),
    ],
)
def test_sizes_are_short(count: int, shown: str) -> None:
    assert size(count) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "now"), (-30, "now"), (-90, "in the future"), (150, "2 min ago"), (8000, "2 h ago")],
)
def test_lags_are_short(seconds: float, shown: str) -> None:
    assert ago(timedelta(seconds=seconds)) == shown
