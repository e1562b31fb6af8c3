"""Whom alerts are told: Apprise addresses from the settings or a private file, never shown whole.

``HOME/alert-addresses.toml`` may hold ``notify``, ``notify_info``, ``notify_warning``,
``notify_critical`` and ``ping_url`` as ``[alerts]`` does; each counts where the settings have none.
"""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from lifelog_lake.alert_settings import AlertsSettings
from lifelog_lake.care.health.model import SEVERITIES, Severity
from lifelog_lake.config import CONFIG_NAME
from lifelog_lake.errors import UsageError
from lifelog_lake.home import Home

FILE = "alert-addresses.toml"
_NAMES = ("notify", *(f"notify_{severity}" for severity in SEVERITIES))
#: Schemes whose host is a server's name. That of others may be a token (tgram://TOKEN/CHAT).
_HOSTED = re.compile(
    r"(mailto|json|xml|form|ntfy|matrix|gotify|mqtt|xmpp|rocket|mmost|nctalk|ncloud|syslog|apprise"
    r"|signal|synology|kodi|hassio)s?"
)
#: What can only be a server's name or number. A word alone may be a topic of ntfy.sh or a token of
#: Matrix' webhooks: they have the host's place, and are as good as a password.
_SERVER = re.compile(r"localhost|[\w-]+(\.[\w-]+)+|([\w.-]+|\[[0-9a-fA-F:.]+\]):\d+")
_HINT = "Addresses are written as Apprise has them: see docs/health.md."


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One Apprise address. Its repr doesn't show it; ``shown`` is what anybody may read."""

    url: str = field(repr=False)

    @property
    def id(self) -> str:
        """Names it in the outbox, where no secret lies."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:16]

    @property
    def shown(self) -> str:
        """``mailtos://…@host``; of services whose host may be a token a few digits of the hash."""
        scheme, marks, rest = self.url.partition("://")
        scheme = scheme.lower() if marks and scheme.isalnum() else "?"
        user, at, host = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")
        if not (_HOSTED.fullmatch(scheme) and _SERVER.fullmatch(host)):
            return f"{scheme}://… ({self.id[:6]})"
        return f"{scheme}://{'…@' if at and user else ''}{host}"

    def hide_in(self, text: str) -> str:
        """A foreign text without any part of this address but its scheme and host."""
        parts = {part for part in re.split(r"[:/?&=@,#+]+", self.url) if len(part) > 2}
        hidden = parts - {self.url.split(":", 1)[0], *re.split(r"[@:]", self.shown)}
        for part in sorted({*hidden, *map(unquote, hidden)}, key=len, reverse=True):
            text = text.replace(part, "…")
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """Which addresses hear of a severity, and the dead man's switch."""

    by_severity: dict[Severity, tuple[Address, ...]]
    ping_url: str = field(repr=False, default="")

    @property
    def addresses(self) -> list[Address]:
        """All of them, each once."""
        found = {one.id: one for several in self.by_severity.values() for one in several}
        return list(found.values())

    def of(self, severities: Iterable[Severity]) -> list[Address]:
        """Who hears of any of these severities."""
        found = {one.id: one for severity in severities for one in self.by_severity[severity]}
        return list(found.values())


def read(home: Home) -> Routes:
    """The routes of now. Raises :class:`UsageError` for a file that others may read, or that
    says what can't be used."""
    settings = home.settings.alerts
    kept = _file(home.path / FILE)
    general = settings.notify or kept.notify
    least = SEVERITIES.index(settings.least)
    routes: dict[Severity, tuple[Address, ...]] = {}
    for place, severity in enumerate(SEVERITIES):
        own = getattr(settings, f"notify_{severity}") or getattr(kept, f"notify_{severity}")
        urls = (own or general) if place >= least else ()
        routes[severity] = tuple(Address(url=url.strip()) for url in urls if url.strip())
    return Routes(by_severity=routes, ping_url=settings.ping_url or kept.ping_url)


def check(home: Home, routes: Routes) -> list[str]:
    """What is wrong with the addresses, a sentence each, without what is in them."""
    import apprise

    return [
        f"Apprise doesn't understand the address {address.shown}. {_HINT} "
        f"It is in [alerts] of {home.path / CONFIG_NAME}, the environment or {FILE}."
        for address in routes.addresses
        if apprise.Apprise.instantiate(address.url, suppress_exceptions=True) is None
    ]


def _file(path: Path) -> AlertsSettings:
    try:
        status = path.stat()
        if os.name != "nt" and status.st_mode & 0o077:
            raise UsageError(
                f"Others on this machine may read {path}.", hint=f"Run: chmod 600 '{path}'"
            )
        values = tomllib.loads(path.read_text("utf-8"))
        if values.keys() <= {*_NAMES, "ping_url"}:
            return AlertsSettings(**values)
    except FileNotFoundError:
        return AlertsSettings()
    except OSError as error:
        raise UsageError(
            f"{path} can't be read: {error.strerror}.", hint="Make it readable for you alone."
        ) from None
    except ValueError:  # the parser's words could show a part of an address
        pass
    raise UsageError(
        f"{path} can't be used.",
        hint=f'It may hold {", ".join(_NAMES)} (each a list of texts) and ping_url = "…".',
    )
