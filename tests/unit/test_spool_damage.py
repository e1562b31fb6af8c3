"""Torn and flipped bytes: what is damaged is seen, kept, recorded, and costs only itself."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lifelog_lake import fsio
from lifelog_lake.errors import SpoolError
from lifelog_lake.home import Home, open_home
from lifelog_lake.lake.verify import verify
from lifelog_lake.ship import Shipper
from lifelog_lake.spool import Batch, Record, Spool, check, segment
from lifelog_lake.spool.segment import Line, last_record, scan
from lifelog_lake.spool.state import parse_state
from tests.helpers import (
    FixedClock,
    abandon,
    flipped,
    frame,
    ids,
    lifecycle,
    make_home,
    pending,
    rows,
    segments,
    seqs,
    ship,
    verified,
    window,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def spooled(tmp_path: Path) -> Home:
    """Seven window rows in four batches, with cursors, in one open segment."""
    home = make_home(tmp_path / "home")
    spool = Spool.of(home, FixedClock())
    for batch in ([0, 1], [2, 3, 4], [5], [6]):
        spool.append([window(n) for n in batch], batch[-1])
    abandon(spool)
    return home


@pytest.fixture
def no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of reopened spools: waiting for the disk would prove nothing about flipped bits."""
    monkeypatch.setattr(fsio, "_sync_fd", lambda _: None)


def reopened(home: Home) -> Spool:
    return Spool.of(home, FixedClock())


def read_all(spool: Spool, stream: str = "window") -> Batch:
    batch = spool.outlet(stream).read(-1, 1000)
    assert batch is not None
    return batch


def content_of(path: Path) -> bytes:
    """A segment's lines, without the zeros behind them."""
    return path.read_bytes().rstrip(b"\0")


@pytest.mark.usefixtures("no_sync")
def test_the_last_three_records_cut_at_every_byte(spooled: Home) -> None:
    path = segments(spooled, "window")[0]
    whole = content_of(path)
    lines = whole.splitlines(keepends=True)
    start = len(b"".join(lines[:-5]))  # R C of 6, R C of 5, R of 4 with its C before them
    for zeros in (b"", bytes(1000)):
        for cut in range(start, len(whole) + 1):
            path.write_bytes(whole[:cut] + zeros)
            spool = reopened(spooled)
            # A right line counts even when the newline behind it is gone.
            kept = [n for n in range(7) if ends_of(lines)[n] - (1 if zeros else 0) <= cut]
            assert [r.fields["data"]["title"] for r in pending_of(spool)] == [
                f"title {n}" for n in kept
            ]
            assert spool.append([window(9)]) == range(len(kept), len(kept) + 1)
            titles = [r.fields["data"]["title"] for r in pending_of(spool)]
            assert titles == [f"title {n}" for n in [*kept, 9]]
            abandon(spool)
            again = reopened(spooled)
            assert [r.fields["data"]["title"] for r in pending_of(again)] == titles
            abandon(again)


def ends_of(lines: list[bytes]) -> list[int]:
    """Where each record's line ends."""
    found, end = [], 0
    for line in lines:
        end += len(line)
        if line[35:36] == b"R":
            found.append(end)
    return found


def pending_of(spool: Spool) -> list[Record]:
    batch = spool.outlet("window").read(-1, 1000)
    assert batch is not None
    assert not batch.gaps
    return list(batch.records)


