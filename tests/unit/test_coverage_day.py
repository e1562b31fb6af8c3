"""A scripted day, and the ledger of it written down to the minute."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from lifelog_lake.clock import utc
from lifelog_lake.collect.health import read_status
from lifelog_lake.collect.last_run import KILLED
from lifelog_lake.collect.today import lost_today
from lifelog_lake.errors import UsageError
from lifelog_lake.ledger import DISABLED
from lifelog_lake.pause import clear_pause, set_pause
from lifelog_lake.recall.coverage import by_hour
from lifelog_lake.recall.lake import open_lake
from lifelog_lake.spool import Spool
from tests.fixtures.day import MIDNIGHT_US, Day
from tests.helpers import make_home

SCREEN = """
00:00 off        lifelog wasn't set up yet
06:00 captured
06:30 paused     you paused
07:00 captured
07:10 lost       no beat for 120 s
07:12 captured
07:30 lost       lifelog was killed, or ended by a mistake of its own: logs/ may say more
07:50 captured
08:01 lost       The disk has 0 bytes free, 1000 are left alone. Make room, …
08:15 captured
08:30 lost       There is no display. Plug it in.
08:40 captured
09:00 suspended  the machine slept
10:30 captured
10:45 off        the machine went down (power loss, crash or a hard reset) before …
11:45 captured
12:00 idle       only black frames: the display is off, or may not be captured
12:10 captured
13:00 off        lifelog was stopped
13:30 captured
14:00 suspended  the clock was set forward
14:10 captured
"""
SENSOR = """
00:00 off        lifelog wasn't set up yet
06:00 captured
06:30 paused     you paused
07:00 captured
07:30 lost       lifelog was killed, or ended by a mistake of its own: logs/ may say more
07:50 captured
08:01 lost       The disk has 0 bytes free, 1000 are left alone. Make room, …
08:15 captured
09:00 suspended  the machine slept
10:30 captured
10:45 off        the machine went down (power loss, crash or a hard reset) before …
11:45 captured
12:20 idle       observed; nothing to record
12:40 captured
12:44 excluded   a rule of the person's
12:54 captured
13:00 off        lifelog was stopped
13:30 captured
14:00 suspended  the clock was set forward
14:10 captured
"""
AUDIO = """
00:00 off        lifelog wasn't set up yet
06:00 off        disabled in the settings
10:45 off        the machine went down (power loss, crash or a hard reset) before …
11:45 off        disabled in the settings
13:00 off        lifelog was stopped
13:30 off        disabled in the settings
"""
END = "14:20"


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Day, pl.DataFrame]]:
    """The day, shipped until a quarter past six and then at its end; and what was said before."""
    with pytest.MonkeyPatch.context() as patch:
        yield _live(tmp_path_factory.mktemp("day") / "home", patch)


def _live(path: Path, patch: pytest.MonkeyPatch) -> tuple[Day, pl.DataFrame]:
    for name in ("fsync", "fdatasync"):  # nothing is lost here but by the script
        patch.setattr(os, name, lambda _: None)
    day = Day(path)
    day.until("06:00")
    day.start()
    day.until("06:15")
    day.ship()
    day.until("06:30")
    set_pause(path, day.clock)
    day.until("07:00")
    clear_pause(path, day.clock)
    day.until("07:10")
    day.puppets["screen"].frozen = True
    day.until("07:30")
    day.kill()
    day.until("07:50")
    day.start()
    # The look of eight is held in memory until there is room again: it isn't lost.
    day.until("08:00")
    with pytest.MonkeyPatch.context() as full:
        usage = SimpleNamespace(free=0, total=10, used=10)
        full.setattr(shutil, "disk_usage", lambda _: usage)
        full.setattr("lifelog_lake.spool.queue.LOOK_EVERY_S", 0.0)
        full.setattr("lifelog_lake.spool.queue.LOOK_SHARE", 0.0)
        for puppet in day.puppets.values():
            puppet.spool._look_at_s = 0.0  # by the machine's own clock
        day.until("08:15")
    day.until("08:30")
    day.world.display = False
    day.until("08:40")
    day.world.display = True
    day.until("09:00")
    day.suspend(90 * 60)
    day.until("10:45")
    day.power_off()
    day.until("11:45")
    day.start()
    day.until("12:00")
    day.world.black = True
    day.until("12:10")
    day.world.black = False
    day.until("12:20")
    day.world.readings = False
    day.until("12:40")
    day.world.readings = True
    day.until("12:44")
    day.world.private = True
    day.until("12:54")
    day.world.private = False
    day.until("13:00")
    day.stop()
    day.until("13:30")
    day.start()
    day.until("14:00")
    day.clock.stepped_s += 600
    day.until("14:10")  # twenty past by then
    offline = open_lake(day.home.lake_url).coverage(_at("00:00"), _at("24:00"), clock=day.clock)
    day.stop()
    day.ship()
    return day, offline


def _at(text: str) -> datetime:
    hours, _, minutes = text.partition(":")
    return utc(MIDNIGHT_US) + timedelta(hours=int(hours), minutes=int(minutes))


def _minutes(found: pl.DataFrame, stream: str) -> list[tuple[str, str]]:
    """State and reason of each minute of a stream; fails unless each is in just one row."""
    told: dict[datetime, tuple[str, str]] = {}
    for row in found.filter(stream=stream).iter_rows(named=True):
        at = row["at"]
        while at < row["end"]:
            assert at not in told
            told[at] = (row["state"], row["reason"])
            at += timedelta(minutes=1)
    times = sorted(told)
    assert times == [_at("00:00") + timedelta(minutes=n) for n in range(len(times))]
    return [told[at] for at in times]


def _written(text: str) -> list[tuple[str, str]]:
    lines = [line.split(maxsplit=2) for line in text.strip().splitlines()]
    ends = [*(line[0] for line in lines[1:]), END]
    minutes: list[tuple[str, str]] = []
    for (at, state, *reason), end in zip(lines, ends, strict=True):
        count = int((_at(end) - _at(at)) / timedelta(minutes=1))
        minutes += [(state, reason[0] if reason else "")] * count
    return minutes


def _differences(found: list[tuple[str, str]], expected: list[tuple[str, str]]) -> list[Any]:
    return [
        (f"{n // 60:02}:{n % 60:02}", is_so, should)
        for n, (is_so, should) in enumerate(zip(found, expected, strict=True))
        if is_so[0] != should[0] or not is_so[1].startswith(should[1].rstrip("…").strip())
    ]


@pytest.mark.parametrize(
    ("stream", "text"), [("screen", SCREEN), ("sensor", SENSOR), ("audio", AUDIO)]
)
def test_each_minute_is_what_was_written_down(
    lived: tuple[Day, pl.DataFrame], stream: str, text: str
) -> None:
    day, _ = lived
    found = open_lake(day.home.lake_url).coverage(_at("00:00"), _at(END), clock=day.clock)
    assert _differences(_minutes(found, stream), _written(text)) == []


@pytest.mark.parametrize("stream", ["screen", "sensor"])
def test_what_is_not_shipped_is_pending(lived: tuple[Day, pl.DataFrame], stream: str) -> None:
    _, offline = lived
    minutes = _minutes(offline, stream)
    expected = _written(SCREEN if stream == "screen" else SENSOR)
    shipped = 6 * 60 + 14
    assert minutes[:shipped] == expected[:shipped]
    assert {state for state, _ in minutes[shipped + 2 :]} == {"pending"}


def test_two_runs_agree(lived: tuple[Day, pl.DataFrame]) -> None:
    day, _ = lived
    one, other = (
        open_lake(day.home.lake_url).coverage(_at("00:00"), _at(END), clock=day.clock)
        for _ in range(2)
    )
    assert one.equals(other)
    parts = [
        open_lake(day.home.lake_url).coverage(_at(begin), _at(end), clock=day.clock)
        for begin, end in itertools.pairwise(("00:00", "06:07", "07:11", "09:30", "10:46", END))
    ]
    for stream in ("screen", "sensor", "audio"):
        in_parts = [minute for part in parts for minute in _each(part, stream)]
        assert in_parts == _minutes(one, stream)


def _each(part: pl.DataFrame, stream: str) -> list[tuple[str, str]]:
    rows = part.filter(stream=stream).iter_rows(named=True)
    return [(row["state"], row["reason"]) for row in rows for _ in range(row["minutes"])]


def test_it_ends_now(lived: tuple[Day, pl.DataFrame]) -> None:
    _, offline = lived
    assert offline["end"].max() == _at(END)


def test_status_counts_what_was_lost_today(
    lived: tuple[Day, pl.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    day, _ = lived
    monkeypatch.setattr("tzlocal.get_localzone", lambda: ZoneInfo("UTC"))
    with closing(Spool.of(day.home, day.clock)) as spool:
        status = read_status(day.home.run)
        lost = lost_today(spool, status, day.clock, alive=True)
        told = {(one.stream, one.reason.split()[0]): one.minutes for one in lost}
        assert told == {
            ("screen", "no"): 2,
            ("screen", "lifelog"): 20,
            ("screen", "The"): 14,
            ("screen", "There"): 10,
            ("sensor", "lifelog"): 20,
            ("sensor", "The"): 14,
        }


def test_status_counts_from_a_kill_until_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tzlocal.get_localzone", lambda: ZoneInfo("UTC"))
    day = Day(tmp_path / "home")
    day.until("06:00")
    day.start()
    day.until("06:10")
    day.kill()
    day.until("07:10")
    with closing(Spool.of(day.home, day.clock)) as spool:
        status = read_status(day.home.run)
        lost = {one.stream: one for one in lost_today(spool, status, day.clock, alive=False)}
    assert {name: one.minutes for name, one in lost.items()} == {"screen": 60, "sensor": 60}
    assert "killed" in lost["screen"].reason


def test_hours_add_up(lived: tuple[Day, pl.DataFrame]) -> None:
    day, _ = lived
    found = open_lake(day.home.lake_url).coverage(_at("00:00"), _at("24:00"), clock=day.clock)
    hours = by_hour(found, "Asia/Kathmandu")  # its hours begin at a quarter past ours
    enabled = found.filter(pl.col("reason") != DISABLED)
    assert hours["minutes"].sum() == enabled["minutes"].sum()
    killed = hours.filter(pl.col("at") == _at("07:15"), state="lost").row(0, named=True)
    assert killed["reasons"][0] == f"screen, sensor: {KILLED}"
    eight = hours.filter(pl.col("at") == _at("08:15"), state="lost").row(0, named=True)
    assert eight["minutes"] == 10
    assert eight["reasons"] == ["screen: There is no display. Plug it in."]
    assert by_hour(found.clear(), "UTC").is_empty()


def test_a_lake_without_rows_has_no_minutes(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    found = open_lake(home.lake_url).coverage("2026-03-02", "2026-03-03")
    assert found.is_empty()
    assert by_hour(found, "Europe/Berlin").is_empty()
    with pytest.raises(UsageError):
        open_lake(home.lake_url).coverage("yesterweek")
