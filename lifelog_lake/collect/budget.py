"""Keeps collectors within what they may use, from outside: they need not play along.

*Processor*: time is credited as it passes, at the rate of the budget. A process that has used up
its credit is stopped (SIGSTOP) until it has some again: so it has its share on average of a minute,
whatever it does. *Memory*: above the budget it is started again; on Linux the system gives it no
more than that to begin with (RLIMIT_DATA). *The ladder*: who needs to be stopped often goes down a
step (:mod:`lifelog_lake.levels`), and up again after five minutes with room to spare; so does all
capture on battery, and where the spool fills and its policy is ``degrade``. Each step is a row.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import structlog

from lifelog_lake import levels, uploaded
from lifelog_lake.budget_settings import BudgetSettings
from lifelog_lake.clock import Clock
from lifelog_lake.collect.process import Child
from lifelog_lake.collect.recorder import Recorder
from lifelog_lake.config import SpoolSettings

#: How much credit may be saved, as a share of what a minute gives.
SAVED = 0.04
MINUTE_S = 60.0
#: A step down after so long above the budget, a step up after so long below half of it.
DOWN_S, UP_S = 20.0, 300.0
#: Held for more than this share of the time it counts as above.
HELD = 0.25
#: Looks while somebody is held, seconds apart.
QUICK_S = 0.2
#: Pulses that a forecast looks back on: six hours. It needs ten minutes at least.
REMEMBERED, LEAST_S = 360, 600.0
#: Shares of the spool's room from which on ``degrade`` goes a step down.
FILLING = (0.5, 0.75, 0.9)


@dataclass(slots=True)
class _Use:
    """The account of one life of a child."""

    pid: int
    at_s: float
    cpu_s: float
    credit_s: float
    held: bool = False
    #: Level by what it uses, and since when it has been above or below.
    level: int = 0
    held_s: float = 0.0
    used_s: float = 0.0
    window_s: float = 0.0
    calm_s: float = 0.0


@dataclass(slots=True)
class Budgets:
    """One a supervisor; used in its thread."""

    recorder: Recorder
    clock: Clock
    settings: BudgetSettings
    run: Path
    spool: SpoolSettings
    _rooms: deque[tuple[float, int, int | None]] = field(
        default_factory=lambda: deque(maxlen=REMEMBERED)
    )
    _uses: dict[str, _Use] = field(default_factory=dict)
    _told: dict[str, int] = field(default_factory=dict)
    _filling: int = 0
    _battery: bool = False
    _battery_at_s: float = float("-inf")
    _written: bool = False

    def look(self, children: Sequence[Child]) -> float | None:
        """Look at each child, hold or let go; seconds until the next look if somebody is held."""
        now_s = self.clock.monotonic_s()
        held = False
        for child in children:
            if child.pid is None or not child.spec.beats:
                self._uses.pop(child.spec.name, None)
                continue
            self._look(child, now_s)
            use = self._uses.get(child.spec.name)
            share = self.settings.cpu_share(child.spec.name)
            # Also while it has hardly any credit: it is let go and held many times a second.
            held |= use is not None and share is not None and use.credit_s < share
        self._share_out(children)
        self._tell(children, now_s)
        return QUICK_S if held else None

    def fill(self, waiting_bytes: int, free_bytes: int | None) -> None:
        """Say what waits in the spool and what its disk has free; with each pulse."""
        share = waiting_bytes / self.spool.max_bytes
        degrade = self.spool.on_full == "degrade"
        self._filling = sum(share >= least for least in FILLING) if degrade else 0
        self._rooms.append((self.clock.monotonic_s(), waiting_bytes, free_bytes))

    def release(self, children: Sequence[Child]) -> None:
        """Let everybody go on, as before an end in order."""
        for child in children:
            child.hold(False)

    def told(self) -> dict[str, object]:
        """What may be used and which level each is at, for the status."""
        return {
            "levels": {name: level for name, level in self._told.items() if level},
            "cpu_percent": {
                name: (self.settings.cpu_share(name) or 0.0) * 100 for name in self._uses
            },
            "memory_bytes": {name: self.settings.most_memory(name) for name in self._uses},
            "battery": self._battery,
            "uploaded": self._uploaded(),
            "spool": self._room(1, self.spool.max_bytes, 1),
            "disk": self._room(2, self.spool.min_free_bytes, -1),
        }

    def _uploaded(self) -> dict[str, dict[str, int]]:
        """Of this hour and day, where there is a budget of it."""
        used = uploaded.add(uploaded.read(self.run), 0, self.clock.wall_us())
        return {
            name: {"bytes": count, "limit_bytes": most}
            for name, (_, count) in used.items()
            if (most := self.settings.most_uploaded(name))
        }

    def _room(self, column: int, limit: int, way: int) -> dict[str, object] | None:
        """How much there is now of what, its limit, and in how many seconds that is reached if it
        goes on as in the last hours; None = it doesn't go that way."""
        known = [(room[0], room[column]) for room in self._rooms if room[column] is not None]
        if not known:
            return None
        (begin_s, before), (end_s, now) = known[0], known[-1]
        assert before is not None
        assert now is not None
        rate = way * (now - before) / (end_s - begin_s) if end_s - begin_s >= LEAST_S else 0.0
        left_s = max(0.0, way * (limit - now) / rate) if rate > 0 else None
        return {"bytes": now, "limit_bytes": limit, "left_s": left_s}

    # --- one child ----------------------------------------------------------------------------

    def _look(self, child: Child, now_s: float) -> None:
        """Settle its account, hold it or let it go."""
        name = child.spec.name
        found = child.look_at(now_s)
        assert child.pid is not None
        if found is None:
            return
        cpu_s, rss_bytes = found
        share = self.settings.cpu_share(name)
        use = self._uses.get(name)
        if use is None or use.pid != child.pid:
            level = 0 if use is None else use.level
            use = _Use(pid=child.pid, at_s=now_s, cpu_s=cpu_s, credit_s=0.0, level=level)
            self._uses[name] = use
            child.limit_memory(self.settings.most_memory(name))
        most = self.settings.most_memory(name)
        if most is not None and rss_bytes > most:
            child.kill(f"took {rss_bytes} bytes of memory, its budget is {most}")
            return
        elapsed_s, spent_s = now_s - use.at_s, cpu_s - use.cpu_s
        use.at_s, use.cpu_s = now_s, cpu_s
        use.window_s += elapsed_s
        use.used_s += spent_s
        use.held_s += elapsed_s if use.held else 0.0
        if share is None:
            return
        use.credit_s = min(use.credit_s + share * elapsed_s, SAVED * MINUTE_S * share) - spent_s
        wanted = use.credit_s < 0
        if wanted or use.held:
            use.held = wanted
            child.hold(wanted)
        self._judge(use, share)

    def _judge(self, use: _Use, share: float) -> None:
        """A step down or up by what the last while was like."""
        if use.window_s < DOWN_S:
            return
        if use.held_s > HELD * use.window_s:
            use.level, use.calm_s = min(use.level + 1, levels.LOWEST), 0.0
        elif use.used_s < share / 2 * use.window_s:
            use.calm_s += use.window_s
            if use.calm_s >= UP_S:
                use.level, use.calm_s = max(use.level - 1, 0), 0.0
        else:
            use.calm_s = 0.0
        use.window_s = use.held_s = use.used_s = 0.0

    def _share_out(self, children: Sequence[Child]) -> None:
        """Above the device's budget the greediest goes a step down."""
        most = self.settings.device_cpu_percent / 100
        uses = {c.spec.name: self._uses[c.spec.name] for c in children if c.spec.name in self._uses}
        whole = [use for use in uses.values() if use.window_s >= DOWN_S / 2]
        if not most or not whole or sum(use.used_s / use.window_s for use in whole) <= most:
            return
        greediest = max(whole, key=lambda use: use.used_s / use.window_s)
        greediest.level = min(greediest.level + 1, levels.LOWEST)
        for use in whole:
            use.window_s = use.held_s = use.used_s = use.calm_s = 0.0

    # --- the ladder ---------------------------------------------------------------------------

    def _tell(self, children: Sequence[Child], now_s: float) -> None:
        """Rows and the file that collectors read, where a level is another one than before."""
        if now_s - self._battery_at_s >= MINUTE_S / 2:
            self._battery_at_s, self._battery = now_s, on_battery()
        wanted = {c.spec.name: self._wanted(c) for c in children if c.spec.streams}
        if self._written and all(
            level == self._told.get(name, 0) for name, (level, _) in wanted.items()
        ):
            return
        self._written = True  # what a supervisor before this one left doesn't count
        for name, (level, why) in wanted.items():
            before = self._told.get(name, 0)
            if level != before:
                kind = "degraded" if level > before else "restored"
                self.recorder.lifecycle(
                    kind, collector=name, reason=why or "there is room again",
                    extra={"level": level},
                )  # fmt: skip
            self._told[name] = level
        try:
            levels.write(self.run, self._told)
        except OSError as error:  # a full disk; capture goes on as it was
            structlog.get_logger().warning("levels_not_written", reason=error.strerror)

    def _wanted(self, child: Child) -> tuple[int, str]:
        use = self._uses.get(child.spec.name)
        return max(
            (use.level if use is not None else 0, "it uses more than its budget"),
            (self._filling, "the spool fills"),
            (self.settings.battery_level if self._battery else 0, "on battery"),
            (0, ""),
        )


def on_battery() -> bool:
    """Whether the machine runs on its battery; False where nobody can tell."""
    look = getattr(psutil, "sensors_battery", None)
    try:
        found = look() if look is not None else None
    except (OSError, psutil.Error):
        return False  # a driver's fault: the profile of the mains holds
    return found is not None and found.power_plugged is False
