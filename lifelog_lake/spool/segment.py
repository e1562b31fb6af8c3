"""Segments: checksummed lines in a file that grows by zeros. See the package docstring."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from lifelog_lake import fsio
from lifelog_lake.errors import SpoolFull, SpoolWriteFailed

#: An open segment grows in steps, so that most syncs carry no file metadata: of this size, or of
#: so many appends like the one that needs room if they are large, up to a limit.
STEP_BYTES = 128 * 1024
STEP_APPENDS = 12
STEP_MOST_BYTES = 1024 * 1024

#: crc, length, seq, type and the blanks between them.
PREFIX_BYTES = 37
CRC_BYTES = 9  # with its blank
_SEALED = re.compile(r"(\d{20})-(\d{20})\.seg")
_OPEN = re.compile(r"(\d{20})\.open")
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Line(NamedTuple):
    """One right line of a segment; ``start`` and ``end`` are byte offsets.

    A tuple, as a backlog has hundreds of thousands: a frozen dataclass takes four times as long.
    """

    kind: bytes
    seq: int
    payload: bytes
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes of a segment that are no right line."""

    start: int
    end: int


@dataclass(frozen=True, slots=True, order=True)
class SegmentName:
    """What a segment's file name says. ``last`` is None for an open segment."""

    first: int
    path: Path
    last: int | None = None


def parse_name(path: Path) -> SegmentName | None:
    """Read a file name; None if it isn't a segment's."""
    if match := _SEALED.fullmatch(path.name):
        return SegmentName(int(match[1]), path, int(match[2]))
    if match := _OPEN.fullmatch(path.name):
        return SegmentName(int(match[1]), path)
    return None


def open_name(first: int) -> str:
    """File name of an open segment."""
    return f"{first:020d}.open"


def sealed_name(first: int, last: int) -> str:
    """File name of a sealed segment."""
    return f"{first:020d}-{last:020d}.seg"


def frame(kind: bytes, seq: int, payload: bytes) -> bytes:
    """One line."""
    rest = b"%08x %016x %b %b" % (len(payload), seq, kind, payload)
    return b"%08x %b\n" % (zlib.crc32(rest), rest)


def parse(data: bytes, start: int) -> Line | None:
    """The line that begins at ``start``, or None if no right one does."""
    checked = start + CRC_BYTES
    payload = start + PREFIX_BYTES
    try:
        end = payload + int(data[checked : checked + 8], 16)
        seq = int(data[checked + 9 : payload - 3], 16)
    except ValueError:
        return None
    kind = data[payload - 2 : payload - 1]
    if not kind.isupper() or not payload <= end < len(data):
        return None
    # Compared as text: what isn't just as `frame` writes it is damage. Then the rest is right too.
    if data[start:checked] != b"%08x " % zlib.crc32(data[checked:end]):
        return None
    return Line(kind, seq, data[payload:end], start, end + 1)


def scan(data: bytes, start: int = 0) -> Iterator[Line | Damage]:
    """All lines from ``start`` to the zeros at the end, and the damage between them."""
    size = len(data.rstrip(b"\0"))
    position = start
    while position < size:
        line = parse(data, position)
        if line is not None:
            yield line
            if data[line.end - 1] != ord("\n"):  # the record is right, its newline isn't
                yield Damage(line.end - 1, line.end)
            position = line.end
            continue
        following = position
        while True:
            newline = data.find(b"\n", following, size)
            following = size if newline < 0 else newline + 1
            if following >= size or parse(data, following) is not None:
                break
        yield Damage(position, following)
        position = following


def last_record(data: bytes) -> Line | None:
    """The last record, from the end on; None if damage comes before it, or there is none."""
    end = len(data.rstrip(b"\0"))
    while end > 0:
        begin = data.rfind(b"\n", 0, end - 1) + 1
        line = parse(data, begin)
        if line is None or line.end != end:
            return None
        if line.kind == b"R":
            return line
        end = begin
    return None


def torn_from(data: bytes, damage: Damage) -> int:
    """Where, in damage at the end of a segment, the unfinished line begins (rule 4)."""
    return data.rfind(b"\n", damage.start, damage.end) + 1 or damage.start


