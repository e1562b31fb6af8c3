"""Draws that are the same everywhere: words of a Philox generator, used as integers.

numpy keeps the words of a bit generator stable, but not what its distributions make of them, and
libraries of mathematics differ in the last bit; so nothing here leaves the integers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Item = TypeVar("Item")


def key_of(*names: object) -> int:
    """128 bits that stand for these names."""
    text = "\x1f".join(str(name) for name in names)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "big")


class Chance:
    """A row of draws that belongs to its names; other names, other draws."""

    def __init__(self, *names: object) -> None:
        self._words = np.random.Philox(key=key_of(*names))

    def many(self, count: int, below: int) -> Ints:
        """``count`` whole numbers from 0 to ``below`` - 1."""
        words = np.asarray(self._words.random_raw(count), np.uint64) >> np.uint64(32)
        return ((words * np.uint64(below)) >> np.uint64(32)).astype(np.int64)

    def one(self, first: int, last: int) -> int:
        """A whole number from ``first`` to ``last``, both included."""
        return first + int(self.many(1, last - first + 1)[0])

    def near(self, middle: int, spread: int) -> int:
        """A number that is most often near ``middle``, at most ``spread`` away."""
        first, second = self.many(2, spread + 1)
        return middle + int(first) - int(second)

    def happens(self, percent: int) -> bool:
        """True so often in a hundred."""
        return self.one(0, 99) < percent

    def pick(self, items: Sequence[Item]) -> Item:
        """One of several."""
        return items[self.one(0, len(items) - 1)]
