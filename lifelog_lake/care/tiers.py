"""Which files are merged, so that few stay and little is written again.

A group of a partition's files is merged if together they have :data:`GROWTH` times the rows of the
largest of them: each rewriting makes a row's file that much larger. Equal commits, 1,440 or 11,520
a day, are thus rewritten twice in their day, however often this is asked, and a few dozen files are
the most that stay. Once the day is over and nothing has come for an hour, the partition is closed:
what adds an eighth to the largest file is merged with it. So rows that come late to a large file
stay beside it until they are worth rewriting it.

Rows decide, not bytes: tiny files are mostly frame. A pure function of the files and the time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from lifelog_lake.clock import US_PER_S, to_us
from lifelog_lake.lake.rewrite import LiveFile

GROWTH = 24
GROWTH_AT_CLOSE = 1.125
QUIET_US = 3600 * US_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Groups to merge, each of one partition, its smallest files first; and when there may be more
    to merge though nothing was added (µs since 1970)."""

    groups: tuple[tuple[LiveFile, ...], ...]
    again_us: int | None


def plan(files: Sequence[LiveFile], *, target_bytes: int, now_us: int) -> Plan:
    """What to merge now. Files of half the target size or more are never touched again."""
    partitions: dict[str, list[LiveFile]] = defaultdict(list)
    for file in files:
        partitions[file.date].append(file)
    groups, later = [], []
    for date, found in sorted(partitions.items()):
        small = sorted(
            (file for file in found if file.size_bytes < target_bytes // 2),
            key=lambda file: (file.rows, file.path),
        )
        closes_us = _closes_us(date, found, now_us)
        count = _fit(small, GROWTH if now_us < closes_us else GROWTH_AT_CLOSE)
        if count:
            groups.append(tuple(small[:count]))
        if now_us < closes_us and len(small) - max(count - 1, 0) > 1:
            later.append(closes_us)
    return Plan(groups=tuple(groups), again_us=min(later, default=None))


def _closes_us(date: str, files: Sequence[LiveFile], now_us: int) -> int:
    """When a partition counts as complete. A writer's clock that is ahead doesn't count."""
    over = datetime.fromisoformat(date).replace(tzinfo=UTC) + timedelta(days=1)
    newest_us = max((f.modified_us for f in files if f.modified_us <= now_us), default=0)
    return max(to_us(over), newest_us) + QUIET_US


def _fit(files: Sequence[LiveFile], growth: float) -> int:
    """How many of the smallest files may be merged; 0 for none."""
    total = best = 0
    for count, file in enumerate(files, 1):
        total += file.rows
        if count > 1 and total >= growth * file.rows:
            best = count
    return best
