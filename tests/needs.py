"""What a test needs of the system, beyond Python packages.

A person without the package sees the test skipped, with the name of what to install. Under
``CI=true`` the same test fails: there a missing package is a mistake in the set-up, and a skip
would hide it.
"""

from __future__ import annotations

import os
import shutil
import sys
from typing import NoReturn

import pytest


def lacking(reason: str) -> NoReturn:
    """Skip the running test with `reason`, or fail it under ``CI=true``."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason} (a skip elsewhere, a failure under CI=true)", pytrace=False)
    pytest.skip(reason)  # a person's own machine may lack it; CI never gets here


def require_program(*names: str, package: str) -> str:
    """The path of the first program of `names` that is there; `package` is Debian's name for it.

    Called in a test or fixture. Without any of them the test is skipped, or fails under CI=true.
    """
    for name in names:
        path = shutil.which(name)
        if path is not None:
            return path
    lacking(
        f"needs {' or '.join(names)}: apt-get install --no-install-recommends {package}",
    )


def require_chromium() -> str:
    """The path of a Chromium or Chrome for Playwright's ``executable_path``."""
    return require_program(
        "chromium", "chromium-browser", "google-chrome-stable", "google-chrome", package="chromium"
    )


def require_linux(why: str) -> None:
    """For tests of what only Linux has. Elsewhere they are skipped, also in CI."""
    if sys.platform != "linux":
        pytest.skip(f"only on Linux: {why}")  # nothing to install could make it run
