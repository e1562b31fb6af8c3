"""What a person must still be told: ``HOME/alerts/outbox.json``, replaced whole.

The outbox follows the alerts' rows. Which rows it has taken in and what waits for each address are
one file, so whatever dies in between, each row waits for its addresses exactly once. Before a
message is sent the outbox notes which lines it has, and after it that they are gone: who is killed
between the two sends that very message again, under the same id, and no other. No address lies
here, only a hash of it.

All that waits for an address goes into one message. One that can't be sent is tried again after
``[alerts] retry_after_s``, doubled each time up to ``retry_most_s``, for as long as it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import orjson
import structlog

from lifelog_lake import fsio
from lifelog_lake.alert_settings import AlertsSettings
from lifelog_lake.care.health.addresses import Address, Routes
from lifelog_lake.care.health.alerts import RECENT_US, Row, directory_of
from lifelog_lake.care.health.model import SEVERITIES, Finding, Severity
from lifelog_lake.care.health.notify import Line, Message, compose
from lifelog_lake.clock import US_PER_S, Clock, utc
from lifelog_lake.events import new_id
from lifelog_lake.home import Home
from lifelog_lake.locks import FileLock

NAME = "outbox.json"
#: So often in a row it must fail before it is a finding.
MANY = 3
#: Beyond so many lines for one address only the newest of each alert are kept.
MOST_LINES = 500

Send = Callable[[Address, Message, float], str]


@dataclass(slots=True, kw_only=True)
class Queue:
    """What waits for one address. Times in µs since 1970 UTC.

    ``attempt`` and ``ids`` are the message that is, or was, on its way and its lines.
    """

    shown: str
    lines: list[Line] = field(default_factory=list)
    attempt: str = ""
    ids: list[str] = field(default_factory=list)
    failures: int = 0
    failing_since: int | None = None
    next_at: int = 0
    error: str = ""


class Outbox:
    """The outbox of a home, with the lock under which it is read, sent and written."""

    def __init__(self, home: Home, clock: Clock) -> None:
        self._home = home
        self._clock = clock
        self._settings: AlertsSettings = home.settings.alerts
        self._path = directory_of(home) / NAME
        self.queues: dict[str, Queue] = {}
        self._told: dict[str, int] = {}
        self._broken = self._path.with_suffix(".broken")

    def __enter__(self) -> Self:
        self._lock = FileLock(directory_of(self._home) / "outbox.lock")
        self._lock.__enter__()
        try:
            self._read()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._lock.__exit__(None, None, None)
        self._lock.close()

    def begin(self, rows: Iterable[Row]) -> None:
        """At the very first: what was before isn't told. Durable; later calls do nothing."""
        if not self._path.exists():
            self._told = {row.id: row.at for row in rows}
            self._write()

    def take_in(self, rows: Sequence[Row], routes: Routes) -> int:
        """Put the changes that this home wrote into the queues of who is to hear of them; durable.

        Returns the lines that are new.
        """
        now_us = self._clock.wall_us()
        heard: dict[str, set[Severity]] = {}
        fresh = 0
        told = dict(self._told)
        for row in rows:
            if row.state not in ("open", "resolved"):
                continue
            severities = heard.setdefault(row.key, set())
            severities.add(row.severity)
            if row.recorder == self._home.device and row.id not in told:
                told[row.id] = row.at
                if row.at >= now_us - RECENT_US:
                    for address in routes.of(severities):
                        self._queue(address).lines.append(_line(row))
                        fresh += 1
            if row.state == "resolved":
                heard.pop(row.key)
        forgotten = self._forget(routes)
        if told != self._told or forgotten:
            kept_us = now_us - 4 * RECENT_US
            self._told = {row: at for row, at in told.items() if at >= kept_us}
            for queue in self.queues.values():
                queue.lines = _fewer(queue.lines)
            self._write()
        return fresh

    def deliver(self, routes: Routes, send: Send) -> int:
        """Send what may be sent now; how many messages went out."""
        sent = 0
        for address in routes.addresses:
            queue = self.queues.get(address.id)
            if queue is None or self._clock.wall_us() < queue.next_at:
                continue
            lines = self._due(queue)
            if not lines:
                continue
            if not queue.attempt:
                queue.attempt, queue.ids = new_id(), [line.id for line in lines]
                self._write()
            error = send(address, compose(queue.attempt, lines), self._settings.timeout_s)
            self._note(queue, error)
            self._write()
            sent += not error
            log = structlog.get_logger(__name__)
            if error:
                log.warning("alert_not_sent", target=queue.shown, rows=len(lines))
            else:
                log.info("alert_sent", target=queue.shown, rows=len(lines))
        return sent

    def findings(self) -> list[Finding]:
        """Addresses that take nothing, and an outbox that had to be put aside."""
        lost = Finding(
            rule="delivery",
            severity="warning",
            subject=NAME,
            says=f"{self._path} couldn't be read: what waited in it was not sent.",
            hint=f"See what is open (lifelog alerts list), then remove {self._broken}.",
        )
        return [*([lost] if self._broken.exists() else []), *self._undelivered()]

    def _undelivered(self) -> list[Finding]:
        return [
            Finding(
                rule="delivery",
                severity="warning",
                subject=queue.shown,
                says=f"Alerts can't be sent to {queue.shown}: {queue.error}",
                hint="It is tried again and nothing is lost. Try it: lifelog alerts test",
                since=queue.failing_since,
            )
            for queue in self.queues.values()
            if queue.failures >= MANY and queue.lines
        ]

    def _due(self, queue: Queue) -> list[Line]:
        """The lines of the next message: those of one that was cut off, else all that may go."""
        if queue.attempt and (cut := [line for line in queue.lines if line.id in set(queue.ids)]):
            return cut
        queue.attempt, queue.ids = "", []
        local = utc(self._clock.wall_us()).astimezone()
        if not self._settings.is_quiet(local.hour * 60 + local.minute):
            return list(queue.lines)
        least = SEVERITIES.index(self._settings.quiet_except)
        return [line for line in queue.lines if SEVERITIES.index(line.severity) >= least]

    def _note(self, queue: Queue, error: str) -> None:
        now_us = self._clock.wall_us()
        if error:
            settings = self._settings
            # The doubling stops long before the number overflows.
            wait_s = min(
                settings.retry_after_s * 2 ** min(queue.failures, 30), settings.retry_most_s
            )
            queue.failures += 1
            queue.failing_since = queue.failing_since or now_us
            queue.next_at = now_us + int(wait_s * US_PER_S)
            queue.error = error
        else:
            gone = set(queue.ids)
            queue.lines = [line for line in queue.lines if line.id not in gone]
            queue.failures, queue.failing_since, queue.next_at, queue.error = 0, None, 0, ""
        queue.attempt, queue.ids = "", []

    def _queue(self, address: Address) -> Queue:
        return self.queues.setdefault(address.id, Queue(shown=address.shown))

    def _forget(self, routes: Routes) -> bool:
        """Leave addresses behind that the person took away, with what waited for them."""
        gone = self.queues.keys() - {address.id for address in routes.addresses}
        for id_ in gone:
            structlog.get_logger(__name__).warning(
                "alerts_left_out", target=self.queues.pop(id_).shown
            )
        return bool(gone)

    def _read(self) -> None:
        try:
            content = orjson.loads(self._path.read_bytes())
            self._told = {str(key): int(at) for key, at in content["told"].items()}
            self.queues = {str(key): _queue_of(one) for key, one in content["queues"].items()}
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self.queues, self._told = {}, {}
            self._path.replace(self._broken)
            structlog.get_logger(__name__).error(
                "outbox_put_aside", path=str(self._broken), reason=type(error).__name__
            )

    def _write(self) -> None:
        queues = {key: asdict(queue) for key, queue in self.queues.items()}
        content = {"told": self._told, "queues": queues}
        fsio.write_atomic(self._path, orjson.dumps(content), at="outbox")


def _queue_of(fields: Mapping[str, Any]) -> Queue:
    return Queue(**{**fields, "lines": [Line(**line) for line in fields["lines"]]})


def _line(row: Row) -> Line:
    return Line(
        id=row.id, key=row.key, at=row.at, state=row.state, severity=row.severity,
        says=row.message, hint=row.hint, since=row.since,
    )  # fmt: skip


def _fewer(lines: list[Line]) -> list[Line]:
    if len(lines) <= MOST_LINES:
        return lines
    return list({line.key: line for line in lines}.values())
