"""The same documents in SQLite's FTS5 and PostgreSQL's tsvector with GIN, asked the same."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from tests.bench.search_corpus import batches

LIMIT = 10
#: Why a row was found, as ours says it: about 200 characters.
HEADLINE = "ts_headline('simple', text, q, 'MaxWords=32, MinWords=16')"
PIECE = "snippet(words, 0, '[', ']', '…', 32)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Words that must all be there, or a phrase; ranked, or the newest of a span (µs)."""

    kind: str
    words: tuple[str, ...]
    phrase: bool = False
    span: tuple[int, int] | None = None


class Database(Protocol):
    """Another full-text search with the documents in it."""

    name: str

    def ask(self, ask: Ask) -> int:
        """Look for ten; how many were found."""

    def close(self) -> None:
        """Let it go."""


class Fts5:
    """SQLite; its rank is BM25."""

    name = "FTS5"

    def __init__(self, directory: Path, frame: pl.DataFrame) -> None:
        self._db = sqlite3.connect(directory / "fts.db")
        self._db.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -262144;"
            "CREATE TABLE docs (id INTEGER PRIMARY KEY, at INTEGER, text TEXT);"
            "CREATE VIRTUAL TABLE words USING fts5(text, content='docs', content_rowid='id');"
        )
        for rows in batches(frame):
            self._db.executemany("INSERT INTO docs VALUES (?, ?, ?)", rows)
        self._db.execute("CREATE INDEX docs_at ON docs (at)")
        self._db.execute("INSERT INTO words (words) VALUES ('rebuild')")
        self._db.execute("INSERT INTO words (words) VALUES ('optimize')")
        self._db.commit()

    def ask(self, ask: Ask) -> int:
        said = f'"{" ".join(ask.words)}"' if ask.phrase else " ".join(ask.words)
        if ask.span is None:
            # By rank it finds first and cuts then: a piece of the text for ten alone.
            rows = self._db.execute(
                f"SELECT d.id, d.at, d.text, w.piece FROM (SELECT rowid, rank, {PIECE} AS piece "
                "FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?) w "
                "JOIN docs d ON d.id = w.rowid ORDER BY w.rank",
                (said, LIMIT),
            )
            return len(rows.fetchall())
        found = self._db.execute(
            "SELECT d.id, d.at, d.text FROM words w JOIN docs d ON d.id = w.rowid "
            "WHERE words MATCH ? AND d.at >= ? AND d.at < ? ORDER BY d.at DESC LIMIT ?",
            (said, *ask.span, LIMIT),
        ).fetchall()
        ids = ",".join(str(row[0]) for row in found)
        pieces = self._db.execute(
            f"SELECT rowid, {PIECE} FROM words WHERE words MATCH ? AND rowid IN ({ids})", (said,)
        )
        assert len(pieces.fetchall()) == len(found)
        return len(found)

    def close(self) -> None:
        self._db.close()


def programs() -> Path | None:
    """Where PostgreSQL 15's programs lie; None if they aren't on this machine."""
    there = Path(shutil.which("initdb") or "/usr/lib/postgresql/15/bin/initdb")
    return there.resolve().parent if there.exists() else None


class Postgres:
    """PostgreSQL with a generated ``tsvector``; its rank is ``ts_rank``."""

    name = "PostgreSQL"

    def __init__(self, directory: Path, port: int) -> None:
        self._loop = asyncio.new_event_loop()
        self._db = self._run(self._connected(directory, port))

    def _run(self, work: Any) -> Any:
        return self._loop.run_until_complete(work)

    @staticmethod
    async def _connected(directory: Path, port: int) -> Any:
        import asyncpg

        return await asyncpg.connect(
            host=str(directory), port=port, user="bench", database="postgres"
        )

    def fill(self, frame: pl.DataFrame) -> None:
        """Take the documents in, then make the indexes: the quickest way."""
        self._run(
            self._db.execute(
                "CREATE TABLE docs (id bigint PRIMARY KEY, at bigint, text text, words tsvector"
                " GENERATED ALWAYS AS (to_tsvector('simple', text)) STORED)"
            )
        )
        for rows in batches(frame, 100_000):
            self._run(
                self._db.copy_records_to_table("docs", records=rows, columns=("id", "at", "text"))
            )
        for statement in (
            "SET maintenance_work_mem = '512MB'",
            "CREATE INDEX ON docs USING gin (words)",
            "CREATE INDEX ON docs (at)",
            "VACUUM ANALYZE docs",
        ):
            self._run(self._db.execute(statement))

    def ask(self, ask: Ask) -> int:
        make = "phraseto_tsquery" if ask.phrase else "plainto_tsquery"
        said = " ".join(ask.words)
        if ask.span is None:
            statement = (
                f"SELECT id, at, text, {HEADLINE} FROM (SELECT id, at, text, q FROM docs, "
                f"{make}('simple', $1) q WHERE words @@ q ORDER BY ts_rank(words, q) DESC "
                f"LIMIT {LIMIT}) found"
            )
            return len(self._run(self._db.fetch(statement, said)))
        statement = (
            f"SELECT id, at, text, {HEADLINE} FROM (SELECT id, at, text, q FROM docs, "
            f"{make}('simple', $1) q WHERE words @@ q AND at >= $2 AND at < $3 "
            f"ORDER BY at DESC LIMIT {LIMIT}) found"
        )
        return len(self._run(self._db.fetch(statement, said, *ask.span)))

    def close(self) -> None:
        self._run(self._db.close())
        self._loop.close()


@contextmanager
def postgres(directory: Path) -> Iterator[Postgres | None]:
    """A server of our own for a while; None where PostgreSQL isn't installed."""
    found = programs()
    if found is None:
        yield None
        return
    user = "nobody" if os.geteuid() == 0 else None  # it refuses to be run by root
    directory.mkdir()
    if user is not None:
        for path in (directory, *directory.parents):  # it must get there
            if path.stat().st_uid == 0 and path != Path("/"):
                path.chmod(path.stat().st_mode | 0o011)
        shutil.chown(directory, user)
    data = directory / "data"
    command = [str(found / "initdb"), "-D", str(data), "-U", "bench", "-A", "trust", "-E", "UTF8"]
    subprocess.run([*command, "--locale=C"], check=True, capture_output=True, user=user)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(directory),
        "port": str(port),
        "shared_buffers": "512MB",
        "work_mem": "64MB",
        "max_wal_size": "4GB",
        "jit": "off",
    }
    words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    with (directory / "log").open("wb") as log:
        server = subprocess.Popen(
            [str(found / "postgres"), "-D", str(data), *words], stderr=log, user=user
        )
    try:
        ready = [str(found / "pg_isready"), "-h", str(directory), "-p", str(port)]
        while subprocess.run(ready, capture_output=True).returncode != 0:
            if server.poll() is not None:
                raise RuntimeError((directory / "log").read_text()[-2000:])
            time.sleep(0.1)
        opened = Postgres(directory, port)
        try:
            yield opened
        finally:
            opened.close()
    finally:
        server.terminate()
        server.wait(60)
