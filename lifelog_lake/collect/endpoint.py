"""``/healthz`` and ``/metrics`` of this device, on loopback, from what the supervisor knows anyway.

There is no login, so nobody else may get there: the address is a loopback one (the settings refuse
others), and a request whose Host names anything else is a web page's that had its name pointed here
(DNS rebinding) and is refused. Nothing here is captured content.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import orjson
import structlog

from lifelog_lake import __version__
from lifelog_lake.clock import Clock
from lifelog_lake.collect.reasons import reasons
from lifelog_lake.spool import StreamStats

#: A supervisor that hasn't come round for so long hangs.
SILENT_S = 30.0
#: How often the server looks whether it should end: each look wakes the processor.
POLL_S = 5.0
#: A client that sends or takes nothing for so long is left.
CLIENT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What the supervisor knew at ``at_s`` (monotonic): its status, how the spool stands (of the
    last pulse), and the bytes that it wrote itself by stream."""

    status: Mapping[str, object]
    stats: Mapping[str, StreamStats] = field(default_factory=dict)
    own_bytes: Mapping[str, int] = field(default_factory=dict)
    at_s: float


class Endpoint:
    """Serves the last snapshot. ``address`` None = it doesn't."""

    def __init__(self, address: tuple[str, int] | None, clock: Clock) -> None:
        self._address = address
        self._clock = clock
        self._server: _Server | None = None
        self._snapshot: Snapshot | None = None
        self._problem = ""

    def open(self) -> None:
        """Begin to listen, if it doesn't yet; a port that is taken is told, and no error."""
        if self._address is None or self._server is not None:
            return
        try:
            self._server = _Server(self._address, self)
        except OSError as error:
            host, port = self._address
            problem = (
                f"/healthz and /metrics aren't served: {host}:{port} can't be had "
                f'({error.strerror}). Set [health] listen to another port, or to "".'
            )
            if problem != self._problem:
                structlog.get_logger().warning("endpoint_not_open", reason=problem)
            self._problem = problem
            return
        self._problem = ""
        threading.Thread(
            target=self._server.serve_forever, args=(POLL_S,), name="endpoint", daemon=True
        ).start()

    def close(self) -> None:
        """Stop listening; nobody waits for it, least of all the end of the supervisor."""
        if self._server is not None:
            threading.Thread(target=self._server.end, name="endpoint-end", daemon=True).start()

    def show(self, snapshot: Snapshot) -> None:
        """Serve this from now on."""
        self._snapshot = snapshot

    def told(self) -> dict[str, object]:
        """Where it listens, and what keeps it from that; as the status tells it."""
        url = None
        if self._server is not None:
            host, port = str(self._server.server_address[0]), self._server.server_address[1]
            url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        return {"url": url, "problem": self._problem or None}

    def health(self) -> tuple[int, dict[str, object]]:
        """The answer of ``/healthz``: 200, or 503 with the reasons."""
        shown = self._snapshot
        if shown is None:
            return 503, {"status": "starting", "reasons": ["The supervisor has just started."]}
        found = list(reasons(shown.status))
        age_s = self._clock.monotonic_s() - shown.at_s
        if age_s > SILENT_S:
            found.insert(0, f"The supervisor hasn't come round for {age_s:.0f} s: it hangs.")
        return 503 if found else 200, {
            "status": "unhealthy" if found else "ok",
            "reasons": found,
            "device": shown.status.get("device"),
            "version": __version__,
            "at": shown.status.get("at"),
        }

    def metrics(self, accept: str) -> tuple[str, bytes]:
        """The answer of ``/metrics``: its type and text."""
        from lifelog_lake.collect.metrics import exposition

        return exposition(self._snapshot, accept)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    #: On Windows that would let another program take the same port.
    allow_reuse_address = os.name == "posix"

    def __init__(self, address: tuple[str, int], endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """As the parent's, without its look-up of the host's name."""
        self.socket.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, int(self.allow_reuse_address)
        )
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def end(self) -> None:
        """Answer no more; takes up to :data:`POLL_S`."""
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no error of ours, all else is."""
        del request, client_address
        gone = isinstance(sys.exception(), OSError)
        log = structlog.get_logger()
        (log.debug if gone else log.error)("endpoint_request_failed", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = CLIENT_S
    server_version = "lifelog"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer, if the request is for this machine."""
        if not _is_local(self.headers.get("Host", "")):
            self._send(421, "application/json", _json({"error": "This is for this machine only."}))
            return
        path = urlsplit(self.path).path
        if path == "/healthz":
            code, body = self.server.endpoint.health()
            self._send(code, "application/json", _json(body))
        elif path == "/metrics":
            kind, text = self.server.endpoint.metrics(self.headers.get("Accept", ""))
            self._send(200, kind, text)
        else:
            self._send(404, "application/json", _json({"error": "Try /healthz or /metrics."}))

    do_HEAD = do_GET  # noqa: N815 - the library's name

    def _send(self, code: int, kind: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Requests aren't logged."""


def _is_local(host: str) -> bool:
    """Whether a Host header names this machine by a loopback address or as localhost."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _json(value: object) -> bytes:
    return orjson.dumps(value) + b"\n"
