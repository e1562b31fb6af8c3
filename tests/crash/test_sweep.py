"""SIGKILL at every fault point: what `append` acknowledged is in the lake exactly once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

STAGES = ("append", "seal", "blob.copy", "data", "commit", "readback", "ack", "unlink")
LEAST_IN_A_STAGE = 2

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the sweep forks"),
]


WHOLE = (0, 1)
PATHS = ["plain", "home-rolled-back", "two-shippers", "lake-rolled-back"]


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("plain", WHOLE),
        *((path, (start, 3)) for start, path in enumerate(PATHS[1:])),  # each point on one of them
        *(pytest.param(path, WHOLE, marks=pytest.mark.soak) for path in PATHS[1:]),
    ],
)
def test_a_kill_at_any_point_loses_and_doubles_nothing(
    path: str, part: tuple[int, int], tmp_path: Path
) -> None:
    points, kills, said = swept(path, tmp_path, part)
    for stage in STAGES:
        names = [name for name in points["points"] if name.startswith(f"{stage}.")]
        assert len(names) >= LEAST_IN_A_STAGE, f"{stage} has only the fault points {names}"
    expected = [*points["points"]][slice(part[0], None, part[1])]
    assert {kill["point"] for kill in kills} == set(expected), "a point was left out"
    for kill in kills:
        # The other shipper may leave too little to ship, and a last time may come once less.
        if path != "two-shippers" and kill["number"] == 0:
            assert kill["exit"] == -signal.SIGKILL, f"{kill['point']} was never reached"
        assert kill["problems"] == [], f"killed at {kill['point']}:\n{said}"
    assert sum(kill["exit"] == -signal.SIGKILL for kill in kills) > len(kills) / 2


def swept(
    path: str, directory: Path, part: tuple[int, int], *lake: str
) -> tuple[dict[str, Any], list[dict[str, Any]], str]:
    """Run a sweep: its points, its kills, and the end of what it said."""
    words = [path, str(directory), *map(str, part), *lake]
    command = [sys.executable, "-m", "tests.crash.sweep", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    points, *kills = [orjson.loads(line) for line in done.stdout.splitlines()]
    return points, kills, done.stderr[-4000:]


@pytest.mark.parametrize(
    ("path", "part"),
    [("plain", (0, 16)), *(pytest.param(path, WHOLE, marks=pytest.mark.soak) for path in PATHS)],
)
def test_the_same_with_the_lake_on_s3(
    path: str, part: tuple[int, int], tmp_path: Path, s3_url: str
) -> None:
    points, kills, said = swept(path, tmp_path, part, s3_url)
    stages = {name.partition(".")[0] for name in points["points"]}
    assert {"append", "seal", "blob", "data", "commit", "readback", "ack"} <= stages
    for name in ("blob.copy.put", "data.put", "commit.delta", "readback.open"):
        assert {name, f"{name}.done"} <= set(points["points"])
    for kill in kills:
        assert kill["problems"] == [], f"killed at {kill['point']}:\n{said}"
    assert sum(kill["exit"] == -signal.SIGKILL for kill in kills) > len(kills) / 2
