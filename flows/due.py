"""Which of the runs that are due is to be started. No Prefect, no clock: facts in, a choice out."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due(Generic[K]):
    """A run whose time has come. ``asked`` = by a person, not by a schedule."""

    id: K
    at: datetime
    asked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(Generic[K]):
    """The run to start (None: none now), and those that are left out, each with its reason."""

    start: K | None
    left_out: tuple[tuple[K, str], ...]


def choose(due: Sequence[Due[K]], *, now: datetime, grace_s: float, free: bool) -> Choice[K]:
    """Choose among the due runs of one flow.

    One is enough however many were missed: what a person asked for, else the newest. One that is
    older than the grace is left out. While the flow can't start (``free`` is false: it runs, or
    others do) the chosen one waits, and the others needn't.
    """
    oldest = now - timedelta(seconds=grace_s)
    too_late = [run for run in due if not run.asked and run.at < oldest]
    left = sorted((run for run in due if run not in too_late), key=lambda run: (run.asked, run.at))
    newest = left.pop() if left else None
    return Choice(
        start=newest.id if newest is not None and free else None,
        left_out=(
            *((run.id, "It was missed for longer than its grace.") for run in too_late),
            *((run.id, "A later run of this flow does its work.") for run in left),
        ),
    )
