"""The screen: every monitor, every two seconds, as WebP frames.

Which look becomes a row is told in :mod:`collectors.frames`, how it is encoded in
:mod:`collectors.images`. Monitors that come, go or change size are followed within ten seconds: the
connection to the display is made anew each eight (0.6 ms), as mss remembers the monitors of its
first look and sizes its buffer by them.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from collectors import macos
from lifelog_lake.clock import US_PER_S
from lifelog_lake.collect.protocol import CollectorSettings, Context
from lifelog_lake.errors import MissingExtra, Unavailable

if TYPE_CHECKING:  # imported when a collector is made: the supervisor only reads the settings
    import mss
    from mss.models import Monitor

    from collectors.frames import Frames, Place

REOPEN_S = 8.0
#: A display that is black for so long is told.
BLACK_US = 10 * US_PER_S
BLACK = "The display shows nothing but black: it is off, or this program may not capture it."
OFF = "or set [collectors.screen] enabled = false."


class ScreenSettings(CollectorSettings):
    """``[collectors.screen]``."""

    every_s: float = Field(2.0, ge=0.1, le=3600, description="Seconds between two looks.")
    encoding: Literal["auto", "lossy", "lossless"] = Field(
        "auto", description="auto = text without loss, pictures lossy."
    )
    quality: int = Field(75, ge=1, le=100, description="Of lossy frames.")
    small_change_px: int = Field(
        300, ge=1, description="A change of at least so many pixels is a new frame at once."
    )
    small_change_after_s: float = Field(
        30.0, ge=0, description="A smaller change (but no cursor) is one after so many seconds."
    )


class ScreenCollector:
    """Looks at all monitors. Made anew after a pause and after the display was away."""

    name: ClassVar[str] = "screen"
    streams: ClassVar[tuple[str, ...]] = ("screen",)
    Settings: ClassVar[type[CollectorSettings]] = ScreenSettings

    def __init__(self, settings: ScreenSettings, context: Context) -> None:
        """Raises :class:`Unavailable` if there is no display, :class:`MissingExtra` without
        the extra ``device``."""
        try:
            import mss

            from collectors import frames, images
        except ImportError as error:
            raise MissingExtra("The screen collector", "device") from error
        self._mss = mss
        self._modules = frames
        self._rules = frames.Rules(
            small_px=settings.small_change_px,
            small_after_us=int(settings.small_change_after_s * US_PER_S),
            gap_us=int(max(5 * settings.every_s, 15.0) * US_PER_S),
            encoding=images.Encoding(mode=settings.encoding, quality=settings.quality),
        )
        self._context = context
        self._display: mss.MSS | None = None
        self._monitors: dict[Place, tuple[int, int, int, int]] = {}
        self._frames: dict[Place, Frames] = {}
        self._open()

    def poll(self) -> None:
        """Look at every monitor once."""
        if self._context.clock.monotonic_s() - self._opened_s >= REOPEN_S:
            self._open()
        try:
            self._look()
        except self._mss.ScreenShotError:  # it changed its size just now, or is gone
            self._open()
            try:
                self._look()
            except self._mss.ScreenShotError as error:
                raise self._unavailable(error) from None
        self._context.observed("screen")
        black_us = min((frames.black_us for frames in self._frames.values()), default=0)
        self._context.remark(BLACK if black_us >= BLACK_US else "")

    def stop(self) -> None:
        """Write the slices that aren't complete and let the display go."""
        for frames in self._frames.values():
            frames.end()
        self._frames.clear()
        self._close()

    def _look(self) -> None:
        assert self._display is not None
        rules = self._rules.at_level(self._context.level)
        for place, box in self._monitors.items():
            at = self._context.clock.wall_us()
            with self._answering():
                shot = self._display.grab(box)
            self._frames[place].rules = rules
            self._frames[place].look(
                self._modules.Look(raw=shot.raw, width=shot.width, height=shot.height, at=at)
            )

    @contextlib.contextmanager
    def _answering(self) -> Iterator[None]:
        """mss 10 asserts that an X server answers; one that has just died doesn't."""
        try:
            yield
        except AssertionError:
            raise self._mss.ScreenShotError("The display's connection broke.") from None

    def _open(self) -> None:
        """Connect to the display and read its monitors; those that are gone end."""
        missing = _no_display()
        if missing is not None:
            raise missing
        try:
            with self._answering():
                display = self._mss.MSS()
            try:
                with self._answering():
                    monitors = display.monitors
            except self._mss.ScreenShotError:
                display.close()
                raise
        except (self._mss.ScreenShotError, OSError) as error:
            raise self._unavailable(error) from None
        self._close()  # only now: some X servers start anew when their last client leaves
        self._display = display
        if any(str(monitor.get("output", "")).startswith("XWAYLAND") for monitor in monitors):
            raise _wayland()
        self._opened_s = self._context.clock.monotonic_s()
        self._monitors = {}
        # The first is all of them together; alone it is a display that doesn't tell.
        for index, monitor in enumerate(monitors[1:] or monitors[:1], 1):
            place = self._place(index, monitor, monitors[0])
            if place is not None:
                box = (place.left, place.top, place.left + place.width, place.top + place.height)
                self._monitors[place] = box
        for place in [place for place in self._frames if place not in self._monitors]:
            self._frames.pop(place).end()
        for place in self._monitors:
            if place not in self._frames:
                self._frames[place] = self._modules.Frames(place, self._rules, self._context)
        self._context.looks_at(_monitors(self._monitors))

    def _place(self, index: int, monitor: Monitor, desktop: Monitor) -> Place | None:
        """The part of a monitor that lies in the desktop: what lies outside can't be grabbed."""
        left, top = max(monitor["left"], desktop["left"]), max(monitor["top"], desktop["top"])
        width = min(_right(monitor), _right(desktop)) - left
        height = min(_bottom(monitor), _bottom(desktop)) - top
        if width <= 0 or height <= 0:
            return None
        return self._modules.Place(monitor=index, left=left, top=top, width=width, height=height)

    def _close(self) -> None:
        display, self._display = self._display, None
        if display is not None:
            with contextlib.suppress(self._mss.ScreenShotError):  # its server is gone already
                display.close()

    @staticmethod
    def _unavailable(error: Exception) -> Unavailable:
        display = os.environ.get("DISPLAY")
        name = f"The display {display}" if display else "The display"
        return Unavailable(
            f"{name} can't be captured ({type(error).__name__}).",
            hint=f"Run inside the graphical session with its DISPLAY and XAUTHORITY, {OFF}",
        )


