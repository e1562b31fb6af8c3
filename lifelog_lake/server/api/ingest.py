"""``ingest/…``: what phones and houses send by themselves, as rows of the stream ``sensor``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import structlog

from lifelog_lake.events import Event, new_event, pulled_id
from lifelog_lake.server.api.entries import repeated
from lifelog_lake.server.api.location import of_overland, of_owntracks
from lifelog_lake.server.api.models import (
    CreateHeaders,
    NewReadings,
    OverlandIn,
    OverlandOut,
    OwnTracksIn,
    ReadingsOut,
)
from lifelog_lake.server.api.operation import Answer, ApiHandler, Body, operation
from lifelog_lake.server.api.repeats import id_of
from lifelog_lake.server.problem import Problem

log = structlog.get_logger(__name__)

_PROBLEMS = (413, 415, 422, 507)


class IngestHandler(ApiHandler):
    """What these routes share."""

    async def append(self, rows: Callable[[], tuple[Sequence[Event], int]], source: str) -> None:
        """Take rows in; durable when it is answered. With them comes how much was unusable."""

        def append() -> None:
            try:
                events, unusable = rows()
            except ValueError as error:
                raise Problem(status=422, detail=f"The place can't be kept: {error}.") from None
            if events:
                self.work.append(events)
            if unusable:
                log.warning("places_left_out", kind=source, count=unusable)
            if events or unusable:
                left_out = {"left_out": unusable} if unusable else {}
                self.audit("ingest", source=source, rows=len(events), **left_out)()

        await self.work.write(append)


class ReadingsHandler(IngestHandler):
    """``ingest/readings``."""

    @operation(
        "ingestReadings", "Write measured values: a thermometer's, a house's.",
        scopes=("write", "ingest"), headers=CreateHeaders,
        body=Body(
            doc="All of them, or none.", schema=NewReadings,
            examples={"room": {"readings": [
                {"name": "temperature", "value": 21.5, "unit": "Cel", "labels": {"room": "study"}}
            ]}},
        ),
        answers={201: Answer(doc="They are kept.", schema=ReadingsOut)},
        problems=(409, *_PROBLEMS),
    )  # fmt: skip
    async def post(self) -> None:
        """Rows of the stream ``sensor``."""
        key = self.said_in_head(CreateHeaders).key
        asked = self.parsed(NewReadings, self.json(), "The body").readings
        caller = self.caller.id

        def rows(begun_at: int) -> list[Event]:
            return [
                new_event(
                    "sensor",
                    # Such an id may come twice: the shipper leaves out the second one.
                    id=None
                    if key is None
                    else pulled_id("api", id_of(caller, key, begun_at, number)),
                    at=begun_at if one.at is None else one.at,
                    tz=one.tz,
                    data={
                        "name": one.name,
                        "value": one.value,
                        "unit": one.unit,
                        "labels": [{"key": k, "value": v} for k, v in one.labels.items()],
                    },
                )
                for number, one in enumerate(asked)
            ]

        def write(begun_at: int) -> tuple[int, bytes]:
            events = rows(begun_at)
            self.work.append(events)
            self.audit("ingest", source="readings", rows=len(events))()
            return 201, b'{"rows":%d}' % len(events)

        status, body = await self.work.write(
            repeated, self.work, caller, key, bytes(self._body), write
        )
        self.set_status(status)
        self.set_header("Cache-Control", "no-store")
        self.finish(body)


class OwnTracksHandler(IngestHandler):
    """``ingest/owntracks``."""

    @operation(
        "ingestOwnTracks", "Take what OwnTracks sends (mode HTTP).", scopes=("write", "ingest"),
        body=Body(
            doc="A message of OwnTracks.", schema=OwnTracksIn,
            examples={"location": {
                "_type": "location", "tid": "ph", "tst": 1780252200, "lat": 52.5163,
                "lon": 13.3777, "acc": 12, "alt": 34, "vel": 4, "batt": 87,
            }},
        ),
        answers={200: Answer(
            doc="Nothing, as OwnTracks wants it.", schema={"type": "array", "maxItems": 0}
        )},
        problems=_PROBLEMS,
    )  # fmt: skip
    async def post(self) -> None:
        """Places alone are kept. Set the token as the password of HTTP's Basic scheme."""
        payload = self.json()
        self.parsed(OwnTracksIn, payload, "The message")
        tracker = self.request.headers.get("X-Limit-D", "")
        await self.append(lambda: (of_owntracks(_object(payload), tracker), 0), "owntracks")
        self.answer([])


class OverlandHandler(IngestHandler):
    """``ingest/overland``."""

    @operation(
        "ingestOverland", "Take what Overland sends.", scopes=("write", "ingest"),
        body=Body(
            doc="A batch of GeoJSON features.", schema=OverlandIn,
            examples={"batch": {"locations": [{
                "type": "Feature",
                "geometry": {"type": "Point", "coordinates": [13.3777, 52.5163]},
                "properties": {
                    "timestamp": "2026-05-31T18:30:00Z", "horizontal_accuracy": 12,
                    "altitude": 34, "speed": 1.1, "battery_level": 0.87, "device_id": "phone",
                },
            }]}},
        ),
        answers={200: Answer(doc="Taken; else it comes again.", schema=OverlandOut)},
        problems=_PROBLEMS,
    )  # fmt: skip
    async def post(self) -> None:
        """Places alone are kept. Set the token as Overland's access token."""
        asked = self.parsed(OverlandIn, self.json(), "The batch")
        await self.append(lambda: of_overland(asked.locations), "overland")
        self.answer({"result": "ok"})


def _object(payload: object) -> dict[str, Any]:
    assert isinstance(payload, dict)  # the model has seen to it
    return payload
