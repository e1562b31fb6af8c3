"""What lies behind the hub's login in a process of its own: requests handed on to it.

Credentials end here: neither the cookie nor the token reaches the inner server, and it can set no
cookie.
"""

from __future__ import annotations

from typing import Any, ClassVar

from jupyter_server_proxy.handlers import NamedLocalProxyHandler, RewritableResponse
from tornado.httputil import HTTPHeaders
from tornado.web import HTTPError

#: No page loads anything from another host, not even when a library would like to.
#: Widgets come as blob: modules, and vega compiles its expressions.
PAGE_CSP = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
_CREDENTIALS = ("Cookie", "Authorization", "X-Xsrftoken")
_SAFE = {"GET", "HEAD", "OPTIONS"}


def _harden(response: RewritableResponse) -> None:
    headers: HTTPHeaders = response.headers
    # The inner server names any origin as welcome, because nobody else reaches it.
    for name in list(headers):
        if name in ("Set-Cookie", "Server") or name.startswith("Access-Control-"):
            del headers[name]
    headers["Content-Security-Policy"] = PAGE_CSP
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "same-origin"


class InnerProxy(NamedLocalProxyHandler):  # type: ignore[misc,unused-ignore]
    """Hands requests on with their whole path. A subclass says where to, and what opens it."""

    #: Below the hub's base URL.
    base: ClassVar[str]
    #: What a person reads while the inner server isn't there.
    away: ClassVar[str]

    def initialize(self) -> None:
        """Called by tornado."""
        self.name = self.proxy_base = self.base
        self.absolute_url = True
        self.rewrite_response = (_harden,)

    async def reach(self) -> None:
        """Set ``unix_socket`` or ``port``; raises HTTPError if there is no inner server now."""
        # Abstract: a proxy without an inner server of its own is none. (No ABC: tornado makes it.)
        raise NotImplementedError

    def key(self) -> dict[str, str]:
        """The header that opens the inner server; asked for after :meth:`reach`."""
        # Abstract, too: an empty header would reach a server without its key.
        raise NotImplementedError

    async def prepare(self, *args: Any, **kwargs: Any) -> None:
        """Login first (the base class), then: no foreign page may change anything."""
        if self.request.headers.get("Upgrade", "").lower() == "websocket":
            kwargs["_redirect_to_login"] = False  # a script can't log in: 403
        await super().prepare(*args, **kwargs)
        if self.request.method not in _SAFE and not self.check_origin():
            raise HTTPError(403, "This request came from another site.")

    def proxy_request_headers(self) -> HTTPHeaders:
        """The request's headers, with the key in place of the person's credentials."""
        headers: HTTPHeaders = super().proxy_request_headers()
        for name in _CREDENTIALS:
            headers.pop(name, None)
        headers.update(self.key())
        return headers

    async def proxy(self, port: int, path: str) -> None:
        """Hand the request on, once the inner server listens."""
        await self.reach()
        try:
            await super().proxy(self.port or port, path)
        except OSError:  # it has just died; it is started again by itself
            raise HTTPError(503, self.away) from None

    async def open(self, path: str) -> None:
        """Join the two ends of a websocket."""
        await self.reach()
        await super().open(path)
