"""One command of the script collector: when it runs, what it prints, how it ends.

A thread reads its output into a short queue; everything else happens in :meth:`Job.look`, which
never waits. Output is taken as it comes and held in bounded memory: while rows can't be taken, the
queue and then the pipe fill up and the command waits. A time-out counts looked-at time only, so
that neither that nor a sleeping machine ends a command.
"""

from __future__ import annotations

import hashlib
import os
import queue
import shutil
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import orjson
from pydantic import Field, field_validator

from collectors.lines import event_of
from lifelog_lake.collect import tether
from lifelog_lake.collect.protocol import Context
from lifelog_lake.errors import InvalidEvent
from lifelog_lake.events import STREAMS, Event, is_pulled
from lifelog_lake.section import Section
from lifelog_lake.validate import MAX_ROW_BYTES

CHUNK_BYTES = 64 * 1024
#: Waiting in memory for a command, and the most that one look takes.
CHUNKS = 16
READ_WAIT_MS = 250
#: Of a line that is too long so much is kept.
KEPT_BYTES = 4096
#: So many bad lines in a row: what it prints are no rows, and it is ended.
MOST_BAD = 20
MOST_REMEMBERED = 50_000
BATCH_ROWS = 500
#: Streams with rules of their own, which a line can't keep.
OWN = frozenset({"alert", "attachment"})


def of_json(value: object) -> object:
    """A list or table as JSON, as the environment gives it; anything else as it is."""
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise ValueError(f"it isn't JSON: {error}") from None
    return value


class Command(Section):
    """``[collectors.script.commands.NAME]``."""

    run: tuple[str, ...] = Field(
        min_length=1, description="Program and arguments; no shell is between."
    )
    stream: str = Field(description="The stream that its rows go to.")
    every_s: float = Field(
        60.0, ge=1, le=7 * 86_400, description="Seconds from one start to the next."
    )
    timeout_s: float = Field(
        30.0, gt=0, le=86_400, description="It is ended after so many seconds."
    )
    keep_running: bool = Field(
        False, description="It stays and prints rows as they come; timeout_s doesn't count then."
    )
    files: bool = Field(False, description="Whether its lines may attach a file by its path.")

    @field_validator("run", mode="before")
    @classmethod
    def _as_list(cls, value: object) -> object:
        value = of_json(value)
        if isinstance(value, str):
            raise ValueError('write a list, ["PROGRAM", "ARGUMENT"]; for a shell ["sh", "-c", "…"]')
        return value

    @field_validator("run")
    @classmethod
    def _can_be_run(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any("\0" in word for word in value):
            raise ValueError("a word of it has a NUL")
        try:
            program = Path(value[0]).expanduser()
        except RuntimeError as error:  # ~somebody who isn't there
            raise ValueError(str(error).rstrip(".")) from None
        if not value[0] or not (program.is_absolute() or len(program.parts) == 1):
            raise ValueError("its first word must be a program's name, or its whole path")
        return (str(program), *value[1:])

    @field_validator("stream")
    @classmethod
    def _takes_rows(cls, value: str) -> str:
        free = [name for name, one in STREAMS.items() if not one.first and not one.derived]
        free = [name for name in free if name not in OWN]
        if value not in free:
            raise ValueError(f"it must be one of {', '.join(free)}")
        return value


class Run:
    """One run: its process and what it has printed. Made in the collector's thread."""

    def __init__(self, argv: tuple[str, ...]) -> None:
        self.code: int | None = None
        self.used_s = 0.0
        self._rest = b""
        self._skips = False
        self._chunks: queue.Queue[bytes] = queue.Queue(CHUNKS)
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", tether.__file__, *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=Path.home(),
            start_new_session=True,
        )
        threading.Thread(
            target=_read, args=(self._process, self._chunks), name="command", daemon=True
        ).start()

    def lines(self, wait_s: float = 0.0) -> Iterator[tuple[bytes, bool]]:
        """Lines that have come, each with whether it is whole; ``code`` is set after the last."""
        for _ in range(CHUNKS):
            try:
                chunk = self._chunks.get(block=wait_s > 0, timeout=wait_s or None)
            except queue.Empty:
                return
            if not chunk:
                self.end()
                self.code = self._process.wait()
                if self._rest.strip() and not self._skips:
                    yield self._rest, True
                return
            yield from self._cut(chunk)

    def end(self) -> None:
        """Ask the tether to end it with all that it started."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _cut(self, chunk: bytes) -> Iterator[tuple[bytes, bool]]:
        *ended, self._rest = (self._rest + chunk).split(b"\n")
        for line in ended:
            if self._skips:  # the end of a line that was told already
                self._skips = False
            elif line.strip():
                yield line, True
        if len(self._rest) > MAX_ROW_BYTES:
            if not self._skips:
                yield self._rest[:KEPT_BYTES], False
            self._rest, self._skips = b"", True


def _read(process: subprocess.Popen[bytes], chunks: queue.Queue[bytes]) -> None:
    """The reader's thread; an empty chunk is the end."""
    assert process.stdout is not None
    left = CHUNKS  # once the tether has gone: more than a pipe holds, but a daemon's flood ends
    with process.stdout as pipe:
        while left and _readable(process, pipe):
            if not (chunk := os.read(pipe.fileno(), CHUNK_BYTES)):
                break
            chunks.put(chunk)
            left -= process.poll() is not None
    chunks.put(b"")


