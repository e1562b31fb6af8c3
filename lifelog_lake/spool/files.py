"""The files of one stream and what a crash left of them: shared by inlet and outlet.

Every method that reads or writes segments is called inside :meth:`StreamFiles.locked`.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson

from lifelog_lake import fsio
from lifelog_lake.errors import SpoolFull, SpoolWriteFailed
from lifelog_lake.locks import FileLock
from lifelog_lake.spool import blobs
from lifelog_lake.spool.segment import (
    NO_ROOM,
    Damage,
    Line,
    OpenSegment,
    SegmentName,
    lines_in,
    parse_name,
    scan,
    torn_from,
)
from lifelog_lake.spool.state import StateFile, StreamState

#: Unfinished files older than this belong to nobody who still writes.
LEFTOVER_S = 3600.0


class StreamFiles:
    """One stream's directory. Safe for several processes and threads at once."""

    def __init__(self, directory: Path) -> None:
        self.name = directory.name
        self.directory = directory
        fsio.make_dirs(directory, at="spool")
        self._lock = FileLock(directory / "lock")
        self._state_file = StateFile(directory)
        self.open: OpenSegment | None = None
        self.epoch = ""

    def locked(self) -> Self:
        """Hold the stream's lock, with the state and the open segment as they are on disk::

        with files.locked() as state: ...
        """
        return self  # not a generator: those cost a tenth of an append

    @contextlib.contextmanager
    def locked_within(self, seconds: float) -> Iterator[StreamState]:
        """As :meth:`locked`, but raise :class:`~lifelog_lake.errors.Locked` after so long."""
        with self._lock.within(seconds):
            yield self._refresh()

    def __enter__(self) -> StreamState:
        self._lock.__enter__()
        try:
            return self._refresh()
        except BaseException as error:
            self._lock.__exit__(type(error), error, error.__traceback__)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._lock.__exit__(kind, error, tb)

    def close(self) -> None:
        """Give up the file handles; what was appended stays."""
        if self.open is not None:
            self.open.close()
            self.open = None
        self._lock.close()

    @property
    def epoch_dir(self) -> Path:
        """Directory of the current epoch."""
        return self.directory / self.epoch

    @property
    def acked_dir(self) -> Path:
        """Where segments go after the ack."""
        return self.directory / "acked"

    def segments(self) -> list[SegmentName]:
        """The current epoch's segments in their order."""
        return _segments_in(self.epoch_dir)

    def next_seq(self, state: StreamState) -> int:
        """What the next record gets (rule 6)."""
        if self.open is not None:
            return self.open.next_seq
        ends = [name.last + 1 for name in self.segments() if name.last is not None]
        dropped = [last + 1 for _, last in state.dropped]
        return max([state.acked + 1, *ends, *dropped])

    def last_cursor(self) -> bytes | None:
        """The source's cursor as JSON, from the open or else the newest segment."""
        if self.open is not None:
            return self.open.cursor
        names = self.segments()
        if not names:
            return None
        cursor = None
        for item in scan(names[-1].path.read_bytes()):
            if isinstance(item, Line) and item.kind in (b"H", b"C"):
                cursor = _cursor_of(item) or cursor
        return cursor

    def write_state(self, state: StreamState, *, at: str) -> None:
        """Replace the state; the next :meth:`locked` of any process sees it."""
        state.write(self.directory, at=at)

    def _refresh(self) -> StreamState:
        """See what other processes did since."""
        state = self._state_file.read() or self._begin()
        segment = self.open
        if segment is not None and (state.epoch != self.epoch or not _is_same_file(segment)):
            segment.close()
            self.open = segment = None
        self.epoch = state.epoch
        if segment is None:
            self._open_existing(state)
        elif not segment.bad and fsio.pread(segment.fd, 1, segment.end) not in (b"", b"\0"):
            self._catch_up(segment)
        return state

    def _begin(self) -> StreamState:
        """The first epoch; or the newest that has segments, if only the state is missing.

        What of it was shipped is then told by the ids in the lake.
        """
        epochs = [path for path in self.directory.iterdir() if _segments_in(path)]
        if not epochs:
            return self._state_file.create()
        newest = max(epochs, key=lambda path: path.name)
        names = _segments_in(newest)
        seqs = [
            item.seq
            for item in scan(names[-1].path.read_bytes())
            if isinstance(item, Line) and item.kind == b"R"
        ]
        state = StreamState(
            epoch=newest.name,
            acked=names[0].first - 1,
            check_ids_to=max(seqs, default=names[-1].first - 1),
        )
        return state.write(self.directory, at="spool")

    def _open_existing(self, state: StreamState) -> None:
        self._remove_leftovers()
        self._set_orphans_aside()
        opened = [name for name in self.segments() if name.last is None]
        for older, newer in itertools.pairwise(opened):  # killed between a new one and the seal
            segment = self._load(older.path, state)
            segment.next_seq = newer.first
            try:
                segment.seal()
            finally:
                segment.close()
        if opened:
            self.open = self._load(opened[-1].path, state)
            blobs.remove_outside(self.epoch_dir, state.acked, self.open.next_seq)
            self.open.content_bytes = blobs.size_from(self.epoch_dir, int(opened[-1].path.stem))

    def _remove_leftovers(self) -> None:
        for path in self.directory.glob(".tmp-*"):
            with contextlib.suppress(FileNotFoundError):  # another process was quicker
                if time.time() - path.stat().st_mtime > LEFTOVER_S:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _set_orphans_aside(self) -> None:
        """Keep an epoch that a crash left beside the current one, which has all of its rows."""
        for path in self.directory.iterdir():
            if path.name != self.epoch and not path.name.startswith(".") and _segments_in(path):
                quarantine = self.directory / "quarantine"
                fsio.make_dirs(quarantine, at="quarantine")
                fsio.rename(path, quarantine / f"epoch-{path.name}", at="quarantine")

    def _load(self, path: Path, state: StreamState) -> OpenSegment:
        fd = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
        first = max(int(path.stem), state.acked + 1)
        segment = OpenSegment(path, fd, end=0, size=0, next_seq=first)
        try:
            self._catch_up(segment)
        except BaseException:
            segment.close()
            raise
        return segment

    def _catch_up(self, segment: OpenSegment) -> None:
        """Read what follows ``segment.end``; clear what is torn, keep the seqs of what is damaged.

        Synced at the end: a killed process may have written without syncing.
        """
        segment.size = os.fstat(segment.fd).st_size
        base = segment.end
        tail = fsio.pread(segment.fd, segment.size - base, base)
        last: Line | Damage | None = None
        for last in scan(tail):
            if isinstance(last, Line):
                _learn(segment, last)
                segment.end = base + last.end
        if isinstance(last, Damage) and base + last.start >= segment.end:
            torn = torn_from(tail, last)
            fsio.clear(segment.fd, last.end - torn, base + torn)
            segment.end = base + torn
            segment.next_seq += lines_in(tail, last)
        fsio.sync(segment.fd, segment.path, at="append.recover")


