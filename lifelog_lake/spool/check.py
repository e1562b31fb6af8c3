"""Read a spool, live or copied, without changing it: ``lifelog spool check``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import orjson

from lifelog_lake.errors import SpoolError
from lifelog_lake.spool import blobs
from lifelog_lake.spool.queue import FORMAT, FORMAT_NAME
from lifelog_lake.spool.segment import Line, SegmentName, lines_in, parse_name, scan, torn_from
from lifelog_lake.spool.state import NAME, StreamState, parse_state

MOST_LOOKS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamReport:
    """What one stream holds. Seqs are inclusive; none pending if first > last."""

    stream: str
    epoch: str
    acked_seq: int
    first_seq: int
    last_seq: int
    records: int
    damaged: int
    torn_bytes: int
    blobs: int
    missing_blobs: int
    quarantined: int
    findings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolReport:
    """The streams and all their findings, each a sentence that names the stream and the file."""

    streams: tuple[StreamReport, ...]
    findings: tuple[str, ...]


def check(path: Path) -> SpoolReport:
    """Check a spool directory (or a home). Raises :class:`SpoolError` if it isn't one."""
    root = path / "spool" if (path / "spool" / FORMAT_NAME).exists() else path
    try:
        found = int(orjson.loads((root / FORMAT_NAME).read_bytes())["format"])
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise SpoolError(
            f"{path} is no spool: {FORMAT_NAME} {error}.",
            hint="Name a home or its spool directory.",
        ) from None
    if found > FORMAT:
        raise SpoolError(
            f"{root} has format {found}; this version knows {FORMAT}.",
            hint="Install a newer lifelog_lake.",
        )
    streams = tuple(_check_settled(state.parent) for state in sorted(root.glob(f"*/{NAME}")))
    return SpoolReport(
        streams=streams,
        findings=tuple(finding for stream in streams for finding in stream.findings),
    )


def _check_settled(directory: Path) -> StreamReport:
    """Look again when segments moved while we read: a live spool seals and acks meanwhile."""
    report = None
    for _ in range(MOST_LOOKS):
        before = _names(directory)
        try:
            report = _check_stream(directory)
        except FileNotFoundError:
            continue
        if not report.findings or _names(directory) == before:
            return report
    if report is None:
        raise SpoolError(
            f"{directory} changes faster than it can be read.",
            hint="Check a copy of it, or stop capture for a moment.",
        )
    return report


def _names(directory: Path) -> tuple[bytes, list[str]]:
    state = (directory / NAME).read_bytes()
    return state, sorted(str(path) for path in directory.glob("*/*.*"))


def _check_stream(directory: Path) -> StreamReport:
    findings: list[str] = []
    state = parse_state(directory / NAME)
    epoch_dir = directory / state.epoch
    names = sorted(name for entry in epoch_dir.glob("*") if (name := parse_name(entry)) is not None)
    counts = _Counts(acked=state.acked, expected=state.acked + 1)
    for index, name in enumerate(names):
        following = names[index + 1].first if index + 1 < len(names) else None
        _check_segment(directory.name, name, following, state, counts, findings)
    here = {(seq, sha256) for seq, sha256, _ in blobs.names(epoch_dir)}
    missing = _missing_blobs(names, state.acked, {sha256 for _, sha256 in here})
    quarantined = len(list((directory / "quarantine").glob("*")))
    if quarantined:
        findings.append(f"{directory.name}: {quarantined} files in quarantine.")
    return StreamReport(
        stream=directory.name,
        epoch=state.epoch,
        acked_seq=state.acked,
        first_seq=state.acked + 1,
        last_seq=counts.expected - 1,
        records=counts.records,
        damaged=counts.damaged,
        torn_bytes=counts.torn_bytes,
        blobs=len(here),
        missing_blobs=missing,
        quarantined=quarantined,
        findings=tuple(findings),
    )


@dataclass(slots=True)
class _Counts:
    acked: int
    expected: int
    records: int = 0
    damaged: int = 0
    torn_bytes: int = 0


def _check_segment(
    stream: str,
    name: SegmentName,
    following: int | None,
    state: StreamState,
    counts: _Counts,
    findings: list[str],
) -> None:
    content = name.path.read_bytes()
    last = name.last if name.last is not None else (None if following is None else following - 1)
    where = f"{stream}: {name.path.name}"
    for item in scan(content):
        if isinstance(item, Line):
            if item.kind == b"C" and last is None and item.seq >= counts.expected:
                _note_gap(where, counts, item.seq + 1, state, findings)
                counts.expected = item.seq + 1
            if (
                item.kind != b"R"
                or item.seq < counts.expected
                or (last is not None and item.seq > last)
            ):
                continue
            _note_gap(where, counts, item.seq, state, findings)
            counts.records += 1
            counts.expected = item.seq + 1
            continue
        size = len(content.rstrip(b"\0"))
        torn = torn_from(content, item) if item.end == size and last is None else item.end
        counts.torn_bytes += item.end - torn
        if torn > item.start:
            counts.damaged += 1
            findings.append(f"{where}: bytes {item.start} to {torn} are damaged.")
        if last is None and item.end == size:
            counts.expected += lines_in(content, item)
    if last is not None and counts.expected <= last:
        _note_gap(where, counts, last + 1, state, findings)
        counts.expected = last + 1


def _note_gap(
    where: str, counts: _Counts, seq: int, state: StreamState, findings: list[str]
) -> None:
    first, last = counts.expected, seq - 1
    if first > last or any(a <= first and last <= b for a, b in state.dropped):
        return
    findings.append(f"{where}: seqs {first} to {last} are missing.")


def _missing_blobs(names: list[SegmentName], acked: int, here: set[str]) -> int:
    """Records that brought content whose file isn't there (slices don't bring it again)."""
    missing = 0
    for name in names:
        for item in scan(name.path.read_bytes()):
            if isinstance(item, Line) and item.kind == b"R" and item.seq > acked:
                fields = orjson.loads(item.payload)
                if fields.get("blob") and not fields.get("cont") and fields["blob"] not in here:
                    missing += 1
    return missing
