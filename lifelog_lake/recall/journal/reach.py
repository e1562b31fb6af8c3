"""Whether the lake is in reach, without waiting for one that hangs more than once.

A server that refuses or a disk that isn't there says so at once and is asked each time. One that
doesn't answer (a network that swallows everything) costs a minute until it counts as away. From
then on a thread asks it again, and everybody else is told at once what it was the last time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from lifelog_lake.errors import LakeUnreachable, LifelogError

T = TypeVar("T")

#: A failure that took longer than this many seconds isn't waited for again.
SLOW_S = 2.0


class Reach(Generic[T]):
    """Asks with ``ask``, which raises :class:`LakeUnreachable`; safe in threads."""

    def __init__(self, ask: Callable[[], T]) -> None:
        self._ask = ask
        self._asking = threading.Lock()
        self._changing = threading.Lock()
        #: Why it is away, if it took long to find out.
        self._away: LakeUnreachable | None = None
        self._thread: threading.Thread | None = None

    def __call__(self) -> T:
        """What the lake answers; raises :class:`LakeUnreachable`."""
        self._tell()
        with self._asking:  # one asks, and the others hear of it
            self._tell()
            return self.timed(self._ask)

    def timed(self, call: Callable[[], T]) -> T:
        """Call the lake; if it can't be reached and that took long, it is away."""
        began_s = time.monotonic()
        try:
            return call()
        except LakeUnreachable as error:
            if time.monotonic() - began_s > SLOW_S:
                self._away = error
            raise

    def _tell(self) -> None:
        if (away := self._away) is None:
            return
        with self._changing:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._again, name="lake", daemon=True)
                self._thread.start()
        raise type(away)(away.message, hint=away.hint)

    def _again(self) -> None:
        try:
            self._ask()
        except LakeUnreachable as error:
            self._away = error
        except LifelogError:  # it is there: what is wrong with it the next one is told
            self._away = None
        else:
            self._away = None
