"""What a method of a route does, said once: it is checked by it, and described by it.

``@operation(...)`` above a method names its scope, the arguments it takes, the body, the answers
and the errors. :class:`ApiHandler` holds a request to that before the method runs, and
:mod:`lifelog_lake.server.api.openapi` writes it down.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, TypeVar, cast

from pydantic import BaseModel
from tornado.http1connection import HTTP1Connection
from tornado.ioloop import IOLoop
from tornado.iostream import StreamClosedError
from tornado.web import stream_request_body

from lifelog_lake.errors import LifelogError, UsageError
from lifelog_lake.recall.journal.model import Input, parse, parse_json
from lifelog_lake.server.api.meter import METER
from lifelog_lake.server.api.work import Work
from lifelog_lake.server.base import LifelogHandler
from lifelog_lake.server.problem import Problem, problem_of
from lifelog_lake.server.tokens import Scope

WORK = "lifelog_lake_work"
JSON = "application/json"
#: Most bytes of a body that isn't a file.
MOST_BODY_BYTES = 8 * 1024 * 1024
#: Bytes of a body without meaning that are read and thrown away.
MOST_IDLE_BYTES = 64 * 1024
#: Seconds for a body that isn't a file; and that what is refused may still be sent.
BODY_S, REFUSED_S = 60.0, 5.0

M = TypeVar("M", bound=BaseModel)
F = TypeVar("F", bound=Callable[..., Awaitable[None]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One way in which an operation ends well. ``schema`` is a model, or None for any bytes."""

    doc: str
    schema: Any = None
    media: tuple[str, ...] = (JSON,)
    headers: Mapping[str, str] = field(default_factory=dict)
    example: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What a request brings. ``streamed`` bodies are files, which the handler takes in pieces."""

    doc: str
    schema: Any = None
    media: tuple[str, ...] = (JSON,)
    required: bool = True
    streamed: bool = False
    examples: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """All of it. No ``scopes``: for people alone. ``problems``: those beside 400, 401, 403, 429."""

    id: str
    summary: str
    scopes: tuple[Scope, ...]
    answers: Mapping[int, Answer]
    query: type[Input] | None = None
    headers: type[Input] | None = None
    body: Body | None = None
    problems: tuple[int, ...] = ()


def operation(
    id: str,
    summary: str,
    *,
    scopes: tuple[Scope, ...],
    answers: Mapping[int, Answer],
    query: type[Input] | None = None,
    headers: type[Input] | None = None,
    body: Body | None = None,
    problems: tuple[int, ...] = (),
) -> Callable[[F], F]:
    """Say what a method does. It becomes one that answers our errors with their own words."""
    said = Operation(
        id=id, summary=summary, scopes=scopes, answers=answers, query=query, headers=headers,
        body=body, problems=problems,
    )  # fmt: skip

    def decorate(method: F) -> F:
        @wraps(method)
        async def wrapper(self: ApiHandler, *args: str, **words: str) -> None:
            if self.failed is not None:
                raise self.failed
            try:
                await method(self, *args, **words)
            except UsageError as error:
                # What its form allows was let through before: it is the meaning that is wrong.
                problem = problem_of(error)
                problem.status = 422 if problem.status == 400 else problem.status
                raise problem from None
            except LifelogError as error:
                raise problem_of(error) from error

        wrapper.operation = said  # type: ignore[attr-defined]
        return cast(F, wrapper)

    return decorate


@stream_request_body
class ApiHandler(LifelogHandler):
    """A route whose methods are operations. Bodies are taken in pieces, never more than allowed."""

    #: Why the request can't be done, found while its body still came.
    failed: Problem | None = None

    def initialize(self) -> None:
        """Called by tornado."""
        self._body = bytearray()
        self._came_bytes = 0
        self._prepared = False
        self._began_s = IOLoop.current().time()
        self._refused_at_s = math.inf

    @property
    def work(self) -> Work:
        """The journal and what goes with it, in threads."""
        return cast(Work, self.settings[WORK])

    @property
    def operation(self) -> Operation | None:
        """What this request's method does; None for one that there isn't."""
        method = getattr(self, str(self.request.method).lower(), None)
        return cast("Operation | None", getattr(method, "operation", None))

    async def prepare(self) -> None:  # type: ignore[override]
        """Refuse what can be refused by the head alone."""
        self._prepared = True
        try:
            await super().prepare()
            self.check_head()
            await self.check_more()
        except Exception as error:  # noqa: BLE001 - it is answered, as any error of a method is
            await self.refuse_early(self.as_problem(error))

    async def check_more(self) -> None:
        """What a route has to look up before it takes a body."""

    def check_head(self) -> None:
        """Refuse a body that is too large or of another type, and arguments that are wrong."""
        said = self.operation
        body = None if said is None else said.body
        if said is not None:
            self.arguments = self._arguments(said)
        most = self.most_bytes(body)
        length = self.length
        if length is not None and length > most:
            raise too_large(most)
        if body is not None and (length or self._is_chunked):
            media = self.media_type
            if media and media not in body.media and not _wild(media, body.media):
                raise Problem(
                    status=415,
                    detail="The body is of a type that isn't taken here.",
                    hint=f"Send {' or '.join(body.media)}.",
                )
        connection = cast(HTTP1Connection, self.request.connection)
        if body is None or not body.streamed:
            connection.set_max_body_size(most + MOST_IDLE_BYTES)
            connection.set_body_timeout(BODY_S)
        else:
            connection.set_max_body_size(2**62)  # counted as it comes, see take_within

    def most_bytes(self, body: Body | None) -> int:
        """Most bytes that a request may bring."""
        return MOST_IDLE_BYTES if body is None else MOST_BODY_BYTES

    @property
    def length(self) -> int | None:
        """What the head says of the body's size; None if it doesn't."""
        said = self.request.headers.get("Content-Length")
        return int(said) if said is not None and said.isascii() and said.isdigit() else None

    @property
    def media_type(self) -> str:
        """What the head says of the body's type, without parameters."""
        return self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    @property
    def _is_chunked(self) -> bool:
        return "Transfer-Encoding" in self.request.headers

    async def refuse_early(self, problem: Problem) -> None:
        """Answer before the body has come, or while it comes.

        A small one is waited for. Who waits for our word before sending gets it. All others are
        answered at once and may go on sending for a while: cut off, they would never read why.
        """
        self.failed = problem
        if not self._is_chunked and (self.length or 0) <= MOST_IDLE_BYTES:
            setattr(self, str(self.request.method).lower(), self._fail)
            return
        problem.headers["Connection"] = "close"
        if self.request.headers.get("Expect", "").lower() == "100-continue":
            self.send_problem(problem)
            return
        connection = cast(HTTP1Connection, self.request.connection)
        connection.set_max_body_size(2**62)
        connection.set_body_timeout(REFUSED_S)
        self._refused_at_s = IOLoop.current().time()
        setattr(self, str(self.request.method).lower(), self._end_early)
        body = self.begin_problem(problem)
        self.set_header("Content-Length", str(len(body)))
        self.write(body)
        with contextlib.suppress(StreamClosedError):  # nobody is there to hear it
            await self.flush()

    def begin_problem(self, problem: Problem) -> bytes:
        """As the base does. A method that nobody knows ends the connection (tornado does so)."""
        if not self._prepared:
            problem.headers["Connection"] = "close"
        return super().begin_problem(problem)

    async def _fail(self, *args: str) -> None:
        del args
        assert self.failed is not None
        raise self.failed

    async def _end_early(self, *args: str) -> None:
        del args
        self.finish()
        self.cut()

    def cut(self) -> None:
        """End the connection."""
        self.request.connection.stream.close()  # type: ignore[union-attr]

    async def data_received(self, chunk: bytes) -> None:
        """A piece of the body."""
        METER.received(len(chunk))
        if self.failed is None:
            await self.take_within(chunk)
        elif IOLoop.current().time() > self._refused_at_s + REFUSED_S:
            self.cut()

    async def take_within(self, chunk: bytes) -> None:
        """Take a piece, unless it is one too many."""
        said = self.operation
        body = None if said is None else said.body
        self._came_bytes += len(chunk)
        if self._came_bytes > (most := self.most_bytes(body)):
            await self.refuse_early(too_large(most))
        elif body is not None:
            await self.take(chunk)

    async def take(self, chunk: bytes) -> None:
        """A piece of the body of a request that can still be done."""
        self._body += chunk

    # -- what was sent ----------------------------------------------------------------------

    def _arguments(self, said: Operation) -> Any:
        try:  # tornado would make spaces of what mustn't be
            given = {
                name: [value.decode() for value in values]
                for name, values in self.request.query_arguments.items()
            }
        except UnicodeDecodeError:
            raise Problem(status=400, detail="An argument isn't UTF-8.") from None
        if said.query is None:
            if given:
                name = next(iter(given))[:40]
                raise Problem(status=400, detail=f"There is no argument {name!r} here.")
            return None
        fields = said.query.model_fields
        values: dict[str, object] = {}
        for name, many in given.items():
            listed = name in fields and "tuple" in str(fields[name].annotation)
            if not listed and len(many) > 1:
                raise Problem(status=400, detail=f"{name[:40]} is given {len(many)} times.")
            values[name] = tuple(many) if listed else many[0]
        try:
            return parse(said.query, values, "The address")
        except UsageError as error:
            raise problem_of(error) from None

    def said_in_head(self, model: type[M]) -> M:
        """The headers that a model names, as its fields."""
        names = {name: one.alias or name for name, one in model.model_fields.items()}
        headers = self.request.headers
        given = {name: headers[alias] for name, alias in names.items() if alias in headers}
        try:
            return parse(model, {names[name]: value for name, value in given.items()}, "The head")
        except UsageError as error:
            raise problem_of(error) from None

    def json(self) -> object:
        """The body's JSON; None for an empty body that may be."""
        if not self._body and self.operation and self.operation.body:
            if not self.operation.body.required:
                return None
            raise Problem(status=400, detail="There is no body.", hint="Send JSON.")
        try:
            return parse_json(bytes(self._body), "The body")
        except UsageError as error:
            raise problem_of(error) from None

    def parsed(self, model: type[M], value: object, what: str) -> M:
        """A part of the body as a model."""
        try:
            return parse(model, value, what)
        except UsageError as error:
            raise problem_of(error) from None

    # -- what is answered -------------------------------------------------------------------

    def flush(self, include_footers: bool = False) -> Any:
        """Count what goes out."""
        METER.sent(sum(map(len, self._write_buffer)))
        return super().flush(include_footers)

    def on_finish(self) -> None:
        """Count the call."""
        said = self.operation
        took_s = IOLoop.current().time() - self._began_s
        METER.called("none" if said is None else said.id, self.get_status(), took_s)

    def audit(self, action: str, **about: object) -> Callable[[], None]:
        """What writes into the audit who did this; to be called in a thread."""
        who, address = self.caller.name, self.request.remote_ip or ""
        return lambda: self.work.record(action, who=who, address=address, **about)

    def compute_etag(self) -> None:
        """Each answer names its own, or none."""


def too_large(most: int) -> Problem:
    """A body that isn't taken."""
    return Problem(
        status=413,
        detail=f"The body is larger than {most} bytes.",
        hint="Send less at a time; [journal] file_max_bytes is the limit of a file.",
    )


def _wild(media: str, allowed: tuple[str, ...]) -> bool:
    return "*/*" in allowed or (JSON in allowed and media.endswith("+json"))
