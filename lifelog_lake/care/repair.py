"""``lifelog verify --repair``: mends objects, offers kept rows again, puts the rest on record.

In this order: what a copy has is fetched; what isn't mended is set aside
(:mod:`lifelog_lake.lake.repair`); of tables that lost rows by that, this device offers again all
that its spool still keeps, and the lake takes what it lacks; what is missing then becomes rows of
``lifecycle``, so that it is a loss on record and no finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from lifelog_lake.clock import Clock
from lifelog_lake.collect.recorder import record
from lifelog_lake.errors import LifelogError
from lifelog_lake.home import Home
from lifelog_lake.lake.repair import Done, Repair
from lifelog_lake.lake.store import BLOBS, TABLES, Store
from lifelog_lake.lake.verify import Finding, Report
from lifelog_lake.ship import Shipper
from lifelog_lake.ship.child import ship_lock

REASON = "It was in an object of the lake that was damaged or missing, and no copy had it."


@dataclass(slots=True, kw_only=True)
class Repaired:
    """What became of each finding, and the verification after it."""

    done: list[Done] = field(default_factory=list)
    offered: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    report: Report


def repair(
    home: Home,
    store: Store,
    copy: Store | None,
    report: Report,
    check: Callable[[], Report],
    clock: Clock,
) -> Repaired:
    """Mend what a verification found; ``check`` verifies again in the same way.

    Raises what the stores, the spool and the shipper raise; may be run again after that.
    """
    mender = Repair(store, copy, clock, home.device)
    # What names no object follows from what does, or is told again by the check after it.
    done = [mender.mend(finding) for finding in report.findings if finding.key]
    out = [one.finding for one in done if one.outcome == "set-aside"]
    if not out:
        return Repaired(done=done, report=check())
    offered = _offer_again(home, clock, _streams(out))
    after = check()
    blobs = [one for one in after.findings if one.kind == "blob-missing" and _among(one, out)]
    gone = set(_streams(out))
    seqs = [(key, span) for key, span in after.missing if key[1] in gone]
    rows: list[dict[str, object]] = [
        {"kind": "blob-lost", "collector": "verify", "reason": REASON, "blob": _name(one.key)}
        for one in blobs
    ]
    rows += [
        {
            "kind": "lost", "collector": "verify", "reason": REASON, "device": device,
            "stream": stream, "about_epoch": epoch, "first_seq": first, "last_seq": last,
        }
        for (device, stream, epoch), (first, last) in seqs
    ]  # fmt: skip
    record(home, clock, "lifecycle", rows)
    _ship(home, clock)
    return Repaired(
        done=done,
        offered=offered,
        lost=[*(one.message for one in blobs), *(_words(*one) for one in seqs)],
        report=check(),
    )


def _offer_again(home: Home, clock: Clock, streams: Iterable[str]) -> list[str]:
    """Offer what the spool keeps of these streams; those of which there was any."""
    shipper = Shipper.of(home, clock)
    with ship_lock(home):
        offered = [stream for stream in streams if shipper.offer_again(stream)]
        _raise_first(shipper.run_once().errors)
    return offered


def _ship(home: Home, clock: Clock) -> None:
    with ship_lock(home):
        _raise_first(Shipper.of(home, clock).run_once().errors)


def _raise_first(errors: Mapping[str, LifelogError]) -> None:
    for error in errors.values():
        raise error


def _streams(findings: Iterable[Finding]) -> list[str]:
    """The streams whose tables lost a file."""
    keys = [one.key for one in findings if one.key.startswith(f"{TABLES}/")]
    return sorted({key.split("/")[1] for key in keys})


def _among(finding: Finding, others: Iterable[Finding]) -> bool:
    return finding.key.startswith(f"{BLOBS}/") and any(finding.key == one.key for one in others)


def _name(key: str) -> str:
    return key.rpartition("/")[2]


def _words(key: tuple[str, str, str], span: tuple[int, int]) -> str:
    device, stream, _ = key
    return f"{stream} of {device}: seqs {span[0]} to {span[1]}"
