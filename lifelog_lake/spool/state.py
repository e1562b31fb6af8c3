"""What a spool stream knows besides its records: ``state.json``, replaced as a whole."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from lifelog_lake import fsio
from lifelog_lake.errors import SpoolError
from lifelog_lake.events import new_id

NAME = "state.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamState:
    """The current epoch and how far it got.

    ``acked``: last seq that is in the lake, -1 for none. ``dropped``: inclusive ranges that a
    policy removed before they were shipped; ``dropped_times``: the first seq of each, and when its
    first and last row were recorded (µs since 1970 UTC). ``check_ids_to``: rows up to this seq were
    offered before and are left out if the lake has their id. ``generation``: of the lake that the
    acks came from, ``<lake id>/<number>``, empty before the first ack.
    """

    epoch: str
    acked: int = -1
    acked_at: int | None = None
    dropped: tuple[tuple[int, int], ...] = ()
    dropped_times: tuple[tuple[int, int, int], ...] = ()
    check_ids_to: int = -1
    generation: str = ""

    def write(self, directory: Path, *, at: str) -> StreamState:
        """Replace the stream's state, durably."""
        content: dict[str, object] = {
            "epoch": self.epoch,
            "acked": self.acked,
            "acked_at": self.acked_at,
            "dropped": self.dropped,
            "dropped_times": self.dropped_times,
            "check_ids_to": self.check_ids_to,
            "generation": self.generation,
        }
        content["crc"] = _crc(content)
        fsio.write_atomic(directory / NAME, orjson.dumps(content) + b"\n", at=at)
        return self

    def with_ack(self, seq: int, at_us: int, generation: str) -> StreamState:
        """The state after an ack."""
        return replace(
            self,
            acked=seq,
            acked_at=at_us,
            generation=generation,
            dropped=(left := tuple(span for span in self.dropped if span[1] > seq)),
            dropped_times=tuple(
                times for times in self.dropped_times if any(times[0] == span[0] for span in left)
            ),
        )

    def with_drop(self, span: tuple[int, int], times: tuple[int, int] | None) -> StreamState:
        """The state after a policy removed an inclusive range of pending seqs, recorded then."""
        known = self.dropped_times if times is None else (*self.dropped_times, (span[0], *times))
        return replace(self, dropped=(*self.dropped, span), dropped_times=known)


class StateFile:
    """Reads ``state.json`` again only when another process has replaced it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / NAME
        self._name = str(self._path)  # looked at in each append, where a Path costs more
        self._seen: tuple[int, int] | None = None
        self._state: StreamState | None = None

    def read(self) -> StreamState | None:
        """The state as it is on disk now, or None if there is none yet."""
        try:
            status = os.stat(self._name)
        except FileNotFoundError:
            return None
        seen = (status.st_ino, status.st_mtime_ns)
        if seen != self._seen or self._state is None:
            self._state = parse_state(self._path)
            self._seen = seen
        return self._state

    def create(self) -> StreamState:
        """Begin the stream's first epoch."""
        return StreamState(epoch=new_id()).write(self._directory, at="spool")


def parse_state(path: Path) -> StreamState:
    """Read a state file; :class:`SpoolError` if it isn't one."""
    try:
        content = orjson.loads(path.read_bytes())
        if content.pop("crc") != _crc(content):
            raise ValueError("its checksum is wrong")
        return StreamState(
            epoch=str(content["epoch"]),
            acked=int(content["acked"]),
            acked_at=content["acked_at"],
            dropped=tuple((int(first), int(last)) for first, last in content["dropped"]),
            # What an earlier version wrote doesn't tell of times.
            dropped_times=tuple(
                (int(first), int(began), int(ended))
                for first, began, ended in content.get("dropped_times", ())
            ),
            check_ids_to=int(content["check_ids_to"]),
            generation=str(content["generation"]),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SpoolError(
            f"{path} can't be read: {error!r}.",
            hint="Remove it: the stream goes on from its segments, the lake tells what it has.",
        ) from None


def _crc(content: dict[str, object]) -> str:
    """CRC-32 of the other fields: a flipped digit must not change what counts as acked."""
    return f"{zlib.crc32(orjson.dumps(content)):08x}"
