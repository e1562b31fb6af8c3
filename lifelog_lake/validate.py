"""What may enter the lake: the checks and repairs of one row.

Input comes from programs we don't control (ActivityWatch has no authentication, a web page names
its own title), so each value is cleaned before it is stored. Seen to bite and therefore handled:
lone surrogates (break Arrow), NUL, NaN and infinities (not JSON), naive or absurd times, nesting
deep enough to exhaust the stack, values of megabytes, and a value of another type than the column.

A repair keeps the information and is recorded in ``extra["_repaired"]`` as a list of reasons.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

import orjson

from lifelog_lake.clock import MAX_US, MIN_US, to_us
from lifelog_lake.errors import InvalidEvent

JSON = None | bool | int | float | str | list["JSON"] | dict[str, "JSON"]
Kind = Literal["string", "int64", "float64", "bool", "timestamp", "date"]

MAX_DEPTH = 32
MAX_ROW_BYTES = 1024 * 1024
MAX_INTEGER_BITS = 4096  # Python refuses to print what has more than 4300 digits
MIN_INT64, MAX_INT64 = -(2**63), 2**63 - 1
REPAIRED = "_repaired"


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of one type."""

    item: Kind | ListOf | StructOf


@dataclass(frozen=True, slots=True)
class StructOf:
    """A record with named fields."""

    fields: Mapping[str, Kind | ListOf | StructOf]


class _Misfit(Exception):
    """The value doesn't fit the column; says what was expected and what came."""


def clean_text(value: str) -> tuple[str, str | None]:
    """Text that UTF-8 and every reader can hold, and the reason if it had to be changed."""
    if value.isascii() and "\x00" not in value:
        return value, None
    reasons = []
    if "\x00" in value:
        value = value.replace("\x00", "\ufffd")
        reasons.append("NUL replaced")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        value = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        reasons.append("lone surrogate replaced")
    return value, ", ".join(reasons) or None


def clean_time(value: object, name: str) -> int:
    """µs since 1970 UTC of an int or an aware datetime between the years 1900 and 2200."""
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise InvalidEvent(
                f"The time '{name}' has no time zone.", hint="Give an aware datetime.", column=name
            )
        value = to_us(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidEvent(
            f"The time '{name}' is a {type(value).__name__}.",
            hint="Give microseconds since 1970 or an aware datetime.",
            column=name,
        )
    if not MIN_US <= value < MAX_US:
        raise InvalidEvent(
            f"The time '{name}' lies outside the years 1900 to 2200.",
            hint="Times are microseconds since 1970, UTC.",
            column=name,
        )
    return value


def clean_row(
    types: Mapping[str, Kind | ListOf | StructOf],
    data: Mapping[str, object],
    extra: Mapping[str, object] | None,
) -> tuple[dict[str, JSON], dict[str, JSON] | None]:
    """The stream's columns and what goes to ``extra``, both safe to write.

    Unknown names and values of the wrong type move to ``extra``, so nothing is lost. Raises
    :class:`InvalidEvent` for what is nested deeper than 32 levels or larger than 1 MiB.
    """
    untrusted: dict[str, object] = {"data": data, "extra": {} if extra is None else extra}
    for what, given in untrusted.items():
        if not isinstance(given, Mapping):
            raise InvalidEvent(
                f"'{what}' of an event is a {type(given).__name__}.", hint="Give a mapping."
            )
    reasons: list[str] = []
    row: dict[str, JSON] = {}
    rest: dict[str, JSON] = {}
    for key, value in data.items():
        name = _key(key, [], "data")
        type_ = types.get(name)
        if type_ is None:
            _put(rest, key, clean_json(value, reasons, name), reasons, "data")
            continue
        if value is None:
            continue
        try:
            row[name] = _fit(type_, value, reasons, name)
        except _Misfit as misfit:
            _put(rest, name, clean_json(value, reasons, name), reasons, "data")
            reasons.append(f"{name}: {misfit}")
    for key, value in (extra or {}).items():
        _put(rest, key, clean_json(value, reasons, str(key)[:200]), reasons, "extra")
    if reasons:
        before = rest.get(REPAIRED)
        known = before if isinstance(before, list) else [] if before is None else [before]
        again = [clean_text(reason)[0] for reason in reasons]
        rest[REPAIRED] = list(dict.fromkeys([*map(str, known), *again]))
    size_bytes = len(orjson.dumps((row, rest)))
    if size_bytes > MAX_ROW_BYTES:
        raise InvalidEvent(
            f"An event of {size_bytes} bytes is larger than a row may be ({MAX_ROW_BYTES}).",
            hint="Put large content into a blob.",
        )
    return row, rest or None


def clean_json(value: object, reasons: list[str], name: str, depth: int = 0) -> JSON:
    """A value as plain JSON: text repaired, NaN and infinities as text, keys as text."""
    if depth > MAX_DEPTH:
        raise InvalidEvent(f"'{clean_text(name)[0]}' is nested deeper than {MAX_DEPTH} levels.")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value, reasons, name)
    if isinstance(value, int):
        if MIN_INT64 <= value <= MAX_INT64:
            return int(value)
        reasons.append(f"{name}: integer beyond 64 bits kept as text")
        if value.bit_length() > MAX_INTEGER_BITS:
            raise InvalidEvent(f"'{clean_text(name)[0]}' is an integer of absurd size.")
        return str(int(value))
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)  # a subclass (numpy's) isn't JSON
        reasons.append(f"{name}: {value} kept as text")
        return str(float(value))
    if isinstance(value, datetime | date):
        return value.isoformat()  # text that has no zone says so itself
    if isinstance(value, Mapping):
        cleaned: dict[str, JSON] = {}
        for key, item in value.items():
            _put(cleaned, key, clean_json(item, reasons, name, depth + 1), reasons, name)
        return cleaned
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [clean_json(item, reasons, name, depth + 1) for item in value]
    raise InvalidEvent(
        f"'{clean_text(name)[0]}' is a {type(value).__name__}, which JSON doesn't have.",
        hint="Give text, numbers, lists and mappings; put bytes into a blob.",
    )


