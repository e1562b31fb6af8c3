"""From facts to findings. Pure: the same facts, rules and time give the same findings.

What a device says of its streams is judged by the time at which it said so, its pulse, never by
this machine's clock: a device that is out of reach, or brings its backlog, is late but not dead.
Only how long it has been silent is told by the hub's own time, less what its clock is wrong by.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lifelog_lake import __version__
from lifelog_lake.care.facts import DeviceFacts, Fleet, StreamFacts, covered, rise
from lifelog_lake.care.health.content import content
from lifelog_lake.care.health.model import Finding
from lifelog_lake.care.health.rules_file import RuleBook, Rules
from lifelog_lake.care.health.words import clock_time, label, span, why
from lifelog_lake.clock import MAX_US, MIN_US, US_PER_S, utc
from lifelog_lake.units import size

#: A device whose newest pulse is older says nothing of its streams now: what was found stays.
SILENT_US = 600 * US_PER_S
#: A device whose pulses weren't taken for so long was out of reach.
OUT_OF_REACH_US = 300 * US_PER_S
#: Of a disk that has room again: two readings of the series.
JUST_NOW_US = 1200 * US_PER_S
ACTIVITYWATCH, SHIPPER = "activitywatch", "ship"
#: The state of a stream that waits for room.
FULL = "full"
#: The flow that judges the flows doesn't judge itself.
OWN_FLOW = "health"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What is found, and of which devices nothing can be said now beside that they are silent."""

    findings: tuple[Finding, ...]
    silent: frozenset[str] = frozenset()
    is_back: bool = False

    def is_unknown(self, rule: str, device: str) -> bool:
        """Whether nothing can be said now of what a rule found at a device."""
        return self.is_back if rule == "last_seen" else device in self.silent


def judge(fleet: Fleet, book: RuleBook, *, since_us: int = 0) -> Judgement:
    """All findings of a fleet.

    ``since_us`` is when this hub came back after a night: who sends to it, or sleeps when it does,
    has some minutes from then before it counts as gone.
    """
    is_back = 0 <= fleet.at - since_us < SILENT_US
    found: list[Finding] = []
    silent = set()
    for device in fleet.devices:
        rules = book.of(device.device)
        if not is_back:
            found += _last_seen(device, fleet, rules)
        if device.pulse_at is None or heard_at(device) < fleet.at - SILENT_US:
            silent.add(device.device)
            continue
        for rule in (_streams, _spool, _often, _disk, _clock, _version, _identity, _quarantine):
            found += rule(device, rules)
        found += content(device, rules)
    found += _config(fleet, book)
    found += _storage(fleet, book.general)
    found += _flows(fleet, book.general)
    found += _verify(fleet, book.general)
    kept = [one for one in found if getattr(book.of(one.device), one.rule).enabled]
    return Judgement(findings=tuple(kept), silent=frozenset(silent), is_back=is_back)


def heard_at(device: DeviceFacts) -> int:
    """When the device was last heard of by the hub's clock: what it says of itself, or a row of
    whatever age that came in."""
    came_in = [stream.newest_ingested_at for stream in device.streams]
    said = [at for at in (*came_in, device.ingested_at) if at is not None]
    told = max([device.last_seen_at, *said]) - (device.skew_us or 0)
    return max(told, device.arrived_at or 0)  # it may have been set back since


def _last_seen(device: DeviceFacts, fleet: Fleet, rules: Rules) -> Iterator[Finding]:
    heard, rule = heard_at(device), rules.last_seen
    stopped = device.state == "stopped"
    limit_s = rule.stopped_after_s if stopped else rule.after_s
    if fleet.at - heard <= limit_s * US_PER_S:
        return
    yield Finding(
        rule="last_seen",
        severity=rule.severity,
        device=device.device,
        says=f"{device.device} was last heard of at {clock_time(heard)}"
        + (", when it was shut down." if stopped else "."),
        hint="Is it on, and does it reach the lake? There: lifelog status. If it is gone for good, "
        f"set [devices.{device.device}.last_seen] enabled = false in health.toml.",
        since=heard,
    )


