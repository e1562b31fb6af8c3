"""Every collector that comes with the house keeps the contract of collectors."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from collectors.activitywatch import ActivityWatchCollector
from collectors.screen import ScreenCollector
from collectors.script import ScriptCollector
from lifelog_lake.collect.contract import CollectorContract
from tests.fixtures.aw import WINDOW, AwServer, event, start_aw
from tests.fixtures.xvfb import Display, start_xvfb


@pytest.fixture(scope="module")
def display() -> Iterator[Display]:
    display = start_xvfb("640x480")
    yield display
    display.stop()


class TestScreen(CollectorContract):
    collector = ScreenCollector
    settings = {"every_s": 0.5}  # noqa: RUF012 - replaced, never changed
    colors = itertools.cycle(["red", "blue"])

    @pytest.fixture(autouse=True)
    def source(self, display: Display, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("WAYLAND_DISPLAY", "XDG_SESSION_TYPE", "XAUTHORITY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("DISPLAY", display.name)
        self.display = display

    def give(self) -> None:
        self.display.color(next(self.colors))

    def take_away(self) -> None:
        os.environ["DISPLAY"] = ":0.no-such-display"

    def bring_back(self) -> None:
        os.environ["DISPLAY"] = self.display.name


class TestScript(CollectorContract):
    """A command that prints a history, whose rows have names."""

    collector = ScriptCollector
    gone = "error"
    content = ("title ",)

    @pytest.fixture(autouse=True)
    def source(self, tmp_path: Path) -> None:
        self.lines = tmp_path / "lines"
        self.away = tmp_path / "away"
        self.numbers = itertools.count()
        self.give()
        code = f"print(open({str(self.lines)!r}).read(), end='')"
        command = {"run": [sys.executable, "-S", "-c", code], "stream": "window", "every_s": 1}
        self.settings = {"every_s": 0.5, "commands": {"history": command}}

    def give(self) -> None:
        number = next(self.numbers)
        with self.lines.open("a") as file:
            file.write(
                f'{{"id": "{number}", "at": "2026-01-02T03:{number:02}:00Z",'
                f' "app": "editor", "title": "title {number}"}}\n'
            )

    def take_away(self) -> None:
        self.lines.rename(self.away)

    def bring_back(self) -> None:
        self.away.rename(self.lines)


@pytest.fixture(scope="module")
def aw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwServer]:
    server = start_aw(tmp_path_factory.mktemp("aw"))
    yield server
    server.stop()


class TestActivityWatch(CollectorContract):
    """A real server, whose history grows."""

    collector = ActivityWatchCollector
    starts = itertools.count(1_767_323_045_678, 20_000)

    @pytest.fixture(autouse=True)
    def source(self, aw: AwServer) -> None:
        self.aw = aw
        self.settings = {"url": aw.url, "every_s": 0.5, "timeout_s": 5, "streams": ["window"]}
        if "history" not in aw.api("buckets/"):
            aw.bucket("history", WINDOW)
        self.give()
        self.give()  # the newest may still grow

    def give(self) -> None:
        number = next(self.starts)
        self.aw.insert("history", [event(number, 10, app="editor", title=f"title {number}")])

    def take_away(self) -> None:
        self.aw.kill()

    def bring_back(self) -> None:
        self.aw.start()
