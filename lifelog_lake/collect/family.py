"""What a child uses, and how it is stopped for a while: its process and those that it started.

A program that a collector runs (an encoder, a person's command) counts as the collector's own as
long as it hangs below it, and so does one that has ended and was waited for. One that left for good
(a daemon) doesn't.
"""

from __future__ import annotations

import contextlib

import psutil

#: Seconds between two looks for processes that were started: each looks at all of the machine's.
#: What one of them used before it was found counts then.
LOOK_S = 10.0
#: Processor seconds that a program's start takes.
START_S = 0.1


class Family:
    """The processes below one, itself included; ``psutil.Error`` once that one is gone."""

    def __init__(self, pid: int) -> None:
        self._head = psutil.Process(pid)
        self._others: list[psutil.Process] = []
        self._look_at_s = float("-inf")
        #: Processor seconds of each of the others, and which of them use any.
        self._used: dict[psutil.Process, float] = {}
        self._busy: set[psutil.Process] = set()
        self._held: list[psutil.Process] = []

    def measure(self, now_s: float) -> tuple[float, int]:
        """Processor seconds since the head began, and resident bytes, of all of them."""
        if now_s >= self._look_at_s:
            self._look_at_s = now_s + LOOK_S
            self._others = self._head.children(recursive=True)
            self._used = {one: self._used[one] for one in self._others if one in self._used}
            self._busy &= self._used.keys()
        own_s, waited_s, rss_bytes = _use(self._head)
        cpu_s = own_s + waited_s
        for other in list(self._others):
            try:
                own_s, waited_s, resident_bytes = _use(other)
            except psutil.Error:  # it ended; who waited for it has its seconds now
                self._others.remove(other)
                self._busy.discard(other)
                continue
            cpu_s += own_s + waited_s
            rss_bytes += resident_bytes
            is_busy = own_s > self._used.get(other, START_S)
            (self._busy.add if is_busy else self._busy.discard)(other)
            self._used[other] = own_s
        return cpu_s, rss_bytes

    def hold(self) -> None:
        """Stop the head and those that use the processor; again, for those found meanwhile.

        Who only waits needs no stopping, and may have to end another one, as a tether has.
        """
        for one in (self._head, *self._busy):
            if one not in self._held:
                self._held.append(one)
                with contextlib.suppress(psutil.Error):  # it has just ended
                    one.suspend()

    def go_on(self) -> None:
        """Let those go on that were stopped."""
        held, self._held = self._held, []
        for one in held:
            with contextlib.suppress(psutil.Error):  # it was killed meanwhile
                one.resume()


def _use(process: psutil.Process) -> tuple[float, float, int]:
    """Its processor seconds, those of children that it waited for, and its resident bytes."""
    with process.oneshot():
        times = process.cpu_times()
        waited_for_s = times.children_user + times.children_system
        return times.user + times.system, waited_for_s, process.memory_info().rss
