"""When a collector that beats and sees nothing is started again, and when that is given up."""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lifelog_lake.beats import Beat
from lifelog_lake.clock import iso
from lifelog_lake.collect import health
from lifelog_lake.collect.freshness import LEAST_S, LONGEST_S, TRIES, Freshness, silent
from lifelog_lake.collect.process import Backoff, Child, ChildSpec, Message
from lifelog_lake.collect.recorder import Recorder
from lifelog_lake.health_settings import HealthSettings
from lifelog_lake.logs import setup_logging
from lifelog_lake.spool import Spool, StreamStats
from tests.helpers import T0, make_home, pending

MINUTE_S = 60.0
FRESH_S = 60.0


class World:
    """A real child (that sleeps), its beats and the time by hand."""

    def __init__(self, path: Path, streams: tuple[str, ...], settings: HealthSettings) -> None:
        home = make_home(path)
        setup_logging(home, "test")
        self.home = home
        self.spool = Spool.of(home)
        self.now_s = 1000.0
        self.life = 0
        inbox: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        spec = ChildSpec(name="looker", argv=("sleep", "600"), streams=streams)
        self.child = Child(spec, inbox, Backoff())
        self.freshness = Freshness(Recorder(self.spool, self.spool._clock), settings, FRESH_S)
        self.restarts: list[float] = []
        self.start()

    def start(self) -> None:
        self.child.start(self.now_s)
        self.life += 1

    def beat(self, *observed: str, state: Any = "running", **more: Any) -> None:
        at = T0 + int(self.now_s * 1e6)
        beat = Beat(state=state, observed=dict.fromkeys(observed, at), every_s=2.0, **more)
        before = self.child.take(self.life, beat.line(), self.now_s, at)
        assert before is not None
        if before.state != state == "running":  # as the supervisor does
            self.child.reset_freshness(self.now_s)

    def go(self, seconds: float, *observed: str, **more: Any) -> None:
        """Ticks of five seconds, each with a beat; a process that was ended is started again."""
        for _ in range(round(seconds / 5)):
            self.now_s += 5
            self.beat(*observed, **more)
            self.freshness.look(self.child, self.now_s)
            if self.child.killed_because:
                self.restarts.append(self.now_s)
                deadline = time.monotonic() + 60
                while self.child.ended() is None:
                    assert time.monotonic() < deadline, "it wasn't ended"
                    time.sleep(0.01)
                self.child.bury(self.now_s)
                self.start()

    @property
    def said(self) -> list[str]:
        text = (self.home.logs / "lifelog-test.jsonl").read_text("utf-8")
        return [m for line in text.splitlines() if (m := json.loads(line).get("message"))]

    @property
    def lifecycle(self) -> list[str]:
        return [str(r.fields["data"]["kind"]) for r in pending(self.spool, "lifecycle")]

    def end(self) -> None:
        self.child.kill()


Make = Callable[..., World]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Make]:
    made: list[World] = []

    def make(*streams: str, **settings: Any) -> World:
        made.append(World(tmp_path, streams or ("screen",), HealthSettings(**settings)))
        return made[-1]

    yield make
    for one in made:
        one.end()


def test_a_source_that_is_observed_is_left_alone_though_it_gives_no_rows(world: Make) -> None:
    one = world()
    one.go(3600, "screen")
    assert (one.restarts, one.lifecycle, silent(one.child)) == ([], [], [])


def test_it_is_started_again_after_ten_minutes(world: Make) -> None:
    one = world()
    one.go(60, "screen")
    last_us = one.child.observed["screen"]
    seen_s = one.now_s
    one.go(10 * MINUTE_S - 5)
    assert one.restarts == []
    assert one.lifecycle == ["stale"]
    one.go(5)
    assert one.restarts == [seen_s + 10 * MINUTE_S]
    assert one.said == [f"last event timestamp is too old: {iso(last_us)}. Restarting."]
    assert health.state_of(one.child, "screen") != "running"
    one.go(5)
    assert health.state_of(one.child, "screen") == "stale", "it hasn't seen anything yet"
    one.go(5, "screen")
    assert health.state_of(one.child, "screen") == "running"
    assert one.child.tried == {}


def test_in_vain_it_is_tried_ever_more_rarely_and_told(world: Make) -> None:
    one = world()
    one.go(60, "screen")
    seen_s = one.now_s
    one.go(75 * MINUTE_S)
    waits = [b - a for a, b in zip([seen_s, *one.restarts], one.restarts, strict=False)]
    assert [round(wait_s / MINUTE_S) for wait_s in waits] == [10, 20, 40]
    (told,) = silent(one.child)
    assert told["stream"] == "screen"
    assert told["collector"] == "looker"
    assert told["restarts"] == TRIES
    assert told["since"] == one.child.observed["screen"]
    assert "started again 3 times" in str(told["reason"])
    entry = health.pulse_data(one.home, [one.child], {}, {}, uptime_s=1.0, usage={})["streams"][0]  # type: ignore[index]
    assert entry["state"] == "stale"
    assert entry["last_error"] == told["reason"]
    assert health.checks([one.child], None, None)["silent"] == [told]
    one.go(24 * 3600)
    day = [b - a for a, b in zip(one.restarts, one.restarts[1:], strict=False)]
    assert len(one.restarts) < 3 + 10, "no storm"
    assert max(day) <= LONGEST_S + 60
    one.go(5, "screen")
    assert silent(one.child) == []
    assert one.lifecycle[-1] == "fresh"


