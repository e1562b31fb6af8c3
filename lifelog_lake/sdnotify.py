"""Tells systemd how this service is: a datagram a message, as sd_notify(3) writes it down.

A few lines of our own: the libraries for it on PyPI are as small and have had no release for years.
Without a ``NOTIFY_SOCKET`` (a terminal, another platform) nothing is said.
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping

import structlog

from lifelog_lake.clock import US_PER_S


class Notifier:
    """The line to the service manager.

    It takes its variables out of the environment, so that children don't speak in our name.
    """

    def __init__(self, environ: MutableMapping[str, str] | None = None) -> None:
        variables = os.environ if environ is None else environ
        self._address = variables.pop("NOTIFY_SOCKET", "")
        micros, pid = variables.pop("WATCHDOG_USEC", ""), variables.pop("WATCHDOG_PID", "")
        #: A WATCHDOG=1 is due this often, half of the limit; None = the manager expects none.
        self.every_s: float | None = None
        if self._address and micros.isdigit() and pid in ("", str(os.getpid())):
            self.every_s = int(micros) / US_PER_S / 2
        self._trouble = ""

    @property
    def heard(self) -> bool:
        """Whether anybody listens."""
        return bool(self._address)

    def say(self, **fields: str | int) -> bool:
        """Send fields such as ``READY=1``; whether they were taken. Never waits."""
        if not self._address:
            return False
        lines = (f"{name}={str(value).replace(chr(10), ' ')}" for name, value in fields.items())
        # "@" stands for the zero byte of Linux's abstract names.
        address = self._address
        if address.startswith("@"):
            address = "\0" + address[1:]
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
                line.setblocking(False)
                line.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            if self._trouble != str(error):  # once: it is tried with each beat
                self._trouble = str(error)
                structlog.get_logger(__name__).warning("service_manager_deaf", error=error)
            return False
        return True
