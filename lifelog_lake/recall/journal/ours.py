"""Our own exports, read back: their lines, their entries, their files.

An export is input like any other: a line has a most length, a file's content is checked while it is
read, and nothing is unpacked by its name.
"""

from __future__ import annotations

import contextlib
import io
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO, Literal, Self, TextIO, cast

import orjson
from pydantic import AfterValidator, ConfigDict, Field

from lifelog_lake.errors import UsageError
from lifelog_lake.recall.journal.content import display_name
from lifelog_lake.recall.journal.exporting import ENTRIES, HEAD, member_name
from lifelog_lake.recall.journal.model import (
    MOST_DESCRIPTION,
    Attachment,
    Description,
    Input,
    Json,
    Revision,
    Tags,
    Time,
    Zone,
    load_json,
    parse,
    storable,
)

#: No line of an export is longer: an entry has limits, its history grows with each edit.
MOST_LINE_BYTES = 64 * 1024 * 1024
#: JSON that isn't an entry a line, as ours is, is read whole up to this size.
MOST_WHOLE_BYTES = 64 * 1024 * 1024

Word = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(storable)]
Text = Annotated[str, Field(max_length=MOST_DESCRIPTION), AfterValidator(storable)]
Count = Annotated[int, Field(ge=0, lt=2**62)]


class _Revision(Input):
    revision: Word
    parent: Word | None
    lamport: Count
    device: Word
    updated_at: Time
    deleted: bool = False
    at: Time
    tz: Zone | None
    created_at: Time
    title: Text
    description: Description
    tags: Tags
    metadata: Json

    def of(self, entry_id: str) -> Revision:
        """It as a revision of an entry."""
        return Revision(
            id=self.revision,
            entry_id=entry_id,
            parent=self.parent,
            lamport=self.lamport,
            written_at=self.updated_at,
            device=self.device,
            deleted=self.deleted,
            at=self.at,
            tz=self.tz,
            created_at=self.created_at,
            title=self.title,
            description=self.description,
            tags=self.tags,
            metadata=self.metadata,
        )


class _File(Input):
    id: Word
    key: Word
    name: Text
    media_type: Word
    size_bytes: Count
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None
    uploaded_at: Time
    device: Word

    def of(self, entry_id: str) -> Attachment:
        """It as a file of an entry, under a name that is safe to show."""
        fields = self.model_dump() | {"name": display_name(self.name, self.media_type)}
        return Attachment(entry_id=entry_id, **fields)


