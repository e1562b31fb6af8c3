"""What a spool promises while nothing goes wrong."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import subprocess
import sys
import threading
import tracemalloc
from functools import partial
from pathlib import Path

import pytest

from lifelog_lake import fsio
from lifelog_lake.errors import SpoolError, SpoolWriteFailed
from lifelog_lake.events import BlobSource, Event, new_event
from lifelog_lake.spool import Spool, queue
from lifelog_lake.spool.segment import parse_name
from tests.helpers import (
    T0,
    Failing,
    FixedClock,
    Recorder,
    abandon,
    ack,
    frame,
    hooked,
    make_home,
    pending,
    pulse,
    segments,
    seqs,
    window,
)

SMALL = {"segment_bytes": 4096}
ROOT = Path(__file__).parents[2]


def test_what_is_appended_is_read_in_its_order(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home", init=False)
    spool = Spool.of(home)
    events = [window(n) for n in range(7)]
    assert spool.append(events[:3]) == range(3)
    assert spool.append(events[3:]) == range(3, 7)
    abandon(spool)
    again = Spool.of(home)
    found = pending(again, "window")
    assert seqs(found) == list(range(7))
    assert [record.fields["id"] for record in found] == [event.id for event in events]
    assert [record.fields["data"] for record in found] == [event.data for event in events]
    assert again.append([window(7)]) == range(7, 8)


def test_append_syncs_before_it_returns(tmp_path: Path) -> None:
    spool = Spool.of(make_home(tmp_path / "home", init=False))
    spool.append([frame(0)])
    with hooked(Recorder()) as recorder:
        spool.append([frame(1)])
    names = [op.name for op in recorder.ops]
    assert names.index("blob.put.fsync") < names.index("blob.put.rename")
    assert names.index("blob.put.rename") < names.index("blob.put.fsync_dir")
    assert names.index("blob.put.fsync_dir") < names.index("append.write")
    assert names[-1] == "append.fsync"


def test_read_gives_at_most_so_many_rows_and_goes_on(tmp_path: Path) -> None:
    spool = Spool.of(make_home(tmp_path / "home", init=False, spool=dict(SMALL)))
    for n in range(0, 90, 3):
        spool.append([window(n), window(n + 1), window(n + 2)])
    outlet = spool.outlet("window")
    found: list[int] = []
    while (batch := outlet.read(len(found) - 1, 7)) is not None:
        assert len(batch.records) == min(7, 90 - len(found))
        assert (batch.first, batch.last) == (len(found), len(found) + len(batch.records) - 1)
        found += seqs(batch.records)
    assert found == list(range(90))
    again = outlet.read(10, 5)
    assert again is not None
    assert seqs(again.records) == [11, 12, 13, 14, 15]


def test_a_stream_is_sealed_when_it_is_full_and_when_the_machine_booted(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home", init=False, spool=dict(SMALL))
    clock = FixedClock()
    spool = Spool.of(home, clock)
    for n in range(40):
        spool.append([window(n)])
    clock.boot = "boot-2"
    spool.append([window(40)])
    names = [parse_name(path) for path in segments(home, "window")]
    spans = [(name.first, name.last) for name in names if name is not None]
    assert len(spans) > 3
    assert spans[0][0] == 0
    assert spans[-1] == (40, None)
    following = [first for first, _ in spans[1:]]
    assert [last + 1 for _, last in spans[:-1] if last is not None] == following
    assert all(b"\0" not in path.read_bytes() for path in segments(home, "window", "*.seg"))
    assert seqs(pending(spool, "window")) == list(range(41))


def test_ack_gives_up_what_is_in_the_lake_and_never_goes_back(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home", init=False, spool=dict(SMALL))
    spool = Spool.of(home)
    for n in range(40):
        spool.append([window(n)])
    ack(spool, "window", 25)
    ack(spool, "window", 10)
    assert seqs(pending(spool, "window")) == list(range(26, 40))
    stats = spool.stats()["window"]
    assert (stats.pending_rows, stats.acked_seq, stats.next_seq) == (14, 25, 40)
    assert (stats.oldest_at, stats.newest_at) == (T0 + 26_000_000, T0 + 39_000_000)
    kept = list((home.spool / "window" / "acked").glob("*/*.seg"))
    assert kept
    assert all(int(path.stem.split("-")[1]) <= 25 for path in kept)
    ack(spool, "window", 39)
    assert spool.stats()["window"].pending_rows == 0
    assert spool.append([window(40)]) == range(40, 41)


def test_an_ack_of_another_epoch_does_nothing(tmp_path: Path) -> None:
    spool = Spool.of(make_home(tmp_path / "home", init=False))
    spool.append([window(0)])
    spool.outlet("window").ack("another", 0, "lake/1")
    assert len(pending(spool, "window")) == 1


def test_the_cursor_survives_seal_ack_prune_renewal_and_reopening(tmp_path: Path) -> None:
    home = make_home(
        tmp_path / "home", init=False, spool={**SMALL, "keep_acked_days": 0, "keep_acked_bytes": 0}
    )
    clock = FixedClock(wall_us=T0 + 10**15)
    spool = Spool.of(home, clock)
    assert spool.cursor("window") is None
    spool.append([window(0)], {"page": 1})
    spool.append([window(1)])

    def still(value: object) -> None:
        assert spool.cursor("window") == value
        other = Spool.of(home, clock)
        assert other.cursor("window") == value
        abandon(other)

    still({"page": 1})
    for n in range(2, 60):
        spool.append([window(n)])
    still({"page": 1})
    ack(spool, "window", 59)
    spool.prune_acked()
    still({"page": 1})
    clock.boot = "boot-2"
    spool.append([window(60)])
    clock.boot = "boot-3"
    spool.append([window(61)])
    ack(spool, "window", 61)
    spool.prune_acked()
    still({"page": 1})
    state = spool.outlet("window").state()
    spool.renew("window", expected_epoch=state.epoch, generation="lake/1", offer_acked=False)
    still({"page": 1})
    spool.append([window(62)], [1, None, "x"])
    still([1, None, "x"])


def _is(name: str, op: fsio.Op) -> bool:
    return op.name == name


def test_an_empty_segment_is_replaced_without_losing_the_cursor(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home", init=False)
    clock = FixedClock()
    spool = Spool.of(home, clock)
    spool.append([window(0)], 7)
    clock.boot = "boot-2"  # a new segment, in which the first append fails
    failing = Failing(errno.EIO, first=1, matches=partial(_is, "append.write"))
    with hooked(failing), pytest.raises(SpoolWriteFailed):
        spool.append([window(1)])
    ack(spool, "window", 0)
    for point in ("append.new.create", "append.write", "append.new.rename", "append.new.fsync_dir"):
        failing = Failing(errno.EIO, matches=partial(_is, point))
        with hooked(failing), pytest.raises(SpoolWriteFailed):
            spool.append([window(1)])
        assert failing.failed
        abandon(spool)
        clock.boot += "x"  # the machine went down with it
        spool = Spool.of(home, clock)
        assert spool.cursor("window") == 7, point
    assert spool.append([window(1)]) == range(1, 2)
    assert spool.cursor("window") == 7


def test_a_batch_of_another_stream_is_refused(tmp_path: Path) -> None:
    spool = Spool.of(make_home(tmp_path / "home", init=False))
    with pytest.raises(ValueError, match="one stream"):
        spool.append([window(0), pulse(0)])
    with pytest.raises(ValueError, match="at least one"):
        spool.append([])
    assert spool.streams() == []


def test_streams_that_ship_first_are_named_first(tmp_path: Path) -> None:
    spool = Spool.of(make_home(tmp_path / "home", init=False))
    for event in (window(0), frame(0), pulse(0)):
        spool.append([event])
    assert spool.streams() == ["pulse", "screen", "window"]


def test_threads_that_append_at_once_get_distinct_seqs(tmp_path: Path) -> None:
    spool = Spool.of(make_home(tmp_path / "home", init=False, spool=dict(SMALL)))
    given: list[range] = []

    def work(start: int) -> None:
        given.extend(spool.append([window(start + n), window(start + n)]) for n in range(25))

    threads = [threading.Thread(target=work, args=(1000 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seq for span in given for seq in span) == list(range(200))
    assert seqs(pending(spool, "window")) == list(range(200))


APPENDER = """
import sys
from pathlib import Path
from tests.helpers import make_home, window
from lifelog_lake.spool import Spool
spool = Spool.of(make_home(Path(sys.argv[1]), init=False, spool={"segment_bytes": 4096}))
for n in range(60):
    print(*spool.append([window(n), window(n)]))
