"""The pages: requests that passed Jupyter's login, handed on to the process behind them.

``/lifelog/<page>`` answers with the app notebook itself, so the address a person bookmarks stays;
the app's scripts and websockets live below ``/lifelog/app/``. Credentials end here: neither the
cookie nor the token reaches the inner server, and it can set no cookie.
"""

from __future__ import annotations

import weakref
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode

from jupyter_server_proxy.handlers import NamedLocalProxyHandler, RewritableResponse
from tornado.httputil import HTTPHeaders
from tornado.web import HTTPError

from lifelog_lake.server.app_process import HEADER, AppProcess

#: Where the inner server lives, below the base URL.
APP_BASE = "lifelog/app"

#: No page loads anything from another host, not even when a widget library would like to.
#: Widgets come as blob: modules, and vega compiles its expressions.
PAGE_CSP = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
STARTING = "The pages are starting. Load this page again in a minute."
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


class AppProxy(NamedLocalProxyHandler):  # type: ignore[misc,unused-ignore]
    """``/lifelog/app/…``: the app's own files, kernels and websockets."""

    #: Open websockets, to be closed at logout: a socket outlives the cookie that opened it.
    sockets: ClassVar[weakref.WeakSet[AppProxy]] = weakref.WeakSet()

    def initialize(self, process: AppProcess) -> None:
        """Called by tornado with the route's arguments."""
        self.process = process
        self.name = self.proxy_base = APP_BASE
        self.absolute_url = True
        self.rewrite_response = (_harden,)

    async def prepare(self, *args: Any, **kwargs: Any) -> None:
        """Login first (the base class), then: no foreign page may change anything."""
        if self.request.headers.get("Upgrade", "").lower() == "websocket":
            kwargs["_redirect_to_login"] = False  # a script can't log in: 403
        await super().prepare(*args, **kwargs)
        if self.request.method not in _SAFE and not self.check_origin():
            raise HTTPError(403, "This request came from another site.")

    def get_request_headers_override(self) -> dict[str, str]:
        """The secret that opens the inner server."""
        return {HEADER: self.process.secret}

    def proxy_request_headers(self) -> HTTPHeaders:
        """The request's headers without its credentials."""
        headers: HTTPHeaders = super().proxy_request_headers()
        for name in _CREDENTIALS:
            headers.pop(name, None)
        return headers

    async def proxy(self, port: int, path: str) -> None:
        """Hand the request on, once the inner server listens."""
        await self._await_process()
        try:
            await super().proxy(port, path)
        except OSError:  # it has just died; it is started again by itself
            raise HTTPError(503, STARTING) from None

    async def open(self, path: str) -> None:
        """Join the two ends of a websocket."""
        await self._await_process()
        AppProxy.sockets.add(self)
        await super().open(path)

    async def _await_process(self) -> None:
        if not await self.process.ready():
            raise HTTPError(503, STARTING)
        self.unix_socket = self.process.socket
        self.port = self.process.port

    @classmethod
    def close_sockets(cls) -> None:
        """Close every open websocket of the app; browsers that are logged in open them again."""
        for handler in list(cls.sockets):
            handler.close(1008, "logged out")


class Page(AppProxy):
    """``/lifelog/<page>``: the app notebook, which reads the page's name from its address."""

    async def http_get(self, page: str) -> None:
        """The notebook; a token in the address has done its work and leaves it.

        Each page takes a kernel. A browser says when it isn't a person who opens the page but an
        ``<img>`` or a script, of whatever site; those get none. Old browsers and programs say
        nothing.
        """
        if self.request.headers.get("Sec-Fetch-Mode", "navigate") != "navigate":
            raise HTTPError(403, "This page is to be opened in a window of its own.")
        query = parse_qsl(self.request.query, keep_blank_values=True)
        kept = [(name, value) for name, value in query if name != "token"]
        if len(kept) != len(query):
            self.redirect(self.request.path + ("?" + urlencode(kept) if kept else ""))
            return
        del page
        await super().http_get("/")

    async def open(self, path: str) -> None:
        """A page is no websocket."""
        raise HTTPError(405, path)

    async def _only_get(self, page: str) -> None:
        raise HTTPError(405, page)

    post = put = delete = patch = options = head = _only_get
