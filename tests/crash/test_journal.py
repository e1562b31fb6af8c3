"""SIGKILL at every fault point of who writes entries, attaches files, exports and imports."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the sweep forks"),
]


@pytest.mark.parametrize("most", [5, pytest.param(0, marks=pytest.mark.soak)])
def test_a_kill_at_any_point_leaves_what_was_acknowledged(tmp_path: Path, most: int) -> None:
    command = [sys.executable, "-m", "tests.crash.journal", str(tmp_path), str(most)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    points, *kills = [orjson.loads(line) for line in done.stdout.splitlines()]
    for stage in ("append", "blob.put", "export"):
        assert any(name.startswith(f"{stage}.") for name in points["points"]), stage
    if not most:
        assert {kill["point"] for kill in kills} == set(points["points"]), "a point was left out"
    for kill in kills:
        assert kill["exit"] == -signal.SIGKILL, f"{kill['point']} was never reached"
        assert kill["problems"] == [], f"killed at {kill['point']}:\n{done.stderr[-4000:]}"
