"""The pages: requests that passed Jupyter's login, handed on to the process behind them.

``/lifelog/<page>`` answers with the app notebook itself, so the address a person bookmarks stays;
the app's scripts and websockets live below ``/lifelog/app/``.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

from tornado.web import HTTPError

from lifelog_lake.server.app_process import HEADER, AppProcess
from lifelog_lake.server.inner_proxy import InnerProxy

#: Where the inner server lives, below the base URL.
APP_BASE = "lifelog/app"


class AppProxy(InnerProxy):
    """``/lifelog/app/…``: the app's own files, kernels and websockets."""

    base = APP_BASE
    away = "The pages are starting. Load this page again in a minute."

    def initialize(self, process: AppProcess) -> None:  # type: ignore[override]
        """Called by tornado with the route's arguments."""
        super().initialize()
        self.process = process

    async def reach(self) -> None:
        """Wait for the process's first answer."""
        if not await self.process.ready():
            raise HTTPError(503, self.away)
        self.unix_socket = self.process.socket
        self.port = self.process.port

    def key(self) -> dict[str, str]:
        """The secret of the process's life."""
        return {HEADER: self.process.secret}


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
        _ = self.xsrf_token  # sets its cookie, which the page's scripts need to change something
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
