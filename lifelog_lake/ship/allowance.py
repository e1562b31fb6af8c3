"""What may be uploaded: bytes a second, an hour, a day, and on a metered network.

A second's worth is waited for piece by piece, so the rate holds within a content of any size. When
an hour's or a day's is used up, only the streams that ship first go on; the rest waits in the
spool. What was used outlives a restart (``run/uploads.json``; no data, so it isn't synced).
"""

from __future__ import annotations

import shutil
import subprocess
import threading
from pathlib import Path

import structlog

from lifelog_lake import uploaded
from lifelog_lake.budget_settings import BudgetSettings
from lifelog_lake.clock import Clock, iso
from lifelog_lake.uploaded import LENGTHS_US

#: How long what NetworkManager said holds.
METERED_S = 60.0
#: Most that may be saved up, seconds' worth.
SAVED_S = 0.5


class Held(Exception):
    """Nothing more may be uploaded now; the text says why and until when."""


class Allowance:
    """Counts and slows uploads. One a shipper; ``spend`` may be called in any thread."""

    def __init__(self, settings: BudgetSettings, clock: Clock, run: Path) -> None:
        self._settings = settings
        self._clock = clock
        self._run = run
        self._lock = threading.Lock()
        self._used = uploaded.read(run)
        self._ready_s = clock.monotonic_s()
        self._metered: tuple[float, bool] = (float("-inf"), False)

    def spend(self, count: int) -> None:
        """Before so many bytes go out: count them, and wait until the rate allows them."""
        with self._lock:
            self._used = uploaded.add(self._used, count, self._clock.wall_us())
            rate = self._settings.upload_bytes_per_s
            if not rate:
                return
            now_s = self._clock.monotonic_s()
            self._ready_s = max(self._ready_s, now_s - SAVED_S) + count / rate
            wait_s = self._ready_s - now_s
        if wait_s > 0:
            self._clock.sleep(wait_s)

    def require(self) -> None:
        """Raise :class:`Held` if nothing but what ships first may go out now."""
        for name, (began, used) in uploaded.add(self._used, 0, self._clock.wall_us()).items():
            most = self._settings.most_uploaded(name)
            if most and used >= most:
                raise Held(
                    f"{used} bytes were uploaded this {name}, the budget is {most}: "
                    f"it goes on at {iso(began + LENGTHS_US[name])}."
                )
        if self._settings.on_metered == "first" and self._on_metered():
            raise Held("The network is metered: only pulses, lifecycle and journal are shipped.")

    def keep(self) -> None:
        """Remember what was used."""
        try:
            uploaded.write(self._run, self._used)
        except OSError as error:  # a full disk: it is counted on here
            structlog.get_logger().warning("uploads_not_kept", reason=error.strerror)

    def _on_metered(self) -> bool:
        looked_s, metered = self._metered
        now_s = self._clock.monotonic_s()
        if now_s - looked_s >= METERED_S:
            metered = is_metered()
            self._metered = now_s, metered
        return metered


def is_metered() -> bool:
    """Whether NetworkManager takes a connected network for metered; False where it isn't there."""
    program = shutil.which("nmcli")
    if program is None:
        return False
    command = [program, "--terse", "--get-values", "GENERAL.METERED", "device", "show"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False  # the system doesn't tell: shipping goes on
    return any(line.startswith("yes") for line in said.stdout.splitlines())
