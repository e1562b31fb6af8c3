"""Reading an object of any size: seekable, by ranges, and all of one version of it."""

from __future__ import annotations

import io
from typing import Any

from lifelog_lake.errors import LakeDamaged, LakeRefused
from lifelog_lake.lake.s3.client import Client, Taken

BUFFER_BYTES = 2**20


class Reader(io.RawIOBase):
    """An object as a file. Wrap it into :class:`io.BufferedReader`."""

    def __init__(self, client: Client, key: str) -> None:
        super().__init__()
        found = client.call("head_object", key)
        self._client = client
        self._key = key
        self._etag: str = found["ETag"]
        self._size = int(found["ContentLength"])
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(start + offset, 0)
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer with one request. Raises :class:`LakeDamaged` if the object has changed."""
        view = memoryview(buffer).cast("B")
        length = min(len(view), self._size - self._at)
        if length <= 0:
            return 0
        try:
            content: bytes = self._client.call(
                "get_object",
                self._key,
                Range=f"bytes={self._at}-{self._at + length - 1}",
                IfMatch=self._etag,
            )["Body"]
        except Taken:
            raise LakeDamaged(
                f"{self._key} changed while it was read.", hint="Read it again.", key=self._key
            ) from None
        if len(content) > length:
            raise LakeRefused(
                f"The server sent {len(content)} bytes of {self._key}, not the {length} asked for.",
                hint="A server or proxy that can't serve ranges isn't fit for a lake.",
            )
        view[: len(content)] = content
        self._at += len(content)
        return len(content)


def open_reader(client: Client, key: str) -> io.BufferedReader:
    """Open an object. Raises :class:`FileNotFoundError`."""
    return io.BufferedReader(Reader(client, key), BUFFER_BYTES)
