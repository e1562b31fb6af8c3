"""All that one can do with the journal of a home and its lake.

What is decided on what is there (an edit of a revision, the last free place for a file) is decided
and appended under one lock of the home, so two at once can't both win. Other devices don't ask:
what they wrote meanwhile is another branch of the same entry, and the rules decide.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO, Literal

import orjson

from lifelog_lake.clock import Clock
from lifelog_lake.errors import (
    EntryChanged,
    EntryExists,
    EntryFull,
    LakeDamaged,
    LakeUnreachable,
    UnknownEntry,
)
from lifelog_lake.events import BlobSource, new_id
from lifelog_lake.home import Home
from lifelog_lake.journal_settings import JournalSettings
from lifelog_lake.locks import FileLock
from lifelog_lake.recall.journal import pages
from lifelog_lake.recall.journal.model import (
    Attachment,
    Change,
    Entry,
    NewEntry,
    Revision,
    order,
)
from lifelog_lake.recall.journal.outbox import Outbox
from lifelog_lake.recall.journal.pages import Page, Query, Snapshot
from lifelog_lake.recall.journal.rows import ATTACHMENT, attachment_event, journal_event

if TYPE_CHECKING:
    from lifelog_lake.lake.store import Store
    from lifelog_lake.recall.journal.index import JournalIndex

#: Bytes of randomness in a key.
KEY_BYTES = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file on its way: its pieces, what it is called, and what its sender says of it."""

    chunks: Iterable[bytes]
    name: str
    media_type: str | None = None
    length: int | None = None


