"""One health run: facts, rules, alerts, messages, the mark. May be killed at any point.

Of several hubs of one lake one cares: whoever wrote the newest mark. Another one takes over when
that mark has grown old.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import structlog

from lifelog_lake.care.facts import Fleet
from lifelog_lake.care.health import addresses, ran
from lifelog_lake.care.health.addresses import Routes
from lifelog_lake.care.health.alerts import Book
from lifelog_lake.care.health.model import Alert, Finding
from lifelog_lake.care.health.notify import ping, send
from lifelog_lake.care.health.outbox import Outbox, Send
from lifelog_lake.care.health.rules import Judgement, judge
from lifelog_lake.care.health.rules_file import NAME as RULES
from lifelog_lake.care.health.rules_file import RuleBook, load
from lifelog_lake.care.observe import Observer
from lifelog_lake.care.outcome import Outcome
from lifelog_lake.clock import US_PER_S, Clock
from lifelog_lake.errors import LakeUnreachable, UsageError
from lifelog_lake.home import Home
from lifelog_lake.lake import care_mark
from lifelog_lake.lake.identity import require_known
from lifelog_lake.lake.store import Store

JOB = "health"
PING_S = 10.0


def run(home: Home, store: Store, clock: Clock, send: Send = send) -> Outcome:
    """Look at everything once, and tell what has changed.

    A lake that can't be reached is a finding too. Raises
    :class:`~lifelog_lake.errors.SpoolFull` and the like if a change can't be recorded: it isn't
    told then, and found again by the next run.
    """
    since_s = ran.since_s(home, clock)
    if _another_cares(home, store, clock):
        ran.note(home, clock)  # else the flows would take it for one that doesn't run
        return Outcome(job=JOB)
    own: list[Finding] = []
    rules, routes = _rules(home, own), _routes(home, own)
    fleet, away = _fleet(home, store, clock)
    judged = Judgement(findings=())
    if fleet is not None:
        judged = judge(fleet, rules, since_us=int(since_s * US_PER_S))
        ran.note_reached(home, clock)
    elif rules.general.lake.enabled:
        away_s = clock.wall_us() / US_PER_S - max(since_s, ran.reached_s(home))
        if away_s >= rules.general.lake.after_s:
            own.append(_lake_away(away, rules))
    with Outbox(home, clock) as outbox:
        own += outbox.findings()
        with Book(home, clock, store) as book:
            outbox.begin(book.rows)
            unknown = _unknown(book.alerts(), judged, known=fleet is not None)
            written = book.settle([*judged.findings, *own], unknown)
            rows = book.rows
        sent = 0
        if routes is not None:
            outbox.take_in(rows, routes)
            sent = outbox.deliver(routes, send)
    findings = _tell_that_it_ran(home, store, clock, routes, well=fleet is not None)
    return Outcome(
        job=JOB,
        counts={
            "alerts opened": sum(1 for row in written if row.state == "open"),
            "alerts resolved": sum(1 for row in written if row.state == "resolved"),
            "messages sent": sent,
        },
        findings=tuple(findings),
    )


def _another_cares(home: Home, store: Store, clock: Clock) -> bool:
    try:
        mark = care_mark.read(store)
    except LakeUnreachable:
        return False
    if mark is None or mark.device == home.device:
        return False
    age_us = clock.wall_us() - mark.at_us
    return abs(age_us) < mark.limit_s(home.settings.health.care_grace_s) * 1e6


def _fleet(home: Home, store: Store, clock: Clock) -> tuple[Fleet | None, LakeUnreachable | None]:
    try:
        require_known(home, store)
        fleet = Observer(home, store, clock).fleet()
    except LakeUnreachable as error:
        return None, error
    for trouble in fleet.troubles:
        structlog.get_logger(__name__).warning("not_observed", reason=trouble)
    if fleet.flows is not None:
        # What the flows said before this start of lifelog doesn't make them silent.
        at = max(fleet.flows.at, ran.supervised_since_us(home))
        fleet = replace(fleet, flows=replace(fleet.flows, at=at))
    return fleet, None


def _rules(home: Home, own: list[Finding]) -> RuleBook:
    try:
        return load(home)
    except UsageError as error:
        own.append(
            Finding(
                rule="rules",
                severity="warning",
                subject=RULES,
                says=f"{error.message} The defaults count until it is mended.",
                hint=error.hint,
            )
        )
        return RuleBook()


def _routes(home: Home, own: list[Finding]) -> Routes | None:
    try:
        return addresses.read(home)
    except UsageError as error:
        own.append(
            Finding(
                rule="delivery",
                severity="warning",
                subject=addresses.FILE,
                says=f"{error.message} No alert is sent until it is mended.",
                hint=error.hint,
            )
        )
        return None


def _lake_away(error: LakeUnreachable | None, rules: RuleBook) -> Finding:
    return Finding(
        rule="lake",
        severity=rules.general.lake.severity,
        says=f"The hub can't reach the lake. {'' if error is None else error.message}".rstrip(),
        hint=error.hint if error is not None and error.hint else "lifelog doctor looks closer.",
    )


def _unknown(alerts: Iterable[Alert], judged: Judgement, *, known: bool) -> frozenset[str]:
    """Alerts of which nothing can be said now."""
    return frozenset(
        alert.key
        for alert in alerts
        if alert.is_open
        and (not known or judged.is_unknown(alert.rule, alert.device))
        and alert.rule not in ("rules", "delivery")
    )


def _tell_that_it_ran(
    home: Home, store: Store, clock: Clock, routes: Routes | None, *, well: bool
) -> list[str]:
    """The mark for the devices, the switch elsewhere, and a file for who looks after this run."""
    ran.note(home, clock)
    if not well:
        return []
    findings = []
    try:
        every_s = home.settings.health.every_s
        care_mark.write(store, device=home.device, every_s=every_s, clock=clock)
    except LakeUnreachable as error:
        findings.append(f"The mark of the hub's care can't be written: {error}")
    if routes is not None and routes.ping_url:
        trouble = ping(routes.ping_url, PING_S)
        if trouble:
            findings.append(f"The dead man's switch ([alerts] ping_url) isn't set back: {trouble}.")
    return findings
