"""Rows that hold nothing, shipped by a device and seen by the hub's rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from lifelog_lake.care.facts import Fleet, Spell
from lifelog_lake.care.health.rules import judge
from lifelog_lake.care.health.rules_file import RuleBook
from lifelog_lake.care.observe import Observer
from lifelog_lake.clock import US_PER_S, SystemClock
from lifelog_lake.events import Event, new_event
from lifelog_lake.home import Home
from lifelog_lake.lake import parse_url
from tests.fixtures.pulses import MINUTE_US, entry, life, presence, pulse, record
from tests.helpers import make_home

NOW = SystemClock().wall_us()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "home")


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
    """Stream and first words of each finding of the rule."""
    streams = [entry(name, name, NOW) for name in ("screen", "audio")]
    record(home, life("started", ago(300)), pulse(ago(0.2), streams, uptime_s=300 * 60.0), *events)
    fleet = Observer(home, parse_url(home.lake_url, home)).fleet()
    return found(fleet)


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


def test_the_facts_say_since_when(home: Home) -> None:
    record(home, pulse(ago(1), []), *frames(20, 10), *frames(10, 1, black=True))
    fleet = Observer(home, parse_url(home.lake_url, home)).fleet()
    device = fleet.device(home.device)
    assert device is not None
    (spell,) = device.blanks
    assert spell.state == "black"
    assert isinstance(spell, Spell)
    assert abs(spell.start - ago(10)) < US_PER_S
