"""Prefect's server in a thread of this process: one Python with Prefect instead of two.

Whoever reaches the port must have the secret, for pages and websockets too: on loopback every
user of the machine does.
"""

from __future__ import annotations

import base64
import hmac
import os
import re
import shutil
import socket
import tempfile
import threading
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import uvicorn

from flows.surroundings import HOST, USER
from lifelog_lake import fsio

#: In ``run/`` of the home: where the server is and what opens it, for the hub's pages alone.
ADDRESS = "flows.json"
_KEY = re.compile(rb"return([`\"'])[0-9a-f]{32}\1")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def bind() -> list[socket.socket]:
    """A free loopback port for Prefect's clients, and a private unix socket for the hub's page.

    Prefect's clients know no unix sockets. The page doesn't use the port: ``localhost`` is ``::1``
    too, where another user may listen. Where there are no unix sockets, the port is all there is.
    """
    held = socket.socket()
    held.bind((HOST, 0))
    if not hasattr(socket, "AF_UNIX"):
        return [held]
    # Not below the home: a socket's path may have about a hundred bytes only.
    path = Path(tempfile.mkdtemp(prefix="lifelog-")) / "flows"
    private = socket.socket(socket.AF_UNIX)
    private.bind(str(path))
    path.chmod(0o600)
    return [held, private]


def forget(run: Path) -> None:
    """Remove what a life that was killed said of itself, and its socket."""
    address = run / ADDRESS
    try:
        path = orjson.loads(address.read_bytes())["socket"]
    except FileNotFoundError:
        return
    except (orjson.JSONDecodeError, KeyError, TypeError):
        path = None
    if path:
        with suppress(OSError):  # cleared away by the system
            Path(path).unlink()
            Path(path).parent.rmdir()
    address.unlink(missing_ok=True)


def guarded(app: App, secret: str) -> App:
    """Answer nobody who doesn't bring the secret, whatever he asks for."""
    wanted = b"Basic " + base64.b64encode(f"{USER}:{secret}".encode())

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"authorization", b"")
        if hmac.compare_digest(given, wanted):
            await app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            headers = [(b"content-type", b"text/plain"), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 401, "headers": headers})
            await send({"type": "http.response.body", "body": b""})

    return guard


def silence(page: Path) -> None:
    """Take the key of its telemetry out of Prefect's page (our copy of it); idempotent.

    Without a key the page doesn't begin with it. With one it asks a host elsewhere for settings
    before it looks whether the server has telemetry off (the hub's policy refuses that too).
    """
    for script in page.rglob("*.js"):
        content = script.read_bytes()
        if b"amplitude.com" in content and (found := _KEY.search(content)):
            script.write_bytes(content[: found.start()] + b'return""' + content[found.end() :])


class Server:
    """The server and its thread."""

    def __init__(self, held: Sequence[socket.socket], secret: str, page: Path) -> None:
        from prefect.server.api.server import create_app

        app = guarded(create_app(final=True), secret)  # which makes the copy of the page
        silence(page)
        config = uvicorn.Config(
            app, lifespan="on", log_config=None, access_log=False, timeout_graceful_shutdown=1
        )
        self._port = held[0].getsockname()[1]
        self._socket = held[1].getsockname() if len(held) > 1 else None
        self._secret = secret
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": list(held)}, name="server", daemon=True
        )

    def start(self) -> None:
        """Begin; ``ready`` says when it answers."""
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether it answers."""
        return self._server.started

    @property
    def ended(self) -> bool:
        """Whether it doesn't run any more (its reason is in the log)."""
        return not self._thread.is_alive()

    def stop(self, within_s: float) -> None:
        """Ask it to end and wait a moment."""
        self._server.should_exit = True
        self._thread.join(within_s)
        if self._socket is not None:
            shutil.rmtree(Path(self._socket).parent, ignore_errors=True)

    def tell(self, run: Path) -> None:
        """Say where it is, to who may read this home."""
        content = {
            "port": self._port,
            "socket": self._socket,
            "user": USER,
            "secret": self._secret,
            "pid": os.getpid(),
        }
        fsio.write_atomic(run / ADDRESS, orjson.dumps(content), at="flows")
