"""Out of the spool: read what is pending, ack what the lake has. Used by the shipper alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from lifelog_lake import fsio
from lifelog_lake.clock import Clock
from lifelog_lake.spool import blobs
from lifelog_lake.spool.files import StreamFiles
from lifelog_lake.spool.segment import (
    NO_ROOM,
    Line,
    SegmentName,
    last_record,
    parse,
    parse_name,
    scan,
)
from lifelog_lake.spool.state import StreamState

BATCH_BYTES = 8 * 2**20


@dataclass(frozen=True, slots=True)
class Record:
    """One event as it lies in the spool: its seq and the envelope's and the stream's fields."""

    seq: int
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Seqs, inclusive, that were given but can't be read: dropped, quarantined or lost.

    ``times``: when the first and the last of the rows were recorded, µs since 1970 UTC, if known.
    """

    first: int
    last: int
    kind: str
    times: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """What the clocks said when a batch of seqs, inclusive, was appended; µs."""

    first: int
    last: int
    boot_id: str
    wall_us: int
    boot_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedBytes:
    """Bytes of a segment that are no right line, and where they lay."""

    segment: str
    offset: int
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Consecutive seqs ``first`` to ``last`` of one epoch: records, and the gaps among them.

    ``appends`` say when they were appended, in the order of the seqs; some may be missing.
    """

    epoch: str
    first: int
    last: int
    records: tuple[Record, ...]
    gaps: tuple[Gap, ...] = ()
    damage: tuple[DamagedBytes, ...] = ()
    appends: tuple[Append, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStats:
    """How a stream stands. Times in µs since 1970 UTC, None where there is nothing."""

    epoch: str
    next_seq: int
    acked_seq: int
    pending_rows: int
    pending_bytes: int
    oldest_at: int | None
    newest_at: int | None
    last_ack_at: int | None


@dataclass(frozen=True, slots=True)
class _Piece:
    """Bytes of one segment, from ``offset`` on, with the seqs that count in it."""

    name: SegmentName
    last: int
    offset: int
    content: bytes
    boot_id: str


class Outlet:
    """Reads and acks one stream."""

    def __init__(self, files: StreamFiles, clock: Clock) -> None:
        self._files = files
        self._clock = clock
        self._read_to: tuple[Path, int, int] | None = None  # segment, offset, seq before it

    def state(self) -> StreamState:
        """Epoch, acked seq and what else the stream remembers."""
        with self._files.locked() as state:
            return state

    def next_seq(self) -> int:
        """What the next record gets: above every seq that was ever given in this epoch."""
        with self._files.locked() as state:
            return self._files.next_seq(state)

    def spans(self, *, acked: bool) -> list[tuple[str, int, int]]:
        """What is here as (epoch, first, last): the pending seqs, and on request the kept ones."""
        with self._files.locked() as state:
            found: dict[str, tuple[int, int]] = {}
            if acked:
                for path in sorted(self._files.acked_dir.glob("*/*.seg")):
                    name = parse_name(path)
                    if name is None or name.last is None:
                        continue
                    epoch = path.parent.name
                    first, _ = found.get(epoch, (name.first, 0))
                    found[epoch] = (first, name.last)
            names = self._files.segments()
            if names:
                first = names[0].first if acked else state.acked + 1
                first, _ = found.get(state.epoch, (first, 0))
                found[state.epoch] = (first, self._files.next_seq(state) - 1)
        return [(epoch, first, last) for epoch, (first, last) in found.items() if last >= first]

    def read(self, after: int, max_rows: int) -> Batch | None:
        """The records after a seq, at most ``max_rows`` (and about 8 MiB); None if there are none.

        What it returns is durable. Gaps are named, with the damaged bytes that explain them.
        """
        with self._files.locked() as state:
            after = max(after, state.acked)  # another shipper may have acked and moved them
            pieces = list(self._pieces(after))
            epoch = state.epoch
        records: list[Record] = []
        gaps: list[Gap] = []
        damage: list[DamagedBytes] = []
        appends: list[Append] = []
        expected = after + 1
        for piece in pieces:
            damaged = False
            first = expected
            for item in scan(piece.content):
                if not isinstance(item, Line):
                    damaged = True
                    damage.append(_damaged(piece, item.start, item.end))
                    continue
                if item.kind == b"C" and item.seq >= first:
                    appends += _append(item, first, piece.boot_id)
                    first = item.seq + 1
                if item.kind != b"R" or not expected <= item.seq <= piece.last:
                    continue
                if item.seq > expected:
                    gaps += _gaps(state, expected, item.seq - 1, damaged)
                records.append(Record(item.seq, orjson.loads(item.payload)))
                expected = item.seq + 1
                if len(records) >= max_rows:
                    self._read_to = (piece.name.path, piece.offset + item.end, item.seq)
                    return _batch(epoch, after, expected, records, gaps, damage, appends)
            gaps += _gaps(state, expected, piece.last, damaged)
            expected = max(expected, piece.last + 1)
            self._read_to = (piece.name.path, piece.offset + len(piece.content), expected - 1)
        return (
            _batch(epoch, after, expected, records, gaps, damage, appends)
            if expected > after + 1
            else None
        )

    def _pieces(self, after: int) -> Iterator[_Piece]:
        """Segments with seqs above ``after``, up to the batch size; called under the lock."""
        files = self._files
        total = 0
        if files.open is not None and not files.open.bad:
            fsio.sync(files.open.fd, files.open.path, at="read")
        for name in files.segments():
            last = name.last
            size = -1
            if last is None:
                assert files.open is not None
                last, size = files.open.next_seq - 1, files.open.end
            if last <= after:
                continue
            offset = 0
            if self._read_to is not None and self._read_to[::2] == (name.path, after):
                offset = self._read_to[1]
            with name.path.open("rb") as file:
                boot_id = _boot_of(file.readline())
                file.seek(offset)
                content = file.read(size - offset if size >= 0 else -1)
            yield _Piece(name, last, offset, content, boot_id)
            total += len(content)
            if total >= BATCH_BYTES:
                return

    def blob_path(self, batch: Batch, record: Record) -> Path:
        """Where a pending record's content lies, if it brought any."""
        directory = self._files.directory / batch.epoch
        return blobs.path_of(directory, record.seq, record.fields["blob"])

    def quarantine_damage(self, batch: Batch) -> None:
        """Keep the damaged bytes and the blobs of the gaps. Idempotent."""
        directory = self._files.directory / "quarantine"
        if not batch.damage and not batch.gaps:
            return
        fsio.make_dirs(directory, at="quarantine")
        for piece in batch.damage:
            name = f"{batch.epoch}-{piece.segment}-{piece.offset}.bin"
            fsio.write_atomic(directory / name, piece.content, at="quarantine")
        for seq, sha256, path in blobs.names(self._files.directory / batch.epoch):
            if any(gap.first <= seq <= gap.last for gap in batch.gaps):
                fsio.rename(path, directory / f"{batch.epoch}-{seq}-{sha256}", at="quarantine")

    def quarantine_blob(self, batch: Batch, record: Record) -> None:
        """Keep content that isn't what its hash says."""
        directory = self._files.directory / "quarantine"
        fsio.make_dirs(directory, at="quarantine")
        path = self.blob_path(batch, record)
        fsio.rename(path, directory / f"{batch.epoch}-{path.name}", at="quarantine")

    def has_quarantined_blob(self, batch: Batch, record: Record) -> bool:
        """Whether its content was set aside already, before a crash or a conflict."""
        name = f"{batch.epoch}-{self.blob_path(batch, record).name}"
        return (self._files.directory / "quarantine" / name).exists()

    def ack(self, epoch: str, seq: int, generation: str) -> None:
        """Give up what is committed in the lake up to ``seq``. Idempotent; never goes back."""
        with self._files.locked() as state:
            if state.epoch != epoch:
                return
            done = state
            if seq > state.acked or generation != state.generation:
                done = state.with_ack(max(seq, state.acked), self._clock.wall_us(), generation)
                self._write_ack(done)
            self._set_aside(done)
            blobs.remove_acked(self._files.epoch_dir, done.acked)

    def _write_ack(self, state: StreamState) -> None:
        """On a full disk an ack makes room, so it may take what only speed or comfort needs."""
        try:
            self._files.write_state(state, at="ack")
        except OSError as error:
            if error.errno not in NO_ROOM or not self._give_up_room():
                raise
            self._files.write_state(state, at="ack")

    def _give_up_room(self) -> bool:
        """Remove this stream's oldest kept segment, or else the open one's zeros."""
        for path in sorted(self._files.acked_dir.glob("*/*.seg")):
            return fsio.unlink(path, at="ack")
        segment = self._files.open
        if segment is None or segment.bad or segment.size <= segment.end:
            return False
        fsio.truncate(segment.fd, segment.end, segment.path, at="ack")
        segment.size = segment.end
        return True

    def _set_aside(self, state: StreamState) -> None:
        """Move acked segments away, except the newest (rule 7)."""
        names = self._files.segments()
        done = [name for name in names[:-1] if name.last is not None and name.last <= state.acked]
        if not done:
            return
        target = self._files.acked_dir / state.epoch
        fsio.make_dirs(target, at="ack")
        acked_s = (state.acked_at or self._clock.wall_us()) / 1e6
        for name in done:
            os.utime(name.path, (acked_s, acked_s))  # it is kept so long after the ack
            fsio.rename(name.path, target / name.path.name, at="ack")
        fsio.sync_dir(target, at="ack")
        fsio.sync_dir(self._files.epoch_dir, at="ack")

    def newest_acked(self) -> Record | None:
        """The newest record that was acked and is still kept, to look for in the lake."""
        with self._files.locked() as state:
            kept = [name.path for name in self._files.segments() if name.first <= state.acked]
            kept += sorted((self._files.acked_dir / state.epoch).glob("*.seg"))[-1:]
            lines = [
                line
                for path in kept
                for line in _records(path.read_bytes(), -1)
                if line.seq <= state.acked
            ]
        newest = max(lines, key=lambda line: line.seq, default=None)
        return None if newest is None else Record(newest.seq, orjson.loads(newest.payload))

    def kept(self, since_us: int, within_s: float) -> list[Record]:
        """What is still here, shipped or not, of segments written to since a time; in its order.

        Raises :class:`~lifelog_lake.errors.Locked` if the stream's lock isn't to be had in time.
        """
        with self._files.locked_within(within_s):
            paths = [
                path
                for path in sorted(self._files.acked_dir.glob("*/*.seg"))
                if path.stat().st_mtime >= since_us / 1e6
            ]
            paths += [name.path for name in self._files.segments()]
            contents = [path.read_bytes() for path in paths]
        return [
            Record(line.seq, orjson.loads(line.payload))
            for content in contents
            for line in _records(content, -1)
        ]

    def stats(self, within_s: float | None = None) -> StreamStats:
        """How the stream stands, from its files.

        Raises :class:`~lifelog_lake.errors.Locked` if its lock isn't to be had within a time.
        """
        files = self._files
        with files.locked() if within_s is None else files.locked_within(within_s) as state:
            next_seq = self._files.next_seq(state)
            names = [
                name
                for name in self._files.segments()
                if name.last is None or name.last > state.acked
            ]
            content = names[0].path.read_bytes() if names else b""
            newest = names[-1].path.read_bytes() if len(names) > 1 else content
            size = sum(name.path.stat().st_size for name in names)
            size += sum(path.stat().st_size for _, _, path in blobs.names(self._files.epoch_dir))
        pending = next_seq - 1 - state.acked
        return StreamStats(
            epoch=state.epoch,
            next_seq=next_seq,
            acked_seq=state.acked,
            pending_rows=pending,
            pending_bytes=size if pending else 0,
            oldest_at=_first_at(content, state.acked) if pending else None,
            newest_at=_last_at(newest, state.acked) if pending else None,
            last_ack_at=state.acked_at,
        )


