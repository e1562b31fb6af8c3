"""A home and a lake as release 0.1.0 wrote them go on with the code that is there now.

``tests/data/v1`` is never written anew: it is what lies on people's disks.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lifelog_lake.errors import SpoolError
from lifelog_lake.home import Home, open_home
from lifelog_lake.lake.verify import verify
from lifelog_lake.recall.lake import open_lake
from lifelog_lake.spool import Spool, check, queue
from tests.helpers import rows, ship, window

V1 = Path(__file__).resolve().parents[1] / "data" / "v1"


@pytest.fixture
def old(tmp_path: Path) -> Home:
    """A copy of it, opened."""
    copy = tmp_path / "v1"
    shutil.copytree(V1, copy)
    flags: dict[str, object] = {
        "lake": {"url": str(copy / "lake")},
        "spool": {"min_free_bytes": 0},
    }
    return open_home(copy / "home", flags=flags)


def test_what_an_older_release_recorded_goes_on(old: Home) -> None:
    assert old.device == "old-laptop-1a2b3c"
    report = check(old.spool)
    assert not report.findings
    assert {stream.stream: stream.records for stream in report.streams} == {
        "screen": 2, "window": 4,
    }  # fmt: skip
    spool = Spool.of(old)
    assert spool.cursor("window") == {"until": 10}
    assert rows(old, "window")["title"].to_list() == [f"title {n}" for n in range(6)]
    assert spool.append([window(10)]) == range(10, 11), "its numbering goes on"
    ship(old)
    assert rows(old, "window")["title"].to_list() == [f"title {n}" for n in range(11)]
    assert rows(old, "window")["seq"].to_list() == list(range(11))
    frames = rows(old, "screen")
    assert frames["seq"].to_list() == [0, 1, 2, 3]
    lake = open_lake(old.lake_url)
    contents = [lake.blob(sha256).read() for sha256 in frames["blob"]]
    assert contents == [b"frame 0", b"frame 1", b"frame 2", b"frame 0"]
    assert not verify(old.lake_url, read_data=True).findings


def test_the_command_takes_it_too(old: Home) -> None:
    lifelog = Path(sys.executable).with_name("lifelog")
    env = {**os.environ, "LIFELOG_LAKE__URL": old.lake_url, "LIFELOG_SPOOL__MIN_FREE_BYTES": "0"}
    for words in (("ship",), ("verify", "--read-data")):
        done = subprocess.run(
            [lifelog, "--home", old.path, *words], env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_two_processes_upgrade_a_spool_once(old: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The supervisor, its collectors and a command may all be the first of a new release."""
    begun, go_on = threading.Event(), threading.Event()
    runs: list[Path] = []

    def step(root: Path) -> None:
        runs.append(root)
        begun.set()
        assert go_on.wait(60)

    monkeypatch.setattr(queue, "FORMAT", 2)
    monkeypatch.setitem(queue.UPGRADES, 1, step)
    threads = [threading.Thread(target=Spool.of, args=(old,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert begun.wait(60)
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert runs == [old.spool]
    assert json.loads((old.spool / "format.json").read_bytes()) == {"format": 2}
    monkeypatch.setattr(queue, "FORMAT", 1)
    with pytest.raises(SpoolError, match="format 2"):  # an older release again: refused, untouched
        Spool.of(old)
