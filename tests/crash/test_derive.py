"""SIGKILL at every fault point of the jobs that derive tables: the next run finishes them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

STAGES = ("small", "data", "commit", "readback", "checkpoint")

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the sweep forks"),
]


@pytest.mark.parametrize("most", [12, pytest.param(0, marks=pytest.mark.soak)])
def test_a_kill_at_any_point_loses_and_doubles_nothing(tmp_path: Path, most: int) -> None:
    points, kills, said = swept(str(tmp_path), "", str(most))
    for stage in STAGES:
        assert any(name.startswith(f"{stage}.") for name in points["points"]), stage
    if not most:
        assert {kill["point"] for kill in kills} == set(points["points"]), "a point was left out"
    for kill in kills:
        assert kill["exit"] == -signal.SIGKILL, f"{kill['point']} was never reached"
        assert kill["problems"] == [], f"killed at {kill['point']}:\n{said}"


@pytest.mark.parametrize("most", [3, pytest.param(0, marks=pytest.mark.soak)])
def test_the_same_with_the_lake_on_s3(tmp_path: Path, s3_url: str, most: int) -> None:
    points, kills, said = swept(str(tmp_path), s3_url, str(most))
    assert {"small.put", "data.put", "commit.delta", "readback.open"} <= set(points["points"])
    for kill in kills:
        assert kill["exit"] == -signal.SIGKILL, f"{kill['point']} was never reached"
        assert kill["problems"] == [], f"killed at {kill['point']}:\n{said}"


def swept(*words: str) -> tuple[dict[str, Any], list[dict[str, Any]], str]:
    """Run the sweep: its points, its kills, and the end of what it said."""
    command = [sys.executable, "-m", "tests.crash.derive", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    points, *kills = [orjson.loads(line) for line in done.stdout.splitlines()]
    return points, kills, done.stderr[-4000:]
