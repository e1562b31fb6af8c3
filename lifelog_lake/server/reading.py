"""The lake as the server reads it: opened once, read in threads, never on the event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    import polars as pl

    from lifelog_lake.recall.lake import Lake

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 4
#: Seconds that a timeline is served again; a strip asks for many pages of the same one.
FRESH_S = 2.0
#: The same for a range that ended long ago: only late shipments change it.
SETTLED_S = 60.0
SETTLED_AFTER = timedelta(hours=1)
KEPT_TIMELINES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Screen frames from ``start`` to ``end`` (exclusive), of one or all devices."""

    start: datetime
    end: datetime
    device: str | None = None


class LakeReader:
    """Answers the REST routes' questions; every method blocks and belongs in :meth:`run`."""

    def __init__(self, open_lake: Callable[[], Lake] | None = None) -> None:
        self._open_lake = open_lake or _open_default
        self._lake: Lake | None = None
        self._lock = threading.Lock()
        self._kept: OrderedDict[Span, tuple[float, pl.DataFrame]] = OrderedDict()
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

    def frames(self, span: Span) -> pl.DataFrame:
        """Screen frames of a span, newest first: the columns of ``lake.timeline``."""
        now_s = time.monotonic()
        with self._lock:
            kept = self._kept.get(span)
        if kept is not None and kept[0] > now_s:
            return kept[1]
        frames = self.lake.timeline(
            span.start,
            span.end,
            streams=["screen"],
            devices=None if span.device is None else [span.device],
        )
        frames = frames.filter(frames["blob"].is_not_null()).sort("at", "id", descending=True)
        settled = span.end < datetime.now(UTC) - SETTLED_AFTER
        with self._lock:
            self._kept[span] = (now_s + (SETTLED_S if settled else FRESH_S), frames)
            while len(self._kept) > KEPT_TIMELINES:
                self._kept.popitem(last=False)
        return frames

    def newest_frame_at(self) -> datetime | None:
        """When the newest frame of the whole lake began, or None for a lake without frames."""
        newest = self.lake.scan("screen").select("at").max().collect()
        return newest["at"][0] if newest.height else None

    def devices(self) -> list[str]:
        """Devices that have screen frames, sorted."""
        names = self.lake.scan("screen").select("device").unique().collect()["device"]
        return sorted(name for name in names if name is not None)


def _open_default() -> Lake:
    from lifelog_lake.recall.lake import open_lake

    return open_lake()