@pytest.mark.usefixtures("no_sync")
def test_a_flipped_bit_in_every_byte_costs_at_most_its_own_record(spooled: Home) -> None:
    path = segments(spooled, "window")[0]
    whole = content_of(path) + bytes(1000)
    size = len(whole.rstrip(b"\0"))
    starts = [0, *ends_of_lines(whole[:size])]
    seq_of_line = [line_seq(whole, start) for start in starts[:-1]]
    # Every byte of every line, and some of the zeros behind them.
    for position in [*range(size), size, size + 1, size + 700, len(whole) - 1]:
        for other in segments(spooled, "window"):  # a damaged header begins a new segment
            other.unlink()
        path.write_bytes(flipped(whole, position, position % 8))
        line = max(i for i, start in enumerate(starts) if start <= position)
        own = seq_of_line[line] if line < len(seq_of_line) else None
        report = check(spooled.path)
        spool = reopened(spooled)
        batch = read_all(spool)
        lost = set(range(7)) - set(seqs(batch.records))
        assert lost <= ({own} if own is not None else set()), position
        assert all(
            record.fields["data"]["title"] == f"title {record.seq}" for record in batch.records
        )
        gaps = {seq for gap in batch.gaps for seq in range(gap.first, gap.last + 1)}
        assert lost <= gaps, f"a gap of byte {position} isn't named"
        if position < size:
            assert report.findings or report.streams[0].torn_bytes, (
                f"check doesn't see byte {position}"
            )
            assert b"".join(piece.content for piece in batch.damage), position
        else:
            assert report.streams[0].torn_bytes > 0
        if lost:
            assert any("missing" in finding for finding in report.findings), position
        if position % 10 == 0:
            assert spool.append([window(9)])[0] > batch.last
        abandon(spool)


def ends_of_lines(content: bytes) -> list[int]:
    found, end = [], 0
    for line in content.splitlines(keepends=True):
        end += len(line)
        found.append(end)
    return found


def line_seq(content: bytes, start: int) -> int | None:
    """The seq of the record that a line holds; None for headers and ends of batches."""
    return (
        int(content[start + 18 : start + 34], 16)
        if content[start + 35 : start + 36] == b"R"
        else None
    )


@pytest.mark.parametrize("sealed", [False, True], ids=["open", "sealed"])
@pytest.mark.parametrize("seq", [0, 3, 6], ids=["first", "middle", "last"])
def test_a_damaged_record_is_kept_recorded_and_accounted_for(
    spooled: Home, seq: int, sealed: bool
) -> None:
    path = segments(spooled, "window")[0]
    if sealed:
        spool = Spool.of(spooled, FixedClock(boot="boot-2"))
        spool.append([window(7)])
        abandon(spool)
        path = segments(spooled, "window", "*.seg")[0]
    whole = path.read_bytes()
    place = whole.index(b"title %d" % seq)
    path.write_bytes(flipped(whole, place, 0))
    done = ship(spooled)
    total = 8 if sealed else 7
    assert len(ids(spooled, "window")) == total - 1
    assert lifecycle(spooled, "quarantined") == [("window", seq, seq)]
    assert any("quarantined" in finding for finding in done.findings)
    kept = [file.read_bytes() for file in (spooled.spool / "window" / "quarantine").iterdir()]
    assert any(flipped(whole, place, 0)[place - 20 : place + 8] in content for content in kept)
    report = verified(spooled)
    assert any("quarantined" in line for line in report.recorded)
    assert ship(spooled).rows == 0
    assert len(rows(spooled, "lifecycle")) == 1


