"""One child of the supervisor: its process, its beats, and when it may be started again."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil
import structlog

from lifelog_lake.beats import Beat, read_beat
from lifelog_lake.collect.family import Family
from lifelog_lake.spool import StreamStats

#: Set in each of our processes unless the person has set them: threads and arenas that none uses.
FRUGAL = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
#: A parent that takes no modules from its working directory (``-P``) has children that don't.
SAFE = {"PYTHONSAFEPATH": "1"} if sys.flags.safe_path else {}
MAX_ERROR_FILE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long to wait before a start: doubled each time, forgotten after a healthy while."""

    first_s: float = 1.0
    most_s: float = 300.0
    healthy_s: float = 60.0

    def delay_s(self, failures: int) -> float:
        """Before the start that follows ``failures`` ends in a row (1 is the first)."""
        return float(min(self.first_s * 2 ** min(failures - 1, 32), self.most_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """What to run.

    ``streams`` are those whose freshness is watched. ``beats`` says whether the program speaks
    :mod:`lifelog_lake.beats`; one that doesn't (Jupyter) is kept alive by its exit only, and its
    stdout goes where its stderr goes. ``stderr`` is a file to append to; None = this process's.
    ``after_s`` is how long after the supervisor it starts.
    """

    name: str
    argv: tuple[str, ...]
    streams: tuple[str, ...] = ()
    beats: bool = True
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    stderr: Path | None = None
    after_s: float = 0.0


def foreign(name: str, argv: tuple[str, ...], **rest: object) -> ChildSpec:
    """The spec of a program that isn't ours: on a leash, without beats."""
    leashed = (sys.executable, "-m", "lifelog_lake.collect.leash", *argv)
    return ChildSpec(name=name, argv=leashed, beats=False, **rest)  # type: ignore[arg-type]


#: What a reader thread tells the supervisor: a line of a child's life, or None at its end.
Message = tuple["Child", int, bytes | None]


class Child:
    """A program that is kept running. Only the supervisor's thread uses it; it never blocks."""

    def __init__(
        self, spec: ChildSpec, messages: queue.SimpleQueue[Message | None], backoff: Backoff
    ) -> None:
        self.spec = spec
        self.beat = Beat(state="starting")
        self.last_reason = ""
        self.killed_because = ""
        self.told: str | None = None
        self.looks_at = ""
        self.last_beat_us: int | None = None
        self.last_beat_s = 0.0
        self.started_s = 0.0
        self.next_start_s = float("-inf")
        self.restarts = 0
        self.observed: dict[str, int] = {}
        self.fresh_s: dict[str, float] = {}
        self.stale: set[str] = set()
        #: Starts again for want of events, by stream, since its last observation.
        self.tried: dict[str, int] = {}
        self.warned: set[str] = set()
        #: Newest rows of the streams before this supervisor; see :meth:`last_us`.
        self.rows_us: dict[str, int] = {}
        #: Processor seconds and bytes written by stream, over all its lives.
        self.cpu_s = 0.0
        self._cpu_before_s = 0.0
        self._written_before: dict[str, int] = {}
        self._messages = messages
        self._backoff = backoff
        self._process: subprocess.Popen[bytes] | None = None
        self._family: Family | None = None
        self._life_cpu_s = 0.0
        self._marks: dict[str, tuple[float, float]] = {}
        self._life = 0
        self._failures = 0
        self._errors_before = 0
        self._noise = 0
        self._asked_to_stop = False
        self._held = False
        self._log = structlog.get_logger().bind(child=spec.name)

    @property
    def running(self) -> bool:
        """Whether there is a process (that hasn't been reaped)."""
        return self._process is not None

    @property
    def pid(self) -> int | None:
        """Process id, None while it waits to be started."""
        return self._process.pid if self._process is not None else None

    @property
    def state(self) -> str:
        """That of the last beat; ``down`` while it waits for another start, and during the start
        after two that failed at once, ``stopped`` at last."""
        if self._process is None:
            if self._asked_to_stop:
                return "stopped"
            return "down" if self._life else "starting"
        if not self.spec.beats:
            return "running"
        return "down" if self.beat.state == "starting" and self._failures > 1 else self.beat.state

    @property
    def held(self) -> bool:
        """Whether it is stopped for a while, for what it used; it can't beat then."""
        return self._held

    @property
    def errors(self) -> int:
        """Errors over all its lives since the supervisor started."""
        return self._errors_before + self.beat.errors

    def start(self, now_s: float) -> None:
        """Start the process; OSError if there is no such program."""
        self._life += 1
        self.beat = Beat(state="starting")
        self.killed_because = ""
        self.started_s = self.last_beat_s = now_s
        self.reset_freshness(now_s)
        stderr = self._stderr()
        try:
            process = subprocess.Popen(
                self.spec.argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if self.spec.beats else stderr,
                stderr=stderr,
                cwd=self.spec.cwd,
                env={**(FRUGAL if self.spec.beats else {}), **SAFE, **os.environ, **self.spec.env},
                # A Ctrl-C in the terminal goes to the supervisor alone, which ends them in order.
                process_group=None if sys.platform == "win32" else 0,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        finally:
            if stderr is not None:
                stderr.close()
        self._process = process
        self._family, self._held = None, False
        if process.stdout is not None:
            threading.Thread(
                target=_read_lines,
                args=(self, self._life, process.stdout, self._messages),
                name=f"beats-{self.spec.name}",
                daemon=True,
            ).start()

    def take(self, life: int, line: bytes, now_s: float, now_us: int) -> Beat | None:
        """Take a line in; the beat before this one if it was a beat."""
        if life != self._life or self._process is None:
            return None
        beat = read_beat(line)
        if beat is None:
            self._noise += 1
            self._log.debug("not_a_beat", lines=self._noise)
            return None
        before, self.beat = self.beat, beat
        self.last_beat_s, self.last_beat_us = now_s, now_us
        if beat.reason:
            self.last_reason = beat.reason
        for stream, at in beat.observed.items():
            if self.observed.get(stream) != at:
                self.observed[stream] = at
                self.fresh_s[stream] = now_s
                self.tried.pop(stream, None)
        return before

    def last_us(self, stream: str) -> int | None:
        """When a stream was last observed, or had its newest row before we looked; wall clock."""
        return self.observed.get(stream) or self.rows_us.get(stream)

    def know_rows(self, stats: Mapping[str, StreamStats]) -> None:
        """Take the newest rows that wait for what was seen last, where nothing was seen yet."""
        for stream in self.spec.streams:
            newest_us = stats[stream].newest_at if stream in stats else None
            if newest_us is not None and self.last_us(stream) is None:
                self.rows_us[stream] = newest_us

    def clock_was_set(self, step_us: int, now_us: int) -> None:
        """Tell what was observed by the clock as it is now; a beat may have done so already.

        Else a pulse before the next beat would have it as old, or as new, as the step was long.
        """
        for stream, at in self.observed.items():
            by_old_clock = at + step_us <= now_us if step_us > 0 else at > now_us
            if by_old_clock:
                self.observed[stream] = at + step_us

    @property
    def written_bytes(self) -> dict[str, int]:
        """Bytes that went into the spool by stream, over all its lives."""
        now, before = self.beat.written, self._written_before
        return {name: now.get(name, 0) + before.get(name, 0) for name in {*now, *before}}

    def reset_freshness(self, now_s: float) -> None:
        """Begin to wait for observations anew (after a start, a pause, a sleep)."""
        self.fresh_s = dict.fromkeys(self.spec.streams, now_s)

    def ended(self) -> int | None:
        """The exit code if the process is gone (negative: the signal), else None."""
        return None if self._process is None else self._process.poll()

    def bury(self, now_s: float) -> None:
        """After :meth:`ended`: set when it may be started again."""
        process, self._process = self._process, None
        if process is None:
            return
        if self._family is not None:
            self._family.go_on()  # those that it started must hear that it is gone
            self._family = None
        if process.stdin is not None:
            process.stdin.close()
        healthy = now_s - self.started_s >= self._backoff.healthy_s
        self._failures = 1 if healthy else self._failures + 1
        self.next_start_s = now_s + self._backoff.delay_s(self._failures)
        self._errors_before += self.beat.errors + (0 if self._asked_to_stop else 1)
        self._written_before = self.written_bytes
        self._cpu_before_s = self.cpu_s
        self.beat = Beat(state="starting")

    def ask_to_stop(self) -> None:
        """SIGTERM, and the end of its stdin for where there are no signals."""
        self._asked_to_stop = True
        self._end_gently()

    def renew(self, why: str) -> None:
        """Have it end in order, so that it is started again; it can write what it holds."""
        self.killed_because = why
        self._end_gently()

    def _end_gently(self) -> None:
        if self._process is None:
            return
        self.hold(False)  # it must hear of it
        if self._process.stdin is not None:
            self._process.stdin.close()
        if sys.platform != "win32":
            self._process.terminate()

    def kill(self, why: str = "") -> None:
        """End it, and what it started in its process group, whatever it does."""
        if self._process is None:
            return
        self.killed_because = why
        self.hold(False)  # a program that it started ends with it only if it isn't stopped
        if sys.platform == "win32":
            self._process.kill()
        else:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                self._log.debug("gone_before_kill")

    def usage(self, mark: str, now_s: float) -> tuple[float, int] | None:
        """Per cent of one core since the last call with the same ``mark`` (0 at the first), and
        resident bytes, of its process and those that it started; None if there is no process."""
        found = self.look_at(now_s)
        if found is None:
            return None
        cpu_s, rss_bytes = found
        last_s, last_cpu_s = self._marks.get(mark, (now_s, cpu_s))
        self._marks[mark] = now_s, cpu_s
        elapsed_s = now_s - last_s
        return (100 * (cpu_s - last_cpu_s) / elapsed_s if elapsed_s > 0 else 0.0), rss_bytes

    def look_at(self, now_s: float) -> tuple[float, int] | None:
        """Processor seconds and resident bytes of this life; None if there is no process."""
        if self._process is None:
            return None
        try:
            if self._family is None:
                self._family = Family(self._process.pid)
                self._marks, self._life_cpu_s = {}, 0.0
            cpu_s, rss_bytes = self._family.measure(now_s)
        except psutil.Error:
            return None
        # One that left it takes its seconds along: it stays at what it was.
        self._life_cpu_s = max(self._life_cpu_s, cpu_s)
        self.cpu_s = self._cpu_before_s + self._life_cpu_s
        return self._life_cpu_s, rss_bytes

    def hold(self, held: bool) -> None:
        """Stop the process and those that it started for a while (True; again, for those that were
        found meanwhile), or let them go on."""
        if self._family is not None and (held or self._held):
            (self._family.hold if held else self._family.go_on)()
            self._held = held

    def limit_memory(self, most_bytes: int | None) -> None:
        """Have the system give it no more memory than that, where it can (Linux)."""
        if most_bytes is None or self._process is None or sys.platform != "linux":
            return
        try:
            psutil.Process(self._process.pid).rlimit(psutil.RLIMIT_DATA, (most_bytes, most_bytes))
        except (psutil.Error, OSError) as error:
            self._log.debug("memory_not_limited", reason=type(error).__name__)

    def _stderr(self) -> IO[bytes] | None:
        path = self.spec.stderr
        if path is None:
            return None
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > MAX_ERROR_FILE_BYTES:
            path.replace(path.with_suffix(path.suffix + ".1"))
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return os.fdopen(fd, "ab")


def _read_lines(
    child: Child, life: int, pipe: IO[bytes], messages: queue.SimpleQueue[Message | None]
) -> None:
    with pipe:
        for line in pipe:
            messages.put((child, life, line))
    messages.put((child, life, None))
