"""What the screen collector says when there is no display that it could capture."""

from __future__ import annotations

import builtins
import sys
from typing import Any

import pytest

from collectors import macos
from collectors.screen import ScreenCollector, ScreenSettings, _no_display
from lifelog_lake.errors import MissingExtra, Unavailable
from tests.needs import require_linux


@pytest.fixture(autouse=True)
def no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "XDG_SESSION_TYPE"):
        monkeypatch.delenv(name, raising=False)


def test_no_display_names_the_remedy() -> None:
    require_linux("DISPLAY")
    with pytest.raises(Unavailable, match="DISPLAY isn't set") as raised:
        ScreenCollector(ScreenSettings(), context=None)  # type: ignore[arg-type]
    assert "[collectors.screen] enabled = false" in raised.value.hint


@pytest.mark.parametrize(
    ("name", "value"), [("WAYLAND_DISPLAY", "wayland-0"), ("XDG_SESSION_TYPE", "wayland")]
)
def test_wayland_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    require_linux("Wayland")
    monkeypatch.setenv(name, value)
    with pytest.raises(Unavailable, match=r"Wayland session.*isn't offered yet"):
        ScreenCollector(ScreenSettings(), context=None)  # type: ignore[arg-type]


def test_a_display_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    require_linux("DISPLAY")
    monkeypatch.setenv("DISPLAY", ":6789")
    with pytest.raises(Unavailable, match=r"The display :6789 can't be captured"):
        ScreenCollector(ScreenSettings(), context=None)  # type: ignore[arg-type]


def test_other_platforms_need_no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert _no_display() is None


class Graphics:
    """Stands for macOS's CoreGraphics; what it was asked."""

    def __init__(self, may: bool, grants: bool = False) -> None:
        self.asked: list[str] = []
        self.CGPreflightScreenCaptureAccess = lambda: self._say("preflight", may)
        self.CGRequestScreenCaptureAccess = lambda: self._say("request", grants)

    def _say(self, what: str, answer: bool) -> bool:
        self.asked.append(what)
        return answer


@pytest.mark.parametrize(
    ("may", "grants", "asked"),
    [
        (True, False, ["preflight"]),
        (False, True, ["preflight", "request"]),
        (False, False, ["preflight", "request"]),
    ],
)
def test_macos_is_asked_whether_the_screen_may_be_recorded(
    monkeypatch: pytest.MonkeyPatch, may: bool, grants: bool, asked: list[str]
) -> None:
    graphics = Graphics(may, grants)
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(macos.ctypes, "CDLL", {macos.CORE_GRAPHICS: graphics}.__getitem__)
    macos.may_record_screen.cache_clear()
    refused = _no_display()
    macos.may_record_screen.cache_clear()
    assert graphics.asked == asked
    if may or grants:
        assert refused is None
    else:
        assert "Screen Recording" in str(refused)
        assert sys.executable in str(refused)


def test_a_missing_extra_names_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_mss(name: str, *rest: Any, **more: Any) -> Any:
        if name == "mss":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without_mss)
    with pytest.raises(MissingExtra, match=r"lifelog-lake\[device\]"):
        ScreenCollector(ScreenSettings(), context=None)  # type: ignore[arg-type]
