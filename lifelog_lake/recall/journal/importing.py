"""Bringing entries in: our own exports, CSV and JSON Lines of other programs.

A file is read twice: first all of it is checked, and only if all is right the second time writes.
So a wrong line changes nothing, and a run that was killed is finished by another one.

What of our exports is there already is told by the ids of revisions and attachments: bringing an
export in is a union. An entry that was changed or deleted here since stays so; one that was changed
there is another branch, and the journal's rules decide. Other programs' rows get ids of what they
hold, so that importing twice adds nothing (see :mod:`~lifelog_lake.recall.journal.foreign`).
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Literal

from lifelog_lake.errors import FileRefused, UsageError
from lifelog_lake.events import BlobSource, pulled_id
from lifelog_lake.recall.journal import foreign, ours
from lifelog_lake.recall.journal.content import Incoming
from lifelog_lake.recall.journal.foreign import Columns, ForeignRow
from lifelog_lake.recall.journal.journal import Journal, heads, next_lamport
from lifelog_lake.recall.journal.model import Attachment, Revision, order
from lifelog_lake.recall.journal.ours import Brought, Source
from lifelog_lake.recall.journal.outbox import chunks_of
from lifelog_lake.recall.journal.rows import JOURNAL

Format = Literal["json", "jsonl", "zip", "csv"]
#: Told how many bytes of the file are read, and how many it has.
Progress = Callable[[int, int], None]
#: Revisions that are appended at once.
PORTION = 500
PIECE_BYTES = 1024 * 1024


@dataclass(slots=True, kw_only=True)
class Imported:
    """What came, or with a dry run would come.

    ``entries`` are new ones, ``changes`` further revisions of entries, ``present`` what was there
    already. ``without_content`` are attachments that the file only names and the lake hasn't got.
    ``first`` are titles of the first entries that are new.
    """

    entries: int = 0
    changes: int = 0
    files: int = 0
    present: int = 0
    without_content: int = 0
    first: list[str] = field(default_factory=list)


def import_file(
    journal: Journal,
    path: Path,
    format_: Format,
    *,
    columns: Columns | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Imported:
    """Bring the entries of a file in; idempotent, ids are kept. Durable on return.

    Raises :class:`UsageError` that names the line and what is wrong; then nothing was written.
    """
    columns = columns or Columns()
    try:
        with Source.open(path, format_, progress) as source:
            checked = _Run(journal, source, columns, write=False)
            done = checked.run()
        if dry_run:
            return done
        with Source.open(path, format_, progress) as source:
            return _Run(journal, source, columns, write=True).run()
    except OSError as error:
        raise UsageError(
            f"{path} can't be read: {error.strerror or error}.", hint="Is it there, and yours?"
        ) from error


class _Run:
    """One reading of a file, to check or to write."""

    def __init__(self, journal: Journal, source: Source, columns: Columns, *, write: bool) -> None:
        self._journal = journal
        self._source = source
        self._columns = columns
        self._write = write
        self._done = Imported()
        #: What this reading has come across: a temporary file, so memory doesn't grow.
        self._seen = sqlite3.connect("")

    def run(self) -> Imported:
        self._seen.execute("CREATE TABLE seen (id TEXT PRIMARY KEY) WITHOUT ROWID")
        self._seen.execute("CREATE TABLE counted (digest TEXT PRIMARY KEY, n INT) WITHOUT ROWID")
        with contextlib.closing(self._seen):
            portion: list[Brought | ForeignRow] = []
            for item in self._items():
                portion.append(item)
                if len(portion) >= PORTION:
                    self._take(portion)
                    portion.clear()
            self._take(portion)
        return self._done

    def _items(self) -> Iterator[Brought | ForeignRow]:
        if self._source.format == "csv":
            yield from foreign.csv_rows(self._source.text(), self._columns)
            return
        for place, value in self._source.objects():
            if ours.is_ours(value):
                yield ours.brought(value, place)
            else:
                yield foreign.row(value, place, self._columns)

    def _take(self, items: Sequence[Brought | ForeignRow]) -> None:
        if not items:
            return
        with self._journal.bringing():
            if self._journal.away is not None:  # what is there already can't be told
                raise self._journal.away
            revisions: list[Revision] = []
            fresh: dict[str, list[Revision]] = {}
            for item in items:
                if isinstance(item, Brought):
                    revisions += item.revisions
                else:
                    revisions.append(self._own(item, fresh))
            new = self._new(revisions)
            entries = {one.entry_id for one in new}
            there = self._journal.known("entry", sorted(entries))
            there |= {one for one in entries if self._met(f"entry/{one}")}
            for one in new:
                if one.entry_id in there:
                    self._done.changes += 1
                else:
                    there.add(one.entry_id)
                    self._done.entries += 1
                    if len(self._done.first) < 5:
                        self._done.first.append(one.title)
            self._note(f"entry/{one}" for one in entries)
            if self._write and new:
                self._journal.bring(new)
            for item in items:
                if isinstance(item, Brought) and item.files:
                    self._files(item)

    def _own(self, row: ForeignRow, fresh: dict[str, list[Revision]]) -> Revision:
        """A foreign row as a revision: the first of its entry, or one more.

        ``fresh`` are those of rows before it, by entry, that aren't written yet: of several rows
        with one id the last one counts.
        """
        fields = row.fields
        entry_id = fields.id or pulled_id(JOURNAL, row.digest, str(self._times(row.digest)))
        now_us = self._journal.now_us()
        revision = Revision(
            id=pulled_id("revision", entry_id, row.digest),
            entry_id=entry_id,
            parent=None,
            lamport=1,
            written_at=now_us,
            device=self._journal.device,
            deleted=False,
            at=now_us if fields.at is None else fields.at,
            tz=fields.tz,
            created_at=now_us if fields.created_at is None else fields.created_at,
            title=fields.title,
            description=fields.description,
            tags=fields.tags,
            metadata=fields.metadata,
        )
        before = fresh.setdefault(entry_id, [])
        known = [*self._journal.revisions(entry_id), *before]
        if known:
            last = max([one for one in heads(known) if not one.deleted] or known, key=order)
            revision = replace(
                revision,
                parent=last.id,
                lamport=next_lamport(known),
                created_at=last.created_at,
            )
        if all(one.id != revision.id for one in known):
            before.append(revision)
        return revision

    def _times(self, digest: str) -> int:
        """How often a row came before in this file."""
        counted = self._seen.execute(
            "INSERT INTO counted VALUES (?, 0) ON CONFLICT (digest) DO UPDATE SET n = n + 1 "
            "RETURNING n",
            (digest,),
        ).fetchone()
        return int(counted[0])

    def _new(self, found: Sequence[Revision]) -> list[Revision]:
        known = self._journal.known("revision", [one.id for one in found])
        new: dict[str, Revision] = {}
        for one in found:
            if one.id not in known and not self._met(f"id/{one.id}"):
                new.setdefault(one.id, one)
        self._done.present += len(found) - len(new)
        self._note(f"id/{name}" for name in new)
        return list(new.values())

    def _files(self, brought: Brought) -> None:
        known = self._journal.known("attachment", [one.id for one in brought.files])
        for file in brought.files:
            if file.id in known or self._met(f"id/{file.id}"):
                self._done.present += 1
                continue
            self._note([f"id/{file.id}"])
            content = self._source.content(file)
            if content is not None:
                try:
                    self._bring_content(file, content)
                except FileRefused as error:
                    where = f"{brought.place}, attachment {file.id}: "
                    raise FileRefused(where + error.message, hint=error.hint) from None
            elif self._journal.has_content(file):
                self._done.files += 1
                if self._write:
                    self._journal.bring_file(file, None)
            else:
                self._done.without_content += 1

    def _bring_content(self, file: Attachment, content: BinaryIO) -> None:
        """Check or append content: its type, size and hash must be what the export says."""
        with content:
            incoming = Incoming(
                chunks_of(content),
                name=file.name,
                said=file.media_type,
                length=file.size_bytes,
                sha256=file.sha256,
                settings=self._journal.settings,
            )
            media_type = incoming.begin()
            if self._write:
                source = BlobSource(open=incoming.as_file, media_type=media_type)
                self._journal.bring_file(file, source)
            else:
                while incoming.read(PIECE_BYTES):
                    pass
        self._done.files += 1

    def _met(self, name: str) -> bool:
        found = self._seen.execute("SELECT 1 FROM seen WHERE id = ?", (name,)).fetchone()
        return found is not None

    def _note(self, names: Iterable[str]) -> None:
        self._seen.executemany("INSERT OR IGNORE INTO seen VALUES (?)", ((n,) for n in names))
