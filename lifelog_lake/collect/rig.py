"""The loop of one collector on a home of its own, for :mod:`lifelog_lake.collect.contract`."""

from __future__ import annotations

import contextlib
import gc
import io
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import structlog

from lifelog_lake.beats import State
from lifelog_lake.clock import SystemClock
from lifelog_lake.collect.protocol import Collector, CollectorSettings, streams_of
from lifelog_lake.collect.runner import Runner
from lifelog_lake.events import Event
from lifelog_lake.home import Home, open_home
from lifelog_lake.logs import Lines, setup_logging
from lifelog_lake.spool import Record, Spool
from lifelog_lake.validate import JSON


@dataclass(frozen=True, slots=True)
class Append:
    """One append of the collector, with the cursor that came along."""

    events: tuple[Event, ...]
    cursor: JSON


class NotedSpool:
    """A real spool that notes what it takes. ``cut`` = the process has died: nothing comes in."""

    def __init__(self, home: Home) -> None:
        self.appends: list[Append] = []
        self.cut = False
        self._spool = Spool.of(home)

    def append(self, events: Sequence[Event], cursor: JSON = None) -> range:
        """As the spool's."""
        if self.cut:
            return range(0)
        seqs = self._spool.append(events, cursor)
        self.appends.append(Append(tuple(events), cursor))
        return seqs

    def cursor(self, stream: str) -> JSON:
        """As the spool's."""
        return self._spool.cursor(stream)

    def quarantine(self, stream: str, payload: bytes, reason: str) -> Path:
        """As the spool's."""
        return self._spool.quarantine(stream, payload, reason)

    def written_bytes(self) -> dict[str, int]:
        """As the spool's."""
        return self._spool.written_bytes()

    @property
    def events(self) -> list[Event]:
        """All events that were taken, in order."""
        return [event for one in self.appends for event in one.events]


class Rig:
    """The loop of one collector on a home of its own."""

    def __init__(
        self, cls: type[Collector], settings: CollectorSettings, path: Path, within_s: float
    ) -> None:
        self.home = open_home(
            path, flags={"spool": {"min_free_bytes": 0}, "log": {"level": "debug"}}
        )
        self.spool = NotedSpool(self.home)
        self.streams = streams_of(cls, settings)
        self._cls = cls
        self._settings = settings
        self._within_s = within_s
        self.start()

    def start(self) -> None:
        """A new life of its process, on the same home."""
        self.spool.cut = False
        self.runner = Runner(
            self._cls,
            self._settings,
            home=self.home.path,
            spool=self.spool,
            clock=SystemClock(),
            retry_s=0.0,
        )

    def make(self) -> Any:
        """A collector without the loop."""
        return self._cls(self._settings, self.runner)

    def until(self, look: Callable[[], Any], what: str) -> None:
        """Turn the loop until ``look()`` is true."""
        deadline_s = time.monotonic() + self._within_s
        while True:
            self.runner.turn()
            if look():
                return
            beat = self.runner.beat
            assert time.monotonic() < deadline_s, (
                f"not within {self._within_s:g} s: {what} (state {beat.state}: {beat.reason})"
            )
            time.sleep(min(0.05, self.runner.next_in_s()))

    def until_rows(self) -> None:
        """Until one more row is durable and the loop runs."""
        before = len(self.spool.appends)
        self.until(lambda: len(self.spool.appends) > before, "a row")

    def until_observed(self) -> None:
        """Until each stream was observed once more."""
        before = dict(self.runner.beat.observed)
        self.until(
            lambda: self.runner.beat.observed and self.runner.beat.observed != before,
            "context.observed(stream)",
        )

    def until_state(self, state: State) -> str:
        """Until the loop is in a state; its reason."""
        self.until(lambda: self.runner.beat.state == state, f"the state {state}")
        return self.runner.beat.reason

    def kill(self) -> None:
        """End as SIGKILL does: nothing of what ``stop`` would write comes into the spool."""
        self.spool.cut = True
        self.runner.stop()

    def records(self) -> list[tuple[str, Record]]:
        """Every record, read from the disk by a spool that knows nothing."""
        found = []
        spool = Spool.of(self.home)
        for stream in spool.streams():
            after = -1
            while (batch := spool.outlet(stream).read(after, 1000)) is not None:
                assert not batch.gaps, f"{stream} has gaps"
                found += [(stream, record) for record in batch.records]
                after = batch.last
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What this process holds. Threads and processes are told apart, so that one
    that ends of itself meanwhile doesn't hide one that was left behind."""

    threads: frozenset[threading.Thread]
    processes: frozenset[psutil.Process]
    files: int

    @classmethod
    def now(cls) -> Held:
        """What is held at this moment."""
        gc.collect()
        me = psutil.Process()
        files = getattr(me, "num_fds", None) or me.num_handles  # type: ignore[attr-defined,unused-ignore]
        return cls(
            threads=frozenset(threading.enumerate()),
            processes=frozenset(me.children(recursive=True)),
            files=files(),
        )

    def more_than(self, before: Held) -> list[str]:
        """What is held here and wasn't before, in words."""
        said = [str(one) for one in self.threads - before.threads]
        said += [str(one) for one in self.processes_since(before)]
        if self.files > before.files:
            said.append(f"{self.files - before.files} open files")
        return said

    def processes_since(self, before: Held) -> set[psutil.Process]:
        """Those that weren't there before, nor were begun by one that was (a shared browser)."""
        found = set()
        for process in self.processes - before.processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                if not before.processes.intersection(process.parents()):
                    found.add(process)
        return found


def until_let_go(before: Held, within_s: float = 10.0) -> None:
    """Wait until no more is held than before; AssertionError if it takes longer."""
    deadline_s = time.monotonic() + within_s
    while more := Held.now().more_than(before):
        assert time.monotonic() < deadline_s, f"still held after stop: {'; '.join(more)}"
        time.sleep(0.1)


@contextlib.contextmanager
def logging_of(home: Home, name: str, printed: io.StringIO) -> Iterator[None]:
    """Logs go where those of the collector's process go, and prints to ``printed``."""
    setup_logging(home, name)
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            yield
    finally:
        root = logging.getLogger()
        for handler in [one for one in root.handlers if isinstance(one.formatter, Lines)]:
            root.removeHandler(handler)
            handler.close()
        structlog.reset_defaults()