# --- what a device says of its streams --------------------------------------------------------


def _streams(device: DeviceFacts, rules: Rules) -> Iterator[Finding]:
    """Streams without anything new; ActivityWatch's together where all of them are.

    Those without room are told once for all of them, by the disk's rule or that of the backlog.
    """
    without_room = {stream.name for stream in _without_room(device)}
    if not (rules.backlog.enabled or _disk_is_low(device, rules)):
        without_room = set()
    quiet = {
        stream.name: since
        for stream in device.streams
        if (since := _quiet_since(device, stream, rules)) is not None
    }
    quiet |= {name: since for name, since in _silent(device) if name not in quiet}
    quiet = {name: since for name, since in quiet.items() if name not in without_room}
    watched = [
        stream for stream in device.streams if stream.collector == ACTIVITYWATCH and stream.enabled
    ]
    all_of_them = next(_activitywatch(device, rules, watched, quiet), None)
    if all_of_them is not None:
        yield all_of_them
    for stream in device.streams:
        if stream.name not in quiet or (all_of_them is not None and stream in watched):
            continue
        yield Finding(
            rule="capture",
            severity=rules.capture.severity,
            device=device.device,
            stream=stream.name,
            says=f"{label(stream)} of {device.device}: nothing new since "
            f"{clock_time(quiet[stream.name])} ({stream.state}). {why(stream)}".rstrip(),
            hint="There: lifelog status and lifelog doctor. If it isn't wanted, set "
            f"[collectors.{stream.collector}] enabled = false.",
            since=quiet[stream.name],
        )


def _activitywatch(
    device: DeviceFacts,
    rules: Rules,
    watched: Sequence[StreamFacts],
    quiet: Mapping[str, int],
) -> Iterator[Finding]:
    """The server is sick, or none of its streams has anything: one finding either way."""
    server = device.extra.get("activitywatch")
    server = server if isinstance(server, Mapping) else {}
    state = server.get("state")
    all_quiet = bool(watched) and all(stream.name in quiet for stream in watched)
    severity = rules.activitywatch.severity
    since = _at(server.get("since"))
    sick = state in ("unhealthy", "degraded")
    if sick and (all_quiet or _awake_us(device, since) >= rules.activitywatch.after_s * US_PER_S):
        if state == "degraded" and not all_quiet:
            severity = "info"
        reason = str(server.get("reason") or "")
    elif all_quiet:
        reason = why(watched[0])
        since = min(quiet[stream.name] for stream in watched)
    else:
        return
    yield Finding(
        rule=ACTIVITYWATCH,
        severity=severity,
        device=device.device,
        says=f"ActivityWatch on {device.device} gives nothing. {reason}".rstrip(),
        hint="Start aw-qt (or aw-server) there; what it recorded meanwhile is brought in.",
        since=since,
    )


def _silent(device: DeviceFacts) -> Iterator[tuple[str, int]]:
    """Streams that the device itself found to have nothing, and since when; see docs/health.md."""
    said = device.extra.get("silent")
    for one in said if isinstance(said, list) else ():
        if isinstance(one, Mapping) and (since := _at(one.get("since"))) is not None:
            yield str(one.get("stream")), since


def _at(value: object) -> int | None:
    """A time that another machine wrote, if it can be one."""
    return value if isinstance(value, int) and MIN_US <= value <= MAX_US else None


