"""A lake in a directory, which must be able to keep what it is given.

It needs three properties of its file system: a hard link (Delta's commit is one), a rename that
replaces, and a directory that can be synced. One that lacks any is refused by name.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import psutil

from lifelog_lake import fsio
from lifelog_lake.errors import LakeRefused, LakeUnreachable
from lifelog_lake.lake import blobs
from lifelog_lake.lake.store import (
    BLOBS,
    CONTROL,
    LOG,
    TABLES,
    Log,
    Moved,
    Property,
    Stat,
    blob_key,
    table_key,
)
from lifelog_lake.lake.synced_log import SyncedLog

#: ``….json#1`` is what the engine writes before it links it to the entry's name.
_LEFTOVER = re.compile(r"\.tmp-[0-9a-f]+|.+#\d+")


@dataclass(frozen=True, slots=True)
class LocalTarget:
    """A lake in a directory: a :class:`~lifelog_lake.lake.store.Store`."""

    root: Path

    @property
    def url(self) -> str:
        """The address a person gave, as a path."""
        return str(self.root)

    @property
    def table_options(self) -> None:
        """A directory needs none."""

    @property
    def scan_options(self) -> None:
        """A directory needs none."""

    @property
    def disk(self) -> Path:
        """Where it lies."""
        return self.root

    @property
    def checkpoint_every(self) -> int:
        """Reading an entry is cheap."""
        return 100

    def describe(self) -> str:
        """Type of its file system."""
        return file_system(self.root)

    def place(self, key: str) -> Path:
        """The file of a key."""
        return self.root / key

    def table(self, stream: str) -> Path:
        """Root of a stream's Delta table."""
        return self.root / table_key(stream)

    def table_url(self, stream: str) -> str:
        """The same as Delta's engine takes it."""
        return str(self.table(stream))

    def blob(self, sha256: str) -> Path:
        """Where content lies, whether or not it is there."""
        return self.root / blob_key(sha256)

    def log(self, stream: str) -> Log:
        """Syncs what Delta's engine doesn't."""
        return SyncedLog(self.table(stream), self.root)

    def streams(self) -> list[str]:
        """Names of the tables that exist, those of the derived ones left out."""
        logs = (self.root / TABLES).glob(f"[!_]*/{LOG}")
        return sorted(path.parent.name for path in logs if _has_entry(path))

    def read(self, key: str) -> bytes:
        """A small file, whole."""
        return (self.root / key).read_bytes()

    def open(self, key: str) -> BinaryIO:
        """A file at its beginning."""
        return (self.root / key).open("rb")

    def stat(self, key: str) -> Stat:
        """Size and time of a file."""
        found = (self.root / key).stat()
        tag = f"{found.st_ino}-{found.st_mtime_ns}-{found.st_size}"
        return Stat(size_bytes=found.st_size, modified_s=found.st_mtime, tag=tag)

    def keys(self, prefix: str) -> Iterator[str]:
        """Every file below a directory, hidden and unfinished ones left out."""
        for path in sorted((self.root / prefix).rglob("*")):
            parts = path.relative_to(self.root).parts
            if path.is_file() and not any(part.startswith(".") for part in parts):
                yield "/".join(parts)

    def write(self, key: str, content: bytes, *, at: str) -> None:
        """Write beside it, sync, rename; every new directory is durable too."""
        path = self.root / key
        fsio.make_dirs(path.parent, at=at, root=self.root)
        fsio.write_atomic(path, content, at=at)

    def write_new(self, key: str, content: bytes, *, at: str) -> bool:
        """Write beside it and give it the name with a hard link, of which one succeeds."""
        path = self.root / key
        fsio.make_dirs(path.parent, at=at, root=self.root)
        mine = fsio.temporary_beside(path)
        fsio.write_atomic(mine, content, at=at)
        try:
            with contextlib.suppress(FileExistsError), fsio.operation(at, "link", mine):
                os.link(mine, path)
        finally:
            mine.unlink(missing_ok=True)
        fsio.sync_dir(path.parent, at=at)
        return path.read_bytes() == content

    def delete(self, key: str, *, at: str) -> None:
        """Remove a file, durably."""
        if fsio.unlink(self.root / key, at=at):
            fsio.sync_dir((self.root / key).parent, at=at)

    def delete_many(self, keys: Sequence[str], *, at: str) -> None:
        """Remove files, then sync each directory once."""
        paths = [self.root / key for key in keys]
        gone = [path for path in paths if fsio.unlink(path, at=at)]
        for directory in sorted({path.parent for path in gone}):
            fsio.sync_dir(directory, at=at)

    def set_aside(self, key: str, aside: str, *, at: str) -> None:
        """Rename it."""
        path, other = self.root / key, self.root / aside
        fsio.make_dirs(other.parent, at=at, root=self.root)
        fsio.rename(path, other, at=at)
        fsio.sync_dir(other.parent, at=at)
        fsio.sync_dir(path.parent, at=at)

    def pace(self, spend: Callable[[int], None]) -> None:
        """Nothing goes over a network."""
        del spend

    def put_blob(self, source: Path, sha256: str, moved: Moved | None = None) -> bool:
        """Copy by offset, sync, rename, sync the directory."""
        return blobs.copy(source, self.blob(sha256), self.root, sha256, moved)

    def give_up_uploads(self, age_s: float, orphan_age_s: float) -> int:
        """A copy leaves at most a file that the next one goes on with."""
        del age_s, orphan_age_s
        return 0

    def clear_leftovers(self, age_s: float) -> int:
        """Passing names of ours and of Delta's engine, beside tables' files and in ``control/``."""
        cleared = 0
        for below in (TABLES, CONTROL):
            for directory, _, names in os.walk(self.root / below):
                for name in names:
                    path = Path(directory, name)
                    if not _LEFTOVER.fullmatch(name):
                        continue
                    with contextlib.suppress(FileNotFoundError):
                        if time.time() - path.stat().st_mtime >= age_s:
                            cleared += fsio.unlink(path, at="vacuum")
        return cleared

    def prepare(self) -> None:
        """Make the directories in a missing or empty one, on a file system that is fit."""
        try:
            if self.root.exists() and not _is_vacant(self.root):
                raise LakeRefused(
                    f"{self.root} isn't empty and isn't a lake (lake.json is missing).",
                    hint="Choose an empty directory, or restore lake.json from a backup.",
                )
            fsio.make_dirs(self.root, at="lake")
            lacking = [item for item in self.probe() if not item.ok]
            if lacking:
                raise LakeRefused(
                    f"The file system '{file_system(self.root)}' of {self.root} lacks: "
                    + ", ".join(f"{item.name} ({item.detail})" for item in lacking)
                    + ".",
                    hint="Put the lake on a local file system such as ext4, xfs, btrfs, APFS or "
                    "NTFS.",
                )
            for name in (TABLES, BLOBS, CONTROL):
                fsio.make_dirs(self.root / name, at="lake")
        except OSError as error:
            raise LakeUnreachable(
                f"No lake can be made in {self.root}: {error.strerror}.",
                hint="Choose a directory that you may write.",
            ) from None

    def check_in(self) -> None:
        """A file system was tried when the lake was made on it, and stays what it is."""

    def probe(self) -> list[Property]:
        """Try it in a scratch directory inside the lake."""
        scratch = self.root / f".probe-{secrets.token_hex(6)}"
        try:
            scratch.mkdir()
        except OSError as error:
            raise LakeUnreachable(
                f"The lake's directory {self.root} can't be written: {error.strerror}.",
                hint="Check that it is mounted and that you may write there.",
            ) from None
        try:
            return [
                _try("hard link", "a second hard link of one name is refused", _link, scratch),
                _try("rename", "a rename replaces its target", _rename, scratch),
                _try("directory fsync", "a directory can be synced", _sync, scratch),
            ]
        finally:
            for path in scratch.iterdir():
                path.unlink()
            scratch.rmdir()


