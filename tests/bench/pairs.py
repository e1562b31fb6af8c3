"""Two things measured by turns, so that a noisy machine is noisy to both alike.

A round is one turn of A and one of B. What is reported is the median of the rounds' ratios, which
a slow moment of the machine can't move; the absolute figures beside it can be.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

#: One turn: does its work and says how many seconds that took, without what it had to prepare.
Turn = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the report. ``goal`` is None for what is told as information."""

    name: str
    ours: str
    base: str
    value: str
    goal: str | None = None
    met: bool | None = None
    rounds: int = 1

    @property
    def verdict(self) -> str:
        """What stands in the last column."""
        return {True: "met", False: "**missed**", None: "information"}[self.met]


def compare(
    name: str,
    *,
    ours: Turn,
    base: Turn,
    units: int,
    unit: str,
    rounds: int,
    goal: float | None = None,
    warm_up: int = 2,
) -> Row:
    """Alternate both and compare their speed; ``units`` is what one turn of either gets done."""
    for _ in range(warm_up):
        ours()
        base()
    ours_s: list[float] = []
    base_s: list[float] = []
    for _ in range(rounds):
        ours_s.append(ours())
        base_s.append(base())
    ratios = sorted(b / a for a, b in zip(ours_s, base_s, strict=True))
    ratio = statistics.median(ratios)
    low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
    return Row(
        name=name,
        ours=f"{_short(units / statistics.median(ours_s))} {unit}/s",
        base=f"{_short(units / statistics.median(base_s))} {unit}/s",
        value=f"{ratio:.2f} ({low:.2f} to {high:.2f})",
        goal=None if goal is None else f"at least {goal}",
        met=None if goal is None else ratio >= goal,
        rounds=rounds,
    )


def _short(value: float) -> str:
    """A figure with as many digits as it deserves."""
    digits = 10 ** max(0, len(str(int(value))) - 3)
    return f"{round(value / digits) * digits:,}"