def _readable(process: subprocess.Popen[bytes], pipe: IO[bytes]) -> bool:
    """Wait for output; False if the tether has gone and there is none: a program that left its
    group (a daemon) may hold the pipe for ever."""
    if sys.platform == "win32":
        return True
    import select

    ready = select.poll()
    ready.register(pipe.fileno(), select.POLLIN)
    while not ready.poll(READ_WAIT_MS):
        if process.poll() is not None:
            return bool(ready.poll(0))
    return True


class Job:
    """A command over all its runs. ``problem`` says what is wrong with it, "" = nothing."""

    def __init__(self, name: str, command: Command, context: Context) -> None:
        self.command = command
        self.problem = ""
        self._name = name
        self._context = context
        self._run: Run | None = None
        self._next_s = float("-inf")
        self._why = ""
        self._bad = 0
        self._bad_in_a_row = 0
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._program()

    def look(self, now_s: float, passed_s: float) -> bool:
        """Start it if it is time, take what it has printed; whether it was seen to work."""
        if self._run is None:
            if now_s < self._next_s:
                return False
            self._start(now_s)
        run = self._run
        if run is None:
            return False
        self._take(run)
        if run.code is not None:
            return self._over(run.code, now_s)
        run.used_s += passed_s
        if self.command.keep_running:
            if run.used_s >= self.command.every_s and not self._bad:
                self.problem = ""
            return not self.problem
        if run.used_s > self.command.timeout_s:
            self._give_up(run, f"took longer than {self.command.timeout_s:g} s and was ended")
        return False

    def end(self) -> None:
        """Ask a run to end; :meth:`finish` takes what it still printed."""
        if self._run is not None:
            self._run.end()

    def finish(self, within_s: float) -> None:
        """Wait for the end of a run. What takes longer is ended by its tether."""
        until_s = self._context.clock.monotonic_s() + within_s
        run, self._run = self._run, None
        while run is not None and run.code is None:
            left_s = until_s - self._context.clock.monotonic_s()
            if left_s <= 0:
                return
            self._take(run, left_s)

    def _start(self, now_s: float) -> None:
        self._next_s = now_s + self.command.every_s
        self._why, self._bad, self._bad_in_a_row = "", 0, 0
        program = self._program()
        if program is None:
            return
        try:
            self._run = Run((program, *self.command.run[1:]))
        except OSError as error:
            self._say(f"can't be started: {error.strerror}", "Free what it lacks.")

    def _program(self) -> str | None:
        first = self.command.run[0]
        program = shutil.which(first)
        if program is None and Path(first).is_absolute() and Path(first).is_file():
            self._say("can't be run: its file isn't executable", "chmod +x it, or name its program")
        elif program is None:
            self._say("isn't there", "Install its program, or mend its path")
        return program

    def _take(self, run: Run, wait_s: float = 0.0) -> None:
        """Rows of what has been printed, in batches; those that bring a file alone."""
        batch: list[Event] = []
        for line, whole in run.lines(wait_s):
            if self._bad_in_a_row >= MOST_BAD:  # it is being ended
                continue
            event = self._event(line, whole=whole)
            if self._bad_in_a_row >= MOST_BAD:
                self._give_up(run, "prints no JSON lines and was ended")
            if event is None:
                continue
            if len(batch) >= BATCH_ROWS or event.source is not None:
                self._append(batch)
            batch.append(event)
            if event.source is not None:
                self._append(batch)
        self._append(batch)

    def _append(self, batch: list[Event]) -> None:
        if batch:
            self._context.append(batch)
            batch.clear()

    def _event(self, line: bytes, *, whole: bool) -> Event | None:
        """The row of a line; None if it came before, or is none and went into quarantine."""
        command = self.command
        try:
            if not whole:
                raise InvalidEvent(f"The line is longer than {MAX_ROW_BYTES} bytes.")
            event = event_of(
                line,
                command=self._name,
                stream=command.stream,
                now_us=self._context.clock.wall_us(),
                files=command.files,
            )
        except InvalidEvent as error:
            self._bad += 1
            self._bad_in_a_row += 1
            if self._is_new(hashlib.sha256(line).hexdigest()):
                self._context.refuse(command.stream, line, error)
            self._say_bad()
            return None
        self._bad_in_a_row = 0
        if command.keep_running:
            self._bad, self.problem = 0, ""
        return event if not is_pulled(event.id) or self._is_new(event.id) else None

    def _is_new(self, name: str) -> bool:
        """Whether it hasn't come in this life; what came in another one is seen by the shipper."""
        new = name not in self._seen
        self._seen[name] = None
        self._seen.move_to_end(name)
        if len(self._seen) > MOST_REMEMBERED:
            self._seen.popitem(last=False)
        return new

    def _give_up(self, run: Run, why: str) -> None:
        self._why = why
        self._say(why, "Run it by hand to see why")
        run.end()

    def _over(self, code: int, now_s: float) -> bool:
        self._run = None
        self._next_s = max(self._next_s, now_s)
        if self._why:
            return False
        if code or self.command.keep_running:
            if self.command.keep_running:
                self._next_s = now_s + self.command.every_s
            self._say(f"ended with exit code {code}", "Run it by hand to see why")
            return False
        if self._bad:
            self._say_bad()
            return False
        self.problem = ""
        return True

    def _say_bad(self) -> None:
        self._say(
            f"printed {self._bad} lines that can't be rows (see the quarantine of the spool)",
            "Run it by hand to see them",
        )

    def _say(self, what: str, hint: str) -> None:
        where = f"[collectors.script.commands.{self._name}]"
        self.problem = f"The command '{self._name}' {what}. {hint.rstrip('.')}: {where} run."
