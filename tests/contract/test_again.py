"""Which failures are looked at again."""

from __future__ import annotations

import pytest

from tests.again import MOST, why_final

BUSY = "tests/integration/test_supervisor.py::test_a_child[1]"


def test_a_few_of_tests_with_several_processes() -> None:
    assert why_final(1, [BUSY, "tests/browser/test_day.py::test_zoom"]) == ""


@pytest.mark.parametrize(
    ("code", "failed", "why"),
    [
        (1, [BUSY, "tests/crash/test_sweep.py::test_a_kill"], "test_sweep"),
        (1, ["tests/property/test_spool.py::test_it"], "test_spool"),
        (1, ["tests/unit/test_clock.py::test_it"], "test_clock"),
        (1, [f"{BUSY}{n}" for n in range(MOST + 1)], "at most"),
        (1, [], "ended with 1"),
        (2, [BUSY], "ended with 2"),
    ],
)
def test_all_others_are_final(code: int, failed: list[str], why: str) -> None:
    assert why in why_final(code, failed)
