"""The language of the search box: what a person types, as a tree.

    words "a phrase" begin* fuzzy~ fuzzy~2   all of them must be there
    a OR b   NOT c   -c   (a OR b) AND c     OR binds weaker than AND, NOT strongest
    tag:work   tag:work,home                 one of the tags; several tag: are all wanted
    stream:web   device:laptop*   app:firefox   site:example.org (and what lies below it)
    after:2026-01-02   before:2026-02        from its first moment on, until its first moment

``AND``, ``OR`` and ``NOT`` are written in capitals. A value may be in quotes. A time is a day, a
month, a year, ``today``, ``yesterday`` or an ISO time; without an offset it is local.

What doesn't parse raises :class:`QueryError` with the place of the mistake.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from datetime import datetime

import tzlocal

from lifelog_lake.clock import MAX_US, MIN_US, to_us
from lifelog_lake.errors import UsageError
from lifelog_lake.events import STREAMS
from lifelog_lake.recall.search.words import exact, words
from lifelog_lake.recall.timeline import day_of, span

MOST_CHARACTERS = 10_000
MOST_PARTS = 300
MOST_DEPTH = 50
MOST_EDITS = 2
FIELDS = ("tag", "stream", "device", "app", "site", "before", "after")
_OPERATORS = ("AND", "OR", "NOT")
_ENDS = frozenset(' \t\n\r\f\v()"')
_UNUSABLE = re.compile("[\0\ud800-\udfff]")
_NAME = re.compile(r"([^\W\d_]{2,}):")
_SUFFIX = re.compile(r"(?:\*|~(\d*))$")


class QueryError(UsageError):
    """A query that doesn't parse; ``position`` counts characters from 0."""

    def __init__(self, message: str, position: int, *, hint: str = "") -> None:
        super().__init__(f"{message} (at character {position + 1})", hint=hint, position=position)
        self.position = position


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Words in a row; ``prefix``: the last one begins so; ``edits``: one word, nearly."""

    words: tuple[str, ...]
    prefix: bool = False
    edits: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A field that has one of some values (folded); a value ending in ``*`` begins so."""

    field: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Within:
    """An event that began in a range (µs since 1970, ``end`` exclusive; None is open)."""

    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class All:
    """All of them."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Any:
    """At least one of them."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    """All but it."""

    part: Node


Node = Words | Named | Within | All | Any | Not


def parse(text: str) -> Node:
    """A query as a tree. Raises :class:`QueryError`; takes time in proportion to its length."""
    if len(text) > MOST_CHARACTERS:
        raise QueryError(
            f"A query has at most {MOST_CHARACTERS:,} characters.", MOST_CHARACTERS, hint="Cut it."
        )
    if found := _UNUSABLE.search(text):
        raise QueryError("A query can't hold this character.", found.start(), hint="Leave it out.")
    return _Parser(text).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._count = 0

    def parse(self) -> Node:
        found = self._any(0)
        if self._at < len(self._text):
            raise QueryError(
                "This bracket closes nothing.", self._at, hint='Leave it out, or quote it: ")".'
            )
        return found

    # -- what binds what --------------------------------------------------------------------

    def _any(self, depth: int) -> Node:
        parts = [self._all(depth)]
        while self._takes("OR"):
            parts.append(self._all(depth))
        return parts[0] if len(parts) == 1 else Any(parts=tuple(parts))

    def _all(self, depth: int) -> Node:
        parts = [self._not(depth)]
        while True:
            if self._takes("AND"):
                parts.append(self._not(depth))
            elif self._ended() or self._operator() == "OR":
                break
            else:
                parts.append(self._not(depth))
        return parts[0] if len(parts) == 1 else All(parts=tuple(parts))

    def _not(self, depth: int) -> Node:
        wanted = True
        while self._takes("NOT") or self._takes_minus():
            wanted = not wanted
        found = self._one(depth)
        return found if wanted else Not(part=found)

    def _one(self, depth: int) -> Node:
        self._space()
        here = self._at
        self._count += 1
        if self._count > MOST_PARTS:
            raise QueryError(f"A query has at most {MOST_PARTS} parts.", here, hint="Cut it.")
        if self._ended():
            raise self._nothing(here)
        if self._text[here] == "(":
            if depth == MOST_DEPTH:
                raise QueryError(
                    f"Brackets are at most {MOST_DEPTH} deep.", here, hint="Leave some out."
                )
            self._at += 1
            found = self._any(depth + 1)
            if self._at == len(self._text):
                raise QueryError("This bracket isn't closed.", here, hint="Add a ')'.")
            self._at += 1
            return found
        if self._operator():
            raise self._nothing(here)
        if self._text[here] == '"':
            return self._phrase()
        return self._word()

    def _nothing(self, here: int) -> QueryError:
        what = self._operator() or self._text[here : here + 1]
        if what:
            said = f"Something to look for is missing before '{what}'."
            return QueryError(said, here, hint=f'To look for it, quote it: "{what}".')
        return QueryError("There is nothing to look for.", here, hint="Give a word.")

    # -- the parts --------------------------------------------------------------------------

    def _phrase(self) -> Words:
        here = self._at
        return Words(words=self._searchable(self._quoted(), here))

    def _word(self) -> Node:
        here = self._at
        name = _NAME.match(self._text, here)
        if name is not None and (name[1].lower() in FIELDS or self._is_meant(name.end())):
            return self._field(name[1], here)
        raw = self._raw()
        suffix = _SUFFIX.search(raw)
        if suffix is None:
            return Words(words=self._searchable(raw, here))
        found = self._searchable(raw[: suffix.start()], here)
        if suffix[0] == "*":
            return Words(words=found, prefix=True)
        edits = int(suffix[1] or 1) if len(suffix[1]) < 2 else MOST_EDITS + 1
        if edits > MOST_EDITS:
            raise QueryError(
                f"A word may differ in at most {MOST_EDITS} letters.", here + suffix.start(),
                hint="Write ~1 or ~2.",
            )  # fmt: skip
        if len(found) > 1:
            raise QueryError("Only one word can be fuzzy.", here, hint="Part it with spaces.")
        return Words(words=found, edits=edits)

    def _is_meant(self, place: int) -> bool:
        """Whether an unknown field was meant; not in ``https://…``, ``bus:12`` and ``note: …``."""
        return not self._is_end(place) and self._text[place] not in "/\\:0123456789"

    def _field(self, given: str, here: int) -> Node:
        name = given.lower()
        if name not in FIELDS:
            near = difflib.get_close_matches(name, FIELDS, 1)
            raise QueryError(
                f"There is no field '{given[:40]}'.",
                here,
                hint=(f"Did you mean {near[0]}:? " if near else "")
                + f"Fields are {', '.join(FIELDS)}; to look for the word, quote it.",
            )
        self._at = here + len(given) + 1
        values = self._values(name, self._at)
        place = here + len(given) + 1
        if name in ("before", "after"):
            if len(values) > 1:
                raise QueryError(f"{name}: takes one time.", place, hint="Give one.")
            moment = _moment(values[0], place)
            return Within(end=moment) if name == "before" else Within(start=moment)
        if name == "stream" and (odd := [one for one in values if one not in STREAMS]):
            near = difflib.get_close_matches(odd[0], STREAMS, 1)
            raise QueryError(
                f"There is no stream '{odd[0][:40]}'.",
                place,
                hint=f"Did you mean {near[0]}?" if near else f"Known: {', '.join(STREAMS)}.",
            )
        return Named(field=name, values=tuple(values))

    def _values(self, name: str, here: int) -> list[str]:
        values = []
        while True:
            if self._text[self._at : self._at + 1] == '"':
                value, quoted = self._quoted(), True
            else:
                value, quoted = self._raw(","), False
            if name == "app":
                begins = not quoted and value.endswith("*")
                folded = " ".join(self._searchable(value, here)) + ("*" if begins else "")
            elif name == "site":
                folded = exact(value).removeprefix("www.").rstrip("/")
            else:
                folded = exact(value)
            if not folded:
                raise QueryError(f"{name}: has no value.", here, hint=f"Write {name}:something.")
            values.append(folded)
            if self._text[self._at : self._at + 1] != ",":
                return values
            self._at += 1

    def _searchable(self, text: str, here: int) -> tuple[str, ...]:
        found = words(text)
        if not found:
            raise QueryError(
                "There is no letter or digit to look for.", here, hint="Signs aren't indexed."
            )
        self._count += len(found) - 1
        if self._count > MOST_PARTS:
            raise QueryError(f"A query has at most {MOST_PARTS} parts.", here, hint="Cut it.")
        return tuple(found)

    # -- characters -------------------------------------------------------------------------

    def _space(self) -> None:
        """Go on to what counts; a sign between spaces, as titles have it, doesn't."""
        while self._at < len(self._text):
            end = self._at
            while not self._is_end(end):
                end += 1
            if end > self._at and not (
                self._is_space(end) and not words(self._text[self._at : end])
            ):
                return
            if end == self._at and not self._text[end].isspace():
                return
            self._at = max(end, self._at + 1)

    def _ended(self) -> bool:
        self._space()
        return self._at == len(self._text) or self._text[self._at] == ")"

    def _operator(self) -> str:
        self._space()
        for name in _OPERATORS:
            end = self._at + len(name)
            if self._text.startswith(name, self._at) and self._is_end(end):
                return name
        return ""

    def _takes(self, name: str) -> bool:
        if self._operator() != name:
            return False
        self._at += len(name)
        return True

    def _takes_minus(self) -> bool:
        self._space()
        if self._text[self._at : self._at + 1] != "-" or self._is_space(self._at + 1):
            return False
        self._at += 1
        return True

    def _is_space(self, place: int) -> bool:
        return place >= len(self._text) or self._text[place].isspace()

    def _is_end(self, place: int) -> bool:
        return place >= len(self._text) or self._text[place] in _ENDS or self._is_space(place)

    def _raw(self, also: str = "") -> str:
        start = self._at
        while not self._is_end(self._at) and self._text[self._at] not in also:
            self._at += 1
        return self._text[start : self._at]

    def _quoted(self) -> str:
        start = self._at
        end = self._text.find('"', start + 1)
        if end < 0:
            raise QueryError("This quote isn't closed.", start, hint="Add a '\"'.")
        self._at = end + 1
        return self._text[start + 1 : end]


def _moment(value: str, here: int) -> int:
    """The first moment that a text names, µs since 1970."""
    if found := re.fullmatch(r"(\d{4})(?:-(\d{2}))?", value):
        value = f"{found[1]}-{found[2] or '01'}-01"
    try:
        if (day := day_of(value)) is not None:
            return to_us(span(day, None)[0])
        at = datetime.fromisoformat(value.upper())
        at = at if at.tzinfo else at.replace(tzinfo=tzlocal.get_localzone())
        return min(max(to_us(at), MIN_US), MAX_US)
    except (ValueError, OverflowError, UsageError):
        raise QueryError(
            f"'{value[:40]}' isn't a time.",
            here,
            hint="Write 2026-01-02, 2026-01, 2026, 2026-01-02T15:04, today or yesterday.",
        ) from None
