"""SIGKILL at every fault point: what `append` acknowledged is in the lake exactly once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

STAGES = ("append", "seal", "blob.copy", "data", "commit", "readback", "ack", "unlink")
LEAST_IN_A_STAGE = 2

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the sweep forks"),
]


@pytest.mark.parametrize("path", ["plain", "home-rolled-back", "two-shippers", "lake-rolled-back"])
def test_a_kill_at_any_point_loses_and_doubles_nothing(path: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.crash.sweep", path, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    points, *kills = [orjson.loads(line) for line in done.stdout.splitlines()]

    for stage in STAGES:
        names = [name for name in points["points"] if name.startswith(f"{stage}.")]
        assert len(names) >= LEAST_IN_A_STAGE, f"{stage} has only the fault points {names}"
    assert {kill["point"] for kill in kills} == set(points["points"]), "a point was left out"
    for kill in kills:
        # The other shipper may leave too little to ship, and a last time may come once less.
        if path != "two-shippers" and kill["number"] == 0:
            assert kill["exit"] == -signal.SIGKILL, f"{kill['point']} was never reached"
        assert kill["problems"] == [], f"killed at {kill['point']}:\n{done.stderr[-4000:]}"
    assert sum(kill["exit"] == -signal.SIGKILL for kill in kills) > len(kills) / 2
