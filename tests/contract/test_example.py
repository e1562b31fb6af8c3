"""The worked example of docs/collectors.md: installed as anyone's distribution is, and run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import orjson
import psutil
import pytest

from collectors.script import ScriptCollector
from lifelog_lake.clock import SystemClock
from lifelog_lake.collect import registry
from lifelog_lake.collect.runner import Runner
from lifelog_lake.config import load
from lifelog_lake.events import is_pulled
from lifelog_lake.spool import Spool
from tests.fixtures.command import LIFELOG, Run, a_command, a_home, said  # noqa: F401
from tests.fixtures.device import wait_for
from tests.helpers import make_home, pending
from tests.needs import require_program

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "battery"
SCRIPT = ROOT / "docs" / "examples" / "script"
PAGE = ROOT / "docs" / "collectors.md"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that the example was installed into."""
    target = tmp_path_factory.mktemp("installed")
    uv = Path(sys.executable).with_name("uv")
    subprocess.run(
        [
            *(uv, "pip", "install", "--quiet", "--offline", "--no-deps", "--no-build-isolation"),
            *("--python", sys.executable, "--target", target, EXAMPLE),
        ],
        check=True,
        timeout=120,
    )
    assert (target / "lifelog_battery.py").exists()
    return target


def test_the_page_shows_the_files_as_they_are() -> None:
    page = PAGE.read_text("utf-8")
    blocks = re.findall(r"^```(?:python|toml)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    for path in sorted(EXAMPLE.glob("*.*")):
        assert path.read_text("utf-8") in blocks, f"{path.name} isn't in {PAGE.name} as it is"


def test_its_test_passes_in_twenty_lines(installed: Path, tmp_path: Path) -> None:
    text = (EXAMPLE / "test_battery.py").read_text("utf-8")
    assert len([line for line in text.splitlines() if line.strip()]) <= 20
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull),
            *("--rootdir", EXAMPLE, EXAMPLE / "test_battery.py"),
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b1[0-9] passed", done.stdout), done.stdout
    assert "failed" not in done.stdout


def test_doctor_collect_and_status_see_it(lifelog: Run, home: Path, installed: Path) -> None:
    surroundings = {
        "PYTHONPATH": str(installed),
        "LIFELOG_COLLECTORS__SCREEN__ENABLED": "false",
        "LIFELOG_SPOOL__MIN_FREE_BYTES": "0",
    }
    there = getattr(psutil, "sensors_battery", lambda: None)() is not None
    doctor = said(lifelog("doctor", **surroundings))
    assert re.search(r"records [\w, ]*battery", doctor)
    if there:
        assert "ok battery It can be recorded here." in doctor
    else:
        assert "warn battery This device shows no battery." in doctor
        assert "[collectors.battery] enabled = false" in doctor
    process = subprocess.Popen(
        [LIFELOG, "collect"],
        env=os.environ | surroundings | {"LIFELOG_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        rows: list[dict[str, str]] = []

        def settled() -> bool:
            answer = orjson.loads(lifelog("status", "--json", **surroundings).stdout)
            rows[:] = [row for row in answer["rows"] if row["source"] == "battery"]
            return bool(rows) and rows[0]["state"] in {"running", "unavailable"}

        wait_for(settled, "a state of the battery")
        assert rows[0]["state"] == ("running" if there else "unavailable")
        status = said(lifelog("status", **surroundings))
        assert ("Sensors is unavailable: This device shows no battery." in status) is not there
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_the_examples_of_commands_give_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git = require_program("git", package="git")
    for name in ("commits.py", "config.toml"):
        assert (SCRIPT / name).read_text("utf-8") in PAGE.read_text("utf-8")
    repository = tmp_path / "src" / "lifelog"
    repository.mkdir(parents=True)
    run = partial(subprocess.run, check=True, cwd=repository)
    run([git, "init", "--quiet"])
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    run([git, *who, "commit", "--quiet", "--allow-empty", "-m", 'Say "why" \\ and\thow'])
    (tmp_path / "bin").mkdir()
    shutil.copy(SCRIPT / "commits.py", tmp_path / "bin")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    home = make_home(tmp_path / "home", init=False)
    shutil.copy(SCRIPT / "config.toml", home.path)
    where = home.path / "config.toml"
    spool = Spool.of(home)
    settings = registry.settings_of("script", load(home.path), where)
    clock = SystemClock()
    runner = Runner(ScriptCollector, settings, home=home.path, spool=spool, clock=clock)

    def both() -> bool:
        runner.turn()
        assert runner.beat.state in {"starting", "running"}, runner.beat.reason
        return "sensor" in spool.streams() and len(pending(spool, "sensor")) == 2

    wait_for(both, "a row of each")
    runner.stop()
    found = {record.fields["data"]["name"]: record.fields for record in pending(spool, "sensor")}
    assert set(found) == {"load", "commit"}
    assert is_pulled(found["commit"]["id"])
    assert found["commit"]["extra"]["subject"] == 'Say "why" \\ and\thow'
