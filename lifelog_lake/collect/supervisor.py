"""The parent of all capture on a device.

It keeps each enabled collector, the shipper and what else it is given running as processes of
their own, and records what only it can know: that one died, hangs (*alive*: no beat), sees nothing
(*fresh*: no observation), can't run here, that the machine slept, that its clock was set, that
the person paused. What it knows goes into its own spool streams ``lifecycle`` and ``pulse``.

One thread does everything; the readers of the children's pipes only put lines into its queue. It
sleeps until a line comes or a second has passed.
"""

from __future__ import annotations

import queue
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType

import structlog

from lifelog_lake import __version__
from lifelog_lake.clock import US_PER_S, Clock, SystemClock
from lifelog_lake.collect import registry
from lifelog_lake.collect.aw_check import COLLECTOR as ACTIVITYWATCH
from lifelog_lake.collect.aw_watch import AwWatch
from lifelog_lake.collect.budget import Budgets
from lifelog_lake.collect.clocks import ClockWatch
from lifelog_lake.collect.endpoint import Endpoint
from lifelog_lake.collect.exclusions import Exclusions
from lifelog_lake.collect.freshness import Freshness
from lifelog_lake.collect.last_run import tell_crash
from lifelog_lake.collect.missed import Missed
from lifelog_lake.collect.process import Backoff, Child, ChildSpec, Message
from lifelog_lake.collect.recorder import Recorder
from lifelog_lake.collect.reports import Reports
from lifelog_lake.collect.service import ServiceBeat
from lifelog_lake.config import CONFIG_NAME
from lifelog_lake.home import Home
from lifelog_lake.locks import FileLock
from lifelog_lake.pause import Pause, paused
from lifelog_lake.sdnotify import Notifier
from lifelog_lake.spool import Spool

SHIPPER = "ship"

