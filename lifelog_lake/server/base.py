"""What all REST routes share: who may use them, errors that say what and how, the lake in threads.

A route is for people (the login) and for programs (a token with the right scope): ``read`` for GET
and HEAD, ``write`` for all else, unless its method says otherwise by an ``operation``. All that can
be refused is refused before the body of a request is read.
"""

from __future__ import annotations

from typing import Any, cast

import orjson
import structlog
from jupyter_server.base.handlers import APIHandler
from tornado.web import HTTPError, authenticated

from lifelog_lake.errors import LifelogError
from lifelog_lake.server.identity import Caller, TooManyFailures, caller_of
from lifelog_lake.server.problem import MEDIA_TYPE, Problem, problem_of
from lifelog_lake.server.reading import LakeReader

log = structlog.get_logger(__name__)

READER = "lifelog_lake_reader"
METHODS = ("get", "head", "post", "put", "patch", "delete")


class LifelogHandler(APIHandler):
    """A route below ``/lifelog/api/``: 401 without a credential, errors as problem documents."""

    #: See :mod:`lifelog_lake.server.identity`.
    takes_tokens = True

    @property
    def reader(self) -> LakeReader:
        """The server's reader of the lake."""
        return cast(LakeReader, self.settings[READER])

    @property
    def caller(self) -> Caller:
        """Who asks."""
        caller = caller_of(self)
        assert caller is not None  # prepare has seen to it
        return caller

    async def prepare(self) -> None:  # type: ignore[override]
        """Refuse strangers, other sites and programs that may not."""
        try:
            await super().prepare()
        except HTTPError as error:
            if error.status_code == 403 and not self.check_host():
                raise Problem(
                    status=403,
                    detail="The hub isn't known by this name.",
                    hint="Add the name to [server] url or names in config.toml.",
                ) from None
            stranger = getattr(self, "_jupyter_current_user", None) is None
            if stranger and error.status_code in (403, 404):
                raise HTTPError(401, "This needs a login or a token.") from None
            raise
        if self.request.method != "OPTIONS":
            self.check_scope()

    def check_scope(self) -> None:
        """Refuse a program whose token isn't for this."""
        method = str(self.request.method).lower()
        operation = getattr(getattr(self, method, None), "operation", None)
        needed: tuple[str, ...] = ("read",) if method in {"get", "head"} else ("write",)
        if operation is not None:
            needed = operation.scopes
        if self.caller.is_person or set(needed) & set(self.caller.scopes):
            return
        what = f"It needs the scope {' or '.join(needed)}." if needed else "It is for people alone."
        raise Problem(status=403, detail="This token may not do that.", hint=what)

    def refuse(self, status: int, message: str, hint: str) -> None:
        """Finish with an error of two sentences: what is wrong, and what to do."""
        self.send_problem(Problem(status=status, detail=message, hint=hint))

    def send_problem(self, problem: Problem) -> None:
        """Finish with an error."""
        self.finish(self.begin_problem(problem), set_content_type=MEDIA_TYPE)

    def begin_problem(self, problem: Problem) -> bytes:
        """Make the head of an answer that is an error; its body."""
        self.set_status(problem.status)
        self.set_header("Content-Type", MEDIA_TYPE)
        for name in ("Content-Length", "Content-Disposition", "Accept-Ranges", "Last-Modified"):
            self.clear_header(name)
        for name, value in problem.headers.items():
            self.set_header(name, value)
        self.set_header("Cache-Control", "no-store")
        return problem.body()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Whatever went wrong, as a problem document."""
        self.send_problem(self.as_problem(kwargs.get("exc_info", (None, None))[1], status_code))

    def as_problem(self, error: BaseException | None, status_code: int = 500) -> Problem:
        """Whatever went wrong, in words."""
        status = error.status_code if isinstance(error, HTTPError) else status_code
        problem = Problem(status=status, detail="This can't be answered.")
        if isinstance(error, Problem):
            problem = error
        elif isinstance(error, LifelogError):
            problem = problem_of(error)
        elif isinstance(error, TooManyFailures):
            problem.detail = str(error.log_message)
            problem.headers["Retry-After"] = str(error.retry_after_s)
        elif isinstance(error, HTTPError):
            problem.detail = _sentence(error) or problem.detail
        elif error is not None:
            problem.detail = "There is a mistake in the program."
            log.error("request_failed", error=error)
        if problem.status == 401:
            problem.headers["WWW-Authenticate"] = 'Bearer realm="lifelog"'
        if problem.status == 405:
            problem.headers["Allow"] = ", ".join(self._methods())
        return problem

    def log_exception(self, *error: Any) -> None:
        """What is refused is no mistake; :meth:`write_error` logs those."""
        del error

    def _methods(self) -> list[str]:
        """What this route can do."""
        base = LifelogHandler
        there = [m for m in METHODS if getattr(type(self), m) is not getattr(base, m)]
        return [method.upper() for method in there] + ["OPTIONS"]

    def answer(self, body: object, status: int = 200) -> None:
        """Finish with JSON that no cache keeps."""
        self.set_status(status)
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.finish(orjson.dumps(body))


def _sentence(error: HTTPError) -> str:
    """What tornado or Jupyter says; never more than their own words."""
    if error.log_message is None:
        return ""
    try:
        return str(error.log_message % error.args if error.args else error.log_message)
    except (TypeError, ValueError):
        return str(error.log_message)


class NotThere(LifelogHandler):
    """Any other path below ``/lifelog/``: 401 without a credential, else 404."""

    @authenticated
    async def get(self) -> None:
        """Refuse."""
        self.refuse(404, "There is nothing at this address.", "Begin at /lifelog/timeline.")

    head = post = put = delete = patch = get