def file_system(path: Path) -> str:
    """Type of the file system that holds a path, e.g. ``ext4``."""
    mounts = [
        (len(part.mountpoint), part.fstype)
        for part in psutil.disk_partitions(all=True)
        if path == Path(part.mountpoint) or Path(part.mountpoint) in path.parents
    ]
    return max(mounts)[1] if mounts else "unknown"


def _has_entry(directory: Path) -> bool:
    """Whether a log has begun; stops at the first name, as a log has very many.

    The engine writes an entry under a passing name first (``….json#1``), and a kill leaves that.
    """
    with os.scandir(directory) as entries:
        return any(one.name.endswith((".json", ".parquet", "_last_checkpoint")) for one in entries)


def _is_vacant(root: Path) -> bool:
    """Whether a directory holds nothing but what a lake's making leaves before ``lake.json``."""
    if not root.is_dir():
        return False
    for path in root.rglob("*"):
        parts = path.relative_to(root).parts
        ours = parts[0].startswith((".probe-", ".tmp-")) or any(
            Path(name).parts[: len(parts)] == parts for name in (TABLES, BLOBS, CONTROL)
        )
        if not ours:
            return False
    return True


def _try(name: str, promise: str, attempt: Callable[[Path], None], scratch: Path) -> Property:
    try:
        attempt(scratch)
    except (OSError, AssertionError) as error:
        return Property(name=name, ok=False, detail=str(error) or promise)
    return Property(name=name, ok=True, detail=promise)


def _write(path: Path, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        fsio.write(fd, content, path, at="probe")
        fsio.sync(fd, path, at="probe")
    finally:
        os.close(fd)


def _link(scratch: Path) -> None:
    first, second, name = scratch / "a", scratch / "b", scratch / "c"
    _write(first, b"1")
    _write(second, b"2")
    with fsio.operation("probe", "link", first, name):
        os.link(first, name)
    with contextlib.suppress(FileExistsError):
        os.link(second, name)
        raise AssertionError("a second hard link replaced the first")


def _rename(scratch: Path) -> None:
    first, second = scratch / "d", scratch / "e"
    _write(first, b"1")
    _write(second, b"2")
    fsio.rename(first, second, at="probe")
    if second.read_bytes() != b"1" or first.exists():
        raise AssertionError("a rename didn't replace its target")


def _sync(scratch: Path) -> None:
    fsio.sync_dir(scratch, at="probe")