#: Kinds of lifecycle rows for a child's change of state: on entering it, on leaving it.
_ENTERED = {"unavailable": "unavailable", "full": "full", "error": "error"}
_LEFT = {"unavailable": "available", "full": "room", "error": "recovered"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """All waits of the supervisor, seconds."""

    tick_s: float = 1.0
    #: Without a beat for so long a child hangs, and is killed and started again.
    alive_s: float = 120.0
    #: Without one for so long the service manager isn't told any more that all is well.
    late_s: float = 45.0
    #: Without an observation for so long (or 5 looks, if that is more) a source is stale.
    fresh_s: float = 60.0
    #: Without one for so long (or three looks) that time is told as missed, once it is over.
    missed_s: float = 30.0
    pulse_s: float = 60.0
    status_s: float = 5.0
    #: From the request to stop to SIGKILL; below the 5 s within which all must be gone.
    stop_s: float = 4.6
    #: The part of it that is kept for the shipper's last run.
    last_run_s: float = 1.3
    backoff: Backoff = field(default_factory=Backoff)


class Supervisor:
    """Runs the children of one home until it is told to stop.

    ``run`` must be called in a thread that lives as long as the children should: Linux ends a
    child with the thread that started it.
    """

    def __init__(
        self,
        home: Home,
        *,
        extra: Sequence[ChildSpec] = (),
        ship: bool = True,
        clock: Clock | None = None,
        timing: Timing | None = None,
        on_status: Callable[[dict[str, object]], None] | None = None,
    ) -> None:
        """Check the collectors' settings; raises :class:`~lifelog_lake.errors.UsageError`.

        ``on_status`` is given what ``run/status.json`` gets, in the supervisor's thread.
        """
        self._home = home
        self._clock = clock or SystemClock()
        self._timing = timing or Timing()
        self._on_status = on_status
        self._messages: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._stop = False
        self._log = structlog.get_logger()
        where = home.path / CONFIG_NAME
        enabled = registry.enabled(home.settings, where)
        streams = {name: registry.streams(name, home.settings, where) for name in registry.names()}
        specs = [self._collector_spec(name, streams[name]) for name in enabled]
        if ship:
            specs.append(self._own_spec(SHIPPER, "lifelog_lake.ship.child", (), ()))
        self._children = [
            Child(spec, self._messages, self._timing.backoff) for spec in (*specs, *extra)
        ]
        self._disabled = {name: streams[name] for name in streams if name not in enabled}
        self._pause: Pause | None = None

    def stop(self) -> None:
        """Ask :meth:`run` to end; safe from any thread and in a signal handler."""
        self._stop = True
        self._messages.put(None)

    def run(self) -> None:
        """Run until :meth:`stop`, SIGTERM, SIGINT or SIGHUP; every child is gone on return.

        Raises :class:`~lifelog_lake.errors.Locked` if another supervisor runs on this home, and
        :class:`~lifelog_lake.errors.SpoolError` if the spool can't be used.
        """
        lock = FileLock(self._home.run / "supervisor.lock")
        try:
            lock.acquire_now("The supervisor of this home")
            restore = self._catch_signals()
            try:
                self._set_up()
                try:
                    self._endpoint.open()
                    self._loop()
                finally:
                    self._endpoint.close()
                    self._end()
            finally:
                restore()
        finally:
            lock.close()

    def _set_up(self) -> None:
        """What needs the home's lock; tells how the run before ended, and that this one began."""
        self._spool = Spool.of(self._home, self._clock)
        self._recorder = Recorder(self._spool, self._clock)
        health_settings = self._home.settings.health
        self._freshness = Freshness(self._recorder, health_settings, self._timing.fresh_s)
        self._aw = AwWatch(self._home, self._clock, health_settings.activitywatch_every_s)
        self._endpoint = Endpoint(health_settings.address, self._clock)
        self._watch = ClockWatch(self._clock)
        self._missed = Missed(self._recorder, self._clock, self._timing.missed_s)
        self._exclusions = Exclusions(self._recorder, self._clock)
        settings = self._home.settings
        self._budgets = Budgets(
            self._recorder, self._clock, settings.budgets, self._home.run, settings.spool
        )
        self._service = ServiceBeat(Notifier(), self._timing.late_s)
        self._reports = Reports(
            home=self._home,
            clock=self._clock,
            spool=self._spool,
            recorder=self._recorder,
            children=self._children,
            disabled=self._disabled,
            budgets=self._budgets,
            activitywatch=self._aw,
            endpoint=self._endpoint,
            on_status=self._on_status,
            started_us=self._clock.wall_us(),
            started_s=self._now_s(),
        )
        tell_crash(self._home, self._spool, self._recorder, self._clock)
        self._recorder.lifecycle("started", reason=f"version {__version__}")
        self._look_at_pause()

    # --- the loop -----------------------------------------------------------------------------

    def _loop(self) -> None:
        next_tick_s = self._begin()
        while not self._stop:
            soon_s = self._budgets.look(self._children)
            wait_s = next_tick_s - self._now_s()
            self._take_messages(max(0.0, wait_s if soon_s is None else min(wait_s, soon_s)))
            now_s = self._now_s()
            if now_s >= next_tick_s:
                next_tick_s = now_s + self._timing.tick_s
                self._tick(now_s)

    def _begin(self) -> float:
        """Say when each thing is due first; the time of the first tick."""
        now_s = self._now_s()
        self._last_tick_s = now_s
        self._pulse_at_s = now_s + min(5.0, self._timing.pulse_s)  # soon: it's running
        self._status_at_s = now_s
        for child in self._children:
            child.next_start_s = now_s + child.spec.after_s
        return now_s

    def _tick(self, now_s: float) -> None:
        """Look at everything once."""
        timing = self._timing
        late = now_s - self._last_tick_s > timing.tick_s + min(10.0, timing.alive_s / 2)
        self._last_tick_s = now_s
        if self._look_at_clocks() or late:  # nobody could beat, or nobody could hear it
            self._forgive(now_s)
        self._look_at_pause()
        for child in self._children:
            self._look_after(child, now_s)
        self._missed.look(self._children, paused=self._pause is not None)
        self._exclusions.look(self._children)
        self._service.look(self._children, now_s, paused=self._pause is not None)
        self._recorder.retry()
        self._aw.look()
        if now_s >= self._pulse_at_s:
            self._pulse_at_s = now_s + timing.pulse_s
            self._reports.pulse()
        if now_s >= self._status_at_s:
            self._status_at_s = now_s + timing.status_s
            self._reports.status("running", self._pause)

    def _take_messages(self, timeout_s: float) -> None:
        """Wait for a line, then take all that have come."""
        try:
            message = self._messages.get(timeout=timeout_s)
            while True:
                if message is not None:
                    self._take(*message)
                message = self._messages.get_nowait()
        except queue.Empty:
            return

    def _take(self, child: Child, life: int, line: bytes | None) -> None:
        if line is None:
            return  # its end is seen by its exit
        before = child.take(life, line, self._now_s(), self._clock.wall_us())
        if before is None:
            return
        self._tell_source(child)
        if before.state == child.beat.state:
            return
        if child.beat.state == "running":
            child.reset_freshness(self._now_s())
        if child.spec.name == ACTIVITYWATCH and child.beat.state in ("running", "unavailable"):
            self._aw.soon()
        self._tell_change(child)

    def _tell_source(self, child: Child) -> None:
        """A row when its source becomes another one: monitors come and go. Over restarts too."""
        now = child.beat.looks_at
        if now and child.looks_at and now != child.looks_at:
            self._tell(child, "changed", reason=f"{child.looks_at} -> {now}")
        child.looks_at = now or child.looks_at

    def _tell_change(self, child: Child) -> None:
        """Rows for entering and leaving a state that a reader must know of, over restarts too."""
        state = child.beat.state
        if state == child.told or (state != "running" and state not in _ENTERED):
            return
        if child.told is not None:
            self._tell(child, _LEFT[child.told])
        child.told = state if state in _ENTERED else None
        if child.told is not None:
            self._tell(child, _ENTERED[child.told], reason=child.beat.reason)

    def _look_after(self, child: Child, now_s: float) -> None:
        if not child.running:
            if now_s >= child.next_start_s:
                self._start(child, now_s)
            return
        if (code := child.ended()) is not None:
            self._mourn(child, child.killed_because or f"ended with {_exit_name(code)}", now_s)
            return
        if child.held:
            child.last_beat_s = now_s
        if child.spec.beats and now_s - child.last_beat_s >= self._timing.alive_s:
            child.kill(f"no beat for {self._timing.alive_s:.0f} s")
            return  # its end is seen at the next tick
        self._freshness.look(child, now_s)

    def _start(self, child: Child, now_s: float) -> None:
        try:
            child.start(now_s)
        except OSError as error:
            child.next_start_s = now_s + self._timing.backoff.most_s
            child.last_reason = f"can't be started: {error.strerror}"
            self._tell(child, "failed", reason=child.last_reason)
            return
        if child.restarts == 0:
            self._tell(child, "started")

    def _mourn(self, child: Child, what: str, now_s: float) -> None:
        reason = f"{what}: {child.beat.reason}" if child.beat.reason else what
        child.last_reason = reason
        child.bury(now_s)
        child.restarts += 1
        wait_s = child.next_start_s - now_s
        self._tell(child, "restarted", reason=f"{reason}; started again in {wait_s:.0f} s")

    def _tell(self, child: Child, kind: str, reason: str | None = None) -> None:
        """One lifecycle row a stream of the child, or one if it has none."""
        for stream in child.spec.streams or (None,):
            self._recorder.lifecycle(
                kind, collector=child.spec.name, stream=stream, reason=reason or None
            )

    # --- the machine and the person -----------------------------------------------------------

    def _look_at_clocks(self) -> bool:
        jumps = self._watch.look()
        for jump in jumps:
            reason = f"{jump.step_us / US_PER_S:+.1f} s" if jump.kind == "clock_step" else None
            self._recorder.lifecycle(
                jump.kind, at=min(jump.at, jump.end), end=max(jump.at, jump.end), reason=reason,
                extra={"step_us": jump.step_us},
            )  # fmt: skip
            if jump.kind == "clock_step":
                for child in self._children:
                    child.clock_was_set(jump.step_us, jump.end)
        if any(jump.kind == "suspended" for jump in jumps):
            now_s = self._now_s()
            for child in self._children:  # what kept it from running may be over
                child.next_start_s = min(child.next_start_s, now_s)
        return bool(jumps)

    def _forgive(self, now_s: float) -> None:
        for child in self._children:
            child.last_beat_s = now_s
            child.reset_freshness(now_s)

    def _look_at_pause(self) -> None:
        before, self._pause = self._pause, paused(self._home.path, self._clock)
        if before is None and self._pause is not None:
            self._recorder.lifecycle(
                "paused", at=max(self._pause.since_us, self._reports.started_us),
                extra={"until": self._pause.until_us},
            )  # fmt: skip
        elif before is not None and self._pause is None:
            ended_us = self._clock.wall_us()
            self._recorder.lifecycle("resumed", at=min(before.until_us or ended_us, ended_us))

    # --- the end ------------------------------------------------------------------------------

    def _end(self) -> None:
        """End those that write, then say so, then the shipper, whose last run takes it along."""
        self._service.stopping()
        self._budgets.release(self._children)
        shipper = [child for child in self._children if child.spec.name == SHIPPER]
        others = [child for child in self._children if child not in shipper]
        self._exclusions.close(self._children)  # with its end a child's beats are forgotten
        kill_at_s = self._now_s() + self._timing.stop_s
        self._end_children(others, kill_at_s - self._timing.last_run_s)
        for child in shipper:
            self._tell(child, "stopped")
        self._missed.close(self._children)
        self._recorder.lifecycle("stopped")
        self._reports.pulse()
        self._end_children(shipper, kill_at_s)
        self._reports.status("stopped", self._pause)

    def _end_children(self, children: Sequence[Child], kill_at_s: float) -> None:
        for child in children:
            child.ask_to_stop()
        killed = False
        while left := [child for child in children if child.running]:
            for child in left:
                if (code := child.ended()) is not None:
                    if child.spec.name != SHIPPER or code:
                        self._tell(child, "stopped", reason=None if code == 0 else _exit_name(code))
                    child.bury(self._now_s())
            if self._now_s() >= kill_at_s:
                if killed:
                    self._log.error("children_left", children=[child.spec.name for child in left])
                    return
                killed, kill_at_s = True, kill_at_s + 1.0
                for child in left:
                    child.kill()
            self._take_messages(0.02)

    def _catch_signals(self) -> Callable[[], None]:
        """Install the handlers; the returned function puts the old ones back."""
        if threading.current_thread() is not threading.main_thread():
            return lambda: None

        def on_signal(number: int, frame: FrameType | None) -> None:
            del number, frame
            self.stop()

        names = ("SIGTERM", "SIGINT", "SIGHUP", "SIGBREAK")
        numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
        before = {number: signal.signal(number, on_signal) for number in numbers}

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        return restore

    # --- specs --------------------------------------------------------------------------------

    def _collector_spec(self, name: str, streams: tuple[str, ...]) -> ChildSpec:
        return self._own_spec(name, "lifelog_lake.collect.child", (name,), streams)

    def _own_spec(
        self, name: str, module: str, arguments: tuple[str, ...], streams: tuple[str, ...]
    ) -> ChildSpec:
        argv = (sys.executable, "-m", module, *arguments, "--home", str(self._home.path))
        to_console = self._home.settings.log.file == ""
        stderr = None if to_console else self._home.logs / f"{name}.stderr"
        return ChildSpec(name=name, argv=argv, streams=streams, stderr=stderr)

    def _now_s(self) -> float:
        return self._clock.monotonic_s()


def _exit_name(code: int) -> str:
    """An exit code in words; on POSIX a negative one is the signal that ended the process."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
