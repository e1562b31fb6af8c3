"""A body on its way from the server's loop into a thread, a few pieces in memory at a time."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import weakref
from collections.abc import Callable, Iterator
from typing import ClassVar

#: Pieces (of 64 KiB) that wait for the thread.
MOST_WAITING = 16
_END = b""


class Inflow:
    """One file's pieces. :meth:`put` belongs to the loop, :meth:`chunks` to the thread."""

    #: Those that are under way, to be cut when the server stops.
    open: ClassVar[weakref.WeakSet[Inflow]] = weakref.WeakSet()

    def __init__(self) -> None:
        Inflow.open.add(self)
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Semaphore(MOST_WAITING)
        self._pieces: queue.SimpleQueue[bytes | OSError] = queue.SimpleQueue()
        self._closed = False

    async def put(self, piece: bytes) -> None:
        """Hand a piece on; waits while the thread is behind, drops it once nobody wants it."""
        if not self._closed:
            await self._room.acquire()
            self._pieces.put(piece)

    def end(self) -> None:
        """That was all."""
        self._pieces.put(_END)

    def cut(self, why: OSError) -> None:
        """The sender is gone: the thread is told so in place of the rest."""
        self._pieces.put(why)

    def chunks(self) -> Iterator[bytes]:
        """The pieces, as they come. Raises OSError if the sender is gone."""
        while True:
            piece = self._pieces.get()
            if isinstance(piece, OSError):
                raise piece
            if piece == _END:
                return
            self._let(self._room.release)
            yield piece

    def close(self) -> None:
        """Nobody takes any more: :meth:`put` waits no longer. For the thread."""
        self._let(self._close)

    def _close(self) -> None:
        self._closed = True
        for _ in range(MOST_WAITING):
            self._room.release()

    def _let(self, call: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the server has stopped
            self._loop.call_soon_threadsafe(call)
