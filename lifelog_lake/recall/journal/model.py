"""Entries, their revisions and files, and what may be in them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, TypeVar

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
)

from lifelog_lake.clock import iso
from lifelog_lake.errors import InvalidEvent, UsageError
from lifelog_lake.validate import MAX_DEPTH, MAX_INT64, MIN_INT64, clean_time

MOST_TITLE = 10_000
MOST_DESCRIPTION = 100_000
MOST_TAGS = 64
MOST_TAG = 100
MOST_METADATA_BYTES = 64 * 1024
#: Ids are part of addresses.
ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.~-]{0,99}")
#: A whole number of 64 bits has so many characters at most, and with fewer digits it is one.
MOST_DIGITS = 20
_DIGITS = re.compile(rb"[0-9]{19}")
_ZONE = re.compile(r"[A-Za-z0-9_+/-]{1,100}")

Metadata = dict[str, Any]
M = TypeVar("M", bound=BaseModel)


def storable(text: str) -> str:
    """A text that every part can hold; raises ValueError."""
    if "\x00" in text:
        raise ValueError("it holds the character NUL")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("it holds half of a character (a lone surrogate)") from None
    return text


def _title(text: str) -> str:
    if not storable(text).strip():
        raise ValueError("it is empty")
    return text


def _tags(tags: tuple[str, ...]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(storable(tag).strip() for tag in tags))
    for tag in found:
        if not 1 <= len(tag) <= MOST_TAG:
            raise ValueError(f"a tag has 1 to {MOST_TAG} characters")
    if len(found) > MOST_TAGS:
        raise ValueError(f"there are more than {MOST_TAGS} tags")
    return found


def _metadata(value: Metadata) -> Metadata:
    _check_json(value, 1)
    if len(orjson.dumps(value)) > MOST_METADATA_BYTES:
        raise ValueError(f"it is larger than {MOST_METADATA_BYTES} bytes")
    return value


def _check_json(value: object, depth: int) -> None:  # noqa: PLR0912 - a kind of value a branch
    if depth > MAX_DEPTH:
        raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels")
    match value:
        case None | bool():
            return
        case str():
            storable(value)
        case int():
            if not MIN_INT64 <= value <= MAX_INT64:
                raise ValueError("a whole number has more than 64 bits")
        case float():
            if not math.isfinite(value):
                raise ValueError("NaN and infinities aren't JSON")
        case list():
            for item in value:
                _check_json(item, depth + 1)
        case dict():
            for key, item in value.items():
                if not isinstance(key, str):
                    raise ValueError("its names must be texts")
                storable(key)
                _check_json(item, depth + 1)
        case _:
            raise ValueError(f"a {type(value).__name__} isn't JSON")


def time_us(value: object) -> int:
    """µs since 1970 UTC of an aware datetime or its ISO text; raises ValueError."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise ValueError("it isn't a time such as 2026-01-02T15:04:05+01:00") from None
    if not isinstance(value, datetime):
        raise ValueError("give a text such as 2026-01-02T15:04:05+01:00")
    try:
        return clean_time(value, "at")
    except InvalidEvent as error:
        said = "it has no time zone" if "zone" in error.message else "years are 1900 to 2199"
        raise ValueError(said) from None


def _id(text: str) -> str:
    if not ID.fullmatch(text):
        raise ValueError("an id has up to 100 letters, digits and . _ ~ -")
    return text


def _zone(text: str) -> str:
    if not _ZONE.fullmatch(text):
        raise ValueError("it isn't the name of a time zone such as Europe/Berlin")
    return text


#: What JSON Schema can say of all that the checks above refuse.
_PLAIN = {"pattern": r"^[^\u0000]*$"}
#: Marks an object of any JSON that can be kept, for who writes schemas.
ANY_JSON = "x-any-json"

Time = Annotated[
    int, BeforeValidator(time_us), WithJsonSchema({"type": "string", "format": "date-time"})
]
Id = Annotated[str, AfterValidator(_id), Field(json_schema_extra={"pattern": f"^{ID.pattern}$"})]
Zone = Annotated[
    str, AfterValidator(_zone), Field(json_schema_extra={"pattern": f"^{_ZONE.pattern}$"})
]
Title = Annotated[
    str,
    Field(
        max_length=MOST_TITLE,
        json_schema_extra={"minLength": 1, "pattern": r"^[^\u0000]*[^\s\u0000][^\u0000]*$"},
    ),
    AfterValidator(_title),
]
Description = Annotated[
    str,
    Field(max_length=MOST_DESCRIPTION, json_schema_extra={**_PLAIN}),
    AfterValidator(storable),
]
_TAG = {"type": "string", "minLength": 1, "maxLength": MOST_TAG, "pattern": r"^[^\s\u0000]+$"}
Tags = Annotated[
    tuple[str, ...],
    Field(max_length=10 * MOST_TAGS),
    AfterValidator(_tags),
    WithJsonSchema({"type": "array", "items": _TAG, "maxItems": MOST_TAGS}),
]
Json = Annotated[
    Metadata,
    AfterValidator(_metadata),
    WithJsonSchema({"type": "object", ANY_JSON: True}),
]


