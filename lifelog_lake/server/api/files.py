"""``events/{entry_id}/attachments`` and ``attachments/{key}``: files, in pieces, either way.

A body goes straight into the spool while it comes, and is an attachment only once all of it is
durable. Whatever goes wrong before, nothing of it stays.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future
from typing import BinaryIO, ClassVar
from urllib.parse import quote

import multipart

from lifelog_lake.errors import LifelogError, UnknownEntry
from lifelog_lake.recall.journal.journal import Upload
from lifelog_lake.recall.journal.model import Attachment
from lifelog_lake.server.api.inflow import Inflow
from lifelog_lake.server.api.meter import METER
from lifelog_lake.server.api.models import AttachmentOut, AttachmentsOut
from lifelog_lake.server.api.operation import Answer, ApiHandler, Body, operation
from lifelog_lake.server.api.patience import PatientHandler
from lifelog_lake.server.blobs import ContentHandler
from lifelog_lake.server.problem import Problem, problem_of

#: What a form needs beside its files.
FORM_BYTES = 64 * 1024
#: Characters of a file's name in an address.
MOST_NAME = 255
FORM = "multipart/form-data"
_FILES = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "file": {"type": "array", "minItems": 1, "items": {"type": "string", "format": "binary"}}
    },
}


class UploadHandler(PatientHandler):
    """What both ways to upload share: the file's pieces go into a thread that writes them."""

    entry_id: str

    def initialize(self) -> None:
        """Called by tornado."""
        super().initialize()
        self._inflow: Inflow | None = None
        self._writing: Future[Attachment] | None = None
        self._done: list[Attachment] = []
        self._gone = False
        #: What takes files back that were attached before the request failed.
        self._dropping: Future[None] | None = None

    async def check_more(self) -> None:
        """Whether there is room, before anything is sent."""
        if self.operation is None or self.operation.body is None:
            return
        try:
            await self.work.run(self.work.journal.check_room, self.path_args[0])
        except LifelogError as error:
            raise problem_of(error) from None
        self.wait_for_more()

    def begin(self, name: str, media_type: str | None, length: int | None) -> None:
        """A file begins."""
        entry_id, inflow = self.path_args[0], Inflow()
        upload = Upload(chunks=inflow.chunks(), name=name, media_type=media_type, length=length)

        def write() -> Attachment:
            try:
                return self.work.journal.attach(entry_id, upload)
            finally:
                inflow.close()

        self._inflow, self._writing = inflow, self.work.upload(write)

    async def end(self) -> None:
        """A file ends: it is kept, or the request has failed."""
        if self._inflow is None or self._writing is None:
            return
        self._inflow.end()
        writing, self._inflow, self._writing = self._writing, None, None
        try:
            attached = await asyncio.wrap_future(writing)
            self._done.append(attached)
            METER.wrote("attachment")
            if self._gone:  # nobody will hear that it is kept, and it would be sent again
                self._drop()
        except LifelogError as error:
            self.failed = problem_of(error)
            self._drop()

    async def take(self, chunk: bytes) -> None:
        """A piece of the body."""
        self.stop_waiting()
        await self.take_piece(chunk)
        if self._writing is not None and self._writing.done():
            await self.end()  # it was refused before its end
        if self.failed is not None and self.length is None:
            await self.refuse_early(self.failed)  # a body without a length might never end
        self.wait_for_more()

    async def refuse_early(self, problem: Problem) -> None:
        """Nothing of the request stays."""
        self._drop()
        await self._dropped()
        await super().refuse_early(problem)

    def _drop(self) -> None:
        """Take back what is attached, in a thread; a file that still comes is cut."""
        if self._inflow is not None:
            self._inflow.cut(ConnectionAbortedError("The request has failed."))
            self._inflow = None
        done, self._done = self._done, []
        if done:
            self._dropping = self.work.upload(lambda: self._detach(done))

    async def _dropped(self) -> None:
        """Who is told that the request has failed finds nothing of it any more."""
        if self._dropping is not None:
            await asyncio.wrap_future(self._dropping)

    def _detach(self, files: list[Attachment]) -> None:
        for file in files:
            with contextlib.suppress(UnknownEntry):  # the entry was deleted meanwhile
                self.work.journal.detach(file.key)

    async def take_piece(self, chunk: bytes) -> None:
        """A piece of the file."""
        assert self._inflow is not None
        await self._inflow.put(chunk)

    async def give(self, answer: Callable[[], None]) -> None:
        """Answer, if all files are kept."""
        if self._gone:
            self.failed = Problem(status=408, detail="The sender is gone.", hint="Send it again.")
        if self.failed is not None:
            await self._dropped()
            raise self.failed
        record = self.audit(
            "attachment.create", entry=self.path_args[0], keys=[file.key for file in self._done]
        )
        await self.work.run(record)
        answer()

    def on_connection_close(self) -> None:
        """The sender is gone."""
        super().on_connection_close()
        if not self._headers_written:
            self._gone = True
            self._drop()

    def on_finish(self) -> None:
        """Answered."""
        if self.get_status() >= 400:
            self._drop()
        super().on_finish()


