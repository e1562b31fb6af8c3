"""What a collector is, and what it is given.

A collector is one small class that looks at one source. It is made in a process of its own, in
its main thread, and only ever called from there::

    class Battery:
        name = "battery"
        streams = ("sensor",)
        Settings = BatterySettings            # a CollectorSettings

        def __init__(self, settings, context): ...   # may raise Unavailable
        def poll(self): ...                          # one look; about every settings.every_s
        def stop(self): ...                          # optional: write what isn't complete, let go

Importing a collector's module must be cheap: the supervisor does so to check its settings. Heavy
libraries are imported when the collector is made; one that is missing is a ``MissingExtra``.

How the errors of ``poll`` and of the constructor are taken:

- ``Unavailable``: the source can't be had now. ``stop`` is called and a new collector is made
  after a while.
- ``InvalidEvent``: counted and put into quarantine; the next poll comes as if nothing had been.
- anything else ends the process; the supervisor starts it again, later each time.

``stop`` is also called when the person pauses; the collector is made anew after that.

``docs/collectors.md`` is the long version with an example, and
:class:`lifelog_lake.collect.contract.CollectorContract` tests what is said here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

from pydantic import Field

from lifelog_lake.clock import Clock
from lifelog_lake.errors import InvalidEvent
from lifelog_lake.events import Event
from lifelog_lake.section import Section
from lifelog_lake.validate import JSON


class CollectorSettings(Section):
    """What every collector can be told; each adds its own."""

    enabled: bool = Field(True, description="Whether this source is recorded.")
    every_s: float = Field(10.0, gt=0, le=3600, description="Seconds between two looks.")

    @property
    def look_s(self) -> float:
        """Longest time between two observations of a source that is well; five times as long
        without one is *stale*. Another one than ``every_s`` for polls that don't always look."""
        return self.every_s

    @property
    def pace(self) -> str:
        """How it records, in a few words for a person."""
        return f"each {self.every_s:g} s"


class Context(Protocol):
    """A collector's way to the spool and to the supervisor."""

    @property
    def clock(self) -> Clock:
        """Wall time and zone."""

    @property
    def level(self) -> int:
        """How far down the ladder this collector is, 0 = not at all: see
        :mod:`lifelog_lake.levels`. The rate is seen to by who calls ``poll``."""

    def append(self, events: Sequence[Event], cursor: JSON = None) -> None:
        """Hand over rows of one stream, with the source's cursor if it has one.

        They are made by :func:`lifelog_lake.events.new_event`; the spool adds the device's time
        zone to those that name none.

        They are durable on return, or, while the spool can't take them, kept in memory in their
        order and tried again; ``poll`` isn't called until they are durable.
        """

    def cursor(self, stream: str) -> JSON:
        """The cursor of the last rows that became durable, or None."""

    def observed(self, stream: str) -> None:
        """Say that the source was looked at with success just now, whether it gave a row or not."""

    def trouble(self, reason: str) -> None:
        """Say what is wrong with a part of the source while the rest goes on; "" = nothing.

        The state is *error* with this reason until it is taken back. Never captured content.
        """

    def remark(self, text: str) -> None:
        """Say what a person should know though all is well; "" = nothing. No captured content."""

    def looks_at(self, what: str) -> None:
        """Say what the source is now, such as its monitors; another one than before becomes a
        lifecycle row ``changed``. Never captured content."""

    def unseen(self, stream: str, why: str) -> None:
        """Say why nothing of a stream can be observed while the others go on, and what to do about
        it; "" = no more. The stream is *stale* after a while, and this is told with it.
        """

    def excluded(self, stream: str, start: int, end: int, why: str) -> None:
        """Say that the person's rules left out what the source had from ``start`` to ``end`` (µs
        since 1970 UTC); again, with a later end, while it goes on. Coverage shows that time as
        *excluded*. ``why`` names the rule in a few words, never captured content.
        """

    def stale_after_s(self, stream: str) -> float | None:
        """How old the newest event of a stream may be before something is wrong; None = any age.

        The supervisor judges observations by it. A collector that reads what another program
        writes can tell that nothing new comes from there: ``unseen`` says so.
        """

    def progress(self, share: float | None, doing: str = "") -> None:
        """Say how much of the source's history is read, 0 to 1, and where it is (a few words).

        Until it is None again, ``poll`` is called without a wait; so each call should take a second
        at most, in which case the source's present isn't kept waiting either.
        """

    def refuse(self, stream: str, payload: bytes, error: InvalidEvent) -> None:
        """Put one item of the source that can't be a row into quarantine, and count it."""


class Collector(Protocol):
    """See the module."""

    name: ClassVar[str]
    streams: ClassVar[tuple[str, ...]]
    Settings: ClassVar[type[CollectorSettings]]

    def __init__(self, settings: Any, context: Context) -> None:
        """May raise :class:`~lifelog_lake.errors.Unavailable`."""

    def poll(self) -> None:
        """Look once."""


def streams_of(cls: type[Collector], settings: CollectorSettings) -> tuple[str, ...]:
    """The streams that a collector writes with these settings; none = it has nothing to do.

    They are ``cls.streams``, or what the optional class method ``cls.streams_for(settings)`` says.
    """
    choose: Callable[[CollectorSettings], tuple[str, ...]] | None
    choose = getattr(cls, "streams_for", None)
    return cls.streams if choose is None else choose(settings)
