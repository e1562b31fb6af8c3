"""What tests of spool, shipper and lake share: a home, events, one run, and what came out.

Everything is real (files, Delta tables, locks); the one thing tests put in place of a part is the
hook of :mod:`lifelog_lake.fsio`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from lifelog_lake import fsio
from lifelog_lake.clock import US_PER_S, SystemClock
from lifelog_lake.events import BlobSource, Event, new_event
from lifelog_lake.home import Home, open_home
from lifelog_lake.lake import init_lake
from lifelog_lake.lake.verify import Report, verify
from lifelog_lake.recall.lake import open_lake
from lifelog_lake.ship import Shipped, Shipper
from lifelog_lake.spool import Record, Spool

H = TypeVar("H", bound=fsio.Hook)
T = TypeVar("T")
#: 2026-01-02T03:04:05Z, when everything in these tests begins.
T0 = 1_767_323_045 * US_PER_S


def make_home(
    path: Path,
    *,
    lake: Path | str | None = None,
    init: bool = True,
    spool: dict[str, object] | None = None,
    ship: dict[str, object] | None = None,
) -> Home:
    """A home with its lake. The host's free disk space plays no part unless a test says so."""
    flags: dict[str, object] = {"spool": {"min_free_bytes": 0, **(spool or {})}}
    if ship:
        flags["ship"] = ship
    if lake is not None:
        flags["lake"] = {"url": str(lake)}
    home = open_home(path, flags=flags)
    if init:
        init_lake(home)
    return home


def window(n: int, **more: Any) -> Event:
    """The ``n``-th window event: one a second, its title says which."""
    data = {"app": "editor", "title": f"title {n}", **more.pop("data", {})}
    return new_event("window", at=T0 + n * US_PER_S, data=data, **more)


def frame(n: int, content: bytes | None = None, **more: Any) -> Event:
    """The ``n``-th screen event with its own content."""
    source = BlobSource.of_bytes(content if content is not None else b"frame %d" % n, "image/webp")
    data = {"monitor": 1, "width": 640, "height": 480}
    return new_event("screen", at=T0 + n * US_PER_S, data=data, source=source, **more)


def pulse(n: int) -> Event:
    """The ``n``-th pulse."""
    return new_event("pulse", at=T0 + n * US_PER_S, data={"version": "0", "uptime_s": float(n)})


def ship(home: Home) -> Shipped:
    """One run of a new shipper, as after a restart; fails if a stream failed."""
    done = Shipper.of(home).run_once()
    assert not done.errors, done.errors
    return done


def rows(home: Home, stream: str) -> pl.DataFrame:
    """All rows of a stream in the lake, in the order of their seqs."""
    return open_lake(home.lake_url).scan(stream).sort("epoch", "seq").collect()


def ids(home: Home, stream: str) -> list[str]:
    """The ids in the lake, sorted."""
    return sorted(rows(home, stream)["id"].to_list())


def lifecycle(home: Home, kind: str) -> list[tuple[str, int | None, int | None]]:
    """What the lake's lifecycle says of a kind: (stream, first seq, last seq)."""
    found = rows(home, "lifecycle").filter(pl.col("kind") == kind)
    return sorted(found.select("stream", "first_seq", "last_seq").rows())


def verified(home: Home) -> Report:
    """Verify with every byte read; fails on any finding."""
    report = verify(home.lake_url, read_data=True)
    assert report.findings == [], "\n".join(map(str, report.findings))
    return report


def pending(spool: Spool, stream: str) -> list[Record]:
    """Everything that waits in a stream; fails if there is a gap or damage."""
    outlet = spool.outlet(stream)
    found: list[Record] = []
    after = outlet.state().acked
    while (batch := outlet.read(after, 1000)) is not None:
        assert not batch.gaps
        assert not batch.damage
        found += batch.records
        after = batch.last
    return found


def ack(spool: Spool, stream: str, seq: int) -> None:
    """Ack as the shipper does."""
    outlet = spool.outlet(stream)
    outlet.ack(outlet.state().epoch, seq, "lake/1")


def segments(home: Home, stream: str, pattern: str = "*") -> list[Path]:
    """The segment files of the stream's epochs (not those set aside), in their order."""
    found = (home.spool / stream).glob(f"*-*-*-*-*/{pattern}")
    return sorted(path for path in found if path.suffix in {".open", ".seg"})


def abandon(*spools: Spool) -> None:
    """Let go of what a killed process would: its file handles, and nothing else."""
    for spool in spools:
        for files in spool._streams.values():
            if files.open is not None:
                files.open.close()
            with contextlib.suppress(OSError):
                files._lock.close()


class FixedClock(SystemClock):
    """Wall clock and boot under the test's control."""

    def __init__(self, wall_us: int = T0, boot: str = "boot-1") -> None:
        super().__init__()
        self.now_us = wall_us
        self.boot = boot

    def wall_us(self) -> int:
        return self.now_us

    def boot_id(self) -> str:
        return self.boot


class Recorder:
    """Notes the operations that pass."""

    def __init__(self) -> None:
        self.ops: list[fsio.Op] = []

    def before(self, op: fsio.Op) -> None:
        self.ops.append(op)

    def after(self, op: fsio.Op) -> None:
        pass


class Failing:
    """Raises in place of the operations from the ``first`` on that ``matches``, ``times`` often."""

    def __init__(
        self,
        code: int,
        *,
        first: int = 0,
        times: int = 1,
        matches: Callable[[fsio.Op], bool] = lambda _: True,
    ) -> None:
        self.code = code
        self.first = first
        self.times = times
        self.matches = matches
        self.seen = 0
        self.failed: list[fsio.Op] = []

    def before(self, op: fsio.Op) -> None:
        if not self.matches(op):
            return
        self.seen += 1
        if self.first < self.seen <= self.first + self.times:
            self.failed.append(op)
            raise OSError(self.code, os.strerror(self.code), str(op.path))

    def after(self, op: fsio.Op) -> None:
        pass


@contextlib.contextmanager
def hooked(hook: H) -> Iterator[H]:
    """Install a hook for a while."""
    fsio.install_hook(hook)
    try:
        yield hook
    finally:
        fsio.install_hook(None)


def flipped(content: bytes, position: int, bit: int) -> bytes:
    """A copy with one bit the other way round."""
    changed = bytearray(content)
    changed[position] ^= 1 << bit
    return bytes(changed)


def seqs(records: Sequence[Record]) -> list[int]:
    """Their seqs."""
    return [record.seq for record in records]


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """In a thread without a loop: a browser's tests leave one in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
