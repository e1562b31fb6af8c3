"""Rows that hold nothing, shipped by a device and seen by the hub's rules."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from lifelog_lake.care.content import COLUMNS, Looked, blanks_of
from lifelog_lake.care.facts import DeviceFacts, Fleet, Spell, StorageFacts
from lifelog_lake.care.health.rules import judge
from lifelog_lake.care.health.rules_file import RuleBook
from lifelog_lake.care.observe import Observer
from lifelog_lake.clock import US_PER_S, SystemClock, utc
from lifelog_lake.events import Event, new_event
from lifelog_lake.home import Home
from lifelog_lake.lake import parse_url
from lifelog_lake.recall.schema import polars_schema
from tests.fixtures.pulses import MINUTE_US, life, presence, pulse, record
from tests.helpers import make_home

NOW = SystemClock().wall_us()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return make_home(tmp_path_factory.mktemp("content") / "home")


def ago(minutes: float) -> int:
    return NOW - int(minutes * MINUTE_US)


def frames(begin: float, end: float, every: float = 1.0, **data: object) -> list[Event]:
    """Frames from so many minutes ago until so many minutes ago."""
    count = int((begin - end) / every)
    given = {"monitor": 1, "black": False, "changed": 0.5, **data}
    return [
        new_event("screen", at=ago(begin - n * every), end=ago(begin - (n + 1) * every), data=given)
        for n in range(count)
    ]


def sounds(begin: float, end: float, **data: object) -> list[Event]:
    return [
        new_event("audio", at=ago(begin - n), end=ago(begin - n - 1), data=data)
        for n in range(int(begin - end))
    ]


def windows(begin: float, end: float, title: str) -> list[Event]:
    return [
        new_event(
            "window", at=ago(begin - n * 5), end=ago(begin - n * 5 - 5),
            data={"app": "editor", "title": title},
        )
        for n in range(int((begin - end) / 5))
    ]  # fmt: skip


def told(home: Home, *events: Event) -> list[tuple[str | None, str]]:
    """Stream and first words of each finding of the rule, of what a device recorded."""
    rows = {
        stream: pl.DataFrame(
            [
                {
                    **dict.fromkeys(own),
                    **one.data,
                    "device": home.device,
                    "at": utc(one.at),
                    "end": utc(one.end or one.at),
                }
                for one in events
                if one.stream == stream
            ]
            or None,
            schema={name: polars_schema(stream)[name] for name in own},
        )
        for stream, own in COLUMNS.items()
    }
    away = [Spell(one.at, one.end, "afk") for one in events if one.stream == "afk"]
    pauses = [one.at for one in events if one.stream == "lifecycle"]
    device = DeviceFacts(
        device=home.device,
        last_seen_at=NOW,
        pulse_at=NOW,
        uptime_s=300 * 60.0,
        presence=tuple(away),
        paused=(Spell(pauses[0], pauses[1], "paused"),) if pauses else (),
        blanks=blanks_of(Looked(**rows)).get(home.device, ()),
    )
    storage = StorageFacts(url=home.lake_url)
    return found(Fleet(at=NOW, storage=storage, devices=(device,)))


def found(fleet: Fleet) -> list[tuple[str | None, str]]:
    return [
        (one.stream, one.says.partition(" since")[0])
        for one in judge(fleet, RuleBook()).findings
        if one.rule == "content"
    ]


def test_only_black_frames_are_a_finding(home: Home) -> None:
    assert told(home, *frames(60, 40), *frames(40, 1, black=True)) == [
        ("screen", f"The screen of {home.device} has given nothing but black frames")
    ]


def test_a_black_frame_among_others_and_a_dark_display_of_who_is_away_are_none(home: Home) -> None:
    assert not told(
        home,
        *frames(60, 1, black=True),
        presence("afk", ago(55), ago(1)),
    )
    assert not told(home, *frames(1, 0, every=0.25))


def test_only_digital_silence_is_a_finding_also_of_who_is_away(home: Home) -> None:
    away = presence("afk", ago(60), ago(1))
    assert told(home, *sounds(50, 1, level_dbfs=None), away) == [
        ("audio", f"The microphone of {home.device} has given nothing but digital silence")
    ]


def test_quiet_and_what_was_left_out_for_want_of_speech_are_none(home: Home) -> None:
    assert not told(
        home,
        *sounds(60, 30, level_dbfs=-75.0),
        *sounds(30, 1, level_dbfs=None, dropped=True),
    )


def test_a_window_that_stands_while_the_screen_changes_is_a_finding(home: Home) -> None:
    assert told(home, *windows(295, 0, "same"), *frames(290, 0, every=5)) == [
        ("window", f"The window of {home.device} has been the same")
    ]


def test_one_that_changes_or_stands_with_its_screen_is_none(home: Home) -> None:
    still = frames(290, 0, every=5, changed=0.001)
    assert not told(home, *windows(295, 0, "same"), *still)
    assert not told(
        home, *windows(295, 100, "same"), *windows(100, 0, "other"), *frames(290, 0, every=5)
    )


def test_pauses_do_not_count(home: Home) -> None:
    pause = [life("paused", ago(50)), life("resumed", ago(15))]
    assert not told(home, *frames(55, 1, black=True), *pause)


def test_a_device_is_seen_by_what_it_shipped(tmp_path: Path) -> None:
    home = make_home(tmp_path / "shipped")
    black = frames(40, 1, black=True)
    record(home, pulse(ago(0.2), [], uptime_s=300 * 60.0), *frames(60, 40), *black)
    fleet = Observer(home, parse_url(home.lake_url, home)).fleet()
    assert [stream for stream, _ in found(fleet)] == ["screen"]
    device = fleet.device(home.device)
    assert device is not None
    (spell,) = device.blanks
    assert spell.state == "black"
    assert abs(spell.start - ago(40)) < US_PER_S
