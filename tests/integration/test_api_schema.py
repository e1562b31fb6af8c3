"""The API against its own description: schemathesis with all its checks, on a live server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lifelog_lake.server import throttle
from tests.fixtures.api import Served, served_api

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", name="served")
def a_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("schema")
        patch.setenv("LIFELOG_HOME", str(home))
        patch.setattr(throttle, "BURST", 10**6)  # it tries each operation with wrong tokens
        with served_api(home, attachments_per_entry=1000) as served:
            yield served


def schemathesis(served: Served, at: Path, *options: str) -> None:
    """Run it; the token may do everything that a program may."""
    token = served.api("read", "write", name=f"schemathesis {options[-1]}").token
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli"),
            *("--config-file", str(ROOT / "tests" / "data" / "schemathesis.toml"), "run"),
            *(f"{served.url}lifelog/api/openapi.json", "--url", served.url.rstrip("/")),
            *("-H", f"Authorization: Bearer {token}", "--no-color", "--continue-on-failure"),
            # It would end the token that all else is tried with; test_api.py tries it.
            *("--exclude-operation-id", "rotateToken", "--generation-database", "none"),
            *options,
        ],
        cwd=at,  # it leaves a directory
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.fixtures.schemathesis_hooks",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=3000,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]


def test_what_is_served_is_what_is_described(served: Served, tmp_path: Path) -> None:
    phases = ("--phases", "examples,fuzzing")
    schemathesis(served, tmp_path, *phases, "--seed", "8", "--max-examples", "2")


@pytest.mark.soak
def test_all_of_it_at_length(served: Served, tmp_path: Path) -> None:
    for seed in range(5):
        schemathesis(served, tmp_path, "--max-examples", "100", "--seed", str(seed))
