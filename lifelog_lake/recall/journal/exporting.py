"""The journal as a file: JSON, JSON Lines, or a zip with the attached files.

Written entry by entry in constant memory, under a temporary name until all of it is durable. The
same entries give the same bytes: they are in the order of ``at`` and id, and nothing tells of the
export itself.

JSON is one object, ``{"format": "lifelog-journal", "version": 1, "entries": […]}``, an entry a
line; JSON Lines has the same lines alone. A zip holds ``entries.jsonl`` and
``files/<key>/<name>``. An entry is what :meth:`Entry.as_json` gives; with ``history`` its earlier
revisions, too.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import orjson

from lifelog_lake import fsio
from lifelog_lake.errors import LakeDamaged, UsageError
from lifelog_lake.recall.journal.content import display_name
from lifelog_lake.recall.journal.journal import Journal
from lifelog_lake.recall.journal.model import Attachment
from lifelog_lake.recall.journal.pages import Query, Snapshot

Format = Literal["json", "jsonl", "zip"]
#: Told how many entries are done, and how many there are.
Progress = Callable[[int, int], None]

HEAD = {"format": "lifelog-journal", "version": 1}
ENTRIES, FILES = "entries.jsonl", "files"
#: What a zip says of when its files were changed: always the same.
_WHEN = (1980, 1, 1, 0, 0, 0)
_ALL = Query(sort="at", newest_first=False)
_PIECE_BYTES = 1024 * 1024
_KEY = re.compile(r"[A-Za-z0-9_-]{1,100}")


@dataclass(slots=True, kw_only=True)
class Exported:
    """What was written. ``lost`` are attachments whose content isn't there any more."""

    entries: int = 0
    files: int = 0
    lost: list[str]


def format_of(path: Path) -> Format:
    """The format that a file's name says; raises :class:`UsageError`."""
    match path.suffix.lower():
        case ".json":
            return "json"
        case ".jsonl" | ".ndjson":
            return "jsonl"
        case ".zip":
            return "zip"
    raise UsageError(
        f"{path.name} doesn't say in which format.", hint="End it in .json, .jsonl or .zip."
    )


def export_file(
    journal: Journal,
    path: Path,
    format_: Format,
    *,
    history: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Write all entries into a file, whole or not at all; durable on return."""
    with whole_file(path) as file:
        return export(journal, file, format_, history=history, progress=progress)


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that is there under its name once all of it is written and durable, or else not."""
    temporary = fsio.temporary_beside(path)
    try:
        fd = fsio.open_new(temporary, at="export")
        with os.fdopen(fd, "w+b") as file:
            yield file
            file.flush()
            fsio.sync(fd, temporary, at="export")
        fsio.rename(temporary, path, at="export")
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UsageError(
            f"{path} can't be written: {error.strerror or error}.",
            hint="Is there room, and may you write there?",
        ) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsio.sync_dir(path.absolute().parent, at="export")


def export(
    journal: Journal,
    out: BinaryIO,
    format_: Format,
    *,
    history: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Write all entries, as they are now, into an open file."""
    done = Exported(lost=[])
    out.writelines(stream(journal, format_, done, history=history, progress=progress))
    return done


def stream(
    journal: Journal,
    format_: Format,
    done: Exported,
    *,
    history: bool = False,
    progress: Progress | None = None,
) -> Iterator[bytes]:
    """All entries, as they are now, as the pieces of a file; ``done`` tells how far it is."""
    with journal.snapshot() as there:
        lines = _lines(there, done, history=history, progress=progress)
        if format_ == "zip":
            yield from _zip(journal, there, lines, done)
        elif format_ == "jsonl":
            for line in lines:
                yield line + b"\n"
        else:
            yield orjson.dumps(HEAD)[:-1] + b',"entries":['
            between = b"\n"
            for line in lines:
                yield between + line
                between = b",\n"
            yield b"\n]}\n"


def _lines(
    there: Snapshot, done: Exported, *, history: bool, progress: Progress | None
) -> Iterator[bytes]:
    total = there.count()
    for entry in there.entries(_ALL):
        fields = entry.as_json()
        if history:
            before = [one for one in there.history(entry.id) if one.id != entry.revision]
            fields["history"] = [one.as_json() for one in before]
        yield orjson.dumps(fields)
        done.entries += 1
        if progress is not None:
            progress(done.entries, total)


def _zip(
    journal: Journal, there: Snapshot, lines: Iterator[bytes], done: Exported
) -> Iterator[bytes]:
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[call-overload]
        with archive.open(_member(ENTRIES), "w", force_zip64=True) as file:
            for line in lines:
                file.write(line + b"\n")
                yield from pipe.taken()
        # The files come behind: a zip has one member open at a time.
        for entry in there.entries(_ALL):
            for one in entry.attachments:
                try:
                    content = journal.content(one)
                except LakeDamaged:  # the caller tells it; the rest is worth having
                    done.lost.append(one.id)
                    continue
                member = _member(member_name(one))
                with content, archive.open(member, "w", force_zip64=True) as file:
                    while piece := content.read(_PIECE_BYTES):
                        file.write(piece)
                        yield from pipe.taken()
                done.files += 1
    yield from pipe.taken(all_of_it=True)


class _Pipe:
    """A file that is written to at one end and taken from at the other."""

    def __init__(self) -> None:
        self._ready = bytearray()

    def write(self, piece: bytes, /) -> int:
        self._ready += piece
        return len(piece)

    def flush(self) -> None:
        """Nothing is held back."""

    def taken(self, *, all_of_it: bool = False) -> Iterator[bytes]:
        """What was written since, if it is worth a piece."""
        if self._ready and (all_of_it or len(self._ready) >= _PIECE_BYTES // 16):
            yield bytes(self._ready)
            self._ready.clear()


def member_name(file: Attachment) -> str:
    """Where a zip has a file. Another writer's key or name must not lead out of where it goes."""
    key = file.key if _KEY.fullmatch(file.key) else hashlib.sha256(file.key.encode()).hexdigest()
    return f"{FILES}/{key}/{display_name(file.name, file.media_type)}"


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, _WHEN)
    member.compress_type = zipfile.ZIP_DEFLATED
    member.external_attr = 0o600 << 16
    return member
