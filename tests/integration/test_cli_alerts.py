"""``lifelog alerts`` as a person types it, and what it leaves in the lake."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator

import pytest

from lifelog_lake.clock import US_PER_S, SystemClock
from tests.fixtures.command import LIFELOG
from tests.fixtures.fleet import Fleet, a_fleet
from tests.fixtures.receivers import SECRET, Hook
from tests.helpers import ship

__all__ = ["a_fleet"]


@pytest.fixture
def hook() -> Iterator[Hook]:
    server = Hook()
    yield server
    server.stop()


@pytest.fixture
def alert(fleet: Fleet) -> str:
    """An open alert of now; its key."""
    fleet.clock.now_us = SystemClock().wall_us() - 600 * US_PER_S
    fleet.beat()
    return fleet.until_open(captured=False).key


def lifelog(fleet: Fleet, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    named = {f"LIFELOG_{name}": value for name, value in settings.items()}
    return subprocess.run(
        [str(LIFELOG), "--home", str(fleet.hub.path), "alerts", *words],
        env=os.environ | {"NO_COLOR": "1", "LIFELOG_SPOOL__MIN_FREE_BYTES": "0"} | named,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_listed_answered_and_in_the_lake(fleet: Fleet, alert: str) -> None:
    listed = lifelog(fleet, "list")
    assert listed.returncode == 1, listed.stderr
    assert alert in listed.stdout
    assert "lifelog doctor" in listed.stdout
    snoozed = lifelog(fleet, "snooze", "capture", "2h")
    assert snoozed.stdout.startswith("Snoozed until "), snoozed.stderr
    answered = lifelog(fleet, "ack", alert)
    assert answered.stdout.startswith("Acknowledged: Screen of "), answered.stderr
    again = lifelog(fleet, "list", "--json")
    assert again.returncode == 0
    (found,) = json.loads(again.stdout)["alerts"]
    assert (found["key"], found["state"]) == (alert, "acknowledged")
    ship(fleet.hub)
    assert fleet.states() == ["open", "snoozed", "acknowledged"]
    assert [until is None for until in fleet.column("until")] == [True, False, True]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("ack", "nothing"), "There is no open alert 'nothing'."),
        (("snooze", "capture", "soon"), "'soon' is no duration."),
        (("test",), "There is no address to send to."),
    ],
)
def test_what_cannot_be(fleet: Fleet, words: tuple[str, ...], says: str) -> None:
    done = lifelog(fleet, *words)
    assert done.returncode == 2
    assert says in done.stderr


def test_each_address_is_tried_and_named_without_its_secret(fleet: Fleet, hook: Hook) -> None:
    both = f"{hook.address} json://me:{SECRET}@127.0.0.1:9/"
    done = lifelog(fleet, "test", ALERTS__NOTIFY=both)
    assert done.returncode == 1
    sent, failed = done.stdout.splitlines()
    assert sent == f"sent    json://…@127.0.0.1:{hook.port}"
    assert failed.startswith("failed  json://…@127.0.0.1:9: ")
    assert len(hook.got) == 1
    assert SECRET not in done.stdout + done.stderr
