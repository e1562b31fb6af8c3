"""From the spool into the lake against a bare ``write_deltalake`` of the same rows.

The baseline neither reads a spool nor syncs anything nor reads back; it gets Arrow tables that
were made beforehand, one a commit, or (as information) makes them of the same JSON lines.
"""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from lifelog_lake.clock import SystemClock
from lifelog_lake.events import Event, new_event
from lifelog_lake.home import Home, open_home
from lifelog_lake.lake import init_lake, parse_url
from lifelog_lake.lake.schema import arrow_schema, to_table
from lifelog_lake.ship import Shipper
from lifelog_lake.spool import Spool
from lifelog_lake.spool.inlet import encode
from tests.bench.pairs import Row, Turn, compare

ROWS = 50_000
ROUNDS = 9
LIVE_ROWS = 100
LIVE_ROUNDS = 41
EVERY_S = 10


def make_events(count: int) -> list[Event]:
    """Window rows, one each ten seconds: 50,000 are almost six days."""
    apps = ("Firefox", "Code", "Terminal", "Thunderbird", "Files")
    began = SystemClock().wall_us() - count * EVERY_S * 1_000_000
    return [
        new_event(
            "window",
            at=began + number * EVERY_S * 1_000_000,
            end=began + (number + 1) * EVERY_S * 1_000_000,
            tz="Europe/Berlin",
            data={
                "app": apps[number % 5],
                "title": f"Chapter {number * 7919 % 100_003} of the notes, page {number % 311}",
                "bucket": "aw-watcher-window_laptop",
            },
        )
        for number in range(count)
    ]


def run(directory: Path, *, quick: bool) -> Iterator[Row]:
    """The backlog, and the rows of a minute."""
    rows = ROWS // 5 if quick else ROWS
    rounds = 3 if quick else ROUNDS
    template = directory / "template"
    home = open_home(template)
    init_lake(home)
    spool = Spool.of(home)
    events = make_events(rows)
    size = home.settings.ship.batch_rows
    for start in range(0, rows, 1000):
        spool.append(events[start : start + 1000])
    payloads = [encode(event, "UTC") for event in events]
    parts = [payloads[start : start + size] for start in range(0, rows, size)]
    tables = [_table(part) for part in parts]
    ours = _backlog_turn(directory, template, rows)
    name = f"{rows:,} waiting rows, {size:,} a commit / write_deltalake"
    for words, base, goal in (
        ("of ready Arrow tables", _bare_turn(directory, tables), 0.7),
        ("of the same JSON", _json_turn(directory, parts), None),
    ):
        yield compare(
            f"{name} {words}", ours=ours, base=base, units=rows, unit="rows", rounds=rounds,
            goal=goal, warm_up=1,
        )  # fmt: skip
    live = open_home(directory / "live")
    init_lake(live)
    batches = [_table(payloads[:LIVE_ROWS])]
    yield compare(
        f"{LIVE_ROWS} rows a commit / write_deltalake of ready Arrow tables",
        ours=_live_turn(live, events[:LIVE_ROWS]),
        base=_growing_turn(directory / "bare-live", batches),
        units=LIVE_ROWS,
        unit="rows",
        rounds=rounds if quick else LIVE_ROUNDS,
    )


def _table(payloads: list[bytes]) -> pa.Table:
    rows = [(seq, orjson.loads(payload)) for seq, payload in enumerate(payloads)]
    return to_table("window", rows, device="bench", epoch="bench", ingested_at=0)


def _plain_table(payloads: list[bytes]) -> pa.Table:
    """The same rows as a program would make them that has nothing but the JSON."""
    rows = []
    for seq, payload in enumerate(payloads):
        row = orjson.loads(payload)
        row |= row.pop("data")
        row |= {"seq": seq, "device": "bench", "epoch": "bench", "ingested_at": 0}
        rows.append(row | {"date": row["at"] // 86_400_000_000})
    return pa.Table.from_pylist(rows, schema=arrow_schema("window"))


def _backlog_turn(directory: Path, template: Path, rows: int) -> Turn:
    numbers = itertools.count()

    def turn() -> float:
        copy = directory / f"home-{next(numbers)}"
        shutil.copytree(template, copy)
        home = open_home(copy)
        started = time.perf_counter()
        shipped = Shipper.of(home).run_once()
        seconds = time.perf_counter() - started
        table = DeltaTable(parse_url(home.lake_url).table("window"))
        assert (shipped.rows, table.to_pyarrow_dataset().count_rows()) == (rows, rows)
        shutil.rmtree(copy)
        return seconds

    return turn


def _bare_turn(directory: Path, tables: list[pa.Table]) -> Turn:
    numbers = itertools.count()

    def turn() -> float:
        root = directory / f"bare-{next(numbers)}"
        started = time.perf_counter()
        for table in tables:
            write_deltalake(root, table, mode="append", partition_by=["date"])
        seconds = time.perf_counter() - started
        shutil.rmtree(root)
        return seconds

    return turn


def _json_turn(directory: Path, parts: list[list[bytes]]) -> Turn:
    numbers = itertools.count()

    def turn() -> float:
        root = directory / f"json-{next(numbers)}"
        started = time.perf_counter()
        for part in parts:
            write_deltalake(root, _plain_table(part), mode="append", partition_by=["date"])
        seconds = time.perf_counter() - started
        shutil.rmtree(root)
        return seconds

    return turn


def _live_turn(home: Home, events: list[Event]) -> Turn:
    spool = Spool.of(home)
    shipper = Shipper.of(home)

    def turn() -> float:
        spool.append(events)
        started = time.perf_counter()
        shipped = shipper.run_once()
        seconds = time.perf_counter() - started
        assert shipped.rows == len(events), shipped
        return seconds

    return turn


def _growing_turn(root: Path, tables: list[pa.Table]) -> Turn:
    def turn() -> float:
        started = time.perf_counter()
        for table in tables:
            write_deltalake(root, table, mode="append", partition_by=["date"])
        return time.perf_counter() - started

    return turn
