"""A missing system package is named to a person, and fails in CI."""

from __future__ import annotations

import os

import pytest

from tests.needs import require_program


def test_a_program_that_is_there_is_found() -> None:
    assert os.access(require_program("no-such-program", "git", package="git"), os.X_OK)


def test_a_person_is_told_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="install --no-install-recommends some-package"):
        require_program("no-such-program", package="some-package")


def test_ci_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="some-package"):
        require_program("no-such-program", package="some-package")