def _quiet_since(device: DeviceFacts, stream: StreamFacts, rules: Rules) -> int | None:
    """Since when a stream has had nothing, if for too long while it should have; else None.

    The time counts in which the device ran, nobody paused, and the person wasn't away.
    """
    limit_s = rules.capture.streams.get(stream.name, rules.capture.after_s)
    if not stream.enabled or stream.stream is None or not limit_s or device.pulse_at is None:
        return None
    started = device.pulse_at - int((device.uptime_s or 0.0) * US_PER_S)
    since = started if stream.last_capture_at is None else stream.last_capture_at
    away = [spell for spell in device.presence if spell.state == "afk"]
    # After a start of the supervisor the source has its time to begin.
    counts = max(since, started)
    excused = covered(
        [*device.paused, *device.suspended, *device.off, *away], counts, device.pulse_at
    )
    silent_us = device.pulse_at - counts - excused
    return since if silent_us > limit_s * US_PER_S else None


def _awake_us(device: DeviceFacts, since: int | None) -> int:
    """For how much of the time since then lifelog ran on the device and it didn't sleep."""
    if device.pulse_at is None:
        return 0
    started = device.pulse_at - int((device.uptime_s or 0.0) * US_PER_S)
    counts = max(since or started, started)
    asleep = covered([*device.suspended, *device.off], counts, device.pulse_at)
    return device.pulse_at - counts - asleep


def _spool(device: DeviceFacts, rules: Rules) -> Iterator[Finding]:
    waiting = sum(stream.spool_bytes or 0 for stream in device.streams)
    stopped = [
        stream
        for stream in _without_room(device)
        if not _disk_was_low(device, rules) and _quiet_since(device, stream, rules) is not None
    ]
    if waiting > rules.backlog.bytes or stopped:
        yield Finding(
            rule="backlog",
            severity="critical" if stopped else rules.backlog.severity,
            device=device.device,
            says=f"{size(waiting)} wait in the spool of {device.device}.{_nothing_of(stopped)}",
            hint="There: lifelog status says why nothing is shipped; lifelog ship tries at once.",
        )
    oldest = [
        (stream.spool_oldest_at, stream)
        for stream in device.streams
        if stream.spool_oldest_at is not None and stream.spool_bytes
    ]
    if not oldest or device.pulse_at is None or _was_out_of_reach(device):
        return
    began, stream = min(oldest, key=lambda one: one[0])
    # What was recorded elsewhere long ago and read in today has not waited since then.
    began = max(began, stream.last_ack_at or 0)
    # The night before a start, or in suspend, isn't the lake's fault.
    limit_us = max(rules.lag.after_s * US_PER_S, 2 * _ship_every_us(device))
    if _awake_us(device, began) > limit_us:
        yield Finding(
            rule="lag",
            severity=rules.lag.severity,
            device=device.device,
            says=f"Rows of {device.device} have waited for the lake since {clock_time(began)} "
            f"({stream.name}).",
            hint="There: lifelog status says why nothing is shipped; lifelog ship tries at once.",
            since=began,
        )


def _was_out_of_reach(device: DeviceFacts) -> bool:
    """Whether its newest pulse was written before it came back to the lake: it ships by now."""
    pulses = device.stream("pulse")
    acked = None if pulses is None else pulses.last_ack_at
    limit_us = max(OUT_OF_REACH_US, 2 * _ship_every_us(device))
    return acked is not None and _awake_us(device, acked) > limit_us


def _ship_every_us(device: DeviceFacts) -> float:
    """How often it ships, as it says itself; 0 for one that doesn't say."""
    said = device.extra.get("ship_every_s")
    return said * US_PER_S if isinstance(said, int | float) and 0 < said < math.inf else 0.0


def _without_room(device: DeviceFacts) -> list[StreamFacts]:
    """Streams that wait for room in the spool."""
    return [stream for stream in device.streams if stream.enabled and stream.state == FULL]


def _nothing_of(streams: Sequence[StreamFacts]) -> str:
    """What stands still for want of room, as a sentence."""
    names = " and ".join(label(stream) for stream in streams)
    return f" There is no room left, nothing is recorded any more: {names}." if names else ""


