"""Which moment a sample is from, on sound cards and machines that err in every way they do."""

from __future__ import annotations

import random

from collectors.audio_time import SampleClock
from lifelog_lake.clock import US_PER_S

RATE = 16_000
BLOCK = 1600
T0 = 1_767_323_045 * US_PER_S


class Card:
    """Gives blocks of a clock that runs ``wrong`` too fast, each late by what ``late`` says."""

    def __init__(self, clock: SampleClock, wrong: float = 0.0) -> None:
        self.clock = clock
        self.wrong = wrong
        self.number = 0
        self.s = 0.0
        self.wall_us = T0

    def give(self, seconds: float, late_s: float = 0.0, jitter_s: float = 0.02) -> None:
        """So much more sound."""
        for _ in range(round(seconds * RATE / BLOCK)):
            self.number += BLOCK
            self.s += BLOCK / RATE / (1 + self.wrong)
            late = late_s + random.random() * jitter_s
            self.clock.heard(self.number, self.wall_us + int((self.s + late) * US_PER_S))

    @property
    def off_us(self) -> int:
        """How far the clock is from the truth now."""
        return self.clock.at(self.number) - self.wall_us - int(self.s * US_PER_S)


def test_it_takes_two_seconds_to_know_the_time() -> None:
    clock = SampleClock(RATE)
    card = Card(clock)
    card.give(1.5)
    assert not clock.ready
    card.give(1)
    assert clock.ready
    clock.settle()
    assert 0 <= card.off_us < 20_000
    assert clock.at(clock.number(T0 + 30 * US_PER_S)) - T0 - 30 * US_PER_S in range(63)


def test_a_card_that_runs_wrong_is_followed_for_days_without_a_jump() -> None:
    clock = SampleClock(RATE)
    card = Card(clock, wrong=100e-6)
    card.give(3)
    clock.settle()
    for _ in range(300):  # five hours, in which the card goes wrong by 1.8 s
        before_us = clock.at(card.number)
        card.give(60)
        clock.slew(60 * US_PER_S)
        assert clock.apart_us == 0
        assert abs(card.off_us) < 35_000
        # What an interval's time and its samples tell apart from each other.
        assert abs(clock.at(card.number) - before_us - 60 * US_PER_S) <= 36_000


def test_a_stall_that_loses_nothing_changes_nothing() -> None:
    clock = SampleClock(RATE)
    card = Card(clock)
    card.give(10)
    clock.settle()
    for stall_s in (1.0, 4.0, 30.0):
        first = card.number
        resumed_us = card.wall_us + int((card.s + stall_s) * US_PER_S)
        while card.number < first + int(stall_s * RATE):  # all at once
            card.number += BLOCK
            card.s += BLOCK / RATE
            clock.heard(card.number, resumed_us)
            assert clock.apart_us == 0
        card.give(6)
        assert clock.apart_us == 0
        assert abs(card.off_us) < 20_000


def test_missing_samples_are_seen_and_so_is_a_clock_that_was_set() -> None:
    clock = SampleClock(RATE)
    card = Card(clock)
    card.give(10)
    clock.settle()
    for moved_us in (400_000, 3600 * US_PER_S, -3600 * US_PER_S, -200_000):
        card.wall_us += moved_us
        card.give(6)
        assert abs(clock.apart_us - moved_us) < 20_000
        clock.settle()
        assert clock.apart_us == 0
        assert 0 <= card.off_us < 20_000
