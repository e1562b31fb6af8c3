"""A lease: one holder at a time, and that of a dead one ends by itself.

``control/leases/<name>/<number>.json``; the greatest number counts. Taking, renewing and giving
back are each the conditional put of the next number, of which one succeeds: whoever took the lease
over has gone past its last holder, who sees that at the next renewal. Older numbers are deleted,
the greatest never, so that no number comes twice while somebody may still believe in it; who wrote
a number looks whether a greater one is there after all.

A lease saves work, and nothing else rests on it: two compactors at once are kept apart by the log
they commit to. A holder judges its own lease by the clock since boot, which counts sleep. Others
judge it by the time written in it and their own wall clock, and give it :data:`SKEW_S` more: clocks
of two hubs that differ by less never take a lease from a living holder. One that is said to last
longer than any may was written by a clock that was wrong, and holds nobody up.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import orjson
import psutil

from lifelog_lake.clock import US_PER_S, Clock, iso
from lifelog_lake.errors import LakeDenied, LakeUnreachable, Locked
from lifelog_lake.lake.store import CONTROL, Store

#: How long a lease lasts after its last renewal; renewed when a third has passed.
LASTS_S = 300.0
#: How far apart the clocks of two hubs may be.
SKEW_S = 300.0
#: How often a lease is looked for that its holder renews at the same moment.
LOOKS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """What one object says: whose the lease is, and until when (µs, the holder's wall clock)."""

    device: str
    pid: int
    until_us: int

    def is_over(self, device: str, now_us: int) -> bool:
        """Whether somebody else may take it: given back, run out, or its process is gone here."""
        left_s = (self.until_us - now_us) / US_PER_S
        if not -SKEW_S <= left_s <= LASTS_S + SKEW_S:
            return True
        return self.device == device and not psutil.pid_exists(self.pid)


class Lease:
    """The lease of a name. Taken by :func:`hold`."""

    def __init__(self, store: Store, name: str, device: str, clock: Clock) -> None:
        self._store = store
        self._name = name
        self._device = device
        self._clock = clock
        self._number = 0
        self._written_us = 0

    def take(self) -> None:
        """Raises :class:`Locked` if somebody has it, :class:`LakeDenied` if this key may not."""
        number, term = self._newest()
        if term is not None and not term.is_over(self._device, self._clock.wall_us()):
            raise Locked(
                f"'{self._name}' is at work already: process {term.pid} of {term.device}.",
                hint=f"Let it finish; if it died, its lease ends at {iso(term.until_us)}.",
            )
        self._write(number + 1, self._in(LASTS_S))

    def keep(self) -> None:
        """Call it often, and before whatever must not happen twice: renews when it is time.

        Raises :class:`Locked` if the lease was lost: stop, another one may have it.
        """
        age_s = (self._clock.boot_us() - self._written_us) / US_PER_S
        if age_s >= LASTS_S:
            raise self._lost()
        if age_s >= LASTS_S / 3:
            self._write(self._number + 1, self._in(LASTS_S))

    def give_back(self) -> None:
        """Let the next one have it at once."""
        with contextlib.suppress(Locked):  # somebody has it already
            self._write(self._number + 1, 0)  # over by every clock

    def stored_us(self) -> int:
        """When the store says that the lease was last written: its own clock, µs since 1970.

        Raises :class:`Locked` if it was lost.
        """
        try:
            return int(self._store.stat(self._key(self._number)).modified_s * US_PER_S)
        except FileNotFoundError:
            raise self._lost() from None

    def _in(self, seconds: float) -> int:
        return self._clock.wall_us() + int(seconds * US_PER_S)

    def _write(self, number: int, until_us: int) -> None:
        written_us = self._clock.boot_us()
        content = orjson.dumps(
            {
                "device": self._device,
                "pid": os.getpid(),
                "until": iso(until_us),
                "until_us": until_us,
                "nonce": uuid.uuid4().hex,
            }
        )
        try:
            won = self._store.write_new(self._key(number), content, at="lease")
        except LakeDenied as error:
            raise LakeDenied(
                f"This key may not care for the lake: {error.message}",
                hint="Compaction is the hub's work and needs its key: docs/s3.md.",
            ) from None
        numbers = self._numbers()
        if not won or max(numbers, default=0) > number:
            raise self._lost()
        self._number, self._written_us = number, written_us
        for older in numbers:
            if older < number:
                self._store.delete(self._key(older), at="lease")

    def _newest(self) -> tuple[int, Term | None]:
        for _ in range(LOOKS):
            number = max(self._numbers(), default=0)
            if not number:
                return 0, None
            try:
                found = orjson.loads(self._store.read(self._key(number)))
                return number, Term(
                    device=str(found["device"]),
                    pid=int(found["pid"]),
                    until_us=int(found["until_us"]),
                )
            except FileNotFoundError:
                continue  # renewed meanwhile
            except (ValueError, KeyError, TypeError):
                return number, None  # not written by us: nobody holds it
        raise LakeUnreachable(
            f"The lease '{self._name}' can't be read.", hint="It is tried again with the next run."
        )

    def _numbers(self) -> list[int]:
        names = (key.rpartition("/")[2] for key in self._store.keys(f"{LEASES}/{self._name}"))
        return [int(name[:-5]) for name in names if name.endswith(".json") and name[:-5].isdigit()]

    def _key(self, number: int) -> str:
        return f"{LEASES}/{self._name}/{number:020d}.json"

    def _lost(self) -> Locked:
        return Locked(
            f"'{self._name}' was taken over by another process.",
            hint="Nothing is lost; whoever has it goes on.",
        )


LEASES = f"{CONTROL}/leases"


@contextlib.contextmanager
def hold(store: Store, name: str, device: str, clock: Clock) -> Iterator[Lease]:
    """Have a lease for a while. Raises as :meth:`Lease.take` does."""
    lease = Lease(store, name, device, clock)
    lease.take()
    try:
        yield lease
    finally:
        lease.give_back()
