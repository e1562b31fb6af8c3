"""Older lakes are brought up, newer ones are used or refused, neighbouring releases share one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lifelog_lake.clock import SystemClock
from lifelog_lake.errors import LakeRefused
from lifelog_lake.lake import Store, identity, init_lake, parse_url, read_identity, require_known
from lifelog_lake.lake import upgrade as upgrades
from lifelog_lake.lake.identity import write_identity
from lifelog_lake.lake.lease import hold
from lifelog_lake.lake.upgrade import Step, upgrade
from lifelog_lake.ship import Shipper
from lifelog_lake.spool import Spool
from tests.helpers import hooked, make_home, rows, ship, window
from tests.unit.test_lake_identity import Crash, CrashAt

CLOCK = SystemClock()


def note(target: Store) -> None:
    """A step that may be done twice: it writes a file."""
    target.write("control/step-1", b"done", at="step")


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> None:
    """This program is the next release, whose lakes have format 2."""
    monkeypatch.setattr(identity, "FORMAT", 2)
    monkeypatch.setitem(upgrades.STEPS, 1, Step(run=note, minimum=1))


def written(target: Store) -> dict[str, object]:
    """What ``lake.json`` says."""
    return dict(json.loads(target.read("lake.json")))


def test_there_is_nothing_to_upgrade_yet(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    target = parse_url(home.lake_url, home)
    before = target.read("lake.json")
    assert upgrade(target, home.device, CLOCK) == require_known(home)
    assert target.read("lake.json") == before
    assert set(json.loads(before)) == {"format", "lake_id", "generation", "created_at"}


def test_a_step_killed_at_any_point_is_done_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = 0
    for number in range(100):
        home = make_home(tmp_path / f"home-{number}")  # by the release before
        target = parse_url(home.lake_url, home)
        with monkeypatch.context() as patch:
            patch.setattr(identity, "FORMAT", 2)
            patch.setitem(upgrades.STEPS, 1, Step(run=note, minimum=1))
            try:
                with hooked(CrashAt(number)):
                    upgrade(target, home.device, CLOCK)
            except Crash:
                killed += 1
                if written(target)["format"] == 2:
                    assert target.read("control/step-1") == b"done", "the number moved before it"
                # A killed process's lease is free at once: its pid is gone. This one's isn't.
                for key in list(target.keys("control/leases/upgrade")):
                    target.delete(key, at="lease")
                upgrade(target, home.device, CLOCK)
            else:
                assert killed > 10
                return
            finally:
                assert target.read("control/step-1") == b"done"
                assert written(target)["format"] == 2
                assert require_known(home).lake_id == written(target)["lake_id"]
    pytest.fail("upgrade never ended")


@pytest.mark.usefixtures("newer")
def test_who_cannot_upgrade_works_with_the_lake_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process is at it: the older format goes on being read and written."""
    monkeypatch.setattr(identity, "FORMAT", 1)
    home = make_home(tmp_path / "home")
    monkeypatch.setattr(identity, "FORMAT", 2)
    target = parse_url(home.lake_url, home)
    with hold(target, "upgrade", "another-device", CLOCK):
        assert upgrade(target, home.device, CLOCK).format == 1
    Spool.of(home).append([window(0)])
    ship(home)
    assert rows(home, "window").height == 1
    assert written(target)["format"] == 1
    assert upgrade(target, home.device, CLOCK).format == 2


def test_a_format_that_never_was_is_refused(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    target = parse_url(home.lake_url, home)
    target.write("lake.json", json.dumps({**written(target), "format": 0}).encode(), at="test")
    with pytest.raises(LakeRefused, match="there never was"):
        upgrade(target, home.device, CLOCK)


def test_two_neighbouring_releases_share_a_lake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next release brings the lake up to format 2, which this one needn't know of."""
    older = make_home(tmp_path / "older")
    target = parse_url(older.lake_url, older)
    with monkeypatch.context() as patch:
        patch.setattr(identity, "FORMAT", 2)
        patch.setitem(upgrades.STEPS, 1, Step(run=note, minimum=1))
        newer = make_home(tmp_path / "newer", lake=older.lake_url)
        upgrade(target, newer.device, CLOCK)
        Spool.of(newer).append([window(n) for n in range(3)])
        ship(newer)
    assert written(target)["format"] == 2
    Spool.of(older).append([window(n) for n in range(3, 5)])
    ship(older)
    assert rows(older, "window").height == 5
    # What this release doesn't know in lake.json survives its own writing of that file.
    target.write("lake.json", json.dumps({**written(target), "colour": "blue"}).encode(), at="t")
    found = read_identity(target)
    assert found is not None
    write_identity(target, found)
    assert written(target)["colour"] == "blue"
    assert (written(target)["format"], written(target)["minimum"]) == (2, 1)
    assert upgrade(target, older.device, CLOCK).format == 2, "never down"


def test_a_lake_that_needs_a_newer_release_is_refused_and_left_alone(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    Spool.of(home).append([window(0)])
    target = parse_url(home.lake_url, home)
    content = json.dumps({**written(target), "format": 3, "minimum": 2}).encode()
    target.write("lake.json", content, at="test")
    for use in (lambda: require_known(home), lambda: init_lake(home), Shipper.of(home).run_once):
        with pytest.raises(LakeRefused, match="format 3") as caught:
            use()
        assert "newer lifelog_lake" in caught.value.hint
    assert target.read("lake.json") == content
