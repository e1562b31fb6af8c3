"""What `up`, `collect` and `status` show: the state of each source in words a person acts on.

Made from the supervisor's status (``run/status.json``, or straight from it) and the spool's
figures, so it also tells what waits while no supervisor runs.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from rich import box
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lifelog_lake.beats import HOLDING
from lifelog_lake.cli.output import ago, local, number, span
from lifelog_lake.clock import US_PER_S
from lifelog_lake.collect.reasons import WELL, of_device
from lifelog_lake.collect.today import Lost
from lifelog_lake.events import STREAMS
from lifelog_lake.spool import StreamStats
from lifelog_lake.units import size

#: The supervisor writes its status each few seconds; one that is older says nothing.
STALE_AFTER_S = 30.0
MICROPHONE = "● microphone live"
#: Open segments are extended in steps, so a few rows seem to fill some MiB.
MENTIONED_BYTES = 16 * 2**20
STYLE = {"running": "green", "paused": "yellow", "starting": "yellow", "-": "dim"}
PROCESSES = {"ship": "Shipper", "server": "Pages", "flows": "Flows"}
NOT_RUNNING = "Nothing is recorded now: start it with `lifelog up` (or `lifelog collect`)."


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the board: a stream, or a process without streams. Times in µs."""

    name: str
    source: str
    label: str
    state: str
    captured_at: int | None
    waiting_rows: int | None
    waiting_bytes: int | None
    shipped_at: int | None
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Something long that goes on, such as a source's past that is brought in, or a big upload:
    how much of it, 0 to 1, and where it is."""

    label: str
    share: float
    doing: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """The state of a device. ``findings`` are sentences; none = all is well. ``remarks`` are what a
    person should know of sources that are well. ``microphone``: whether one is open now.
    """

    running: bool
    pid: int | None
    started_at: int | None
    pause: Mapping[str, Any] | None
    rows: tuple[Row, ...]
    findings: tuple[str, ...]
    remarks: tuple[str, ...] = ()
    histories: tuple[History, ...] = ()
    microphone: bool = False


def make_board(
    status: Mapping[str, object] | None,
    stats: Mapping[str, StreamStats],
    *,
    now_us: int,
    alive: bool,
    pause: Mapping[str, Any] | None,
) -> Board:
    """The board of a status. ``alive`` says whether the supervisor's process is there."""
    status = status or {}
    at = status.get("at")
    fresh = isinstance(at, int) and abs(now_us - at) < STALE_AFTER_S * US_PER_S
    running = status.get("state") == "running" and alive and fresh
    children = cast("Mapping[str, Mapping[str, Any]]", status.get("children") or {})
    rows: list[Row] = []
    for name, child in children.items():
        live = child if running else {}
        rows += [
            _row(name, stream, live, child, stats)
            for stream in child.get("streams") or [None]
            if running or stream is not None
        ]
    rows = _told_apart(rows)
    named = {row.name for row in rows}
    rows += [_row(stream, stream, {}, {}, stats) for stream in stats if stream not in named]
    findings = [] if running else [_not_running(status, alive=alive)]
    if running:
        findings += [
            f"{label} {verb} {row.state}: {row.problem or 'see the log'}"
            for label, verb, row in alike(rows)
            if row.state not in WELL
        ]
        findings += of_device(status)
    return Board(
        microphone=alive  # also of a supervisor that doesn't report: its children record on
        and status.get("state") == "running"
        and any(
            "audio" in (child.get("streams") or ()) and child.get("state") in HOLDING
            for child in children.values()
        ),
        remarks=_remarks(status, children) if running else (),
        running=running,
        pid=cast("int | None", status.get("pid")) if running else None,
        started_at=cast("int | None", status.get("started_at")) if running else None,
        pause=pause,
        rows=tuple(rows),
        findings=tuple(findings),
        histories=tuple(
            History(
                label="Upload" if name == "ship" else "History",
                share=float(told["share"]),
                doing=str(told["doing"]),
            )
            for name, child in children.items()
            if running and (told := child.get("history"))
        ),
    )


def _remarks(
    status: Mapping[str, object], children: Mapping[str, Mapping[str, Any]]
) -> tuple[str, ...]:
    said = [child.get("reason") for child in children.values() if child.get("state") == "running"]
    endpoint = cast("Mapping[str, Any]", status.get("endpoint") or {})
    return tuple(str(one) for one in (*said, endpoint.get("problem")) if one)


