"""Where the commands find entries: in this home and its lake, or behind a hub's API.

Both give entries as ``event show --json`` does, so the commands needn't know which it is.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

import typer

from lifelog_lake.cli.options import extra, here, home_path
from lifelog_lake.cli.output import err
from lifelog_lake.cli.progress import bar
from lifelog_lake.clock import utc
from lifelog_lake.errors import FileRefused, UsageError

if TYPE_CHECKING:
    from lifelog_lake.home import Home
    from lifelog_lake.recall.journal.journal import Journal
    from lifelog_lake.recall.journal.model import Change, NewEntry
    from lifelog_lake.recall.journal.pages import Query

Fields = dict[str, Any]
JOURNAL = "journal"
#: A smaller file is attached before a bar is drawn.
LONG_BYTES = 32 * 1024 * 1024
_PIECE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file to attach, open and seekable; ``path`` is - for what came from stdin."""

    path: str
    name: str
    content: BinaryIO
    size_bytes: int

    @classmethod
    @contextlib.contextmanager
    def opened(cls, path: Path, name: str | None = None) -> Iterator[File]:
        """A file by its path; - is standard input. Raises :class:`UsageError`."""
        with contextlib.ExitStack() as held:
            try:
                given = sys.stdin.buffer
                if str(path) != "-":
                    given = held.enter_context(path.open("rb"))
                content: BinaryIO = given
                if str(path) == "-" or not given.seekable():  # a pipe
                    content = cast("BinaryIO", held.enter_context(tempfile.TemporaryFile()))
                    shutil.copyfileobj(given, content)
                size_bytes = content.seek(0, 2)
                content.seek(0)
            except OSError as error:
                raise UsageError(f"{path} can't be read: {error.strerror}.") from None
            called = name or ("stdin" if str(path) == "-" else path.name)
            yield cls(path=str(path), name=called, content=content, size_bytes=size_bytes)

    def pieces(self, doing: str = "Attaching") -> Iterator[bytes]:
        """Its content; a large file's progress is shown."""
        shown = bar(f"{doing} {self.name}", "bytes")
        with shown if self.size_bytes >= LONG_BYTES else contextlib.nullcontext() as show:
            done = 0
            while piece := self.content.read(_PIECE_BYTES):
                yield piece
                done += len(piece)
                if show is not None:
                    show(done, self.size_bytes)


class Entries(Protocol):
    """What the commands do with entries; each raises what :class:`~…journal.Journal` does."""

    def create(self, given: NewEntry, files: list[File]) -> Fields:
        """Write an entry with its files; none of it if a file can't be attached."""

    def get(self, entry_id: str) -> Fields:
        """An entry as it stands."""

    def history(self, entry_id: str) -> list[Fields]:
        """Its revisions, the oldest first."""

    def edit(self, entry_id: str, change: Change, expected: str | None) -> Fields:
        """Change it."""

    def delete(self, entry_id: str, expected: str | None) -> None:
        """Delete it."""

    def undelete(self, entry_id: str) -> Fields:
        """Bring it back."""

    def attach(self, entry_id: str, file: File) -> None:
        """Attach a file."""

    def detach(self, key: str) -> None:
        """Take a file away."""

    def page(
        self, query: Query, limit: int, cursor: str | None, stream: str
    ) -> tuple[list[Fields], str | None]:
        """Entries of a list, or what another stream holds, and where the next page begins."""


