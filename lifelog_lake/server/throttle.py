"""How often somebody may fail to log in: a few times at once, then one try each few seconds.

Counted by address. Who fails too often is told to wait, and what he offers meanwhile isn't looked
at: neither passwords nor tokens that a person chose. Random tokens can't be guessed at any pace,
so programs that share an address with a guesser go on.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

#: Failures that may come at once, and how long until one more may.
BURST = 10
EVERY_S = 6.0
#: Addresses that are remembered; those that failed longest ago are forgotten first.
MOST_ADDRESSES = 10_000


class Throttle:
    """Failures by address; for one thread."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        #: When each address will have no failure left to its name.
        self._clear_at_s: OrderedDict[str, float] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """Seconds until this address may try again; 0 if it may now."""
        owed_s = self._clear_at_s.get(address, 0.0) - self._now_s()
        return max(0.0, owed_s - (BURST - 1) * EVERY_S)

    def fail(self, address: str) -> None:
        """Remember a failure."""
        now_s = self._now_s()
        clear_at_s = max(now_s, self._clear_at_s.pop(address, 0.0)) + EVERY_S
        self._clear_at_s[address] = min(clear_at_s, now_s + BURST * EVERY_S)
        while len(self._clear_at_s) > MOST_ADDRESSES:
            self._clear_at_s.popitem(last=False)
