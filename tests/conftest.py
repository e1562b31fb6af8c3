"""Fixtures that every kind of test may use."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

from tests import needs
from tests.fixtures.s3 import s3_server, s3_url

__all__ = ["s3_server", "s3_url"]  # one server for all modules of a test process

pytest_plugins = ["tests.fixtures.chromium"]

# Nowhere is a time asserted: the machine may be busy.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(scope="session")
def require_program() -> Callable[..., str]:
    """``require_program("Xvfb", package="xvfb")`` gives its path, or skips (fails in CI)."""
    return needs.require_program


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the real browser."""
    return needs.require_chromium()


@pytest.fixture(autouse=True, scope="session")
def own_surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the home, settings or credentials of who runs it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(
                ("LIFELOG_", "AWS_", "JUPYTER_", "LOG_", "AW_", "PREFECT_", "WATCHER_")
            ):
                patch.delenv(name)
        # Nor what the ActivityWatch of who runs it has seen.
        patch.setenv("LIFELOG_COLLECTORS__ACTIVITYWATCH__ENABLED", "false")
        # Nor do the supervisors of several workers want one port: those tests that are about it do.
        patch.setenv("LIFELOG_HEALTH__LISTEN", "")
        # Prefect's start takes seconds of a processor: those tests turn it on that are about it.
        patch.setenv("LIFELOG_FLOWS__ENABLED", "false")
        patch.setenv("LIFELOG_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path_factory.mktemp("jupyter")))
        patch.setenv("JUPYTER_DATA_DIR", str(tmp_path_factory.mktemp("jupyter_data")))
        yield
