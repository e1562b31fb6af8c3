"""What the header says: from the status file that the supervisor writes into the home."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import orjson
import psutil

from lifelog_lake.beats import HOLDING
from lifelog_lake.clock import US_PER_S
from lifelog_lake.config import default_home, load
from lifelog_lake.errors import UsageError
from lifelog_lake.events import STREAMS

#: A status older than this was left behind by a supervisor that has gone.
STALE_S = 30.0

#: Processes that are no source, in words.
_PARTS = {"ship": "the shipper", "server": "the pages", "flows": "the flows"}

State = Literal["recording", "paused", "trouble", "off"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One line for a person: what is recorded now, why not, and where the lake lies."""

    state: State
    summary: str
    detail: str = ""
    lake: str = ""
    #: Whether a microphone of this device is open.
    microphone: bool = False
    #: Whether flows run here, with a page of their own.
    flows: bool = False

    def sent(self) -> dict[str, object]:
        """As the browser gets it."""
        return asdict(self)


def read_status(home: Path | None = None, now_us: int | None = None) -> Status:
    """The status of this device; a missing or stale file means that nothing records here."""
    root = home or default_home()
    try:
        lake = load(root).lake.url or str(root / "lake")
    except UsageError as error:
        return Status(state="trouble", summary="The settings are wrong", detail=str(error))
    try:
        data = orjson.loads((root / "run" / "status.json").read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        data = {}
    now = time.time_ns() // 1000 if now_us is None else now_us
    data = data if isinstance(data, dict) else {}
    state, summary, detail = _in_words(data, now)
    return Status(
        state=state,
        summary=summary,
        detail=detail,
        lake=lake,
        microphone=_microphone(data, now),
        flows=_runs(data, now) and (root / "run" / "flows.json").exists(),
    )


def _runs(data: Mapping[str, object], now_us: int) -> bool:
    at = data.get("at")
    fresh = isinstance(at, int) and now_us - at <= STALE_S * US_PER_S
    return data.get("state") == "running" and fresh


def _microphone(data: Mapping[str, object], now_us: int) -> bool:
    """Also of a supervisor that is there but doesn't report: its children record on."""
    children, pid = data.get("children"), data.get("pid")
    hangs = data.get("state") == "running" and isinstance(pid, int) and psutil.pid_exists(pid)
    return (hangs or _runs(data, now_us)) and any(
        "audio" in child.get("streams", ()) and child.get("state") in HOLDING
        for child in (children.values() if isinstance(children, dict) else ())
    )


def _in_words(data: Mapping[str, object], now_us: int) -> tuple[State, str, str]:
    if not _runs(data, now_us):
        return "off", "Not recording", "Nothing records on this machine: start it with lifelog up."
    if data.get("pause") is not None:
        return "paused", "Paused", "Go on with: lifelog resume"
    children = data.get("children")
    recorded: list[str] = []
    troubles: dict[str, str] = {}
    for name, child in (children if isinstance(children, dict) else {}).items():
        if child.get("state") == "running":
            recorded += [STREAMS[s].label for s in child.get("streams", ()) if s in STREAMS]
        elif child.get("state") != "starting":
            part = _PARTS.get(str(name), str(name))
            troubles[part] = str(child.get("reason") or child.get("state"))
    detail = "; ".join(f"{part}: {reason}" for part, reason in troubles.items())
    if recorded:
        summary = "Recording: " + ", ".join(dict.fromkeys(recorded))
        if troubles:
            return "trouble", f"{summary}. In trouble: {', '.join(troubles)}", detail
        return "recording", summary, detail
    if len(troubles) > 1:  # the reasons of several fill no header
        names = ", ".join(troubles)
        return "trouble", f"Not recording. In trouble: {names}. See lifelog status.", detail
    return "trouble", f"Not recording: {detail}" if detail else "Starting", detail
