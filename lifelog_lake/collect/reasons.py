"""What isn't well on a device, in sentences; from the supervisor's status alone.

One list for ``/healthz`` and ``lifelog status``: what the status says of single streams is told by
those, this is what is about the device as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

#: States of a collector or stream that need nobody.
WELL = frozenset({"running", "starting", "paused", "stopping", "stopped", "-"})


def of_device(status: Mapping[str, object]) -> Iterator[str]:
    """What is wrong with the device as a whole."""
    children = cast("Mapping[str, Mapping[str, Any]]", status.get("children") or {})
    server = cast("Mapping[str, Any]", status.get("activitywatch") or {})
    # While its collector can't reach the server, that is said already.
    told = (children.get("activitywatch") or {}).get("state") == "unavailable"
    if server.get("state") in ("degraded", "unhealthy") and not told:
        yield f"ActivityWatch server {server['state']}: {server.get('reason')}"
    care = cast("Mapping[str, Any]", status.get("care") or {})
    if care.get("state") == "stopped":
        yield str(care.get("reason"))
    if isinstance(twin := status.get("twin"), Mapping):
        yield str(twin.get("reason"))
    if waiting := status.get("rows_waiting"):
        yield f"{waiting} of the supervisor's own rows wait for room: free disk space."


def reasons(status: Mapping[str, object]) -> Iterator[str]:
    """All that is wrong, that of collectors and their streams first."""
    children = cast("Mapping[str, Mapping[str, Any]]", status.get("children") or {})
    for name, child in children.items():
        stale = [str(stream) for stream in child.get("stale") or ()]
        unseen = child.get("unseen") or {}
        for stream in stale:
            yield f"{name}: {stream} is stale: {unseen.get(stream) or 'nothing is observed'}"
        if not stale and child.get("state") not in WELL:
            why = child.get("reason") or child.get("last_error") or "see the log"
            yield f"{name} is {child.get('state')}: {why}"
    yield from of_device(status)