class AttachmentsHandler(UploadHandler):
    """``events/{entry_id}/attachments``: forms, as browsers and phones send them."""

    _parser: multipart.PushMultipartParser | None = None

    @operation(
        "listAttachments", "List an entry's files.", scopes=("read",), problems=(404,),
        answers={200: Answer(doc="Its files.", schema=AttachmentsOut)},
    )  # fmt: skip
    async def get(self, entry_id: str) -> None:
        """In the order of their coming."""
        entry = await self.work.run(self.work.journal.get, entry_id)
        self.answer({"attachments": [file.as_json() for file in entry.attachments]})

    @operation(
        "attachFiles", "Attach files: all of them or none.", scopes=("write", "ingest"),
        body=Body(doc="A form with a file or several.", schema=_FILES, media=(FORM,),
                  streamed=True),
        answers={201: Answer(doc="They are kept.", schema=AttachmentsOut)},
        problems=(404, 409, 413, 415, 422, 507),
    )  # fmt: skip
    async def post(self, entry_id: str) -> None:
        """What a file is, is judged by its content; [journal] says how many, how large, what."""
        del entry_id
        self.stop_waiting()  # all of it came: what takes time now isn't the sender
        if self._parser is not None and self.failed is None:
            try:
                self._parser.close()
            except multipart.MultipartError:
                self.failed = no_form()
                self._drop()
        await self.end()
        if self.failed is None and not self._done:
            self.failed = no_form()
        files = [file.as_json() for file in self._done]
        await self.give(lambda: self.answer({"attachments": files}, 201))

    def most_bytes(self, body: Body | None) -> int:
        """As many of the largest as an entry may have."""
        settings = self.work.home.settings.journal
        if body is None:
            return super().most_bytes(body)
        return FORM_BYTES + max(1, settings.attachments_per_entry) * settings.file_max_bytes

    def check_head(self) -> None:
        """A form says what stands between its parts."""
        super().check_head()
        if self.operation is None or self.operation.body is None:
            return
        _, options = multipart.parse_options_header(self.request.headers.get("Content-Type", ""))
        try:
            self._parser = multipart.PushMultipartParser(
                options.get("boundary", ""), max_segment_count=1000, strict=True
            )
        except multipart.MultipartError:
            raise no_form() from None

    async def take_piece(self, chunk: bytes) -> None:
        """Take the form apart: each part is a head, pieces and an end."""
        assert self._parser is not None
        try:
            for part in self._parser.parse(chunk):
                if self.failed is not None:
                    return
                if isinstance(part, multipart.MultipartSegment):
                    if part.filename is not None:
                        self.begin(part.filename, part.content_type, None)
                elif part is None:
                    await self.end()
                elif self._inflow is not None:
                    await self._inflow.put(bytes(part))
        except multipart.MultipartError:
            self.failed = no_form()
            self._drop()


