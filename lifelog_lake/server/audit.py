"""Who changed, exported or opened what: ``HOME/audit.jsonl``, 0600, only ever added to.

A line is a JSON object: ``at``, ``who`` (``person``, ``token <id> <name>`` or ``command``), where
from (``address``), ``action``, and what it was about: ids, counts and names of tokens, never
content. Durable on return. A line that a crash cut short stays as it is; the next one begins behind
it.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import structlog

from lifelog_lake import fsio
from lifelog_lake.clock import Clock, SystemClock, iso

log = structlog.get_logger(__name__)

NAME = "audit.jsonl"
COMMAND = "command"
_BLOCK_BYTES = 64 * 1024


class Audit:
    """The audit of a home. Threads may share one, and processes have their own."""

    def __init__(self, home: Path, clock: Clock | None = None) -> None:
        self._path = home / NAME
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()

    def record(self, action: str, *, who: str, address: str = "", **about: object) -> None:
        """Add a line; durable on return.

        If that fails the log says so: a full disk that still has room for an entry keeps the entry.
        """
        try:
            self._add(action, who=who, address=address, **about)
        except OSError as error:
            log.error("audit_failed", error=error, kind=action)

    def newest(self, limit: int) -> list[dict[str, Any]]:
        """The last lines, the newest first; lines that a crash cut short are left out."""
        try:
            with self._path.open("rb") as file:
                lines = _last_lines(file, limit)
        except FileNotFoundError:
            return []
        found: list[dict[str, Any]] = []
        for line in reversed(lines):
            try:
                found.append(dict(orjson.loads(line)))
            except (ValueError, TypeError):  # torn
                continue
        return found[:limit]

    def _add(self, action: str, *, who: str, address: str, **about: object) -> None:
        line = {"at": iso(self._clock.wall_us()), "who": who, "address": address, "action": action}
        content = orjson.dumps(line | about) + b"\n"
        with self._lock:
            new = not self._path.exists()
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
            fd = os.open(self._path, flags, fsio.PRIVATE_FILE)
            try:
                size = os.fstat(fd).st_size
                if size and fsio.pread(fd, 1, size - 1) != b"\n":
                    content = b"\n" + content
                fsio.write(fd, content, self._path, at="audit")
                fsio.sync(fd, self._path, at="audit")
            finally:
                os.close(fd)
            if new:
                fsio.sync_dir(self._path.parent, at="audit")


def _last_lines(file: BinaryIO, least: int) -> list[bytes]:
    """At least so many lines of the end, or all there are; the file may be of any size."""
    size = file.seek(0, os.SEEK_END)
    start = size
    while True:
        start = max(0, start - max(_BLOCK_BYTES, size - start))
        file.seek(start)
        lines = file.read(size - start).split(b"\n")
        if start:
            del lines[0]  # it may begin before
        lines = [line for line in lines if line]
        if not start or len(lines) >= least:
            return lines
