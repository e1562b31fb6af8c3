"""Where a lake lies: a directory that must be able to keep what it is given.

A local target needs three properties of its file system: a hard link (Delta's commit is one),
a rename that replaces, and a directory that can be synced. One that lacks any is refused by name.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import psutil

from lifelog_lake import fsio
from lifelog_lake.errors import LakeRefused, LakeUnreachable, UsageError

#: delta-rs takes paths for URLs: tried with 1.6.3, these fail or name another directory.
_UNUSABLE = re.compile(r"[%\[\]^|\\\x00-\x1f\x7f]")
TABLES = "tables"
BLOBS = "blobs/sha256"
CONTROL = "control"


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """One thing that a target must be able to do, and whether it can."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class LocalTarget:
    """A lake in a directory."""

    root: Path

    @property
    def url(self) -> str:
        """The address a person gave, as a path."""
        return str(self.root)

    def table(self, stream: str) -> Path:
        """Root of a stream's Delta table."""
        return self.root / TABLES / stream

    def blob(self, sha256: str) -> Path:
        """Where content lies, whether or not it is there."""
        return self.root / BLOBS / sha256[:2] / sha256[2:4] / sha256

    def streams(self) -> list[str]:
        """Names of the tables that exist."""
        logs = (self.root / TABLES).glob("*/_delta_log")
        return sorted(path.parent.name for path in logs if _has_entry(path))


def _has_entry(directory: Path) -> bool:
    """Whether a log has begun; stops at the first name, as a log has very many.

    The engine writes an entry under a passing name first (``….json#1``), and a kill leaves that.
    """
    with os.scandir(directory) as entries:
        return any(one.name.endswith((".json", ".parquet", "_last_checkpoint")) for one in entries)


def parse_url(url: str) -> LocalTarget:
    """The target that an address means. Raises :class:`UsageError`."""
    if "://" not in url and not url.startswith("file:"):
        if not url.strip():
            raise UsageError(
                "The lake's address is empty.", hint="Give a directory, or file:///path."
            )
        return _local(url)
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise UsageError(
            f"The lake's address can't be read: {error}.", hint="Give a directory, or file:///path."
        ) from None
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost"):
            raise UsageError(
                f"{url} names another machine.", hint="Write file:///path, with three slashes."
            )
        return _local(url2pathname(parts.path))
    raise UsageError(
        f"A lake at {parts.scheme}:// isn't offered by this version.",
        hint="Give a directory, or file:///path.",
    )


def _local(path: str) -> LocalTarget:
    root = Path(path).expanduser().absolute()
    if found := _UNUSABLE.search(root.as_posix()):
        raise UsageError(
            f"A lake's path can't hold {found[0]!r}.",
            hint="Delta's engine reads such a path as another one; choose a plainer name.",
        )
    return LocalTarget(root)


def probe(target: LocalTarget) -> list[Property]:
    """Try what we rely on in a scratch directory inside the lake; nothing of it stays."""
    scratch = target.root / f".probe-{secrets.token_hex(6)}"
    try:
        scratch.mkdir()
    except OSError as error:
        raise LakeUnreachable(
            f"The lake's directory {target.root} can't be written: {error.strerror}.",
            hint="Check that it is mounted and that you may write there.",
        ) from None
    try:
        return [
            _try("hard link", "a second hard link of one name is refused", lambda: _link(scratch)),
            _try("rename", "a rename replaces its target", lambda: _rename(scratch)),
            _try("directory fsync", "a directory can be synced", lambda: _sync(scratch)),
        ]
    finally:
        for path in scratch.iterdir():
            path.unlink()
        scratch.rmdir()


def require_fit(target: LocalTarget) -> None:
    """Raise :class:`LakeRefused`, naming the file system and the property it lacks."""
    lacking = [item for item in probe(target) if not item.ok]
    if lacking:
        raise LakeRefused(
            f"The file system '{file_system(target.root)}' of {target.root} lacks: "
            + ", ".join(f"{item.name} ({item.detail})" for item in lacking)
            + ".",
            hint="Put the lake on a local file system such as ext4, xfs, btrfs, APFS or NTFS.",
        )


def file_system(path: Path) -> str:
    """Type of the file system that holds a path, e.g. ``ext4``."""
    mounts = [
        (len(part.mountpoint), part.fstype)
        for part in psutil.disk_partitions(all=True)
        if path == Path(part.mountpoint) or Path(part.mountpoint) in path.parents
    ]
    return max(mounts)[1] if mounts else "unknown"


def _try(name: str, promise: str, attempt: Callable[[], None]) -> Property:
    try:
        attempt()
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
