"""The event envelope and the catalogue of streams.

An :class:`Event` is one row before it has a place: the spool adds ``device``, ``epoch`` and
``seq``, the shipper ``ingested_at`` and ``date``. The catalogue names every stream's own columns;
a new stream is one entry in :data:`STREAMS`. Types are the small set that Delta, Arrow and JSON
share, so that null, empty and zero stay distinct all the way.

:func:`new_event` is the only door into the spool: what it returns can be stored. Values that don't
fit are repaired with a recorded reason (``extra["_repaired"]``) or refused with
:class:`~lifelog_lake.errors.InvalidEvent`; nothing reaches a writer that would crash it. See
:mod:`lifelog_lake.validate` for the rules.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import uuid_utils

from lifelog_lake.errors import InvalidEvent
from lifelog_lake.validate import JSON, Kind, ListOf, StructOf, clean_row, clean_text, clean_time

Type = Kind | ListOf | StructOf


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a stream. ``text`` marks free text: searched, and kept out of statistics."""

    name: str
    type: Type
    doc: str
    text: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One stream of the catalogue.

    ``label`` is what a person reads. ``first`` streams ship before the others and may use the
    spool's reserve, so that a backlog of gigabytes never looks like death. ``derived`` streams
    are made from others and can be rebuilt.
    """

    name: str
    label: str
    columns: tuple[Column, ...]
    first: bool = False
    derived: bool = False
    types: Mapping[str, Type] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "types", {column.name: column.type for column in self.columns})


ENVELOPE: tuple[Column, ...] = (
    Column(name="id", type="string", doc="unique: uuid7 for rows we make, uuid5 for pulled rows"),
    Column(name="device", type="string", doc="the device that recorded it"),
    Column(name="epoch", type="string", doc="the life of the spool stream that numbered it"),
    Column(name="seq", type="int64", doc="place in stream and epoch: 0, 1, 2 …"),
    Column(name="at", type="timestamp", doc="when it began, UTC"),
    Column(name="end", type="timestamp", doc="when it ended; null = not an interval, or unknown"),
    Column(name="cont", type="string", doc="id of the first slice; null on the first"),
    Column(name="tz", type="string", doc="IANA zone of the device at that time"),
    Column(name="skew_us", type="int64", doc="clock correction contained in at; null = unknown"),
    Column(name="blob", type="string", doc="sha256 of the content, hexadecimal"),
    Column(name="blob_bytes", type="int64", doc="size of the blob"),
    Column(name="media_type", type="string", doc="MIME type of the blob"),
    Column(name="extra", type="string", doc="JSON object of what the schema doesn't name"),
    Column(name="ingested_at", type="timestamp", doc="when the shipper wrote the row, UTC"),
    Column(name="date", type="date", doc="UTC day of at; the partition"),
)


def _columns(**named: tuple[Type, str]) -> tuple[Column, ...]:
    return tuple(Column(name=name, type=type_, doc=doc) for name, (type_, doc) in named.items())


def _text(name: str, doc: str) -> Column:
    return Column(name=name, type="string", doc=doc, text=True)


_STREAM_HEALTH = StructOf(
    {
        "stream": "string",
        "collector": "string",
        "state": "string",
        "last_capture_at": "timestamp",
        "last_ack_at": "timestamp",
        "spool_bytes": "int64",
        "spool_oldest_at": "timestamp",
        "spool_newest_at": "timestamp",
        "errors": "int64",
        "last_error": "string",
        "restarts": "int64",
        "cpu_percent": "float64",
        "memory_bytes": "int64",
    }
)

_DERIVED = _columns(
    source_id=("string", "id of the row it was made from"),
    transform=("string", "name of the transformation"),
    transform_version=("int64", "its version"),
)

_WORD = StructOf(
    {
        "text": "string",
        "left": "int64",
        "top": "int64",
        "width": "int64",
        "height": "int64",
        "confidence": "float64",
    }
)

_CATALOGUE: tuple[Stream, ...] = (
    Stream(
        name="screen",
        label="Screen",
        columns=_columns(
            monitor=("int64", "index of the monitor, 1 is the first"),
            left=("int64", "position of the monitor in the desktop, px"),
            top=("int64", "position of the monitor in the desktop, px"),
            width=("int64", "of the frame, px"),
            height=("int64", "of the frame, px"),
            frame_hash=("string", "xxh3-64 of the raw BGRA pixels, hexadecimal"),
            changed=(
                "float64",
                "share of sampled pixels that differ from the frame before, 0 to 1",
            ),
            black=("bool", "every sampled pixel is black"),
        ),
    ),
    Stream(
        name="audio",
        label="Sound",
        columns=_columns(
            sample_rate=("int64", "Hz"),
            channels=("int64", "number of channels"),
            speech=("float64", "share of the interval with speech, 0 to 1"),
            level_dbfs=(
                "float64",
                "root mean square level, dB of full scale; null = every sample is zero",
            ),
            source=("string", "name of the input device"),
            dropped=("bool", "the file was left out for want of speech, by drop_silence"),
        ),
    ),
    Stream(
        name="video",
        label="Video",
        columns=_columns(width=("int64", "px"), height=("int64", "px"), codec=("string", "codec")),
    ),
    Stream(
        name="window",
        label="Windows",
        columns=(
            Column(name="app", type="string", doc="name of the program"),
            _text("title", "title of the window"),
            Column(name="bucket", type="string", doc="ActivityWatch bucket it came from"),
        ),
    ),
    Stream(
        name="afk",
        label="Presence",
        columns=_columns(status=("string", "afk or not-afk"), bucket=("string", "source bucket")),
    ),
    Stream(
        name="web",
        label="Web",
        columns=(
            _text("url", "address of the page"),
            _text("title", "title of the page"),
            Column(name="audible", type="bool", doc="the tab plays sound"),
            Column(name="incognito", type="bool", doc="a private window"),
            Column(name="tab_count", type="int64", doc="open tabs"),
            Column(name="bucket", type="string", doc="ActivityWatch bucket it came from"),
        ),
    ),
    Stream(
        name="sensor",
        label="Sensors",
        columns=_columns(
            name=("string", "what is measured, e.g. battery"),
            value=("float64", "the reading"),
            unit=("string", "UCUM unit, e.g. %"),
            labels=(ListOf(StructOf({"key": "string", "value": "string"})), "further labels"),
        ),
    ),
    Stream(
        name="journal",
        label="Journal",
        first=True,
        columns=(
            Column(name="entry_id", type="string", doc="the entry; its revisions share it"),
            Column(name="parent", type="string", doc="id of the revision this one replaces"),
            Column(name="lamport", type="int64", doc="logical clock that orders revisions"),
            Column(name="deleted", type="bool", doc="this revision deletes the entry"),
            _text("title", "one line"),
            _text("description", "the text"),
            Column(name="tags", type=ListOf("string"), doc="labels"),
            Column(name="metadata", type="string", doc="JSON object of the person's own fields"),
            Column(name="created_at", type="timestamp", doc="when the entry was first written"),
            Column(name="written_at", type="timestamp", doc="when this revision was written"),
            Column(
                name="author",
                type="string",
                doc="the device it was written on; null = the row's own",
            ),
        ),
    ),
    Stream(
        name="attachment",
        label="Attachments",
        columns=_columns(
            key=("string", "unguessable name in addresses"),
            entry_id=("string", "the journal entry it belongs to"),
            name=("string", "file name"),
            deleted=("bool", "this row removes the attachment with its key"),
            author=("string", "the device it was attached on; null = the row's own"),
        ),
    ),
    Stream(
        name="pulse",
        label="Pulse",
        first=True,
        columns=_columns(
            version=("string", "version of lifelog_lake"),
            config_revision=("string", "revision of the fleet's configuration"),
            config_hash=("string", "sha256 of the configuration in use"),
            disk_free_bytes=("int64", "free space where the spool lies"),
            uptime_s=("float64", "since the supervisor started"),
            streams=(ListOf(_STREAM_HEALTH), "one entry a stream"),
        ),
    ),
    Stream(
        name="lifecycle",
        label="Lifecycle",
        first=True,
        columns=_columns(
            kind=("string", "started, stopped, paused, present, lost … see docs/formats.md"),
            collector=("string", "the collector it is about"),
            stream=("string", "the stream it is about"),
            about_epoch=("string", "the epoch that first_seq and last_seq count in"),
            first_seq=("int64", "first seq of the range"),
            last_seq=("int64", "last seq of the range"),
            reason=("string", "why, and what to do about it"),
        ),
    ),
    Stream(
        name="alert",
        label="Alerts",
        first=True,
        columns=_columns(
            rule=("string", "the health rule"),
            subject=("string", "what it is about beside device and stream: a flow, a table"),
            state=("string", "open, acknowledged, snoozed, resolved"),
            severity=("string", "info, warning, critical"),
            message=("string", "what a person reads"),
            key=("string", "names the finding from row to row: rule/device/subject"),
            about_device=("string", "the device it is about; null = all"),
            about_stream=("string", "the stream it is about; null = all"),
            hint=("string", "what a person can do about it"),
            since=("timestamp", "when the finding began, by the events' own times"),
            until=("timestamp", "when a snooze ends"),
        ),
    ),
    Stream(
        name="thumbnail",
        label="Thumbnails",
        derived=True,
        columns=(
            *_DERIVED,
            *_columns(
                source_sha256=("string", "sha256 of the content it was made from"),
                width=("int64", "px"),
                height=("int64", "px"),
            ),
        ),
    ),
    Stream(
        name="ocr",
        label="Text on screen",
        derived=True,
        columns=(
            *_DERIVED,
            _text("text", "recognised text; null = none, or that of the frame in same_as"),
            Column(name="confidence", type="float64", doc="mean of the words, 0 to 1"),
            *_columns(
                source_sha256=("string", "sha256 of the content it was made from"),
                languages=("string", "of the recognition, as the engine names them, joined by +"),
                words=(ListOf(_WORD), "each word with its box in the frame, px, in reading order"),
                width=("int64", "of the frame, px"),
                height=("int64", "of the frame, px"),
                same_as=("string", "source_id of the row with the very same text and words"),
            ),
        ),
    ),
    Stream(
        name="embedding",
        label="Meanings",
        derived=True,
        columns=(
            *_DERIVED,
            *_columns(
                text_sha256=("string", "sha256 of the piece of text that it stands for, UTF-8"),
                model_sha256=("string", "sha256 of the model's weights"),
                vector=(ListOf("float64"), "of length one; its parts are whole 1024ths"),
            ),
        ),
    ),
    Stream(
        name="transcript",
        label="Transcripts",
        derived=True,
        columns=(
            *_DERIVED,
            _text("text", "what was said"),
            Column(name="language", type="string", doc="BCP 47 tag"),
        ),
    ),
)

#: Every stream by name.
STREAMS: Mapping[str, Stream] = {stream.name: stream for stream in _CATALOGUE}


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobSource:
    """Content on its way into the spool: bytes, or a function that opens a file to stream from."""

    open: Callable[[], BinaryIO]
    media_type: str

    @classmethod
    def of_bytes(cls, data: bytes, media_type: str) -> BlobSource:
        """Content that is in memory already."""
        import io

        return cls(open=lambda: io.BytesIO(data), media_type=media_type)

    @classmethod
    def of_file(cls, path: Path, media_type: str) -> BlobSource:
        """Content of a file, read in pieces when the event is appended."""
        return cls(open=lambda: path.open("rb"), media_type=media_type)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One row without its place. Made by :func:`new_event`; times in µs since 1970 UTC.

    Either ``source`` (content to take in) or ``blob`` (content that is in the spool or the lake
    already) may be set.
    """

    stream: str
    id: str
    at: int
    end: int | None = None
    cont: str | None = None
    tz: str | None = None
    blob: str | None = None
    blob_bytes: int | None = None
    media_type: str | None = None
    data: dict[str, JSON]
    extra: dict[str, JSON] | None = None
    source: BlobSource | None = None


