"""HTTP without redirects: what is meant for the lake's server goes nowhere else.

aiohttp follows them by itself, also from https to plain http, with a session token in its header
and a body that may be a part of one's life. botocore asks a server that redirects everything for
its region until the stack ends; Delta's engine, which can't be told another region, would fail
after it anyway. So a redirect is an error, and a person sets the right endpoint or region.
"""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

from aiobotocore.httpsession import AIOHTTPSession
from botocore.exceptions import BotoCoreError


class Elsewhere(BotoCoreError):  # type: ignore[misc]  # the library has no types
    """The server answered with a redirect."""

    fmt = "status {status}"


class Straight(AIOHTTPSession):  # type: ignore[misc]
    """A session that follows no redirect. Raises :class:`Elsewhere`."""

    async def send(self, request: Any) -> Any:
        answer = await super().send(request)
        if 300 <= answer.status_code < 400:
            raise Elsewhere(status=answer.status_code)
        return answer

    async def _get_session(self, proxy_url: str | None) -> Any:
        session = await super()._get_session(proxy_url)
        return SimpleNamespace(request=partial(session.request, allow_redirects=False))
