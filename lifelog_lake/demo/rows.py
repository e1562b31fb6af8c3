"""Events as rows of the lake: slices on the grid, ids, Arrow tables of the exact schema."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lifelog_lake.demo.activity import ZONES, Spans
from lifelog_lake.demo.chance import Ints, key_of
from lifelog_lake.lake.schema import arrow_schema

#: Long events are cut on this grid, as every reader expects.
GRID_US = 300_000_000
DAY_US = 86_400_000_000
MINUTE_US = 60_000_000
_HEX = (
    np.array([f"{value:02x}".encode() for value in range(256)], "S2").view(np.uint8).reshape(256, 2)
)
#: Where the two digits of each of the 16 bytes stand in a UUID's text.
_PLACES = np.array([0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34])


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbering:
    """Who writes: a device's stream in one epoch, and the next seq."""

    seed: int
    device: str
    stream: str
    seq: int

    @property
    def epoch(self) -> str:
        """Name of the epoch, as a spool makes one."""
        return str(uuid.UUID(int=key_of(self.seed, self.device, self.stream, "epoch")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Slices:
    """Rows of events: which event each belongs to, its times in µs, and whether it is the first."""

    event: Ints
    at: Ints
    end: Ints
    first: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.event)


def sliced(spans: Spans, *, at_once: bool = False) -> Slices:
    """Cut events on the grid. ``at_once``: a row without length leads, as of a new frame."""
    begin, end = spans.begin * 1000, spans.end * 1000
    pieces = (end - 1) // GRID_US - begin // GRID_US + 1
    counts = pieces + at_once
    event = np.repeat(np.arange(len(begin)), counts)
    place = np.arange(len(event)) - np.repeat(np.cumsum(counts) - counts, counts)
    piece = np.maximum(place - at_once, 0)
    line = (begin[event] // GRID_US + piece) * GRID_US
    at = np.maximum(begin[event], line)
    until = np.minimum(end[event], line + GRID_US)
    if at_once:
        until = np.where(place == 0, at, until)
    return Slices(event=event, at=at, end=until, first=place == 0)


def table_of(
    numbering: Numbering,
    slices: Slices,
    zone: Ints,
    data: Mapping[str, pa.Array | pa.ChunkedArray],
    *,
    made: Literal["5", "7"] = "5",
    points: bool = False,
) -> pa.Table:
    """The rows of one device and stream. ``data`` are its other columns; those not given are null.

    ``zone`` is an index a row. ``made`` is the kind of id: 5 for rows read from a source, 7 for
    our own. ``points``: the rows have no end.
    """
    count = len(slices)
    seq = np.arange(numbering.seq, numbering.seq + count)
    ids = ids_of(numbering, seq, slices.at, made)
    cont = None
    if not slices.first.all():
        first = np.flatnonzero(slices.first)[np.cumsum(slices.first) - 1]
        cont = ids.take(pa.array(first, mask=slices.first))
    when = pa.timestamp("us", "UTC")
    ingested = (slices.end // MINUTE_US + 1) * MINUTE_US
    given: dict[str, Any] = {
        "id": ids,
        "device": pa.repeat(pa.scalar(numbering.device, pa.string()), count),
        "epoch": pa.repeat(pa.scalar(numbering.epoch, pa.string()), count),
        "seq": pa.array(seq),
        "at": pa.array(slices.at).cast(when),
        "end": None if points else pa.array(slices.end).cast(when),
        "cont": cont,
        "tz": words(ZONES, zone),
        "ingested_at": pa.array(ingested).cast(when),
        "date": pa.array((slices.at // DAY_US).astype(np.int32)).cast(pa.date32()),
        **data,
    }
    schema = arrow_schema(numbering.stream)
    arrays = [
        pa.nulls(count, field.type) if given.get(field.name) is None else given[field.name]
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def words(texts: Sequence[str | None], index: Ints) -> pa.Array:
    """A text a row, by its index."""
    return pa.array(texts, pa.string()).take(pa.array(index))


def ids_of(numbering: Numbering, seq: Ints, at_us: Ints, made: Literal["5", "7"]) -> pa.StringArray:
    """UUIDs that follow from who writes and the seq; those of kind 7 begin with the time."""
    key = key_of(numbering.seed, numbering.device, numbering.stream)
    high = _mixed(seq, key & 0xFFFF_FFFF_FFFF_FFFF)
    low = _mixed(seq, key >> 64)
    if made == "7":
        high = (at_us // 1000).astype(np.uint64) << np.uint64(16) | high & np.uint64(0xFFFF)
    high = high & np.uint64(0xFFFF_FFFF_FFFF_0FFF) | np.uint64(int(made) << 12)
    low = low & np.uint64(0x3FFF_FFFF_FFFF_FFFF) | np.uint64(1 << 63)
    both = np.stack([high, low], axis=1).astype(">u8").view(np.uint8)
    text = np.full((len(seq), 36), ord("-"), np.uint8)
    digits = _HEX[both]
    text[:, _PLACES] = digits[:, :, 0]
    text[:, _PLACES + 1] = digits[:, :, 1]
    offsets = np.arange(0, 36 * len(seq) + 1, 36, dtype=np.int32)
    return pa.StringArray.from_buffers(
        len(seq), pa.py_buffer(offsets.tobytes()), pa.py_buffer(text.tobytes())
    )


def _mixed(seq: Ints, key: int) -> npt.NDArray[np.uint64]:
    """SplitMix64 (Steele, Lea, Flood 2014) of a counter that begins at ``key``."""
    value = np.uint64(key) + seq.astype(np.uint64) * np.uint64(0x9E37_79B9_7F4A_7C15)
    value = (value ^ value >> np.uint64(30)) * np.uint64(0xBF58_476D_1CE4_E5B9)
    value = (value ^ value >> np.uint64(27)) * np.uint64(0x94D0_49BB_1331_11EB)
    return value ^ value >> np.uint64(31)
