"""The mark of the hub's care is read as it was written, and nonsense is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from lifelog_lake.lake import care_mark
from lifelog_lake.lake.local import LocalTarget
from tests.helpers import T0, FixedClock


@pytest.fixture
def store(tmp_path: Path) -> LocalTarget:
    target = LocalTarget(tmp_path / "lake")
    target.prepare()
    return target


def test_there_is_none_before_the_first_run(store: LocalTarget) -> None:
    assert care_mark.read(store) is None


def test_the_newest_counts(store: LocalTarget) -> None:
    clock = FixedClock()
    care_mark.write(store, device="hub-1", every_s=60.0, clock=clock)
    clock.now_us += 60_000_000
    care_mark.write(store, device="hub-1", every_s=90.0, clock=clock)
    found = care_mark.read(store)
    assert found == care_mark.CareMark(at_us=T0 + 60_000_000, device="hub-1", every_s=90.0)
    assert found.limit_s(grace_s=30.0) == 300.0


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"at_us": "soon", "device": "x", "every_s": 1}',
        b'{"at_us": 1, "device": "x", "every_s": 0}',
        b'{"at_us": 1, "device": "x", "every_s": 1e300}',
        b'{"at_us": null, "device": "x", "every_s": 1}',
    ],
)
def test_nonsense_is_no_mark(store: LocalTarget, content: bytes) -> None:
    store.write(care_mark.KEY, content, at="lake")
    assert care_mark.read(store) is None