def _batch(
    epoch: str,
    after: int,
    expected: int,
    records: list[Record],
    gaps: list[Gap],
    damage: list[DamagedBytes],
    appends: list[Append],
) -> Batch:
    return Batch(
        epoch=epoch,
        first=after + 1,
        last=expected - 1,
        records=tuple(records),
        gaps=tuple(gaps),
        damage=tuple(damage),
        appends=tuple(appends),
    )


def _append(end: Line, first: int, boot_id: str) -> Iterator[Append]:
    """When a batch was appended, by the line that ends it."""
    said = orjson.loads(end.payload)
    if isinstance(wall_us := said.get("wall_us"), int) and isinstance(
        boot_us := said.get("boot_us"), int
    ):
        yield Append(first=first, last=end.seq, boot_id=boot_id, wall_us=wall_us, boot_us=boot_us)


def _boot_of(header: bytes) -> str:
    """The boot that a segment was begun in; empty if its first line is damaged."""
    line = parse(header, 0)
    if line is None or line.kind != b"H":
        return ""
    return str(orjson.loads(line.payload).get("boot_id") or "")


def _damaged(piece: _Piece, start: int, end: int) -> DamagedBytes:
    return DamagedBytes(
        segment=piece.name.path.name,
        offset=piece.offset + start,
        content=piece.content[start:end],
    )


