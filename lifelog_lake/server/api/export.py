"""``export``: the whole journal as one file, streamed: neither side keeps it in memory."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import structlog
from tornado.iostream import StreamClosedError

from lifelog_lake.clock import date_of
from lifelog_lake.server.api.models import ExportQuery
from lifelog_lake.server.api.operation import Answer, ApiHandler, operation
from lifelog_lake.server.api.work import EXPORTS
from lifelog_lake.server.problem import Problem

log = structlog.get_logger(__name__)

TYPES = {"json": "application/json", "jsonl": "application/x-ndjson", "zip": "application/zip"}
#: Pieces are gathered to this size.
PIECE_BYTES = 256 * 1024
#: Seconds in which who receives it has to take a piece.
PATIENCE_S = 120.0


class ExportHandler(ApiHandler):
    """Serves the journal; GET."""

    @operation(
        "exportJournal", "Download the journal: JSON, JSON Lines, or a zip with all files.",
        scopes=("read",), query=ExportQuery, problems=(503,),
        answers={200: Answer(doc="All entries as they are now.", media=tuple(TYPES.values()))},
    )  # fmt: skip
    async def get(self) -> None:
        """What ``lifelog import`` takes. A connection that is cut short has no last chunk."""
        query: ExportQuery = self.arguments
        if self.work.exports >= EXPORTS:
            raise Problem(
                status=503,
                detail=f"{EXPORTS} exports run already.",
                hint="Try again when one has ended.",
                headers={"Retry-After": "30"},
            )
        self.work.exports += 1
        # The index gives all of it in one transaction, which belongs to one thread.
        thread = ThreadPoolExecutor(1, thread_name_prefix="export")
        try:
            await self._stream(query, thread)
        finally:
            thread.shutdown(wait=False)
            self.work.exports -= 1

    async def _stream(self, query: ExportQuery, thread: ThreadPoolExecutor) -> None:
        from lifelog_lake.recall.journal.exporting import Exported, stream

        loop = asyncio.get_running_loop()
        done = Exported(lost=[])
        pieces = stream(self.work.journal, query.format, done, history=query.history)
        await self.work.run(self.audit("export", format=query.format, history=query.history))

        def gathered() -> bytes:
            """Some pieces at once; none at the end."""
            content = bytearray()
            for piece in pieces:
                content += piece
                if len(content) >= PIECE_BYTES:
                    break
            return bytes(content)

        try:
            content = await loop.run_in_executor(thread, gathered)
            name = f"lifelog-journal-{date_of(self.work.clock.wall_us())}.{query.format}"
            self.set_header("Content-Disposition", f'attachment; filename="{name}"')
            self.set_header("Cache-Control", "no-store")
            self.set_header("Content-Type", TYPES[query.format])
            while content:
                self.write(content)
                try:
                    await asyncio.wait_for(self.flush(), PATIENCE_S)
                except (StreamClosedError, TimeoutError):  # gone, or as good as gone
                    self.request.connection.stream.close()  # type: ignore[union-attr]
                    return
                content = await loop.run_in_executor(thread, gathered)
        except Exception as error:
            if not self._headers_written:
                raise
            log.exception("export_failed", error=error)
            self.request.connection.stream.close()  # type: ignore[union-attr]
            return
        finally:
            await loop.run_in_executor(thread, pieces.close)  # type: ignore[attr-defined]
        if done.lost:
            log.error("content_lost", count=len(done.lost))
        self.finish(set_content_type=TYPES[query.format])
