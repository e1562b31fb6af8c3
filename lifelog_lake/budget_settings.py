"""Settings of what collectors and the device may use."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lifelog_lake.section import Section

Percent = Annotated[float, Field(ge=0)]
Bytes = Annotated[int, Field(ge=0)]
GIB = 2**30


class BudgetSettings(Section):
    """What may be used; 0 = as much as there is (docs/budgets.md)."""

    cpu_percent: Percent = Field(
        100.0, description="Of one core, that one collector may take on average of a minute."
    )
    cpu_percent_by_collector: dict[str, Percent] = Field(
        default_factory=dict, description="The same for single ones, e.g. {screen = 20}."
    )
    memory_bytes: Bytes = Field(GIB, description="Resident, that one collector may take.")
    memory_bytes_by_collector: dict[str, Bytes] = Field(
        default_factory=dict, description="The same for single ones."
    )
    device_cpu_percent: Percent = Field(
        0.0, description="Of one core, that all collectors and the shipper may take together."
    )
    battery_level: int = Field(
        1, ge=0, le=3, description="Step of the ladder that is kept to on battery; 0 = none."
    )
    upload_bytes_per_s: Bytes = Field(0, description="Content and rows on their way to a server.")
    upload_bytes_per_hour: Bytes = Field(
        0, description="The same of an hour; pulses, lifecycle and journal go on."
    )
    upload_bytes_per_day: Bytes = Field(0, description="The same of a day.")
    on_metered: Literal["ship", "first"] = Field(
        "ship",
        description="On a metered network (as NetworkManager tells): first = only pulses, "
        "lifecycle and journal.",
    )

    def most_uploaded(self, span: str) -> int:
        """Bytes that may be uploaded in an ``hour`` or a ``day``; 0 = any."""
        return {"hour": self.upload_bytes_per_hour, "day": self.upload_bytes_per_day}[span]

    def cpu_share(self, collector: str) -> float | None:
        """Processor seconds a second that a collector may take; None = any."""
        percent = self.cpu_percent_by_collector.get(collector, self.cpu_percent)
        return percent / 100 or None

    def most_memory(self, collector: str) -> int | None:
        """Resident bytes that a collector may take; None = any."""
        return self.memory_bytes_by_collector.get(collector, self.memory_bytes) or None
