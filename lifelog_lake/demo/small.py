"""Streams of few rows: what the devices say of themselves, readings, what the person wrote."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from lifelog_lake.demo.activity import ZONES, Use
from lifelog_lake.demo.canvas import PAPER, Canvas
from lifelog_lake.demo.chance import Chance, Ints, key_of
from lifelog_lake.demo.looks import landscape
from lifelog_lake.demo.plan import VERSION
from lifelog_lake.demo.rhythm import LAPTOP, PHONE, day_of
from lifelog_lake.demo.rows import GRID_US, MINUTE_US, Numbering, Slices, ids_of, table_of, words
from lifelog_lake.demo.texts import PEOPLE, PLACES, SENTENCES
from lifelog_lake.lake.schema import arrow_schema, to_table

#: Streams a computer records, as its pulses name them, with their collectors.
RECORDED = (
    ("screen", "screen"),
    ("window", "activitywatch"),
    ("afk", "activitywatch"),
    ("web", "activitywatch"),
    ("audio", "audio"),
)
#: In the place of the program's version, which must not change the rows.
MADE_BY = f"demo {VERSION}"
TAGS = ("work", "idea", "family", "reading", "travel", "health", "todo", "music")
TITLES = (
    "Walk along the harbour", "Idea for the forecast page", "Dinner with {person}",
    "Finished the chapter on harmonics", "What went well this week", "Call with {person}",
    "First frost", "Recipe that worked", "Telescope night", "Things to pack", "Slept badly",
    "Swam at {place}",
)  # fmt: skip

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What entries have attached: a name, its type, its bytes."""

    name: str
    media_type: str
    content: bytes
    sha256: str


def documents(seed: int) -> list[Document]:
    """A few photographs, drawn, and a few lists."""
    found = []
    for number in range(8):
        canvas = Canvas(PAPER)
        landscape(canvas, 0, 0, 1280, 800, Chance(seed, "photo", number))
        file = io.BytesIO()
        canvas.image.resize((960, 600)).save(file, "WEBP", lossless=True, quality=0, method=1)
        found.append(_document(f"photo-{number + 1}.webp", "image/webp", file.getvalue()))
    for number in range(4):
        chance = Chance(seed, "list", number)
        lines = "".join(f"- {chance.pick(SENTENCES)}\n" for _ in range(6))
        found.append(_document(f"list-{number + 1}.txt", "text/plain", lines.encode()))
    return found


def _document(name: str, media_type: str, content: bytes) -> Document:
    sha256 = hashlib.sha256(content).hexdigest()
    return Document(name=name, media_type=media_type, content=content, sha256=sha256)


# --- what a person wrote --------------------------------------------------------------------------


def entries(
    seed: int, days: Iterable[date], papers: Sequence[Document]
) -> tuple[list[Row], list[Row]]:
    """Journal rows and attachment rows of some days, each in the order of time."""
    journal: list[Row] = []
    attached: list[Row] = []
    for day in days:
        chance = Chance(seed, "journal", day)
        zone, _ = day_of(seed, day)
        here = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        for part in range(chance.one(0, 2)):
            at = int(here.timestamp()) * 10**6 + (part * 240 + chance.one(0, 200)) * MINUTE_US
            name = f"{key_of(seed, 'entry', day, part):032x}"
            title = chance.pick(TITLES).format(
                person=chance.pick(PEOPLE), place=chance.pick(PLACES).lower()
            )
            data: Row = {
                "entry_id": name,
                "lamport": 1,
                "deleted": False,
                "title": title,
                "description": " ".join(chance.pick(SENTENCES) for _ in range(chance.one(1, 4))),
                "tags": sorted({chance.pick(TAGS) for _ in range(chance.one(1, 3))}),
                "metadata": None,
            }
            first = _row(at, zone, data)
            journal.append(first)
            if chance.happens(15):  # written on a little later: a revision
                more = f"{data['description']} {chance.pick(SENTENCES)}"
                later = data | {"lamport": 2, "description": more}
                journal.append(_row(at + 7 * MINUTE_US, zone, later, parent_of=first))
            if chance.happens(45):
                paper = chance.pick(papers)
                row = _row(at + MINUTE_US, zone, {"key": f"{key_of(name, 'key'):032x}"})
                row["data"] |= {"entry_id": name, "name": paper.name}
                row |= {
                    "blob": paper.sha256,
                    "blob_bytes": len(paper.content),
                    "media_type": paper.media_type,
                }
                attached.append(row)
    return journal, attached


def _row(at: int, zone: str, data: Row, *, parent_of: Row | None = None) -> Row:
    return {"at": at, "end": None, "cont": None, "tz": zone, "data": data, "parent_of": parent_of}


# --- what the devices say -------------------------------------------------------------------------


def lifecycle(stretches: Iterable[Use]) -> list[Row]:
    """Starts and ends of a computer and its streams, sleeps and pauses between."""
    return [row for use in stretches for row in _life(use)]


def _life(use: Use) -> Iterator[Row]:
    zone = ZONES[use.zone]
    begin, end = use.begin * 1000 - 2_000_000, use.end * 1000 + 2_000_000
    yield _row(begin, zone, {"kind": "started", "reason": f"version {MADE_BY}"})
    for stream, collector in RECORDED:
        data = {"kind": "started", "collector": collector, "stream": stream}
        yield _row(begin + 500_000, zone, data)
    for block in use.holes:
        if block.after == "suspended":
            row = _row(block.end * 1000, zone, {"kind": "suspended"})
            yield row | {"end": block.until * 1000}
        else:
            yield _row(block.end * 1000, zone, {"kind": "paused"})
            yield _row(block.until * 1000, zone, {"kind": "resumed"})
    for stream, collector in RECORDED:
        data = {"kind": "stopped", "collector": collector, "stream": stream}
        yield _row(end - 500_000, zone, data)
    yield _row(end, zone, {"kind": "stopped"})


