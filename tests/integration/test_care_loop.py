"""Compaction and vacuum beside eight devices and a reader, on a disk and on S3."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the loop forks"),
]
LONG = pytest.param(60, 8, marks=pytest.mark.soak)


def looped(*words: str) -> None:
    command = [sys.executable, "-m", "tests.crash.loop", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    told = orjson.loads(done.stdout.splitlines()[-1])
    print(told)
    assert told["failed"] == [], done.stderr[-4000:]
    assert told["proven"], told


@pytest.mark.parametrize(("seconds", "devices"), [(3, 8), LONG])
def test_nobody_notices_care_on_a_disk(seconds: int, devices: int, tmp_path: Path) -> None:
    looped(str(tmp_path), str(seconds), str(devices))


@pytest.mark.parametrize(("seconds", "devices"), [(1, 2), LONG])
def test_nobody_notices_care_on_s3(seconds: int, devices: int, tmp_path: Path, s3_url: str) -> None:
    looped(str(tmp_path), str(seconds), str(devices), s3_url)
