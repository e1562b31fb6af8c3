"""Credit, memory and the ladder, by a clock set by hand; the processes are in test_budgets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from lifelog_lake import levels, uploaded
from lifelog_lake.budget_settings import BudgetSettings
from lifelog_lake.cli.status import budget_lines
from lifelog_lake.collect import budget
from lifelog_lake.collect.budget import Budgets
from lifelog_lake.collect.process import Child, ChildSpec
from lifelog_lake.collect.recorder import Recorder
from lifelog_lake.config import SpoolSettings
from tests.fixtures.day import DayClock
from tests.unit.test_collect_runner import FailingSpool

MIB = 2**20


class Eater:
    """A child that wants so much of a core, and gets it while it isn't held."""

    def __init__(self, name: str, wants: float = 1.0) -> None:
        self.spec = ChildSpec(name=name, argv=(), streams=("sensor",))
        self.pid: int | None = 1
        self.wants = wants
        self.cpu_s = 0.0
        self.rss = 50 * MIB
        self.held = False
        self.killed = ""
        self.limit: int | None = None

    def look_at(self, now_s: float) -> tuple[float, int]:
        del now_s
        return self.cpu_s, self.rss

    def hold(self, held: bool) -> None:
        self.held = held

    def limit_memory(self, most: int | None) -> None:
        self.limit = most

    def kill(self, why: str) -> None:
        self.killed = why


class Bench:
    def __init__(self, run: Path, *eaters: Eater, spool: object = None, **settings: Any) -> None:
        run.mkdir(exist_ok=True)
        self.run = run
        self.clock = DayClock()
        self.rows = FailingSpool()
        self.eaters = eaters
        self.budgets = Budgets(
            Recorder(self.rows, self.clock), self.clock, BudgetSettings.model_validate(settings),
            run, SpoolSettings.model_validate(spool or {}),
        )  # fmt: skip

    def live(self, seconds: float, *, step_s: float = 0.1) -> None:
        """Let time pass; the supervisor looks when it was told to, or each second."""
        children = cast("list[Child]", list(self.eaters))
        end, due = self.clock.s + seconds, self.clock.s
        while self.clock.s < end:
            if self.clock.s >= due:
                due = self.clock.s + (self.budgets.look(children) or 1.0)
            self.clock.s += step_s
            for eater in self.eaters:
                eater.cpu_s += 0.0 if eater.held else eater.wants * step_s

    def told(self) -> list[tuple[object, object, object]]:
        events = [event for batch in self.rows.batches for event in batch]
        return [
            (event.data["kind"], event.data["collector"], (event.extra or {}).get("level"))
            for event in events
        ]


