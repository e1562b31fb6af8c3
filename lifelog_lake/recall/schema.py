"""The catalogue as polars types, for streams that have no table yet."""

from __future__ import annotations

import polars as pl

from lifelog_lake.events import ENVELOPE, STREAMS, Type
from lifelog_lake.validate import ListOf, StructOf

_SCALARS: dict[str, pl.DataType] = {
    "string": pl.String(),
    "int64": pl.Int64(),
    "float64": pl.Float64(),
    "bool": pl.Boolean(),
    "timestamp": pl.Datetime("us", "UTC"),
    "date": pl.Date(),
}


def polars_type(type_: Type) -> pl.DataType:
    """The polars type of a catalogue type."""
    if isinstance(type_, ListOf):
        return pl.List(polars_type(type_.item))
    if isinstance(type_, StructOf):
        return pl.Struct({name: polars_type(item) for name, item in type_.fields.items()})
    return _SCALARS[type_]


def polars_schema(stream: str) -> pl.Schema:
    """Envelope and own columns of a stream, the partition column last, as in its table.

    Of a stream that isn't in the catalogue: the envelope.
    """
    envelope = [column for column in ENVELOPE if column.name != "date"]
    columns = [*envelope, *(STREAMS[stream].columns if stream in STREAMS else ())]
    return pl.Schema({**{c.name: polars_type(c.type) for c in columns}, "date": pl.Date()})
