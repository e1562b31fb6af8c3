"""What a lake needs of the place where it lies: one small interface.

A store holds objects under keys with slashes, such as ``tables/window/_delta_log/0….json``. It has
two implementations, :class:`~lifelog_lake.lake.local.LocalTarget` and
:class:`~lifelog_lake.lake.s3.target.S3Target`, and one conformance suite that both pass. What only
one of them needs (the syncs of a disk, the parts of an upload) stays within it.

Delta's engine reads and commits tables by itself, through ``table_url`` and ``table_options``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

TABLES = "tables"
BLOBS = "blobs/sha256"
CONTROL = "control"
LOG = "_delta_log"

#: Told the bytes that are there and those there will be, while content is brought.
Moved = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """One thing that a store must be able to do, and whether it can."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stat:
    """Size of an object, when it was written (seconds since 1970), a tag of this very writing.

    ``server_date``: what the server said the time was (HTTP's ``Date``); None where there is none.
    """

    size_bytes: int
    modified_s: float
    tag: str
    server_date: str | None = None


class Log(Protocol):
    """What a store does so that a table's log, which Delta's engine writes, is whole and durable.

    One a table and process.
    """

    def mend(self) -> None:
        """Before the first opening: set aside what a power loss left unfinished.

        Raises :class:`~lifelog_lake.errors.LakeDamaged` if what others acked may be in it.
        """

    def keep(self, first: int, last: int) -> None:
        """Make the entries of these versions durable, inclusive, by whomever they were written."""

    def keep_checkpoint(self, version: int) -> None:
        """Make the checkpoint of a version and the pointer to it durable."""


class Store(Protocol):
    """Where a lake lies.

    Each method raises :class:`FileNotFoundError` for a key that isn't there (``delete`` does not),
    and :class:`~lifelog_lake.errors.LakeUnreachable` if the store doesn't answer or says no.
    ``at`` is the stage served, as in :mod:`lifelog_lake.fsio`.
    """

    @property
    def url(self) -> str:
        """The address as a person gives it, without any secret."""

    @property
    def table_options(self) -> dict[str, str] | None:
        """``storage_options`` for Delta's engine, with the credentials of now."""

    @property
    def scan_options(self) -> dict[str, str] | None:
        """The same for polars."""

    @property
    def disk(self) -> Path | None:
        """A directory on the disk that the lake fills; None if that is somebody else's."""

    @property
    def checkpoint_every(self) -> int:
        """Most versions between two checkpoints: what opening a table costs here."""

    def describe(self) -> str:
        """What kind of place it is, in a few words."""

    def place(self, key: str) -> Path:
        """A path that names an object in messages and fault points; on a disk, its own."""

    def table_url(self, stream: str) -> str:
        """The address of a stream's table for Delta's engine and for polars."""

    def log(self, stream: str) -> Log:
        """The keeper of a table's log."""

    def streams(self) -> list[str]:
        """Names of the streams' tables that exist, sorted.

        A table whose name begins with an underscore is no stream: it is made from others.
        """

    def read(self, key: str) -> bytes:
        """A small object, whole."""

    def open(self, key: str) -> BinaryIO:
        """An object of any size, seekable, at its beginning."""

    def stat(self, key: str) -> Stat:
        """Size and time of an object."""

    def keys(self, prefix: str) -> Iterator[str]:
        """Keys of all objects below a key, in order. What is written meanwhile may be missing."""

    def write(self, key: str, content: bytes, *, at: str) -> None:
        """Write or replace an object: readers see the old or the new one. Durable on return."""

    def write_new(self, key: str, content: bytes, *, at: str) -> bool:
        """Write an object unless one is there; whether this content is there now.

        Of several writers one wins. ``content`` must be this writer's own (hold an id or a nonce):
        a repeated call that finds what an earlier, unanswered one wrote is told by it. Durable.
        """

    def delete(self, key: str, *, at: str) -> None:
        """Remove an object if it is there. A device's key need not be allowed to."""

    def delete_many(self, keys: Sequence[str], *, at: str) -> None:
        """Remove objects, in no order; durable on return. Quicker than one by one."""

    def set_aside(self, key: str, aside: str, *, at: str) -> None:
        """Give an object another key, whatever its size; durable on return.

        Killed in between, it has both.
        """

    def pace(self, spend: Callable[[int], None]) -> None:
        """Call ``spend`` with the bytes of each piece before it goes to a server; it may wait."""

    def put_blob(self, source: Path, sha256: str, moved: Moved | None = None) -> bool:
        """Bring content under its hash, resumable; durable on return, False if it was there.

        Memory doesn't grow with its size. Raises :class:`~lifelog_lake.errors.LakeDamaged` if
        ``source`` isn't what its hash says, :class:`~lifelog_lake.errors.ContentRefused` if the
        store refuses this content for good.
        """

    def give_up_uploads(self, age_s: float, orphan_age_s: float) -> int:
        """Give up uploads that this home began ``age_s`` ago, none of them needed; how many.

        Also those that anybody began ``orphan_age_s`` ago, if this home may.
        """

    def clear_leftovers(self, age_s: float) -> int:
        """Remove what writes that were killed ``age_s`` ago left beside their targets; how many."""

    def prepare(self) -> None:
        """Make ready for a new lake.

        Raises :class:`~lifelog_lake.errors.LakeRefused` if something else is there, or if the
        store lacks what a lake relies on.
        """

    def check_in(self) -> None:
        """At a writer's start: refuse a store that can't keep several writers apart.

        A server may have been changed since the lake was made. Raises
        :class:`~lifelog_lake.errors.LakeRefused`, naming the property.
        """

    def probe(self) -> list[Property]:
        """Try what a lake relies on; nothing of it stays."""


def table_key(stream: str) -> str:
    """Key of a stream's table."""
    return f"{TABLES}/{stream}"


def log_key(stream: str) -> str:
    """Key of the log of a stream's table."""
    return f"{TABLES}/{stream}/{LOG}"


def entry_key(stream: str, version: int) -> str:
    """Key of one log entry."""
    return f"{log_key(stream)}/{version:020d}.json"


def blob_key(sha256: str) -> str:
    """Key of content, whether or not it is there."""
    return f"{BLOBS}/{sha256[:2]}/{sha256[2:4]}/{sha256}"
