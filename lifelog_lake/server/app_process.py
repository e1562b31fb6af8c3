"""The process behind the pages: a standalone Voila that only this server can reach.

It listens on a 0600 unix socket in a private directory, or, where there are no unix sockets, on a
loopback port; either way it answers only requests that carry a secret of this life (see
:mod:`lifelog_lake.server.voila_app`). Started with the server, so that its kernels are warm when
the first page comes, and started again whenever it ends.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import socket
import sys
import tempfile
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

HEADER = "X-Lifelog-App-Secret"
ENV_SECRET = "LIFELOG_APP_SECRET"  # noqa: S105 - the name of a variable
ENV_SOCKET = "LIFELOG_APP_SOCKET"
ENV_PORT = "LIFELOG_APP_PORT"
ENV_BASE_URL = "LIFELOG_APP_BASE_URL"

READY_S = 60.0
POLL_S = 0.05
STOP_S = 3.0
BACKOFF_S = (0.2, 1.0, 2.0, 5.0, 15.0, 30.0)
#: A life longer than this begins the backoff anew.
STEADY_S = 60.0


class AppProcess:
    """Starts, awaits, restarts and stops the dashboards' Voila."""

    def __init__(self, *, base_url: str) -> None:
        self.base_url = base_url
        self.secret = secrets.token_urlsafe(32)
        self.socket: str | None = None
        self.port = 0
        self._directory: str | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._ready = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Choose the address and start keeping the process alive. Needs a running loop."""
        if self._keeper is not None:
            return
        if hasattr(socket, "AF_UNIX") and sys.platform != "win32":
            # Not below the home: a socket's path may have about a hundred bytes only.
            self._directory = tempfile.mkdtemp(prefix="lifelog-")
            self.socket = str(Path(self._directory) / "app")
        else:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
        self._keeper = asyncio.get_running_loop().create_task(self._keep())

    async def ready(self) -> bool:
        """Wait until it listens; False if it doesn't within :data:`READY_S`."""
        try:
            await asyncio.wait_for(self._ready.wait(), READY_S)
        except TimeoutError:
            return False
        return True

    async def stop(self) -> None:
        """End it and its kernels; idempotent."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        await self._end()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            began_s = loop.time()
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "lifelog_lake.server.voila_app", env=self._environment()
            )
            watch = loop.create_task(self._watch_ready())
            try:
                code = await self._process.wait()
            finally:
                watch.cancel()
                self._ready.clear()
            failures = 0 if loop.time() - began_s > STEADY_S else failures + 1
            pause_s = BACKOFF_S[min(failures, len(BACKOFF_S) - 1)]
            log.warning("pages_process_ended", code=code, again_s=pause_s)
            await asyncio.sleep(pause_s)

    async def _watch_ready(self) -> None:
        while not await self._listens():  # noqa: ASYNC110 - no event crosses processes
            await asyncio.sleep(POLL_S)
        self._ready.set()

    async def _listens(self) -> bool:
        try:
            if self.socket is not None:
                _, writer = await asyncio.open_unix_connection(self.socket)
            else:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            ENV_SECRET: self.secret,
            ENV_SOCKET: self.socket or "",
            ENV_PORT: str(self.port),
            ENV_BASE_URL: self.base_url,
        }

    async def _end(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()