def _segments_in(directory: Path) -> list[SegmentName]:
    try:
        names = [parse_name(path) for path in directory.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(name for name in names if name is not None)


def _learn(segment: OpenSegment, line: Line) -> None:
    if line.kind in (b"R", b"C"):  # a batch's end says which seqs it gave, even if damaged
        segment.next_seq = max(segment.next_seq, line.seq + 1)
    if line.kind in (b"H", b"C"):
        segment.cursor = _cursor_of(line) or segment.cursor
    if line.kind == b"H":
        segment.boot_id = orjson.loads(line.payload)["boot_id"]


def _cursor_of(line: Line) -> bytes | None:
    cursor = orjson.loads(line.payload).get("cursor")
    return None if cursor is None else orjson.dumps(cursor)


def _is_same_file(segment: OpenSegment) -> bool:
    try:
        return os.stat(segment.name).st_ino == segment.inode
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def translated(stream: str) -> Iterator[None]:
    """Turn a failed system call into the error a caller knows how to handle."""
    try:
        yield
    except OSError as error:
        raise refusal(error, stream) from error


def refusal(error: OSError, stream: str) -> SpoolFull | SpoolWriteFailed:
    """What a failed system call means to who appends."""
    if error.errno in NO_ROOM:
        return SpoolFull(
            "The disk is full.", hint="Make room; capture goes on by itself.", stream=stream
        )
    return SpoolWriteFailed(
        f"The spool can't be written: {error.strerror or error}.",
        hint="Check the disk and its permissions; capture tries again.",
        stream=stream,
    )
