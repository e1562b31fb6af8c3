"""Who asks: people by Jupyter's login, programs by tokens of ours.

A person logs in with the home's token or password and may do everything; the cookie of that login
ends when the password changes. A program sends its token with each request, in a header
(``Authorization: Bearer …``, or as the password of HTTP's Basic scheme), never in an address, and
gets no cookie. It reaches the routes of ``/lifelog/api/`` alone, as far as its scopes go: the rest
of the hub is a shell.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import math
import re
import time
import weakref
from dataclasses import dataclass
from typing import Any, ClassVar, TypeGuard, cast

import orjson
import structlog
from jupyter_server.auth.identity import PasswordIdentityProvider, User
from jupyter_server.auth.security import passwd_check
from tornado.web import HTTPError, RequestHandler
from tornado.websocket import WebSocketHandler

from lifelog_lake.home import Home
from lifelog_lake.server.secret import read_password, read_token
from lifelog_lake.server.throttle import Throttle
from lifelog_lake.server.tokens import SCOPES, Scope, Token, Tokens
from lifelog_lake.server.uses import Uses

log = structlog.get_logger(__name__)

PERSON = "person"
#: How long the password's file is taken for unchanged.
LOOK_EVERY_S = 0.5
_SCHEMES = re.compile(r"(token|bearer|basic)\s+(\S+)\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whoever sent a request. ``token`` is a program's; None for a person."""

    scopes: tuple[Scope, ...]
    token: Token | None = None

    @property
    def is_person(self) -> bool:
        """Whether it is a person, who may do everything."""
        return self.token is None

    @property
    def id(self) -> str:
        """A word for whoever it is."""
        return PERSON if self.token is None else self.token.id

    @property
    def name(self) -> str:
        """For the audit."""
        return PERSON if self.token is None else f"token {self.token.id} {self.token.name}"


_PERSON = Caller(scopes=SCOPES)


