"""The charge of this device's battery, in the stream ``sensor``."""

import psutil
from pydantic import Field

from lifelog_lake.collect.protocol import CollectorSettings, Context
from lifelog_lake.errors import Unavailable
from lifelog_lake.events import new_event


class BatterySettings(CollectorSettings):
    """``[collectors.battery]``."""

    every_s: float = Field(30.0, gt=0, le=3600, description="Seconds between two looks.")
    step_percent: float = Field(1.0, gt=0, description="Least change of charge that gives a row.")


class Battery:
    """A row when the charge has changed, or the cable was put in or taken out."""

    name = "battery"
    streams = ("sensor",)
    Settings = BatterySettings

    def __init__(self, settings: BatterySettings, context: Context) -> None:
        self._settings = settings
        self._context = context
        self._last: tuple[float, bool] | None = None
        self._read()  # no battery is said at the start, and by `lifelog doctor`

    def poll(self) -> None:
        """Look once."""
        percent, plugged = self._read()
        if self._last is None or self._differs(percent, plugged):
            self._last = percent, plugged
            data = {
                "name": "battery",
                "value": percent,
                "unit": "%",
                "labels": [{"key": "plugged", "value": "yes" if plugged else "no"}],
            }
            now_us = self._context.clock.wall_us()
            self._context.append([new_event("sensor", at=now_us, data=data)])
        self._context.observed("sensor")  # looked at with success, with or without a row

    def _differs(self, percent: float, plugged: bool) -> bool:
        assert self._last is not None
        step = abs(percent - self._last[0])
        return plugged != self._last[1] or step >= self._settings.step_percent

    @staticmethod
    def _read() -> tuple[float, bool]:
        look = getattr(psutil, "sensors_battery", None)  # not there on every platform
        battery = look() if look is not None else None
        if battery is None:
            raise Unavailable(
                "This device shows no battery.",
                hint="Put it in, or set [collectors.battery] enabled = false.",
            )
        return round(battery.percent, 1), bool(battery.power_plugged)
