"""One input of the sound system, by PortAudio: blocks of samples, counted and never waited for.

The callback runs in PortAudio's thread and only puts a block into a queue with an end. When nobody
takes from it, further blocks are counted and left out: the numbers of the samples go on, so that
the gap is seen.

A call into PortAudio hangs as long as the sound server does, closing included, so all calls are
made by one thread of their own (which PortAudio's back ends want anyway) and waited for a while
only. PortAudio looks for devices once, when it is initialised; so each opening does that anew.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from lifelog_lake.clock import Clock
from lifelog_lake.errors import MissingExtra, Unavailable

SAMPLE_RATE = 16_000
CHANNELS = 1
BLOCK_SAMPLES = SAMPLE_RATE // 10
#: What the sound system may hold back; a program that gets no processor for so long loses nothing.
LATENCY_S = 0.3
#: Blocks that may wait for the collector: two minutes, 4 MB.
MOST_BLOCKS = 1200
#: An input that is there gives a block each 0.1 s, its first after up to two seconds.
STALL_S = 6.0
OPEN_S = 5.0
CLOSE_S = 1.0
#: Of the inputs' names in an error; a state's reason holds 400 characters.
MOST_LISTED = 150
OFF = "To record no sound: [collectors.audio] enabled = false."

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Samples as they came: signed 16 bit, machine order. ``first`` counts from the opening."""

    first: int
    samples: bytes
    arrived_us: int
    overflow: bool

    @property
    def after(self) -> int:
        """The number of the sample that follows."""
        return self.first + len(self.samples) // 2


class _Hands:
    """A thread that does one thing after the other, for callers that wait for a while only."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        self._last: Future[Any] | None = None
        threading.Thread(target=self._work, name="portaudio", daemon=True).start()

    def do(self, action: Callable[[], T], within_s: float) -> Future[T]:
        """The finished call. Raises :class:`Unavailable` if it hangs, or one before it still does;
        what hangs is done once it can be."""
        if self._last is None or self._last.done():
            self._last = future = Future[T]()
            self._jobs.put((future, action))
            try:
                future.exception(within_s)
            except TimeoutError:
                future.add_done_callback(_too_late)
            else:
                return future
        raise Unavailable(
            "The sound system doesn't answer.",
            hint=f"Recording goes on when it does; restart the sound server if it hangs. {OFF}",
        )

    def _work(self) -> None:
        while True:
            future, action = self._jobs.get()
            try:
                result = action()
            except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
                future.set_exception(error)
            else:
                future.set_result(result)


def _too_late(future: Future[Any]) -> None:
    """Nobody waits any more for an input that could be opened in the end."""
    if future.exception() is None and future.result() is not None:
        _close(future.result()[0])


@cache
def _hands() -> _Hands:
    return _Hands()


class Microphone:
    """An open input. ``name`` is the sound system's name of it."""

    def __init__(self, device: str, clock: Clock) -> None:
        """Open it; raises :class:`Unavailable`, and :class:`MissingExtra` without ``device``."""
        self._clock = clock
        self._blocks: deque[Block] = deque()
        self._count = 0
        self._empty_since_s: float | None = None
        self._stream, self.name = _hands().do(lambda: self._open(device), OPEN_S).result()

    def take(self) -> list[Block]:
        """What came since the last call."""
        blocks = [self._blocks.popleft() for _ in range(len(self._blocks))]
        if blocks:
            self._empty_since_s = None
        elif self._empty_since_s is None:  # not since the last block: this process may have slept
            self._empty_since_s = self._clock.monotonic_s()
        return blocks

    def check(self) -> None:
        """Raise :class:`Unavailable` if nothing comes any more."""
        if not self._stream.active:
            raise _unavailable(f"The input '{self.name}' is gone.")
        if self._empty_since_s is None:
            return
        silent_s = self._clock.monotonic_s() - self._empty_since_s
        if silent_s >= STALL_S:
            raise _unavailable(f"The input '{self.name}' has given nothing for {silent_s:.0f} s.")

    def close(self) -> None:
        """Let it go; raises :class:`Unavailable` if that hangs (it is let go once it can be)."""
        _hands().do(lambda: _close(self._stream), CLOSE_S).result()

    def _open(self, device: str) -> tuple[Any, str]:
        try:
            import sounddevice as sd
        except ModuleNotFoundError as error:
            raise MissingExtra("The audio collector", "device") from error
        except OSError:  # how it says that there is no library to load
            raise Unavailable(
                "The library PortAudio isn't installed.",
                hint=f"Debian and Ubuntu: sudo apt-get install libportaudio2. {OFF}",
            ) from None
        try:
            # Not named in its manual's contents, but the one way to see new devices.
            sd._terminate()
            sd._initialize()
            found = _find(sd, device)
            stream = sd.RawInputStream(
                device=found["index"],
                samplerate=SAMPLE_RATE,
                channels=CHANNELS,
                dtype="int16",
                blocksize=BLOCK_SAMPLES,
                latency=LATENCY_S,
                callback=self._on_block,
            )
            stream.start()
        except sd.PortAudioError as error:
            raise _unavailable(f"The microphone can't be opened ({error.args[0]}).") from None
        return stream, str(found["name"])

    def _on_block(self, samples: Any, frames: int, time: Any, status: Any) -> None:
        del time
        first, self._count = self._count, self._count + frames
        if len(self._blocks) < MOST_BLOCKS:
            self._blocks.append(
                Block(
                    first=first,
                    samples=bytes(samples),
                    arrived_us=self._clock.wall_us(),
                    overflow=bool(status.input_overflow),
                )
            )


def _find(sd: Any, device: str) -> dict[str, Any]:
    """The input with this name or number; the system's default for an empty one."""
    wanted = int(device) if device.isdecimal() else device or None
    try:
        found: dict[str, Any] = sd.query_devices(wanted, "input")
    except (ValueError, sd.PortAudioError):
        inputs = [one for one in sd.query_devices() if one["max_input_channels"]]
        names = ", ".join(f"{one['index']} {one['name']}" for one in inputs)[:MOST_LISTED]
        if not device:
            raise _unavailable("There is no microphone.") from None
        raise Unavailable(
            f"There is no input '{device[:60]}', or more than one.",
            hint=f"Set [collectors.audio] device to one of: {names or 'none is there'}. {OFF}",
        ) from None
    return found


def _close(stream: Any) -> None:
    stream.abort()  # what is gone can be closed as well: sounddevice ignores the error
    stream.close()


def _unavailable(message: str) -> Unavailable:
    return Unavailable(
        message,
        hint="Plug it in, start the sound server, or allow this program to use the microphone; "
        f"recording goes on by itself. {OFF}",
    )
