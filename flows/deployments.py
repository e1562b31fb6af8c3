"""The flows' schedules, as settings say them and as Prefect keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule

from flows.care import FLOWS
from flows.jobs import settings_of
from lifelog_lake import __version__
from lifelog_lake.errors import UsageError
from lifelog_lake.flow_settings import FlowSettings
from lifelog_lake.home import Home

#: Intervals count from here, so that a restart neither delays a run nor adds one.
ANCHOR = datetime(2020, 1, 1, tzinfo=UTC)
#: Flows of the same interval don't start at the same moment.
APART_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """A flow with its schedule on a Prefect server."""

    name: str
    id: UUID
    flow: Any
    settings: FlowSettings


async def register(client: PrefectClient, home: Home, tz: str) -> list[Deployed]:
    """Tell the server of this home's flows; idempotent. Runs that were missed stay due.

    They bear the device's name, so that two hubs at one server don't take each other's runs.
    """
    deployed = []
    for place, (name, flow) in enumerate(FLOWS.items()):
        settings = settings_of(home.settings, name)
        flow_id = await client.create_flow_from_name(name)
        id = await client.create_deployment(  # noqa: A001 - as its field is named
            flow_id=flow_id,
            name=home.device,
            version=__version__,
            description=flow.description,
            entrypoint=f"flows.care.{name}",
            schedules=[
                DeploymentScheduleCreate(
                    schedule=schedule(settings, tz, place), active=settings.enabled
                )
            ],
            paused=False,
            tags=["lifelog"],
            enforce_parameter_schema=False,
        )
        deployed.append(Deployed(name=name, id=id, flow=flow, settings=settings))
    return deployed


def schedule(settings: FlowSettings, tz: str, place: int = 0) -> CronSchedule | IntervalSchedule:
    """A flow's schedule in Prefect's terms; ``place`` tells flows of one interval apart."""
    if settings.cron:
        try:
            return CronSchedule(cron=settings.cron, timezone=tz)
        except ValueError as error:  # our own check lets nothing through that Prefect refuses
            raise UsageError(
                f"Prefect takes no schedule {settings.cron!r}: {error}.", hint="See docs/flows.md."
            ) from None
    interval = timedelta(seconds=settings.every_s)
    apart = timedelta(seconds=place * APART_S % settings.every_s)
    return IntervalSchedule(interval=interval, anchor_date=ANCHOR + apart, timezone="UTC")