def rows_of(numbering: Numbering, rows: Sequence[Row]) -> pa.Table:
    """Rows made one by one as a table; their ids follow from their seqs, like all others."""
    seq = np.arange(numbering.seq, numbering.seq + len(rows))
    at = np.array([row["at"] for row in rows], np.int64)
    for row, found in zip(rows, ids_of(numbering, seq, at, "7").to_pylist(), strict=True):
        row["id"] = found
        if row.get("parent_of") is not None:
            row["data"]["parent"] = row["parent_of"]["id"]
    ingested_at = int((at.max() // MINUTE_US + 1) * MINUTE_US)
    return to_table(
        numbering.stream,
        list(zip(seq.tolist(), rows, strict=True)),
        device=numbering.device,
        epoch=numbering.epoch,
        ingested_at=ingested_at,
    )


def pulses(numbering: Numbering, stretches: Sequence[Use]) -> pa.Table:
    """A report each five minutes while a computer is on and awake."""
    at, zone = _ticks(stretches)
    count, width = len(at), len(RECORDED)
    chance = Chance(numbering.seed, numbering.device, "pulse", int(at[0]))
    schema = arrow_schema("pulse")
    health = schema.field("streams").type.value_type
    when = pa.timestamp("us", "UTC")
    seen = np.repeat(at, width)
    total = count * width
    given = {
        "stream": pa.array([name for name, _ in RECORDED] * count, pa.string()),
        "collector": pa.array([name for _, name in RECORDED] * count, pa.string()),
        "state": pa.repeat(pa.scalar("running", pa.string()), total),
        "last_capture_at": pa.array(seen - chance.many(total, 9_000_000)).cast(when),
        "last_ack_at": pa.array(seen - chance.many(total, 60_000_000)).cast(when),
        "spool_bytes": pa.array(chance.many(total, 60_000)),
        "errors": pa.array(np.zeros(total, np.int64)),
        "restarts": pa.array(np.zeros(total, np.int64)),
        "cpu_percent": pa.array(chance.many(total, 300) / 100),
        "memory_bytes": pa.array(60_000_000 + chance.many(total, 9_000_000)),
    }
    entries_ = pa.StructArray.from_arrays(
        [given.get(f.name, pa.nulls(total, f.type)) for f in health], fields=list(health)
    )
    lists = pa.ListArray.from_arrays(
        pa.array(np.arange(0, total + 1, width), pa.int32()),
        entries_,
        type=schema.field("streams").type,
    )
    data = {
        "version": pa.repeat(pa.scalar(MADE_BY, pa.string()), count),
        "disk_free_bytes": pa.array(200 * 2**30 - chance.many(count, 2**30)),
        "uptime_s": pa.array((at - _begins(stretches, at)) / 1_000_000),
        "streams": lists,
    }
    return table_of(numbering, _points(at), zone, data, made="7", points=True)


def _ticks(stretches: Sequence[Use]) -> tuple[Ints, Ints]:
    """Grid lines, µs, at which the computers of some stretches were on and awake; their zones."""
    times, zones = [], []
    for use in stretches:
        line = np.arange(-(-use.begin * 1000 // GRID_US), use.end * 1000 // GRID_US + 1) * GRID_US
        for hole in use.holes:
            line = line[(line < hole.end * 1000) | (line >= hole.until * 1000)]
        times.append(line)
        zones.append(np.full(len(line), use.zone))
    return np.concatenate(times), np.concatenate(zones)


def _begins(stretches: Sequence[Use], at: Ints) -> Ints:
    begins = np.array([use.begin * 1000 for use in stretches], np.int64)
    return begins[np.searchsorted(begins, at, "right") - 1]


def _points(at: Ints) -> Slices:
    return Slices(event=np.arange(len(at)), at=at, end=at, first=np.ones(len(at), bool))


# --- readings -------------------------------------------------------------------------------------


def battery(
    numbering: Numbering, days: Sequence[date], stretches: Sequence[Use]
) -> pa.Table | None:
    """The charge, per cent: of the phone each 15 minutes, of the laptop each 5 while it is on."""
    if numbering.device == PHONE:
        grid = [np.arange(96) * 3 * GRID_US + _day_us(day) for day in days]
        at = np.concatenate(grid)
        zone = np.repeat([ZONES.index(day_of(numbering.seed, day)[0]) for day in days], 96)
        hour = at // (3600 * 1_000_000) % 24
        minute = at // MINUTE_US % 1440
        drained = 100 - np.maximum(minute - 330, 0) * 72 // 1080
        value = np.where(hour < 3, 40 + minute // 3, np.where(hour < 5, 100, drained))
    elif numbering.device == LAPTOP and any(use for use in stretches):
        at, zone = _ticks(stretches)
        since = (at - _begins(stretches, at)) // MINUTE_US
        value = 100 - since % 260 * 80 // 260
    else:
        return None
    if not len(at):
        return None
    count = len(at)
    data = {
        "name": pa.repeat(pa.scalar("battery", pa.string()), count),
        "value": pa.array(np.clip(value, 3, 100).astype(np.float64)),
        "unit": words(("%",), np.zeros(count, np.int64)),
    }
    return table_of(numbering, _points(at), zone, data, made="7", points=True)


def _day_us(day: date) -> int:
    return (day - date(1970, 1, 1)) // timedelta(microseconds=1)
