"""Times of a wrong clock, by what a store says and by the boot clock; logic without a server."""

from __future__ import annotations

from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lifelog_lake import clock_check
from lifelog_lake.cli.status import clock_words
from lifelog_lake.clock import US_PER_S, utc
from lifelog_lake.clock_check import ClockCheck
from lifelog_lake.lake.store import Store
from lifelog_lake.ship.skew import Skew
from lifelog_lake.spool import Append, Record, Spool
from tests.fixtures.day import DayClock
from tests.helpers import T0, make_home, window

S = US_PER_S
DAY_S = 86_400


class Server:
    """Says the right time, as HTTP does: cut to the second, on its way for a while."""

    def __init__(self, clock: DayClock) -> None:
        self._clock = clock
        self._true = clock.wall_us() - clock.boot_us()  # the clock was right when it was met
        self.trip_s = 0.1

    def stat(self, key: str) -> Any:
        del key
        self._clock.s += self.trip_s / 2
        now = self._true + self._clock.boot_us()
        self._clock.s += self.trip_s / 2
        return SimpleNamespace(server_date=format_datetime(utc(now).replace(microsecond=0), True))

    def sampled(self, times: int = 1, *, sleeps: bool = True) -> Skew:
        skew = Skew(self._clock, sleeps=sleeps)
        for _ in range(times):
            self._clock.s += 0.37
            skew.sample(cast("Store", self))
        return skew


def appended(clock: DayClock, first: int = 0, last: int = 0) -> Append:
    return Append(
        first=first, last=last, boot_id=clock.boot_id(),
        wall_us=clock.wall_us(), boot_us=clock.boot_us(),
    )  # fmt: skip


def test_a_right_clock_is_left_alone_and_said_to_be_right() -> None:
    clock = DayClock()
    skew = Server(clock).sampled()
    assert skew.correction(appended(clock)) == 0


@pytest.mark.parametrize("wrong_s", [-7200.0, -3.0, 3.0, 5400.0])
def test_a_wrong_clock_is_corrected_to_a_fraction_of_a_second(wrong_s: float) -> None:
    clock = DayClock()
    server = Server(clock)
    clock.stepped_s = wrong_s
    skew = server.sampled(20)
    found = skew.correction(appended(clock))
    assert found is not None
    assert abs(found + wrong_s * S) < 0.3 * S
    ahead = skew.ahead_us
    assert ahead is not None
    assert ahead[0] <= wrong_s * S <= ahead[1]
    assert ahead[1] - ahead[0] < 0.6 * S


def test_what_was_written_before_the_clock_was_set_is_corrected_too() -> None:
    clock = DayClock()
    server = Server(clock)
    clock.stepped_s = 600
    before = appended(clock)
    clock.s += 3600
    clock.slept_s += 7200
    clock.stepped_s = 0
    skew = server.sampled(20)
    found = skew.correction(before)
    assert found is not None
    assert abs(found + 600 * S) < 0.3 * S
    assert skew.correction(appended(clock)) == 0
    # Where the boot clock stands still in a sleep, that would look the same.
    assert server.sampled(1, sleeps=False).correction(before) is None


def test_it_holds_within_one_boot_alone() -> None:
    clock = DayClock()
    server = Server(clock)
    before = appended(clock)
    clock.boots += 1
    assert server.sampled().correction(before) is None
    assert Skew(clock).correction(before) is None


@pytest.mark.parametrize("years", [1, -1])
def test_a_clock_a_year_off_is_told_and_not_corrected(years: int, tmp_path: Path) -> None:
    clock = DayClock()
    server = Server(clock)
    clock.stepped_s = years * 365 * DAY_S
    skew = server.sampled()
    assert skew.correction(appended(clock)) is None
    skew.show(tmp_path)
    shown = clock_check.read(tmp_path)
    assert shown is not None
    assert "set the clock" in clock_words(shown)


def test_a_server_whose_clock_is_set_is_believed_anew() -> None:
    clock = DayClock()
    server = Server(clock)
    skew = server.sampled(5)
    server._true += 100 * S
    skew.sample(cast("Store", server))
    found = skew.correction(appended(clock))
    assert found is not None
    assert abs(found - 100 * S) < S


def test_rows_from_elsewhere_keep_their_times() -> None:
    clock = DayClock()
    server = Server(clock)
    clock.stepped_s = 60
    skew = server.sampled(20)
    append = appended(clock, 0, 2)
    own = Record(0, {"id": "01a1fe97-8d7d-7404-9e68-a0f7954135b6", "at": T0, "data": {}})
    pulled = Record(1, {"id": "01a1fe97-8d7d-5404-9e68-a0f7954135b6", "at": T0, "data": {}})
    moved, kept = skew.correct("window", [own, pulled], [append])
    assert abs(moved.fields["at"] - (T0 - 60 * S)) < 0.3 * S
    assert moved.fields["skew_us"] == moved.fields["at"] - T0
    assert kept is pulled
    assert skew.correct("journal", [own], [append]) == [own]
    pulse = Record(2, {**own.fields, "end": None, "data": {"streams": [{"last_ack_at": T0}]}})
    (told,) = skew.correct("pulse", [pulse], [append])
    assert told.fields["data"]["streams"][0]["last_ack_at"] == moved.fields["at"]


def test_a_batch_says_when_it_was_appended(tmp_path: Path) -> None:
    home, clock = make_home(tmp_path / "home"), DayClock()
    spool = Spool.of(home, clock)
    spool.append([window(0), window(1)])
    clock.s += 10
    spool.append([window(2)])
    clock.boots += 1
    spool.append([window(3)])
    outlet = spool.outlet("window")
    batch = outlet.read(-1, 100)
    assert batch is not None
    told = [(one.first, one.last, one.boot_id, one.boot_us // S) for one in batch.appends]
    assert told == [(0, 1, "boot 1", 0), (2, 2, "boot 1", 10), (3, 3, "boot 2", 10)]
    # A reader that begins within a batch has its end all the same.
    first = outlet.read(-1, 1)
    assert first is not None
    rest = outlet.read(first.last, 100)
    assert rest is not None
    assert (rest.appends[0].first, rest.appends[0].last) == (1, 1)


def test_words() -> None:
    right, ahead, behind = (
        clock_words(ClockCheck(at=0, ahead_us=us, within_us=300_000))
        for us in (100_000, 5 * S, -7200 * S)
    )
    assert right == "right by the store's clock (within 0.3 s)"
    assert ahead.startswith("5.0 s ahead of the store's (within 0.3 s); times are corrected")
    assert behind.startswith("7200.0 s behind the store's")


@pytest.mark.parametrize(
    "said", ["", "yesterday", "Thu, 32 Jan 1970 00:00:00 GMT", FileNotFoundError()]
)
def test_a_server_that_tells_no_time_tells_nothing(said: object) -> None:
    class Odd:
        def stat(self, key: str) -> Any:
            del key
            if isinstance(said, Exception):
                raise said
            return SimpleNamespace(server_date=said)

    clock = DayClock()
    skew = Skew(clock)
    skew.sample(cast("Store", Odd()))
    assert skew.ahead_us is None
    assert skew.correction(appended(clock)) is None
