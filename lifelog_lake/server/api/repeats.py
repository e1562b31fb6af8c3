"""Requests that are sent again: by an ``Idempotency-Key`` the second tells what the first did.

``HOME/index/repeats.db`` keeps a day of answers. What a request writes gets ids made of the key, so
that a crash between the write and its answer doubles nothing either: the ids are there already.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import uuid
from pathlib import Path

from lifelog_lake import fsio
from lifelog_lake.clock import US_PER_S, Clock
from lifelog_lake.server.problem import Problem

KEEP_US = 24 * 3600 * US_PER_S
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://lifelog-lake.invalid/idempotency")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS request (caller TEXT, key TEXT, print TEXT NOT NULL,
    at INTEGER NOT NULL, status INTEGER, body BLOB, PRIMARY KEY (caller, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS request_at ON request (at);
"""


class Repeats:
    """The requests of the last day; safe in threads."""

    def __init__(self, home: Path, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._under_way: set[tuple[str, str]] = set()
        fsio.make_dirs(home / "index", at="index")
        path = home / "index" / "repeats.db"
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
        path.chmod(fsio.PRIVATE_FILE)
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + _SCHEMA)

    def close(self) -> None:
        """Let the file go."""
        with self._lock:
            self._db.close()

    def begin(self, caller: str, key: str, content: bytes) -> tuple[int, bytes] | None:
        """A request comes: how it was answered before, or None. Then end it with :meth:`end`.

        Raises :class:`Problem`: 409 while the first one is under way, 422 for another request.
        """
        print_ = hashlib.sha256(content).hexdigest()
        now_us = self._clock.wall_us()
        with self._lock:
            if (caller, key) in self._under_way:
                raise Problem(
                    status=409,
                    detail="The same request is under way.",
                    hint="Ask again in a moment.",
                    headers={"Retry-After": "1"},
                )
            self._db.execute("DELETE FROM request WHERE at < ?", (now_us - KEEP_US,))
            row = self._db.execute(
                "SELECT print, status, body FROM request WHERE caller = ? AND key = ?",
                (caller, key),
            ).fetchone()
            if row is None:
                self._db.execute(
                    "INSERT INTO request VALUES (?, ?, ?, ?, NULL, NULL)",
                    (caller, key, print_, now_us),
                )
            elif row[0] != print_:
                raise Problem(
                    status=422,
                    detail="This key was used for another request.",
                    hint="Give each request an Idempotency-Key of its own.",
                )
            if row is not None and row[1] is not None:
                return int(row[1]), bytes(row[2])
            self._under_way.add((caller, key))
            return None

    def end(self, caller: str, key: str, answer: tuple[int, bytes] | None) -> None:
        """The request was answered so; None: it failed, and may be sent again."""
        with self._lock:
            self._under_way.discard((caller, key))
            if answer is None:
                self._db.execute("DELETE FROM request WHERE caller = ? AND key = ?", (caller, key))
            else:
                self._db.execute(
                    "UPDATE request SET status = ?, body = ? WHERE caller = ? AND key = ?",
                    (*answer, caller, key),
                )


def id_of(caller: str, key: str, number: int) -> str:
    """The id of the entry that a request brings at a place."""
    return str(uuid.uuid5(NAMESPACE, f"{caller}\x1f{key}\x1f{number}"))
