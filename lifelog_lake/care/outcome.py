"""What a job of care did, in numbers and in words."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The end of one run.

    ``counts`` names what was done ("files merged": 120), in the order in which it is shown; nothing
    but zeros means that nothing was to do. ``findings`` are for a person, each a sentence.
    """

    job: str
    counts: dict[str, int] = field(default_factory=dict)
    findings: tuple[str, ...] = ()

    def words(self) -> str:
        """``compact: 120 files merged, 3 files written``, or that nothing was to do."""
        done = [f"{count:,} {what}" for what, count in self.counts.items() if count]
        return f"{self.job}: {', '.join(done) or 'nothing to do'}"
