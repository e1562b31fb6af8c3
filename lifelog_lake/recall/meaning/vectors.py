"""The vectors of the stream ``embedding``, as this machine keeps them: to be compared at once.

::

    index/meaning/<lake id>/<model>/
      write.lock          held by the one that writes
      state.json          {"format", "generation", "files", "count", "place": [version, print]}
      <files>.names       the piece of each vector, 8 bytes
      <files>.signs       its vector's signs, a bit a dimension
      <files>.vectors     its vector, float16

What comes is appended and durable before ``state.json`` tells of it, so a kill costs at most what
is read again, and readers have a beginning of the files that stays as it is. If rows were taken
from the table, or it isn't the one that was read, all is written anew under another name. It
decides nothing: deleted, it is made again.

The signs of two vectors differ in about as many places as the vectors lie apart: comparing them is
quick, and only the nearest by them are compared exactly.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl
import structlog

from lifelog_lake import fsio
from lifelog_lake.errors import LakeUnreachable, Locked
from lifelog_lake.lake.identity import LakeIdentity
from lifelog_lake.lake.store import Store
from lifelog_lake.locks import FileLock
from lifelog_lake.recall.follow import Changes, Place, changes, new_rows
from lifelog_lake.recall.tables import Tables

STREAM = "embedding"
STATE = "state.json"
FORMAT = 1
#: So many of the nearest by their signs are compared exactly.
COMPARED = 16_384
#: So many of them are given at most.
GIVEN = 4096
WAIT_S = 3.0
_COLUMNS = ("text_sha256", "model_sha256", "vector")
_NAME = "^[0-9a-f]{64}$"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    files: str
    count: int
    place: Place | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """A piece by its short name, and its similarity to what was asked: the cosine, -1 to 1."""

    name: str
    similarity: float


class Vectors:
    """The vectors of one model below a home's path. One thread at a time."""

    def __init__(
        self, home: Path, store: Store, identity: LakeIdentity, model_sha256: str, dimensions: int
    ) -> None:
        self._store = store
        self._generation = identity.generation
        self._model = model_sha256
        self._dimensions = dimensions
        self._root = home / "index" / "meaning" / identity.lake_id / model_sha256[:16]
        fsio.make_dirs(self._root, at="meaning")
        self._lock = FileLock(self._root / "write.lock")
        self._tables = Tables(store)
        self._open: tuple[_State, Opened] | None = None

    def close(self) -> None:
        """Let the files go."""
        self._open = None
        self._lock.close()

    def refresh(self, wait_s: float = WAIT_S) -> Opened:
        """Take in what was committed, and give what there is.

        If another process is at it for longer, that is what it has made durable so far.
        """
        state = self._read()
        if changes(self._store, self._tables, STREAM, state.place) is not None:
            try:
                with self._lock.within(wait_s):
                    state = self._read()
                    while found := changes(self._store, self._tables, STREAM, state.place):
                        state = self._take(state, found)
            except Locked:
                state = self._read()  # it brings the rest to the next one who asks
        if self._open is None or self._open[0] != state:
            self._open = state, Opened(self._root / state.files, state.count, self._dimensions)
        return self._open[1]

    def _take(self, state: _State, found: Changes) -> _State:
        if (found.whole and state.place is not None) or found.rewritten:
            state = self._written(self._nothing())
            log.info("meaning_vectors_made_anew")
            return state
        count = state.count
        known = set(self._names(state))
        with contextlib.ExitStack() as opened:
            files = [
                (path, opened.enter_context(_appending(path, count * width)))
                for path, width in self._files(state)
            ]
            for rows in new_rows(
                self._store, self._tables, STREAM, found, _COLUMNS, self._unreadable
            ):
                names, vectors = self._of(rows, known)
                parts = (
                    names.astype("<u8"),
                    np.packbits(vectors > 0, axis=1),
                    vectors.astype("<f2"),
                )
                for (path, fd), part in zip(files, parts, strict=True):
                    fsio.write(fd, part.tobytes(), path, at="meaning")
                count += len(names)
            for path, fd in files:
                fsio.sync(fd, path, at="meaning")
        return self._written(_State(files=state.files, count=count, place=found.place))

    def _of(
        self, rows: pl.DataFrame, known: set[int]
    ) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.float32]]:
        """Names and vectors of the rows that count and aren't there yet."""
        none = np.empty(0, np.uint64), np.empty((0, self._dimensions), np.float32)
        if not set(_COLUMNS) <= set(rows.columns):
            return none
        rows = (
            rows.filter(
                pl.col("model_sha256") == self._model,
                pl.col("text_sha256").str.contains(_NAME),
                pl.col("vector").list.len() == self._dimensions,
                pl.col("vector")
                .list.eval(pl.element().is_finite().fill_null(value=False))
                .list.all(),
            )
            .unique("text_sha256", keep="first", maintain_order=True)
            .with_columns(name=pl.col("text_sha256").str.slice(0, 16))
        )
        numbers = [int(name, 16) for name in rows["name"]]
        new = [number not in known for number in numbers]
        rows = rows.filter(pl.Series(new, dtype=pl.Boolean))
        if not rows.height:
            return none
        names = np.array([one for one, is_new in zip(numbers, new, strict=True) if is_new], "u8")
        known.update(names.tolist())
        flat = rows["vector"].explode().to_numpy().astype(np.float32)
        return names, flat.reshape(-1, self._dimensions)

    # -- the files --------------------------------------------------------------------------

    def _files(self, state: _State) -> list[tuple[Path, int]]:
        """Each file, and its bytes a vector."""
        widths = (("names", 8), ("signs", self._dimensions // 8), ("vectors", self._dimensions * 2))
        return [(self._root / f"{state.files}.{end}", width) for end, width in widths]

    def _names(self, state: _State) -> list[int]:
        if not state.count:
            return []
        path = self._root / f"{state.files}.names"
        found: list[int] = np.fromfile(path, "<u8", state.count).tolist()
        return found

    def _nothing(self) -> _State:
        return _State(files=secrets.token_hex(8), count=0, place=None)

    def _read(self) -> _State:
        try:
            told = orjson.loads((self._root / STATE).read_bytes())
            if told["format"] == FORMAT and told["generation"] == self._generation:
                place = told["place"]
                state = _State(
                    files=str(told["files"]),
                    count=int(told["count"]),
                    place=None if place is None else Place(version=place[0], entry=place[1]),
                )
                if all(
                    not state.count or path.stat().st_size >= state.count * width
                    for path, width in self._files(state)
                ):
                    return state
        except FileNotFoundError:
            pass  # the first time, or somebody deleted it, which is allowed
        except (ValueError, KeyError, TypeError, IndexError) as error:
            log.warning("meaning_state_unreadable", reason=type(error).__name__)
        return self._nothing()

    def _written(self, state: _State) -> _State:
        place = state.place
        told = {
            "format": FORMAT,
            "generation": self._generation,
            "files": state.files,
            "count": state.count,
            "place": None if place is None else [place.version, place.entry],
        }
        fsio.write_atomic(self._root / STATE, orjson.dumps(told), at="meaning")
        for left in self._root.iterdir():
            if left.suffix in {".names", ".signs", ".vectors"} and left.stem != state.files:
                with contextlib.suppress(OSError):  # somebody reads it still; the next one does it
                    left.unlink()
        return state

    def _unreadable(self, path: str) -> None:
        log.warning("meaning_rows_unreadable", path=path)  # lifelog verify names it too


@contextlib.contextmanager
def _appending(path: Path, size: int) -> Iterator[int]:
    """A file open at its end, without what a killed run may have left."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
    try:
        fsio.truncate(fd, size, path, at="meaning")
        os.lseek(fd, size, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)


def no_lake(store: Store) -> LakeUnreachable:
    """What is said where a lake was."""
    return LakeUnreachable(f"There is no lake at {store.url}.", hint="Check the address.")


class Opened:
    """So many of the first vectors of some files, read as they are needed."""

    def __init__(self, files: Path, count: int, dimensions: int) -> None:
        self.count = count

        def mapped(end: str, kind: str, width: int) -> np.ndarray:
            if not count:
                return np.empty((0, width), kind)
            return np.memmap(f"{files}.{end}", kind, "r", shape=(count, width))

        self._names = mapped("names", "<u8", 1)[:, 0]
        # Eight bytes at once, if they come out even: a fifth of the time.
        kind, bits = ("<u8", 64) if dimensions % 64 == 0 else ("u1", 8)
        self._signs = mapped("signs", kind, dimensions // bits)
        self._vectors = mapped("vectors", "<f2", dimensions)
        self._order = np.argsort(self._names)

    def nearest(self, asked: npt.NDArray[np.float32], least: float) -> list[Near]:
        """The pieces nearest to a vector that are at least so similar, the nearest first.

        There are at most :data:`GIVEN`.
        """
        if not self.count:
            return []
        signs = np.packbits(asked > 0).view(self._signs.dtype)
        apart = np.bitwise_count(self._signs ^ signs).sum(axis=1, dtype=np.uint16)
        most = min(COMPARED, self.count)
        return self._exact(asked, np.argpartition(apart, most - 1)[:most], least)

    def similar(
        self, asked: npt.NDArray[np.float32], names: Sequence[str], least: float
    ) -> list[Near]:
        """The same of some pieces, however many of them are far."""
        wanted = np.array([int(name, 16) for name in names], np.uint64)
        places = np.searchsorted(self._names, wanted, sorter=self._order)
        inside = places < self.count
        rows = self._order[places[inside]]
        return self._exact(asked, rows[self._names[rows] == wanted[inside]], least)

    def _exact(
        self, asked: npt.NDArray[np.float32], rows: npt.NDArray[np.intp], least: float
    ) -> list[Near]:
        similarity = self._vectors[np.sort(rows)].astype(np.float32) @ asked
        names = self._names[np.sort(rows)]
        order = np.argsort(-similarity, kind="stable")[:GIVEN]
        return [
            Near(name=f"{int(names[n]):016x}", similarity=float(similarity[n]))
            for n in order
            if similarity[n] >= least
        ]