@pytest.fixture(autouse=True)
def on_mains(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    def battery(on: bool) -> None:
        monkeypatch.setattr(budget, "on_battery", lambda: on)

    battery(False)
    return battery


@pytest.mark.parametrize("percent", [10.0, 25.0, 80.0])
def test_each_minute_is_within_the_budget_and_a_tenth(tmp_path: Path, percent: float) -> None:
    eater = Eater("eater")
    bench = Bench(tmp_path, eater, cpu_percent=percent)
    for _ in range(5):
        before = eater.cpu_s
        bench.live(60.0)
        spent = eater.cpu_s - before
        assert 0.9 * percent <= spent / 60 * 100 <= 1.1 * percent


def test_who_stays_below_is_never_held(tmp_path: Path) -> None:
    eater = Eater("eater", wants=0.2)
    bench = Bench(tmp_path, eater, cpu_percent=25.0)
    for _ in range(200):
        bench.live(1.0)
        assert not eater.held
    assert bench.told() == []


def test_it_goes_down_the_ladder_and_up_again(tmp_path: Path) -> None:
    eater = Eater("eater")
    bench = Bench(tmp_path, eater, cpu_percent=25.0)
    bench.live(70.0)
    assert bench.told() == [("degraded", "eater", level) for level in (1, 2, 3)]
    assert levels.read(tmp_path, "eater") == 3
    eater.wants = 0.01
    bench.live(2000.0, step_s=0.5)
    assert bench.told()[3:] == [("restored", "eater", level) for level in (2, 1, 0)]
    assert levels.read(tmp_path, "eater") == 0


def test_memory_above_the_budget_ends_it(tmp_path: Path) -> None:
    eater, other = Eater("eater", wants=0.0), Eater("other", wants=0.0)
    bench = Bench(tmp_path, eater, other, memory_bytes_by_collector={"eater": 100 * MIB})
    bench.live(3.0)
    assert (eater.killed, eater.limit, other.limit) == ("", 100 * MIB, 1024 * MIB)
    eater.rss = 101 * MIB
    bench.live(3.0)
    assert str(100 * MIB) in eater.killed
    assert not other.killed


def test_the_greediest_makes_room_for_the_device(tmp_path: Path) -> None:
    greedy, modest = Eater("greedy", wants=0.5), Eater("modest", wants=0.1)
    bench = Bench(tmp_path, greedy, modest, device_cpu_percent=30.0)
    bench.live(25.0)
    assert {name for _, name, _ in bench.told()} == {"greedy"}


def test_on_battery_a_step_is_kept_to(tmp_path: Path, on_mains: Callable[[bool], None]) -> None:
    bench = Bench(tmp_path, Eater("eater", wants=0.0), battery_level=2)
    bench.live(5.0)
    on_mains(True)
    bench.live(60.0)
    assert bench.told() == [("degraded", "eater", 2)]
    on_mains(False)
    bench.live(60.0)
    assert bench.told()[1:] == [("restored", "eater", 0)]


def test_a_filling_spool_takes_steps_if_it_is_told_to(tmp_path: Path) -> None:
    spool = {"max_bytes": 100 * MIB, "on_full": "degrade"}
    bench = Bench(tmp_path, Eater("eater", wants=0.0), spool=spool)
    for waiting in (40, 60, 80, 95, 10):
        bench.budgets.fill(waiting * MIB, None)
        bench.live(2.0)
    steps = [("degraded", 1), ("degraded", 2), ("degraded", 3), ("restored", 0)]
    assert [(kind, level) for kind, _, level in bench.told()] == steps
    other = Bench(tmp_path / "other", Eater("eater", wants=0.0), spool={"max_bytes": 100 * MIB})
    other.budgets.fill(99 * MIB, None)
    other.live(2.0)
    assert other.told() == []


def test_the_forecast_says_when_it_is_full(tmp_path: Path) -> None:
    bench = Bench(tmp_path, spool={"max_bytes": 1000 * MIB, "min_free_bytes": 100 * MIB})
    for minute in range(31):
        bench.budgets.fill(minute * 10 * MIB, (1000 - minute * 5) * MIB)
        bench.clock.s += 60
    told = bench.budgets.told()
    spool, disk = cast("dict[str, Any]", told["spool"]), cast("dict[str, Any]", told["disk"])
    assert spool["left_s"] == pytest.approx(70 * 60)
    assert disk["left_s"] == pytest.approx(150 * 60)


def test_status_tells_use_against_budget(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Eater("eater"), cpu_percent=50.0, upload_bytes_per_day=100 * MIB)
    uploaded.write(tmp_path, uploaded.add({}, 100 * MIB, bench.clock.wall_us()))
    bench.live(2.0)
    child = {"cpu_percent": 12.3, "rss_bytes": 50 * MIB}
    told = list(budget_lines({"budget": bench.budgets.told(), "children": {"eater": child}}))
    assert told == [
        "Uses      eater 12 of 50 % CPU, 50.0 MiB of 1.0 GiB",
        "Uploaded  100 MiB of 100 MiB this day, used up",
    ]
    bench.clock.s += 86_400
    assert cast("Any", bench.budgets.told())["uploaded"]["day"]["bytes"] == 0


def test_what_an_earlier_supervisor_left_does_not_count(tmp_path: Path) -> None:
    levels.write(tmp_path, {"eater": 3})
    Bench(tmp_path, Eater("eater", wants=0.0)).live(2.0)
    assert levels.read(tmp_path, "eater") == 0
