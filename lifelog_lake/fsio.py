"""The one place where files are written durably, and the seam where tests break the disk.

Every function takes ``at``, the stage it serves (``append``, ``seal``, ``data`` …), and announces
the operation to the installed :class:`Hook` under the name ``<at>.<operation>`` before it is done
and ``<at>.<operation>.done`` after. The product installs no hook. Tests install one that kills the
process, raises EIO or ENOSPC, or records the operations to replay them as after a power loss.

Durable means: the bytes are synced, and so is every directory entry that leads to them. A failed
sync is never repeated on the same file: after an error the kernel may have dropped the pages and a
second fsync would succeed without them (Rebello et al., USENIX ATC 2020). The caller goes on with
a new file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

PRIVATE_FILE = 0o600
PRIVATE_DIR = 0o700


@dataclass(frozen=True, slots=True, kw_only=True)
class Op:
    """One file operation: its fault-point ``name``, its ``kind`` and what it touches."""

    name: str
    kind: str
    path: Path
    target: Path | None = None


class Hook(Protocol):
    """What a test can do around each operation."""

    def before(self, op: Op) -> None:
        """Called before the operation; may raise OSError in its place, or never return."""

    def after(self, op: Op) -> None:
        """Called when the operation has succeeded."""


_hook: Hook | None = None


def install_hook(hook: Hook | None) -> None:
    """Install the process-wide hook, or remove it with None. For tests."""
    global _hook  # noqa: PLW0603 - the seam is process-wide on purpose
    _hook = hook


@contextlib.contextmanager
def operation(at: str, kind: str, path: Path, target: Path | None = None) -> Iterator[None]:
    """Announce an operation that another library does (a Delta commit, an upload)."""
    if _hook is None:
        yield
        return
    _hook.before(Op(name=f"{at}.{kind}", kind=kind, path=path, target=target))
    yield
    _hook.after(Op(name=f"{at}.{kind}.done", kind=kind, path=path, target=target))


if sys.platform != "win32":
    _pwrite = os.pwrite
    pread = os.pread
else:  # no positional calls; the stream lock keeps other users of the handle away

    def _pwrite(fd: int, data: bytes, offset: int, /) -> int:
        os.lseek(fd, offset, os.SEEK_SET)
        return os.write(fd, data)

    def pread(fd: int, length: int, offset: int, /) -> bytes:
        """Read at most ``length`` bytes at ``offset``."""
        os.lseek(fd, offset, os.SEEK_SET)
        return os.read(fd, length)


def pwrite(fd: int, data: bytes, offset: int, path: Path, *, at: str) -> None:
    """Write all of ``data`` at ``offset``; a short write is continued."""
    if _hook is not None:
        _hook.before(Op(name=f"{at}.write", kind="write", path=path))
    done = _pwrite(fd, data, offset)
    while done < len(data):
        done += _pwrite(fd, data[done:], offset + done)
    if _hook is not None:
        _hook.after(Op(name=f"{at}.write.done", kind="write", path=path))


def clear(fd: int, length: int, offset: int) -> None:
    """Overwrite with zeros what a failed write may have left; no fault point, not synced."""
    _pwrite(fd, bytes(length), offset)


def write(fd: int, data: bytes, path: Path, *, at: str) -> None:
    """Write all of ``data`` at the file's position."""
    with operation(at, "write", path):
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]


def sync(fd: int, path: Path, *, at: str) -> None:
    """Make the file's content durable (fdatasync, or the platform's strongest equivalent)."""
    if _hook is not None:
        _hook.before(Op(name=f"{at}.fsync", kind="fsync", path=path))
    _sync_fd(fd)
    if _hook is not None:
        _hook.after(Op(name=f"{at}.fsync.done", kind="fsync", path=path))


def _sync_fd(fd: int) -> None:
    if sys.platform == "darwin":
        import fcntl

        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    elif hasattr(os, "fdatasync"):
        os.fdatasync(fd)
    else:
        os.fsync(fd)


def sync_file(path: Path, *, at: str) -> None:
    """Make a file durable that somebody else wrote."""
    fd = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        sync(fd, path, at=at)
    finally:
        os.close(fd)


def sync_dir(path: Path, *, at: str) -> None:
    """Make a directory's entries durable. Windows has no such call: NTFS journals them."""
    with operation(at, "fsync_dir", path):
        if os.name == "nt":
            return
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def make_dirs(path: Path, *, at: str, mode: int = PRIVATE_DIR, root: Path | None = None) -> None:
    """Create ``path`` and its missing parents; each new entry is durable on return.

    With ``root``, directories below it that exist already are made durable too, once a process:
    whoever made them may have been killed before the sync. ``root`` itself is never made: where it
    is missing, its disk is, and what was written would lie below the mount point.
    """
    if path in _durable_dirs and path.is_dir():
        return
    if root is not None and not root.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(root))
    chain = []
    here = path
    while not here.is_dir() or (root is not None and root in here.parents):
        chain.append(here)
        here = here.parent
    for directory in reversed(chain):
        if directory in _durable_dirs and directory.is_dir():
            continue
        with operation(at, "mkdir", directory):
            directory.mkdir(mode=mode, exist_ok=True)
        sync_dir(directory.parent, at=at)
        if root is not None:
            _durable_dirs.add(directory)


_durable_dirs: set[Path] = set()


def rename(source: Path, target: Path, *, at: str) -> None:
    """Rename within a file system, replacing ``target``; durable after ``sync_dir``."""
    with operation(at, "rename", source, target):
        os.replace(source, target)


def unlink(path: Path, *, at: str) -> bool:
    """Remove a file; False if it wasn't there."""
    with operation(at, "unlink", path):
        try:
            path.unlink()
        except FileNotFoundError:
            return False
    return True


def truncate(fd: int, size: int, path: Path, *, at: str) -> None:
    """Cut a file to ``size`` bytes."""
    with operation(at, "truncate", path):
        os.ftruncate(fd, size)


def open_new(path: Path, *, at: str, mode: int = PRIVATE_FILE) -> int:
    """Create a file that must not exist and open it for reading and writing."""
    with operation(at, "create", path):
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)


def write_atomic(path: Path, data: bytes, *, at: str, mode: int = PRIVATE_FILE) -> None:
    """Replace ``path`` by ``data``: after a crash the old or the new content is there, whole.

    Durable on return. The parent directory must exist. A failed attempt leaves the old content
    and no temporary file.
    """
    temporary = temporary_beside(path)
    try:
        fd = open_new(temporary, at=at, mode=mode)
        try:
            write(fd, data, temporary, at=at)
            sync(fd, temporary, at=at)
        finally:
            os.close(fd)
        rename(temporary, path, at=at)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_dir(path.parent, at=at)


def temporary_beside(path: Path) -> Path:
    """A fresh name in the same directory; what begins with ``.tmp-`` may be removed at start."""
    return path.parent / f".tmp-{secrets.token_hex(8)}"
