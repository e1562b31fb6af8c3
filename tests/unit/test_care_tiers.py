"""Which files are merged: a month in numbers, and what must hold for any sizes and rhythms."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifelog_lake.care.tiers import GROWTH, QUIET_US, plan
from lifelog_lake.clock import US_PER_S, to_us
from lifelog_lake.lake import datafile
from lifelog_lake.lake.rewrite import LiveFile
from tests.fixtures import piles
from tests.helpers import window

DAY_US = 86_400 * US_PER_S
START = datetime(2026, 1, 1, tzinfo=UTC)
TARGET = 64 * 2**20


def file(
    number: int, rows: int, *, day: datetime = START, at_us: int = 0, size: int | None = None
) -> LiveFile:
    name = hashlib.sha256(str(number).encode()).hexdigest()
    return LiveFile(
        path=f"date={day.date()}/{name}.parquet",
        date=str(day.date()),
        size_bytes=4000 + 20 * rows if size is None else size,
        rows=rows,
        modified_us=at_us or to_us(day) + number,
    )


@cache
def bytes_of(rows: int) -> int:
    """What a real file of so many window rows takes."""
    made = min(rows, 4000)
    table = piles.rows("window", [window(n) for n in range(made)])
    size = len(datafile.encode(datafile.split_by_day(table)[0][1]))
    return size * rows // made  # from some thousand rows on a file grows evenly


class Month:
    """One table over a month: files come, compaction runs, bytes and files are counted."""

    def __init__(self) -> None:
        self.files: list[LiveFile] = []
        self.written = self.rewritten = self.most_today = 0
        self.rows: Counter[str] = Counter()
        self._number = 0

    def commit(self, rows: int, day: datetime, now: datetime) -> None:
        self._number += 1
        size = bytes_of(rows)
        self.written += size
        self.rows["written"] += rows
        self.files.append(file(self._number, rows, day=day, at_us=to_us(now), size=size))

    def compact(self, now: datetime) -> None:
        today = sum(each.date == str(now.date()) for each in self.files)
        self.most_today = max(self.most_today, today)
        while groups := plan(self.files, target_bytes=TARGET, now_us=to_us(now)).groups:
            for group in groups:
                assert len({each.date for each in group}) == 1
                gone = {each.path for each in group}
                self.files = [each for each in self.files if each.path not in gone]
                self._number += 1
                rows = sum(each.rows for each in group)
                size = bytes_of(rows)
                self.rewritten += size
                self.rows["rewritten"] += rows
                day = datetime.fromisoformat(group[0].date).replace(tzinfo=UTC)
                self.files.append(file(self._number, rows, day=day, at_us=to_us(now), size=size))


@pytest.mark.parametrize(
    ("every_min", "devices", "rows"), [(60, 1, 5), (10, 1, 1), (60, 8, 3), (24 * 60, 1, 5)]
)
def test_a_month_of_1440_commits_a_day(every_min: int, devices: int, rows: int) -> None:
    month = Month()
    days = 31 if devices == 1 else 8
    for minute in range(days * 1440):
        now = START + timedelta(minutes=minute)
        day = now.replace(hour=0, minute=0)
        for _ in range(devices):
            month.commit(rows, day, now)
        if minute % every_min == 5 % every_min:
            month.compact(now)
    month.compact(START + timedelta(days=days, hours=3))
    assert month.rewritten <= 3 * month.written
    assert month.rows["rewritten"] <= 3 * month.rows["written"]
    if every_min <= 60:
        assert month.most_today <= 60 * devices + 3 * GROWTH
    per_day = Counter(each.date for each in month.files)
    assert max(per_day.values()) <= 3, "a day that is over has few files"
    assert sum(each.rows for each in month.files) == month.rows["written"]
    print(
        f"{month.rewritten / month.written:.2f} bytes and "
        f"{month.rows['rewritten'] / month.rows['written']:.2f} rows rewritten a one written, at "
        f"most {month.most_today} files today"
    )


def test_a_day_that_is_over_is_closed_once_it_is_quiet() -> None:
    files = [file(n, 10) for n in range(5)]
    over = to_us(START) + DAY_US
    for now_us in (to_us(START) + 1000, over, over + QUIET_US - 1):
        found = plan(files, target_bytes=TARGET, now_us=now_us)
        assert found.groups == ()
        assert found.again_us == over + QUIET_US
    found = plan(files, target_bytes=TARGET, now_us=over + QUIET_US)
    assert found.groups == (tuple(sorted(files, key=lambda each: each.path)),)
    assert found.again_us is None


def test_rows_that_come_late_wait_until_they_are_worth_it() -> None:
    later = to_us(START) + 40 * DAY_US
    large = file(0, 10_000)
    few = [file(n, 10, at_us=later - DAY_US) for n in range(1, 4)]
    found = plan([large, *few], target_bytes=TARGET, now_us=later)
    assert {each.path for each in found.groups[0]} == {each.path for each in few}
    many = file(9, 1_300, at_us=later - DAY_US)
    (group,) = plan([large, many], target_bytes=TARGET, now_us=later).groups
    assert set(group) == {large, many}
    fresh = replace(many, modified_us=later - 1)
    found = plan([large, fresh], target_bytes=TARGET, now_us=later)
    assert found.groups == ()
    assert found.again_us == fresh.modified_us + QUIET_US


def test_large_files_are_never_touched() -> None:
    later = to_us(START) + 40 * DAY_US
    large = [file(n, 10, size=TARGET // 2) for n in range(100)]
    assert plan(large, target_bytes=TARGET, now_us=later).groups == ()


def test_a_clock_that_was_ahead_keeps_no_day_open() -> None:
    later = to_us(START) + 3 * DAY_US
    files = [file(n, 10, at_us=later + 999 * DAY_US) for n in range(3)]
    assert plan(files, target_bytes=TARGET, now_us=later).groups


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 5000), max_size=60), min_size=1, max_size=12),
    st.booleans(),
)
def test_it_comes_to_rest_and_no_row_is_rewritten_often(
    runs: list[list[int]], is_over: bool
) -> None:
    """Each rewriting makes a row's file 24 times larger, or closes the day."""
    now_us = to_us(START) + (3 * DAY_US if is_over else 1000)
    files: list[LiveFile] = []
    times: dict[str, dict[int, int]] = {}  # file -> first rows of it -> how often rewritten
    number = 0
    for commits in runs:
        for rows in commits:
            number += 1
            files.append(file(number, rows))
            times[files[-1].path] = {number: 0}
        for _ in range(50):
            groups = plan(files, target_bytes=TARGET, now_us=now_us).groups
            if not groups:
                break
            for group in groups:
                assert len(group) >= 2
                number += 1
                new = file(number, sum(each.rows for each in group))
                files = [each for each in files if each not in group] + [new]
                times[new.path] = {
                    one: count + 1 for each in group for one, count in times.pop(each.path).items()
                }
        else:
            raise AssertionError("it never came to rest")
    if not is_over:
        most = max((count for all_ in times.values() for count in all_.values()), default=0)
        assert GROWTH**most <= max(sum(map(sum, runs)), 1)
        small = Counter(each.rows.bit_length() for each in files)
        assert all(count < 2 * GROWTH for count in small.values())