class Here:
    """Entries of this home and its lake."""

    def __init__(self, journal: Journal, home: Home) -> None:
        self._journal = journal
        self._home = home

    def create(self, given: NewEntry, files: list[File]) -> Fields:
        from lifelog_lake.recall.journal.journal import Upload

        for file in files:  # all are fine, or none is kept
            self._check(file)
        uploads = [Upload(chunks=file.pieces(), name=file.name) for file in files]
        made = self._journal.create(given, uploads).as_json()
        audit(self._home, "entry.create", entries=[made["id"]])
        return made

    def get(self, entry_id: str) -> Fields:
        return self._journal.get(entry_id).as_json()

    def history(self, entry_id: str) -> list[Fields]:
        return [one.as_json() for one in self._journal.history(entry_id)]

    def edit(self, entry_id: str, change: Change, expected: str | None) -> Fields:
        changed = self._journal.edit(entry_id, change, expected=expected).as_json()
        audit(self._home, "entry.change", entry=entry_id)
        return changed

    def delete(self, entry_id: str, expected: str | None) -> None:
        self._journal.delete(entry_id, expected=expected)
        audit(self._home, "entry.delete", entry=entry_id)

    def undelete(self, entry_id: str) -> Fields:
        back = self._journal.undelete(entry_id).as_json()
        audit(self._home, "entry.undelete", entry=entry_id)
        return back

    def attach(self, entry_id: str, file: File) -> None:
        from lifelog_lake.recall.journal.journal import Upload

        with extra("Attaching files", "device"):
            import puremagic  # noqa: F401 - only whether it is there
        made = self._journal.attach(entry_id, Upload(chunks=file.pieces(), name=file.name))
        audit(self._home, "attachment.create", entry=entry_id, keys=[made.key])

    def detach(self, key: str) -> None:
        self._journal.detach(key)
        audit(self._home, "attachment.delete", key=key)

    def page(
        self, query: Query, limit: int, cursor: str | None, stream: str
    ) -> tuple[list[Fields], str | None]:
        if stream != JOURNAL:
            return self._captured(query, limit, cursor, stream)
        page = self._journal.page(query, limit=limit, cursor=cursor)
        return [entry.as_json() for entry in page.entries], page.cursor

    def _captured(
        self, query: Query, limit: int, cursor: str | None, stream: str
    ) -> tuple[list[Fields], str | None]:
        from lifelog_lake.lake import parse_url, require_known
        from lifelog_lake.recall.journal.model import parse
        from lifelog_lake.recall.lake import Lake
        from lifelog_lake.server.api.captured import captured_page
        from lifelog_lake.server.api.models import ListQuery
        from lifelog_lake.server.problem import Problem
        from lifelog_lake.server.reading import LakeReader

        asked = {
            "stream": stream,
            "tag": query.tags,
            "any_tag": query.match == "any",
            "device": query.devices,
            "start": None if query.start is None else utc(query.start),
            "end": None if query.end is None else utc(query.end),
            "sort": query.sort,
            "order": "desc" if query.newest_first else "asc",
            "limit": limit,
            "cursor": cursor,
        }
        store = parse_url(self._home.lake_url, self._home)
        lake = Lake(store, require_known(self._home, store), self._home)
        reader = LakeReader(lambda: lake)
        try:
            page: Fields = captured_page(reader, parse(ListQuery, asked, "The list"))
        except Problem as error:
            raise UsageError(error.detail, hint=error.hint) from None
        finally:
            reader.close()
        return page["events"], page["cursor"]

    def _check(self, file: File) -> None:
        from lifelog_lake.recall.journal.content import check

        with extra("Attaching files", "device"):
            import puremagic  # noqa: F401 - only whether it is there
        try:
            check(file.content, file.name, self._journal.settings)
        except FileRefused as error:
            raise UsageError(f"{file.path}: {error.message}", hint=error.hint) from None
        file.content.seek(0)


def audit(home: Home, action: str, **about: object) -> None:
    """Write down what a command did, as the hub does for its API."""
    from lifelog_lake.server.audit import COMMAND, Audit

    Audit(home.path).record(action, who=COMMAND, address="", **about)


@contextlib.contextmanager
def opened_entries(
    context: typer.Context, home: Path | None, hub: str | None, *, reads: bool = True
) -> Iterator[Entries]:
    """The entries of a hub, if one is named, or else of the home."""
    if hub is not None:
        from lifelog_lake.cli.hub import Hub

        yield Hub.at(hub, home_path(context, home))
        return
    with opened_journal(context, home, reads=reads) as (journal, opened):
        yield Here(journal, opened)


@contextlib.contextmanager
def opened_journal(
    context: typer.Context, home: Path | None, *, reads: bool = True
) -> Iterator[tuple[Journal, Home]]:
    """The journal of the home, and the home; who ``reads`` needs the extra that reads tables."""
    opened = here(context, home)
    if reads:
        with extra("Reading entries", "hub"):
            import polars  # noqa: F401, ICN001 - only whether it is there
    from lifelog_lake.recall.journal.spooled import open_journal

    with contextlib.closing(open_journal(opened)) as journal:
        yield journal, opened
        if journal.away is not None:
            err().print(f"The lake can't be reached: {journal.away.message}", style="yellow")
            err().print("Shown is what this home knows; what you write is kept and goes there.")
