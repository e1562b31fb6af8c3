"""Where somebody was, as OwnTracks and Overland tell it, as readings of the stream ``sensor``.

A fix becomes a row a value, all with the same time: ``latitude`` and ``longitude`` (deg, WGS 84),
``altitude`` and ``accuracy`` (m), ``speed`` (m/s), ``course`` (deg), ``battery`` (%). Labels say
the ``source`` and the ``tracker``. Ids are made of source, tracker, time and name: a fix that is
sent again comes into the lake once.

Formats: https://owntracks.org/booklet/tech/json/ and https://github.com/aaronpk/Overland-iOS.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from lifelog_lake.clock import MAX_US, MIN_US, US_PER_S, iso
from lifelog_lake.events import Event, new_event, pulled_id
from lifelog_lake.recall.journal.model import time_us

KM_H = 1 / 3.6
MOST_TRACKER = 100
#: name, unit, least, most
_UNITS: dict[str, tuple[str, float, float]] = {
    "latitude": ("deg", -90.0, 90.0),
    "longitude": ("deg", -180.0, 180.0),
    "altitude": ("m", -20_000.0, 1e7),
    "accuracy": ("m", 0.0, 1e8),
    "speed": ("m/s", 0.0, 1e6),
    "course": ("deg", 0.0, 360.0),
    "battery": ("%", 0.0, 100.0),
}


def of_owntracks(payload: Mapping[str, Any], tracker: str) -> list[Event]:
    """The rows of a message; none for one that holds no place. Raises :class:`ValueError`."""
    if payload.get("_type") == "encrypted":
        raise ValueError("the message is encrypted: take the encryption key out of the app")
    if payload.get("_type") != "location":
        return []
    values = {
        "latitude": payload.get("lat"),
        "longitude": payload.get("lon"),
        "altitude": payload.get("alt"),
        "accuracy": payload.get("acc"),
        "speed": _times(payload.get("vel"), KM_H),
        "course": payload.get("cog"),
        "battery": payload.get("batt"),
    }
    seconds = _number(payload.get("tst"))
    if seconds is None or not MIN_US <= seconds * US_PER_S <= MAX_US:
        raise ValueError("'tst' isn't a time, in seconds since 1970")
    name = tracker or str(payload.get("tid") or "")
    return list(_rows("owntracks", name, int(seconds * US_PER_S), values))


def of_overland(locations: Iterable[Mapping[str, Any]]) -> tuple[list[Event], int]:
    """The rows of a batch, and how many places without a time or position are left out.

    They aren't refused: the phone would send the same batch for ever, and nothing behind it. Other
    features are no places.
    """
    rows: list[Event] = []
    unusable = 0
    for place in locations:
        match place:
            case {
                "geometry": {"type": "Point", "coordinates": [longitude, latitude, *_]},
                "properties": {"timestamp": str(at), **more},
            }:
                pass
            case _:
                continue
        values = {
            "latitude": latitude,
            "longitude": longitude,
            "altitude": more.get("altitude"),
            "accuracy": more.get("horizontal_accuracy"),
            "speed": more.get("speed"),
            "course": more.get("course"),
            "battery": _times(more.get("battery_level"), 100.0),
        }
        tracker = str(more.get("device_id") or "")
        try:
            rows += list(_rows("overland", tracker, _time(at), values))
        except ValueError:
            unusable += 1  # told in the audit and the log
    return rows, unusable


def _rows(source: str, tracker: str, at: int, values: Mapping[str, object]) -> Iterator[Event]:
    tracker = tracker[:MOST_TRACKER]
    labels = [{"key": "source", "value": source}]
    if tracker:
        labels.append({"key": "tracker", "value": tracker})
    for name, given in values.items():
        value = _number(given)
        unit, least, most = _UNITS[name]
        if value is None or not least <= value <= most:  # they write -1 for what they don't know
            if name in ("latitude", "longitude"):
                raise ValueError(f"there is no {name}")
            continue
        yield new_event(
            "sensor",
            id=pulled_id(source, tracker, iso(at), name),
            at=at,
            data={"name": name, "value": value, "unit": unit, "labels": labels},
        )


def _time(text: str) -> int:
    try:
        return time_us(text)
    except ValueError:
        pass  # another form, perhaps
    try:  # "+0100", which Python 3.11 reads only without colons elsewhere
        return time_us(datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z"))
    except ValueError:
        raise ValueError("'timestamp' isn't a time with an offset") from None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and abs(value) < 1e15 else None


def _times(value: object, factor: float) -> float | None:
    number = _number(value)
    return None if number is None else number * factor
