"""One collector's loop against a spool that fails on purpose and a clock set by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from lifelog_lake.beats import read_beat
from lifelog_lake.collect.protocol import CollectorSettings, Context
from lifelog_lake.collect.recorder import Recorder
from lifelog_lake.collect.runner import RETRY_S, Runner, describe
from lifelog_lake.errors import InvalidEvent, SpoolFull, SpoolWriteFailed, Unavailable
from lifelog_lake.events import Event, new_event
from lifelog_lake.pause import clear_pause, paused, set_pause
from lifelog_lake.validate import JSON

S = 1_000_000


class HandClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.s = 1000.0
        self.slept_s = 0.0
        self.stepped_s = 0.0

    def wall_us(self) -> int:
        return int((1_700_000_000 + self.s + self.slept_s + self.stepped_s) * S)

    def monotonic_s(self) -> float:
        return self.s

    def boot_us(self) -> int:
        return int((self.s + self.slept_s) * S)

    def boot_id(self) -> str:
        return "boot"

    def tz(self) -> str:
        return "Europe/Vienna"

    def sleep(self, seconds: float) -> None:
        self.s += seconds


class FailingSpool:
    """Keeps batches; raises ``error`` while it is set."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.batches: list[list[Event]] = []
        self.cursors: list[JSON] = []
        self.quarantined: list[tuple[str, bytes, str]] = []

    def append(self, events: Sequence[Event], cursor: JSON = None) -> range:
        if self.error is not None:
            raise self.error
        self.batches.append(list(events))
        self.cursors.append(cursor)
        return range(len(events))

    def cursor(self, stream: str) -> JSON:
        del stream
        return self.cursors[-1] if self.cursors else None

    def quarantine(self, stream: str, payload: bytes, reason: str) -> Path:
        if self.error is not None:
            raise self.error
        self.quarantined.append((stream, payload, reason))
        return Path()

    def written_bytes(self) -> dict[str, int]:
        return {}

    @property
    def values(self) -> list[JSON]:
        return [event.data["value"] for batch in self.batches for event in batch]


class Counter:
    """Two rows of two batches a look, and one at the end."""

    name: ClassVar[str] = "counter"
    streams: ClassVar[tuple[str, ...]] = ("sensor",)
    Settings: ClassVar[type[CollectorSettings]] = CollectorSettings
    made: ClassVar[int] = 0
    raises: ClassVar[Exception | None] = None

    def __init__(self, settings: CollectorSettings, context: Context) -> None:
        del settings
        type(self).made += 1
        self.context = context
        self.value = 0.0

    def row(self, value: float) -> None:
        event = new_event("sensor", at=self.context.clock.wall_us(), data={"value": value})
        self.context.append([event], cursor=value)

    def poll(self) -> None:
        if self.raises is not None:
            raise self.raises
        self.context.observed("sensor")
        for _ in range(2):
            self.value += 1
            self.row(self.value)

    def stop(self) -> None:
        self.row(-1.0)


@pytest.fixture
def parts(tmp_path: Path) -> tuple[Runner, FailingSpool, HandClock, type[Counter]]:
    class Own(Counter):
        made = 0
        raises = None

    spool, clock = FailingSpool(), HandClock()
    settings = CollectorSettings(every_s=2)
    return Runner(Own, settings, home=tmp_path, spool=spool, clock=clock), spool, clock, Own


Parts = tuple[Runner, FailingSpool, HandClock, type[Counter]]


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (SpoolFull("The spool is full.", hint="Ship."), "full"),
        (SpoolWriteFailed("A write failed."), "error"),
        (OSError(5, "Input/output error"), "error"),
    ],
)
def test_what_the_spool_does_not_take_is_held_and_written_later(
    parts: Parts, error: Exception, state: str
) -> None:
    runner, spool, clock, _ = parts
    runner.turn()
    assert runner.beat.state == "running"
    observed = runner.beat.observed["sensor"]
    spool.error = error
    for _ in range(5):
        clock.s += 2
        runner.turn()
        assert runner.beat.state == state
        assert runner.beat.reason
    assert spool.values == [1.0, 2.0]
    # One look was made and is held; no further ones, so nothing counts as observed.
    assert runner.beat.observed["sensor"] == observed + 2 * S
    assert runner.beat.errors == 1
    spool.error = None
    clock.s += 2
    runner.turn()
    assert runner.beat.state == "running"
    assert not runner.beat.reason
    assert spool.values == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert spool.cursors == spool.values


def test_what_is_held_at_the_end_is_tried_once_more(parts: Parts) -> None:
    runner, spool, _, _ = parts
    spool.error = SpoolFull("full")
    runner.turn()
    spool.error = None
    runner.stop()
    assert spool.values == [1.0, 2.0, -1.0]
    assert runner.beat.state == "stopping"


def test_what_is_lost_at_the_end_is_said(parts: Parts) -> None:
    runner, spool, _, _ = parts
    spool.error = SpoolFull("full")
    runner.turn()
    runner.stop()
    assert spool.values == []
    assert runner.beat.state == "full"


def test_an_unavailable_source_is_tried_again_after_a_while(parts: Parts) -> None:
    runner, spool, clock, own = parts
    own.raises = Unavailable("It is away.", hint="Bring it.")
    runner.turn()
    assert (runner.beat.state, runner.beat.reason) == ("unavailable", "It is away. Bring it.")
    own.raises = None
    clock.s += RETRY_S - 2
    runner.turn()
    assert runner.beat.state == "unavailable"
    clock.s += 2
    runner.turn()
    assert runner.beat.state == "running"
    assert own.made == 2
    assert spool.values == [-1.0, 1.0, 2.0]