def _often(device: DeviceFacts, rules: Rules) -> Iterator[Finding]:
    if device.pulse_at is None:
        return
    told: set[tuple[str, str]] = set()
    for stream in device.streams:
        counted = (
            ("restarts", rules.restarts, stream.restarts_series, "was started again"),
            ("errors", rules.errors, stream.errors_series, "met errors"),
        )
        for name, rule, series, words in counted:
            who = stream.collector or stream.name
            if (name, who) == ("errors", SHIPPER):
                continue  # each try without a network is one; that it lasts is told by lag
            times = rise(series, device.pulse_at - int(rule.within_s * US_PER_S))
            if times <= rule.most or (name, who) in told:  # its streams have the same counts
                continue
            told.add((name, who))
            yield Finding(
                rule=name,
                severity=rule.severity,
                device=device.device,
                subject=who,
                says=f"{who} of {device.device} {words} {times} times within "
                f"{span(rule.within_s)}. {why(stream)}".rstrip(),
                hint=f"There: lifelog doctor, and logs/lifelog-{who}.jsonl in its home.",
            )


def _disk_is_low(device: DeviceFacts, rules: Rules) -> bool:
    free = device.disk_free_bytes
    return rules.disk.enabled and free is not None and free < rules.disk.free_bytes


def _disk_was_low(device: DeviceFacts, rules: Rules) -> bool:
    """Whether it was lately: a stream that waited for room takes a moment to go on."""
    since = (device.pulse_at or 0) - JUST_NOW_US
    lately = any(
        free < rules.disk.free_bytes for at, free in device.disk_free_series if at >= since
    )
    return _disk_is_low(device, rules) or (rules.disk.enabled and lately)


def _disk(device: DeviceFacts, rules: Rules) -> Iterator[Finding]:
    free = device.disk_free_bytes
    if free is not None and _disk_is_low(device, rules):
        stopped = _without_room(device)
        is_critical = stopped or free < rules.disk.free_bytes / 4
        yield Finding(
            rule="disk",
            severity="critical" if is_critical else rules.disk.severity,
            device=device.device,
            says=f"The disk of {device.device} has {size(free)} free.{_nothing_of(stopped)}",
            hint="Make room; capture stops before the disk is full ([spool] min_free_bytes).",
        )


def _clock(device: DeviceFacts, rules: Rules) -> Iterator[Finding]:
    skew = device.skew_us
    if skew is not None and abs(skew) > rules.clock.skew_s * US_PER_S:
        way = "ahead" if skew > 0 else "behind"
        yield Finding(
            rule="clock",
            severity=rules.clock.severity,
            device=device.device,
            says=f"The clock of {device.device} is {span(abs(skew) / US_PER_S)} {way}.",
            hint="Let it set its clock by the network; its rows bear the times of its own clock.",
        )


def _version(device: DeviceFacts, rules: Rules) -> Iterator[Finding]:
    if device.version not in (None, __version__):
        yield Finding(
            rule="version",
            severity=rules.version.severity,
            device=device.device,
            says=f"{device.device} has lifelog_lake {device.version}, this hub {__version__}.",
            hint="Upgrade the older one.",
        )


def _identity(device: DeviceFacts, rules: Rules) -> Iterator[Finding]:
    twin = device.extra.get("twin")
    if isinstance(twin, Mapping):
        yield Finding(
            rule="identity",
            severity=rules.identity.severity,
            device=device.device,
            says=f"Two machines record as {device.device}: one home was copied from the other.",
            hint="On the copy, with lifelog stopped: lifelog init --new-device",
            since=_at(twin.get("since")),
        )


