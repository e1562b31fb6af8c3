"""Alerts open, persist and resolve: one row of the stream ``alert`` a change, and nothing else.

An alert *is* its rows, those in the lake and those of this home that aren't shipped yet; its state
is that of the newest. ``HOME/alerts/known.json`` is a copy of them for a time without the lake,
and ``seen.json`` says when each finding was last seen: both may be deleted at any time.

A finding that comes and goes doesn't flap. It opens at once, and resolves after it wasn't seen for
``[alerts] resolve_after_s``, doubled for each time that it opened in the last six hours before.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, cast

import orjson
import polars as pl

from lifelog_lake import fsio
from lifelog_lake.care.health.model import SEVERITIES, Alert, Finding, Severity, State
from lifelog_lake.clock import US_PER_S, Clock, SystemClock, utc
from lifelog_lake.collect.recorder import record
from lifelog_lake.errors import LakeUnreachable, UsageError
from lifelog_lake.events import Event
from lifelog_lake.home import Home
from lifelog_lake.lake.identity import require_known
from lifelog_lake.lake.store import Store
from lifelog_lake.lake.target import parse_url
from lifelog_lake.locks import FileLock
from lifelog_lake.recall.lake import Lake
from lifelog_lake.recall.pending import pending

STREAM = "alert"
HOUR_US = 3600 * US_PER_S
DAY_US = 24 * HOUR_US
#: An alert without a row for so long is forgotten, and opens anew if it is still found.
REACH_US = 400 * DAY_US
#: How long a resolved one is shown, and its openings count.
RECENT_US = 7 * DAY_US
FLAPPING_US = 6 * HOUR_US
#: The longest that a finding must stay away before its alert resolves.
MOST_QUIET_S = 4 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One change of an alert, as the stream has it. Times in µs since 1970 UTC."""

    id: str
    recorder: str
    at: int
    key: str
    rule: str
    subject: str
    about_device: str
    about_stream: str
    state: State
    severity: Severity
    message: str
    hint: str
    since: int | None = None
    until: int | None = None


def alerts(lake: Lake, home: Home | None = None, *, now_us: int | None = None) -> list[Alert]:
    """The open alerts, and those that resolved in the last seven days; the newest change first.

    With ``home`` its own rows count that aren't in the lake yet.
    """
    waiting = [] if home is None else _own(home)
    now_us = SystemClock().wall_us() if now_us is None else now_us
    return standing([*waiting, *_shipped(lake, now_us)], now_us)


def standing(rows: Iterable[Row], now_us: int) -> list[Alert]:
    """What rows amount to; see :func:`alerts`. A snooze that is over counts as open."""
    found = []
    for several in _by_key(rows).values():
        newest = several[-1]
        opened = next((row for row in reversed(_openings(several))), newest)
        state = newest.state
        if state == "snoozed" and newest.until is not None and newest.until <= now_us:
            state = "open"
        if state == "resolved" and newest.at < now_us - RECENT_US:
            continue
        found.append(
            Alert(
                key=newest.key,
                rule=newest.rule,
                device=newest.about_device,
                stream=newest.about_stream,
                subject=newest.subject,
                severity=newest.severity,
                state=state,
                says=newest.message,
                hint=newest.hint,
                since=newest.since,
                opened_at=opened.at,
                changed_at=newest.at,
                until=newest.until if state == "snoozed" else None,
            )
        )
    return sorted(found, key=lambda alert: (-alert.changed_at, alert.key))


def acknowledge(home: Home, key: str, clock: Clock | None = None) -> Alert:
    """A person has seen it: no more messages until it is worse, or has come again. Durable.

    Returns the alert as it is now. Acknowledging twice writes one row. Raises
    :class:`UsageError` if there is no such open alert, and what the spool raises.
    """
    return _by_person(home, key, "acknowledged", None, clock or SystemClock())


def snooze(home: Home, key: str, until: int, clock: Clock | None = None) -> Alert:
    """No messages of it until then (µs since 1970 UTC); if it is still found, it opens again.

    Durable. Raises as :func:`acknowledge` does, and :class:`UsageError` for a time that has passed.
    """
    clock = clock or SystemClock()
    if until <= clock.wall_us():
        raise UsageError("The snooze would be over already.", hint="Name a time to come.")
    return _by_person(home, key, "snoozed", until, clock)


