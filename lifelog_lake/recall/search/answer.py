"""A page of hits for programs, in JSON's values."""

from __future__ import annotations

from datetime import date, timedelta

from lifelog_lake.clock import iso
from lifelog_lake.events import STREAMS
from lifelog_lake.recall.search.find import Found, Hit

EPOCH = date(1970, 1, 1)


def as_json(found: Found) -> dict[str, object]:
    """``{"results": [...], "cursor", "total", "facets"}``; times are RFC 3339 in UTC.

    ``cursor`` is null on the last page, ``total`` and ``facets`` are there if they were asked for.
    A result's ``marks`` are places in its ``snippet``: from, to, in characters. ``boxes`` are where
    found words stand in its picture ``blob``: left, top, width, height, shares of 10,000.
    ``similarity`` is null unless it was found by meaning.
    """
    told: dict[str, object] = {
        "results": [_result(hit) for hit in found.hits],
        "cursor": found.cursor,
    }
    if found.total is not None:
        told["total"] = found.total
    if found.facets:
        told["facets"] = {
            name: [{"value": _value(name, value), "count": count} for value, count in counted]
            for name, counted in found.facets.items()
        }
    return told


def _value(facet: str, value: str | int) -> str | int:
    if facet == "day" and isinstance(value, int):
        return (EPOCH + timedelta(days=value)).isoformat()
    return value


def _result(hit: Hit) -> dict[str, object]:
    of = hit.document
    return {
        "id": of.id,
        "stream": of.stream,
        "label": STREAMS[of.stream].label,
        "device": of.device,
        "at": iso(of.at),
        "end": None if of.end is None else iso(of.end),
        "tz": of.tz,
        "title": of.title,
        "snippet": hit.snippet.text,
        "marks": [list(mark) for mark in hit.snippet.marks],
        "app": of.app,
        "url": of.url,
        "site": of.site,
        "tags": list(of.tags),
        "blob": of.blob,
        "boxes": [list(box) for box in hit.boxes],
        "score": hit.score,
        "similarity": hit.similarity,
    }
