"""What the supervisor reports: the pulse row of each minute and the live ``run/status.json``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson

from lifelog_lake import __version__
from lifelog_lake.collect.aw_check import AwHealth
from lifelog_lake.collect.freshness import silent, why
from lifelog_lake.collect.process import Child
from lifelog_lake.fsio import PRIVATE_FILE, temporary_beside
from lifelog_lake.home import Home
from lifelog_lake.hub_care import HubCare
from lifelog_lake.pause import Pause
from lifelog_lake.spool import StreamStats
from lifelog_lake.twin import Twin

STATUS_NAME = "status.json"


def state_of(child: Child, stream: str | None = None) -> str:
    """The state in a word, ``stale`` included: alive, but its source gives nothing to see.

    One that was started again for that stays so until it has seen something.
    """
    stale = stream in child.stale or stream in child.tried
    return "stale" if child.state == "running" and stale else child.state


def pulse_data(
    home: Home,
    children: Sequence[Child],
    disabled: Mapping[str, Sequence[str]],
    stats: Mapping[str, StreamStats],
    *,
    uptime_s: float,
    usage: Mapping[str, tuple[float, int] | None],
) -> dict[str, object]:
    """The columns of a ``pulse`` row.

    One entry a stream of each child (of a child without streams, such as the shipper, one with
    ``stream`` null), of each disabled collector, and of each other stream that has a spool.
    """
    entries: list[dict[str, object]] = []
    named: set[str] = set()
    for child in children:
        use = usage.get(child.spec.name)
        for stream in child.spec.streams or (None,):
            entry: dict[str, object] = {
                "stream": stream,
                "collector": child.spec.name,
                "state": state_of(child, stream),
                "last_capture_at": child.observed.get(stream) if stream else None,
                "errors": child.errors,
                "last_error": why(child, stream or "") or child.last_reason or None,
                "restarts": child.restarts,
                "cpu_percent": use[0] if use else None,
                "memory_bytes": use[1] if use else None,
            }
            entries.append(entry | _spooled(stats.get(stream) if stream else None))
            named.update([stream] if stream else [])
    for name, streams in disabled.items():
        for stream in streams:
            entries.append(
                {"stream": stream, "collector": name, "state": "disabled"}
                | _spooled(stats.get(stream))
            )
            named.add(stream)
    entries += [
        {"stream": stream, "state": "spooled"} | _spooled(stat)
        for stream, stat in stats.items()
        if stream not in named
    ]
    return {
        "version": __version__,
        "config_hash": home.settings.sha256(),
        "disk_free_bytes": disk_free_bytes(home.spool),
        "uptime_s": uptime_s,
        "streams": entries,
    }


def disk_free_bytes(path: Path) -> int | None:
    """Free space where something lies; None if that can't be told."""
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return None


def _spooled(stat: StreamStats | None) -> dict[str, object]:
    if stat is None:
        return {}
    return {
        "last_ack_at": stat.last_ack_at,
        "spool_bytes": stat.pending_bytes,
        "spool_oldest_at": stat.oldest_at,
        "spool_newest_at": stat.newest_at,
    }


def status_data(
    home: Home,
    children: Sequence[Child],
    *,
    now_us: int,
    boot_id: str,
    started_us: int,
    pause: Pause | None,
    rows_waiting: int,
    state: str,
    usage: Mapping[str, tuple[float, int] | None],
    checks: Mapping[str, object],
) -> dict[str, object]:
    """What ``lifelog status`` shows. Times in µs since 1970 UTC.

    Old by more than a few ``status_s`` (see ``at``), or with another ``state`` than ``running``:
    the supervisor isn't there.
    """
    return {
        "state": state,
        "pid": os.getpid(),
        "device": home.device,
        "version": __version__,
        "at": now_us,
        "boot_id": boot_id,
        "started_at": started_us,
        "pause": None if pause is None else {"since": pause.since_us, "until": pause.until_us},
        "rows_waiting": rows_waiting,
        "disk_free_bytes": disk_free_bytes(home.spool),
        "children": {child.spec.name: _child_data(child, usage) for child in children},
        **checks,
    }


def checks(
    children: Sequence[Child],
    activitywatch: AwHealth | None,
    care: HubCare | None,
    twin: Twin | None = None,
) -> dict[str, object]:
    """What is about the device as a whole: ``extra`` of a pulse, and part of the status."""
    told: dict[str, object] = {}
    if activitywatch is not None:
        told["activitywatch"] = activitywatch.told()
    if care is not None:
        told["care"] = care.told()
    if twin is not None:
        told["twin"] = twin.told()
    if found := [one for child in children for one in silent(child)]:
        told["silent"] = found
    return told


def _child_data(child: Child, usage: Mapping[str, tuple[float, int] | None]) -> dict[str, object]:
    use = usage.get(child.spec.name)
    stale = [name for name in child.spec.streams if state_of(child, name) == "stale"]
    beat = child.beat
    return {
        "state": "stale" if len(stale) == len(child.spec.streams) > 0 else child.state,
        "stale": stale,
        "streams": list(child.spec.streams),
        "pid": child.pid,
        "last_beat_at": child.last_beat_us,
        "observed_at": dict(child.observed),
        "errors": child.errors,
        "unseen": {name: reason for name in child.spec.streams if (reason := why(child, name))},
        "history": None if beat.share is None else {"share": beat.share, "doing": beat.doing},
        "reason": beat.reason if child.running else child.last_reason,
        "last_error": child.last_reason or None,
        "restarts": child.restarts,
        "written_bytes": child.written_bytes,
        "cpu_percent": use[0] if use else None,
        "cpu_s": child.cpu_s,
        "rss_bytes": use[1] if use else None,
    }


def write_status(run: Path, data: Mapping[str, object]) -> None:
    """Replace ``run/status.json``. Whole at any time but not synced: it is no data, and a sync
    each few seconds would keep a disk awake."""
    temporary = temporary_beside(run / STATUS_NAME)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(orjson.dumps(data))
        temporary.replace(run / STATUS_NAME)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def read_status(run: Path) -> dict[str, object] | None:
    """The last status of a supervisor, None if there never was one."""
    try:
        value = orjson.loads((run / STATUS_NAME).read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return None
    return value if isinstance(value, dict) else None
