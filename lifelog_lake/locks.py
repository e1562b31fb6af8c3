"""Advisory file locks between the processes of one home.

The lock is the kernel's (``flock``; ``LockFile`` on Windows), so a killed holder never leaves it
behind. The file itself stays: removing it would let two processes lock two different files.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from lifelog_lake.errors import Locked

if os.name == "nt":
    import msvcrt

    def _try_lock(fd: int) -> bool:
        os.lseek(fd, 0, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        except OSError:
            return False
        return True

    def _lock(fd: int) -> None:
        while not _try_lock(fd):
            time.sleep(0.01)

    def _unlock(fd: int) -> None:
        os.lseek(fd, 0, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined,unused-ignore]
else:
    import fcntl

    def _try_lock(fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX)

    def _unlock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_UN)


class FileLock:
    """An exclusive lock on ``path``, held between processes and threads. Not re-entrant."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._thread_lock = threading.Lock()

    def __enter__(self) -> Self:
        self._thread_lock.acquire()
        try:
            _lock(self._fd)
        except BaseException:
            self._thread_lock.release()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        _unlock(self._fd)
        self._thread_lock.release()

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Hold the lock; :class:`Locked` if another has it for so long."""
        deadline_s = time.monotonic() + seconds
        if not self._thread_lock.acquire(timeout=max(seconds, 0.0)):
            raise self._held()
        try:
            while not _try_lock(self._fd):
                if time.monotonic() >= deadline_s:
                    raise self._held()
                time.sleep(0.01)
            try:
                yield
            finally:
                _unlock(self._fd)
        finally:
            self._thread_lock.release()

    def _held(self) -> Locked:
        return Locked(
            "Another process holds this lock and doesn't let it go.",
            hint="If it hangs, `lifelog up` ends it by itself.",
            path=str(self.path),
        )

    def acquire_now(self, what: str) -> None:
        """Take the lock for the process's life, or raise :class:`Locked` with the holder's pid."""
        if not _try_lock(self._fd):
            holder = (
                os.pread(self._fd, 64, 1).decode("ascii", "replace").strip()
                if os.name != "nt"
                else ""
            )
            raise Locked(
                f"{what} is running already" + (f" (process {holder})." if holder else "."),
                hint="Stop that one first, or use another home with --home.",
                path=str(self.path),
            )
        if os.name != "nt":
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"\n{os.getpid()}\n".encode("ascii"), 0)

    def is_current(self) -> bool:
        """Whether the path still names the file that is locked (it may have been renamed)."""
        try:
            return os.stat(self.path).st_ino == os.fstat(self._fd).st_ino
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Give up the lock and the file handle."""
        os.close(self._fd)
