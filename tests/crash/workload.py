"""What a device does in the crash sweep: capture, ship, and note what was acknowledged.

The ledger is the oracle: a producer writes each id there after `append` returned, so that whatever
stands in it must be in the lake at the end, once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import orjson
import pyarrow.dataset as ds
from deltalake import DeltaTable

from lifelog_lake.clock import SystemClock
from lifelog_lake.events import BlobSource, Event, new_event
from lifelog_lake.home import Home, open_home
from lifelog_lake.lake import checkpoint, init_lake, parse_url
from lifelog_lake.lake.store import Store
from lifelog_lake.lake.verify import verify
from lifelog_lake.ship import Shipper
from lifelog_lake.spool import Spool

CONFIG = """
[spool]
segment_bytes = 4096
min_free_bytes = 0
[ship]
batch_rows = 7
"""
#: So that the sweeps pass checkpoints too.
checkpoint.EVERY = 4
STREAMS = ("window", "screen", "journal")


def make_home(root: Path, lake: str | None = None) -> Home:
    """A home with small segments and small batches, and its lake beside it or where it is said."""
    home_dir = root / "home"
    home_dir.mkdir(parents=True)
    (home_dir / "config.toml").write_text(f'[lake]\nurl = "{lake or root / "lake"}"\n{CONFIG}')
    home = open_home(home_dir)
    init_lake(home)
    return home


def open_made(root: Path) -> Home:
    """The home again, in another process."""
    return open_home(root / "home")


def produce(home: Home, ledger: Path, rounds: int) -> None:
    """Append some rows of three streams a round, with blobs and cursors; note what was kept."""
    spool = Spool.of(home)
    clock = SystemClock()
    for number in range(rounds):
        for events, cursor in _round(clock.wall_us(), number):
            spool.append(events, cursor=cursor)
            note(ledger, events)


def note(ledger: Path, events: list[Event]) -> None:
    """Write acknowledged ids down: one write, so that a kill leaves whole lines."""
    lines = b"".join(orjson.dumps([event.stream, event.id]) + b"\n" for event in events)
    fd = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(fd, lines)
    os.close(fd)


def _round(now_us: int, number: int) -> Iterator[tuple[list[Event], dict[str, int] | None]]:
    windows = [
        new_event("window", at=now_us + i, data={"app": f"app {i}", "title": "x" * 60})
        for i in range(9)
    ]
    yield windows, {"read_to": now_us}
    frame = new_event(
        "screen",
        at=now_us,
        data={"monitor": 1, "black": False},
        source=BlobSource.of_bytes(os.urandom(300), "image/webp"),
    )
    yield [frame], None
    yield [new_event("journal", at=now_us, data={"title": f"round {number}"})], None


def ship(home: Home) -> None:
    """Ship once; a stream that fails is an error here."""
    shipped = Shipper.of(home).run_once()
    if shipped.errors:
        raise next(iter(shipped.errors.values()))


def work(root: Path, ledger: Path) -> None:
    """The run that is killed: capture and ship by turns."""
    home = open_made(root)
    for _ in range(3):
        produce(home, ledger, 2)
        ship(home)


def recover(root: Path, ledger: Path) -> None:
    """What a restart does: new rows, then ship."""
    home = open_made(root)
    produce(home, ledger, 1)
    ship(home)


def acknowledged(ledger: Path) -> list[tuple[str, str]]:
    """Stream and id of every row that `append` accepted."""
    if not ledger.exists():
        return []
    return [(stream, name) for stream, name in map(orjson.loads, ledger.read_bytes().splitlines())]


def lake_ids(root: Path) -> dict[str, list[str]]:
    """The ids in each table, read with a plain Delta reader."""
    store = store_of(root)
    return {
        stream: table_of(store, stream).to_pyarrow_table(columns=["id"])["id"].to_pylist()
        for stream in store.streams()
    }


def store_of(root: Path) -> Store:
    """The store of the home's lake."""
    home = open_made(root)
    return parse_url(home.lake_url, home)


def table_of(store: Store, stream: str) -> DeltaTable:
    """A table, opened as a plain Delta reader does."""
    return DeltaTable(store.table_url(stream), storage_options=store.table_options)


def problems(root: Path, ledger: Path, *, required: list[tuple[str, str]]) -> list[str]:
    """What is wrong in the end: rows that are missing or doubled, a spool that isn't drained."""
    found = []
    there = lake_ids(root)
    for stream, names in there.items():
        if len(names) != len(set(names)):
            found.append(f"{stream}: {len(names) - len(set(names))} rows are doubled")
    for stream in STREAMS:
        wanted = {name for kind, name in required if kind == stream}
        lost = wanted - set(there.get(stream, []))
        if lost:
            found.append(f"{stream}: {len(lost)} of {len(wanted)} acknowledged rows are missing")
    home = open_made(root)
    for stream, stats in Spool.of(home).stats().items():
        if stats.pending_rows:
            found.append(f"{stream}: {stats.pending_rows} rows are still in the spool")
    leftover = [path.name for path in (home.spool).glob("*/*/blobs/*")]
    if leftover:
        found.append(f"{len(leftover)} blobs are still in the spool")
    report = verify(parse_url(home.lake_url, home), read_data=True)
    found += [f"verify: {item.kind} {item.where} {item.message}" for item in report.findings]
    found += [f"verify recorded: {item}" for item in report.recorded]
    if not frames_have_blobs(root):
        found.append("a screen row has no blob")
    return found


def frames_have_blobs(root: Path) -> bool:
    """Every frame names content (verify proves that it hashes right)."""
    table = table_of(store_of(root), "screen")
    return table.to_pyarrow_dataset().count_rows(filter=ds.field("blob").is_null()) == 0
