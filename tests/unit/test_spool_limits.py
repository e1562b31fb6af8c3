"""A full spool and a full disk: said, never acknowledged, and over when there is room."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import orjson
import pytest

from lifelog_lake.errors import SpoolFull
from lifelog_lake.events import Event, new_event
from lifelog_lake.home import Home
from lifelog_lake.spool import Spool, queue
from tests import needs
from tests.helpers import (
    T0,
    abandon,
    ack,
    frame,
    ids,
    lifecycle,
    make_home,
    pending,
    pulse,
    rows,
    ship,
    verified,
    window,
)

MIB = 2**20


@pytest.fixture(autouse=True)
def looks_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The product looks every few seconds; a test doesn't wait for them."""
    monkeypatch.setattr(queue, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(queue, "LOOK_SHARE", 0.0)


def large(n: int, size: int = 100_000) -> Event:
    """A window row of so many bytes."""
    return window(n, data={"title": "x" * size})


def first_streams() -> list[Event]:
    """One event of each stream with reserved room."""
    return [
        pulse(0),
        new_event("lifecycle", at=T0, data={"kind": "started"}),
        new_event("journal", at=T0, data={"title": "t"}),
    ]


def fill(spool: Spool, most: int = 500) -> list[str]:
    """Append until the spool says it is full; the ids it acknowledged."""
    taken: list[str] = []
    for n in range(most):
        event = large(n)
        try:
            spool.append([event])
        except SpoolFull:
            return taken
        taken.append(event.id)
    raise AssertionError("the spool was never full")


def test_a_full_spool_stops_capture_and_nothing_else(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home", spool={"max_bytes": 4 * MIB})
    spool = Spool.of(home)
    taken = fill(spool)
    assert len(taken) >= 20
    with pytest.raises(SpoolFull) as caught:
        spool.append([frame(0, b"x" * 1000)])
    assert "max_bytes" in caught.value.hint
    assert not list(home.spool.glob("screen/*/blobs/*"))
    assert not list(home.spool.glob("screen/.tmp-*"))
    for event in first_streams():
        assert spool.append([event]) == range(1)
    assert len(pending(spool, "window")) == len(taken)
    ship(home)
    assert ids(home, "window") == sorted(taken)
    assert spool.append([window(999)]) == range(len(taken), len(taken) + 1)


def test_drop_oldest_goes_on_and_records_what_went(tmp_path: Path) -> None:
    home = make_home(
        tmp_path / "home",
        spool={"max_bytes": 4 * MIB, "segment_bytes": 4096, "on_full": "drop-oldest"},
    )
    spool = Spool.of(home)
    spool.append([pulse(0)])
    taken = []
    for n in range(120):
        event = large(n) if n % 2 else frame(n, b"y" * 100_000)
        taken.append((event.stream, spool.append([event])[0], event.id))
    abandon(spool)
    ship(home)
    dropped = {
        (stream, seq)
        for stream, first, last in lifecycle(home, "dropped")
        for seq in range(first or 0, (last or 0) + 1)
    }
    assert dropped
    for row in rows(home, "lifecycle").filter(kind="dropped").iter_rows(named=True):
        told = orjson.loads(row["extra"])  # events are a second apart
        first, last = row["first_seq"], row["last_seq"]
        assert told["rows"] == last - first + 1
        first_n, last_n = (
            next(n for n, one in enumerate(taken) if one[:2] == (row["stream"], seq))
            for seq in (first, last)
        )
        assert (told["from"], told["to"]) == (T0 + first_n * 1_000_000, T0 + last_n * 1_000_000)
    kept = [(stream, event_id) for stream, seq, event_id in taken if (stream, seq) not in dropped]
    for stream in ("window", "screen"):
        assert ids(home, stream) == sorted(event_id for name, event_id in kept if name == stream)
    assert kept[-1] == (taken[-1][0], taken[-1][2])
    assert max(seq for _, seq in dropped) < 59
    assert any("dropped" in line for line in verified(home).recorded)
    assert len(ids(home, "pulse")) == 1
    assert not list(home.spool.glob("screen/*/blobs/*"))


def test_drop_oldest_makes_room_where_content_is_all_the_weight(tmp_path: Path) -> None:
    """A row of a frame has hundreds of bytes, its content hundreds of thousands."""
    home = make_home(tmp_path / "home", spool={"max_bytes": 2**20, "on_full": "drop-oldest"})
    for n in range(40):  # a new spool looks at once, as after some seconds
        Spool.of(home).append([frame(n, bytes([n]) * 100_000)])
    ship(home)
    [*dropped] = lifecycle(home, "dropped")
    assert dropped
    kept = rows(home, "screen")
    assert kept["seq"].max() == 39
    assert kept.height >= 5
    verified(home)


def test_drop_oldest_never_takes_a_stream_with_reserved_room(tmp_path: Path) -> None:
    settings: dict[str, object] = {
        "max_bytes": 4 * MIB, "segment_bytes": 4096, "on_full": "drop-oldest",
    }  # fmt: skip
    home = make_home(tmp_path / "home", spool=settings)
    spool = Spool.of(home)
    for n in range(60):
        spool.append([new_event("journal", at=T0 + n, data={"description": "z" * 90_000})])
    with pytest.raises(SpoolFull):
        spool.append([large(0, 10)])
    ship(home)
    assert len(ids(home, "journal")) == 60


class Usage(NamedTuple):
    """What the system says of a disk."""

    free: int


def test_free_disk_space_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = make_home(tmp_path / "home", spool={"min_free_bytes": 10 * MIB})
    spool = Spool.of(home)
    free = [11 * MIB]
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(free[0]))
    spool.append([window(0)])
    free[0] = 9 * MIB
    with pytest.raises(SpoolFull) as caught:
        spool.append([window(1)])
    assert "min_free_bytes" in caught.value.hint
    for event in first_streams():
        spool.append([event])
    free[0] = 11 * MIB
    assert spool.append([window(1)]) == range(1, 2)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    if sys.platform != "linux" or os.geteuid() != 0:
        needs.lacking("needs root on Linux: mounting a tmpfs of 1 MB")
    path = tmp_path / "small"
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)])
    if mounted.returncode != 0:
        needs.lacking("needs the right to mount: a tmpfs of 1 MB can't be mounted")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def take_the_rest(path: Path) -> None:
    """Somebody else fills the disk to the last byte."""
    with contextlib.suppress(OSError), path.open("wb") as file:
        while True:
            file.write(b"\1" * 512)
            file.flush()


