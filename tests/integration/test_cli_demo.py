"""``lifelog demo``: the same seed, the same lake; never beside real rows; whole after any end."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

import lifelog_lake
from lifelog_lake.demo import fill as filling
from lifelog_lake.demo.plan import Plan
from lifelog_lake.errors import LakeRefused, UsageError
from lifelog_lake.home import open_home
from lifelog_lake.lake import init_lake, parse_url, read_identity
from lifelog_lake.lake.identity import write_identity
from lifelog_lake.lake.verify import verify
from lifelog_lake.locks import FileLock
from lifelog_lake.ship import Shipper
from lifelog_lake.spool import Spool
from tests.fixtures.command import LIFELOG, Done, Run, a_command, a_home, recorded, said  # noqa: F401 - fixtures
from tests.helpers import pulse

WORDS = ("demo", "--days", "2", "--seed", "5", "--end", "2026-05-20", "--events-per-day", "3000")
PLAN = Plan(days=2, seed=5, end=date(2026, 5, 20), events_per_day=3_000)


def start(home: Path, *words: str, **env: str) -> subprocess.Popen[str]:
    """The command in the background."""
    keep = {key: value for key, value in os.environ.items() if not key.startswith("LIFELOG_")}
    return subprocess.Popen(
        [str(LIFELOG), *words],
        env=keep | {"LIFELOG_HOME": str(home), "NO_COLOR": "1"} | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def files(home: Path) -> list[str]:
    """Data files and blobs by name: their names are their hashes."""
    lake = home / "lake"
    found = [*lake.glob("tables/*/date=*/*"), *lake.glob("blobs/sha256/*/*/*")]
    return sorted(str(path.relative_to(lake)) for path in found)


def wait_for(condition: Callable[[], bool]) -> None:
    """Until it holds, two minutes at most."""
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """Two homes, filled at once by processes that think themselves in other places."""
    root = tmp_path_factory.mktemp("demo")
    places: tuple[dict[str, str], ...] = (
        {"TZ": "Pacific/Auckland", "PYTHONHASHSEED": "1", "LC_ALL": "C"},
        {"TZ": "America/Los_Angeles", "PYTHONHASHSEED": "2", "LC_ALL": "C.UTF-8"},
    )
    running = [start(root / str(n), *WORDS, **place) for n, place in enumerate(places)]
    for process in running:
        out, _ = process.communicate(timeout=240)
        assert process.returncode == 0, out
        assert "Filled the lake with demo data" in out
    yield root / "0", root / "1"
    shutil.rmtree(root)


@pytest.fixture(name="demo")
def a_filled_home(filled: tuple[Path, Path], home: Path) -> Path:
    """A copy of a filled home, to do anything with; ``lifelog`` runs on it."""
    shutil.copytree(filled[0], home)
    return home


def test_the_same_seed_makes_the_same_lake_wherever_it_runs(filled: tuple[Path, Path]) -> None:
    first, second = (files(home) for home in filled)
    assert first == second
    assert len(first) > 100
    assert not [name for name in first if "/." in name], "nothing unfinished is left"
    one, other = (lifelog_lake.open_lake(str(home / "lake")) for home in filled)
    assert one.demo == other.demo == PLAN.mark("complete")


def test_another_seed_or_day_makes_another_lake(filled: tuple[Path, Path], tmp_path: Path) -> None:
    from lifelog_lake.demo.days import Contents, Days

    def rows(plan: Plan) -> Any:
        nothing = Contents(
            pictures=[("", 0, "")] * 999, sounds=[("", 0, 0.0, 0.0)] * 9, documents=()
        )
        made = Days(plan=plan, contents=nothing)
        (days,) = made.stretches()
        return made.tables([day for day in days if day])["window"]

    same, other = Plan(days=2, seed=5, end=PLAN.end), Plan(days=2, seed=6, end=PLAN.end)
    assert rows(same).equals(rows(same))
    assert not rows(same).equals(rows(other))


def test_verify_has_no_findings(lifelog: Run, demo: Path) -> None:
    done = lifelog("verify", "--read-data", "--json")
    assert done.returncode == 0, done.stdout
    report = json.loads(done.stdout)
    assert report["findings"] == report["recorded"] == []
    assert report["rows"] > 4_000
    assert report["blobs"] > 90


def test_again_it_changes_nothing_and_other_parameters_are_refused(
    lifelog: Run,
    demo: Path,
) -> None:
    before = files(demo)
    again = lifelog(*WORDS)
    assert again.returncode == 0
    assert "holds this demo data already" in said(again)
    without_end = tuple(word for word in WORDS if word not in ("--end", "2026-05-20"))
    assert "already" in said(lifelog(*without_end)), "on any later day too"
    other = lifelog("demo", "--days", "3")
    assert other.returncode == 2
    assert "--days 2 --seed 5 --end 2026-05-20" in said(other)
    assert "lifelog demo --remove" in said(other)
    assert files(demo) == before


def test_a_lake_with_captured_rows_is_left_alone(lifelog: Run, home: Path) -> None:
    opened = open_home(home)
    init_lake(opened)
    recorded(home)
    Shipper.of(opened).run_once()
    before = files(home)
    assert before
    done = lifelog(*WORDS)
    assert done.returncode == 2
    assert "captured rows" in said(done)
    assert "lifelog demo --home OTHER-DIR" in said(done)
    removed = lifelog("demo", "--remove")
    assert removed.returncode == 2
    assert "no demo data" in said(removed)
    assert files(home) == before
    assert lifelog_lake.open_lake(str(home / "lake")).demo is None


def test_what_a_home_says_of_itself_is_no_captured_row(home: Path) -> None:
    opened = open_home(home, flags={"spool": {"min_free_bytes": 0}})
    init_lake(opened)
    Spool.of(opened).append([pulse(1)])
    assert Shipper.of(opened).run_once().rows == 1
    assert not filling.is_filled(opened, PLAN), "it may be filled"


@pytest.mark.parametrize("words", [WORDS, ("demo", "--remove")])
def test_not_while_lifelog_runs_on_the_home(lifelog: Run, demo: Path, words: tuple[str]) -> None:
    before = files(demo)
    lock = FileLock(demo / "run" / "supervisor.lock")
    try:
        lock.acquire_now("lifelog")
        done = lifelog(*words)
    finally:
        lock.close()
    assert done.returncode == 1
    assert "running already" in said(done)
    assert files(demo) == before


def test_a_fill_that_is_interrupted_and_killed_is_finished_by_the_next(
    lifelog: Run,
    home: Path,
    filled: tuple[Path, Path],
) -> None:
    for pattern, how, code in (
        ("blobs/sha256/*/*/*", signal.SIGINT, 130),
        ("tables/*/date=*/*.parquet", signal.SIGKILL, -signal.SIGKILL),
    ):
        process = start(home, *WORDS)
        try:
            wait_for(lambda: process.poll() is not None or any((home / "lake").glob(pattern)))  # noqa: B023
            process.send_signal(how)
            out, _ = process.communicate(timeout=60)
        finally:
            process.kill()
        assert process.returncode == code, f"it was ended in the middle: {out}"
        assert ("The same command goes on" in out) == (how == signal.SIGINT)
        identity = read_identity(parse_url(str(home / "lake")))
        assert identity is not None
        assert identity.demo == PLAN.mark("filling")
    with pytest.raises(LakeRefused):
        Shipper.of(open_home(home)).run_once()
    with pytest.raises(UsageError, match="unfinished"):
        filling.fill(open_home(home), dataclasses.replace(PLAN, days=9))
    assert lifelog(*WORDS).returncode == 0
    assert [name for name in files(home) if "/." not in name] == files(filled[0])
    assert verify(str(home / "lake"), read_data=True).findings == []


def test_what_was_committed_before_a_kill_is_not_committed_again(demo: Path) -> None:
    opened = open_home(demo)
    target, before = parse_url(opened.lake_url), files(demo)
    identity = read_identity(target)
    assert identity is not None
    write_identity(target, dataclasses.replace(identity, demo=PLAN.mark("filling")))
    shutil.rmtree(target.table("window"))  # the last to be committed: its turn hadn't come
    filling.fill(opened, PLAN)
    assert files(demo) == before
    assert len(list(target.table("afk").glob("_delta_log/*.json"))) == 2, "its creation, its rows"
    assert verify(opened.lake_url, read_data=True).findings == []


def test_removed_the_home_begins_anew(lifelog: Run, demo: Path) -> None:
    before = read_identity(parse_url(str(demo / "lake")))
    done = lifelog("demo", "--remove")
    assert done.returncode == 0
    assert files(demo) == []
    assert "nothing to remove" in said(lifelog("demo", "--remove"))
    init_lake(open_home(demo))
    after = read_identity(parse_url(str(demo / "lake")))
    assert before is not None
    assert after is not None
    assert after.demo is None
    assert after.lake_id != before.lake_id
    recorded(demo)
    assert "Shipped 6 rows" in said(lifelog("ship"))
    assert verify(str(demo / "lake")).findings == []


def test_a_removal_that_was_cut_short_is_recognised_and_finished(
    lifelog: Run,
    demo: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class PowerCut(Exception):
        pass

    real, left = shutil.rmtree, [3]

    def rmtree(path: Path) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise PowerCut
        real(path)

    monkeypatch.setattr(filling.shutil, "rmtree", rmtree)
    with pytest.raises(PowerCut):
        filling.remove(open_home(demo))
    with pytest.raises(UsageError, match="half removed"):
        filling.fill(open_home(demo), PLAN)
    with pytest.raises(LakeRefused):
        Shipper.of(open_home(demo)).run_once()
    monkeypatch.undo()
    assert lifelog("demo", "--remove").returncode == 0
    assert files(demo) == []
    assert init_lake(open_home(demo)).demo is None


def test_a_demo_lake_takes_no_captured_rows(lifelog: Run, demo: Path) -> None:
    recorded(demo)
    before = files(demo)
    for words in (["ship"], ["collect"]):
        done = lifelog(*words)
        assert done.returncode == LakeRefused.exit_code
        assert "lifelog demo --remove" in said(done)
    # Neither by a shipper that was running before the lake was filled.
    with pytest.raises(LakeRefused):
        Shipper.of(open_home(demo)).run_once()
    assert files(demo) == before
    assert Spool.of(open_home(demo)).stats()["window"].pending_rows == 3


def test_up_shows_the_pages_and_records_nothing(demo: Path) -> None:
    process = start(demo, "up", "--no-browser", "--port", "0", LIFELOG_LOG__LEVEL="error")
    lines: list[str] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Open"):
                break
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    said_ = "".join(lines) + rest
    assert process.returncode == 0, said_
    assert "Open      http://" in said_
    assert "this lake holds demo data" in said_
    assert "lifelog demo --remove" in said_
    assert sum(stats.pending_rows for stats in Spool.of(open_home(demo)).stats().values()) == 0


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("--days", "0"), "--days from 1"),
        (("--end", "31.05.2026"), "2026-05-31"),
        (("--end", ""), "2026-05-31"),
    ],
)
def test_wrong_input_makes_nothing(
    lifelog: Run,
    home: Path,
    words: tuple[str, ...],
    hint: str,
) -> None:
    done: Done = lifelog("demo", *words)
    assert done.returncode == UsageError.exit_code
    assert hint in said(done)
    assert not (home / "lake").exists()


def test_a_disk_without_room_is_said_before_anything_is_written(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened = open_home(home)
    usage = shutil.disk_usage(home)
    monkeypatch.setattr(filling.shutil, "disk_usage", lambda _: usage._replace(free=10 * 2**20))
    with pytest.raises(UsageError, match="10 MiB free"):
        filling.fill(opened, PLAN)
    assert files(home) == []
    identity = read_identity(parse_url(opened.lake_url))
    assert identity is not None
    assert identity.demo is None
