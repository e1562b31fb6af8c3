"""What the processes of one device say to their supervisor, and how they end with it.

A child writes one JSON object a line to the pipe that was its stdout: its state, its errors, and
when it last observed each of its streams. That is all; rows go through the spool. The line from
the supervisor back is the child's stdin: nothing is written to it, and its end means that the
supervisor is gone, however it went.

A beat is no data: one that can't be written now (the supervisor is stopped, its pipe full) is
left out and the next one says more. A line stays below 4096 bytes, so a pipe takes it whole.

:class:`Lifeline` is the child's end. It also sees to it that the child ends with its parent: the
end of stdin asks it to stop, and on POSIX a timer that only a working loop winds up again ends a
child that hangs, in foreign code too, and one that doesn't come to its end after it was asked.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from types import FrameType
from typing import Literal, TypeVar, get_args

import orjson

from lifelog_lake.clock import Clock, SystemClock
from lifelog_lake.validate import clean_text

State = Literal["starting", "running", "paused", "unavailable", "full", "error", "stopping"]
STATES: frozenset[str] = frozenset(get_args(State))
#: In these a collector keeps its source open, also when nothing comes of it (*stale* is the
#: supervisor's word): a microphone is live then.
HOLDING = frozenset({"running", "stale", "full", "error"})

#: A beat at least this often, whatever the child's work is.
BEAT_EVERY_S = 10.0
#: A child that was asked to stop is gone by then.
STOP_S = 3.0
#: A loop that hasn't come round for so long ends itself, if its supervisor didn't do it before.
HANG_S = 150.0

#: Work that may be slow for a good reason is beaten for so long; then it hangs.
SLOW_S = 900.0

MAX_TEXT = 400
#: Of a rule that left something out; there may be several in a beat.
MAX_RULE = 80
T = TypeVar("T")
#: A time that was left out: begin, end (µs since 1970 UTC), and by which rule.
Excluded = tuple[int, int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """One report of a child. Times in µs since 1970 UTC.

    ``observed`` says per stream when its source was last looked at with success, whether or not
    that gave a row. ``errors`` counts since the child started; ``reason`` says why the state is
    what it is and what to do, never captured content. ``every_s`` is how often it looks.
    ``looks_at`` is what its source is, such as its monitors; empty if it doesn't tell.
    ``share`` is how much of a source's history has been brought in, 0 to 1, None when there is none
    left; ``doing`` says in words where it is. ``unseen`` tells why a stream can't be observed.
    ``written`` counts the bytes that went into the spool since the child started, by stream.
    ``excluded`` are by stream the newest times that the person's rules left out: begin, end, why.
    """

    state: State
    errors: int = 0
    reason: str = ""
    every_s: float | None = None
    observed: Mapping[str, int] = field(default_factory=dict)
    share: float | None = None
    doing: str = ""
    unseen: Mapping[str, str] = field(default_factory=dict)
    written: Mapping[str, int] = field(default_factory=dict)
    looks_at: str = ""
    excluded: Mapping[str, Sequence[Excluded]] = field(default_factory=dict)

    def line(self) -> bytes:
        """The beat as the line that goes over the pipe."""
        return orjson.dumps(
            {
                "beat": 1,
                "state": self.state,
                "errors": self.errors,
                "reason": clean_text(self.reason[:MAX_TEXT])[0],
                "every_s": self.every_s,
                "observed": dict(self.observed),
                "share": self.share,
                "doing": clean_text(self.doing[:MAX_TEXT])[0],
                "looks_at": clean_text(self.looks_at[:MAX_TEXT])[0],
                "unseen": {
                    stream: clean_text(why[:MAX_TEXT])[0] for stream, why in self.unseen.items()
                },
                "written": dict(self.written),
                "excluded": {
                    stream: [
                        (first, last, clean_text(why[:MAX_RULE])[0]) for first, last, why in spans
                    ]
                    for stream, spans in self.excluded.items()
                },
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )


def read_beat(line: bytes) -> Beat | None:
    """The beat in a line, or None if the line is something else (a library that prints)."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(value, dict) or value.get("beat") != 1 or value.get("state") not in STATES:
        return None
    errors, observed, every_s = value.get("errors"), value.get("observed"), value.get("every_s")
    share, unseen, written = value.get("share"), value.get("unseen"), value.get("written")
    return Beat(
        state=value["state"],
        errors=errors if isinstance(errors, int) else 0,
        reason=str(value.get("reason") or ""),
        every_s=float(every_s) if isinstance(every_s, int | float) else None,
        observed=_numbers(observed),
        share=min(max(float(share), 0.0), 1.0) if isinstance(share, int | float) else None,
        doing=str(value.get("doing") or ""),
        looks_at=str(value.get("looks_at") or ""),
        unseen=(
            {str(stream): str(why) for stream, why in unseen.items()}
            if isinstance(unseen, dict)
            else {}
        ),
        written=_numbers(written),
        excluded=_excluded(value.get("excluded")),
    )


