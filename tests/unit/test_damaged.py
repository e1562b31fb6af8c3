"""Each damaged lake and spool of ``tests/data/damaged``: found, mended or set aside exactly."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lifelog_lake.care.repair import repair
from lifelog_lake.clock import SystemClock
from lifelog_lake.home import Home, open_home
from lifelog_lake.lake import parse_url
from lifelog_lake.lake.repair import QUARANTINE
from lifelog_lake.lake.verify import Share, verify
from lifelog_lake.spool import check
from tests.helpers import ids, rows, ship, verified

DATA = Path(__file__).resolve().parents[1] / "data"
CASES = sorted(path.name for path in (DATA / "damaged").iterdir())
LAKES = [name for name in CASES if not name.startswith("spool-")]
SPOOLS = [name for name in CASES if name.startswith("spool-")]


def case_of(name: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((DATA / "damaged" / name / "case.json").read_bytes())
    return told


def opened(tmp_path: Path, name: str, more: Mapping[str, object] | None = None) -> Home:
    """The older release's home and lake with this damage."""
    place = tmp_path / "device"
    shutil.copytree(DATA / "v1", place)
    shutil.copytree(DATA / "damaged" / name, place, dirs_exist_ok=True)
    for gone in case_of(name)["gone"]:
        (place / gone).unlink()
    flags: dict[str, object] = {
        "lake": {"url": str(place / "lake")},
        "spool": {"min_free_bytes": 0},
        **(more or {}),
    }
    return open_home(place / "home", flags=flags)


def counts(home: Home) -> dict[str, int]:
    return {name: rows(home, name).height for name in ("window", "screen")}


@pytest.mark.parametrize("name", LAKES)
def test_exactly_it_is_found_and_without_a_copy_set_aside(tmp_path: Path, name: str) -> None:
    home, case = opened(tmp_path, name), case_of(name)
    store = parse_url(home.lake_url, home)
    before = {path: path.read_bytes() for path in files(home)}

    def again() -> Any:
        return verify(store, read_data=True)

    report = again()
    found = [one for one in report.findings if one.kind not in ("table", "seq-missing")]
    assert [[one.kind, one.key] for one in found] == case["finds"]
    assert all(one.hint and one.depends for one in found)
    done = repair(home, store, None, report, again, SystemClock())
    assert all(content in kept(home) for content in before.values()), "nothing is deleted"
    if case["leaves"] is None:
        assert [one.outcome for one in done.done if one.finding.key] == ["left"]
        assert done.report.findings
        return
    assert [(one.outcome, one.finding.key) for one in done.done] == [
        ("set-aside", case["finds"][0][1])
    ]
    assert done.report.findings == []
    assert done.lost == case["leaves"].get("lost", [])
    assert len(done.report.recorded) == len(done.lost)
    expected = {stream: case["leaves"][stream] for stream in ("window", "screen")}
    assert counts(home) == expected
    assert len(set(ids(home, "window"))) == expected["window"]
    records = list((Path(home.lake_url) / QUARANTINE).rglob("*.json"))
    assert [json.loads(path.read_bytes())["kind"] for path in records] == [case["finds"][0][0]]
    quiet = repair(home, store, None, again(), again, SystemClock())
    assert (quiet.done, quiet.lost) == ([], [])


@pytest.mark.parametrize("name", LAKES)
def test_repair_with_a_copy_mends_exactly_it(tmp_path: Path, name: str) -> None:
    home = opened(tmp_path, name)
    store, copy = parse_url(home.lake_url, home), parse_url(str(DATA / "v1" / "lake"))

    def again() -> Any:
        return verify(store, read_data=True)

    done = repair(home, store, copy, again(), again, SystemClock())
    assert [(one.outcome, one.finding.key) for one in done.done] == [
        ("mended", case_of(name)["finds"][0][1])
    ]
    assert (done.report.findings, done.report.recorded, done.lost) == ([], [], [])
    assert ship(home).rows == 6  # only what waited
    assert counts(home) == {"window": 10, "screen": 4}
    verified(home)


def test_a_copy_that_is_damaged_too_is_not_believed(tmp_path: Path) -> None:
    home = opened(tmp_path, "blob-gone")
    copy = opened(tmp_path / "other", "blob-flipped")
    store = parse_url(home.lake_url, home)

    def again() -> Any:
        return verify(store, read_data=True)

    done = repair(home, store, parse_url(copy.lake_url), again(), again, SystemClock())
    assert [one.outcome for one in done.done] == ["set-aside"]


def test_rows_that_nobody_has_any_more_are_a_loss_on_record(tmp_path: Path) -> None:
    """Another device's file: its kept segments aren't here."""
    home = opened(tmp_path, "data-file-flipped")
    shutil.rmtree(home.spool)
    store = parse_url(home.lake_url, home)

    def again() -> Any:
        return verify(store, read_data=True)

    done = repair(home, store, None, again(), again, SystemClock())
    assert done.offered == []
    assert done.lost == [f"window of {home.device}: seqs 0 to 5"]
    assert done.report.findings == []
    assert rows(home, "window").is_empty()
    told = rows(home, "lifecycle").filter(pl.col("kind") == "lost")
    assert told.select("stream", "first_seq", "last_seq").rows() == [("window", 0, 5)]


@pytest.mark.parametrize("name", SPOOLS)
def test_a_damaged_spool_is_found_and_shipped_as_far_as_it_is_whole(
    tmp_path: Path, name: str
) -> None:
    home, case = opened(tmp_path, name), case_of(name)
    report = check(home.spool)
    assert len(report.findings) == len(case["finds"])
    assert all(part in said for part, said in zip(case["finds"], report.findings, strict=True))
    assert sum(stream.torn_bytes > 0 for stream in report.streams) == (name == "spool-torn")
    assert sum(stream.missing_blobs for stream in report.streams) == (name == "spool-blob-gone")
    ship(home)
    assert counts(home) == {stream: case["leaves"][stream] for stream in ("window", "screen")}
    recorded = verified(home).recorded
    assert [one.partition(" ")[2] for one in recorded] == case["leaves"]["lost"]


def test_a_lake_that_is_read_a_share_a_day_is_read_whole(tmp_path: Path) -> None:
    home = opened(tmp_path, "blob-flipped")
    whole = verify(home.lake_url, read_data=True)
    parts = [verify(home.lake_url, share=Share.of_day(12, 20_000 + day)) for day in range(12)]
    assert sum(part.bytes_read for part in parts) == whole.bytes_read
    assert max(part.bytes_read for part in parts) < whole.bytes_read
    assert [one for part in parts for one in part.findings] == whole.findings


def files(home: Home) -> list[Path]:
    return [path for path in Path(home.lake_url).rglob("*") if path.is_file()]


def kept(home: Home) -> set[bytes]:
    return {path.read_bytes() for path in files(home)}