def new_id() -> str:
    """A uuid7: unique, and sorts by the time it was made (RFC 9562)."""
    return str(uuid_utils.uuid7())


#: Namespace of the ids of pulled rows.
PULLED = uuid.uuid5(uuid.NAMESPACE_URL, "https://lifelog-lake.invalid/pulled")


def pulled_id(*identity: str) -> str:
    """A uuid5 of what identifies a row at its source: the same row read twice has the same id."""
    return str(uuid.uuid5(PULLED, "\x1f".join(identity)))


#: Most characters of an id, a zone, a media type.
MAX_WORD = 200
_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_pulled(event_id: str) -> bool:
    """Whether an id says that its row can be read twice (a uuid5)."""
    return event_id[14:15] == "5"


def _check_word(name: str, value: object) -> None:
    """Refuse an envelope's text that no writer could hold."""
    if value is None:
        return
    if not isinstance(value, str) or len(value) > MAX_WORD or clean_text(value)[1] is not None:
        raise InvalidEvent(
            f"'{name}' of an event isn't a usable text.",
            hint=f"Give at most {MAX_WORD} characters without NUL and lone surrogates.",
            column=name,
        )


def _check_blob(sha256: object, size_bytes: object) -> None:
    """The hash becomes a file's name, so nothing else may pass for one."""
    if sha256 is not None and not (isinstance(sha256, str) and _SHA256.fullmatch(sha256)):
        raise InvalidEvent("'blob' isn't a sha256 in lower-case hexadecimal.", column="blob")
    if size_bytes is None:
        return
    if isinstance(size_bytes, bool) or not isinstance(size_bytes, int) or size_bytes < 0:
        raise InvalidEvent("'blob_bytes' isn't a size.", column="blob_bytes")