def _by_person(home: Home, key: str, state: State, until: int | None, clock: Clock) -> Alert:
    with Book(home, clock) as book:
        found = {alert.key: alert for alert in book.alerts() if alert.is_open}
        if key not in found:
            raise UsageError(
                f"There is no open alert '{key}'.", hint="`lifelog alerts list` shows them."
            )
        alert = found[key]
        if (alert.state, alert.until) != (state, until):
            book.write([_after(alert, state, until=until)])
        return next(alert for alert in book.alerts() if alert.key == key)


class Book:
    """The alerts of a home for a while, with the lock under which they change."""

    def __init__(self, home: Home, clock: Clock, store: Store | None = None) -> None:
        self._home = home
        self._clock = clock
        self._store = store
        self._rows: dict[str, Row] = {}
        #: Why the lake couldn't be read, and the rows are those of the last time.
        self.away: LakeUnreachable | None = None

    def __enter__(self) -> Self:
        directory = directory_of(self._home)
        self._lock = FileLock(directory / "lock")
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

    def alerts(self) -> list[Alert]:
        """As :func:`alerts`, of now."""
        return standing(self._rows.values(), self._clock.wall_us())

    @property
    def rows(self) -> list[Row]:
        """All rows that count, oldest first."""
        return sorted(self._rows.values(), key=_order)

    def write(self, changes: Sequence[Mapping[str, object]]) -> list[Row]:
        """Write a row a change; durable on return."""
        written = [
            _of_event(event, self._home.device)
            for event in record(self._home, self._clock, STREAM, changes)
        ]
        self._rows.update({row.id: row for row in written})
        return written

    def settle(
        self, findings: Sequence[Finding], unknown: frozenset[str] = frozenset()
    ) -> list[Row]:
        """Bring the alerts up to what is found now; the rows that this took, durable.

        ``unknown`` are keys of alerts of which nothing can be said now: they stay as they are.
        """
        now_us = self._clock.wall_us()
        path = directory_of(self._home) / "seen.json"
        seen = _read_seen(path)
        worst = _worst(findings)
        open_ = {alert.key: alert for alert in self.alerts() if alert.is_open}
        for key in {*worst, *(open_.keys() & unknown), *(open_.keys() - seen.keys())}:
            seen[key] = now_us
        base_s = self._home.settings.alerts.resolve_after_s
        rows = _by_key(self._rows.values())
        changes = [
            *_opening(worst, open_, {key: rows[key][-1] for key in open_}),
            *(
                _after(alert, "resolved")
                for key, alert in open_.items()
                if key not in worst
                and key not in unknown
                and now_us - seen[key] >= _quiet_s(rows[key], base_s, now_us) * US_PER_S
            ),
        ]
        written = self.write(changes)
        kept = {alert.key for alert in self.alerts() if alert.is_open}
        _write_quietly(path, {key: at for key, at in seen.items() if key in kept})
        self._keep()
        return written

    def _read(self) -> None:
        waiting = _own(self._home)  # before the lake: what is shipped meanwhile is in both
        try:
            store = self._store or parse_url(self._home.lake_url, self._home)
            lake = Lake(store, require_known(self._home, store))
            shipped = _shipped(lake, self._clock.wall_us())
        except LakeUnreachable as error:
            self.away, shipped = error, _known(self._home)
        self._rows = {row.id: row for row in [*shipped, *waiting]}

    def _keep(self) -> None:
        if self.away is None:
            kept = [asdict(row) for row in self.rows]
            _write_quietly(directory_of(self._home) / "known.json", kept)


def directory_of(home: Home) -> Path:
    """``HOME/alerts``, made if it isn't there."""
    directory = home.path / "alerts"
    fsio.make_dirs(directory, at="alerts")
    return directory


def _opening(
    worst: Mapping[str, Finding], open_: Mapping[str, Alert], newest: Mapping[str, Row]
) -> Iterator[dict[str, object]]:
    """New ones, worse ones, and those whose snooze is over."""
    for key, finding in worst.items():
        alert = open_.get(key)
        if alert is not None:
            worse = SEVERITIES.index(finding.severity) > SEVERITIES.index(alert.severity)
            snooze_over = alert.state == "open" and newest[key].state == "snoozed"
            if not (worse or snooze_over):
                continue
        yield {
            "key": key,
            "rule": finding.rule,
            "subject": finding.subject or None,
            "about_device": finding.device or None,
            "about_stream": finding.stream or None,
            "state": "open",
            "severity": finding.severity,
            "message": finding.says,
            "hint": finding.hint,
            "since": finding.since,
        }