def lines_in(data: bytes, damage: Damage) -> int:
    """How many seqs damaged whole lines may have held; headers and ends of batches hold none."""
    lines = data[damage.start : damage.end].split(b"\n")[:-1]
    kinds = [line[PREFIX_BYTES - 2 : PREFIX_BYTES - 1] for line in lines]
    return sum(1 for kind in kinds if kind not in (b"C", b"H"))


class OpenSegment:
    """The segment that is appended to. Every call is made under the stream's lock.

    ``end`` is where the next line goes, ``next_seq`` what the next record gets, ``content_bytes``
    the size of the blobs that its records brought.
    """

    def __init__(self, path: Path, fd: int, *, end: int, size: int, next_seq: int) -> None:
        self.path = path
        self.name = str(path)  # looked at in each append, where a Path costs more than the call
        self.fd = fd
        self.end = end
        self.size = size
        self.next_seq = next_seq
        self.inode = os.fstat(fd).st_ino
        self.content_bytes = 0
        self.boot_id = ""
        self.cursor: bytes | None = None
        self.bad = False

    @classmethod
    def create(cls, path: Path, first: int, header: bytes) -> OpenSegment:
        """Create a segment with its header and first step of zeros; durable with its name.

        An empty one of the same name is replaced: its header may be all that holds the cursor.
        """
        replaced = path.exists()
        made = fsio.temporary_beside(path.parent) if replaced else path
        fd = fsio.open_new(made, at="append.new")
        segment = cls(made, fd, end=0, size=0, next_seq=first)
        try:
            line = frame(b"H", first, header)
            segment.reserve(len(line))
            segment.write(line)
            if replaced:
                fsio.rename(made, path, at="append.new")
                segment.path, segment.name = path, str(path)
            fsio.sync_dir(path.parent, at="append.new")
        except BaseException:
            segment.close()
            made.unlink(missing_ok=True)
            raise
        return segment

    @property
    def is_empty(self) -> bool:
        """Whether it holds no seq, only its header."""
        return int(self.path.stem) == self.next_seq

    def reserve(self, room: int, *, to_the_last: bool = False) -> None:
        """Extend the file by zeros until ``room`` bytes follow the last line.

        Raises :class:`SpoolFull` if the disk has none; the file is as before then. Only
        ``to_the_last`` takes what little is left: an ack needs some of it.
        """
        wanted = self.end + room
        if wanted <= self.size:
            return
        least = wanted - self.size
        try:
            self._extend(max(STEP_BYTES, min(STEP_APPENDS * room, STEP_MOST_BYTES), least))
        except SpoolFull:  # a disk that is nearly full may still have what is needed now
            self._extend(least if to_the_last else max(STEP_BYTES, least))

    def _extend(self, step: int) -> None:
        try:
            fsio.pwrite(self.fd, bytes(step), self.size, self.path, at="append.extend")
        except OSError as error:
            os.ftruncate(self.fd, self.size)
            if error.errno in NO_ROOM:
                raise SpoolFull(
                    "The disk is full.",
                    hint="Make room; capture goes on by itself.",
                    path=str(self.path),
                ) from error
            raise
        self.size += step

    def write(self, data: bytes) -> None:
        """Write lines and sync them. On failure nothing counts and the segment is ``bad``."""
        try:
            fsio.pwrite(self.fd, data, self.end, self.path, at="append")
            fsio.sync(self.fd, self.path, at="append")
        except OSError as error:
            self.bad = True
            # Best effort: other processes must not read what wasn't acknowledged. A disk that
            # refuses this too is covered by `bad`: the next append begins a new file.
            with contextlib.suppress(OSError):
                fsio.clear(self.fd, len(data), self.end)
            raise SpoolWriteFailed(
                f"Writing to the spool failed: {error.strerror or error}.",
                hint="The batch isn't acknowledged; the next one begins a new file.",
                path=str(self.path),
            ) from error
        self.end += len(data)

    def seal(self) -> Path:
        """Cut the zeros off, sync, and give the file its sealed name."""
        if not self.bad:
            fsio.truncate(self.fd, self.end, self.path, at="seal")
            fsio.sync(self.fd, self.path, at="seal")
        self.close()
        first = int(self.path.stem)
        target = self.path.with_name(sealed_name(first, self.next_seq - 1))
        fsio.rename(self.path, target, at="seal")
        fsio.sync_dir(target.parent, at="seal")
        return target

    def close(self) -> None:
        """Close the file."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
