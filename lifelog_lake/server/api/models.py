"""What the API takes and gives, as models: they check requests, and openapi.json shows them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
)

from lifelog_lake.ledger import STATES
from lifelog_lake.recall.detail import CAPTURED
from lifelog_lake.recall.journal.model import Input, NewEntry, Time, Zone, storable
from lifelog_lake.recall.journal.pages import MOST_ROWS
from lifelog_lake.server.tokens import MOST_NAME, Scope

MOST_BATCH = 1000
MOST_READINGS = 1000
#: Tags and devices of a list; with all of them an address still fits into a head.
MOST_NAMES = 20
PLAIN = r"^[^\u0000]*$"

Stamp = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]


def _lenient_time(value: object) -> object:
    """A "+" that wasn't percent-encoded arrives as a space."""
    return value.replace(" ", "+") if isinstance(value, str) and "T" in value else value


QueryTime = Annotated[Time, BeforeValidator(_lenient_time)]
Word = Annotated[str, Field(max_length=200, pattern=PLAIN), AfterValidator(storable)]


Name = Annotated[str, Field(max_length=100, pattern=PLAIN), AfterValidator(storable)]


class Out(BaseModel):
    """What is answered. Further fields may come."""

    model_config = ConfigDict(extra="allow")


# -- entries -----------------------------------------------------------------------------------


class AttachmentOut(Out):
    """A file of an entry."""

    id: str
    key: str = Field(description="Its address: attachments/{key}. It can't be guessed.")
    name: str = Field(description="For the eye alone.")
    media_type: str = Field(description="Judged by the content.")
    size_bytes: int
    sha256: str | None = Field(description="Null: the content was lost.")
    uploaded_at: Stamp
    device: str


class EntryOut(Out):
    """An entry as it stands."""

    stream: Literal["journal"]
    id: str
    revision: str = Field(description="What If-Match may name.")
    parent: str | None
    lamport: int
    device: str
    at: Stamp
    tz: str | None
    created_at: Stamp
    updated_at: Stamp
    title: str
    description: str
    tags: list[str]
    metadata: dict[str, Any]
    attachments: list[AttachmentOut]


class CapturedOut(Out):
    """An event of another stream, as the timeline shows it."""

    stream: Literal["afk", "window", "web", "screen", "audio", "video", "attachment", "sensor"]
    id: str
    device: str
    at: Stamp
    end: Stamp | None
    name: str | None
    detail: str | None
    url: str | None
    speech: float | None
    level_dbfs: float | None
    blob: str | None
    blob_bytes: int | None
    media_type: str | None


class EventsOut(Out):
    """A page of events, and where the next one begins."""

    events: list[EntryOut | CapturedOut]
    cursor: str | None = Field(description="For the next page; null on the last one.")


class CreatedOut(Out):
    """Entries of a batch, in its order."""

    events: list[EntryOut]


class AttachmentsOut(Out):
    """Files of an entry."""

    attachments: list[AttachmentOut]


class ListQuery(Input):
    """Which events, in which order."""

    stream: Literal[CAPTURED] = Field("journal", description="One stream.")  # type: ignore[valid-type]
    tag: Annotated[tuple[Name, ...], Field(max_length=MOST_NAMES)] = Field(
        (), description="Entries with this tag; with several, all of them."
    )
    any_tag: bool = Field(False, description="One of the tags is enough.")
    device: Annotated[tuple[Name, ...], Field(max_length=MOST_NAMES)] = Field(
        (), description="Written or captured on this device; several: on any of them."
    )
    start: QueryTime | None = Field(None, description="At this time or later.")
    end: QueryTime | None = Field(None, description="Before this time.")
    sort: Literal["at", "created_at"] = Field("at", description="Entries alone by created_at.")
    order: Literal["desc", "asc"] = Field("desc", description="Newest or oldest first.")
    limit: int = Field(50, ge=1, le=MOST_ROWS, description="Most events of a page.")
    cursor: Annotated[str, Field(max_length=1000, pattern="^[A-Za-z0-9_-]*$")] | None = Field(
        None, description="As the page before names it; the rest as it was asked for then."
    )