def _key(key: object, reasons: list[str], name: str) -> str:
    """A mapping's key as text."""
    if isinstance(key, str):
        return _text(key, reasons, name)
    if isinstance(key, float | bool) or key is None:
        return str(key)
    if isinstance(key, int) and key.bit_length() <= MAX_INTEGER_BITS:
        return str(int(key))
    raise InvalidEvent(
        f"'{clean_text(name)[0]}' has a key that is a {type(key).__name__}.",
        hint="Name it by text.",
    )


def _put(into: dict[str, JSON], key: object, value: JSON, reasons: list[str], name: str) -> None:
    """Add a value; where two keys become the same text, the later gets a number behind it."""
    wanted = text = _key(key, reasons, name)
    number = 1
    while text in into:
        number += 1
        text = f"{wanted}#{number}"
    if number > 1:
        reasons.append(f"{name}: a second '{wanted[:100]}' kept as '{text[-100:]}'")
    into[text] = value


def _text(value: str, reasons: list[str], name: str) -> str:
    text, reason = clean_text(str(value))
    if reason is not None:
        reasons.append(f"{name}: {reason}")
    return text


def _fit(type_: Kind | ListOf | StructOf, value: object, reasons: list[str], name: str) -> JSON:
    if value is None:
        return None
    if isinstance(type_, ListOf):
        if isinstance(value, str | bytes) or not isinstance(value, Sequence):
            raise _Misfit(f"a list was expected, {type(value).__name__} came")
        return [_fit(type_.item, item, reasons, name) for item in value]
    if isinstance(type_, StructOf):
        return _fit_struct(type_, value, reasons, name)
    if type_ == "string" and isinstance(value, str):
        return _text(value, reasons, name)
    if type_ == "bool" and isinstance(value, bool):
        return value
    if type_ == "int64" and isinstance(value, int) and not isinstance(value, bool):
        if MIN_INT64 <= value <= MAX_INT64:
            return int(value)
        raise _Misfit("the integer has more than 64 bits")
    if type_ == "float64" and isinstance(value, int | float) and not isinstance(value, bool):
        if abs(value) <= 2**53 if isinstance(value, int) else math.isfinite(value):
            return float(value)
        raise _Misfit(f"{value if isinstance(value, float) else 'the integer'} isn't a float64")
    if type_ == "timestamp":
        try:
            return clean_time(value, name)
        except InvalidEvent as error:
            raise _Misfit(error.message) from None
    raise _Misfit(f"{type_} was expected, {type(value).__name__} came")


def _fit_struct(type_: StructOf, value: object, reasons: list[str], name: str) -> JSON:
    if not isinstance(value, Mapping):
        raise _Misfit(f"a record was expected, {type(value).__name__} came")
    if unknown := [key for key in value if key not in type_.fields]:
        raise _Misfit(f"unknown field {_key(unknown[0], [], name)[:100]!r}")
    return {
        key: _fit(field, value.get(key), reasons, f"{name}.{key}")
        for key, field in type_.fields.items()
    }