def _quarantine(device: DeviceFacts, rules: Rules) -> Iterator[Finding]:
    if device.pulse_at is None:
        return
    after = device.pulse_at - int(rules.quarantine.within_s * US_PER_S)
    for what, series in (("put aside", device.quarantined), ("lost", device.lost)):
        recent = [sample for sample in series if sample.at >= after]
        count = round(sum(sample.value for sample in recent))
        if count > rules.quarantine.most:
            yield Finding(
                rule="quarantine",
                severity=rules.quarantine.severity,
                device=device.device,
                subject=what.replace(" ", "-"),
                says=f"{count} rows or contents of {device.device} were {what} within "
                f"{span(rules.quarantine.within_s)}.",
                hint="There: lifelog spool check shows them; what was put aside is kept.",
                since=recent[0].at,
            )


# --- the fleet --------------------------------------------------------------------------------


def _config(fleet: Fleet, book: RuleBook) -> Iterator[Finding]:
    revisions = Counter(one.config_revision for one in fleet.devices if one.config_revision)
    if len(revisions) < 2:
        return
    usual = revisions.most_common(1)[0][0]
    for device in fleet.devices:
        if device.config_revision not in (None, usual):
            yield Finding(
                rule="config",
                severity=book.of(device.device).config.severity,
                device=device.device,
                says=f"{device.device} has the configuration {device.config_revision}, "
                f"most others {usual}.",
                hint="It takes the new one when it next reaches the lake.",
            )


def _storage(fleet: Fleet, rules: Rules) -> Iterator[Finding]:
    storage, rule = fleet.storage, rules.disk
    free = storage.disk_free_bytes
    if free is not None and free < rule.free_bytes:
        says = f"The lake's disk has {size(free)} free."
        severity = "critical" if free < rule.free_bytes / 4 else rule.severity
    elif storage.full_at is not None and storage.full_at - fleet.at < rule.full_within_s * US_PER_S:
        says = f"The lake's disk will be full on {utc(storage.full_at).astimezone():%Y-%m-%d}."
        severity = rule.severity
    else:
        return
    yield Finding(
        rule="disk",
        severity=severity,
        subject="lake",
        says=f"{says} A day adds {size(storage.day_bytes)}.",
        hint="Move the lake to a larger disk or to S3 (docs/s3.md), or record less.",
    )


def _flows(fleet: Fleet, rules: Rules) -> Iterator[Finding]:
    told, rule = fleet.flows, rules.flows
    if told is None:
        return
    if fleet.at - told.at > rule.silent_s * US_PER_S:
        yield Finding(
            rule="flows",
            severity="critical",
            says=f"The hub's flows have said nothing since {clock_time(told.at)}: nothing is "
            "compacted, checked or brought up to date.",
            hint="lifelog status tells what became of them, logs/lifelog-flows.jsonl why.",
            since=told.at,
        )
        return
    if told.trouble:
        yield Finding(
            rule="flows",
            severity="critical",
            says=f"The hub's flows are in trouble: {told.trouble}",
            hint="logs/lifelog-flows.jsonl says more.",
        )
    others = [flow for flow in told.flows if flow.enabled and flow.name != OWN_FLOW]
    waits = any(flow.running_since is not None for flow in others)  # for its turn
    for flow in others:
        due = flow.next_at
        late = due is not None and fleet.at - due > rule.late_s * US_PER_S and not waits
        if flow.failed:
            says = f"The flow {flow.name} failed: {flow.message}"
        elif late and due is not None:
            says = f"The flow {flow.name} should have run at {clock_time(due)}."
        else:
            continue
        yield Finding(
            rule="flows",
            severity=rule.severity,
            subject=flow.name,
            says=says,
            hint="The flows' page (in the header of the pages) has its log.",
            since=flow.ended_at if flow.failed else due,
        )


def _verify(fleet: Fleet, rules: Rules) -> Iterator[Finding]:
    last = fleet.verified
    if last is not None and last.count:
        first = f" First: {last.findings[0]}" if last.findings else ""
        yield Finding(
            rule="verify",
            severity=rules.verify.severity,
            says=f"lifelog verify has {last.count} findings.{first}",
            hint="lifelog verify shows all; docs/recovery.md says what to do.",
            since=last.at,
        )
