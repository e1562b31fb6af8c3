"""Care beside devices and a reader: ``python -m tests.crash.loop DIR SECONDS DEVICES [s3://…]``.

A process each, forked, so that everything is imported once. It runs for so many seconds, and on
until each has done what the test is about (at most :data:`MOST_S`). The reader writes down when its
scan began, and the vacuum keeps what was replaced since, however long a commit took: no less is
what makes readers safe, where the product keeps a week. Whoever wants to join adds a function to
:data:`ROLES`.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import orjson
import polars as pl
import structlog

from lifelog_lake.care import compact, tidy
from lifelog_lake.clock import SystemClock
from lifelog_lake.home import Home
from lifelog_lake.lake import parse_url
from lifelog_lake.lake.store import CONTROL
from lifelog_lake.ship import Shipper
from tests.crash.sweep import fork, run
from tests.fixtures.oracle import assert_whole, produce, ship_until_well, some
from tests.fixtures.piles import opened
from tests.helpers import make_home, ship

MOST_S = 200
#: What the clocks of a store and of a process may differ by.
SLACK_S = 2.0
STREAMS = ("window", "screen")
MEMORY = f"{CONTROL}/care/{tidy.JOB}.json"


class Place:
    """Where it happens, and what the processes tell each other."""

    def __init__(self, root: Path, url: str) -> None:
        self.root = root
        self.url = url

    def home(self, name: str) -> Home:
        return make_home(self.root / name / "home", lake=self.url)

    def ledger(self, name: str) -> Path:
        return self.root / name / "ledger"

    def goes_on(self) -> bool:
        return not (self.root / "stop").exists()

    def tell(self, name: str, value: object) -> None:
        passing = self.root / f"{name}.tmp"
        passing.write_bytes(orjson.dumps(value))
        os.replace(passing, self.root / name)

    def told(self, name: str) -> dict[str, float]:
        path = self.root / name
        found: dict[str, float] = orjson.loads(path.read_bytes()) if path.exists() else {}
        return found


def device(name: str) -> Callable[[Place], None]:
    """Appends and ships."""

    def role(place: Place) -> None:
        shipper = Shipper.of(place.home(name))
        while place.goes_on():
            produce(place.home(name), place.ledger(name), *some(1))
            ship_until_well(shipper)

    return role


def carer(place: Place) -> None:
    """Compacts and tidies, over and over."""
    home, done = place.home("hub"), Counter[str]()
    store, clock = parse_url(place.url, home), SystemClock()
    starts: list[float] = []
    while place.goes_on():
        starts.append(time.time())
        done.update(compact.run(home, store, clock).counts)
        scan = place.told("scan")
        if scan:
            # What a run replaced that went on when the scan began may be in the scan.
            since_s = max((s for s in starts if s <= scan["began_s"]), default=scan["began_s"])
            keep_s = time.time() - since_s + SLACK_S
            done.update(tidy.run(home, store, clock, keep_s=keep_s).counts)
        place.tell("care", done)


def reader(place: Place) -> None:
    """Scans by URL, anew each time (a frame keeps the version that it was first read at): what it
    has seen stays, nothing is there twice, no file is missing."""
    store = parse_url(place.url, place.home("hub"))
    seen: dict[str, set[str]] = {stream: set() for stream in STREAMS}
    scans = 0
    while place.goes_on():
        for stream in STREAMS:
            place.tell("scan", {"began_s": time.time()})
            url, options = store.table_url(stream), store.scan_options
            ids = pl.scan_delta(url, storage_options=options).collect()["id"].to_list()
            assert len(ids) == len(set(ids)), f"{stream}: rows are doubled"
            assert seen[stream] <= set(ids), f"{stream}: rows are gone"
            seen[stream] = set(ids)
        scans += 1
        place.tell("reader", {"scans": scans})


#: What runs once, beside the devices.
ROLES: dict[str, Callable[[Place], None]] = {
    "care": carer,
    "reader": reader,
}


def prepare(place: Place) -> None:
    """The lake and its first rows, so that there is something to scan."""
    home = place.home("device-0")
    place.home("hub")
    produce(home, place.ledger("device-0"), *some(1))
    ship(home)


def is_proven(place: Place) -> bool:
    """Whether everybody has done what this is about."""
    care, scans = place.told("care"), place.told("reader").get("scans", 0)
    return bool(scans > 3 and care.get("files merged") and care.get("data files removed"))


def settle(place: Place, devices: Sequence[str]) -> None:
    """Once more with nobody beside; then everything that was acknowledged is there, once."""
    hub = place.home("hub")
    store, clock = parse_url(place.url, hub), SystemClock()
    store.delete(MEMORY, at="settle")  # it says to look again when what was kept then is old
    for _ in range(2):
        compact.run(hub, store, clock)
        tidy.run(hub, store, clock, keep_s=-5)
    ledger = place.root / "ledger"
    homes = [place.home(name) for name in devices]
    ledger.write_bytes(b"".join(place.ledger(name).read_bytes() for name in devices))
    assert_whole(*homes, ledger=ledger)
    for stream in STREAMS:
        used = len(opened(store, stream).file_uris())
        keys = store.keys(f"tables/{stream}")
        there = sum(key.endswith(".parquet") and "_delta_log" not in key for key in keys)
        assert used == there, f"{stream}: {there} files are there, {used} are in use"


def main(root: Path, seconds: float, count: int, url: str | None = None) -> None:
    """Run all of it; print what was done. Whoever fails ends it for all."""
    place = Place(root, url or str(root / "lake"))
    run(lambda: prepare(place))
    devices = [f"device-{n}" for n in range(count)]
    roles = {name: device(name) for name in devices} | ROLES
    ends_s = time.monotonic() + seconds
    gives_up_s = time.monotonic() + MOST_S
    running = {fork(partial(role, place)): name for name, role in roles.items()}
    failed: list[str] = []
    while running:
        now_s = time.monotonic()
        if failed or now_s > gives_up_s or (now_s > ends_s and is_proven(place)):
            (place.root / "stop").touch()
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            time.sleep(0.1)
            continue
        name = running.pop(pid)
        if status:
            failed.append(f"{name} ended with {os.waitstatus_to_exitcode(status)}")
    if not failed:
        run(lambda: settle(place, devices))
    told = {**place.told("care"), **place.told("reader")}
    print(orjson.dumps({"failed": failed, "proven": is_proven(place), **told}).decode())


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    main(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
