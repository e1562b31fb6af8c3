"""The index on disk: below the home, disposable, one writer and any number of readers.

::

    index/search/<lake id>/
      write.lock         held by the one that writes
      current.json       {"format", "generation", "directory", "meant"}: which of them is read
      <directory>/       tantivy's files, places.json: {stream: [version, print]}, and
                         waiting.json: {entry: [ids of its rows in the spool]}

What it was made of is kept beside it: how far each table's log was read (:class:`Place`). Documents
are committed first and places written after, so a kill in between only has the same rows taken in
again, by their keys. An index that is new, of another generation, of another format, or damaged, is
made in a directory of its own; ``current.json`` then turns to it, and readers go on with the one
they have open. It decides nothing: deleted, it is made again.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import structlog
import tantivy

from lifelog_lake import fsio
from lifelog_lake.errors import LakeUnreachable, Transient
from lifelog_lake.lake.identity import LakeIdentity, read_identity
from lifelog_lake.lake.store import Store
from lifelog_lake.locks import FileLock
from lifelog_lake.recall.search.filling import Filled, Filler, read_places, write_places
from lifelog_lake.recall.search.schema import FORMAT, schema
from lifelog_lake.recall.search.waiting import Outlet, read_waiting
from lifelog_lake.recall.tables import Tables

CURRENT = "current.json"
#: Tantivy's own list of what is committed.
META = "meta.json"
#: How long a search waits for another process that brings the index up to date.
WAIT_S = 10.0

_State = tuple[int, tuple[int, int, int], tuple[int, int, int]]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """An index that can be read: a moment of it stays as it is while it is held."""

    directory: str
    index: tantivy.Index
    searcher: tantivy.Searcher


class SearchIndex:
    """The index of a lake below a home's path. Safe in threads; processes have their own.

    ``outlet`` gives what waits of that home's journal, if it is its lake: it is found at once.
    """

    def __init__(
        self, home: Path, store: Store, outlet: Outlet | None = None, *, meant: bool = False
    ) -> None:
        self._store = store
        self._outlet = outlet
        self._meant = meant
        self._identity = _identity(store)
        self._root = home / "index" / "search" / self._identity.lake_id
        self._place = str(self._root)
        fsio.make_dirs(self._root, at="search")
        self._tables = Tables(store)
        self._mutex = threading.Lock()
        self._lock = FileLock(self._root / "write.lock")
        self._open: tuple[_State, Opened] | None = None

    @property
    def path(self) -> Path:
        """Where it lies; it may be deleted while nobody uses it."""
        return self._root

    def close(self) -> None:
        """Let the lock's file go."""
        self._lock.close()

    def refresh(
        self, *, wait_s: float = WAIT_S, told: Callable[[int], None] | None = None
    ) -> Filled:
        """Take in what was committed to the lake; costs a look at the logs if there is nothing.

        ``told`` hears now and then how many documents were taken in. Raises
        :class:`~lifelog_lake.errors.Locked` if another process is at it for longer than
        ``wait_s``, and :class:`~lifelog_lake.errors.LakeUnreachable` for a lake that is gone.
        """
        with self._writing(wait_s):
            current = self._usable()
            return self._make(told) if current is None else self._fill(*current, told)

    def rebuild(
        self, *, wait_s: float = WAIT_S, told: Callable[[int], None] | None = None
    ) -> Filled:
        """Make it anew, beside the one that is there until it is whole; raises as refresh does."""
        with self._writing(wait_s):
            return self._make(told)

    def opened(self) -> Opened | None:
        """The newest state that was committed; None if there is no index yet."""
        with self._mutex:
            if self._open is not None and self._open[0] == self._state(self._open[1].directory):
                return self._open[1]
            directory = self._current()
            if directory is None:
                return None
            state = self._state(directory)
            try:
                index = tantivy.Index.open(str(self._root / directory))
                found = Opened(directory=directory, index=index, searcher=index.searcher())
            except (OSError, ValueError) as error:
                self._open = None
                if self._current() == directory:
                    raise damaged(error) from error
            else:
                self._open = state, found
                return found
        return self.opened()  # it was made anew just now, and the one before is gone

    # -- parts ------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _writing(self, wait_s: float) -> Iterator[None]:
        identity = _identity(self._store)
        if identity.lake_id != self._identity.lake_id:
            raise LakeUnreachable(
                "Another lake is in the place of the one that was opened.", hint="Open it anew."
            )
        self._identity = identity
        try:
            with self._lock.within(wait_s):
                yield
        except OSError as error:
            if error.errno is None:
                raise
            raise Transient(
                f"The search index can't be written: {error.strerror} ({self._root}).",
                hint="Is the disk full? The index may be deleted at any time.",
            ) from error

    def _state(self, directory: str) -> _State:
        """Changes with each commit, and when another directory is to be read: both files are
        replaced then."""
        told = []
        for name in (CURRENT, f"{directory}/{META}"):  # each search asks, and paths are slow
            try:
                found = os.stat(f"{self._place}/{name}")
                told.append((found.st_ino, found.st_mtime_ns, found.st_size))
            except FileNotFoundError:
                told.append((0, 0, 0))
        return self._identity.generation, told[0], told[1]

    def _pointer(self) -> tuple[str, bool] | None:
        """The directory that is read, and whether it can be asked by meaning; None if there is
        none for this lake's life and format."""
        try:
            told = orjson.loads((self._root / CURRENT).read_bytes())
            known = told["format"] == FORMAT and told["generation"] == self._identity.generation
            return (str(told["directory"]), bool(told["meant"])) if known else None
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None  # no index that can be used: it is made anew

    def _current(self) -> str | None:
        pointer = self._pointer()
        return None if pointer is None else pointer[0]

    def _usable(self) -> tuple[str, bool] | None:
        pointer = self._pointer()
        if pointer is None or (self._meant and not pointer[1]):
            return None
        directory = pointer[0]
        try:
            tantivy.Index.open(str(self._root / directory))
            read_places(self._root / directory)
            read_waiting(self._root / directory)
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("search_index_made_anew", reason=type(error).__name__)
            return None
        return pointer

    def _fill(self, directory: str, meant: bool, told: Callable[[int], None] | None) -> Filled:
        place = self._root / directory
        filler = Filler(self._store, self._tables, place, self._outlet, told, meant=meant)
        return filler.run()

    def _make(self, told: Callable[[int], None] | None) -> Filled:
        before = self._current()
        for left in self._root.iterdir():
            if left.is_dir() and left.name != before:
                shutil.rmtree(left, ignore_errors=True)
        directory = secrets.token_hex(8)
        place = self._root / directory
        fsio.make_dirs(place, at="search")
        tantivy.Index(schema(), str(place))
        write_places(place, {})
        filled = self._fill(directory, self._meant, told)
        pointer = {
            "format": FORMAT,
            "generation": self._identity.generation,
            "directory": directory,
            "meant": self._meant,
        }
        fsio.write_atomic(self._root / CURRENT, orjson.dumps(pointer), at="search")
        if before is not None:
            shutil.rmtree(self._root / before, ignore_errors=True)
        return filled


def damaged(error: Exception) -> Transient:
    """What tantivy says of files that aren't as it wrote them."""
    return Transient(
        f"The search index can't be read: {str(error)[:200]}.",
        hint="lifelog search --rebuild makes it anew.",
    )


def _identity(store: Store) -> LakeIdentity:
    identity = read_identity(store)
    if identity is None:
        raise LakeUnreachable(
            f"There is no lake at {store.url}.", hint="Check the address and the mount."
        )
    return identity
