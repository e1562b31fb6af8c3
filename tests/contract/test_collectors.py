"""Every collector that comes with the house keeps the contract of collectors."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from collectors.screen import ScreenCollector
from collectors.script import ScriptCollector
from lifelog_lake.collect.contract import CollectorContract
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
