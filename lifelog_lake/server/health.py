"""The health of the fleet: what a person sees, what Prometheus takes, and a person's answers.

``GET /lifelog/api/health``: ``{"at", "devices", "storage", "flows", "verified", "troubles",
"alerts"}``, see :mod:`lifelog_lake.server.health_json`.

``GET /lifelog/api/metrics``: the same as metrics, see :mod:`lifelog_lake.server.metrics`.

``POST /lifelog/api/alerts``: ``{"do": "acknowledge", "key"}``, ``{"do": "snooze", "key",
"seconds"}`` or ``{"do": "test"}``. Answer: ``{"alert"}``, the alert as it is now, or for a test
``{"sent", "failed"}``: how many addresses took the message, and a sentence for each that didn't.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from lifelog_lake.clock import US_PER_S, SystemClock
from lifelog_lake.errors import UsageError
from lifelog_lake.home import open_home
from lifelog_lake.server.api.models import AlertBody
from lifelog_lake.server.api.operation import Answer, ApiHandler, Body, operation
from lifelog_lake.server.reading import LakeReader

if TYPE_CHECKING:
    from lifelog_lake.care.facts import Fleet
    from lifelog_lake.care.health.model import Alert
    from lifelog_lake.care.observe import Observer

HEALTH = "lifelog_lake_health"
#: Seconds that the facts are served again: several pages and a scraper ask for the same ones.
FRESH_S = 5.0
LONGEST_SNOOZE_S = 366 * 86_400


class Health:
    """The fleet of the server's lake; every method blocks and belongs in the reader's threads."""

    def __init__(self, reader: LakeReader) -> None:
        self._reader = reader
        self._observer: Observer | None = None
        self._kept: tuple[float, Fleet] | None = None
        self._lock = threading.Lock()

    def fleet(self) -> Fleet:
        """Facts of at most :data:`FRESH_S` ago; who asks meanwhile waits for the same look."""
        from lifelog_lake.care.observe import Observer

        with self._lock:
            if self._observer is None:
                self._observer = Observer(open_home(), self._reader.lake.store)
            if self._kept is None or time.monotonic() - self._kept[0] > FRESH_S:
                fleet = self._observer.fleet()
                self._kept = time.monotonic(), fleet
            return self._kept[1]

    def alerts(self) -> list[Alert]:
        """The alerts that are open, and those that resolved lately."""
        from lifelog_lake.care.health.alerts import alerts

        return alerts(self._reader.lake, open_home())

    def answer(self, asked: object) -> dict[str, object]:
        """Do what a person asks for with an alert; see the module. Raises UsageError."""
        from lifelog_lake.care.health import alerts
        from lifelog_lake.server.health_json import alert_json

        match asked:
            case {"do": "acknowledge", "key": str(key)}:
                return {"alert": alert_json(alerts.acknowledge(open_home(), key))}
            case {"do": "snooze", "key": str(key), "seconds": int(seconds)} if (
                not isinstance(seconds, bool) and 0 < seconds <= LONGEST_SNOOZE_S
            ):
                until = SystemClock().wall_us() + seconds * US_PER_S
                return {"alert": alert_json(alerts.snooze(open_home(), key, until))}
            case {"do": "test"}:
                return self._test()
        raise UsageError(
            "There is nothing that could be done so with an alert.",
            hint='Send {"do": "acknowledge", "key": …}, {"do": "snooze", "key": …, "seconds": …} '
            'or {"do": "test"}.',
        )

    def _test(self) -> dict[str, object]:
        from lifelog_lake.care.health.notify import try_addresses

        tried = try_addresses(open_home())
        failed = [f"{one.shown}: {one.error}" for one in tried if one.error]
        return {"sent": len(tried) - len(failed), "failed": failed}


class HealthHandler(ApiHandler):
    """Serves the fleet; GET."""

    @operation(
        "getHealth", "How the fleet is: devices, storage, flows, alerts.", scopes=("read",),
        answers={200: Answer(doc="Facts and alerts.", schema={"type": "object"})},
        problems=(503,),
    )  # fmt: skip
    async def get(self) -> None:
        """What the page of health shows, see docs/health.md."""
        from lifelog_lake.server.health_json import health_json

        def body() -> dict[str, object]:
            health: Health = self.settings[HEALTH]
            return health_json(health.fleet(), health.alerts())

        answer = await self.reader.run(body)
        self.answer(answer)


class MetricsHandler(ApiHandler):
    """Serves the fleet, and what this API does, for Prometheus; GET."""

    @operation(
        "getMetrics", "The same as metrics, with the API's own.", scopes=("read",),
        answers={200: Answer(
            doc="Prometheus' text, or OpenMetrics' for who asks for it.",
            schema={"type": "string"}, media=("text/plain", "application/openmetrics-text"),
        )},
        problems=(503,),
    )  # fmt: skip
    async def get(self) -> None:
        """For a scraper with a token, see docs/health.md."""
        from lifelog_lake.server.metrics import exposition

        accept = self.request.headers.get("Accept", "")

        def text() -> tuple[str, bytes]:
            health: Health = self.settings[HEALTH]
            return exposition(health.fleet(), health.alerts(), accept)

        kind, body = await self.reader.run(text)
        self.set_header("Cache-Control", "no-store")
        self.finish(body, set_content_type=kind)


class AlertsHandler(ApiHandler):
    """Takes a person's answer to an alert; POST."""

    @operation(
        "answerAlert", "Acknowledge or snooze an alert, or send a test message.",
        scopes=("write",), body=Body(doc="What to do.", schema=AlertBody),
        answers={200: Answer(doc="The alert as it is now, or what was sent.",
                             schema={"type": "object"})},
        problems=(413, 415, 422, 503),
    )  # fmt: skip
    async def post(self) -> None:
        """A snooze ends after ``seconds``."""
        given = self.parsed(AlertBody, self.json(), "The body")
        asked = given.model_dump(exclude_unset=True)
        health: Health = self.settings[HEALTH]
        self.answer(await self.reader.run(health.answer, asked))
