"""Content-addressed files: whether they are there, and how a disk gets them, resumable."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import BinaryIO

from lifelog_lake import fsio
from lifelog_lake.errors import LakeDamaged
from lifelog_lake.lake.store import Moved, Store, blob_key
from lifelog_lake.locks import FileLock

PIECE_BYTES = 8 * 2**20
#: A file that has been there longer than this is looked at again before a row relies on it.
TRUST_S = 7 * 86_400.0


def has(store: Store, sha256: str, size_bytes: int | None = None) -> bool:
    """Whether content is in the lake, with the right size if that is known."""
    try:
        found = store.stat(blob_key(sha256)).size_bytes
    except FileNotFoundError:
        return False
    return size_bytes is None or found == size_bytes


def copy(source: Path, final: Path, root: Path, sha256: str, moved: Moved | None) -> bool:
    """Copy a file to its place below ``root``; durable on return, False if it was there.

    A copy that was interrupted goes on where it stopped. Memory doesn't grow with the size.
    Raises :class:`LakeDamaged` if ``source`` isn't the content that its hash says.
    """
    size_bytes = source.stat().st_size
    fsio.make_dirs(final.parent, at="blob.copy", root=root)
    if _can_trust(final, sha256, size_bytes):
        # Whoever copied it may have been killed before its name was synced.
        fsio.sync_file(final, at="blob.copy")
        fsio.sync_dir(final.parent, at="blob.copy")
        return False
    partial = final.with_name(f".{sha256}.part")
    lock = FileLock(partial)
    try:
        with lock:
            if not lock.is_current():  # another copier has finished with the file we waited for
                return copy(source, final, root, sha256, moved)
            if not _copy(source, partial, sha256, moved):
                raise not_what_it_was(sha256, source)
            fsio.rename(partial, final, at="blob.copy")
            fsio.sync_dir(final.parent, at="blob.copy")
    finally:
        lock.close()
    return True


def not_what_it_was(sha256: str, source: Path) -> LakeDamaged:
    """The error for content in the spool that no longer matches its hash."""
    return LakeDamaged(
        f"A blob in the spool isn't what was put there ({sha256[:12]}…).",
        hint="It is kept in quarantine; the disk of this device may be failing.",
        path=str(source),
    )


def _copy(source: Path, partial: Path, sha256: str, moved: Moved | None) -> bool:
    """Fill ``partial`` from where it stopped; once more from the start if that gave other bytes."""
    size_bytes = source.stat().st_size
    for attempt in ("resume", "restart"):
        fd = os.open(partial, os.O_RDWR | getattr(os, "O_BINARY", 0))
        try:
            if attempt == "restart":
                fsio.truncate(fd, 0, partial, at="blob.copy")
            digest = hashlib.sha256()
            with os.fdopen(os.dup(fd), "rb") as there:
                done = min(os.fstat(fd).st_size, size_bytes)
                fsio.truncate(fd, done, partial, at="blob.copy")
                while piece := there.read(PIECE_BYTES):
                    digest.update(piece)
            with source.open("rb") as stream:
                stream.seek(done)
                while piece := stream.read(PIECE_BYTES):
                    digest.update(piece)
                    fsio.pwrite(fd, piece, done, partial, at="blob.copy")
                    done += len(piece)
                    if moved is not None:
                        moved(done, size_bytes)
            try:
                fsio.sync(fd, partial, at="blob.copy")
            except OSError:  # never a second sync of the same file: the next copy begins anew
                partial.unlink(missing_ok=True)
                raise
        finally:
            os.close(fd)
        if digest.hexdigest() == sha256:
            return True
    partial.unlink(missing_ok=True)
    return False


def _can_trust(final: Path, sha256: str, size_bytes: int) -> bool:
    """Whether content that is there may be relied on; an old one is read again first."""
    try:
        status = final.stat()
    except FileNotFoundError:
        return False
    if status.st_size != size_bytes:
        return False
    if time.time() - status.st_mtime < TRUST_S:
        return True
    with final.open("rb") as file:
        return hash_of(file) == sha256


def hash_of(file: BinaryIO) -> str:
    """sha256 of what an open file holds, read in pieces."""
    digest = hashlib.sha256()
    while piece := file.read(PIECE_BYTES):
        digest.update(piece)
    return digest.hexdigest()