class TooManyFailures(HTTPError):
    """Wait before you try again."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(429, "Too many failed logins.")
        self.retry_after_s = math.ceil(wait_s)


class HubIdentity(PasswordIdentityProvider):
    """Jupyter's identity provider for a home. Handlers that take tokens say ``takes_tokens``."""

    home: ClassVar[Home]
    tokens: Tokens

    def __init__(self, **words: Any) -> None:
        super().__init__(**words)
        self.tokens = Tokens(self.home.path)
        self.uses = Uses(self.home.path)
        self._throttle = Throttle()
        self._proving = asyncio.Lock()
        self._looked_at_s = float("-inf")
        #: Open websockets: each outlives the cookie that opened it.
        self._sockets: weakref.WeakSet[WebSocketHandler] = weakref.WeakSet()

    def refresh(self, *, at_once: bool = False) -> None:
        """See whether the password was changed, unless that was looked at just now."""
        if not at_once and time.monotonic() - self._looked_at_s < LOOK_EVERY_S:
            return
        self._looked_at_s = time.monotonic()
        hashed = self.home.settings.server.password_hash or read_password(self.home.path)
        if hashed != self.hashed_password or not (hashed or self.token):
            self.hashed_password = hashed
            self.token = "" if hashed else read_token(self.home.path)
            self.close_sockets()

    def close_sockets(self) -> None:
        """Close each page, kernel and shell that is open; who is logged in opens his again."""
        for handler in list(self._sockets):
            handler.close(1008, "logged out")

    async def get_user(self, handler: RequestHandler) -> User | None:
        """The person or program that sent a request; None for a stranger."""
        self.refresh()
        caller, offered = self._caller(handler)
        if caller is not None:
            handler._lifelog_caller = caller  # type: ignore[attr-defined]
        if caller is None or caller.is_person:
            user = self._person(handler, by_token=caller is not None, offered=offered)
            if user is not None and _is_socket(handler):
                self._sockets.add(handler)
            return user
        # A page of another site can't send this header by itself, so no cookie's rules apply.
        handler._token_authenticated = True  # type: ignore[attr-defined]
        assert caller.token is not None
        return User(username=f"token-{caller.id}", name=caller.token.name)

    def _person(self, handler: RequestHandler, *, by_token: bool, offered: bool) -> User | None:
        known = cast("User | None", self.get_user_cookie(handler))
        if by_token:
            handler._token_authenticated = True  # type: ignore[attr-defined]
            user = known or self.generate_anonymous_user(handler)
            if known is None and not takes_tokens(handler):
                self.set_login_cookie(handler, user)
            return user
        if known is None:
            if offered:
                self.fail(handler)
            if handler.get_cookie(self.get_cookie_name(handler)) is not None:
                self.clear_login_cookie(handler)
            return None
        handler._lifelog_caller = _PERSON  # type: ignore[attr-defined]
        return known

    def _caller(self, handler: RequestHandler) -> tuple[Caller | None, bool]:
        """Who the offered secret stands for, and whether any was offered."""
        secret, explicit = self._offered(handler)
        if not secret:
            return None, False
        wait_s = self._throttle.wait_s(handler.request.remote_ip or "")
        if self.token and hmac.compare_digest(secret.encode(), str(self.token).encode()):
            return _PERSON, True
        if takes_tokens(handler):
            token = self.tokens.find(secret)
            if token is not None and not (token.given and wait_s):
                self.uses.note(token.id)
                return Caller(scopes=token.scopes, token=token), True
            if explicit:  # it was said who asks, so the cookie isn't looked at
                self.fail(handler)
                raise HTTPError(401, "The token isn't valid.")
        return None, True

    def _offered(self, handler: RequestHandler) -> tuple[str, bool]:
        """A secret, and whether it can only have been meant for us."""
        found = _SCHEMES.fullmatch(handler.request.headers.get("Authorization", ""))
        if found is None:
            # In an address it only opens the first page, which takes it out again.
            if handler.request.method != "GET" or takes_tokens(handler):
                return "", False
            return handler.get_query_argument("token", ""), False
        scheme, value = found[1].lower(), found[2]
        if scheme != "basic":
            return value, True
        try:
            words = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return "", False
        return words.partition(":")[2], False

    def fail(self, handler: RequestHandler) -> None:
        """Count a failed login. Raises :class:`TooManyFailures`."""
        address = handler.request.remote_ip or ""
        wait_s = self._throttle.wait_s(address)
        if wait_s:
            raise TooManyFailures(wait_s)
        self._throttle.fail(address)
        log.warning("login_failed")

    # -- the login page ---------------------------------------------------------------------

    def process_login_form(self, handler: RequestHandler) -> User | None:
        """Check what was typed, unless there were too many failures before."""
        wait_s = self._throttle.wait_s(handler.request.remote_ip or "")
        if wait_s:
            raise TooManyFailures(wait_s)
        if self.fits(handler.get_body_argument("password", "", strip=False)):
            return self.generate_anonymous_user(handler)
        self.fail(handler)
        return None

    async def prove(self, handler: RequestHandler, typed: str) -> bool:
        """Check what a person who is logged in has typed once more; a failure counts.

        One at a time: else as many guesses as fit beside each other would be free. Raises
        :class:`TooManyFailures`, without a look at what was typed, after too many.
        """
        async with self._proving:
            wait_s = self._throttle.wait_s(handler.request.remote_ip or "")
            if wait_s:
                raise TooManyFailures(wait_s)
            fits = await asyncio.to_thread(self.fits, typed)
            if not fits:
                self.fail(handler)
            return fits

    def fits(self, typed: str) -> bool:
        """Whether this is what opens the login: the password, or else the token.

        Spaces around it may belong to it, or have come with it from where it was copied.
        """
        for tried in dict.fromkeys((typed, typed.strip())):
            if self.hashed_password:
                if passwd_check(self.hashed_password, tried):
                    return True
            elif hmac.compare_digest(tried.encode(), str(self.token).encode()):
                return True
        return False

    # -- cookies ----------------------------------------------------------------------------

    def user_to_cookie(self, user: User) -> str:
        """The user with a mark of what opened the login."""
        fields = orjson.loads(super().user_to_cookie(user))
        return orjson.dumps({**fields, "opened_by": self._mark()}).decode()

    def user_from_cookie(self, cookie_value: str) -> User | None:
        """The user, if what opened the login still does."""
        fields = orjson.loads(cookie_value)
        if not hmac.compare_digest(str(fields.get("opened_by")), self._mark()):
            return None
        return super().user_from_cookie(cookie_value)

    def _mark(self) -> str:
        opener = self.hashed_password or str(self.token)
        return hashlib.sha256(b"opened by " + opener.encode()).hexdigest()[:16]


def _is_socket(handler: RequestHandler) -> TypeGuard[WebSocketHandler]:
    """Whether it is a websocket; those that proxy one answer other requests, too."""
    upgrade = handler.request.headers.get("Upgrade", "")
    return isinstance(handler, WebSocketHandler) and upgrade.lower() == "websocket"


def takes_tokens(handler: RequestHandler) -> bool:
    """Whether programs may use a route, with a token of theirs."""
    return bool(getattr(handler, "takes_tokens", False))


def caller_of(handler: RequestHandler) -> Caller | None:
    """Who sent a request; None for a stranger."""
    return cast("Caller | None", getattr(handler, "_lifelog_caller", None))
