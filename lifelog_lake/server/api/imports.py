"""``import``: entries of a file, an export of ours or another program's, brought in.

The body is kept beside the spool until it is read, twice: all of it is checked before anything is
written. What was brought in before isn't again, so a request whose answer was lost may be repeated.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import tempfile
import time
from asyncio import wrap_future
from pathlib import Path
from typing import BinaryIO, ClassVar

from lifelog_lake import fsio
from lifelog_lake.recall.journal.foreign import Columns
from lifelog_lake.recall.journal.importing import Imported, import_file
from lifelog_lake.server.api.meter import METER
from lifelog_lake.server.api.models import ImportedOut, ImportQuery
from lifelog_lake.server.api.operation import Answer, Body, operation
from lifelog_lake.server.api.patience import PatientHandler
from lifelog_lake.server.problem import Problem

#: Those that run at once.
MOST = 2
#: The disk's room says how much may come, not this.
MOST_BYTES = 2**50
#: What a killed server left is removed after so long.
LEFTOVER_S = 86_400.0


class ImportHandler(PatientHandler):
    """Takes a file; POST."""

    running: ClassVar[int] = 0
    _counted = _busy = _gone = False
    _path: Path | None = None
    _file: BinaryIO | None = None

    @operation(
        "importJournal", "Bring entries in: an export of ours, CSV, or JSON Lines.",
        scopes=("write",), query=ImportQuery,
        body=Body(doc="The file.", schema={"type": "string", "format": "binary"},
                  media=("application/octet-stream", "*/*"), streamed=True),
        answers={200: Answer(doc="What came, or would come.", schema=ImportedOut)},
        problems=(400, 413, 415, 422, 503, 507),
    )  # fmt: skip
    async def post(self) -> None:
        """All of the file is checked first: if anything in it is wrong, nothing is written."""
        self.stop_waiting()
        path, file, query = self._path, self._file, self.arguments
        assert path is not None
        assert file is not None
        columns = Columns.parse(query.map)
        self._busy = True  # what was begun is ended, whoever waits for it

        def bring() -> Imported:
            file.close()
            done = import_file(
                self.work.journal, path, query.format, columns=columns, dry_run=query.dry_run
            )
            if not query.dry_run:
                METER.wrote("journal", done.entries + done.changes)
                METER.wrote("attachment", done.files)
                self.audit("import", entries=done.entries, changes=done.changes)()
            return done

        done = await wrap_future(self.work.upload(bring))
        self.answer({"dry_run": query.dry_run, **dataclasses.asdict(done)})

    def most_bytes(self, body: Body | None) -> int:
        """As much as the disk takes."""
        return super().most_bytes(body) if body is None else MOST_BYTES

    async def check_more(self) -> None:
        """The file begins."""
        if self.operation is None or self.operation.body is None:
            return
        if ImportHandler.running >= MOST:
            raise Problem(
                status=503, detail=f"{MOST} imports run already.",
                hint="Try again when one has ended.", headers={"Retry-After": "30"},
            )  # fmt: skip
        ImportHandler.running += 1
        self._counted = True
        self._file = await self.work.run(self._opened)
        self.wait_for_more()

    async def take(self, chunk: bytes) -> None:
        """A piece of the file."""
        self.stop_waiting()
        self._busy = True
        try:
            await self.work.run(self._write, chunk)
            self.wait_for_more()
        except Problem as problem:
            await self.refuse_early(problem)
        finally:
            self._busy = False
            if self._gone:
                self._forget()

    def on_finish(self) -> None:
        """Nothing of the file stays."""
        self._forget()
        super().on_finish()

    def on_connection_close(self) -> None:
        """The sender is gone."""
        super().on_connection_close()
        self._gone = True
        if not self._busy:
            self._forget()

    # -- the file ---------------------------------------------------------------------------

    def _opened(self) -> BinaryIO:
        directory = self.work.home.run / "imports"
        fsio.make_dirs(directory, at="import")
        for path in directory.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another import has ended meanwhile
                if path.stat().st_mtime < time.time() - LEFTOVER_S:
                    path.unlink()
        self._room(self.length or 0)
        fd, name = tempfile.mkstemp(dir=directory)
        self._path = Path(name)
        return os.fdopen(fd, "wb")

    def _write(self, chunk: bytes) -> None:
        assert self._file is not None
        self._room(len(chunk))
        try:
            self._file.write(chunk)
        except OSError as error:
            detail = f"The file can't be kept: {error.strerror}."
            raise Problem(status=507, detail=detail, hint=_ROOM) from error

    def _room(self, size: int) -> None:
        home = self.work.home
        if shutil.disk_usage(home.path).free - size < home.settings.spool.min_free_bytes:
            detail = "The hub's disk has no room for this file."
            raise Problem(status=507, detail=detail, hint=_ROOM)

    def _forget(self) -> None:
        self.stop_waiting()
        if self._counted:
            ImportHandler.running -= 1
            self._counted = False
        if self._file is not None:
            self._file.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        self._file = self._path = None


_ROOM = "Make room there, or bring it in with lifelog import on the hub."