def test_an_invalid_event_is_counted_and_kept(parts: Parts) -> None:
    runner, spool, clock, own = parts
    own.raises = InvalidEvent("It isn't one.")
    runner.turn()
    runner.refuse("sensor", b"payload", InvalidEvent("Neither."))
    assert runner.beat.errors == 2
    assert runner.beat.state == "running"
    assert spool.quarantined == [
        ("sensor", b"", "It isn't one."),
        ("sensor", b"payload", "Neither."),
    ]
    own.raises = None
    clock.s += 2
    runner.turn()
    assert spool.values == [1.0, 2.0]


def test_other_errors_end_the_loop_and_are_told_without_their_text(parts: Parts) -> None:
    runner, spool, clock, own = parts
    runner.turn()
    own.raises = ValueError("a secret title")
    clock.s += 2
    with pytest.raises(ValueError, match="secret") as raised:
        runner.turn()
    runner.fail(raised.value)
    assert runner.beat.state == "error"
    assert "ValueError at test_collect_runner.py" in runner.beat.reason
    assert "secret" not in runner.beat.reason
    assert spool.values == [1.0, 2.0, -1.0]  # what was open is written all the same
    assert "No space" in describe(OSError(28, "No space left on device", "/a/secret"))
    assert "secret" not in describe(OSError(28, "No space left on device", "/a/secret"))


def test_a_pause_stops_the_collector_within_one_turn(parts: Parts, tmp_path: Path) -> None:
    runner, spool, clock, own = parts
    runner.turn()
    set_pause(tmp_path, clock, 60)
    clock.s += 2
    runner.turn()
    assert runner.beat.state == "paused"
    assert spool.values == [1.0, 2.0, -1.0]
    clock.s += 2
    runner.turn()
    assert spool.values == [1.0, 2.0, -1.0]
    clock.s += 60
    runner.turn()
    assert runner.beat.state == "running"
    assert own.made == 2
    assert clear_pause(tmp_path, clock)
    assert not clear_pause(tmp_path, clock)


def test_a_pause_file_that_nobody_understands_is_a_pause(tmp_path: Path) -> None:
    clock = HandClock()
    assert paused(tmp_path, clock) is None
    (tmp_path / "run").mkdir()
    for content in (b"", b"{", b"[]", b'{"since_us": 1}', b'{"since_us": 1, "until_us": "x"}'):
        (tmp_path / "run" / "pause.json").write_bytes(content)
        assert paused(tmp_path, clock) is not None, content


def test_turns_do_not_drift_and_missed_ones_are_left_out(parts: Parts) -> None:
    runner, _, clock, _ = parts
    begin = clock.s
    for number in range(1, 20):
        clock.s += runner.next_in_s()
        assert clock.s == pytest.approx(begin + 2 * (number - 1))
        runner.turn()
        clock.s += 0.3  # the look itself
    clock.s += 100
    assert runner.next_in_s() == 0
    runner.turn()
    assert 0 < runner.next_in_s() <= 2


def test_while_history_is_left_the_next_turn_comes_at_once(parts: Parts) -> None:
    runner, _, clock, _ = parts
    runner.turn()
    runner.progress(0.5, "half of it")
    runner.turn()
    assert (runner.beat.share, runner.beat.doing) == (0.5, "half of it")
    assert read_beat(runner.beat.line()) == runner.beat
    before_s = clock.s
    for _ in range(50):
        assert runner.next_in_s() == 0
        runner.turn()
    runner.progress(None)
    runner.turn()
    assert runner.beat.share is None
    assert clock.s == before_s
    assert 0 < runner.next_in_s() <= 4


def test_a_remark_and_what_cannot_be_seen_leave_it_running(parts: Parts) -> None:
    runner, _, _, _ = parts
    runner.turn()
    runner.remark("Something was changed.")
    runner.unseen("web", "Install it.")
    runner.turn()
    assert (runner.beat.state, runner.beat.reason) == ("running", "Something was changed.")
    assert read_beat(runner.beat.line()) == runner.beat
    assert runner.beat.unseen == {"web": "Install it."}
    runner.remark("")
    runner.unseen("web", "")
    runner.turn()
    assert (runner.beat.reason, runner.beat.unseen) == ("", {})


def test_the_recorder_holds_rows_in_order_and_says_what_it_left_out() -> None:
    spool, clock = FailingSpool(), HandClock()
    recorder = Recorder(spool, clock, most_held=3)
    recorder.lifecycle("started")
    spool.error = SpoolFull("full")
    for number in range(5):
        recorder.lifecycle("told", reason=str(number))
    assert recorder.waiting == 3
    assert not recorder.retry()
    spool.error = None
    assert recorder.retry()
    rows: list[dict[str, Any]] = [event.data for (event,) in spool.batches]
    assert [row["kind"] for row in rows] == ["started", "told", "told", "told", "left_out"]
    assert [row.get("reason") for row in rows[1:4]] == ["2", "3", "4"]
    assert str(rows[4]["reason"]).startswith("2 rows")


def test_trouble_with_a_part_is_told_while_the_rest_goes_on(parts: Parts) -> None:
    runner, spool, clock, own = parts
    runner.turn()
    runner.trouble("One of two is away. Bring it.")
    for _ in range(2):
        clock.s += 2
        runner.turn()
        assert (runner.beat.state, runner.beat.reason) == ("error", "One of two is away. Bring it.")
    assert spool.values == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert (runner.beat.errors, own.made) == (1, 1)
    runner.trouble("")
    clock.s += 2
    runner.turn()
    assert (runner.beat.state, runner.beat.reason) == ("running", "")
