"""Verifies the lake day by day: all rows are counted, and a share of the bytes is read.

How far the reading has come is kept in the lake, so that any hub goes on there. A run reads what
has become due since the last one: after a week without a hub it is a week's share. A run that has
no time left for all of it leaves the rest to the next. What was found damaged is read again each
time, whatever the share, until it is mended: a finding doesn't go away because another share's turn
has come.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import orjson

from lifelog_lake.care import verified
from lifelog_lake.care.outcome import Outcome
from lifelog_lake.care.trouble import worded
from lifelog_lake.clock import US_PER_S, Clock
from lifelog_lake.home import Home
from lifelog_lake.lake import lease, require_known
from lifelog_lake.lake.lease import Lease
from lifelog_lake.lake.store import CONTROL, Store
from lifelog_lake.lake.verify import RING, Report, Share, verify

JOB = "verify"
KEY = f"{CONTROL}/care/verify-place.json"
DAY_US = 86_400 * US_PER_S
#: Damaged objects that are remembered; all are counted when they are found.
MOST_DAMAGED = 1_000
#: Findings that are told in words.
MOST = 20
BEHIND = (
    "In {} days not all of the lake's bytes could be read. If this stays, raise [flows.verify] "
    "budget_s, or days."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How far the reading has come on the ring of :class:`~lifelog_lake.lake.verify.Share`, up to
    when (µs) nothing is due any more, and the keys of what was found damaged."""

    place: int
    at: int
    damaged: tuple[str, ...] = ()

    def share(self, now_us: int, days: int) -> Share:
        """What is due now, of a lake that is read once in so many days."""
        days_due = min(max(0, now_us - self.at) / DAY_US, days)
        return Share(
            start=self.place, width=round(RING * days_due / days), also=frozenset(self.damaged)
        )

    def after(self, report: Report, share: Share, now_us: int, days: int) -> Place:
        """How far it has come with a share, as far as there was time for it."""
        left = share.width - report.passed
        keys = (one.key for one in report.findings if one.key)
        return Place(
            place=(self.place + report.passed) % RING,
            at=now_us - round(left / RING * days * DAY_US),
            damaged=tuple(dict.fromkeys(keys))[:MOST_DAMAGED],
        )


@worded
def run(home: Home, store: Store, clock: Clock) -> Outcome:
    """Verify, read what is due, and keep the result for the fleet's health.

    Raises :class:`~lifelog_lake.errors.LakeUnreachable` and, if another hub does it,
    :class:`~lifelog_lake.errors.Locked`.
    """
    require_known(home, store)
    settings = home.settings.flows.verify
    with lease.hold(store, JOB, home.device, clock) as held:
        now_us = clock.wall_us()
        place = _read(store) or Place(place=0, at=now_us - DAY_US)
        due = place.share(now_us, settings.days)
        share = Share(
            start=due.start, width=due.width, also=due.also,
            goes_on=_Reading(held, clock, settings.budget_s).goes_on,
        )  # fmt: skip
        report = verify(store, share=share, progress=lambda _: held.keep())
        verified.keep(store, report, at=now_us, device=home.device, read_data=False)
        after = place.after(report, share, now_us, settings.days)
        store.write(KEY, orjson.dumps(asdict(after)), at="care")
    findings = [f"{one.where}: {one.message} {one.hint}" for one in report.findings[:MOST]]
    if report.passed < share.width == RING:
        findings.append(BEHIND.format(settings.days))
    return Outcome(
        job=JOB,
        counts={
            "rows counted": report.rows,
            "files looked at": report.files,
            "contents looked at": report.blobs,
            "bytes read": report.bytes_read,
            "findings": len(report.findings),
        },
        findings=tuple(findings),
    )


@dataclass(slots=True)
class _Reading:
    """The time for it, which begins when the rows are counted."""

    held: Lease
    clock: Clock
    budget_s: float
    _until_s: float | None = None

    def goes_on(self) -> bool:
        self.held.keep()
        now_s = self.clock.monotonic_s()
        if self._until_s is None:
            self._until_s = now_s + self.budget_s
        return now_s < self._until_s


def _read(store: Store) -> Place | None:
    """None before the first run, and where it can't be read: the reading begins anew then."""
    try:
        said = orjson.loads(store.read(KEY))
        return Place(
            place=int(said["place"]) % RING, at=int(said["at"]), damaged=tuple(said["damaged"])
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None  # none, or none that can be used: the round begins anew
