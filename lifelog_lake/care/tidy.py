"""Short logs, and no files that nobody wants any more: checkpoints, log clean-up, vacuum.

Made to run each day. What a table replaced or forgot stays for ``[care] keep_days``, a week at
least, for whoever still reads it. Ages are judged by the earlier of two clocks, this machine's and
the store's, so that one that is ahead makes nothing old. (A lake on this machine's own disk has no
other clock: there, replaced files may leave early while the machine's is ahead; no row does.)
"""

from __future__ import annotations

import structlog
from deltalake import DeltaTable

from lifelog_lake.care.memory import Memory, Seen
from lifelog_lake.care.outcome import Outcome
from lifelog_lake.care.trouble import NOT_PLAIN, told, worded
from lifelog_lake.clock import US_PER_S, Clock
from lifelog_lake.home import Home
from lifelog_lake.lake import checkpoint, lease, vacuum
from lifelog_lake.lake.checkpoint import LogFiles
from lifelog_lake.lake.identity import require_known
from lifelog_lake.lake.lease import Lease
from lifelog_lake.lake.rewrite import is_plain
from lifelog_lake.lake.store import Store, table_key
from lifelog_lake.lake.table import StreamTable

JOB = "tidy"
DAY_S = 86_400
#: What waits to get old is looked for again after this.
AGAIN_S = DAY_S / 2
#: A table gets a checkpoint if opening it reads so many entries one by one.
ENTRIES = 10
#: How long Delta keeps in its checkpoints which files were replaced, unless a table says otherwise.
DELTA_DAYS = 7
KEPT = "delta.deletedFileRetentionDuration"


@worded
def run(home: Home, store: Store, clock: Clock, *, keep_s: float | None = None) -> Outcome:
    """Tidy each table that has changed, or has what got old. ``keep_s`` is for tests: it must be
    longer than any reader takes.

    Raises :class:`~lifelog_lake.errors.LakeUnreachable` and, if another one is at work,
    :class:`~lifelog_lake.errors.Locked`. A lake of demo data needs nothing.
    """
    identity = require_known(home, store)
    memory = Memory(store, JOB, identity.mark)
    days = home.settings.care.keep_days
    work = _Tidying(store, memory, days, days * DAY_S if keep_s is None else keep_s)
    if identity.demo is None:
        due = [name for name in store.streams() if memory.is_due(name, clock.wall_us())]
        if due:
            with lease.hold(store, JOB, home.device, clock) as held:
                store.check_in()
                now_us = min(clock.wall_us(), held.stored_us())
                for stream in due:
                    work.table(stream, held, now_us)
                work.clear_leftovers()
                memory.save()
    return Outcome(job=JOB, counts=work.counts, findings=tuple(work.findings))


class _Tidying:
    def __init__(self, store: Store, memory: Memory, days: float, keep_s: float) -> None:
        self.counts = dict.fromkeys(
            ("checkpoints written", "log files removed", "data files removed", "leftovers removed"),
            0,
        )
        self.findings: list[str] = []
        self._store = store
        self._memory = memory
        self._days = days
        self._keep_s = keep_s

    def table(self, stream: str, held: Lease, now_us: int) -> None:
        """One table: what nobody needs goes, the rest waits until it is old."""
        store, until_us = self._store, now_us - int(self._keep_s * US_PER_S)
        self._memory.forget(stream)
        with told(stream, self.findings):
            handle = StreamTable(store, stream).newest()
            if not is_plain(handle):
                self.findings.append(f"{stream}: {NOT_PLAIN}")
                return
            self._keep_as_long(stream, handle)
            keys = list(store.keys(table_key(stream)))
            files = LogFiles(stream, keys)
            if files.since_checkpoint >= ENTRIES:
                held.keep()
                checkpoint.make(store, stream)
                self.counts["checkpoints written"] += 1
            found = vacuum.unused(store, stream, handle, keys, files, until_us=until_us)
            if found.old:
                held.keep()
                removed = vacuum.remove(store, stream, handle, found.old, held.keep)
                self.counts["data files removed"] += removed
            gone, waiting = checkpoint.clean_log(store, files, until_us=until_us, keep=held.keep)
            self.counts["log files removed"] += gone
            structlog.get_logger().info(
                "tidied",
                stream=stream,
                file_count=len(found.old),
                entry_count=gone,
                waiting_count=found.young,
            )
            again_us = now_us + int(min(AGAIN_S, self._keep_s) * US_PER_S)
            due_again = found.young or waiting > ENTRIES
            self._memory.note(
                stream, Seen(version=handle.version(), again_us=again_us if due_again else None)
            )

    def clear_leftovers(self) -> None:
        """What killed writers left beside the tables."""
        self.counts["leftovers removed"] += self._store.clear_leftovers(self._keep_s)

    def _keep_as_long(self, stream: str, handle: DeltaTable) -> None:
        """Let checkpoints remember replaced files for as long as they are kept."""
        wanted = f"interval {round(self._days * 24)} hours"
        if self._days > DELTA_DAYS and handle.metadata().configuration.get(KEPT) != wanted:
            handle.alter.set_table_properties({KEPT: wanted})
            self._store.log(stream).keep(handle.version(), handle.version())
