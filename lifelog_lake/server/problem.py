"""Errors as problem documents (RFC 9457): ``application/problem+json``, the same for every route.

``{"type": "about:blank", "title", "status", "detail", "hint"}``: ``title`` is the status in words,
``detail`` says what is wrong, ``hint`` what to do about it; of a search also ``position``, the
character of the query from which on it can't be read; of what is refused for one field or argument
also ``field``, its name (``metadata.price``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus

import orjson

from lifelog_lake.errors import (
    EntryChanged,
    EntryExists,
    EntryFull,
    FileIncomplete,
    FileRefused,
    FileTooLarge,
    InvalidEvent,
    LakeRefused,
    LakeUnreachable,
    LifelogError,
    Locked,
    SpoolFull,
    SpoolWriteFailed,
    Transient,
    UnknownEntry,
    UsageError,
)

MEDIA_TYPE = "application/problem+json"
#: Seconds after which what failed for now may be tried again.
RETRY_S = 10

#: The most special first.
_STATUS: tuple[tuple[type[LifelogError], int], ...] = (
    (UnknownEntry, 404),
    (EntryExists, 409),
    (EntryChanged, 412),
    (FileTooLarge, 413),
    (EntryFull, 409),
    (FileIncomplete, 400),
    (FileRefused, 415),
    (InvalidEvent, 400),
    (UsageError, 400),
    (LakeUnreachable, 503),
    (LakeRefused, 503),
    (Locked, 503),
    (SpoolFull, 507),
    (SpoolWriteFailed, 507),
    (Transient, 503),
)
_DESCRIBED = "See openapi.json for what is taken here."
_HINTS = {
    400: _DESCRIBED,
    422: _DESCRIBED,
    401: "Send a token: Authorization: Bearer … (make one with: lifelog token create NAME), or log "
    "in.",
    403: "Log in, or use a token that may do this.",
    404: _DESCRIBED,
    405: _DESCRIBED,
    429: "Wait as long as Retry-After says.",
    500: "The log of the server has more.",
}


@dataclass(kw_only=True, eq=False)
class Problem(Exception):
    """Something to be refused; ``headers`` go with it."""

    status: int
    detail: str
    hint: str = ""
    position: int | None = None
    named: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def body(self) -> bytes:
        """The document."""
        told: dict[str, object] = {
            "type": "about:blank",
            "title": title(self.status),
            "status": self.status,
            "detail": self.detail,
            "hint": self.hint or _HINTS.get(self.status, ""),
        }
        if self.position is not None:
            told["position"] = self.position
        if self.named:
            told["field"] = self.named
        return orjson.dumps(told)


def title(status: int) -> str:
    """A status in words."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def status_of(error: LifelogError) -> int:
    """The status that an error of the project means."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def problem_of(error: LifelogError) -> Problem:
    """An error of the project as what is sent."""
    status = status_of(error)
    headers = {"Retry-After": str(RETRY_S)} if status == 503 else {}
    position, named = error.fields.get("position"), error.fields.get("field")
    return Problem(
        status=status,
        detail=error.message,
        hint=error.hint,
        position=position if isinstance(position, int) else None,
        named=named if isinstance(named, str) else "",
        headers=headers,
    )
