"""A disk that forgets: what is left of a tree when the power fails at a given moment.

Installed as the hook of ``fsio``, it notes at each sync what became durable: a file's bytes at its
fsync, a directory's entries at its fsync. From that it builds the tree as it may be found after the
power comes back, in the three ways that file systems are known to behave:

``strict``  only synced entries, only synced bytes.
``eager``   every entry, but only synced bytes (metadata is journalled, data isn't).
``torn``    every entry; of unsynced bytes the even pages are there and the odd ones aren't.

Files that others write (Delta's log) are seen too: they are durable only once ``fsio`` synced them.
"""

from __future__ import annotations

import os
from pathlib import Path

from lifelog_lake import fsio

PAGE_BYTES = 4096
WAYS = ("strict", "eager", "torn")


class ForgetfulDisk:
    """Follows a tree. ``stash`` keeps each file's inode alive, so that no number comes twice."""

    def __init__(self, root: Path, stash: Path) -> None:
        self.names: list[str] = []
        self._root = root
        self._stash = stash
        self._bytes: dict[int, bytes] = {}
        self._entries: dict[int, dict[str, int]] = {}
        self._kept: dict[int, Path] = {}
        for directory, _, files in os.walk(root):
            self._sync_dir(Path(directory))
            for file in files:
                self._sync_file(Path(directory) / file)

    def before(self, op: fsio.Op) -> None:
        """Only what has happened counts."""

    def after(self, op: fsio.Op) -> None:
        """Note what an operation made durable."""
        self.names.append(op.name)
        if not op.path.is_relative_to(self._root):
            return
        if op.kind == "fsync":
            self._sync_file(op.path)
        elif op.kind == "fsync_dir":
            self._sync_dir(op.path)

    def _sync_file(self, path: Path) -> None:
        self._bytes[self._inode(path)] = path.read_bytes()

    def _sync_dir(self, path: Path) -> None:
        self._entries[self._inode(path)] = {
            entry.name: self._inode(Path(entry.path)) for entry in os.scandir(path)
        }

    def _inode(self, path: Path) -> int:
        number = path.stat().st_ino
        if number not in self._kept:
            self._kept[number] = path
            if path.is_file():
                kept = self._stash / str(number)
                os.link(path, kept)
                self._kept[number] = kept
        return number

    def build(self, way: str, target: Path) -> None:
        """Write the tree as it is found after a power loss now."""
        self._build(self._root.stat().st_ino, self._root, way, target)

    def _build(self, number: int, live: Path, way: str, target: Path) -> None:
        target.mkdir()
        if way == "strict":
            entries = self._entries.get(number, {})
        else:
            entries = {entry.name: self._inode(Path(entry.path)) for entry in os.scandir(live)}
        for name, child in entries.items():
            here = self._kept[child]
            if here.is_dir() or child in self._entries:
                self._build(child, live / name, way, target / name)
            else:
                (target / name).write_bytes(self._content(child, way))

    def _content(self, number: int, way: str) -> bytes:
        synced = self._bytes.get(number, b"")
        if way != "torn":
            return synced
        now = self._kept[number].read_bytes()
        if now == synced:
            return now
        if number not in self._bytes:
            return now[: len(now) // 2]
        pages = []
        for page, start in enumerate(range(0, len(now), PAGE_BYTES)):
            source = synced if page % 2 else now
            pages.append(source[start : start + PAGE_BYTES])
        return b"".join(pages)