class Journal:
    """Reads and writes entries. Threads may share one; processes have their own."""

    def __init__(self, home: Home, outbox: Outbox, clock: Clock) -> None:
        self._home = home
        self._outbox = outbox
        self._clock = clock
        self._lock = FileLock(home.run / "journal.lock")
        self._making = threading.Lock()
        #: Why the lake couldn't be reached the last time: what is told may be out of date.
        self.away: LakeUnreachable | None = None

    @property
    def settings(self) -> JournalSettings:
        """The section ``[journal]``."""
        return self._home.settings.journal

    @cached_property
    def _index(self) -> JournalIndex:
        # Who only writes a new entry doesn't need what reads tables.
        from lifelog_lake.lake import require_known
        from lifelog_lake.recall.journal.index import JournalIndex, index_path

        def lake() -> tuple[Store, str]:
            return self._store, require_known(self._home, self._store).mark

        return JournalIndex(index_path(self._home.path), lake, self._outbox)

    def close(self) -> None:
        """Let the files go."""
        if "_index" in self.__dict__:
            self._index.close()
        self._outbox.close()
        self._lock.close()

    def index(self) -> JournalIndex:
        """The index, up to date with lake and spool; or with the spool alone (see ``away``)."""
        with self._making:
            index = self._index
        self.away = index.refresh()
        return index

    # -- reading ----------------------------------------------------------------------------

    def get(self, entry_id: str) -> Entry:
        """An entry as it stands; raises :class:`UnknownEntry` if there is none or it is deleted."""
        return self._there(self.index(), entry_id)

    def history(self, entry_id: str) -> list[Revision]:
        """All revisions, the oldest first, also of a deleted entry."""
        found = self.index().ask(lambda db: pages.history(db, entry_id))
        if not found:
            raise _unknown(entry_id)
        return found

    def page(self, query: Query, *, limit: int = 50, cursor: str | None = None) -> Page:
        """A page of entries; raises :class:`UsageError` for a cursor of another list."""
        return self.index().ask(lambda db: pages.page(db, query, limit, cursor))

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """All of it as it is now, to go through in constant memory, whatever comes meanwhile."""
        with self.index().snapshot() as db:
            yield Snapshot(db)

    def attachment(self, key: str) -> Attachment:
        """A file by its key; raises :class:`UnknownEntry`."""
        found = self.index().ask(lambda db: pages.attachment(db, key))
        if found is None:
            raise UnknownEntry("There is no such attachment.", hint="It may have been removed.")
        return found

    def content(self, file: Attachment) -> BinaryIO:
        """A file's content, seekable, wherever it is now.

        Raises :class:`~lifelog_lake.errors.LakeDamaged` if it is lost.
        """
        from lifelog_lake.lake.store import blob_key

        if file.sha256 is not None:
            # The spool first: what it has given up is in the lake.
            if (waits := self._outbox.content(ATTACHMENT, file.sha256)) is not None:
                return waits
            with contextlib.suppress(FileNotFoundError):
                return self._store.open(blob_key(file.sha256))
        raise LakeDamaged(
            f"The content of the attachment {file.id} isn't in the lake.",
            hint="lifelog verify tells more; restore it from a backup.",
        )

    # -- writing ----------------------------------------------------------------------------

    def create(self, given: NewEntry, files: Sequence[Upload] = ()) -> Entry:
        """Write a new entry, and then its files; durable on return.

        Raises :class:`EntryExists` for an id that was given before. A file that is refused leaves
        the entry and the files before it.
        """
        self._room_for(len(files), 0)
        entry = self.create_all([given])[0]
        attached = tuple(self._take_in(entry.id, file, None) for file in files)
        return replace(entry, attachments=attached)

    def create_all(self, given: Sequence[NewEntry]) -> list[Entry]:
        """Write new entries, all of them or none; durable on return.

        Raises :class:`EntryExists` for an id that was given before, or twice.
        """
        revisions = [self._first(one) for one in given]
        named = {one.id for one in given if one.id is not None}
        if not named:
            self._append(*revisions)
        else:
            with self._lock:
                self.index()
                if len(named) < sum(one.id is not None for one in given) or any(
                    map(self.revisions, named)
                ):
                    raise EntryExists(
                        "An entry with this id was written before.",
                        hint="Edit that one, or leave the id out.",
                    )
                self._append(*revisions)
        return [Entry(current=revision) for revision in revisions]

    def _first(self, given: NewEntry) -> Revision:
        now_us = self._clock.wall_us()
        return Revision(
            id=new_id(),
            entry_id=given.id or new_id(),
            parent=None,
            lamport=1,
            written_at=now_us,
            device=self._outbox.device,
            deleted=False,
            at=now_us if given.at is None else given.at,
            tz=given.tz or self._clock.tz(),
            created_at=now_us,
            title=given.title,
            description=given.description,
            tags=given.tags,
            metadata=given.metadata,
        )

    def edit(self, entry_id: str, change: Change, *, expected: str | None = None) -> Entry:
        """Change an entry; durable on return. A change that changes nothing writes nothing.

        ``expected`` is the revision that the change was made for: if the entry is another one by
        now, :class:`EntryChanged` is raised and nothing is written.
        """
        with self._lock:
            index = self.index()
            entry = self._expected(index, entry_id, expected)
            changed = replace(entry.current, **change.given())  # type: ignore[arg-type]
            if orjson.dumps(changed.as_json()) == orjson.dumps(entry.current.as_json()):
                return entry  # compared as JSON: to Python, 1 and true are equal
            known = index.ask(lambda db: pages.history(db, entry_id))
            changed = replace(
                changed,
                id=new_id(),
                parent=entry.revision,
                lamport=next_lamport(known),
                written_at=self._clock.wall_us(),
                device=self._outbox.device,
            )
            self._append(changed)
        return replace(entry, current=changed)

    def delete(self, entry_id: str, *, expected: str | None = None) -> None:
        """Delete an entry; its revisions stay in the history. Durable on return."""
        with self._lock:
            index = self.index()
            self._expected(index, entry_id, expected)
            known = index.ask(lambda db: pages.history(db, entry_id))
            self._append(
                *(
                    replace(
                        head,
                        id=new_id(),
                        parent=head.id,
                        lamport=next_lamport(known),
                        written_at=self._clock.wall_us(),
                        device=self._outbox.device,
                        deleted=True,
                    )
                    for head in heads(known)
                    if not head.deleted
                )
            )

    def undelete(self, entry_id: str) -> Entry:
        """Bring a deleted entry back as it was last, with its files. Durable on return.

        One that isn't deleted stays as it is. Raises :class:`UnknownEntry`.
        """
        with self._lock:
            index = self.index()
            known = index.ask(lambda db: pages.history(db, entry_id))
            gone = [head for head in heads(known) if head.deleted]
            # Of branches that were written apart it was the one that the last delete replaced.
            final = max((one.lamport for one in gone), default=0)
            replaced = {one.parent for one in gone if one.lamport == final}
            there = [one for one in known if not one.deleted]
            shown = [one for one in there if one.id in replaced]
            last = max(shown or there, key=order, default=None)
            if last is None:
                raise _unknown(entry_id)
            if len(gone) == len(heads(known)):
                back = replace(
                    last,
                    id=new_id(),
                    parent=max(gone, key=order).id,
                    lamport=next_lamport(known),
                    written_at=self._clock.wall_us(),
                    device=self._outbox.device,
                )
                self._append(back)
        return self.get(entry_id)

    def attach(self, entry_id: str, file: Upload) -> Attachment:
        """Attach a file to an entry; durable on return, and if anything fails nothing is kept.

        Raises :class:`~lifelog_lake.errors.FileTooLarge`, :class:`FileRefused` (type, name,
        length, number), :class:`UnknownEntry`; memory doesn't grow with the file.
        """
        self.check_room(entry_id)
        with contextlib.ExitStack() as held:

            def at_end() -> None:
                """Under the lock now: others may have attached or deleted since it began."""
                held.enter_context(self._lock)
                self.check_room(entry_id)

            return self._take_in(entry_id, file, at_end)

    def check_room(self, entry_id: str) -> None:
        """Raise what attaching one more file would, whatever the file."""
        self._room_for(1, len(self.get(entry_id).attachments))

    def detach(self, key: str) -> None:
        """Remove a file from its entry; durable on return."""
        with self._lock:
            file = self.attachment(key)
            removed = replace(
                file,
                id=new_id(),
                uploaded_at=self._clock.wall_us(),
                device=self._outbox.device,
            )
            event = attachment_event(removed, self._outbox.device, None, deleted=True)
            self._outbox.append([event])

    # -- bringing in ------------------------------------------------------------------------

    @property
    def device(self) -> str:
        """The device on which this journal writes."""
        return self._outbox.device

    def now_us(self) -> int:
        """The time of writing, µs since 1970 UTC."""
        return self._clock.wall_us()

    def known(
        self, kind: Literal["entry", "revision", "attachment"], ids: Sequence[str]
    ) -> set[str]:
        """Those ids that are there already, of deleted entries too, as of the last look."""
        return self._index.ask(lambda db: pages.known(db, kind, ids))

    def revisions(self, entry_id: str) -> list[Revision]:
        """The revisions of an entry as of the last look; none for an unknown one."""
        return self._index.ask(lambda db: pages.history(db, entry_id))

    def has_content(self, file: Attachment) -> bool:
        """Whether the content of a file is in the spool or the lake, by whomever it was brought."""
        from lifelog_lake.lake import blobs

        if file.sha256 is None:
            return False
        waits = self._outbox.content(ATTACHMENT, file.sha256)
        if waits is not None:
            waits.close()
            return True
        return blobs.has(self._store, file.sha256, file.size_bytes)

    @contextlib.contextmanager
    def bringing(self) -> Iterator[JournalIndex]:
        """Nobody else of this home writes meanwhile; the index is up to date."""
        with self._lock:
            yield self.index()

    def bring(self, revisions: Sequence[Revision]) -> None:
        """Append revisions as they are, ids and all; within :meth:`bringing`. Durable."""
        self._append(*revisions)

    def bring_file(self, file: Attachment, content: BlobSource | None) -> None:
        """Append an attachment as it is; without content, that is in the lake or spool already."""
        self._outbox.append([attachment_event(file, self._outbox.device, content)])

    # -- parts ------------------------------------------------------------------------------

    @cached_property
    def _store(self) -> Store:
        from lifelog_lake.lake import parse_url

        return parse_url(self._home.lake_url, self._home)

    def _append(self, *revisions: Revision) -> None:
        device = self._outbox.device
        self._outbox.append([journal_event(revision, device) for revision in revisions])

    def _there(self, index: JournalIndex, entry_id: str) -> Entry:
        found = index.ask(lambda db: pages.entry(db, entry_id))
        if found is None:
            raise _unknown(entry_id)
        return found

    def _expected(self, index: JournalIndex, entry_id: str, expected: str | None) -> Entry:
        entry = self._there(index, entry_id)
        if expected is not None and entry.revision != expected:
            raise EntryChanged(
                "The entry was changed meanwhile.",
                hint=f"Look at it again; it is the revision {entry.revision} now.",
            )
        return entry

    def _room_for(self, more: int, there: int) -> None:
        most = self.settings.attachments_per_entry
        if there + more > most:
            raise EntryFull(
                f"An entry has at most {most} files.",
                hint="[journal] attachments_per_entry is the limit.",
            )

    def _take_in(
        self, entry_id: str, file: Upload, at_end: Callable[[], None] | None
    ) -> Attachment:
        from lifelog_lake.recall.journal.content import Incoming, display_name

        incoming = Incoming(
            file.chunks,
            name=file.name,
            said=file.media_type,
            length=file.length,
            settings=self.settings,
            at_end=at_end,
        )
        media_type = incoming.begin()
        attached = Attachment(
            id=new_id(),
            key=secrets.token_urlsafe(KEY_BYTES),
            entry_id=entry_id,
            name=display_name(file.name, media_type),
            media_type=media_type,
            size_bytes=0,
            sha256=None,
            uploaded_at=self._clock.wall_us(),
            device=self._outbox.device,
        )
        source = BlobSource(open=incoming.as_file, media_type=media_type)
        self._outbox.append([attachment_event(attached, self._outbox.device, source)])
        return replace(attached, size_bytes=incoming.size_bytes, sha256=incoming.sha256)


def heads(known: Sequence[Revision]) -> list[Revision]:
    """The revisions of an entry that no later one names as its parent."""
    latest = {one.parent: one.lamport for one in sorted(known, key=order) if one.parent is not None}
    return [one for one in known if latest.get(one.id, -1) <= one.lamport]


def next_lamport(known: Sequence[Revision]) -> int:
    """Later than all that is known of an entry."""
    return max(one.lamport for one in known) + 1


def _unknown(entry_id: str) -> UnknownEntry:
    return UnknownEntry(
        f"There is no entry {entry_id[:100]!r}.",
        hint="lifelog event list shows those there are; a deleted one is gone from it.",
    )
