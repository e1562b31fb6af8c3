"""The lake as a person reads it: ``lake = lifelog_lake.open_lake()``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import BinaryIO
from urllib.parse import quote

import polars as pl

from lifelog_lake.errors import LakeDamaged, LakeUnreachable, UsageError
from lifelog_lake.events import STREAMS
from lifelog_lake.home import open_home
from lifelog_lake.lake import parse_url, read_identity, require_known
from lifelog_lake.lake.identity import LakeIdentity
from lifelog_lake.lake.target import LocalTarget
from lifelog_lake.recall.schema import polars_schema
from lifelog_lake.recall.timeline import timeline


def open_lake(url: str | None = None) -> Lake:
    """Open a lake for reading; None means the lake of this home (``LIFELOG_HOME``).

    Raises :class:`~lifelog_lake.errors.LakeUnreachable` if there is none.
    """
    if url is None:
        home = open_home()
        return Lake(parse_url(home.lake_url), require_known(home))
    target = parse_url(url)
    identity = read_identity(target)
    if identity is None:
        raise LakeUnreachable(
            f"There is no lake at {target.url}.", hint="Check the address and the mount."
        )
    return Lake(target, identity)


class Lake:
    """A lake, open for reading. Holds no handle: each call sees the newest rows."""

    def __init__(self, target: LocalTarget, identity: LakeIdentity) -> None:
        self._target = target
        self._identity = identity

    def __repr__(self) -> str:
        return f"Lake({self._target.url!r}, generation {self._identity.generation})"

    @property
    def url(self) -> str:
        """Its address."""
        return self._target.url

    def streams(self) -> list[str]:
        """Names of the streams that have a table."""
        return self._target.streams()

    def scan(self, stream: str) -> pl.LazyFrame:
        """All rows of a stream, lazily: filter on ``date`` or ``at`` to read only those days.

        A stream without a table gives an empty frame of its schema. Raises
        :class:`~lifelog_lake.errors.UsageError` for a name that is neither.
        """
        there = stream in self.streams()
        if not there and stream not in STREAMS:
            raise UsageError(
                f"There is no stream '{stream}'.", hint=f"The streams are: {', '.join(STREAMS)}."
            )
        if not there:
            return pl.LazyFrame(schema=polars_schema(stream))
        path = self._target.table(stream)
        # polars 2.1 looks for local files under their percent-encoded names: pyarrow reads those.
        odd = quote(path.as_posix(), safe="/:") != path.as_posix()
        rows = pl.scan_delta(str(path), use_pyarrow=odd)
        if stream not in STREAMS:
            return rows
        there_now = rows.collect_schema().names()
        missing = {n: t for n, t in polars_schema(stream).items() if n not in there_now}
        return rows.with_columns(pl.lit(None, type_).alias(n) for n, type_ in missing.items())

    def timeline(
        self,
        start: datetime | date | str,
        end: datetime | date | str | None = None,
        streams: Sequence[str] | None = None,
        devices: Sequence[str] | None = None,
    ) -> pl.DataFrame:
        """What happened between two times, one row an event, in the order of ``at``.

        ``start`` and ``end`` (exclusive) are aware datetimes, dates or ISO texts; a date or a text
        without a zone is local time, ``"today"`` and ``"yesterday"`` are days. Slices are joined to
        events. Columns: stream, device, id, at, end, label, text, blob, blob_bytes, media_type.
        """
        return timeline(self, start, end, streams, devices)

    def devices(self) -> list[str]:
        """Every device that has a row."""
        frames = [self.scan(name).select("device").unique() for name in self.streams()]
        if not frames:
            return []
        return sorted(pl.concat(frames).unique().collect()["device"].drop_nulls().to_list())

    def blob(self, sha256: str) -> BinaryIO:
        """Open content by its hash, seekable, positioned at its beginning.

        Raises :class:`~lifelog_lake.errors.UsageError` for what is no hash and
        :class:`~lifelog_lake.errors.LakeDamaged` if it isn't in the lake.
        """
        if len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
            raise UsageError("A blob is named by 64 lower-case hexadecimal digits.")
        try:
            return self._target.blob(sha256).open("rb")
        except FileNotFoundError:
            raise LakeDamaged(
                f"Blob {sha256} isn't in the lake.", hint="lifelog verify tells which rows need it."
            ) from None
