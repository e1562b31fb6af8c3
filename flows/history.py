"""Prefect's database, a file: what ran, and nothing that the lake depends on."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import structlog

from flows.surroundings import FILE

#: What is put behind the name of a damaged one; the next damaged one takes its place.
ASIDE = ".damaged"


def set_aside_damaged(directory: Path) -> None:
    """Put a damaged database out of the way: Prefect's server wouldn't start with it, so nothing
    would care for the lake. A new one is made."""
    path = directory / FILE
    if not path.exists() or _is_whole(path):
        return
    for end in ("", "-wal", "-shm"):
        part = path.with_name(path.name + end)
        if part.exists():
            os.replace(part, path.with_name(path.name + ASIDE + end))
    structlog.get_logger(__name__).warning("history_set_aside", path=str(path) + ASIDE)


def _is_whole(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(path)) as database:
            return bool(database.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except sqlite3.OperationalError:  # locked, a full disk, no leave: not the file's fault
        return True
    except sqlite3.DatabaseError:
        return False