class _Entry(_Revision):
    # What a newer version adds is left out rather than refused.
    model_config = ConfigDict(frozen=True, extra="ignore")

    id: Word
    attachments: tuple[_File, ...] = ()
    history: tuple[_Revision, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """An entry of an export: its revisions, the oldest first, and its files."""

    place: str
    revisions: list[Revision]
    files: list[Attachment]


def is_ours(value: object) -> bool:
    """Whether a value is an entry as an export has it, and not another program's row."""
    return isinstance(value, dict) and {"id", "revision", "lamport"} <= value.keys()


def brought(value: object, place: str) -> Brought:
    """An entry of an export; raises :class:`UsageError` that names the place."""
    entry = parse(_Entry, value, place)
    return Brought(
        place=place,
        revisions=[one.of(entry.id) for one in (*entry.history, entry)],
        files=[file.of(entry.id) for file in entry.attachments],
    )


class Source:
    """A file to read once. ``told`` hears of the bytes that are read and those there are."""

    def __init__(
        self, file: BinaryIO, format_: str, told: Callable[[int, int], None] | None
    ) -> None:
        self.format = format_
        self._file = file
        self._told = told
        self._size_bytes = os.fstat(file.fileno()).st_size
        self._archive: zipfile.ZipFile | None = None

    @classmethod
    @contextlib.contextmanager
    def open(
        cls,
        path: Path,
        format_: Literal["json", "jsonl", "zip", "csv"],
        told: Callable[[int, int], None] | None,
    ) -> Iterator[Self]:
        """Open a file; what is damaged in a zip is a :class:`UsageError`."""
        with path.open("rb") as file:
            source = cls(file, format_, told)
            try:
                if format_ == "zip":
                    source._archive = zipfile.ZipFile(file)
                yield source
            # The last one is zipfile's word for a way of packing that it doesn't know.
            except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
                raise UsageError(
                    f"{path} isn't a whole zip: {error}.", hint="Make or copy it anew."
                ) from None

    def text(self) -> TextIO:
        """It as text, for CSV."""
        return io.TextIOWrapper(self._file, "utf-8-sig", newline="")

    def tell(self) -> None:
        """Say how far it is."""
        if self._told is not None:
            self._told(min(self._file.tell(), self._size_bytes), self._size_bytes)

    def objects(self) -> Iterator[tuple[str, object]]:
        """The values in it, each with its place for messages."""
        if self._archive is not None:
            member = self._member(ENTRIES)
            if member is None:
                raise UsageError(
                    f"The zip has no {ENTRIES}.", hint="It isn't one that lifelog export made."
                )
            with member:
                yield from self._lines(member)
        elif self.format == "json":
            yield from self._json()
        else:
            yield from self._lines(self._file)

    def content(self, file: Attachment) -> BinaryIO | None:
        """The content of an attachment, if it is in the zip."""
        return self._member(member_name(file))

    def _member(self, name: str) -> BinaryIO | None:
        if self._archive is None:
            return None
        try:
            info = self._archive.getinfo(name)
        except KeyError:
            return None
        if info.flag_bits & 1:
            raise UsageError("The zip is encrypted.", hint="Pack it anew without a password.")
        return cast("BinaryIO", self._archive.open(info))

    def _lines(self, file: BinaryIO) -> Iterator[tuple[str, object]]:
        number = 1
        while line := file.readline(MOST_LINE_BYTES + 1):
            if len(line) > MOST_LINE_BYTES:
                raise UsageError(f"Line {number} is longer than {MOST_LINE_BYTES} bytes.")
            if text := line.strip().removeprefix(b"\xef\xbb\xbf"):
                yield f"Line {number}", self._value(text, number)
            number += 1
            self.tell()

    def _value(self, text: bytes, number: int) -> object:
        try:
            return load_json(text)
        except orjson.JSONDecodeError as error:
            raise UsageError(
                f"Line {number} isn't JSON: {error.msg}.", hint="Nothing was brought in."
            ) from None

    def _json(self) -> Iterator[tuple[str, object]]:
        """Ours, an entry a line, in constant memory; any other JSON whole."""
        head = self._file.readline(200)
        if head.rstrip(b"\n") == orjson.dumps(HEAD)[:-1] + b',"entries":[':
            number = 1
            while line := self._file.readline(MOST_LINE_BYTES + 1):
                number += 1
                text = line.strip().rstrip(b",")
                if text == b"]}":
                    return
                if not text:
                    continue
                if not line.endswith(b"\n"):
                    break
                yield f"Line {number}", self._value(text, number)
                self.tell()
            raise UsageError("The file ends before its end.", hint="Make or copy it anew.")
        if self._size_bytes > MOST_WHOLE_BYTES:
            raise UsageError(
                f"JSON of more than {MOST_WHOLE_BYTES} bytes is read only as lifelog export "
                "writes it.",
                hint="Make JSON Lines of it: an object a line.",
            )
        self._file.seek(0)
        try:
            value = load_json(self._file.read().removeprefix(b"\xef\xbb\xbf"))
        except orjson.JSONDecodeError as error:
            raise UsageError(f"The file isn't JSON: {error.msg}.") from None
        if isinstance(value, dict):  # an export, or a page of the API's list
            value = value.get("entries", value.get("events"))
        if not isinstance(value, list):
            raise UsageError("The JSON has no list of entries.", hint="Give a list of objects.")
        for number, one in enumerate(value, 1):
            yield f"Entry {number}", one
