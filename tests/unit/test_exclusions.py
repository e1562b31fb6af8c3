"""What the person's rules left out becomes rows, each time once."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from lifelog_lake.beats import Beat, Excluded, read_beat
from lifelog_lake.clock import US_PER_S
from lifelog_lake.collect.exclusions import Exclusions
from lifelog_lake.collect.process import Child, ChildSpec
from lifelog_lake.collect.protocol import CollectorSettings
from lifelog_lake.collect.recorder import Recorder
from lifelog_lake.collect.runner import Runner
from tests.fixtures.day import MIDNIGHT_US, DayClock, ScriptedSensor
from tests.unit.test_collect_runner import FailingSpool

WHY = "a rule"


def at(minutes: float) -> int:
    return MIDNIGHT_US + int(minutes * 60 * US_PER_S)


class Fake:
    """A child that says what was left out."""

    def __init__(self) -> None:
        self.spec = ChildSpec(name="c", argv=(), streams=("web",))
        self.beat = Beat(state="running")

    def says(self, *spans: tuple[float, float]) -> None:
        told = tuple((at(first), at(last), WHY) for first, last in spans)
        self.beat = Beat(state="running", excluded={"web": told})


class Bench:
    def __init__(self) -> None:
        self.clock, self.rows, self.child = DayClock(), FailingSpool(), Fake()
        self.exclusions = Exclusions(Recorder(self.rows, self.clock), self.clock)

    def look(self, minutes: float, *spans: tuple[float, float]) -> None:
        self.clock.s = minutes * 60
        self.child.says(*spans)
        self.exclusions.look([cast("Child", self.child)])

    def told(self) -> list[tuple[float, float]]:
        events = [event for batch in self.rows.batches for event in batch]
        assert all(event.data["reason"] == WHY for event in events)
        return [
            ((event.at - MIDNIGHT_US) / 60e6, ((event.end or 0) - MIDNIGHT_US) / 60e6)
            for event in events
        ]


def test_a_short_one_is_written_when_it_is_over() -> None:
    bench = Bench()
    bench.look(11, (10, 10.9))
    assert bench.told() == []
    bench.look(13, (10, 10.9))
    assert bench.told() == [(10, 10.9)]
    bench.look(20, (10, 10.9))
    assert len(bench.told()) == 1


def test_one_that_is_followed_by_another_is_over() -> None:
    bench = Bench()
    bench.look(12, (10, 11), (11.5, 12))
    assert bench.told() == [(10, 11)]


def test_parts_of_a_long_one_are_written_and_end_with_a_minute() -> None:
    bench = Bench()
    for minute in range(11, 23):
        bench.look(minute + 0.5, (10.25, minute + 0.4))
    bench.exclusions.close([cast("Child", bench.child)])
    assert bench.told() == [(10.25, 15), (15, 20), (20, 22.4)]


def test_a_source_that_is_read_again_tells_nothing_twice() -> None:
    bench = Bench()
    bench.look(30, (10, 11), (15, 20))
    bench.look(31, (10, 11), (15, 20), (29, 30.9))
    bench.look(40, (9, 11), (15, 20), (29, 30.9))
    assert bench.told() == [(10, 11), (15, 20), (29, 30.9)]


def test_a_beat_has_room_for_the_newest_and_joins_what_belongs_together(tmp_path: Path) -> None:
    runner = Runner(
        ScriptedSensor, CollectorSettings(), home=tmp_path, spool=FailingSpool(), clock=DayClock()
    )
    for first, last in ((4, 5), (0, 1), (8, 9), (9.1, 10), (20, 21), (20, 22), (30, 31)):
        runner.excluded("web", at(first), at(last), WHY)
    beat = read_beat(runner.beat.line())
    assert beat is not None
    expected: tuple[Excluded, ...] = tuple(
        (at(first), at(last), WHY) for first, last in ((8, 10), (20, 22), (30, 31))
    )
    assert beat.excluded == {"web": expected}
    odd = b'{"beat": 1, "state": "running", "excluded": {"a": 1, "b": [["x", 1, 2], [1]]}}'
    assert read_beat(odd) is not None
