"""What the supervisor tells the service manager (systemd) that started it.

READY once something is captured, or once it is clear that nothing can be, or after two minutes of
neither: a source may be looked at once an hour, and systemd ends what is never ready. WATCHDOG only
while this loop and the loops of all children come round; STATUS in words; STOPPING when it ends. So
systemd starts everything again when the supervisor hangs, or when it can't mend a child that does.
"""

from __future__ import annotations

from collections.abc import Sequence

from lifelog_lake.collect.health import state_of
from lifelog_lake.collect.process import Child
from lifelog_lake.sdnotify import Notifier

#: Less than the units' TimeoutStartSec.
READY_AT_LATEST_S = 120.0


class ServiceBeat:
    """Called by the supervisor's loop only: that it is called is what a beat says of the loop."""

    def __init__(self, notifier: Notifier, late_s: float) -> None:
        """``late_s``: a child that has said nothing for so long isn't well."""
        self._notifier = notifier
        self._late_s = late_s
        self._ready = False
        self._began_s: float | None = None
        self._status = ""
        self._next_s = float("-inf")

    def look(self, children: Sequence[Child], now_s: float, *, paused: bool) -> None:
        """Say what has changed, and that all is well if it is."""
        if not self._notifier.heard:
            return
        status = status_text(children, paused=paused)
        if status != self._status and self._notifier.say(STATUS=status):
            self._status = status
        if not self._ready:
            if self._began_s is None:
                self._began_s = now_s
            begun = has_begun(children) or now_s - self._began_s >= READY_AT_LATEST_S
            self._ready = begun and self._notifier.say(READY=1)
            return
        every_s = self._notifier.every_s
        if every_s is None or now_s < self._next_s:
            return
        well = all(
            now_s - child.last_beat_s < self._late_s
            for child in children
            if child.running and child.spec.beats
        )
        if well and self._notifier.say(WATCHDOG=1):
            self._next_s = now_s + every_s

    def stopping(self) -> None:
        """The end has begun."""
        self._notifier.say(STOPPING=1, STATUS="Ending")


def has_begun(children: Sequence[Child]) -> bool:
    """Whether a source has been observed, or each has said why it isn't (or there is none)."""
    sources = [child for child in children if child.spec.streams]
    return any(child.observed for child in sources) or all(
        child.state not in ("starting", "running")
        or set(child.spec.streams) <= child.stale | set(child.beat.unseen)
        for child in sources
    )


def status_text(children: Sequence[Child], *, paused: bool) -> str:
    """``running: screen, ship; unavailable: audio``."""
    groups: dict[str, list[str]] = {}
    for child in children:
        states = {state_of(child, stream) for stream in child.spec.streams or (None,)}
        state = "stale" if states == {"stale"} else child.state
        groups.setdefault(state, []).append(child.spec.name)
    words = "; ".join(f"{state}: {', '.join(names)}" for state, names in groups.items())
    return f"Paused by you. {words}" if paused else words