def test_a_damaged_record_with_a_blob_keeps_the_blob(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    spool = Spool.of(home)
    spool.append([frame(1)])
    spool.append([frame(2, b"content of the second")])
    path = segments(home, "screen")[0]
    whole = path.read_bytes()
    path.write_bytes(flipped(whole, whole.rindex(b'"monitor"') + 2, 1))
    abandon(spool)
    ship(home)
    kept = [file.read_bytes() for file in (home.spool / "screen" / "quarantine").iterdir()]
    assert b"content of the second" in kept
    assert len(ids(home, "screen")) == 1
    assert lifecycle(home, "quarantined") == [("screen", 1, 1)]
    verified(home)


def test_a_damaged_record_is_recorded_also_when_the_epoch_changes(spooled: Home) -> None:
    path = segments(spooled, "window")[0]
    whole = path.read_bytes()
    path.write_bytes(flipped(whole, whole.index(b"title 3"), 0))
    spool = reopened(spooled)
    outlet = spool.outlet("window")
    outlet.ack(outlet.state().epoch, 0, "another lake/1")
    abandon(spool)
    ship(spooled)
    assert lifecycle(spooled, "quarantined") == [("window", 3, 3)]
    assert list((spooled.spool / "window" / "quarantine").glob("*.bin"))
    assert len(ids(spooled, "window")) == 6
    verified(spooled)


def test_a_segment_that_is_gone_is_recorded_as_lost(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home", spool={"segment_bytes": 4096})
    spool = Spool.of(home)
    for n in range(60):
        spool.append([window(n)])
    abandon(spool)
    victim = segments(home, "window", "*.seg")[1]
    first, last = map(int, victim.stem.split("-"))
    victim.unlink()
    assert any(f"{first} to {last}" in finding for finding in check(home.path).findings)
    ship(home)
    assert lifecycle(home, "lost") == [("window", first, last)]
    assert len(ids(home, "window")) == 60 - (last - first + 1)
    assert verified(home).recorded


def test_flipped_bits_in_the_state_are_refused(spooled: Home) -> None:
    path = spooled.spool / "window" / "state.json"
    whole = path.read_bytes()
    for position in range(len(whole) - 1):
        for bit in range(8):
            path.write_bytes(flipped(whole, position, bit))
            with pytest.raises(SpoolError) as caught:
                parse_state(path)
            assert caught.value.hint
    path.write_bytes(flipped(whole, whole.index(b"acked") + 7, 2))
    with pytest.raises(SpoolError):
        reopened(spooled).append([window(9)])


def test_a_damaged_state_stops_its_stream_and_no_other(spooled: Home) -> None:
    spool = reopened(spooled)
    spool.append([frame(1)])
    abandon(spool)
    path = spooled.spool / "window" / "state.json"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"acked":-1', b'"acked":4'))
    done = Shipper.of(spooled).run_once()
    assert isinstance(done.errors["window"], SpoolError)
    assert len(ids(spooled, "screen")) == 1
    with pytest.raises(SpoolError):
        reopened(spooled).append([window(9)])
    path.write_bytes(whole)
    ship(spooled)
    assert len(ids(spooled, "window")) == 7


@pytest.mark.parametrize(
    "mark", [b"", b"{}", b'{"format": 0}', b'{"format": "x"}', b"[1]", b"\xff"]
)
def test_a_damaged_format_mark_is_refused(spooled: Home, mark: bytes) -> None:
    (spooled.spool / "format.json").write_bytes(mark)
    with pytest.raises(SpoolError):
        reopened(spooled)


@pytest.mark.parametrize("how", ["flipped", "cut", "gone"])
def test_a_damaged_pending_blob_costs_the_row_only_its_blob(tmp_path: Path, how: str) -> None:
    home = make_home(tmp_path / "home")
    spool = Spool.of(home)
    spool.append([frame(1), frame(2), frame(3)])
    path = sorted((home.spool / "screen").glob("*/blobs/*"))[1]
    content = path.read_bytes()
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(flipped(content, 3, 3) if how == "flipped" else content[:-1])
    ship(home)
    kind = "blob-lost" if how == "gone" else "blob-quarantined"
    assert lifecycle(home, kind) == [("screen", 1, 1)]
    there = rows(home, "screen")
    assert there["blob"].is_null().to_list() == [False, True, False]
    assert json.loads(there["extra"][1])["_blob_missing"] == path.name.split("-")[1]
    quarantine = home.spool / "screen" / "quarantine"
    assert (how == "gone") == (not quarantine.exists() or not any(quarantine.iterdir()))
    assert any(kind in line for line in verified(home).recorded)


@pytest.mark.parametrize("how", ["flipped", "cut", "gone"])
@pytest.mark.parametrize("what", ["data", "blob"])
def test_verify_finds_damage_in_the_lake(tmp_path: Path, what: str, how: str) -> None:
    home = make_home(tmp_path / "home")
    spool = Spool.of(home)
    spool.append([frame(1), frame(2)])
    ship(home)
    lake = Path(home.lake_url)
    path = next(
        file
        for file in lake.rglob("*.parquet" if what == "data" else "blobs/sha256/*/*/*")
        if file.is_file()
    )
    content = path.read_bytes()
    if how == "gone":
        path.unlink()
    else:
        middle = len(content) // 2
        path.write_bytes(flipped(content, middle, 5) if how == "flipped" else content[:-1])
    found = {finding.kind for finding in verify(home.lake_url, read_data=True).findings}
    name = "data-file" if what == "data" else "blob"
    end = {"flipped": "damaged", "cut": "size", "gone": "missing"}[how]
    assert f"{name}-{end}" in found


def test_check_changes_nothing_and_reads_a_copy_that_is_read_only(
    spooled: Home, tmp_path: Path
) -> None:
    live = reopened(spooled)
    live.append([frame(1)])
    before = snapshot_of(spooled.spool)
    assert check(spooled.path).findings == ()
    assert snapshot_of(spooled.spool) == before
    copy = tmp_path / "copy"
    shutil.copytree(spooled.spool, copy)
    for path in [copy, *copy.rglob("*")]:
        path.chmod(0o500 if path.is_dir() else 0o400)
    report = check(copy)
    for path in [copy, *copy.rglob("*")]:
        path.chmod(0o700)
    assert report.findings == ()
    assert {s.stream: s.records for s in report.streams} == {"screen": 1, "window": 7}
    assert snapshot_of(copy).keys() == snapshot_of(spooled.spool).keys()
    assert len(pending(live, "window")) == 7


BUSY = """
import sys
from pathlib import Path
from tests.helpers import ack, make_home, window
from lifelog_lake.spool import Spool
spool = Spool.of(make_home(Path(sys.argv[1]), init=False, spool={"segment_bytes": 4096}))
n = 0
while True:
    spool.append([window(n)])
    n += 1
    if n % 7 == 0:
        ack(spool, "window", n - 3)
"""


def test_check_finds_nothing_in_a_healthy_spool_that_is_in_use(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home", init=False, spool={"segment_bytes": 4096})
    Spool.of(home).append([window(0)])
    busy = subprocess.Popen([sys.executable, "-c", BUSY, str(home.path)], cwd=ROOT)
    try:
        while check(home.path).streams[0].acked_seq < 50:
            assert busy.poll() is None
        for _ in range(400):
            assert check(home.path).findings == ()
        assert busy.poll() is None
    finally:
        busy.kill()
        busy.wait()


def snapshot_of(root: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(root)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in root.rglob("*")
        if path.is_file()
    }


def test_check_refuses_what_is_no_spool(tmp_path: Path) -> None:
    with pytest.raises(SpoolError):
        check(tmp_path)
    home = open_home(tmp_path / "home")
    Spool.of(home)
    (home.spool / "format.json").write_text('{"format": 2}')
    with pytest.raises(SpoolError, match="format 2"):
        check(home.path)


def test_the_last_record_is_found_from_the_end_or_left_to_a_whole_look() -> None:
    def payload(seq: int) -> bytes:
        return json.dumps({"at": seq}).encode()

    lines = [segment.frame(b"H", 0, b"{}")]
    for seq in (0, 2):
        lines += [segment.frame(b"R", n, payload(n)) for n in (seq, seq + 1)] + [
            segment.frame(b"C", seq + 1, b"{}")
        ]
    whole = b"".join(lines)
    assert last_record(lines[0] + bytes(9)) is None
    for content in (whole, whole + bytes(50)):
        last = last_record(content)
        assert last is not None
        assert (last.seq, last.payload) == (3, payload(3))
    for place in range(len(whole)):
        for damaged in (whole[:place], whole[:place] + b"?" + whole[place + 1 :]):
            records = [
                line for line in scan(damaged) if isinstance(line, Line) and line.kind == b"R"
            ]
            found = last_record(damaged)
            assert found is None or found == records[-1]
