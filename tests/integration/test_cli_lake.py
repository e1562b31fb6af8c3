"""The command ``lifelog``: lake, status, doctor and spool; words, exit codes, files."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lifelog_lake.cli import app as cli_app
from lifelog_lake.home import open_home
from lifelog_lake.lake import parse_url
from lifelog_lake.locks import FileLock
from lifelog_lake.spool import Spool
from tests.fixtures.command import LIFELOG, Done, Run, a_command, a_home, recorded, said  # noqa: F401 - fixtures
from tests.fixtures.piles import pile
from tests.helpers import flipped

# --- the lake -----------------------------------------------------------------------------------


def test_init_makes_home_and_lake_and_can_be_repeated(lifelog: Run, home: Path) -> None:
    done = lifelog("init")
    assert done.returncode == 0, done.stderr
    assert (home / "config.toml").is_file()
    identity = (home / "lake" / "lake.json").read_bytes()
    assert lifelog("init").returncode == 0
    assert (home / "lake" / "lake.json").read_bytes() == identity


def test_init_at_another_place_writes_the_setting(lifelog: Run, home: Path, tmp_path: Path) -> None:
    lake = tmp_path / "my lake"
    assert lifelog("init", "--lake", str(lake)).returncode == 0
    assert (lake / "lake.json").is_file()
    assert not (home / "lake").exists()
    recorded(home)
    assert lifelog("ship").returncode == 0
    assert (lake / "tables" / "window").is_dir()
    assert json.loads(lifelog("status", "--json").stdout)["lake"] == str(lake)


def test_init_turns_to_no_other_lake_while_lifelog_runs(
    lifelog: Run, home: Path, tmp_path: Path
) -> None:
    assert lifelog("init").returncode == 0
    lock = FileLock(home / "run" / "supervisor.lock")
    try:
        lock.acquire_now("lifelog")
        done = lifelog("init", "--lake", str(tmp_path / "other"))
        assert done.returncode == 1
        assert f"running already (process {os.getpid()})" in said(done)
        assert not (tmp_path / "other").exists()
        assert lifelog("init").returncode == 0
    finally:
        lock.close()


def test_init_refuses_what_the_environment_contradicts(lifelog: Run, tmp_path: Path) -> None:
    done = lifelog("init", "--lake", str(tmp_path / "a"), LIFELOG_LAKE__URL=str(tmp_path / "b"))
    assert done.returncode == 2
    assert "LIFELOG_LAKE__URL" in said(done)
    assert not (tmp_path / "a").exists()


def test_ship_drains_the_spool_and_verify_proves_it(lifelog: Run, home: Path) -> None:
    lifelog("init")
    recorded(home)
    done = lifelog("ship")
    assert done.returncode == 0, done.stderr
    assert "Shipped 6 rows, 3 blobs" in said(done)
    report = json.loads(lifelog("spool", "check", "--json").stdout)
    assert [stream["records"] for stream in report["streams"]] == [0] * len(report["streams"])
    assert "Shipped 0 rows" in said(lifelog("ship"))
    checked = lifelog("verify", "--read-data", "--json")
    assert checked.returncode == 0
    found = json.loads(checked.stdout)
    assert (found["rows"], found["blobs"], found["findings"]) == (6, 3, [])
    assert found["bytes_read"] > 0


def test_compact_merges_tells_and_finds(lifelog: Run, home: Path) -> None:
    missing = lifelog("compact")
    assert missing.returncode == 3
    assert "There is no lake at" in said(missing)
    lifelog("init")
    opened = open_home(home)
    pile(parse_url(opened.lake_url, opened), 30)
    files = sorted((home / "lake" / "tables" / "window").glob("date=*/*.parquet"))
    whole = files[3].read_bytes()
    files[3].write_bytes(flipped(whole, 300, 1))
    done = lifelog("compact")
    assert done.returncode == 1, done.stderr
    assert "compact: 29 files merged, 1 files written" in said(done)
    assert f"Finding: window/date=2026-01-02/{files[3].name}: its bytes don't match" in said(done)
    files[3].write_bytes(whole)
    done = lifelog("compact")
    assert (done.returncode, said(done)) == (0, "compact: nothing to do tidy: nothing to do")
    assert json.loads(lifelog("verify", "--read-data", "--json").stdout)["rows"] == 30


def test_compact_leaves_a_demo_lake_alone(lifelog: Run) -> None:
    assert lifelog("demo", "--days", "1", "--events-per-day", "1000").returncode == 0
    done = lifelog("compact")
    assert done.returncode == 2
    assert "holds demo data" in said(done)


def test_verify_tells_what_is_missing_and_what_is_damaged(lifelog: Run, home: Path) -> None:
    lifelog("init")
    recorded(home)
    lifelog("ship")
    blob = next(path for path in (home / "lake" / "blobs").rglob("*") if path.is_file())
    blob.chmod(0o600)
    content = blob.read_bytes()
    blob.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    assert lifelog("verify").returncode == 0, "its size is right"
    done = lifelog("verify", "--read-data")
    assert done.returncode == 1
    assert blob.name in done.stdout
    blob.unlink()
    done = lifelog("verify", "--json")
    assert done.returncode == 1
    (finding,) = json.loads(done.stdout)["findings"]
    assert finding["kind"] == "blob-missing"
    assert finding["hint"]
    kept = json.loads((home / "lake" / "control" / "care" / "verify.json").read_bytes())
    assert kept["count"] == 1, "the hub's health page shows it"
    assert "is missing" in kept["findings"][0]


@pytest.mark.parametrize("words", [["ship"], ["verify"]])
def test_a_lake_that_is_away_is_exit_code_3(lifelog: Run, home: Path, words: list[str]) -> None:
    lifelog("init")
    recorded(home)
    (home / "lake").rename(home / "unmounted")
    done = lifelog(*words)
    assert done.returncode == 3
    assert "Mount its disk" in said(done)
    assert not (home / "lake").exists(), "no new lake in its place"
    (home / "unmounted").rename(home / "lake")
    assert lifelog(*words).returncode == 0


# --- status, doctor, spool ----------------------------------------------------------------------


def test_status_works_while_nothing_runs(lifelog: Run, home: Path) -> None:
    recorded(home)
    done = lifelog("status", "--json")
    assert done.returncode == 1
    status = json.loads(done.stdout)
    assert status["running"] is False
    waiting = {row["name"]: row["waiting_rows"] for row in status["rows"]}
    assert waiting == {"screen": 3, "window": 3}
    assert "lifelog up" in status["findings"][0]
    plain = lifelog("status")
    assert plain.returncode == 1
    assert "3 rows" in plain.stdout
    assert "lifelog up" in plain.stdout


def status_file(home: Path, **more: object) -> None:
    from lifelog_lake.clock import SystemClock

    now = SystemClock().wall_us()
    child = {"state": "running", "streams": ["screen"], "reason": "", "last_error": None}
    status = {"state": "running", "pid": os.getpid(), "at": now, "started_at": now - 5_000_000}
    open_home(home)
    content = {**status, "children": {"screen": {**child, **more.pop("child", {})}}, **more}  # type: ignore[dict-item]
    (home / "run" / "status.json").write_text(json.dumps(content))


def test_status_is_well_while_all_runs(lifelog: Run, home: Path) -> None:
    status_file(home)
    done = lifelog("status")
    assert done.returncode == 0
    assert "Running for" in done.stdout


@pytest.mark.parametrize("state", ["unavailable", "error", "full", "stale", "down"])
def test_status_tells_what_isnt_well_with_its_remedy(lifelog: Run, home: Path, state: str) -> None:
    status_file(home, child={"state": state, "reason": "It is [bold]away[/]. Plug it in."})
    done = lifelog("status")
    assert done.returncode == 1
    assert f"Screen is {state}: It is [bold]away[/]. Plug it in." in done.stdout


def test_a_status_of_a_process_that_is_gone_doesnt_count(lifelog: Run, home: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    status_file(home, pid=gone.pid)
    assert json.loads(lifelog("status", "--json").stdout)["running"] is False


def test_an_old_status_of_a_living_process_is_a_finding(lifelog: Run, home: Path) -> None:
    status_file(home, at=1_767_323_045_000_000)
    done = lifelog("status")
    assert done.returncode == 1
    assert "hasn't reported" in done.stdout


def checks(done: Done) -> dict[str, dict[str, str]]:
    return {check["name"]: check for check in json.loads(done.stdout)["checks"]}


def test_doctor_looks_at_everything(lifelog: Run, home: Path) -> None:
    lifelog("init")
    env = {"LIFELOG_SPOOL__MIN_FREE_BYTES": "0"}
    done = lifelog("doctor", "--json", **env)
    found = checks(done)
    assert done.returncode == 0, done.stdout
    assert {"home", "settings", "disk of the spool", "spool", "lake", "clock"} <= set(found)
    assert {check["state"] for check in found.values()} <= {"ok", "warn"}
    if sys.platform == "linux":
        assert found["screen"]["state"] == "warn"
        assert "DISPLAY" in found["screen"]["message"]
        assert found["screen"]["remedy"]
    plain = lifelog("doctor", **env)
    assert plain.returncode == 0
    assert "ok   lake" in plain.stdout


def test_doctor_fails_with_a_remedy(lifelog: Run, home: Path) -> None:
    lifelog("init")
    (home / "lake").rename(home / "unmounted")
    done = lifelog("doctor", "--json", LIFELOG_SPOOL__MIN_FREE_BYTES=str(2**60))
    assert done.returncode == 1
    found = checks(done)
    assert found["lake"]["state"] == "fail"
    assert "Mount" in found["lake"]["remedy"]
    assert found["disk of the spool"]["state"] == "fail"
    assert "min_free_bytes" in found["disk of the spool"]["remedy"]


def test_doctor_names_what_the_lakes_file_system_lacks(
    lifelog: Run, home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from lifelog_lake.lake.local import LocalTarget
    from lifelog_lake.lake.store import Property

    lifelog("init")
    lacking = Property(name="hard link", ok=False, detail="not permitted")
    monkeypatch.setattr(LocalTarget, "probe", lambda _: [lacking])
    assert cli_app.run(["--home", str(home), "doctor", "--json"]) == 1
    found = {one["name"]: one for one in json.loads(capfd.readouterr().out)["checks"]}
    assert found["lake"]["state"] == "fail"
    assert "hard link (not permitted)" in found["lake"]["message"]


def test_doctor_sees_what_others_may_read_and_rows_of_the_future(lifelog: Run, home: Path) -> None:
    from lifelog_lake.clock import US_PER_S, SystemClock
    from lifelog_lake.events import new_event

    at = SystemClock().wall_us() + 3600 * US_PER_S
    spool = Spool.of(open_home(home, flags={"spool": {"min_free_bytes": 0}}))
    spool.append([new_event("window", at=at, data={})])
    (home / "token").write_text("x" * 40)
    if os.name != "nt":
        home.chmod(0o755)
        (home / "token").chmod(0o644)
    found = checks(lifelog("doctor", "--json"))
    assert found["clock"]["state"] == "warn"
    if os.name != "nt":
        assert found["home"]["state"] == "warn"
        assert "chmod 700" in found["home"]["remedy"]
        assert found["token"]["state"] == "fail"


def tree(path: Path) -> dict[str, tuple[int, str]]:
    return {
        str(file.relative_to(path)): (
            file.stat().st_mtime_ns,
            hashlib.sha256(file.read_bytes()).hexdigest(),
        )
        for file in path.rglob("*")
        if file.is_file()
    }


def test_spool_check_reads_a_copy_and_changes_nothing(
    lifelog: Run, home: Path, tmp_path: Path
) -> None:
    recorded(home)
    copy = tmp_path / "copy"
    shutil.copytree(home / "spool", copy / "spool")
    before = tree(copy)
    for where in (copy, copy / "spool"):
        done = lifelog("spool", "check", str(where), "--json")
        assert done.returncode == 0
        records = {one["stream"]: one["records"] for one in json.loads(done.stdout)["streams"]}
        assert records == {"screen": 3, "window": 3}
    assert tree(copy) == before
    shutil.rmtree(home)
    lifelog("spool", "check")
    assert not home.exists(), "not even a home is made"


def test_spool_check_finds_a_flipped_bit(lifelog: Run, home: Path) -> None:
    recorded(home)
    (segment,) = (home / "spool" / "window").glob("*/*.open")
    content = bytearray(segment.read_bytes())
    content[content.index(b"title 1")] ^= 1
    segment.write_bytes(content)
    done = lifelog("spool", "check")
    assert done.returncode == 1
    assert "Finding: window" in done.stdout
