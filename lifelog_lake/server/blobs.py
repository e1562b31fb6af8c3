"""``/lifelog/api/blobs/{sha256}``: the content of frames, sounds and attachments.

Content-addressed, so its address is its entity tag and it may be cached for ever. Streamed in
pieces, read in threads. See :mod:`lifelog_lake.server.media` for what is shown inline.
"""

from __future__ import annotations

import re
from typing import BinaryIO, ClassVar

import structlog
from tornado.iostream import StreamClosedError

from lifelog_lake.errors import LakeRefused, LakeUnreachable, LifelogError
from lifelog_lake.server.api.operation import Answer, ApiHandler, operation
from lifelog_lake.server.base import LifelogHandler
from lifelog_lake.server.media import HEAD_BYTES, inert_type
from lifelog_lake.server.ranges import (
    ByteRange,
    Unsatisfiable,
    etag_matches,
    parse_range,
    range_still_valid,
)

log = structlog.get_logger(__name__)

PIECE_BYTES = 256 * 1024
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


class ContentHandler(LifelogHandler):
    """What the routes share that serve content by its hash."""

    @property
    def content_security_policy(self) -> str:
        """Even if a browser were fooled into rendering it: no script, no origin."""
        return "sandbox; default-src 'none'"

    def is_named(self, sha256: str) -> bool:
        """Whether an address names a blob at all; if not, the request has been refused."""
        if _SHA256.fullmatch(sha256) is not None:
            return True
        self.refuse(
            400,
            "That isn't the name of a blob.",
            "A blob is named by its sha256: 64 digits, 0-9 and a-f.",
        )
        return False

    async def open_blob(self, sha256: str) -> BinaryIO | None:
        """The blob's file; None once the request has been refused."""
        if not self.is_named(sha256):
            return None
        try:
            return await self.reader.run(self.reader.lake.blob, sha256)
        except (LakeUnreachable, LakeRefused):
            raise
        except LifelogError as error:
            self.refuse(404, error.message, error.hint or "Check it with: lifelog verify")
            return None

    def allow_to_keep(self, etag: str) -> None:
        """Headers of what never changes, and of what no other site may use."""
        self.set_header("ETag", etag)
        self.set_header("Cache-Control", "private, max-age=31536000, immutable")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")

    def compute_etag(self) -> None:
        """The tag is the address; never hash the answer."""

    async def serve(self, file: BinaryIO, tag: str, content_type: str) -> None:
        """A file's content, or the range of it that was asked for; of HEAD the headers alone."""
        size = await self.reader.run(file.seek, 0, 2)
        etag, with_body = f'"{tag}"', self.request.method != "HEAD"
        self.allow_to_keep(etag)
        self.set_header("Accept-Ranges", "bytes")
        if etag_matches(self.request.headers.get("If-None-Match"), etag):
            self.set_status(304)
            self.finish(set_content_type=content_type)
            return
        wanted = ByteRange(start=0, stop=size)
        if with_body and range_still_valid(self.request.headers.get("If-Range"), etag):
            try:
                part = parse_range(self.request.headers.get("Range"), size)
            except Unsatisfiable:
                self.set_header("Content-Range", f"bytes */{size}")
                self.clear_header("ETag")
                self.refuse(416, "The range lies outside of the content.", f"It has {size} bytes.")
                return
            if part is not None:
                wanted = part
                self.set_status(206)
                self.set_header("Content-Range", f"bytes {part.start}-{part.stop - 1}/{size}")
        self.set_header("Content-Type", content_type)
        self.set_header("Content-Length", str(wanted.length))
        if with_body:
            await self._stream(file, wanted)
        self.finish(set_content_type=content_type)

    async def _stream(self, file: BinaryIO, wanted: ByteRange) -> None:
        left = wanted.length
        await self.reader.run(file.seek, wanted.start)
        while left:
            piece = await self.reader.run(file.read, min(PIECE_BYTES, left))
            if not piece:  # shorter than measured: cut the connection, never pad
                log.error("content_became_shorter", id=self.path_args[0])
                self.request.connection.stream.close()  # type: ignore[union-attr]
                return
            left -= len(piece)
            self.write(piece)
            try:
                await self.flush()
            except StreamClosedError:  # the reader has gone; nothing is left to tell it
                return


class BlobHandler(ApiHandler, ContentHandler):
    """Serves one blob; GET and HEAD."""

    _answers: ClassVar = {
        200: Answer(doc="The content.", media=("*/*",), headers={"ETag": "Its hash."}),
        206: Answer(doc="The part that Range asks for.", media=("*/*",)),
        304: Answer(doc="It is what If-None-Match names.", media=()),
    }

    @operation(
        "getBlob", "Content by its hash.", scopes=("read",), answers=_answers,
        problems=(404, 416, 503),
    )  # fmt: skip
    async def get(self, sha256: str) -> None:
        """Inert pictures, sounds and videos can be shown inline; all else is a download."""
        await self._give(sha256)

    @operation(
        "headBlob", "See what content there is.", scopes=("read",), answers=_answers,
        problems=(404, 503),
    )  # fmt: skip
    async def head(self, sha256: str) -> None:
        """The same headers without the content."""
        await self._give(sha256)

    async def _give(self, sha256: str) -> None:
        file = await self.open_blob(sha256)
        if file is None:
            return
        try:
            media_type = inert_type(await self.reader.run(file.read, HEAD_BYTES))
            if media_type is None:
                self.set_header("Content-Disposition", f'attachment; filename="{sha256[:16]}.bin"')
            await self.serve(file, sha256, media_type or "application/octet-stream")
        finally:
            await self.reader.run(file.close)
