"""The catalogue as Arrow and Delta schemas, and records as Arrow tables.

Evolution is additive: a table may lack columns of ours (they are added) or have more (a newer
device wrote them; they stay null). A column of another type is refused before anything is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import orjson
import pyarrow as pa

from lifelog_lake.clock import US_PER_S, utc
from lifelog_lake.errors import LakeRefused
from lifelog_lake.events import ENVELOPE, STREAMS, Type
from lifelog_lake.validate import ListOf, StructOf

PARTITION = "date"
#: Columns with statistics in the log and in Parquet; free text must not be among them. By ``end``
#: readers find what began before a range and lasts into it, by ``blob_bytes`` what has content.
STATISTICS = ("seq", "at", "end", "blob_bytes")
_ENVELOPE = frozenset(column.name for column in ENVELOPE)
_EPOCH_DAY = date(1970, 1, 1)
_SCALARS: dict[str, pa.DataType] = {
    "string": pa.string(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us", "UTC"),
    "date": pa.date32(),
}


def arrow_type(type_: Type) -> pa.DataType:
    """The Arrow type of a catalogue type."""
    if isinstance(type_, ListOf):
        return pa.list_(pa.field("element", arrow_type(type_.item)))
    if isinstance(type_, StructOf):
        return pa.struct([pa.field(name, arrow_type(item)) for name, item in type_.fields.items()])
    return _SCALARS[type_]


def arrow_schema(stream: str) -> pa.Schema:
    """Envelope and own columns of a stream, the partition column last."""
    envelope = [column for column in ENVELOPE if column.name != PARTITION]
    columns = [*envelope, *STREAMS[stream].columns]
    fields = [pa.field(column.name, arrow_type(column.type)) for column in columns]
    return pa.schema([*fields, pa.field(PARTITION, pa.date32())])


def missing_columns(stream: str, table_schema: pa.Schema) -> list[pa.Field]:
    """Columns that the table has yet to get; :class:`LakeRefused` if a type differs."""
    missing = []
    for field in arrow_schema(stream):
        index = table_schema.get_field_index(field.name)
        if index < 0:
            missing.append(field)
        elif not _same(table_schema.field(index).type, field.type):
            raise LakeRefused(
                f"Column '{field.name}' of the table '{stream}' has the type "
                f"{table_schema.field(index).type}, this version writes {field.type}.",
                hint="Another program changed the table, or a newer version wrote it: update.",
                stream=stream,
            )
    return missing


def _same(there: pa.DataType, ours: pa.DataType) -> bool:
    """Equal but for the name of a list's item and the order of a struct's fields."""
    if pa.types.is_list(there) and pa.types.is_list(ours):
        return _same(there.value_type, ours.value_type)
    if pa.types.is_struct(there) and pa.types.is_struct(ours):
        theirs = {field.name: field.type for field in there}
        return len(there) == len(ours) and all(
            field.name in theirs and _same(theirs[field.name], field.type) for field in ours
        )
    return bool(there.equals(ours))


def to_table(
    stream: str,
    rows: Sequence[tuple[int, Mapping[str, Any]]],
    *,
    device: str,
    epoch: str,
    ingested_at: int,
) -> pa.Table:
    """Spool records, as (seq, fields), as a table of the stream's schema, in their order."""
    count = len(rows)
    fields = [row for _, row in rows]
    own = [row["data"] for row in fields]
    given: dict[str, pa.Array] = {
        "device": pa.repeat(pa.scalar(device, pa.string()), count),
        "epoch": pa.repeat(pa.scalar(epoch, pa.string()), count),
        "seq": pa.array([seq for seq, _ in rows], pa.int64()),
        "extra": pa.array([_json(_extra(row, stream)) for row in fields], pa.string()),
        "ingested_at": pa.repeat(pa.scalar(ingested_at, _SCALARS["timestamp"]), count),
        PARTITION: pa.array([day(row["at"]) for row in fields], pa.date32()),
    }
    schema = arrow_schema(stream)
    arrays = []
    for field in schema:
        name = field.name
        if name in given:
            arrays.append(given[name])
        else:
            source = fields if name in _ENVELOPE else own
            arrays.append(pa.array([row.get(name) for row in source], field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def _extra(row: Mapping[str, Any], stream: str) -> dict[str, Any] | None:
    """``extra``, with the columns of a newer version that this one can't write as such."""
    extra: dict[str, Any] | None = row.get("extra")
    data: Mapping[str, Any] = row["data"]
    types = STREAMS[stream].types
    if data.keys() <= types.keys():
        return extra
    return {**(extra or {}), **{name: data[name] for name in data if name not in types}}


def _json(extra: object) -> str | None:
    return None if extra is None else orjson.dumps(extra).decode()


def day(at_us: int) -> int:
    """Days since 1970 of a time: what a date32 holds."""
    return at_us // (86_400 * US_PER_S)


def day_text(days: int) -> str:
    """``YYYY-MM-DD`` of days since 1970."""
    return (_EPOCH_DAY + timedelta(days=days)).isoformat()


def stats_time(at_us: int) -> str:
    """A time as the Delta protocol writes it into statistics."""
    return utc(at_us).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
