"""``/lifelog/api/thumbnails/{sha256}``: a frame made small for the strip, as WebP.

The lake's own one (:mod:`lifelog_lake.care.thumbnails`) if there is one. Else it is made on first
use, in two threads of its own, and kept in ``HOME/index/thumbnails``: disposable, bounded, the
least used go first.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, cast

import structlog

from lifelog_lake import fsio
from lifelog_lake.care.pictures import WIDTH_PX
from lifelog_lake.care.previews import first_look
from lifelog_lake.care.thumbnail_index import ThumbnailIndex
from lifelog_lake.errors import LakeDamaged, UsageError
from lifelog_lake.lake.store import Store, blob_key
from lifelog_lake.server.api.operation import Answer, ApiHandler, operation
from lifelog_lake.server.blobs import ContentHandler
from lifelog_lake.server.ranges import etag_matches

log = structlog.get_logger(__name__)

THUMBNAILS = "lifelog_lake_thumbnails"
DERIVED = "lifelog_lake_derived_thumbnails"
THREADS = 2
KEPT_BYTES = 512 * 1024 * 1024
#: Seconds for which the lake isn't asked again whether it has new ones.
FRESH_S = 5.0


class Derived:
    """The small pictures that the lake has; ``home`` is where their index is kept."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._index: ThumbnailIndex | None = None
        self._lock = threading.Lock()
        self._next_s = 0.0

    def read(self, store: Store, sha256: str) -> bytes | None:
        """The small picture of a content; None if the lake has none that can be read."""
        try:
            small = self._refreshed(store).get(sha256)
            if small is None:
                return None
            return store.read(blob_key(small))
        except (FileNotFoundError, LakeDamaged, sqlite3.Error) as error:
            # The picture itself is there all the same, and is made small now.
            log.warning("derived_thumbnail_unreadable", reason=str(error))
            return None

    def close(self) -> None:
        """Let the index go."""
        with self._lock:
            if self._index is not None:
                self._index.close()

    def _refreshed(self, store: Store) -> ThumbnailIndex:
        with self._lock:
            if self._index is None:
                self._index = ThumbnailIndex(self._home, store)
            if time.monotonic() >= self._next_s:
                self._next_s = time.monotonic() + FRESH_S
                self._index.refresh()
            return self._index


class Thumbnails:
    """Makes small pictures and keeps them in a directory of at most ``kept_bytes``."""

    def __init__(self, directory: Path, *, kept_bytes: int = KEPT_BYTES) -> None:
        self._directory = directory
        self._most_bytes = kept_bytes
        self._bytes: int | None = None  # unknown until the first is written
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="thumbnail")

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def begin(self, sha256: str, file: BinaryIO) -> Future[bytes]:
        """Have a small picture read or made; cancel it when nobody waits any longer."""
        return self._threads.submit(self.get, sha256, file)

    def get(self, sha256: str, file: BinaryIO) -> bytes:
        """The small picture of a content, kept from then on.

        Raises :class:`UsageError` for what isn't a picture, or is too large a one.
        """
        path = self._directory / sha256[:2] / f"{sha256}.webp"
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            content = first_look(file)
            self._keep(path, content)
        else:
            os.utime(path)
        return content

    def _keep(self, path: Path, content: bytes) -> None:
        try:
            fsio.make_dirs(path.parent, at="thumbnail")
            fsio.write_atomic(path, content, at="thumbnail")
            with self._lock:
                known = self._bytes
                self._bytes = None if known is None else known + len(content)
                if self._bytes is None or self._bytes > self._most_bytes:
                    self._bytes = self._make_room()
        except OSError as error:  # a full disk must not hide the picture
            log.warning("thumbnail_not_kept", reason=error.strerror)

    def _make_room(self) -> int:
        """Count the kept bytes; remove the least used down to four fifths if they are too many."""
        kept = []
        for path in self._directory.glob("*/*"):
            status = path.stat()
            kept.append((status.st_mtime_ns, status.st_size, path))
        total = sum(size for _, size, _ in kept)
        if total <= self._most_bytes:
            return total
        for _, size, path in sorted(kept):
            if total <= self._most_bytes * 4 // 5:
                break
            path.unlink(missing_ok=True)
            total -= size
        return total


class ThumbnailHandler(ApiHandler, ContentHandler):
    """Serves one small picture; GET."""

    _making: Future[bytes] | None = None

    @operation(
        "getThumbnail", "A small picture of a frame or file.", scopes=("read",),
        answers={
            200: Answer(doc="WebP.", media=("image/webp",), headers={"ETag": "Names it."}),
            304: Answer(doc="It is what If-None-Match names.", media=()),
        },
        problems=(404, 415, 503),
    )  # fmt: skip
    async def get(self, sha256: str) -> None:
        """Kept beside the lake's own, so each is made once."""
        if not self.is_named(sha256):
            return
        etag = f'"{sha256}-{WIDTH_PX}"'
        has_it = etag_matches(self.request.headers.get("If-None-Match"), etag)
        content = await self.reader.run(self._derived, sha256)
        if content is None:
            content = await self._of_the_blob(sha256, wanted=not has_it)
        if content is None:
            return
        self.allow_to_keep(etag)
        if has_it:
            self.set_status(304)
            self.finish(set_content_type="image/webp")
            return
        self.set_header("Content-Length", str(len(content)))
        self.finish(content, set_content_type="image/webp")

    def _derived(self, sha256: str) -> bytes | None:
        derived = cast(Derived, self.settings[DERIVED])
        return derived.read(self.reader.lake.store, sha256)

    async def _of_the_blob(self, sha256: str, *, wanted: bool) -> bytes | None:
        """Made of the blob itself, if wanted; None once the request is refused or given up."""
        file = await self.open_blob(sha256)
        if file is None:
            return None
        try:
            return await self._make(sha256, file) if wanted else b""
        except UsageError as error:
            self.refuse(415, error.message, error.hint)
            return None
        finally:
            await self.reader.run(file.close)

    async def _make(self, sha256: str, file: BinaryIO) -> bytes | None:
        thumbnails = cast(Thumbnails, self.settings[THUMBNAILS])
        self._making = thumbnails.begin(sha256, file)
        try:
            return await asyncio.wrap_future(self._making)
        except asyncio.CancelledError:  # the browser has scrolled on
            return None

    def on_connection_close(self) -> None:
        """Don't make what nobody waits for; what has begun is finished and kept."""
        super().on_connection_close()
        if self._making is not None:
            self._making.cancel()
