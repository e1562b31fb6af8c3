"""What small pictures are made of, one by one: a frame's content, or an attached file's."""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl

from lifelog_lake import fsio
from lifelog_lake.care import previews
from lifelog_lake.care.derived import Lost, picture_content
from lifelog_lake.care.pictures import MEDIA_TYPE, TRANSFORM, VERSION, shrink, size_of
from lifelog_lake.care.thumbnail_index import STREAM
from lifelog_lake.clock import to_us
from lifelog_lake.errors import Transient, UsageError
from lifelog_lake.events import pulled_id
from lifelog_lake.lake.store import Store, blob_key

SCREEN, ATTACHMENT = "screen", "attachment"
#: The streams whose contents get small pictures; a missing library must not stop the frames.
ORIGINS = (SCREEN, ATTACHMENT)
_COLUMNS = ("id", "cont", "device", "at", "tz", "blob")
_PIECE_BYTES = 1024 * 1024


def cursor(stream: str) -> str:
    """Names how far a stream was read; another version of the pictures reads it all again."""
    version = str(VERSION) if stream == SCREEN else f"{VERSION}.{previews.VERSION}"
    return f"{STREAM}/{version}<-{stream}"


def columns(stream: str) -> tuple[str, ...]:
    """What is read of a stream's rows."""
    return _COLUMNS if stream == SCREEN else (*_COLUMNS, "media_type")


def wanted(stream: str, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows that bring a content of which there is a small picture, each content once."""
    found = rows.filter(
        pl.col("blob").str.contains("^[0-9a-f]{64}$"),
        pl.col("device").is_not_null(),
        pl.col("at").is_not_null(),
    )
    if stream == ATTACHMENT:
        found = found.filter(pl.col("media_type").is_in(previews.TYPES))
    return found.sort("at", "id").unique("blob", keep="first", maintain_order=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A content, and the row that stands for all that have it.

    ``opened`` is the type of a file that isn't a picture itself, such as a PDF.
    """

    blob: str
    row: str
    device: str
    at: datetime
    tz: str | None
    opened: str | None

    @classmethod
    def of(cls, row: dict[str, Any]) -> Source:
        """A row of :func:`wanted`."""
        type_ = row.get("media_type")
        return cls(
            blob=row["blob"],
            row=row["cont"] or row["id"],
            device=row["device"],
            at=row["at"],
            tz=row["tz"],
            opened=type_ if type_ in previews.OPENED else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Small:
    """The small picture of a content, kept in the lake; or why there is none."""

    source: Source
    blob: str | None = None
    blob_bytes: int | None = None
    width: int | None = None
    height: int | None = None
    refused: str | None = None

    def row(self) -> dict[str, object]:
        """The row's fields but its place, as a spool's record has them."""
        made = self.blob is not None
        shrunk = self.source.opened is None
        transform = TRANSFORM if shrunk else previews.TRANSFORM
        version = VERSION if shrunk else previews.VERSION
        return {
            "id": pulled_id(STREAM, transform, str(version), self.source.blob),
            "at": to_us(self.source.at),
            "tz": self.source.tz,
            "blob": self.blob,
            "blob_bytes": self.blob_bytes,
            "media_type": MEDIA_TYPE if made else None,
            "extra": None if made else {"refused": self.refused},
            "data": {
                "source_id": self.source.row,
                "transform": transform,
                "transform_version": version,
                "source_sha256": self.source.blob,
                "width": self.width,
                "height": self.height,
            },
        }


def make(store: Store, source: Source, directory: Path) -> Small | None:
    """A small picture, durable in the lake; None if the content isn't there or is damaged.

    What C libraries open lies in ``directory`` meanwhile, if the lake is no directory itself.
    """
    try:
        if source.opened is None:
            small: bytes | None = _shrunk(store, source)
        else:
            with _on_disk(store, source.blob, directory) as file:
                small = previews.preview(file, source.opened)
    except Lost:
        return None
    except UsageError as error:
        return Small(source=source, refused=error.message)
    assert small is not None, "its type has one"
    sha256 = hashlib.sha256(small).hexdigest()
    store.write(blob_key(sha256), small, at="small")
    width, height = size_of(small)
    return Small(source=source, blob=sha256, blob_bytes=len(small), width=width, height=height)


def _shrunk(store: Store, source: Source) -> bytes:
    try:
        content = picture_content(store, source.blob)
    except OSError as error:
        raise Lost from error
    return shrink(io.BytesIO(content))


@contextmanager
def _on_disk(store: Store, sha256: str, directory: Path) -> Iterator[BinaryIO]:
    """A content as a file that another process can be handed, checked, in constant memory."""
    try:
        file = store.open(blob_key(sha256))
    except OSError as error:
        raise Lost from error
    with file:
        if file.seek(0, io.SEEK_END) > previews.MOST_BYTES:
            raise UsageError("The file is too large for a preview.")
        file.seek(0)
        if previews.is_real(file):
            if _copied(file, None) != sha256:
                raise Lost
            file.seek(0)
            yield file
            return
        fsio.make_dirs(directory, at="preview")
        with tempfile.TemporaryFile(dir=directory) as copy:
            if _copied(file, copy) != sha256:
                raise Lost
            copy.seek(0)
            yield copy


def _copied(file: BinaryIO, copy: Any) -> str:
    """The hash of a file's content, written into another one on the way."""
    digest = hashlib.sha256()
    while True:
        try:
            piece = file.read(_PIECE_BYTES)
        except OSError as error:
            raise Lost from error
        if not piece:
            return digest.hexdigest()
        digest.update(piece)
        if copy is None:
            continue
        try:
            copy.write(piece)
        except OSError as error:
            raise Transient(
                f"No room to open an attached file: {error.strerror}.",
                hint="Make room where the home lies; the next run goes on.",
            ) from error
