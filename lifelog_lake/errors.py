"""One exception tree for the whole project.

Every error says what happened, where, and in ``hint`` what a person can do about it. The two
branches tell a caller how to go on: ``Transient`` may succeed when tried again, ``Terminal`` will
not succeed before somebody changes something. ``exit_code`` is what the command line returns.
"""

from __future__ import annotations


class LifelogError(Exception):
    """Root of all errors that this project raises on purpose.

    ``hint`` is one sentence that tells how to mend it, or an empty string. ``fields`` locate the
    error (stream, seq, path …); they never hold captured content, so they may be logged.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "", **fields: object) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.fields = fields

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class Transient(LifelogError):
    """May succeed when tried again, with nothing changed by a person."""


class Terminal(LifelogError):
    """Will fail again until somebody changes something."""


class UsageError(Terminal):
    """Wrong usage or input: a bad option, setting or argument."""

    exit_code = 2


class InvalidEvent(Terminal):
    """An event that can't be stored; the collector's runner puts it into quarantine."""

    exit_code = 2


class UnknownEntry(UsageError):
    """There is no such journal entry or attachment, or it is deleted."""


class EntryExists(UsageError):
    """An entry of this id is there already."""


class EntryChanged(UsageError):
    """The entry isn't the revision any more that the change was made for; nothing was written."""


class FileRefused(UsageError):
    """A file that can't be attached: its type, its name, its length or its number."""


class EntryFull(FileRefused):
    """The entry has as many files as it may have."""


class FileIncomplete(FileRefused):
    """A file that didn't come as it was said to: cut short, of another length."""


class FileTooLarge(FileRefused):
    """A file larger than the setting allows."""


class MissingExtra(UsageError):
    """A command needs an optional part of the package that isn't installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs the extra '{extra}', which isn't installed.",
            hint=f'Install it: pip install "lifelog-lake[{extra}]"',
            extra=extra,
        )


class Unavailable(Transient):
    """A source can't run here and now (no display, no microphone); tried again later."""


class SpoolError(Terminal):
    """The spool is in a state that needs a person (newer format, foreign directory)."""


class SpoolFull(Transient):
    """No room for another record: the spool's limit or the disk. Nothing was written."""


class SpoolWriteFailed(Transient):
    """A write or sync of the spool failed; the batch isn't acknowledged, offer it again."""


class LakeUnreachable(Transient):
    """The lake isn't there, or isn't the one this home knows."""

    exit_code = 3


class LakeDenied(LakeUnreachable):
    """The lake's server refuses the keys; they may be rotated or get more rights any time."""


class ContentRefused(Terminal):
    """The lake's server refuses this very content or call; others may go on."""


class LakeRefused(Terminal):
    """The lake is there but can't be used: newer format, unfit file system, drifted schema."""

    exit_code = 3


class LakeDamaged(Terminal):
    """A file of the lake isn't what was written."""


class CommitConflict(Transient):
    """Another writer committed first; nothing of this attempt is in the lake."""


class Locked(Transient):
    """Another process of this home holds the lock."""