def home_on(disk: Path, lake: Path) -> Home:
    return make_home(disk / "home", lake=lake)


def test_a_full_disk_acknowledges_nothing_and_goes_on_when_there_is_room(
    small_disk: Path, tmp_path: Path
) -> None:
    home = home_on(small_disk, tmp_path / "lake")
    spool = Spool.of(home)
    spool.append([pulse(0)])
    spool.append([frame(0)])
    taken = fill(spool)
    assert len(taken) >= 3
    with pytest.raises(SpoolFull):
        spool.append([frame(1, os.urandom(200_000))])
    filler = small_disk / "filler"
    take_the_rest(filler)
    for n in range(1, 60):
        spool.append([pulse(n)])
    before = len(pending(spool, "window"))
    with pytest.raises(SpoolFull):
        spool.append([large(600)])
    assert len(pending(spool, "window")) == before == len(taken)
    ship(home)
    assert ids(home, "window") == sorted(taken)
    assert len(ids(home, "pulse")) == 60
    filler.unlink()
    event = large(700)
    spool.append([event])
    again = Spool.of(home)
    assert [record.fields["id"] for record in pending(again, "window")] == [event.id]
    ship(home)
    assert ids(home, "window") == sorted([*taken, event.id])
    assert rows(home, "screen")["blob"].null_count() == 0
    verified(home)
    abandon(spool, again)


def test_a_full_disk_can_still_ack(small_disk: Path, tmp_path: Path) -> None:
    """Acking is what makes room, so it must not need any."""
    home = home_on(small_disk, tmp_path / "lake")
    spool = Spool.of(home)
    taken = fill(spool)
    take_the_rest(small_disk / "filler")
    ack(spool, "window", len(taken) - 2)
    assert len(pending(spool, "window")) == 1
    abandon(spool)
