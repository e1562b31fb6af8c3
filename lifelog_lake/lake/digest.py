"""A digest of rows whatever their order: equal for the same rows, each as often.

Every value of every column counts, and null, empty and zero are different. Strings are hashed by
Python's own keyed hash, so digests compare within one process only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

#: What stands for a missing value, and what sets a column apart from the one before.
_NULL = np.uint64(0x6C6966656C6F6721)
_STEP = np.uint64(0x9E3779B97F4A7C15)

Hashes = np.ndarray[Any, np.dtype[np.uint64]]
Digest = tuple[int, int, int]


def digest(rows: pa.Table) -> Digest:
    """How many rows, and two independent sums of their hashes (each modulo 2**64)."""
    found: Hashes = np.zeros(rows.num_rows, np.uint64)
    for name in sorted(rows.column_names):
        found = _mixed(found * _STEP + _hashes(rows[name]))
    return rows.num_rows, int(found.sum()), int(_mixed(found ^ _STEP).sum())


def _hashes(column: pa.ChunkedArray) -> Hashes:
    type_ = column.type
    if pa.types.is_string(type_) or pa.types.is_large_string(type_):
        encoded = column.combine_chunks().dictionary_encode()
        known = _of_objects(encoded.dictionary.to_pylist())
        found = known[encoded.indices.fill_null(0).to_numpy()] if len(known) else None
    elif pa.types.is_integer(type_) or pa.types.is_timestamp(type_) or pa.types.is_boolean(type_):
        numbers = column.cast(pa.int64()).fill_null(0).to_numpy()
        found = numbers.view(np.uint64)
    elif pa.types.is_float64(type_):
        found = column.fill_null(0.0).to_numpy().view(np.uint64)
    else:  # lists, structs and what is rare
        found = _of_objects([repr(value) for value in column.to_pylist()])
    if found is None:
        return np.full(len(column), _NULL)
    return np.where(column.is_valid().to_numpy(), _mixed(found), _NULL)


def _of_objects(values: list[Any]) -> Hashes:
    return np.fromiter(map(hash, values), np.int64, len(values)).view(np.uint64)


def _mixed(values: Hashes) -> Hashes:
    """Each bit of the result depends on each of the value: the finaliser of SplitMix64 (Steele,
    Lea and Flood, OOPSLA 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
