"""A new epoch: pending rows, and on request the kept acked ones, numbered again from 0.

Needed when the numbers of the old epoch can't be trusted any more: the home is an older copy or a
clone, or the lake went back. The new epoch is built beside the old one; the replacement of
``state.json`` makes it current. A crash before it changes nothing, a crash after it loses nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson

from lifelog_lake import fsio
from lifelog_lake.events import new_id
from lifelog_lake.spool import blobs
from lifelog_lake.spool.files import StreamFiles
from lifelog_lake.spool.inlet import header_payload
from lifelog_lake.spool.outlet import Record
from lifelog_lake.spool.segment import Line, OpenSegment, frame, open_name, scan
from lifelog_lake.spool.state import NAME, StreamState, parse_state

CHUNK_ROWS = 1000


def renew(
    files: StreamFiles,
    *,
    device: str,
    expected_epoch: str,
    expected_dropped: tuple[tuple[int, int], ...] | None = None,
    generation: str,
    segment_bytes: int,
    offer_acked: bool,
    leave_out: Callable[[Record], bool],
) -> StreamState:
    """Begin a new epoch with the pending records, less those that ``leave_out`` names.

    ``offer_acked`` puts the kept acked records before them. The shipper compares each row's id
    with the lake's, so a row that is there already isn't doubled. Does nothing if the current
    epoch isn't ``expected_epoch`` any more (another shipper was quicker), or if more was dropped
    than ``expected_dropped`` names: the caller records that first. A failed attempt leaves nothing.
    """
    with files.locked() as state:
        if state.epoch != expected_epoch or expected_dropped not in (None, state.dropped):
            return state
        epoch = new_id()
        building = files.directory / f".tmp-{epoch}"
        try:
            header = header_payload(files.name, device, epoch, "", files.last_cursor())
            kept = _kept(files, state, offer_acked, leave_out)
            rows = _build(building, header, files.epoch_dir, kept, segment_bytes)
            fsio.rename(building, files.directory / epoch, at="renew")
            fsio.sync_dir(files.directory, at="renew")
            renewed = StreamState(
                epoch=epoch, check_ids_to=rows - 1, generation=generation, acked_at=state.acked_at
            )
            files.write_state(renewed, at="renew")
        except Exception:  # whatever it was: what was built goes, and the caller is told
            shutil.rmtree(building, ignore_errors=True)
            if parse_state(files.directory / NAME).epoch != epoch:  # its replacement may have gone
                shutil.rmtree(files.directory / epoch, ignore_errors=True)  # through all the same
            raise
        old_dir = files.epoch_dir
        if files.open is not None:
            files.open.close()
            files.open = None
        _remove(old_dir)
        if offer_acked and files.acked_dir.is_dir():
            for directory in files.acked_dir.iterdir():
                _remove(directory)
    return renewed


def _build(
    building: Path, header: bytes, old_dir: Path, records: Iterator[Record], segment_bytes: int
) -> int:
    """Write the records of a new epoch with their content; durable on return. Their number."""
    fsio.make_dirs(building / blobs.DIRECTORY, at="renew")
    segment = OpenSegment.create(building / open_name(0), 0, header)
    try:
        for chunk in _chunks(records):
            if segment.end >= segment_bytes:
                following = segment.next_seq
                segment.seal()
                segment = OpenSegment.create(building / open_name(following), following, header)
            lines = []
            for record in chunk:
                seq = segment.next_seq
                lines.append(frame(b"R", seq, orjson.dumps(record.fields)))
                segment.next_seq += 1
                _bring_blob(old_dir, record, building, seq)
            room = sum(map(len, lines))
            segment.reserve(room)
            segment.write(b"".join(lines))
    finally:
        segment.close()
    fsio.sync_dir(building / blobs.DIRECTORY, at="renew")
    fsio.sync_dir(building, at="renew")
    return segment.next_seq


def _kept(
    files: StreamFiles,
    state: StreamState,
    offer_acked: bool,
    leave_out: Callable[[Record], bool],
) -> Iterator[Record]:
    if offer_acked and files.acked_dir.is_dir():
        for directory in sorted(files.acked_dir.iterdir()):
            for path in sorted(directory.glob("*.seg")):
                yield from _records(path, -1, int(path.stem.split("-")[1]))
    for name in files.segments():
        last = name.last if name.last is not None else files.next_seq(state) - 1
        for record in _records(name.path, -1 if offer_acked else state.acked, last):
            if record.seq <= state.acked or not leave_out(record):
                yield record


def _records(path: Path, after: int, last: int) -> Iterator[Record]:
    for item in scan(path.read_bytes()):
        if isinstance(item, Line) and item.kind == b"R" and after < item.seq <= last:
            yield Record(item.seq, orjson.loads(item.payload))


def _chunks(records: Iterator[Record]) -> Iterator[list[Record]]:
    chunk: list[Record] = []
    for record in records:
        chunk.append(record)
        if len(chunk) >= CHUNK_ROWS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _bring_blob(old_dir: Path, record: Record, building: Path, seq: int) -> None:
    sha256 = record.fields.get("blob")
    if sha256 is None:
        return
    source = blobs.path_of(old_dir, record.seq, sha256)
    if source.exists():
        blobs.link_or_copy(source, blobs.path_of(building, seq, sha256))


def _remove(directory: Path) -> None:
    """Remove an epoch's files; what a crash leaves is removed with the leftovers."""
    aside = directory.parent / f".tmp-{directory.name}"
    try:
        os.replace(directory, aside)
    except FileNotFoundError:
        return
    for path in sorted(aside.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    aside.rmdir()
