"""Power loss at every fault point: the same promises hold on a disk that forgot."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from tests.crash.disk import WAYS

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the sweep forks"),
]


@pytest.mark.parametrize(
    ("scene", "which"),
    [
        ("ship", "first"),
        pytest.param("ship", "plain", marks=pytest.mark.soak),
        pytest.param("care", "plain", marks=pytest.mark.soak),
    ],
)
def test_a_power_loss_at_any_point_loses_and_doubles_nothing(
    scene: str, which: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "tests.crash.power", str(tmp_path), scene, which]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    points, *cuts = [orjson.loads(line) for line in done.stdout.splitlines()]

    for way in WAYS:
        assert {cut["point"] for cut in cuts if cut["way"] == way} == set(points["points"])
    for cut in cuts:
        assert cut["problems"] == [], f"{cut['way']} at {cut['point']}:\n{done.stderr[-4000:]}"