def _not_running(status: Mapping[str, object], *, alive: bool) -> str:
    if alive and status.get("state") == "running":
        return (
            f"The supervisor (process {status.get('pid')}) hasn't reported for more than "
            f"{STALE_AFTER_S:.0f} s: it hangs, or the machine slept. Start it again if this stays."
        )
    return NOT_RUNNING


def _told_apart(rows: list[Row]) -> list[Row]:
    """The rows, those of one stream with their collector: two sensors fail on their own."""
    often = Counter(row.name for row in rows)
    return [
        dataclasses.replace(row, label=f"{row.label} ({row.source})")
        if often[row.name] > 1
        else row
        for row in rows
    ]


def alike(rows: Sequence[Row]) -> list[tuple[str, str, Row]]:
    """Rows of one source that say the same, once: their labels, "is" or "are", the first row."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.source, row.state, row.problem), []).append(row)
    return [
        (", ".join(row.label for row in group), "is" if len(group) == 1 else "are", group[0])
        for group in groups.values()
    ]


def _row(
    name: str,
    stream: str | None,
    live: Mapping[str, Any],
    known: Mapping[str, Any],
    stats: Mapping[str, StreamStats],
) -> Row:
    stat = stats.get(stream) if stream is not None else None
    if stream is not None and stream in STREAMS:
        label = STREAMS[stream].label
    else:
        label = PROCESSES.get(name, name)
    reason = str(live.get("reason") or "")
    state = str(live.get("state", "-"))
    if stream in (live.get("stale") or ()):
        state = "stale"
        reason = (live.get("unseen") or {}).get(stream) or reason
    if not reason and state not in WELL:
        reason = str(live.get("last_error") or "")
    return Row(
        name=stream or name,
        source=name,
        label=label,
        state=state,
        captured_at=(known.get("observed_at") or {}).get(stream)
        or (stat.newest_at if stat is not None else None),
        waiting_rows=stat.pending_rows if stat is not None else None,
        waiting_bytes=stat.pending_bytes if stat is not None else None,
        shipped_at=stat.last_ack_at if stat is not None else None,
        problem=reason if state not in WELL else "",
    )


def table_of(board: Board, now_us: int) -> Table:
    """The board's rows for a terminal."""
    table = Table(box=box.SIMPLE, pad_edge=False)
    for title, side in (
        ("", "left"), ("State", "left"), ("Last capture", "right"), ("Waiting", "right"),
        ("Last shipped", "right"),
    ):  # fmt: skip
        table.add_column(title, justify="right" if side == "right" else "left", no_wrap=True)
    for row in board.rows:
        table.add_row(
            row.label,
            Text(row.state, style=STYLE.get(row.state, "red")),
            ago(row.captured_at, now_us) if row.captured_at is not None else "-",
            waiting(row),
            ago(row.shipped_at, now_us),
        )
    return table


def bars_of(board: Board) -> Table | None:
    """A bar for each long thing that goes on; None if there is none."""
    if not board.histories:
        return None
    table = Table.grid(padding=(0, 1))
    for history in board.histories:
        bar = ProgressBar(total=1.0, completed=history.share, width=30)
        table.add_row(history.label, bar, f"{history.share:.0%}", Text(history.doing))
    return table


def waiting(row: Row) -> str:
    """What waits for the lake: ``12 rows, 3.4 MiB``."""
    if row.waiting_rows is None:
        return "-"
    if row.waiting_rows == 0:
        return "nothing"
    much = (row.waiting_bytes or 0) >= MENTIONED_BYTES
    rows = number(row.waiting_rows, "row")
    return f"{rows}, {size(row.waiting_bytes or 0)}" if much else rows


def pause_line(pause: Mapping[str, Any]) -> str:
    """A pause in force, in words."""
    until = pause.get("until")
    if until is None:
        return "Paused until you resume: lifelog resume"
    return f"Paused until {local(until)}. Sooner: lifelog resume"


def lost_line(lost: Lost) -> str:
    """``12 min of Screen today: no display``."""
    label = STREAMS[lost.stream].label if lost.stream in STREAMS else lost.stream
    return f"{span(60 * lost.minutes)} of {label} today: {lost.reason}"


def headline(board: Board, now_us: int) -> str:
    """The first line of the status."""
    if not board.running or board.started_at is None:
        return "Not running."
    since = span((now_us - board.started_at) / US_PER_S)
    return f"Running for {since} (process {board.pid})."