def _excluded(value: object) -> dict[str, tuple[Excluded, ...]]:
    items = value.items() if isinstance(value, dict) else ()
    return {
        str(stream): tuple((span[0], span[1], str(span[2])) for span in spans if _is_span(span))
        for stream, spans in items
        if isinstance(spans, list)
    }


def _is_span(value: object) -> bool:
    if not isinstance(value, list) or len(value) != 3:
        return False
    return all(isinstance(time, int) for time in value[:2])


def _numbers(value: object) -> dict[str, int]:
    items = value.items() if isinstance(value, dict) else ()
    return {str(stream): number for stream, number in items if isinstance(number, int)}


def while_beating(work: Callable[[], T], beat: Callable[[], None]) -> T:
    """Do what may take minutes, such as a put on a slow line, and beat each second meanwhile.

    The work is done in a thread of its own: beats and signals stay with the caller's.
    """
    done: Future[T] = Future()

    def do() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
            done.set_exception(error)

    threading.Thread(target=do, name="work", daemon=True).start()
    for _ in range(int(SLOW_S)):
        if wait([done], timeout=1.0).done:
            break
        beat()
    return done.result()


class Lifeline:
    """A child's end of the line: says beats, hears that it should stop, dies with its parent.

    Made once, in the main thread, before the child's work begins. Then the loop is
    ``while line.wait(seconds): work(); line.beat(...)``.
    """

    def __init__(
        self, *, clock: Clock | None = None, hang_s: float = HANG_S, stop_s: float = STOP_S
    ) -> None:
        self._clock = clock or SystemClock()
        self._hang_s = hang_s
        self._stop_s = stop_s
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()  # its put is safe in a signal
        self._stopping = False
        self._last: Beat | None = None
        self._last_s = float("-inf")
        self._fd = _take_stdout()
        _wake_when_parent_dies()
        for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGBREAK"):
            if (number := getattr(signal, name, None)) is not None:
                signal.signal(number, self._on_signal)
        threading.Thread(target=self._watch_parent, name="parent", daemon=True).start()
        self._wind_up(self._hang_s)

    @property
    def stopping(self) -> bool:
        """Whether the child has been asked to stop."""
        return self._stopping

    def stop(self) -> None:
        """Ask this child to stop; safe in a signal handler and from any thread."""
        if not self._stopping:
            self._stopping = True
            self._wind_up(self._stop_s)
            self._wake.put(None)

    def wait(self, seconds: float) -> bool:
        """Let time pass and beats go out; False as soon as the child should stop."""
        deadline_s = self._clock.monotonic_s() + seconds
        while not self._stopping:
            if self._last is not None:
                self.beat(self._last)
            left_s = deadline_s - self._clock.monotonic_s()
            if left_s <= 0:
                break
            try:
                self._wake.get(timeout=min(left_s, BEAT_EVERY_S))
            except queue.Empty:
                continue
        return not self._stopping

    def beat(self, beat: Beat) -> None:
        """Report; a change of state at once, otherwise each few seconds. Call it in each loop."""
        if not self._stopping:
            self._wind_up(self._hang_s)
        now_s = self._clock.monotonic_s()
        same = self._last is not None and _words(self._last) == _words(beat)
        self._last = beat
        if same and now_s - self._last_s < BEAT_EVERY_S / 2:
            return
        self._last_s = now_s
        try:
            os.write(self._fd, beat.line())
        except BlockingIOError:
            pass  # the supervisor doesn't read now; a beat is no data
        except OSError:
            self.stop()  # nobody is there any more

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.stop()

    def _watch_parent(self) -> None:
        """The supervisor's end of stdin closes when it dies, on every platform."""
        try:
            while os.read(0, 64):
                pass
        except OSError:
            pass
        self.stop()

    @staticmethod
    def _wind_up(seconds: float) -> None:
        if sys.platform != "win32":
            signal.setitimer(signal.ITIMER_REAL, seconds)  # SIGALRM's default ends the process


def _words(beat: Beat) -> tuple[object, ...]:
    """What a person should hear of at once."""
    # Where a time that is left out begins: its end moves on with each look.
    left_out = [first for spans in beat.excluded.values() for first, _, _ in spans]
    return beat.state, beat.reason, beat.share is None, beat.unseen, beat.looks_at, left_out


def _take_stdout() -> int:
    """Keep the pipe for beats; what anything prints goes to stderr instead."""
    sys.stdout.flush()
    fd = os.dup(1)
    os.dup2(2, 1)
    if sys.platform != "win32":
        os.set_blocking(fd, False)
    return fd


def _wake_when_parent_dies() -> None:
    """Ask Linux for SIGCONT when the parent dies: a child that somebody has stopped goes on then,
    and finds its stdin at its end. SIGTERM would stay pending in a stopped process."""
    if sys.platform != "linux":
        return
    import ctypes

    pr_set_pdeathsig = 1
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, int(signal.SIGCONT), 0, 0, 0)
