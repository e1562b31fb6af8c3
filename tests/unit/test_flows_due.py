"""Which of the due runs is started: one for all that were missed, none beside another."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from flows.due import Due, choose

NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)
HOUR_S = 3600.0


def due(id: str, hours_ago: float, *, asked: bool = False) -> Due[str]:
    return Due(id=id, at=NOW - timedelta(hours=hours_ago), asked=asked)


def test_nothing_is_due() -> None:
    choice = choose([], now=NOW, grace_s=HOUR_S, free=True)
    assert choice.start is None
    assert choice.left_out == ()


def test_a_day_of_sleep_gives_one_run() -> None:
    missed = [due(str(n), n / 4) for n in range(96)]
    choice = choose(missed, now=NOW, grace_s=7 * 24 * HOUR_S, free=True)
    assert choice.start == "0"
    assert {key for key, _ in choice.left_out} == {str(n) for n in range(1, 96)}


def test_while_it_runs_the_newest_waits_and_the_others_go() -> None:
    choice = choose([due("old", 2), due("new", 1)], now=NOW, grace_s=24 * HOUR_S, free=False)
    assert choice.start is None
    assert [key for key, _ in choice.left_out] == ["old"]


def test_what_is_older_than_its_grace_is_left_out() -> None:
    choice = choose([due("old", 25)], now=NOW, grace_s=24 * HOUR_S, free=True)
    assert choice.start is None
    assert choice.left_out == (("old", "It was missed for longer than its grace."),)


def test_what_a_person_asked_for_goes_first_and_is_never_too_late() -> None:
    runs = [due("asked", 30, asked=True), due("late", 25), due("new", 0)]
    choice = choose(runs, now=NOW, grace_s=24 * HOUR_S, free=True)
    assert choice.start == "asked"
    assert {key for key, _ in choice.left_out} == {"late", "new"}
