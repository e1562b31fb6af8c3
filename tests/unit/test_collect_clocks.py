"""Sleeps of the machine and steps of its clock, by a clock set by hand; beats as lines."""

from __future__ import annotations

import pytest

from lifelog_lake.beats import Beat, read_beat
from lifelog_lake.collect.clocks import ClockWatch
from lifelog_lake.collect.process import Backoff
from tests.unit.test_collect_runner import HandClock

S = 1_000_000


def test_time_that_passes_is_nothing() -> None:
    clock = HandClock()
    watch = ClockWatch(clock)
    for step_s in (0.0, 1.0, 5.0, 3600.0):
        clock.s += step_s
        assert watch.look() == []


def test_a_sleep_is_told_with_its_begin_and_end() -> None:
    clock = HandClock()
    watch = ClockWatch(clock)
    begin = clock.wall_us()
    clock.s += 1
    clock.slept_s += 3600
    (jump,) = watch.look()
    assert (jump.kind, jump.at, jump.end) == ("suspended", begin, begin + 3601 * S)
    assert jump.step_us == 3600 * S
    clock.s += 1
    assert watch.look() == []


@pytest.mark.parametrize("step_s", [-7200.0, 90.0])
def test_a_step_of_the_wall_clock_is_told(step_s: float) -> None:
    clock = HandClock()
    watch = ClockWatch(clock)
    clock.s += 1
    clock.stepped_s += step_s
    (jump,) = watch.look()
    assert (jump.kind, jump.step_us) == ("clock_step", int(step_s * S))
    assert jump.end == clock.wall_us()


def test_a_clock_that_is_set_after_a_sleep_is_both() -> None:
    clock = HandClock()
    watch = ClockWatch(clock)
    clock.slept_s += 100
    clock.stepped_s -= 40
    assert [jump.kind for jump in watch.look()] == ["suspended", "clock_step"]


def test_slewing_is_nothing() -> None:
    clock = HandClock()
    watch = ClockWatch(clock)
    for _ in range(1000):
        clock.s += 1
        clock.stepped_s += 0.0005
        assert watch.look() == []


def test_waits_before_a_restart_grow_to_a_limit() -> None:
    backoff = Backoff()
    waits = [backoff.delay_s(failures) for failures in range(1, 12)]
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert backoff.delay_s(100_000) == 300


def test_a_beat_is_one_line_that_comes_back_as_it_was() -> None:
    beat = Beat(state="full", errors=3, reason="No room.", every_s=2.0, observed={"screen": 5})
    line = beat.line()
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert read_beat(line) == beat
    assert len(Beat(state="error", reason="\U0001f600" * 10_000).line()) < 4096


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b"hello\n", b"{}\n", b"[1]\n", b'{"beat": 1}\n', b'{"beat": 1, "state": "dancing"}'),
        *(b'{"beat": 2, "state": "running"}\n', b"\xff\xfe\n", b"null", b"1"),
    ],
)
def test_what_a_library_prints_is_no_beat(line: bytes) -> None:
    assert read_beat(line) is None


def test_a_beat_with_odd_values_is_taken_as_far_as_it_goes() -> None:
    beat = read_beat(b'{"beat":1,"state":"running","errors":"x","observed":{"a":1,"b":"c"}}')
    assert beat == Beat(state="running", observed={"a": 1})
