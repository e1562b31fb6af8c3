"""Settings of the health checks: on a device, and on the hub that looks over all of them."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import Field, field_validator

from lifelog_lake.section import Section

Minutes = Annotated[float, Field(ge=0)]


class HealthSettings(Section):
    """What is watched, and how soon something counts as wrong (docs/health.md)."""

    every_s: float = Field(
        60.0, ge=1, description="Seconds between two runs of the health rules, on the hub."
    )
    activitywatch_every_s: float = Field(
        900.0, ge=0, description="Seconds between two checks of the ActivityWatch server; 0 = none."
    )
    stale_after_minutes: Minutes = Field(
        10.0,
        description="A collector that lives but whose newest event is older is started again; "
        "0 = never.",
    )
    stale_after_minutes_by_stream: dict[str, Minutes] = Field(
        default_factory=dict,
        description="The same for single streams, e.g. {screen = 2}; web is 0 unless named here: "
        "a browser may be closed.",
    )
    listen: str = Field(
        "127.0.0.1:8770",
        description="Where this device serves /healthz and /metrics, on loopback only; "
        "empty = nowhere.",
    )
    care_grace_s: float = Field(
        300.0,
        ge=0,
        description="The hub's care counts as stopped when three of its runs and so many seconds "
        "have passed without one.",
    )
    desktop_notice: bool = Field(
        True, description="Whether this device shows a notice when the hub's care has stopped."
    )

    @field_validator("stale_after_minutes_by_stream")
    @classmethod
    def _are_streams(cls, value: dict[str, float]) -> dict[str, float]:
        from lifelog_lake.events import STREAMS

        if unknown := sorted(set(value) - set(STREAMS)):
            raise ValueError(
                f"there is no stream '{unknown[0]}'; the streams are {', '.join(STREAMS)}"
            )
        return value

    @field_validator("listen")
    @classmethod
    def _is_loopback(cls, value: str) -> str:
        if not value.strip():
            return ""
        host, colon, port = value.strip().rpartition(":")
        if not colon or not port.isdecimal() or not 0 <= int(port) <= 65535:
            raise ValueError("it must be an address and a port, such as 127.0.0.1:8770")
        try:
            loopback = ipaddress.ip_address(host.strip("[]")).is_loopback
        except ValueError:
            loopback = host == "localhost"
        if not loopback:
            raise ValueError(
                f"{host or 'every address'} can be reached from elsewhere, and these pages have no "
                "login: use 127.0.0.1, or let a proxy on this machine ask it"
            )
        return value.strip()

    @property
    def address(self) -> tuple[str, int] | None:
        """Where to listen, None for nowhere."""
        if not self.listen:
            return None
        host, _, port = self.listen.rpartition(":")
        return "127.0.0.1" if host == "localhost" else host.strip("[]"), int(port)

    def stale_after_s(self, stream: str) -> float | None:
        """How old the newest event of a stream may be, None = any age."""
        default = 0.0 if stream == "web" else self.stale_after_minutes
        return self.stale_after_minutes_by_stream.get(stream, default) * 60 or None
