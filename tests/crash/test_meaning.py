"""SIGKILL at every fault point of what embeds texts: the next run makes it whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from tests.fixtures.meaning import model_place

POINTS = {"data.write", "meaning.write", "meaning.fsync.done", "meaning.rename"}

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the sweep forks"),
]


@pytest.mark.parametrize("most", [8, pytest.param(0, marks=pytest.mark.soak)])
def test_a_kill_at_any_point_loses_and_doubles_nothing(tmp_path: Path, most: int) -> None:
    model_place()  # says so if there is none
    command = [sys.executable, "-m", "tests.crash.meaning", str(tmp_path), str(most)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    points, *kills = [orjson.loads(line) for line in done.stdout.splitlines()]
    assert set(points["points"]) >= POINTS
    for kill in kills:
        assert kill["exit"] == -signal.SIGKILL, f"{kill['point']} was never reached"
        assert kill["problems"] == [], f"killed at {kill['point']}:\n{done.stderr[-4000:]}"
