"""What a rule sees, and what became of it. Times are µs since 1970 UTC, as in the facts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["info", "warning", "critical"]
State = Literal["open", "acknowledged", "snoozed", "resolved"]

#: From the least to the most severe.
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a health rule sees now. Holds no captured content.

    ``says`` is a sentence, ``hint`` what a person can do about it. ``since`` is when it began by
    the events' own times, None where nothing tells. ``device`` and ``stream`` are what
    it is about, ``subject`` whatever else tells two findings of a rule apart (a flow, a table);
    empty where it is about all.
    """

    rule: str
    severity: Severity
    says: str
    hint: str
    since: int | None = None
    device: str = ""
    stream: str = ""
    subject: str = ""

    @property
    def key(self) -> str:
        """Names it from run to run: ``rule/device/subject``, with ``-`` for what is empty."""
        return key_of(self.rule, self.device, self.stream or self.subject)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A finding that opened, as it stands now: the newest of its rows in the stream ``alert``.

    ``since`` is when the finding began, ``opened_at`` when this alert opened, ``changed_at`` its
    newest row; ``until`` the end of a snooze.
    """

    key: str
    rule: str
    device: str
    stream: str
    subject: str
    severity: Severity
    state: State
    says: str
    hint: str
    since: int | None
    opened_at: int
    changed_at: int
    until: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether it isn't resolved: open, acknowledged or snoozed."""
        return self.state != "resolved"


def key_of(rule: str, device: str, subject: str) -> str:
    """``rule/device/subject``, with ``-`` for what is empty."""
    return f"{rule}/{device or '-'}/{subject or '-'}"
