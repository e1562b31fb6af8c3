"""The lake as the server reads it: opened once, read in threads, never on the event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    import polars as pl

    from lifelog_lake.recall.lake import Lake

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 4
#: Seconds that a span's events are served again; a list asks for many pages of the same one.
FRESH_S = 2.0
#: The same for a span that ended long ago: only late shipments change it.
SETTLED_S = 60.0
SETTLED_AFTER = timedelta(hours=1)
#: Rows that may be kept: about 200 bytes each.
KEPT_ROWS = 400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """From ``start`` to ``end`` (exclusive)."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class _Asked:
    """Names one answer: the events of a span, of some streams, of some devices (none: all)."""

    span: Span
    streams: tuple[str, ...]
    devices: tuple[str, ...]


class LakeReader:
    """Answers the REST routes' questions; every method blocks and belongs in :meth:`run`."""

    def __init__(self, open_lake: Callable[[], Lake] | None = None) -> None:
        self._open_lake = open_lake or _open_default
        self._lake: Lake | None = None
        self._lock = threading.Lock()
        self._kept: OrderedDict[_Asked, tuple[float, pl.DataFrame]] = OrderedDict()
        self._under_way: dict[_Asked, Future[pl.DataFrame]] = {}
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="lake")

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking call in the reader's threads."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: call(*args, **kwargs))

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def lake(self) -> Lake:
        """The lake. Raises :class:`~lifelog_lake.errors.LakeUnreachable`; asked again next time."""
        with self._lock:
            if self._lake is None:
                self._lake = self._open_lake()
            return self._lake

    def events(
        self, span: Span, streams: tuple[str, ...], devices: tuple[str, ...]
    ) -> pl.DataFrame:
        """Events of a span, newest first: the columns of :mod:`lifelog_lake.recall.detail`.

        Screen frames without a picture are left out. What several requests ask for at the same
        time is read once.
        """
        asked = _Asked(span, streams, devices)
        with self._lock:
            kept = self._kept.get(asked)
            if kept is not None and kept[0] > time.monotonic():
                return kept[1]
            before = self._under_way.get(asked)
            mine: Future[pl.DataFrame] = Future()
            if before is None:
                self._under_way[asked] = mine
        if before is not None:
            return before.result()
        try:
            answer = self._read(asked)
        except BaseException as error:
            mine.set_exception(error)
            raise
        else:
            self._keep(asked, answer)
            mine.set_result(answer)
            return answer
        finally:
            with self._lock:
                del self._under_way[asked]

    def newest_at(self) -> datetime | None:
        """When the newest event of the whole lake began, or None for a lake without any."""
        from lifelog_lake.recall.detail import CAPTURED

        return self.lake.newest_at(CAPTURED)

    def _read(self, asked: _Asked) -> pl.DataFrame:
        import polars as pl

        if len(asked.streams) == 1 and not asked.devices:
            return self._read_stream(asked.streams[0], asked.span)
        parts = [self.events(asked.span, (name,), ()) for name in asked.streams]
        if asked.devices:
            parts = [part.filter(pl.col("device").is_in(asked.devices)) for part in parts]
        return pl.concat(parts).sort("at", "id", descending=True)

    def _read_stream(self, stream: str, span: Span) -> pl.DataFrame:
        import polars as pl

        from lifelog_lake.recall.detail import details

        events = details(self.lake, stream, span.start, span.end)
        if stream == "screen":
            events = events.filter(pl.col("blob").is_not_null())
        return events.sort("at", "id", descending=True).collect()

    def _keep(self, asked: _Asked, answer: pl.DataFrame) -> None:
        from lifelog_lake.recall.journal.standing import STREAMS as WRITTEN

        # What a person wrote may change any time, and they look whether it did.
        settled = asked.span.end < datetime.now(UTC) - SETTLED_AFTER
        settled &= WRITTEN.isdisjoint(asked.streams)
        now_s = time.monotonic()
        until_s = now_s + (SETTLED_S if settled else FRESH_S)
        with self._lock:
            # A live page asks for another span each few seconds, and an answer without rows has
            # its weight too: a tab that was left open took 90 MiB an hour.
            for past in [one for one, (ends_s, _) in self._kept.items() if ends_s <= now_s]:
                del self._kept[past]
            self._kept[asked] = (until_s, answer)
            self._kept.move_to_end(asked)
            while sum(kept.height for _, kept in self._kept.values()) > KEPT_ROWS:
                self._kept.popitem(last=False)


def _open_default() -> Lake:
    from lifelog_lake.recall.lake import open_lake

    return open_lake()
