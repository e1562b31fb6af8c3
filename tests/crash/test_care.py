"""SIGKILL within compaction, vacuum and log clean-up: the rows stay what they were."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

STAGES = ("lease", "data", "rewrite", "vacuum", "clean", "care")

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the sweep forks"),
]


def swept(*words: str) -> set[str]:
    """Run a sweep; the names of the points at which it killed."""
    command = [sys.executable, "-m", "tests.crash.care", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    points, *kills = [orjson.loads(line) for line in done.stdout.splitlines()]
    for stage in STAGES:
        assert any(name.startswith(f"{stage}.") for name in points["points"]), stage
    for kill in kills:
        assert kill["problems"] == [], f"killed at {kill['point']}:\n{done.stderr[-4000:]}"
        assert kill["exit"] == -signal.SIGKILL or kill["number"], f"{kill['point']} wasn't reached"
    return {kill["point"] for kill in kills}


@pytest.mark.parametrize("which", ["some", pytest.param("all", marks=pytest.mark.soak)])
def test_a_kill_at_any_point_of_care_changes_no_row(which: str, tmp_path: Path) -> None:
    killed = swept(str(tmp_path), which)
    assert {"rewrite.link.done", "data.rename.done", "vacuum.unlink.done"} <= killed


@pytest.mark.parametrize(
    ("which", "most"), [("some", "5"), pytest.param("all", "0", marks=pytest.mark.soak)]
)
def test_the_same_on_s3(which: str, most: str, tmp_path: Path, s3_url: str) -> None:
    assert len(swept(str(tmp_path), which, s3_url, most)) >= 3
