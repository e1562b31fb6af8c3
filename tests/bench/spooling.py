"""The spool's append against what a program without one would do: a file, and SQLite.

Every one of them is durable after each append. The record is the same 300 bytes everywhere; the
baselines get it encoded beforehand, the spool gets the event and encodes it.
"""

from __future__ import annotations

import functools
import itertools
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import orjson

from lifelog_lake.clock import SystemClock
from lifelog_lake.config import SpoolSettings
from lifelog_lake.events import Event, new_event
from lifelog_lake.spool import Spool
from lifelog_lake.spool.inlet import encode
from tests.bench.pairs import Row, Turn, compare

T = TypeVar("T")
RECORD_BYTES = 300
EVENTS = 4000
ROUNDS = 61
#: Appends in a turn: of one record, of a hundred.
SINGLE_APPENDS = 200
BATCH_APPENDS = 40
BATCH = 100


def make_events() -> list[Event]:
    """Window rows whose payload is as long as a baseline's record without its newline."""
    clock = SystemClock()
    at = clock.wall_us()

    def event(number: int, title: str) -> Event:
        data = {"app": "Firefox", "title": f"{number:06d} {title}", "bucket": "window_laptop"}
        return new_event("window", at=at + number, end=at + number + 1, tz=clock.tz(), data=data)

    missing = RECORD_BYTES - 1 - len(encode(event(0, ""), clock.tz()))
    return [event(number, "x" * missing) for number in range(EVENTS)]


def run(directory: Path, *, quick: bool) -> Iterator[Row]:
    """All comparisons of the append."""
    events = make_events()
    tz = SystemClock().tz()
    payloads = [encode(event, tz) + b"\n" for event in events]
    assert {len(payload) for payload in payloads} == {RECORD_BYTES}
    for size, appends, words in (
        (1, SINGLE_APPENDS, "one record"),
        (BATCH, BATCH_APPENDS, f"{BATCH} records"),
    ):
        spool = Spool(directory / f"spool-{size}", "bench", SpoolSettings(), SystemClock())
        ours = _spool_turn(spool, events, size, appends)
        bases: dict[str, tuple[Turn, float | None]] = {
            "write + fdatasync": (
                _file_turn(directory / f"file-{size}", payloads, size, appends),
                0.8,
            ),
            "orjson + write + fdatasync": (
                _encoding_file_turn(directory / f"encoding-{size}", events, size, appends),
                None,
            ),
            "SQLite WAL, synchronous=FULL": (
                _sqlite_turn(directory / f"sqlite-{size}", payloads, size, appends),
                1.5,
            ),
        }
        measure = functools.partial(
            compare, units=size * appends, unit="records", rounds=ROUNDS // 4 if quick else ROUNDS
        )
        for name, (base, goal) in bases.items():
            yield measure(f"append of {words} / {name}", ours=ours, base=base, goal=goal)
        # What any program could reach at most that syncs a file.
        file, sqlite = bases["write + fdatasync"][0], bases["SQLite WAL, synchronous=FULL"][0]
        yield measure(f"{words}: write + fdatasync / SQLite WAL", ours=file, base=sqlite)


def _spool_turn(spool: Spool, events: list[Event], size: int, appends: int) -> Turn:
    batches = itertools.cycle(_batches(events, size))

    def turn() -> float:
        todo = list(itertools.islice(batches, appends))
        started = time.perf_counter()
        for batch in todo:
            spool.append(batch)
        return time.perf_counter() - started

    return turn


def _file_turn(path: Path, payloads: list[bytes], size: int, appends: int) -> Turn:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    records = itertools.cycle([b"".join(batch) for batch in _batches(payloads, size)])

    def turn() -> float:
        todo = list(itertools.islice(records, appends))
        started = time.perf_counter()
        for record in todo:
            os.write(fd, record)
            os.fdatasync(fd)
        return time.perf_counter() - started

    return turn


def _encoding_file_turn(path: Path, events: list[Event], size: int, appends: int) -> Turn:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    batches = itertools.cycle(_batches(events, size))

    def turn() -> float:
        todo = list(itertools.islice(batches, appends))
        started = time.perf_counter()
        for batch in todo:
            lines = [
                orjson.dumps(
                    {
                        "id": event.id,
                        "at": event.at,
                        "end": event.end,
                        "tz": event.tz,
                        "data": event.data,
                    },
                    option=orjson.OPT_APPEND_NEWLINE,
                )
                for event in batch
            ]
            os.write(fd, b"".join(lines))
            os.fdatasync(fd)
        return time.perf_counter() - started

    return turn


def _sqlite_turn(path: Path, payloads: list[bytes], size: int, appends: int) -> Turn:
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE record (seq INTEGER PRIMARY KEY, payload BLOB)")
    insert = "INSERT INTO record (payload) VALUES (?)"
    batches = itertools.cycle(_batches([(payload,) for payload in payloads], size))

    def turn() -> float:
        todo = list(itertools.islice(batches, appends))
        started = time.perf_counter()
        for batch in todo:
            if size == 1:
                database.execute(insert, batch[0])  # a transaction by itself
            else:
                database.execute("BEGIN")
                database.executemany(insert, batch)
                database.execute("COMMIT")
        return time.perf_counter() - started

    return turn


def _batches(items: list[T], size: int) -> list[list[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