class CreateHeaders(Input):
    """What the head of a POST may say."""

    key: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[!-~]+$")] | None = Field(
        None,
        alias="Idempotency-Key",
        description="A word of your own. The same request with the same word within a day is "
        "done once; the second one gets the first one's answer.",
    )


class MatchHeaders(Input):
    """What the head of a change may say."""

    match: Annotated[str, Field(max_length=1000)] | None = Field(
        None,
        alias="If-Match",
        description="The ETag of the entry that you looked at: if it was changed since, 412.",
    )


#: One entry, or several that come in together or not at all.
NewEntries = NewEntry | Annotated[list[NewEntry], Field(min_length=1, max_length=MOST_BATCH)]

# -- the pages' own ----------------------------------------------------------------------------


class SpanQuery(Input):
    """A span of time, at most 400 days."""

    start: QueryTime
    end: QueryTime = Field(description="Exclusive.")


class TimelineQuery(SpanQuery):
    """Which events of it, and which of them all."""

    stream: tuple[Literal[CAPTURED], ...] = Field((), description="None: all.")  # type: ignore[valid-type]
    device: Annotated[tuple[Name, ...], Field(max_length=MOST_NAMES)] = Field(
        (), description="None: all."
    )
    moment: QueryTime | None = Field(None, description="Only what went on then.")
    around: QueryTime | None = Field(None, description="Tell the place of what began by then.")
    offset: int = Field(0, ge=0, le=100_000_000)
    limit: int = Field(60, ge=1, le=MOST_ROWS)


class TimelineOut(Out):
    """A page, and how many there are."""

    total: int
    offset: int
    events: list[dict[str, Any]]


class SummaryOut(Out):
    """Counts."""

    streams: list[dict[str, Any]]
    devices: list[dict[str, Any]]
    newest_at: Stamp | None


class CoverageQuery(SpanQuery):
    """Whose minutes, and by which hours."""

    stream: tuple[Literal[CAPTURED], ...] = Field((), description="None: all.")  # type: ignore[valid-type]
    device: Annotated[tuple[Name, ...], Field(max_length=MOST_NAMES)] = Field(
        (), description="None: all."
    )
    zone: Zone = Field("UTC", description="IANA name of the zone whose hours they are.")


class HourOut(Out):
    """The minutes of an hour that were in one state, of all streams together."""

    at: Stamp = Field(description="When the hour begins.")
    state: Literal[STATES]  # type: ignore[valid-type]
    minutes: int
    reasons: list[str] = Field(description="The longest ones, each with its streams.")


class CoverageOut(Out):
    """Hours, in their order."""

    hours: list[HourOut]


class LakeOut(Out):
    """What lake it is."""

    demo: dict[str, Any] | None


class AlertBody(Input):
    """What to do with an alert."""

    do: Literal["acknowledge", "snooze", "test"]
    key: Annotated[str, Field(max_length=500)] | None = None
    seconds: Annotated[int, Field(strict=True)] | None = Field(
        None, description="How long to snooze."
    )


# -- export ------------------------------------------------------------------------------------


class ExportQuery(Input):
    """In which form."""

    format: Literal["json", "jsonl", "zip"] = Field(
        "json", description="One object, an entry a line, or a zip with the files."
    )
    history: bool = Field(False, description="Earlier revisions, too.")


class RevisionOut(Out):
    """One state of an entry."""

    revision: str
    parent: str | None
    lamport: int
    device: str
    deleted: bool
    at: Stamp
    tz: str | None
    created_at: Stamp
    updated_at: Stamp
    title: str
    description: str
    tags: list[str]
    metadata: dict[str, Any]


class HistoryOut(Out):
    """How an entry came to be."""

    id: str
    revisions: list[RevisionOut]