def _monitors(places: Iterable[Place]) -> str:
    """``2 monitors: 1920x1080+0+0, 1280x720+1920+0``."""
    each = [f"{place.width}x{place.height}+{place.left}+{place.top}" for place in places]
    return f"{len(each)} monitor{'' if len(each) == 1 else 's'}: {', '.join(each)}"


def _right(monitor: Monitor) -> int:
    return int(monitor["left"] + monitor["width"])


def _bottom(monitor: Monitor) -> int:
    return int(monitor["top"] + monitor["height"])


def _no_display() -> Unavailable | None:
    if sys.platform == "darwin" and not macos.may_record_screen():
        return Unavailable(
            f"macOS doesn't let {sys.executable} record the screen.",
            hint="Allow it in System Settings > Privacy & Security > Screen Recording, then start "
            f"lifelog again (the service: launchctl kickstart -k gui/$(id -u)/lifelog-lake), {OFF}",
        )
    if not sys.platform.startswith("linux") or os.environ.get("DISPLAY"):
        return None
    if os.environ.get("WAYLAND_DISPLAY") or os.environ.get("XDG_SESSION_TYPE") == "wayland":
        return _wayland()
    return Unavailable(
        "There is no display: DISPLAY isn't set.", hint=f"Run inside the graphical session, {OFF}"
    )


def _wayland() -> Unavailable:
    return Unavailable(
        "This is a Wayland session, whose screen X programs don't see; capture through grim or the "
        "desktop portal isn't offered yet.",
        hint=f"Log in to an X11 session, {OFF}",
    )