def new_event(
    stream: str,
    *,
    at: int,
    data: Mapping[str, object],
    id: str | None = None,
    end: int | None = None,
    cont: str | None = None,
    tz: str | None = None,
    blob: str | None = None,
    blob_bytes: int | None = None,
    media_type: str | None = None,
    extra: Mapping[str, object] | None = None,
    source: BlobSource | None = None,
) -> Event:
    """Make a valid event, or raise :class:`InvalidEvent`.

    ``at`` and ``end`` are µs since 1970 UTC or aware datetimes. ``data`` are the stream's own
    columns; names that the stream doesn't have go to ``extra``.
    """
    definition = STREAMS.get(str(stream))
    if definition is None:
        raise InvalidEvent(
            f"There is no stream {clean_text(str(stream)[:100])[0]!r}.",
            hint=f"The streams are: {', '.join(STREAMS)}.",
        )
    at_us = clean_time(at, "at")
    end_us = None if end is None else clean_time(end, "end")
    if end_us is not None and end_us < at_us:
        raise InvalidEvent(f"An event of {stream} ends before it begins.", stream=stream)
    if source is not None:
        media_type = source.media_type
    for name, value in (("id", id), ("cont", cont), ("tz", tz), ("media_type", media_type)):
        _check_word(name, value)
    _check_blob(blob, blob_bytes)
    row, rest = clean_row(definition.types, data, extra)
    return Event(
        stream=stream,
        id=id or new_id(),
        at=at_us,
        end=end_us,
        cont=cont,
        tz=tz,
        blob=blob,
        blob_bytes=blob_bytes,
        media_type=media_type,
        data=row,
        extra=rest,
        source=source,
    )
