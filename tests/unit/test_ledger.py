"""The states of minutes from rows made by hand: precedence, clocks that are set, unknowns."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable
from typing import Any

import pytest

from lifelog_lake.clock import US_PER_S
from lifelog_lake.ledger import MINUTE_US, STATES, ledger
from lifelog_lake.life import Row, Span, life_of, waiting_from

#: 2026-03-29T00:00:00Z: an hour before Europe sets its clocks.
T = 1_774_742_400 * US_PER_S
YEAR_US = 365 * 86_400 * US_PER_S
_seq = itertools.count()


def at(minutes: float) -> int:
    return T + int(minutes * MINUTE_US)


def told(kind: str, minute: float, end: float | None = None, **more: Any) -> Row:
    row = {"kind": kind, "at": at(minute), "end": None if end is None else at(end)}
    return {"epoch": "e", "seq": next(_seq), "reason": kind, **row, **more}


def pulse(minute: float, **entry: Any) -> Row:
    given = {
        "stream": "sensor",
        "collector": "c",
        "state": "running",
        "last_capture_at": at(minute),
    }
    return {"epoch": "p", "seq": next(_seq), "at": at(minute), "streams": [{**given, **entry}]}


def states(
    lifecycle: Iterable[Row], pulses: Iterable[Row], minutes: int = 60, **more: Any
) -> list[str]:
    """The state of each of the first minutes."""
    life = life_of(lifecycle, pulses)
    spans = ledger(life, "sensor", T, at(minutes), **more)
    assert [span.start for span in spans[1:]] == [span.end for span in spans[:-1]]
    assert (spans[0].start, spans[-1].end) == (T, at(minutes))
    return [one.state for one in spans for _ in range((one.end - one.start) // MINUTE_US)]


def test_each_state_goes_before_the_next() -> None:
    """All of it is true of each minute from 0 on; each row ends one later than the one below."""
    over = {
        "off": [told("started", -20), told("stopped", -10), told("started", 1)],
        "suspended": [told("suspended", -9, 2)],
        "paused": [told("paused", -8), told("resumed", 3)],
        "excluded": [told("excluded", -9, 4, stream="sensor")],
        "lost": [told("missed", -9, 8, stream="sensor", collector="c")],
    }
    found = states(
        [row for rows in over.values() for row in rows],
        [pulse(-15), pulse(1.1), pulse(20, spool_oldest_at=at(7), spool_newest_at=at(19))],
        10,
        rows=[(at(-9), at(5))],
        blank=[(at(-9), at(6), "blank")],
        shipped_to=at(7),
    )
    assert found == [
        *("off", "suspended", "paused", "excluded", "captured"),
        *("idle", "lost", "pending", "pending", "pending"),
    ]
    assert set(found) == set(STATES)


@pytest.mark.parametrize("years", [1, -1])
def test_a_clock_that_is_a_year_off_for_a_while_harms_nothing(years: int) -> None:
    off_us = years * YEAR_US
    minutes = off_us / MINUTE_US
    rows = [
        told("started", 0),
        told("clock_step", min(10, 10 + minutes), max(10, 10 + minutes), extra={"step_us": off_us}),
        told(
            "clock_step", min(20, 20 + minutes), max(20, 20 + minutes), extra={"step_us": -off_us}
        ),
        told("stopped", 50),
    ]
    ticks = [pulse(5), pulse(15 + minutes), pulse(45)]
    found = states(rows, ticks)
    # Ten minutes were lived under other names; from there and back nothing was lived here.
    assert found[:10] == ["idle"] * 10
    assert found[20:] == ["idle"] * 30 + ["off"] * 10
    assert set(found[10:20]) <= {"suspended", "lost"}
    life = life_of(rows, ticks)
    there = ledger(life, "sensor", at(10 + minutes), at(20 + minutes))
    assert [span.state for span in there] == ["idle"]


def test_a_row_of_a_wrong_clock_does_not_make_the_rest_known() -> None:
    rows = [
        told("started", 0),
        told("clock_step", 10, 10 + YEAR_US / MINUTE_US, extra={"step_us": YEAR_US}),
        told("clock_step", 12, 12 + YEAR_US / MINUTE_US, extra={"step_us": -YEAR_US}),
    ]
    found = states(rows, [pulse(5), pulse(11 + YEAR_US / MINUTE_US), pulse(20)])
    assert set(found[20:]) == {"pending"}


def test_the_order_is_that_of_the_writing_not_of_the_times() -> None:
    """The clock went back an hour while it was stopped."""
    rows = [told("started", 60), told("stopped", 70), told("started", 12), told("stopped", 30)]
    found = states(rows, [pulse(65), pulse(20)], 75)
    assert found == ["off"] * 12 + ["idle"] * 18 + ["off"] * 30 + ["idle"] * 10 + ["off"] * 5


def test_summer_time_and_midnight_are_minutes_as_any_other() -> None:
    rows = [told("started", -120), told("stopped", 180)]
    assert states(rows, [pulse(-100), pulse(170)], 180) == ["idle"] * 180


def test_a_run_that_ended_without_a_word_ends_with_its_last_pulse() -> None:
    rows = [told("started", 0), told("started", 30), told("stopped", 40)]
    found = states(rows, [pulse(5), pulse(10), pulse(35)], 40)
    assert found == ["idle"] * 10 + ["lost"] * 20 + ["idle"] * 10


def test_what_the_last_pulse_of_a_run_says_is_lost_while_nothing_else_tells() -> None:
    rows = [told("started", 0)]
    well = pulse(5)
    seen = pulse(30, state="unavailable", last_capture_at=at(10), last_error="No sensor.")
    life = life_of(rows, [well, seen])
    assert ledger(life, "sensor", T, at(40)) == [
        Span(at(0), at(10), "idle", "observed; nothing to record"),
        Span(at(10), at(30), "lost", "c is unavailable: No sensor."),
        Span(at(30), at(40), "pending", "the device hasn't shipped it yet"),
    ]


def test_what_still_waits_in_the_spool_is_pending() -> None:
    rows = [told("started", 0), told("stopped", 40)]
    ticks = [pulse(1), pulse(40, spool_oldest_at=at(10), spool_newest_at=at(35))]
    life = life_of(rows, ticks)
    assert waiting_from(life, "sensor") == (at(10), at(35))
    found = states(rows, ticks, 50, shipped_to=at(10))
    assert found == ["idle"] * 10 + ["pending"] * 30 + ["off"] * 10


@pytest.mark.parametrize("kind", ["dropped", "quarantined", "lost"])
def test_what_the_spool_gave_up_is_lost_where_no_other_row_is(kind: str) -> None:
    rows = [
        told("started", 0),
        told(kind, 50, stream="sensor", collector="ship", extra={"from": at(10), "to": at(20)}),
        told("stopped", 60),
    ]
    found = states(rows, [pulse(1)], rows=[(at(18), at(18))])
    assert found == ["idle"] * 10 + ["lost"] * 8 + ["captured"] + ["lost"] + ["idle"] * 40


def test_any_rows_give_each_minute_one_state() -> None:
    chance = random.Random(7)
    kinds = ("started", "stopped", "crashed", "suspended", "clock_step", "paused", "resumed")
    for _ in range(200):
        rows = []
        for _ in range(chance.randrange(12)):
            begin = chance.uniform(-90, 90)
            kind = chance.choice((*kinds, "missed", "excluded", "dropped"))
            about = {} if kind in kinds else {"stream": "sensor", "collector": "c"}
            extra = {"step_us": chance.choice((-1, 1)) * YEAR_US, "down": chance.random() < 0.5}
            rows.append(told(kind, begin, begin + chance.uniform(0, 60), extra=extra, **about))
        ticks = [pulse(chance.uniform(-90, 90)) for _ in range(chance.randrange(5))]
        assert set(states(rows, ticks)) <= set(STATES)
        mixed = chance.sample(rows, len(rows))
        assert states(mixed, ticks) == states(rows, ticks)


def test_a_quick_restart_costs_no_minute() -> None:
    rows = [told("started", 0), told("stopped", 10.48), told("started", 10.52), told("stopped", 20)]
    assert states(rows, [pulse(5), pulse(15)], 20) == ["idle"] * 20
