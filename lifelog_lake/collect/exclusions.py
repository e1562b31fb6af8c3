"""Tells what the person's rules left out: rows ``excluded``, from when to when, and by which rule.

Collectors say it with their beats, again with a later end while it goes on. A row is written once a
time is over, and each few minutes of a long one, so that a supervisor that is killed owes little.
What is told a second time by a collector that reads its source again is written once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lifelog_lake.clock import US_PER_S, Clock
from lifelog_lake.collect.process import Child
from lifelog_lake.collect.recorder import Recorder

MINUTE_US = 60 * US_PER_S
#: A time whose end hasn't moved for so long is over.
OVER_US = 2 * MINUTE_US
#: Of a longer one a part is written; parts end with a minute, as a minute has one state.
PART_US = 5 * MINUTE_US


@dataclass(slots=True)
class Exclusions:
    """One a supervisor. ``look`` at each tick; ``close`` at its end."""

    recorder: Recorder
    clock: Clock
    #: Up to when it is written, by collector and stream.
    _written: dict[tuple[str, str], int] = field(default_factory=dict)

    def look(self, children: Sequence[Child]) -> None:
        """Write what is over, and parts of what is long."""
        now_us = self.clock.wall_us()
        for child in children:
            for stream, spans in child.beat.excluded.items():
                for place, (first, last, why) in enumerate(spans):
                    begin = max(first, self._written.get((child.spec.name, stream), 0))
                    if place + 1 < len(spans) or now_us - last >= OVER_US:
                        self._write(child, stream, begin, last, why)
                    elif last - begin >= PART_US:
                        self._write(child, stream, begin, last - last % MINUTE_US, why)

    def close(self, children: Sequence[Child]) -> None:
        """Write the rest."""
        for child in children:
            for stream, spans in child.beat.excluded.items():
                for first, last, why in spans:
                    begin = max(first, self._written.get((child.spec.name, stream), 0))
                    self._write(child, stream, begin, last, why)

    def _write(self, child: Child, stream: str, begin: int, end: int, why: str) -> None:
        if begin >= end:
            return
        self.recorder.lifecycle(
            "excluded", at=begin, end=end, collector=child.spec.name, stream=stream, reason=why
        )
        self._written[child.spec.name, stream] = end