def _gaps(state: StreamState, first: int, last: int, damaged: bool) -> Iterator[Gap]:
    """The seqs that aren't there, cut where a recorded drop explains them."""
    times = {first: (began, ended) for first, began, ended in state.dropped_times}
    for dropped_first, dropped_last in sorted(state.dropped):
        if dropped_last < first or dropped_first > last:
            continue
        if dropped_first > first:
            yield Gap(
                first=first, last=dropped_first - 1, kind="quarantined" if damaged else "lost"
            )
        yield Gap(
            first=max(first, dropped_first),
            last=min(last, dropped_last),
            kind="dropped",
            times=times.get(dropped_first),
        )
        first = dropped_last + 1
    if first <= last:
        yield Gap(first=first, last=last, kind="quarantined" if damaged else "lost")


def _records(content: bytes, acked: int) -> Iterator[Line]:
    for item in scan(content):
        if isinstance(item, Line) and item.kind == b"R" and item.seq > acked:
            yield item


def times_of(content: bytes, acked: int) -> tuple[int, int] | None:
    """When the first and the last record above ``acked`` of a segment were recorded."""
    first, last = _first_at(content, acked), _last_at(content, acked)
    return None if first is None or last is None else (first, last)


def _first_at(content: bytes, acked: int) -> int | None:
    return _at(next(_records(content, acked), None))


def _last_at(content: bytes, acked: int) -> int | None:
    last = last_record(content)
    if last is None:  # damage at the end, or no record at all
        last = max(_records(content, acked), key=lambda line: line.seq, default=None)
    return _at(last if last is not None and last.seq > acked else None)


def _at(line: Line | None) -> int | None:
    return None if line is None else int(orjson.loads(line.payload)["at"])
