"""What all REST routes share: login, JSON errors that say what and how, the lake in threads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, TypeVar, cast

import orjson
from jupyter_server.base.handlers import APIHandler
from tornado.web import authenticated

from lifelog_lake.errors import LakeRefused, LakeUnreachable, LifelogError, UsageError
from lifelog_lake.server.reading import LakeReader

READER = "lifelog_lake_reader"

F = TypeVar("F", bound=Callable[..., Awaitable[None]])


def status_of(error: LifelogError) -> int:
    """The HTTP status that an error of the project means."""
    if isinstance(error, UsageError):
        return 400
    if isinstance(error, LakeUnreachable | LakeRefused):
        return 503
    return 500


def explained(method: F) -> F:
    """Answer a :class:`LifelogError` with its own words instead of "Internal Server Error"."""

    @wraps(method)
    async def wrapper(self: LifelogHandler, *args: Any, **kwargs: Any) -> None:
        try:
            await method(self, *args, **kwargs)
        except LifelogError as error:
            self.refuse(status_of(error), error.message, error.hint)

    return cast(F, wrapper)


class LifelogHandler(APIHandler):
    """A route below ``/lifelog/api/``: 403 without a credential, errors as JSON."""

    @property
    def reader(self) -> LakeReader:
        """The server's reader of the lake."""
        return cast(LakeReader, self.settings[READER])

    def refuse(self, status: int, message: str, hint: str) -> None:
        """Finish with an error of two sentences: what is wrong, and what to do."""
        self.set_status(status)
        self.set_header("Cache-Control", "no-store")
        self.finish(orjson.dumps({"message": message, "hint": hint}))

    def answer(self, body: object) -> None:
        """Finish with JSON that no cache keeps."""
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.finish(orjson.dumps(body))


class NotThere(LifelogHandler):
    """Any other path below ``/lifelog/``: 403 without a credential, else 404 in JSON."""

    @authenticated
    async def get(self) -> None:
        """Refuse."""
        self.refuse(404, "There is nothing at this address.", "Begin at /lifelog/timeline.")

    head = post = put = delete = patch = get