class ImportQuery(Input):
    """What comes, and what to do with it."""

    format: Literal["json", "jsonl", "zip", "csv"] = Field(description="Of the file.")
    map: Annotated[str, Field(max_length=2000, pattern=PLAIN)] = Field(
        "", description="Which column is which field: title=Summary,at=When."
    )
    dry_run: bool = Field(False, description="Say what would come, and write nothing.")


class ImportedOut(Out):
    """What came, or would come."""

    dry_run: bool
    entries: int = Field(description="New ones.")
    changes: int = Field(description="Further revisions of entries.")
    files: int
    present: int = Field(description="Revisions and files that were there already.")
    without_content: int = Field(description="Files that are only named.")
    first: list[str] = Field(description="Titles of the first new entries.")


# -- access ------------------------------------------------------------------------------------


class TokenOut(Out):
    """A token, never what it is."""

    id: str
    name: str
    scopes: list[Scope]
    created_at: Stamp
    last_used_at: Stamp | None = Field(description="To the minute; null: never.")
    given: bool = Field(description="It comes from the environment.")
    revoked_at: Stamp | None


class SecretOut(TokenOut):
    """A token and what it is, told this once."""

    token: str


class TokensOut(Out):
    """The tokens that open something."""

    tokens: list[TokenOut]


class NewToken(Input):
    """A token to make."""

    name: Annotated[str, Field(min_length=1, max_length=MOST_NAME)]
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)] = ("read", "write")


class RotateBody(Input):
    """Which token; a program leaves it out, it can change its own alone."""

    id: Annotated[str, Field(min_length=1, max_length=MOST_NAME)] | None = None


class NewPassword(Input):
    """The password to be, and the one that is (or the login's token)."""

    current: Annotated[str, Field(max_length=1000)]
    new: Annotated[str, Field(min_length=8, max_length=1000)]


# -- ingest ------------------------------------------------------------------------------------

Reading = Annotated[float, Field(allow_inf_nan=False, strict=True)]


_LABEL = {"maxLength": 200, "pattern": PLAIN}
Labels = Annotated[
    dict[Word, Word],
    Field(max_length=32),
    WithJsonSchema({
        "type": "object",
        "propertyNames": _LABEL,
        "additionalProperties": {"type": "string", **_LABEL},
        "maxProperties": 32,
    }),
]  # fmt: skip


class NewReading(Input):
    """One measured value, a row of the stream ``sensor``."""

    name: Annotated[Word, Field(min_length=1)] = Field(description="What is measured: battery.")
    value: Reading
    unit: Word | None = Field(None, description="UCUM: %, Cel, m/s.")
    at: Time | None = Field(None, description="Now, if it isn't given.")
    tz: Zone | None = None
    labels: Labels = Field(default_factory=dict)


class NewReadings(Input):
    """Readings that come in together or not at all."""

    readings: Annotated[tuple[NewReading, ...], Field(min_length=1, max_length=MOST_READINGS)]


class ReadingsOut(Out):
    """How many rows were taken in."""

    rows: int


class OwnTracksIn(BaseModel):
    """What OwnTracks sends: a location, or something that isn't kept."""

    model_config = ConfigDict(extra="allow")

    kind: Annotated[str, Field(max_length=100)] = Field(alias="_type")


class OverlandIn(BaseModel):
    """What Overland sends: GeoJSON features."""

    model_config = ConfigDict(extra="allow")

    locations: Annotated[tuple[dict[str, Any], ...], Field(max_length=MOST_READINGS)]


class OverlandOut(Out):
    """What Overland wants to hear; else it sends all of it again."""

    result: Literal["ok"]


class ProblemOut(BaseModel):
    """Why not (RFC 9457)."""

    type: str
    title: str = Field(description="The status in words.")
    status: int
    detail: str = Field(description="What is wrong.")
    hint: str = Field(description="What to do about it.")
    position: int | None = Field(
        None, description="Of a search: from which character on, counted from 0, it can't be read."
    )
    field: str | None = Field(
        None, description="The field or argument that is wrong, if it is one."
    )