def no_form() -> Problem:
    """There is nothing to attach."""
    return Problem(
        status=400,
        detail="The body isn't a form with a file in it.",
        hint="curl -F file=@photo.jpg …, or PUT the file itself to attachments/NAME.",
    )


class AttachmentUploadHandler(UploadHandler):
    """``events/{entry_id}/attachments/{name}``: the file itself is the body."""

    @operation(
        "putAttachment", "Attach a file, sent as it is.", scopes=("write", "ingest"),
        body=Body(doc="The file.", schema={"type": "string", "format": "binary"},
                  media=("application/octet-stream", "*/*"), streamed=True),
        answers={201: Answer(doc="It is kept.", schema=AttachmentOut)},
        problems=(404, 409, 413, 415, 422, 507),
    )  # fmt: skip
    async def put(self, entry_id: str, name: str) -> None:
        """As ``curl -T photo.jpg …/attachments/`` does. Each one is a new file of the entry."""
        del entry_id, name
        self.stop_waiting()  # all of it came: what takes time now isn't the sender
        await self.end()
        await self.give(lambda: self.answer(self._done[0].as_json(), 201))

    def most_bytes(self, body: Body | None) -> int:
        """The largest file that may be."""
        if body is None:
            return super().most_bytes(body)
        return self.work.home.settings.journal.file_max_bytes

    async def check_more(self) -> None:
        """The file begins with the body."""
        if len(self.path_args[-1]) > MOST_NAME:
            raise Problem(status=400, detail=f"A name has at most {MOST_NAME} characters.")
        await super().check_more()
        if self.operation is not None and self.operation.body is not None:
            self.begin(self.path_args[1], self.media_type or None, self.length)


class AttachmentHandler(ApiHandler, ContentHandler):
    """``attachments/{key}``: a file's content."""

    _answers: ClassVar = {
        200: Answer(doc="The content.", media=("*/*",), headers={"ETag": "Names the content."}),
        206: Answer(doc="The part that Range asks for.", media=("*/*",)),
        304: Answer(doc="It is what If-None-Match names.", media=()),
        307: Answer(doc="It is on the lake's server: a link of 5 minutes.", media=()),
    }

    @operation(
        "getAttachment", "Download a file.", scopes=("read",), answers=_answers,
        problems=(404, 416, 500, 503),
    )  # fmt: skip
    async def get(self, key: str) -> None:
        """Always as a download; with Range a part of it."""
        await self._serve(key)

    @operation(
        "headAttachment", "See what a download would be.", scopes=("read",), answers=_answers,
        problems=(404, 500, 503),
    )  # fmt: skip
    async def head(self, key: str) -> None:
        """The same head without the content."""
        await self._serve(key)

    @operation(
        "deleteAttachment", "Take a file away from its entry.", scopes=("write",),
        answers={204: Answer(doc="It is gone from the entry.", media=())}, problems=(404, 507),
    )  # fmt: skip
    async def delete(self, key: str) -> None:
        """Its content stays in the lake until it is forgotten there."""
        record = self.audit("attachment.delete", key=key)

        def remove() -> None:
            self.work.journal.detach(key)
            METER.wrote("attachment")
            record()

        await self.work.run(remove)
        self.set_status(204)
        self.finish()

    async def _serve(self, key: str) -> None:
        file = await self.work.run(self.work.journal.attachment, key)
        name = quote(file.name, safe="")
        disposition = f"attachment; filename*=UTF-8''{name}"
        link = await self.work.run(self._link, file, disposition)
        if link is not None:
            self.set_header("Cache-Control", "no-store")
            self.redirect(link, status=307)
            return
        content: BinaryIO = await self.work.run(self.work.journal.content, file)
        try:
            self.set_header("Content-Disposition", disposition)
            await self.serve(content, file.sha256 or file.id, file.media_type)
        finally:
            await self.work.run(content.close)

    def _link(self, file: Attachment, disposition: str) -> str | None:
        if not self.work.home.settings.server.presigned_links or file.sha256 is None:
            return None
        return self.work.presigned(file.sha256, file.media_type, disposition)
