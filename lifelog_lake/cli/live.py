"""The readable status while lifelog records: a table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import html
import os
import sys
import threading
import webbrowser
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, cast

import rich.live
import structlog
from rich.console import Group
from rich.text import Text

from lifelog_lake import __version__, fsio
from lifelog_lake.cli.board import (
    MICROPHONE,
    Board,
    Row,
    alike,
    bars_of,
    make_board,
    pause_line,
    table_of,
)
from lifelog_lake.cli.output import out
from lifelog_lake.clock import SystemClock
from lifelog_lake.collect import registry
from lifelog_lake.collect.protocol import streams_of
from lifelog_lake.config import CONFIG_NAME
from lifelog_lake.errors import LifelogError, Transient
from lifelog_lake.events import STREAMS
from lifelog_lake.home import Home
from lifelog_lake.spool import Spool, StreamStats

LOOK_EVERY_S = 0.3
OPENER = "open.html"
SHIPPER = "ship"


class Live:
    """Shows what the supervisor says. A context; ``update`` may be called from any thread.

    A display that fails (a closed terminal) never ends capture.
    """

    def __init__(
        self,
        home: Home,
        *,
        serve: bool,
        browser: bool,
        trouble: str = "",
        nothing: str = "",
    ) -> None:
        """``nothing`` says why nothing is recorded, if nothing is."""
        self._home = home
        self._nothing = nothing
        self._serve = serve
        self._browser = browser and _has_display()
        self._trouble = trouble
        self._clock = SystemClock()
        self._spool: Spool | None = None
        self._address = ""
        self._board: Board | None = None
        self._said: dict[str, str] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._dumb = False
        self._live: rich.live.Live | None = None

    def __enter__(self) -> Self:
        """Say where things are; begin to look for the server's address."""
        # Log lines on the console would tear a table that is drawn anew: then lines only.
        if out().is_terminal and self._home.settings.log.file != "":
            self._live = rich.live.Live(self._render(), console=out(), auto_refresh=False)
            self._live.start()
        else:
            for line in self._head():
                self._print(line)
        if self._serve:
            threading.Thread(target=self._await_address, name="address", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Take the display down and remove what opened the browser."""
        self._ended.set()
        (self._home.run / OPENER).unlink(missing_ok=True)
        with self._lock:
            if self._live is not None:
                self._guard(self._live.stop)

    def update(self, status: Mapping[str, object]) -> None:
        """Show a status; see :func:`lifelog_lake.collect.health.status_data`."""
        with self._lock:
            now_us = self._clock.wall_us()
            self._board = make_board(
                status,
                self._stats(),
                now_us=now_us,
                alive=True,
                pause=cast("Mapping[str, Any] | None", status.get("pause")),
            )
            if status.get("state") != "running":
                return
            if any(row.name == SHIPPER and row.state == "running" for row in self._board.rows):
                self._trouble = ""  # it has shipped: the lake is there again
            if self._live is not None:
                self._refresh()
            else:
                self._say_changes(self._board)

    def farewell(self) -> None:
        """After the end: what still waits, and how to go on."""
        waits = sum(row.waiting_rows or 0 for row in self._board.rows) if self._board else 0
        rows = "1 row waits" if waits == 1 else f"{waits} rows wait"
        self._print(
            f"Stopped. {rows} in the spool; `lifelog ship` brings them into the lake."
            if waits
            else "Stopped. All that was recorded is in the lake."
        )

    # --- the address --------------------------------------------------------------------------

    def _await_address(self) -> None:
        from lifelog_lake.server import launch

        while not self._ended.wait(LOOK_EVERY_S):
            try:
                address = launch.address(self._home.path)
            except Transient:
                continue
            except LifelogError as error:
                with self._lock:
                    self._address = f"- {error}"
                structlog.get_logger(__name__).error("no_address", error=error)
                return
            with self._lock:
                self._address = address
                if self._live is not None:
                    self._refresh()
                else:
                    self._print(f"Open      {address}")
            if self._browser:
                self._open_browser(address)
            return

    def _open_browser(self, address: str) -> None:
        """By way of a private file: arguments of programs can be read by everybody (``ps``)."""
        page = (
            '<!doctype html><meta charset="utf-8"><title>lifelog</title>'
            f'<meta http-equiv="refresh" content="0; url={html.escape(address)}">'
        )
        path = self._home.run / OPENER
        try:
            fsio.write_atomic(path, page.encode(), at="browser")
            webbrowser.open(path.as_uri())
        except (OSError, webbrowser.Error) as error:
            structlog.get_logger(__name__).warning("no_browser", error=error)

    # --- the words ----------------------------------------------------------------------------

    def _head(self) -> list[str]:
        lines = [f"lifelog {__version__} on {self._home.device}"]
        if self._serve and (self._address or out().is_terminal):
            lines.append(f"Open      {self._address or '(starting)'}")
        lines += [
            f"Records   {self._nothing or self._recorded()}",
            *([] if self._nothing else self._off()),
            f"Kept in   {self._home.lake_url}",
            f"Settings  {self._home.path / CONFIG_NAME}",
            *([] if self._nothing else ["Pause     lifelog pause 30m"]),
            "Stop      Ctrl-C",
        ]
        if self._trouble:
            lines.append(f"Trouble   {self._trouble}")
        return lines

    def _recorded(self) -> str:
        where = self._home.path / CONFIG_NAME
        parts = []
        for name, collector in registry.enabled(self._home.settings, where).items():
            settings = registry.settings_of(name, self._home.settings, where)
            labels = ", ".join(STREAMS[stream].label for stream in streams_of(collector, settings))
            parts.append(f"{labels} ({settings.pace})")
        return " · ".join(parts) or "nothing: every collector is disabled in the settings"

    def _off(self) -> list[str]:
        """A line for each source that isn't recorded, with what turns it on."""
        where = self._home.path / CONFIG_NAME
        lines = []
        for name in registry.names():
            settings = registry.settings_of(name, self._home.settings, where)
            if not settings.enabled:
                streams = streams_of(registry.load(name), settings)
                labels = ", ".join(STREAMS[stream].label for stream in streams) or name
                lines.append(f"Off       {labels}; on with [collectors.{name}] enabled = true")
        return lines

    def _render(self) -> Group:
        parts: list[Any] = [Text(line, overflow="fold") for line in self._head()]
        if self._board is not None:
            if self._board.pause is not None:
                parts.append(Text(pause_line(self._board.pause), style="yellow"))
            if self._board.microphone:
                parts.append(Text(MICROPHONE, style="bold red"))
            parts.append(table_of(self._board, self._clock.wall_us()))
            if (bars := bars_of(self._board)) is not None:
                parts.append(bars)
            parts += [Text(f"Note      {line}", style="yellow") for line in self._board.remarks]
            parts += [Text(f"Trouble   {line}", style="red") for line in self._board.findings]
        return Group(*parts)

    def _say_changes(self, board: Board) -> None:
        """Without a terminal: a line whenever a state changes, none otherwise."""
        now = {
            row.name: _words(label, row) for label, _, row in alike(board.rows) if row.state != "-"
        }
        now["pause"] = pause_line(board.pause) if board.pause is not None else ""
        if board.microphone:
            now["microphone"] = MICROPHONE
        elif "microphone" in self._said:
            now["microphone"] = "The microphone is off."
        now["remarks"] = " ".join(board.remarks)
        for history in board.histories:  # a line each tenth
            now[history.label] = f"{history.label}: {int(history.share * 10) * 10} %"
        for label in ("History", "Upload"):
            if label in self._said and label not in now:
                now[label] = f"{label}: all of it"
        for name, words in now.items():
            if words and self._said.get(name) != words:
                self._print(words)
            elif name == "pause" and not words and self._said.get(name):
                self._print("Recording goes on.")
        self._said = now

    # --- parts --------------------------------------------------------------------------------

    def _stats(self) -> dict[str, StreamStats]:
        try:
            self._spool = self._spool or Spool.of(self._home, self._clock)
            return self._spool.stats(within_s=LOOK_EVERY_S)
        except (OSError, LifelogError) as error:  # the supervisor says it too, in its pulse
            structlog.get_logger(__name__).warning("spool_not_read", error=error)
            return {}

    def _refresh(self) -> None:
        live = self._live
        if live is not None:
            self._guard(lambda: live.update(self._render(), refresh=True))

    def _print(self, line: str) -> None:
        def write() -> None:
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()

        self._guard(write)

    def _guard(self, action: Any) -> None:
        """Do it unless the terminal is gone; capture must not end with it."""
        if self._dumb:
            return
        try:
            action()
        except (OSError, ValueError) as error:
            self._dumb = True
            structlog.get_logger(__name__).warning("display_lost", error=error)


def _words(label: str, row: Row) -> str:
    return f"{label}: {row.state}" + (f" - {row.problem}" if row.problem else "")


def _has_display() -> bool:
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
