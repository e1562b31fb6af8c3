"""Into the spool: one durable append. The rules are in the package docstring."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from lifelog_lake import fsio
from lifelog_lake.clock import Clock
from lifelog_lake.errors import SpoolFull
from lifelog_lake.events import Event
from lifelog_lake.spool import blobs
from lifelog_lake.spool.files import StreamFiles, refusal
from lifelog_lake.spool.segment import STEP_BYTES, OpenSegment, frame, open_name
from lifelog_lake.spool.state import StreamState
from lifelog_lake.validate import JSON


def encode(event: Event, tz: str) -> bytes:
    """The payload of a record: JSON without what is null; ``tz`` if the event names no zone."""
    fields: dict[str, Any] = {"id": event.id, "at": event.at}
    if event.end is not None:
        fields["end"] = event.end
    if event.cont is not None:
        fields["cont"] = event.cont
    fields["tz"] = event.tz or tz
    if event.blob is not None and event.source is None:
        fields["blob"] = event.blob
        fields["blob_bytes"] = event.blob_bytes
        fields["media_type"] = event.media_type
    fields["data"] = event.data
    if event.extra is not None:
        fields["extra"] = event.extra
    return orjson.dumps(fields)


def _content_fields(blob: blobs.TakenIn, event: Event) -> bytes:
    """The rest of a payload whose record brings content: known only when that was read."""
    return b',"blob":"%b","blob_bytes":%d,"media_type":%b}' % (
        blob.sha256.encode("ascii"),
        blob.size_bytes,
        orjson.dumps(event.media_type),
    )


class Inlet:
    """Appends to one stream. A ``reserved`` one keeps room on a full disk."""

    def __init__(
        self,
        files: StreamFiles,
        *,
        device: str,
        segment_bytes: int,
        content_bytes: int,
        clock: Clock,
        reserved: bool,
        check_room: Callable[[], None],
    ) -> None:
        self._files = files
        self._device = device
        self._segment_bytes = segment_bytes
        self._content_bytes = content_bytes
        self._clock = clock
        self._reserved = reserved
        self._check_room = check_room
        #: Bytes of rows and content that this object has written.
        self.written_bytes = 0

    def append(self, events: Sequence[Event], cursor: JSON = None) -> range:
        """Take events and the source's cursor in, all or nothing; durable on return.

        Returns their seqs. Raises :class:`SpoolFull` or :class:`SpoolWriteFailed`; nothing is
        acknowledged then and the same events may be offered again.
        """
        try:
            if not self._reserved:
                self._check_room()
            if all(event.source is None for event in events):
                return self._write(events, cursor, {}, None)
            with contextlib.ExitStack() as undo:
                taken = {}
                for index, event in enumerate(events):
                    if event.source is not None:
                        taken[index] = blob = blobs.take_in(self._files.directory, event.source)
                        undo.callback(blob.path.unlink, missing_ok=True)
                return self._write(events, cursor, taken, undo)
        except OSError as error:
            raise refusal(error, self._files.name) from error

    def _write(
        self,
        events: Sequence[Event],
        cursor: JSON,
        taken: dict[int, blobs.TakenIn],
        undo: contextlib.ExitStack | None,
    ) -> range:
        """Under the stream's lock: number the events, place their content, write and sync."""
        with self._files.locked() as state:
            segment = self._writable(state)
            first = segment.next_seq
            if undo is not None:
                self._place(taken, first, undo)
            data = self._lines(events, taken, first, cursor)
            self._make_room(segment, len(data))
            segment.write(data)
            segment.next_seq = first + len(events)
            if cursor is not None:
                segment.cursor = orjson.dumps(cursor)
            if undo is not None:
                undo.pop_all()
                segment.content_bytes += sum(blob.size_bytes for blob in taken.values())
        self.written_bytes += len(data) + sum(blob.size_bytes for blob in taken.values())
        return range(first, first + len(events))

    def _place(
        self, taken: dict[int, blobs.TakenIn], first: int, undo: contextlib.ExitStack
    ) -> None:
        directory = self._files.epoch_dir
        for index, blob in taken.items():
            path = blobs.place(directory, first + index, blob)
            undo.callback(path.unlink, missing_ok=True)
        fsio.sync_dir(directory / blobs.DIRECTORY, at="blob.put")

    def _lines(
        self, events: Sequence[Event], taken: dict[int, blobs.TakenIn], first: int, cursor: JSON
    ) -> bytes:
        tz = self._clock.tz()
        payloads = [encode(event, tz) for event in events]
        for index, blob in taken.items():
            payloads[index] = payloads[index][:-1] + _content_fields(blob, events[index])
        lines = [frame(b"R", seq, payload) for seq, payload in enumerate(payloads, first)]
        end: dict[str, JSON] = {"wall_us": self._clock.wall_us(), "boot_us": self._clock.boot_us()}
        if cursor is not None:
            end["cursor"] = cursor
        lines.append(frame(b"C", max(first + len(events) - 1, 0), orjson.dumps(end)))
        return b"".join(lines)

    def _make_room(self, segment: OpenSegment, size: int) -> None:
        """Extend the file. A reserved stream does it half a step ahead, while the disk has room."""
        if self._reserved:
            with contextlib.suppress(SpoolFull):
                segment.reserve(size + STEP_BYTES // 2)
        segment.reserve(size, to_the_last=self._reserved)

    def _writable(self, state: StreamState) -> OpenSegment:
        """The open segment, rotated if it is full, failed once, or of an earlier boot."""
        files = self._files
        old = files.open
        boot_id = self._clock.boot_id()
        if old is None:
            files.open = self._create(files.next_seq(state), boot_id, files.last_cursor())
            return files.open
        full = old.end >= self._segment_bytes or old.content_bytes >= self._content_bytes
        if not old.bad and old.boot_id == boot_id and not full:
            return old
        if old.is_empty:
            files.open = None
            old.close()
            files.open = self._create(old.next_seq, boot_id, old.cursor)
            return files.open
        try:
            new = self._create(old.next_seq, boot_id, old.cursor)
        except SpoolFull:
            if old.bad or not self._reserved:
                raise
            return old  # on a full disk a reserved stream goes on in its old file
        files.open = None  # if sealing fails, the next look at the files finishes it
        try:
            old.seal()
        except BaseException:
            new.close()
            raise
        finally:
            old.close()
        files.open = new
        return new

    def _create(self, first: int, boot_id: str, cursor: bytes | None) -> OpenSegment:
        directory = self._files.epoch_dir
        fsio.make_dirs(directory / blobs.DIRECTORY, at="append.new")
        header = header_payload(self._files.name, self._device, self._files.epoch, boot_id, cursor)
        segment = OpenSegment.create(directory / open_name(first), first, header)
        segment.boot_id = boot_id
        segment.cursor = cursor
        return segment


def header_payload(
    stream: str, device: str, epoch: str, boot_id: str, cursor: bytes | None
) -> bytes:
    """The payload of a segment's first line."""
    return orjson.dumps(
        {
            "stream": stream,
            "device": device,
            "epoch": epoch,
            "boot_id": boot_id,
            "cursor": None if cursor is None else orjson.Fragment(cursor),
        }
    )
