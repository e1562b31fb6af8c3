"""Requests that are sent again: by an ``Idempotency-Key`` the second tells what the first did.

``HOME/index/repeats.db`` keeps a day of answers. What a request writes gets ids made of the key and
of when the key first came, which is durable before the write. So a crash between the write and its
answer doubles nothing either: the ids are there already. And a key that comes again on another day
writes anew.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import structlog

from lifelog_lake import fsio
from lifelog_lake.clock import US_PER_S, Clock
from lifelog_lake.errors import Transient
from lifelog_lake.server.problem import Problem

log = structlog.get_logger(__name__)
T = TypeVar("T")

KEEP_US = 24 * 3600 * US_PER_S
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://lifelog-lake.invalid/idempotency")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS request (caller TEXT, key TEXT, print TEXT NOT NULL,
    at INTEGER NOT NULL, status INTEGER, body BLOB, PRIMARY KEY (caller, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS request_at ON request (at);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A request: when its key first came (µs since 1970 UTC), and how it was answered before."""

    at: int
    answer: tuple[int, bytes] | None


class Repeats:
    """The requests of the last day; safe in threads. A damaged file is made anew."""

    def __init__(self, home: Path, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._under_way: set[tuple[str, str]] = set()
        fsio.make_dirs(home / "index", at="index")
        self._path = home / "index" / "repeats.db"
        self._open: sqlite3.Connection | None = None

    def close(self) -> None:
        """Let the file go."""
        with self._lock:
            self._close()

    def begin(self, caller: str, key: str, content: bytes) -> Begun:
        """A request comes; durable on return. If it has no answer yet, :meth:`end` it.

        Raises :class:`Problem`: 409 while the first one is under way, 422 for another request;
        :class:`Transient` if it can't be kept (a full disk).
        """
        print_ = hashlib.sha256(content).hexdigest()
        with self._lock:
            if (caller, key) in self._under_way:
                raise Problem(
                    status=409,
                    detail="The same request is under way.",
                    hint="Ask again in a moment.",
                    headers={"Retry-After": "1"},
                )
            first, at, status, body = self._kept(lambda db: self._noted(db, caller, key, print_))
            if first != print_:
                raise Problem(
                    status=422,
                    detail="This key was used for another request.",
                    hint="Give each request an Idempotency-Key of its own.",
                )
            if status is not None:
                return Begun(at=at, answer=(status, bytes(body)))
            self._under_way.add((caller, key))
            return Begun(at=at, answer=None)

    def end(self, caller: str, key: str, answer: tuple[int, bytes] | None) -> None:
        """The request was answered so; None: it failed, and may be sent again."""

        def ended(db: sqlite3.Connection) -> None:
            if answer is None:
                db.execute("DELETE FROM request WHERE caller = ? AND key = ?", (caller, key))
            else:
                db.execute(
                    "UPDATE request SET status = ?, body = ? WHERE caller = ? AND key = ?",
                    (*answer, caller, key),
                )

        with self._lock:
            self._under_way.discard((caller, key))
            try:
                self._kept(ended)
            except Transient as error:
                # What was asked for is done, or failed for a reason of its own that is told. Sent
                # again, it is found by its ids, as after a crash.
                log.warning("repeat_not_kept", error=error)

    # -- the file ---------------------------------------------------------------------------

    def _noted(
        self, db: sqlite3.Connection, caller: str, key: str, print_: str
    ) -> tuple[str, int, int | None, bytes]:
        now_us = self._clock.wall_us()
        # What lies a day ahead was noted by a clock that has been set back since.
        db.execute("DELETE FROM request WHERE abs(at - ?) > ?", (now_us, KEEP_US))
        db.execute(
            "INSERT OR IGNORE INTO request VALUES (?, ?, ?, ?, NULL, NULL)",
            (caller, key, print_, now_us),
        )
        row: tuple[str, int, int | None, bytes] = db.execute(
            "SELECT print, at, status, body FROM request WHERE caller = ? AND key = ?",
            (caller, key),
        ).fetchone()
        return row

    def _kept(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """Make a change, durably; once more with an empty file, if this one is damaged."""
        try:
            try:
                return self._done(change)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError as error:
                log.warning("repeats_made_anew", reason=str(error))
                self._close()
                for end in ("", "-wal", "-shm"):
                    self._path.with_name(self._path.name + end).unlink(missing_ok=True)
                return self._done(change)
        except sqlite3.OperationalError as error:
            raise Transient(
                f"The Idempotency-Key can't be kept: {error} ({self._path}).",
                hint="Is the disk full, or may it not be written?",
            ) from error

    def _done(self, change: Callable[[sqlite3.Connection], T]) -> T:
        db = self._db()
        db.execute("BEGIN IMMEDIATE")
        try:
            done = change(db)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:  # a full disk has ended it by itself
                db.execute("ROLLBACK")
            raise
        return done

    def _db(self) -> sqlite3.Connection:
        if self._open is None:
            db = sqlite3.connect(
                self._path, isolation_level=None, check_same_thread=False, timeout=30
            )
            try:
                self._path.chmod(fsio.PRIVATE_FILE)
                db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + _SCHEMA)
            except BaseException:
                db.close()
                raise
            self._open = db
        return self._open

    def _close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


def id_of(caller: str, key: str, at: int, number: int) -> str:
    """The id of the entry that a request, whose key first came then, brings at a place."""
    return str(uuid.uuid5(NAMESPACE, f"{caller}\x1f{key}\x1f{at}\x1f{number}"))
