"""The journal as the API uses it: in threads of its own, with the audit and repeated requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import Any, ParamSpec, TypeVar

from lifelog_lake.clock import SystemClock
from lifelog_lake.events import Event
from lifelog_lake.home import Home
from lifelog_lake.lake import parse_url
from lifelog_lake.lake.store import Store, blob_key
from lifelog_lake.recall.journal.journal import Journal
from lifelog_lake.recall.journal.spooled import open_journal
from lifelog_lake.server.api.inflow import Inflow
from lifelog_lake.server.api.limits import limits_of
from lifelog_lake.server.api.meter import METER
from lifelog_lake.server.api.repeats import Repeats
from lifelog_lake.server.audit import Audit
from lifelog_lake.spool import Spool

P = ParamSpec("P")
T = TypeVar("T")

#: Quick calls, and as many that only append; uploads, each of which waits for its sender; exports,
#: each for its receiver.
CALLS, UPLOADS, EXPORTS = 8, 32, 4
#: How long a link to content is good.
LINK_S = 300


class Work:
    """All methods but :meth:`run` and :meth:`write` block."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.clock = SystemClock()
        #: The limits in use, and where each came from when the server started.
        self.limits = limits_of(home)
        self._audit = Audit(home.path, self.clock)
        self._calls = ThreadPoolExecutor(CALLS, thread_name_prefix="api")
        self._writes = ThreadPoolExecutor(CALLS, thread_name_prefix="write")
        self._uploads = ThreadPoolExecutor(UPLOADS, thread_name_prefix="upload")
        #: How many exports run now.
        self.exports = 0

    @cached_property
    def journal(self) -> Journal:
        """The journal of the home."""
        return open_journal(self.home, self.clock)

    @cached_property
    def repeats(self) -> Repeats:
        """Requests that name an Idempotency-Key."""
        return Repeats(self.home.path, self.clock)

    @cached_property
    def _spool(self) -> Spool:
        return Spool.of(self.home, self.clock)

    @cached_property
    def store(self) -> Store:
        """Where the lake lies; nothing is opened by it."""
        return parse_url(self.home.lake_url, self.home)

    async def run(self, call: Callable[P, T], *args: P.args, **words: P.kwargs) -> T:
        """Run something in the threads for quick calls."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._calls, lambda: call(*args, **words))

    async def write(self, call: Callable[P, T], *args: P.args, **words: P.kwargs) -> T:
        """The same for what only appends, so that who reads a lake that hangs holds up no entry."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._writes, lambda: call(*args, **words))

    def upload(self, call: Callable[[], T]) -> Future[T]:
        """Run something that waits for pieces of a body."""
        return self._uploads.submit(call)

    def append(self, events: Sequence[Event]) -> None:
        """Take events of one stream in; durable on return."""
        self._spool.append(events)
        METER.wrote(events[0].stream, len(events))

    def presigned(self, sha256: str, media_type: str, disposition: str) -> str | None:
        """A link to content on the lake's own server; None if it isn't there, or has none."""
        from lifelog_lake.lake.s3.target import S3Target

        if not isinstance(self.store, S3Target):
            return None
        return self.store.link(
            blob_key(sha256), LINK_S, media_type=media_type, disposition=disposition
        )

    def record(self, action: str, *, who: str, address: str, **about: object) -> None:
        """Write into the audit."""
        self._audit.record(action, who=who, address=address, **about)

    def audited(self, limit: int) -> list[dict[str, Any]]:
        """The newest lines of the audit."""
        return self._audit.newest(limit)

    def close(self) -> None:
        """Let everything go."""
        for inflow in list(Inflow.open):
            inflow.cut(ConnectionAbortedError("The server stops."))
        self._calls.shutdown(wait=False, cancel_futures=True)
        self._writes.shutdown(wait=False, cancel_futures=True)
        self._uploads.shutdown(wait=False, cancel_futures=True)
        for name in ("journal", "repeats", "_spool"):
            if name in self.__dict__:
                getattr(self, name).close()
