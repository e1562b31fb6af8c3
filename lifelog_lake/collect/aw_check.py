"""Is the ActivityWatch server well? One request with time-outs, its result kept in the home.

For the supervisor and for a flow alike: :func:`run` asks, keeps and logs. The answer is untrusted
(the server has no authentication): its size, its time and its shape are limited, and nothing of it
but a version is told.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal, Protocol, cast
from urllib.parse import unquote, urlsplit

import orjson
import structlog

from lifelog_lake import fsio
from lifelog_lake.clock import Clock
from lifelog_lake.collect import registry
from lifelog_lake.config import CONFIG_NAME
from lifelog_lake.home import Home
from lifelog_lake.validate import clean_text

COLLECTOR = "activitywatch"
NAME = "activitywatch.json"
MAX_ANSWER_BYTES = 64 * 1024
#: A whole answer may take so many time-outs of a single read.
WHOLE_ANSWER = 3
MAX_VERSION = 60

State = Literal["healthy", "degraded", "unhealthy"]


class ServerSettings(Protocol):
    """What is needed of ``[collectors.activitywatch]``."""

    enabled: bool
    url: str
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AwHealth:
    """The last check. Times in µs since 1970 UTC.

    ``degraded``: something answers, but not as ActivityWatch does. ``version`` and ``healthy_at``
    are of the last healthy check, ``since_us`` is when the state began.
    """

    state: State
    reason: str
    version: str | None
    checked_us: int
    healthy_us: int | None
    since_us: int

    def told(self) -> dict[str, object]:
        """As the status and the pulse tell it."""
        return {
            "state": self.state,
            "reason": self.reason or None,
            "version": self.version,
            "checked_at": self.checked_us,
            "healthy_at": self.healthy_us,
            "since": self.since_us,
        }


class _Unexpected(Exception):
    """The server answered with something else."""


def server_of(home: Home) -> ServerSettings | None:
    """The settings of the server, None if its collector isn't installed or not enabled.

    Raises :class:`~lifelog_lake.errors.UsageError` if they are wrong.
    """
    if COLLECTOR not in registry.names():
        return None
    found = registry.settings_of(COLLECTOR, home.settings, home.path / CONFIG_NAME)
    settings = cast(ServerSettings, found)
    return settings if settings.enabled else None


def run(home: Home, clock: Clock) -> AwHealth | None:
    """Check the server of a home, keep and log the result; None if there is none to check.

    The result is durable on return. Takes as long as the server's ``timeout_s`` allows. Raises
    OSError if it can't be kept.
    """
    settings = server_of(home)
    if settings is None:
        return None
    state, reason, version = ask(settings.url, settings.timeout_s)
    now_us, before = clock.wall_us(), read(home)
    same = before is not None and before.state == state
    health = AwHealth(
        state=state,
        reason=reason,
        version=version or (before.version if before else None),
        checked_us=now_us,
        healthy_us=now_us if state == "healthy" else (before.healthy_us if before else None),
        since_us=before.since_us if before is not None and same else now_us,
    )
    fsio.write_atomic(home.run / NAME, orjson.dumps(asdict(health)), at="aw_check")
    log = structlog.get_logger()
    if state != "healthy":
        message = f"ActivityWatch server unhealthy: {reason}"
        log.warning("activitywatch_unhealthy", message=message, state=state)
    elif not same:
        log.info("activitywatch_healthy", version=health.version)
    return health


def read(home: Home) -> AwHealth | None:
    """The last result, None if there never was one (or none that can be used)."""
    try:
        return AwHealth(**orjson.loads((home.run / NAME).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def ask(url: str, timeout_s: float) -> tuple[State, str, str | None]:
    """Ask once: the state, why it isn't healthy (never what was answered), the version."""
    shown = url.replace(f"{urlsplit(url).netloc.rpartition('@')[0]}@", "", 1).rstrip("/")
    try:
        return "healthy", "", _version(_get(url, timeout_s))
    except _Unexpected as error:
        reason = (
            f"{shown} answers with {error}: look whether [collectors.activitywatch] url is "
            "ActivityWatch's, and at its log."
        )
        return "degraded", reason, None
    except TimeoutError:
        reason = f"{shown} doesn't answer in time: look whether ActivityWatch hangs."
        return "unhealthy", reason, None
    except ssl.SSLError:
        return "unhealthy", f"{shown} has a certificate that isn't trusted here.", None
    except (http.client.HTTPException, ValueError):
        return "degraded", f"{shown} answers with what is no HTTP, or breaks off.", None
    except OSError as error:
        what = os.strerror(error.errno) if error.errno and error.errno > 0 else "no such host"
        return "unhealthy", f"No server answers at {shown} ({what}): start ActivityWatch.", None


def _get(url: str, timeout_s: float) -> bytes:
    """The body of ``/api/0/info``: through no proxy, following no redirect."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
    headers = {"Accept": "application/json", "Accept-Encoding": "identity", "Connection": "close"}
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
    try:
        connection.connect()
        with _deadline(connection.sock, WHOLE_ANSWER * timeout_s):
            connection.request("GET", f"{parts.path.rstrip('/')}/api/0/info", headers=headers)
            response = connection.getresponse()
            if response.status != 200:
                raise _Unexpected(f"HTTP {response.status}")
            body = response.read(MAX_ANSWER_BYTES + 1)
    finally:
        connection.close()
    if len(body) > MAX_ANSWER_BYTES:
        raise _Unexpected(f"more than {MAX_ANSWER_BYTES // 1024} KiB")
    if body.lstrip()[:1] == b"<":
        raise _Unexpected("HTML")
    return body


@contextlib.contextmanager
def _deadline(sock: socket.socket, seconds: float) -> Iterator[None]:
    """For a server that sends a byte now and then: each read is in time, the whole never ends."""
    over = threading.Event()

    def end() -> None:
        over.set()
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (http.client.HTTPException, OSError):
        if over.is_set():
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()
    if over.is_set():
        raise TimeoutError


def _version(body: bytes) -> str:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise _Unexpected("what is no JSON") from None
    version = found.get("version") if isinstance(found, dict) else None
    if not isinstance(version, str) or not version:
        raise _Unexpected("JSON that names no version")
    return clean_text(version[:MAX_VERSION])[0]
