"""The rules over facts: what each finds, and what it lets pass. No lake, no clock."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lifelog_lake import __version__
from lifelog_lake.care.facts import (
    DeviceFacts,
    Fleet,
    FlowFacts,
    FlowsFacts,
    Sample,
    Spell,
    StorageFacts,
    StreamFacts,
    VerifyFacts,
)
from lifelog_lake.care.health.model import Finding
from lifelog_lake.care.health.rules import judge
from lifelog_lake.care.health.rules_file import (
    NAME,
    Backlog,
    Disk,
    RuleBook,
    Rules,
    default_toml,
    load,
)
from lifelog_lake.clock import US_PER_S
from lifelog_lake.errors import UsageError
from lifelog_lake.home import Home, open_home
from tests.helpers import T0

MINUTE_US = 60 * US_PER_S
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US


def screen(**more: Any) -> StreamFacts:
    known: dict[str, Any] = {"last_capture_at": T0, "enabled": True, "state": "running"}
    return StreamFacts(device="d1", stream="screen", collector="screen", **{**known, **more})


def watched(name: str, **more: Any) -> StreamFacts:
    return replace(screen(**more), stream=name, collector="activitywatch")


def device(*streams: StreamFacts, **more: Any) -> DeviceFacts:
    known: dict[str, Any] = {
        "last_seen_at": T0,
        "pulse_at": T0,
        "ingested_at": T0,
        "state": "running",
        "version": __version__,
        "uptime_s": 86_400.0,
        "disk_free_bytes": 10**12,
        "skew_us": 0,
    }
    return DeviceFacts(device="d1", streams=streams or (screen(),), **{**known, **more})


def found(*devices: DeviceFacts, at: int = T0, rules: RuleBook | None = None, **more: Any) -> Any:
    fleet = Fleet(at=at, storage=StorageFacts(url="/lake"), devices=devices)
    return list(judge(replace(fleet, **more), rules or RuleBook()).findings)


def the_one(findings: list[Finding], rule: str) -> Finding:
    assert [one.rule for one in findings] == [rule]
    assert findings[0].says.endswith((".", ")", ": why", "!")), findings[0].says
    assert findings[0].hint
    return findings[0]


def test_a_fleet_that_is_well_has_none() -> None:
    assert found(device()) == []


def test_a_device_that_is_gone() -> None:
    one = the_one(found(device(), at=T0 + 25 * HOUR_US), "last_seen")
    assert one.key == "last_seen/d1/-"
    assert one.since == T0
    assert found(device(), at=T0 + 23 * HOUR_US) == []


def test_one_that_was_shut_down_may_stay_off_for_longer() -> None:
    off = device(state="stopped")
    assert found(off, at=T0 + 3 * DAY_US) == []
    the_one(found(off, at=T0 + 8 * DAY_US), "last_seen")


def test_a_backlog_is_no_death() -> None:
    """Its pulses are of two days ago, and came in a minute ago."""
    now = T0 + 2 * DAY_US
    behind = device(
        screen(newest_ingested_at=now - MINUTE_US), ingested_at=now - MINUTE_US, skew_us=None
    )
    assert found(behind, at=now) == []


def test_a_wrong_clock_is_no_death_but_a_finding() -> None:
    now = T0 + 2 * DAY_US
    late = the_one(found(device(skew_us=-2 * DAY_US), at=now), "clock")
    assert "2 days behind" in late.says
    ahead = device(last_seen_at=T0 + DAY_US, pulse_at=T0, skew_us=DAY_US)
    assert [one.rule for one in found(ahead, at=T0 + 3 * DAY_US)] == ["last_seen"]


def test_no_frame_for_ten_minutes() -> None:
    one = the_one(found(device(screen(last_capture_at=T0 - 11 * MINUTE_US))), "capture")
    assert one.key == "capture/d1/screen"
    assert one.since == T0 - 11 * MINUTE_US
    assert found(device(screen(last_capture_at=T0 - 9 * MINUTE_US))) == []


@pytest.mark.parametrize("why", ["paused", "suspended", "off", "presence"])
def test_a_good_reason_for_no_frame(why: str) -> None:
    """It counts as long as it lasted: the ten minutes are of the other time."""
    away = (Spell(T0 - 60 * MINUTE_US, T0 - 5 * MINUTE_US, "afk"),)
    silent = screen(last_capture_at=T0 - HOUR_US)
    assert found(device(silent, **{why: away})) == []
    ended = (Spell(T0 - 60 * MINUTE_US, T0 - 12 * MINUTE_US, "afk"),)
    the_one(found(device(silent, **{why: ended})), "capture")


def test_presence_excuses_only_while_away() -> None:
    there = (Spell(T0 - HOUR_US, None, "not-afk"),)
    the_one(found(device(screen(last_capture_at=T0 - HOUR_US), presence=there)), "capture")


def test_excuses_that_overlap_count_once() -> None:
    spells = {
        "paused": (Spell(T0 - 20 * MINUTE_US, T0 - 12 * MINUTE_US, "paused"),),
        "suspended": (Spell(T0 - 18 * MINUTE_US, T0 - 14 * MINUTE_US, "suspended"),),
    }
    the_one(found(device(screen(last_capture_at=T0 - 20 * MINUTE_US), **spells)), "capture")


@pytest.mark.parametrize(
    "stream",
    [
        screen(last_capture_at=T0 - HOUR_US, enabled=False, state="disabled"),
        StreamFacts(device="d1", stream=None, collector="ship", state="running", enabled=True),
    ],
)
def test_what_needn_not_capture(stream: StreamFacts) -> None:
    assert found(device(stream)) == []


def test_a_source_that_never_came_counts_from_the_start() -> None:
    never = screen(last_capture_at=None, state="unavailable", last_error="There is no display.")
    assert found(device(never, uptime_s=300.0)) == []
    one = the_one(found(device(never, uptime_s=1200.0)), "capture")
    assert "There is no display." in one.says


def test_the_night_before_a_start_does_not_count() -> None:
    assert found(device(screen(last_capture_at=T0 - 9 * HOUR_US), uptime_s=120.0)) == []


def test_a_silent_device_says_nothing_of_its_streams() -> None:
    """It slept at the moment of its last pulse: what it said then is neither new nor over."""
    dead = device(screen(last_capture_at=T0 - HOUR_US))
    judged = judge(
        Fleet(at=T0 + HOUR_US, storage=StorageFacts(url=""), devices=(dead,)), RuleBook()
    )
    assert judged.findings == ()
    assert judged.is_unknown("capture", "d1")
    assert not judged.is_unknown("last_seen", "d1")
    assert not judged.is_unknown("capture", "d2")


def test_a_dead_activitywatch_is_one_finding() -> None:
    streams = [watched(name, last_capture_at=T0 - HOUR_US) for name in ("window", "afk", "web")]
    told = {"state": "unhealthy", "reason": "No server answers.", "since": T0 - 5 * MINUTE_US}
    early = [watched(name) for name in ("window", "afk", "web")]
    first = the_one(found(device(*early, extra={"activitywatch": told})), "activitywatch")
    assert first.since == T0 - 5 * MINUTE_US
    later = the_one(found(device(*streams, extra={"activitywatch": told})), "activitywatch")
    silent = the_one(found(device(*streams)), "activitywatch")
    assert first.key == later.key == silent.key == "activitywatch/d1/-"


@pytest.mark.parametrize(
    "more", [{"uptime_s": 90.0}, {"suspended": (Spell(T0 - 9 * HOUR_US, T0 - MINUTE_US, "sleep"),)}]
)
def test_an_activitywatch_that_begins_after_lifelog_is_no_alarm(more: dict[str, Any]) -> None:
    """At login, or after a night, it is found away for some seconds, since the evening before."""
    told = {"state": "unhealthy", "reason": "No server answers.", "since": T0 - 9 * HOUR_US}
    early = device(watched("window"), **more, extra={"activitywatch": told})
    assert found(early) == []
    now = {**told, "since": T0 - MINUTE_US}
    assert found(device(watched("window"), extra={"activitywatch": now})) == []
    the_one(found(device(watched("window"), extra={"activitywatch": told})), "activitywatch")


def test_one_dead_watcher_is_its_streams_finding() -> None:
    streams = (watched("window", last_capture_at=T0 - HOUR_US), watched("afk"))
    assert the_one(found(device(*streams)), "capture").stream == "window"
    by_itself = {"silent": [{"stream": "window", "since": T0 - 3 * MINUTE_US, "restarts": 2}]}
    told = device(watched("window"), watched("afk"), extra=by_itself)
    assert the_one(found(told), "capture").since == T0 - 3 * MINUTE_US


@pytest.mark.parametrize(
    "extra",
    [
        {"activitywatch": "ill", "silent": 3},
        {"activitywatch": {"state": 7, "since": "noon"}, "silent": [None, {"stream": "screen"}]},
        {"activitywatch": None, "silent": [{"stream": "x", "since": 10**30}]},
    ],
)
def test_an_odd_pulse_breaks_nothing(extra: dict[str, Any]) -> None:
    assert found(device(extra=extra)) == []


def test_spool_lag_disk_and_version() -> None:
    full = device(
        screen(spool_bytes=3 * 2**30, spool_oldest_at=T0 - 2 * HOUR_US, last_ack_at=None),
        disk_free_bytes=2**20,
        version="0.0.9",
    )
    findings = {one.rule: one for one in found(full)}
    assert set(findings) == {"backlog", "lag", "disk", "version"}
    assert findings["lag"].since == T0 - 2 * HOUR_US
    assert findings["disk"].severity == "critical"
    assert "3.0 GiB" in findings["backlog"].says


def test_old_rows_that_came_today_are_no_lag() -> None:
    read_in = screen(
        spool_bytes=10**6, spool_oldest_at=T0 - 30 * DAY_US, last_ack_at=T0 - 2 * MINUTE_US
    )
    assert found(device(read_in)) == []


@pytest.mark.parametrize(
    "more",
    [
        {"suspended": (Spell(T0 - 9 * HOUR_US, T0 - MINUTE_US, "suspended"),)},
        {"off": (Spell(T0 - 9 * HOUR_US, T0 - MINUTE_US, "off"),)},
        {"uptime_s": 60.0},
    ],
)
def test_what_waited_for_the_night_to_end_is_no_lag(more: dict[str, Any]) -> None:
    """The first pulse in the morning is written before anything is shipped."""
    evening = T0 - 9 * HOUR_US
    waits = screen(spool_bytes=10**6, spool_oldest_at=evening, last_ack_at=evening)
    assert found(device(waits, **more)) == []
    assert found(device(waits))[0].rule == "lag"


def pulses(acked: int) -> StreamFacts:
    return StreamFacts(
        device="d1", stream="pulse", collector=None, state="spooled", enabled=False,
        last_ack_at=acked,
    )  # fmt: skip


def test_hours_on_a_train_are_no_alarm_when_it_is_back() -> None:
    """Its newest pulse was written on the train; what tried in vain meanwhile counted errors."""
    tries = tuple(Sample(T0 - (60 - n) * MINUTE_US, n) for n in range(60))
    shipper = StreamFacts(
        device="d1", stream=None, collector="ship", state="error", enabled=True, errors_series=tries
    )
    since = T0 - 3 * HOUR_US
    waits = screen(spool_bytes=10**6, spool_oldest_at=since, last_ack_at=since)
    assert found(device(waits, shipper, pulses(since))) == []
    # It reaches the lake, and still these rows wait.
    the_one(found(device(waits, shipper, pulses(T0 - MINUTE_US))), "lag")


def test_one_that_ships_seldom_can_lag_too() -> None:
    """Its newest pulse is always from before the run that brings it."""
    since = T0 - 2 * HOUR_US
    waits = screen(spool_bytes=10**6, spool_oldest_at=since, last_ack_at=since)

    def each(every_s: object, acked: int) -> list[Finding]:
        return found(device(waits, pulses(acked), extra={"ship_every_s": every_s}))

    the_one(each(900, T0 - 15 * MINUTE_US), "lag")
    assert each(900, T0 - 40 * MINUTE_US) == [], "out of reach"
    assert each(7200.0, T0 - 2 * HOUR_US) == [], "its turn has only come now"
    assert each("often", T0 - 15 * MINUTE_US) == []


def test_no_room_is_one_finding_whatever_stands_still() -> None:
    still: dict[str, Any] = {"state": "full", "last_capture_at": T0 - HOUR_US}
    streams = [screen(**still), watched("window", **still), watched("afk", **still)]
    low = device(*streams, disk_free_bytes=800 * 2**20)
    disk = the_one(found(low), "disk")
    assert disk.severity == "critical"
    assert "nothing is recorded any more: Screen and " in disk.says
    assert the_one(found(device(disk_free_bytes=800 * 2**20)), "disk").severity == "warning"
    # The spool's own limit, with room on the disk.
    backlog = the_one(found(device(*streams)), "backlog")
    assert (backlog.key, backlog.severity) == ("backlog/d1/-", "critical")
    assert "nothing is recorded any more: Screen and " in backlog.says
    assert found(device(screen(state="full"))) == [], "a moment ago it went on"
    # There is room again, and the collectors haven't tried yet.
    lately = (Sample(T0 - MINUTE_US, 800 * 2**20),)
    assert found(device(*streams, disk_free_series=lately)) == []
    # Whoever turns both off hears of each stream.
    off = RuleBook(general=Rules(disk=Disk(enabled=False), backlog=Backlog(enabled=False)))
    assert {one.rule for one in found(low, rules=off)} == {"capture", "activitywatch"}


def test_restarts_and_errors_in_an_hour() -> None:
    many = tuple(Sample(T0 - (60 - n) * MINUTE_US, n) for n in range(0, 60, 6))
    one = the_one(found(device(screen(restarts_series=many))), "restarts")
    assert one.key == "restarts/d1/screen"
    old = tuple(Sample(at - 2 * HOUR_US, value) for at, value in many)
    assert found(device(screen(restarts_series=old))) == []
    errors = tuple(Sample(T0 - (60 - n) * MINUTE_US, n) for n in range(60))
    assert the_one(found(device(screen(errors_series=errors))), "errors").rule == "errors"


def test_what_was_put_aside_or_lost() -> None:
    one = the_one(found(device(lost=(Sample(T0 - HOUR_US, 3),))), "quarantine")
    assert "3 rows or contents" in one.says
    assert found(device(quarantined=(Sample(T0 - 3 * DAY_US, 3),))) == []


def test_one_device_with_another_configuration() -> None:
    devices = [
        replace(device(), device=f"d{n}", config_revision="7" if n else "6") for n in range(3)
    ]
    assert the_one(found(*devices), "config").device == "d0"


def test_the_lakes_disk() -> None:
    soon = StorageFacts(url="", disk_free_bytes=10**12, full_at=T0 + 3 * DAY_US)
    assert the_one(found(storage=soon), "disk").key == "disk/-/lake"
    assert found(storage=replace(soon, full_at=T0 + 300 * DAY_US)) == []
    assert the_one(found(storage=replace(soon, disk_free_bytes=0)), "disk").severity == "critical"


def test_flows_that_fail_or_do_not_run() -> None:
    flow = FlowFacts(name="compact", enabled=True, every_s=3600.0, next_at=T0 + HOUR_US)
    well = FlowsFacts(at=T0, flows=(flow,))
    assert found(flows=well) == []
    assert found() == []  # this machine runs none
    failed = replace(flow, state="Failed", message="why")
    assert the_one(found(flows=replace(well, flows=(failed,))), "flows").subject == "compact"
    late = replace(flow, next_at=T0 - 20 * MINUTE_US)
    assert the_one(found(flows=replace(well, flows=(late,))), "flows").since == late.next_at
    works = replace(late, running_since=T0 - HOUR_US)
    assert found(flows=replace(well, flows=(works,))) == []
    off = replace(late, enabled=False)
    assert found(flows=replace(well, flows=(off,))) == []
    own = replace(failed, name="health")
    assert found(flows=replace(well, flows=(own,))) == []
    gone = the_one(found(flows=replace(well, at=T0 - HOUR_US)), "flows")
    assert gone.severity == "critical"
    assert gone.key == "flows/-/-"


def test_what_verify_found() -> None:
    last = VerifyFacts(at=T0, device="d1", read_data=False, count=2, findings=("screen: a gap.",))
    assert the_one(found(verified=last), "verify").severity == "critical"
    assert found(verified=replace(last, count=0)) == []


# --- the file of the rules --------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home")


def written(home: Home, text: str) -> RuleBook:
    (home.path / NAME).write_text(text, "utf-8")
    return load(home)


def test_the_first_run_writes_the_defaults_commented_out(home: Home) -> None:
    assert load(home) == RuleBook()
    text = (home.path / NAME).read_text("utf-8")
    assert text == default_toml()
    settings = [line for line in text.splitlines() if line.startswith("# ") and " = " in line]
    assert load(home) == RuleBook()
    uncommented = "\n".join(
        line.removeprefix("# ") if line in settings[1:] else line for line in text.splitlines()
    )
    assert written(home, uncommented).general == RuleBook().general


def test_rules_of_a_person_and_of_one_device(home: Home) -> None:
    book = written(
        home,
        "[capture]\nafter_s = 60\n[devices.d1.capture]\nstreams = {screen = 0}\n"
        "[devices.d1.last_seen]\nafter_s = 600\nseverity = 'critical'\n",
    )
    assert book.of("d2").capture.after_s == book.of("d1").capture.after_s == 60
    silent = screen(last_capture_at=T0 - 2 * MINUTE_US)
    assert found(device(silent), rules=book) == []
    other = replace(device(silent), device="d2")
    the_one(found(other, rules=book), "capture")
    one = the_one(found(device(), at=T0 + 11 * MINUTE_US, rules=book), "last_seen")
    assert one.severity == "critical"
    off = written(home, "[devices.d1.last_seen]\nenabled = false")
    assert found(device(), at=T0 + 400 * DAY_US, rules=off) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[captur]\nafter_s = 1", "Did you mean 'capture'"),
        ("[capture]\nafter = 1", "Did you mean 'after_s'"),
        ("[devices.d1.capture]\nafter = 1", "There is no setting 'devices.d1.capture.after'"),
        ("[devices]\nd1 = 3", "can't be used"),
        ("[capture\n", "isn't valid TOML"),
        ("[capture]\nafter_s = 'soon'", "capture.after_s is wrong"),
        ("[capture]\nseverity = 'loud'", "capture.severity is wrong"),
    ],
)
def test_a_bad_file_says_what_and_where(home: Home, text: str, says: str) -> None:
    with pytest.raises(UsageError) as raised:
        written(home, text)
    assert says in str(raised.value)
    assert NAME in str(raised.value)


def test_a_file_that_cannot_be_read(home: Home) -> None:
    (home.path / NAME).mkdir()  # root, too, reads no directory as a file
    with pytest.raises(UsageError, match="can't be read"):
        load(home)


def test_each_rule_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "health.md").read_text("utf-8")
    table = [line for line in text.splitlines() if line.startswith("| `")]
    said = {name for line in table for name in re.findall(r"`(\w+)`", line.split("|")[1])}
    assert set(Rules.model_fields) | {"delivery", "rules"} <= said