def _after(alert: Alert, state: State, *, until: int | None = None) -> dict[str, object]:
    """The row that brings an alert into another state."""
    return {
        "key": alert.key,
        "rule": alert.rule,
        "subject": alert.subject or None,
        "about_device": alert.device or None,
        "about_stream": alert.stream or None,
        "state": state,
        "severity": alert.severity,
        "message": alert.says,
        "hint": alert.hint,
        "since": alert.since,
        "until": until,
    }


def _worst(findings: Iterable[Finding]) -> dict[str, Finding]:
    """One finding a key."""
    found: dict[str, Finding] = {}
    for one in findings:
        before = found.get(one.key)
        if before is None or SEVERITIES.index(one.severity) > SEVERITIES.index(before.severity):
            found[one.key] = one
    return found


def _by_key(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in sorted({row.id: row for row in rows}.values(), key=_order):
        found.setdefault(row.key, []).append(row)
    return found


def _openings(rows: Sequence[Row]) -> list[Row]:
    """The rows (of one key, in order) with which it opened after it was resolved, or at first."""
    before = [None, *rows[:-1]]
    return [
        row
        for row, last in zip(rows, before, strict=True)
        if row.state != "resolved" and (last is None or last.state == "resolved")
    ]


def _quiet_s(rows: Sequence[Row], base_s: float, now_us: int) -> float:
    """For how long the finding of these rows (of one key, in order) must have stayed away."""
    again = sum(1 for row in _openings(rows) if row.at > now_us - FLAPPING_US) - 1
    return min(base_s * float(2 ** max(again, 0)), max(base_s, MOST_QUIET_S))


def _order(row: Row) -> tuple[int, str]:
    return row.at, row.id


# --- where rows come from ---------------------------------------------------------------------


def _shipped(lake: Lake, now_us: int) -> list[Row]:
    rows = lake.scan(STREAM).filter(pl.col("date") >= utc(now_us - REACH_US).date())
    times = [pl.col(name).dt.epoch("us") for name in ("at", "since", "until")]
    return [
        _of_fields(fields) for fields in rows.with_columns(times).collect().iter_rows(named=True)
    ]


def _own(home: Home) -> list[Row]:
    return [_of_fields(fields) for fields in pending(home, STREAM)]


def _of_event(event: Event, device: str) -> Row:
    return _of_fields({**event.data, "id": event.id, "at": event.at, "device": device})


def _of_fields(fields: Mapping[str, Any]) -> Row:
    return Row(
        id=fields["id"],
        recorder=fields["device"],
        at=fields["at"],
        # Rows of another program, or of before there was a key.
        key=fields.get("key") or f"{fields.get('rule')}/-/{fields.get('subject') or '-'}",
        rule=fields.get("rule") or "",
        subject=fields.get("subject") or "",
        about_device=fields.get("about_device") or "",
        about_stream=fields.get("about_stream") or "",
        state=cast("State", fields.get("state") or "open"),
        severity=cast("Severity", _severity(fields.get("severity"))),
        message=fields.get("message") or "",
        hint=fields.get("hint") or "",
        since=fields.get("since"),
        until=fields.get("until"),
    )


def _severity(value: object) -> str:
    return value if isinstance(value, str) and value in SEVERITIES else "warning"


def _known(home: Home) -> list[Row]:
    try:
        return [
            Row(**row) for row in orjson.loads((directory_of(home) / "known.json").read_bytes())
        ]
    except (FileNotFoundError, ValueError, TypeError):
        return []


def _read_seen(path: Path) -> dict[str, int]:
    try:
        return {str(key): int(at) for key, at in orjson.loads(path.read_bytes()).items()}
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return {}


def _write_quietly(path: Path, value: object) -> None:
    """Both files only help: a full disk must not keep an alert from being sent."""
    content = orjson.dumps(value)
    with contextlib.suppress(OSError):
        if not path.exists() or path.read_bytes() != content:
            fsio.write_atomic(path, content, at="alerts")
