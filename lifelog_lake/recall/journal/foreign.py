"""Rows of other programs: CSV and JSON Lines, with a map of columns.

A column goes to the field of its name, or to the one that the map says; what goes nowhere is kept
in ``metadata``. An entry's id is the row's own, or else made of what the row holds and how often
that came before in the file: the same file gives the same ids.
"""

from __future__ import annotations

import csv
import hashlib
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TextIO

import orjson
import tzlocal
from pydantic import Field

from lifelog_lake.errors import UsageError
from lifelog_lake.recall.journal.model import (
    Description,
    Id,
    Input,
    Json,
    Tags,
    Time,
    Title,
    Zone,
    load_json,
    parse,
)

#: Fields of an entry that a column may be, and names that say the same.
FIELDS = ("title", "description", "tags", "metadata", "at", "created_at", "tz", "id")
_ALIASES = {"desc": "description", "text": "description", "body": "description", "date": "at"}
DELIMITERS = ",;\t|"
_QUOTED = re.compile(r'"[^"]*("|$)')


class ForeignFields(Input):
    """What a row may say of an entry."""

    title: Title
    description: Description = ""
    tags: Tags = ()
    metadata: Json = Field(default_factory=dict)
    at: Time | None = None
    created_at: Time | None = None
    tz: Zone | None = None
    id: Id | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignRow:
    """A row: its fields, and a hash of what they say."""

    place: str
    fields: ForeignFields
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which column is which field, where the names differ: field -> column."""

    named: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Columns:
        """``title=Summary,at=When``; raises :class:`UsageError`."""
        named: dict[str, str] = {}
        for part in filter(None, text.split(",")):
            name, sign, column = part.partition("=")
            if not sign or name.strip() not in FIELDS or not column.strip():
                raise UsageError(
                    f"The map of columns can't be read at {part[:60]!r}.",
                    hint=f"Write title=Summary,at=When; the fields are {', '.join(FIELDS)}.",
                )
            named[name.strip()] = column.strip()
        return cls(named=named)

    def sorted_out(self, row: Mapping[str, object]) -> tuple[dict[str, object], dict[str, object]]:
        """The fields of a row, and what is left over."""
        by_column = {column: name for name, column in self.named.items()}
        known: dict[str, object] = {}
        rest: dict[str, object] = {}
        for column, value in row.items():
            plain = str(column).strip().lower()
            name = by_column.get(str(column).strip())
            if name is None:
                name = _ALIASES.get(plain, plain)
                if name not in FIELDS or name in self.named or name in known:
                    rest[str(column)] = value
                    continue
            known[name] = value
        return known, rest


def row(value: object, place: str, columns: Columns) -> ForeignRow:
    """A JSON object as a row; raises :class:`UsageError` that names the place."""
    if not isinstance(value, dict):
        raise UsageError(f"{place} isn't an object.", hint='Write {"title": "…"} on each line.')
    return _row(value, place, columns)


def csv_rows(file: TextIO, columns: Columns) -> Iterator[ForeignRow]:
    """The rows of a CSV file with a header; comma, semicolon, tab or bar between its columns."""
    try:
        head = file.readline(65_536)
        delimiter = max(DELIMITERS, key=_QUOTED.sub("", head).count)
        # A name in quotes may go on in the next line.
        reader = csv.reader(itertools.chain([head], file), delimiter=delimiter, strict=True)
        names = _distinct(next(reader, []))
        there = {name.strip() for name in names}
        missing = [column for column in columns.named.values() if column not in there]
        if not names or missing:
            raise UsageError(
                f"The CSV has no column {missing[0]!r}." if missing else "The CSV is empty.",
                hint=f"Its first line names: {', '.join(names)[:300]}.",
            )
        for number, cells in enumerate(reader, 2):
            if not cells:
                continue
            if len(cells) > len(names):
                raise UsageError(f"Row {number} has more cells than the first line has names.")
            found = dict(zip(names, cells, strict=False))
            # An empty cell says nothing.
            value = {name: cell for name, cell in found.items() if cell.strip()}
            yield _row(value, f"Row {number}", columns)
    except (csv.Error, UnicodeDecodeError) as error:
        raise UsageError(
            f"The CSV can't be read: {error}.", hint="It must be UTF-8, with matching quotes."
        ) from None


def _distinct(names: Sequence[str]) -> list[str]:
    """Names of columns; a second one of a name gets a number, so neither hides the other."""
    found: dict[str, None] = {}
    for name in names:
        text, number = name, 1
        while text in found:
            number += 1
            text = f"{name}#{number}"
        found[text] = None
    return list(found)


def _row(value: Mapping[str, object], place: str, columns: Columns) -> ForeignRow:
    known, rest = columns.sorted_out(value)
    for name in ("at", "created_at"):
        if isinstance(text := known.get(name), str):
            known[name] = local_time(text)
    if isinstance(tags := known.get("tags"), str):
        known["tags"] = [tag for tag in tags.replace(";", ",").split(",") if tag.strip()]
    if isinstance(metadata := known.get("metadata"), str):
        known["metadata"] = _object(metadata, place)
    if rest:
        base = known.get("metadata") or {}
        known["metadata"] = {**rest, **base} if isinstance(base, dict) else base
    fields = parse(ForeignFields, {k: v for k, v in known.items() if v is not None}, place)
    said = fields.model_dump(exclude={"id"}, exclude_unset=True)
    digest = hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()
    return ForeignRow(place=place, fields=fields, digest=digest)


def _object(text: str, place: str) -> object:
    try:
        return load_json(text)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{place}: 'metadata' isn't JSON: {error.msg}.") from None


def local_time(text: str) -> str | datetime:
    """A time without an offset is by this machine's clock; a day is its midnight."""
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        return text  # the model says what is wrong
    if found.tzinfo is None:
        return found.replace(tzinfo=tzlocal.get_localzone())
    return found