"""


def test_processes_that_append_at_once_get_distinct_seqs(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home", init=False, spool=dict(SMALL))
    command = [sys.executable, "-c", APPENDER, str(home.path)]
    started = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    spool = Spool.of(home)
    mine = [seq for n in range(40) for seq in spool.append([window(n)])]
    theirs = [[int(word) for word in process.communicate()[0].split()] for process in started]
    assert all(process.returncode == 0 for process in started)
    assert all(len(found) == 120 for found in theirs)
    assert sorted([*mine, *(seq for found in theirs for seq in found)]) == list(range(400))
    assert seqs(pending(spool, "window")) == list(range(400))


def test_equal_content_of_two_records_is_kept_until_both_are_acked(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home", init=False)
    spool = Spool.of(home)
    spool.append([frame(0, b"same"), frame(1, b"same")])
    spool.append([frame(2, b"other")])
    assert len(list((home.spool / "screen").glob("*/blobs/*"))) == 3
    ack(spool, "screen", 0)
    batch = spool.outlet("screen").read(0, 10)
    assert batch is not None
    paths = [spool.outlet("screen").blob_path(batch, record) for record in batch.records]
    assert [path.read_bytes() for path in paths] == [b"same", b"other"]
    ack(spool, "screen", 2)
    assert list((home.spool / "screen").glob("*/blobs/*")) == []


def test_content_of_many_megabytes_streams_through(tmp_path: Path) -> None:
    path = tmp_path / "large"
    piece = os.urandom(2**20)
    with path.open("wb") as file:
        for _ in range(48):
            file.write(piece)
    spool = Spool.of(make_home(tmp_path / "home", init=False))
    spool.append([frame(0)])
    tracemalloc.start()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    source = BlobSource.of_file(path, "video/mp4")
    spool.append([_with_source(source)])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * 2**20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 24 * 1024
    record = pending(spool, "screen")[1]
    assert record.fields["blob_bytes"] == 48 * 2**20
    with path.open("rb") as file:
        assert record.fields["blob"] == hashlib.file_digest(file, "sha256").hexdigest()


def _with_source(source: BlobSource) -> Event:
    return new_event("screen", at=T0, data={}, source=source)


def test_kept_segments_are_pruned_by_age_and_by_size(tmp_path: Path) -> None:
    settings: dict[str, object] = {**SMALL, "keep_acked_days": 2, "keep_acked_bytes": 9000}
    home = make_home(tmp_path / "home", init=False, spool=settings)
    clock = FixedClock()
    spool = Spool.of(home, clock)
    for n in range(120):
        spool.append([window(n)])
    ack(spool, "window", 119)

    def kept() -> list[str]:
        return sorted(path.name for path in (home.spool / "window" / "acked").glob("*/*.seg"))

    before = kept()
    spool.prune_acked()
    assert kept() == before[-2:], "the newest 9000 bytes are two segments"
    clock.now_us += int(1.9 * 86_400e6)
    spool.prune_acked()
    assert kept() == before[-2:]
    clock.now_us += int(0.2 * 86_400e6)
    spool.prune_acked()
    assert kept() == []
    assert seqs(pending(spool, "window")) == []
    assert spool.append([window(120)]) == range(120, 121)


def test_an_older_format_is_upgraded_again_after_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home(tmp_path / "home", init=False)
    spool = Spool.of(home)
    spool.append([window(0)])
    abandon(spool)
    mark = home.spool / "format.json"
    mark.write_text('{"format": 0}')
    runs = []

    def upgrade(root: Path) -> None:
        runs.append(root)
        if len(runs) == 1:
            raise KeyboardInterrupt("killed in the middle")

    monkeypatch.setitem(queue.UPGRADES, 0, upgrade)
    with pytest.raises(KeyboardInterrupt):
        Spool.of(home)
    assert mark.read_text() == '{"format": 0}'
    assert seqs(pending(Spool.of(home), "window")) == [0]
    assert runs == [home.spool, home.spool]
    assert '"format":1' in mark.read_text()
    Spool.of(home)
    assert len(runs) == 2


def test_a_newer_format_is_refused_and_left_alone(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home", init=False)
    Spool.of(home)
    mark = home.spool / "format.json"
    mark.write_text('{"format": 2}')
    with pytest.raises(SpoolError, match="format 2") as caught:
        Spool.of(home)
    assert "newer" in caught.value.hint
    assert mark.read_text() == '{"format": 2}'


def test_what_can_not_become_an_event_is_kept_with_its_reason(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home", init=False)
    spool = Spool.of(home)
    path = spool.quarantine("../we\x00b", b"\xff\x00payload", "no title \ud800")
    assert path.read_bytes() == b"\xff\x00payload"
    assert home.spool in path.parents
    assert b"no title" in path.with_suffix(".json").read_bytes()


def test_unfinished_files_are_removed_only_when_they_are_old(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home", init=False)
    spool = Spool.of(home)
    spool.append([frame(0)])
    abandon(spool)
    old, young = (home.spool / "screen" / f".tmp-{name}" for name in ("old", "young"))
    old.write_bytes(b"x")
    young.write_bytes(b"x")
    os.utime(old, (1, 1))
    Spool.of(home).append([frame(1)])
    assert (old.exists(), young.exists()) == (False, True)


def test_no_hook_is_left_installed() -> None:
    assert fsio._hook is None
