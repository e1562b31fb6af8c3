"""``/lifelog/api/thumbnails/{sha256}``: a frame made small for the strip, as WebP.

Made on first use, in two threads of its own, and kept in ``HOME/index/thumbnails``: disposable,
bounded, the least used go first. A picture is input from a device: its format is recognised by its
bytes, and one that would need too much memory is refused before it is decoded.
"""

from __future__ import annotations

import asyncio
import io
import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, cast

import structlog
from tornado.web import authenticated

from lifelog_lake import fsio
from lifelog_lake.errors import UsageError
from lifelog_lake.server.base import explained
from lifelog_lake.server.blobs import ContentHandler
from lifelog_lake.server.ranges import etag_matches

log = structlog.get_logger(__name__)

THUMBNAILS = "lifelog_lake_thumbnails"
#: Wide enough for a tile on a dense screen; a tall picture keeps its width.
WIDTH_PX, MOST_HEIGHT_PX = 320, 640
QUALITY = 70
FORMATS = ("WEBP", "PNG", "JPEG", "AVIF")
MOST_BYTES = 64 * 1024 * 1024
#: Three bytes a pixel while it is decoded: an 8K screen has 33 million.
MOST_PIXELS = 40_000_000
THREADS = 2
KEPT_BYTES = 512 * 1024 * 1024


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
            content = shrink(file)
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


class ThumbnailHandler(ContentHandler):
    """Serves one small picture; GET."""

    _making: Future[bytes] | None = None

    @authenticated
    @explained
    async def get(self, sha256: str) -> None:
        """The small picture of a blob."""
        file = await self.open_blob(sha256)
        if file is None:
            return
        try:
            etag = f'"{sha256}-{WIDTH_PX}"'
            if etag_matches(self.request.headers.get("If-None-Match"), etag):
                self.allow_to_keep(etag)
                self.set_status(304)
                self.finish(set_content_type="image/webp")
                return
            content = await self._make(sha256, file)
        except UsageError as error:
            self.refuse(415, error.message, error.hint)
            return
        finally:
            await self.reader.run(file.close)
        if content is not None:
            self.allow_to_keep(etag)
            self.set_header("Content-Length", str(len(content)))
            self.finish(content, set_content_type="image/webp")

    async def _make(self, sha256: str, file: BinaryIO) -> bytes | None:
        thumbnails = cast(Thumbnails, self.settings[THUMBNAILS])
        self._making = thumbnails.begin(sha256, file)
        try:
            return await asyncio.wrap_future(self._making)
        except asyncio.CancelledError:  # the browser has scrolled on
            return None

    def on_connection_close(self) -> None:
        """Don't make what nobody waits for; what has begun is finished and kept."""
        if self._making is not None:
            self._making.cancel()


def shrink(file: BinaryIO) -> bytes:
    """A picture as a small WebP. Raises :class:`UsageError` for anything else."""
    from PIL import Image, UnidentifiedImageError

    hint = "Open the content itself: /lifelog/api/blobs/ and its name."
    size = file.seek(0, 2)
    file.seek(0)
    if size > MOST_BYTES:
        raise UsageError("The picture's file is too large to be made small.", hint=hint)
    try:
        with Image.open(file, formats=FORMATS) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise UsageError("The picture has too many pixels to be made small.", hint=hint)
            picture.draft("RGB", (WIDTH_PX, MOST_HEIGHT_PX))  # a JPEG is decoded small at once
            small = picture.convert("RGB")
            small.thumbnail((WIDTH_PX, MOST_HEIGHT_PX), Image.Resampling.BILINEAR, reducing_gap=2.0)
    except UnidentifiedImageError:
        raise UsageError("This content isn't a picture.", hint=hint) from None
    # The AVIF decoder says RuntimeError; MemoryError is a size that a damaged header made up.
    except (
        OSError,
        SyntaxError,
        ValueError,
        RuntimeError,
        MemoryError,
        Image.DecompressionBombError,
    ):
        raise UsageError("The picture is damaged.", hint=hint) from None
    content = io.BytesIO()
    small.save(content, "WEBP", quality=QUALITY, method=2)
    return content.getvalue()
