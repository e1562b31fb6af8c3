"""Content in the spool: streamed in, hashed on the way, one file a reference.

A record's content lies in ``<epoch>/blobs/<seq>-<sha256>``. Memory doesn't grow with its size.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lifelog_lake import fsio
from lifelog_lake.events import BlobSource

DIRECTORY = "blobs"
PIECE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenIn:
    """Content that is durable in the spool under a temporary name."""

    path: Path
    sha256: str
    size_bytes: int


def take_in(directory: Path, source: BlobSource) -> TakenIn:
    """Stream content into ``directory`` under a temporary name; synced, its name not yet."""
    path = fsio.temporary_beside(directory / "blob")
    digest = hashlib.sha256()
    size_bytes = 0
    try:
        fd = fsio.open_new(path, at="blob.put")
        try:
            with source.open() as stream:
                while piece := stream.read(PIECE_BYTES):
                    digest.update(piece)
                    fsio.write(fd, piece, path, at="blob.put")
                    size_bytes += len(piece)
            fsio.sync(fd, path, at="blob.put")
        finally:
            os.close(fd)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return TakenIn(path=path, sha256=digest.hexdigest(), size_bytes=size_bytes)


def place(epoch_directory: Path, seq: int, blob: TakenIn) -> Path:
    """Give content the name of its record; durable after a sync of the directory."""
    target = epoch_directory / DIRECTORY / f"{seq:020d}-{blob.sha256}"
    fsio.rename(blob.path, target, at="blob.put")
    return target


def path_of(epoch_directory: Path, seq: int, sha256: str) -> Path:
    """Where the content of a record lies while it is pending."""
    return epoch_directory / DIRECTORY / f"{seq:020d}-{sha256}"


def names(epoch_directory: Path) -> Iterator[tuple[int, str, Path]]:
    """All content of an epoch as (seq, sha256, path)."""
    try:
        entries = list(os.scandir(epoch_directory / DIRECTORY))
    except FileNotFoundError:
        return
    for entry in entries:
        seq, _, sha256 = entry.name.partition("-")
        if seq.isdecimal() and sha256:
            yield int(seq), sha256, Path(entry.path)


def remove_outside(epoch_directory: Path, acked: int, next_seq: int) -> None:
    """Remove content that no pending record refers to (a crash came between the two)."""
    for seq, _, path in names(epoch_directory):
        if seq <= acked or seq >= next_seq:
            fsio.unlink(path, at="unlink")


def size_from(epoch_directory: Path, first: int) -> int:
    """Bytes of the content of records from a seq on."""
    return sum(path.stat().st_size for seq, _, path in names(epoch_directory) if seq >= first)


def remove_acked(epoch_directory: Path, acked: int) -> None:
    """Remove the content of records that are in the lake."""
    for seq, _, path in names(epoch_directory):
        if seq <= acked:
            fsio.unlink(path, at="unlink")


def link_or_copy(source: Path, target: Path) -> None:
    """A second name for content, or a durable copy where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
        fsio.sync_file(target, at="renew")