def test_before_three_tries_it_is_no_finding(world: Make) -> None:
    one = world()
    one.go(60, "screen")
    one.go(35 * MINUTE_S)
    assert len(one.restarts) == 2
    assert silent(one.child) == []


def test_what_never_was_there_is_a_warning_only(world: Make) -> None:
    one = world()
    one.go(24 * 3600)
    assert one.restarts == []
    assert one.said == ["no event of screen yet; its source may not be there"]


def test_a_row_of_an_earlier_life_counts_as_its_last_event(world: Make) -> None:
    one = world()
    stats = StreamStats(
        epoch="e", next_seq=1, acked_seq=-1, pending_rows=1, pending_bytes=1,
        oldest_at=T0, newest_at=T0, last_ack_at=None,
    )  # fmt: skip
    one.child.know_rows({"screen": stats})
    one.go(10 * MINUTE_S + 10)
    assert one.said == [f"last event timestamp is too old: {iso(T0)}. Restarting."]


def test_a_pause_and_a_sleep_begin_anew(world: Make) -> None:
    one = world()
    one.go(60, "screen")
    for _ in range(5):
        one.go(9 * MINUTE_S)
        one.go(30 * MINUTE_S, state="paused")
        one.go(9 * MINUTE_S)
        one.now_s += 3600  # nobody could beat meanwhile
        one.child.reset_freshness(one.now_s)
    assert one.restarts == []


@pytest.mark.parametrize("state", ["unavailable", "full", "error", "starting"])
def test_a_state_with_a_reason_of_its_own_is_left_alone(world: Make, state: str) -> None:
    one = world()
    one.go(60, "screen")
    one.go(3600, state=state)
    assert one.restarts == []


def test_where_it_would_not_help_it_is_not_tried_but_told_at_once(world: Make) -> None:
    one = world("window", "afk")
    one.go(60, "window", "afk")
    one.go(2 * MINUTE_S, "afk", unseen={"window": "aw-watcher-window is dead: start it"})
    assert [told["reason"] for told in silent(one.child)] == ["aw-watcher-window is dead: start it"]
    assert silent(one.child)[0]["restarts"] == 0
    one.go(3600, "afk", unseen={"window": "aw-watcher-window is dead: start it"})
    assert one.restarts == []
    one.go(5, "window", "afk")
    assert silent(one.child) == []


def test_each_stream_has_its_threshold(world: Make) -> None:
    one = world("screen", "audio", stale_after_minutes_by_stream={"screen": 2, "audio": 0})
    one.go(60, "screen", "audio")
    seen_s = one.now_s
    one.go(3600, "screen")
    assert one.restarts == []
    one.go(2 * MINUTE_S, "audio")
    assert one.restarts == [seen_s + 3600 + 2 * MINUTE_S]


def test_a_wall_clock_that_is_wrong_starts_nothing_again(world: Make) -> None:
    """Only that observations come counts, not what time they say it is."""
    one = world()
    for n in range(720):
        one.now_s += 5
        at = T0 - n * 3_600_000_000  # it goes back, an hour a beat
        beat = Beat(state="running", observed={"screen": at}, every_s=2.0)
        one.child.take(one.life, beat.line(), one.now_s, at)
        one.freshness.look(one.child, one.now_s)
        assert not one.child.killed_because


def test_a_threshold_of_seconds_leaves_who_is_well_alone(world: Make) -> None:
    """Beats tell of observations each five seconds or so."""
    one = world(stale_after_minutes=0.01)
    for _ in range(60):
        one.go(5)
        one.go(5, "screen")
    assert one.restarts == []
    one.go(LEAST_S)
    assert len(one.restarts) == 1


def test_it_may_be_off(world: Make) -> None:
    one = world(stale_after_minutes=0)
    one.go(60, "screen")
    one.go(24 * 3600)
    assert one.restarts == []


@pytest.mark.parametrize("step_s", [600, -600])
def test_a_clock_that_is_set_makes_nothing_old_or_new(world: Make, step_s: int) -> None:
    """The next pulse may come before the next beat, or after a beat by the new clock."""
    made = world()
    made.go(5, "screen")
    step_us, seen = step_s * 1_000_000, made.child.observed
    now_us = seen["screen"] + 1_000_000 + step_us
    made.child.clock_was_set(step_us, now_us)
    assert now_us - seen["screen"] == 1_000_000
    made.child.clock_was_set(step_us, now_us)
    assert now_us - seen["screen"] == 1_000_000
