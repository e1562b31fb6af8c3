"""The contract's tests see what they are for: each broken collector fails the one it breaks."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, Field

from lifelog_lake.collect import contract
from lifelog_lake.collect.contract import CollectorContract
from lifelog_lake.collect.protocol import CollectorSettings, Context
from lifelog_lake.collect.rig import Held, until_let_go
from lifelog_lake.errors import Unavailable
from lifelog_lake.events import new_event, pulled_id

SOURCE: list[str] = []
HELD: list[Any] = []
AWAY = threading.Event()
AT = 1_767_323_045_000_000


class GoodSettings(CollectorSettings):
    every_s: float = Field(0.2, gt=0, description="Seconds between two looks.")


class Good:
    """Pulls the lines of a source, with a cursor."""

    name: ClassVar[str] = "good"
    streams: ClassVar[tuple[str, ...]] = ("window",)
    Settings: ClassVar[type[BaseModel]] = GoodSettings

    def __init__(self, settings: GoodSettings, context: Context) -> None:
        assert settings.enabled
        self.context = context
        self.check()
        cursor = context.cursor("window")
        self.next = cursor if isinstance(cursor, int) else 0

    def check(self) -> None:
        if AWAY.is_set():
            raise Unavailable("The source is away.", hint="Bring it.")

    def event(self, number: int) -> Any:
        return new_event(
            "window", at=AT + number, id=pulled_id("good", str(number)),
            data={"title": SOURCE[number]},
        )  # fmt: skip

    def poll(self) -> None:
        self.check()
        events = [self.event(number) for number in range(self.next, len(SOURCE))]
        if events:
            self.next = len(SOURCE)
            self.context.append(events, cursor=self.next)
        self.context.observed("window")

    def stop(self) -> None:
        pass


def case(cls: type) -> CollectorContract:
    """The contract of one of these collectors, with its source empty and there."""
    SOURCE.clear()
    AWAY.clear()

    class Case(CollectorContract):
        collector = cls
        within_s = 2.0 if cls in {Silent, OtherIds} else 60.0  # these wait in vain

        def give(self) -> None:
            SOURCE.append(f"a title nobody should read {len(SOURCE)}")

        def take_away(self) -> None:
            AWAY.set()

        def bring_back(self) -> None:
            AWAY.clear()

    return Case()


def parts_of(one: CollectorContract) -> dict[str, Callable[..., None]]:
    return {name: getattr(one, name) for name in dir(one) if name.startswith("test_")}


#: This file is no installed distribution.
ELSEWHERE = {"test_its_entry_point_gives_it", "test_importing_it_is_cheap"}


@pytest.mark.parametrize("name", sorted(set(parts_of(CollectorContract())) - ELSEWHERE))
def test_a_good_one_passes(name: str, tmp_path: Path) -> None:
    test = parts_of(case(Good))[name]
    test(tmp_path) if "tmp_path" in test.__code__.co_varnames else test()


class Loose(BaseModel):
    enabled: bool = True


class Undescribed(CollectorSettings):
    deep: int = 3


class ForeignStream(Good):
    def poll(self) -> None:
        super().poll()
        if SOURCE:
            self.context.append([new_event("sensor", at=AT, data={"value": 1.0})])


class Repaired(Good):
    def event(self, number: int) -> Any:
        return new_event("window", at=AT + number, data={"title": "a\0b"})


class Silent(Good):
    def poll(self) -> None:
        self.check()


class Slow(Good):
    def poll(self) -> None:
        time.sleep(0.3)
        super().poll()


class Forgetful(Good):
    """Reads all of it again in each life, in spite of its cursor."""

    def __init__(self, settings: GoodSettings, context: Context) -> None:
        super().__init__(settings, context)
        self.next = 0


class LateCursor(Good):
    """Rows first, the cursor later: a kill between doubles them."""

    def poll(self) -> None:
        self.check()
        for number in range(self.next, len(SOURCE)):
            self.context.append([self.event(number)])
        if self.next < len(SOURCE):
            self.next = len(SOURCE)
            self.context.append([new_event("window", at=AT, data={})], cursor=self.next)
        self.context.observed("window")


class OtherIds(Good):
    """An id with something of this life in it."""

    def event(self, number: int) -> Any:
        return new_event(
            "window", at=AT + number, id=pulled_id("good", str(id(self)), str(time.monotonic_ns())),
            data={"title": SOURCE[number]},
        )  # fmt: skip


class Breaks(Good):
    def check(self) -> None:
        if AWAY.is_set():
            raise OSError("no such thing")


class NoRemedy(Good):
    def check(self) -> None:
        if AWAY.is_set():
            raise Unavailable("The source is away.")


class Thread(Good):
    def __init__(self, settings: GoodSettings, context: Context) -> None:
        super().__init__(settings, context)
        done = threading.Event()
        HELD.append(done)
        threading.Thread(target=done.wait, daemon=True).start()


class File(Good):
    def __init__(self, settings: GoodSettings, context: Context) -> None:
        super().__init__(settings, context)
        HELD.append(Path(os.devnull).open("rb"))  # noqa: SIM115


class Process(Good):
    def __init__(self, settings: GoodSettings, context: Context) -> None:
        super().__init__(settings, context)
        HELD.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]))


class OnceStopped(Good):
    gone = False

    def stop(self) -> None:
        assert not self.gone, "stopped already"
        self.gone = True


class Talks(Good):
    def poll(self) -> None:
        super().poll()
        print(SOURCE)


@pytest.fixture(autouse=True)
def tidy(monkeypatch: pytest.MonkeyPatch) -> Any:
    let_go = contract.until_let_go
    monkeypatch.setattr(contract, "until_let_go", lambda before: let_go(before, 1.0))
    yield
    for one in HELD:
        if isinstance(one, threading.Event):
            one.set()
        elif isinstance(one, subprocess.Popen):
            one.kill()
            one.wait()
        else:
            one.close()
    HELD.clear()


BROKEN: list[tuple[str, type, type[Exception], str]] = [
    ("its_events_are_valid_and_durable", ForeignStream, AssertionError, "a row of sensor"),
    ("its_events_are_valid_and_durable", Repaired, AssertionError, "was repaired"),
    ("its_events_are_valid_and_durable", Silent, AssertionError, "a row"),
    ("a_look_fits_into_its_interval", Silent, AssertionError, "observed"),
    ("a_look_fits_into_its_interval", Slow, AssertionError, "at best"),
    ("nothing_is_doubled_by_a_restart", Forgetful, AssertionError, "in spite of a cursor"),
    ("nothing_is_doubled_by_a_restart", LateCursor, AssertionError, "without the cursor"),
    ("a_source_read_again_gives_the_same_ids", OtherIds, AssertionError, "the same ids"),
    ("a_source_that_goes_is_told_and_found_again", Breaks, OSError, "no such thing"),
    ("a_source_that_goes_is_told_and_found_again", NoRemedy, AssertionError, "no remedy"),
    ("it_starts_without_its_source", Breaks, OSError, "no such thing"),
    ("stop_lets_everything_go", Thread, AssertionError, "still held"),
    ("stop_lets_everything_go", File, AssertionError, "still held"),
    ("stop_lets_everything_go", Process, AssertionError, "still held"),
    ("a_pause_lets_go_and_it_goes_on", Thread, AssertionError, "still held"),
    ("it_can_be_stopped_twice", OnceStopped, AssertionError, "stopped already"),
    ("its_logs_hold_nothing_captured", Talks, AssertionError, "is in the logs"),
]


@pytest.mark.parametrize(
    ("name", "broken", "kind", "why"), BROKEN, ids=[f"{b.__name__}-{n}" for n, b, _, _ in BROKEN]
)
def test_a_broken_one_is_seen(
    name: str, broken: type, kind: type[Exception], why: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=why):
        parts_of(case(broken))[f"test_{name}"](tmp_path)


def test_one_thread_that_ends_hides_none_that_is_left() -> None:
    ending, left = threading.Event(), threading.Event()
    HELD.extend([ending, left])
    threading.Thread(target=ending.wait, daemon=True).start()
    before = Held.now()
    ending.set()
    threading.Thread(target=left.wait, daemon=True).start()
    with pytest.raises(AssertionError, match="still held"):
        until_let_go(before, 1.0)


def test_what_another_program_begins_is_not_the_collectors() -> None:
    """A browser that tests share begins processes when it likes."""
    code = (
        "import subprocess, sys; input();"
        "child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE);"
        "print(child.pid, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as shared:
        assert shared.stdin
        assert shared.stdout
        before = Held.now()
        shared.stdin.write(b"\n")
        shared.stdin.flush()
        grandchild = int(shared.stdout.readline())
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as mine:
            now = Held.now()
            assert grandchild in {process.pid for process in now.processes}
            assert {process.pid for process in now.processes_since(before)} == {mine.pid}
            mine.communicate()
        shared.communicate()


def test_what_it_is_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in (("name", "Two Words"), ("streams", ()), ("streams", ("pulse",))):
        with monkeypatch.context() as patch:
            patch.setattr(Good, key, value)
            with pytest.raises(AssertionError):
                case(Good).test_it_says_what_it_is()
    for model, why in ((Loose, "subclass"), (Undescribed, "no description")):
        with monkeypatch.context() as patch:
            patch.setattr(Good, "Settings", model)
            with pytest.raises(AssertionError, match=why):
                case(Good).test_its_settings_are_strict_and_described()
    with pytest.raises(AssertionError, match="no entry point 'good'"):
        case(Good).test_its_entry_point_gives_it()


def test_a_heavy_import_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "heavy_one.py").write_text("import numpy\n\nclass Heavy:\n    name = 'heavy'\n")
    monkeypatch.syspath_prepend(tmp_path)
    import heavy_one  # type: ignore[import-not-found]

    with pytest.raises(AssertionError, match=r"import in __init__.*numpy"):
        case(heavy_one.Heavy).test_importing_it_is_cheap()
