"""Compaction: many small files into few, the same rows.

Made to run each hour, and as often as one likes: what is merged when is up to
:mod:`lifelog_lake.care.tiers`, how it stays right to :mod:`lifelog_lake.lake.rewrite`. The lease
spares two hubs the same work. Killed at any moment it leaves at most a file that no log names,
which the vacuum removes.
"""

from __future__ import annotations

import structlog
from deltalake import DeltaTable

from lifelog_lake.care import tiers
from lifelog_lake.care.memory import Memory, Seen
from lifelog_lake.care.outcome import Outcome
from lifelog_lake.care.trouble import NOT_PLAIN, told, worded
from lifelog_lake.clock import Clock
from lifelog_lake.errors import LakeDamaged
from lifelog_lake.home import Home
from lifelog_lake.lake import lease, rewrite
from lifelog_lake.lake.identity import require_known
from lifelog_lake.lake.lease import Lease
from lifelog_lake.lake.store import Store
from lifelog_lake.lake.table import StreamTable
from lifelog_lake.lake.tail import Tail

JOB = "compact"
#: Rows in memory while they are merged, as a multiple of the size that a file should have.
MEMORY_FACTOR = 4
#: Merged files are looked at again so often in one run; what comes meanwhile waits for the next.
MOST_ROUNDS = 5


@worded
def run(home: Home, store: Store, clock: Clock) -> Outcome:
    """Merge what is worth merging. With nothing new it costs one listing and two looks a table.

    Raises :class:`~lifelog_lake.errors.LakeUnreachable` and, if another one is at work,
    :class:`~lifelog_lake.errors.Locked`. A lake of demo data needs nothing.
    """
    identity = require_known(home, store)
    memory = Memory(store, JOB, identity.mark)
    work = _Compaction(home, store, clock, memory)
    if identity.demo is None:
        streams = store.streams()
        due = [stream for stream in streams if memory.is_due(stream, clock.wall_us())]
        if due:
            with lease.hold(store, JOB, home.device, clock) as held:
                store.check_in()
                for stream in due:
                    work.table(stream, held)
                memory.save()
    return Outcome(job=JOB, counts=work.counts, findings=(*work.findings, *memory.findings))


class _Compaction:
    def __init__(self, home: Home, store: Store, clock: Clock, memory: Memory) -> None:
        self.counts = dict.fromkeys(
            ("files merged", "files written", "rows rewritten", "bytes read", "bytes written"), 0
        )
        self.findings: list[str] = []
        self._target_bytes = home.settings.care.target_bytes
        self._store = store
        self._clock = clock
        self._memory = memory

    def table(self, stream: str, held: Lease) -> None:
        """One table, until nothing is left to merge or others are in the way."""
        unfit = self._memory.unfit(stream)
        self._memory.forget(stream)
        with told(stream, self.findings):
            table = StreamTable(self._store, stream)
            for _ in range(MOST_ROUNDS):
                handle = table.newest()
                if not rewrite.is_plain(handle):
                    self.findings.append(f"{stream}: {NOT_PLAIN}")
                    return
                files = rewrite.live_files(handle)
                unfit = {file.path: unfit[file.path] for file in files if file.path in unfit}
                planned = tiers.plan(
                    [file for file in files if file.path not in unfit],
                    target_bytes=self._target_bytes,
                    now_us=self._clock.wall_us(),
                )
                if not self._merge(stream, handle, planned, unfit, held):
                    seen = Seen(version=handle.version(), again_us=planned.again_us, unfit=unfit)
                    self._memory.note(stream, seen)
                    return

    def _merge(
        self,
        stream: str,
        handle: DeltaTable,
        planned: tiers.Plan,
        unfit: dict[str, tuple[str, str]],
        held: Lease,
    ) -> bool:
        """Merge each group; whether the table has changed by that, or is known better now."""
        schema = rewrite.row_schema(handle)
        tail = Tail(self._store, stream, handle.version())
        changed = False
        for group in planned.groups:
            held.keep()
            found = rewrite.merge(
                self._store,
                tail,
                stream,
                schema,
                group,
                most_bytes=self._target_bytes * MEMORY_FACTOR,
                keep=held.keep,
                now_us=lambda: max(self._clock.wall_us(), held.stored_us()),
            )
            for path, why in found.unfit.items():
                unfit[path] = (self._memory.tag(stream, path), why)
            if found.failed:
                raise LakeDamaged(
                    f"{found.failed} (day {group[0].date}).",
                    hint="Nothing was changed; the disk or the memory of this machine may be "
                    "failing.",
                )
            changed |= bool(found.merged or found.unfit or found.raced)
            if found.raced:
                break
            if found.written is not None:
                self._count(stream, found)
        return changed

    def _count(self, stream: str, found: rewrite.Merged) -> None:
        assert found.written is not None
        self.counts["files merged"] += len(found.merged)
        self.counts["files written"] += 1
        self.counts["rows rewritten"] += found.written.rows
        self.counts["bytes read"] += sum(file.size_bytes for file in found.merged)
        self.counts["bytes written"] += found.written.size_bytes
        structlog.get_logger().info(
            "compacted",
            stream=stream,
            path=found.written.path,
            file_count=len(found.merged),
            rows=found.written.rows,
        )
