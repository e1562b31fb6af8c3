"""Homes for the notebooks: an empty lake, one with a single event, one with demo days."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lifelog_lake.clock import US_PER_S, SystemClock
from lifelog_lake.events import new_event
from lifelog_lake.home import Home, open_home
from lifelog_lake.spool import Spool
from tests.helpers import make_home, ship

#: The demo's newest day; the same seed and days give the same rows.
DEMO_END = "2026-05-29"


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return make_home(tmp_path_factory.mktemp("notebooks-empty"))


@pytest.fixture(scope="session")
def single_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Six minutes of one window, an hour ago, as the one event there is."""
    home = make_home(tmp_path_factory.mktemp("notebooks-single"))
    at = SystemClock().wall_us() - 3600 * US_PER_S
    Spool.of(home).append(
        [
            new_event(
                "window", at=at, end=at + 360 * US_PER_S,
                data={"app": "Editor <b>", "title": "my letter"},
            )
        ]
    )  # fmt: skip
    ship(home)
    return home


@pytest.fixture(scope="session")
def demo_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Filled by the command, as a person does it."""
    home = open_home(tmp_path_factory.mktemp("notebooks-demo"))
    words = ["--home", str(home.path), "demo", "--days", "15", "--seed", "1", "--end", DEMO_END]
    done = subprocess.run(
        [sys.executable, "-m", "lifelog_lake", *words, "--events-per-day", "2000"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return home