class Input(BaseModel):
    """What comes from outside: unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NewEntry(Input):
    """What a person gives for an entry. Times are texts with an offset, or aware datetimes."""

    title: Title
    description: Description = ""
    tags: Tags = ()
    metadata: Json = Field(default_factory=dict)
    at: Time | None = None
    tz: Zone | None = None
    id: Id | None = None


class Change(Input):
    """A partial change: what isn't given stays as it is, what is given as null becomes empty."""

    title: Title = ""
    description: Description | None = None
    tags: Tags | None = None
    metadata: Json | None = None
    at: Time = 0
    tz: Zone | None = None

    def given(self) -> dict[str, object]:
        """The fields to change, with their values."""
        empty: dict[str, object] = {"description": "", "tags": (), "metadata": {}}
        values = {name: getattr(self, name) for name in self.model_fields_set}
        return {n: empty.get(n) if value is None else value for n, value in values.items()}


def parse(model: type[M], value: object, what: str = "The entry") -> M:
    """Check what a person gave; raises :class:`UsageError` that names the field and the remedy."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
    except RecursionError:
        raise UsageError(f"{what} is nested too deep.", hint=f"{MAX_DEPTH} levels are.") from None
    # Names that aren't the model's are somebody's content: only their beginning is told.
    place = ".".join(str(part)[:40] for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        known = ", ".join(model.model_fields)
        raise UsageError(f"{what} has no field {place!r}.", hint=f"Its fields: {known}.")
    named = f"{what}: '{place}' is wrong" if place else f"{what} is wrong"
    raise UsageError(f"{named}: {message}.", field=place)


def load_json(text: str | bytes) -> object:
    """A JSON value; raises :class:`orjson.JSONDecodeError`.

    A whole number of more than 64 bits is refused: orjson would make another one of it, a float.
    """
    value = orjson.loads(text)
    if _DIGITS.search(text.encode() if isinstance(text, str) else text):
        try:
            json.loads(text, parse_int=_whole)
        except RecursionError:
            raise orjson.JSONDecodeError("depth limit exceeded", "", 0) from None
    return value


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS or not MIN_INT64 <= int(digits) <= MAX_INT64:
        raise orjson.JSONDecodeError("a whole number has more than 64 bits", "", 0)
    return int(digits)


def parse_json(text: str | bytes, what: str) -> object:
    """A JSON value that a person wrote; raises :class:`UsageError`."""
    try:
        return load_json(text)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{what} isn't JSON: {error.msg}.") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One state of an entry. Times in µs since 1970 UTC; ``device`` is where it was written."""

    id: str
    entry_id: str
    parent: str | None
    lamport: int
    written_at: int
    device: str
    deleted: bool
    at: int
    tz: str | None
    created_at: int
    title: str
    description: str
    tags: tuple[str, ...]
    metadata: Metadata

    def as_json(self) -> dict[str, object]:
        """For programs: times are RFC 3339 in UTC."""
        return {
            "revision": self.id,
            "parent": self.parent,
            "lamport": self.lamport,
            "device": self.device,
            "updated_at": iso(self.written_at),
            "deleted": self.deleted,
            "at": iso(self.at),
            "tz": self.tz,
            "created_at": iso(self.created_at),
            "title": self.title,
            "description": self.description,
            "tags": list(self.tags),
            "metadata": self.metadata,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file of an entry. ``name`` is for the eye alone; ``sha256`` is None if content was lost."""

    id: str
    key: str
    entry_id: str
    name: str
    media_type: str
    size_bytes: int
    sha256: str | None
    uploaded_at: int
    device: str

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return {
            "id": self.id,
            "key": self.key,
            "name": self.name,
            "media_type": self.media_type,
            "size_bytes": self.size_bytes,
            "sha256": self.sha256,
            "uploaded_at": iso(self.uploaded_at),
            "device": self.device,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry as it stands: its current revision and its files in the order of their coming."""

    current: Revision
    attachments: tuple[Attachment, ...] = ()

    @property
    def id(self) -> str:
        """The entry's id, the same through all revisions."""
        return self.current.entry_id

    @property
    def revision(self) -> str:
        """The id of the current revision: what an edit may name as the one it was made for."""
        return self.current.id

    def as_json(self) -> dict[str, object]:
        """For programs: fields of the current revision, and ``attachments``."""
        fields = self.current.as_json()
        del fields["deleted"]
        files = [file.as_json() for file in self.attachments]
        return {"id": self.id, **fields, "attachments": files}


def order(revision: Revision) -> tuple[int, int, str, str]:
    """By this revisions of an entry are ordered."""
    return revision.lamport, revision.written_at, revision.device, revision.id


def metadata_text(metadata: Mapping[str, object]) -> str | None:
    """Metadata as its column has it."""
    return orjson.dumps(metadata).decode() if metadata else None
