"""The temporal join and the count of time, against minutes counted one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import polars as pl
import pytest
import tzlocal
from hypothesis import given
from hypothesis import strategies as st

from lifelog_lake.errors import UsageError
from lifelog_lake.recall import during
from lifelog_lake.recall.schema import polars_schema
from lifelog_lake.recall.usage import BROWSERS, site, usage

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE = timedelta(minutes=1)
#: Half an hour before the clocks of Berlin go back, in the night to a Sunday.
NEAR_DST = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
#: Shortly before midnight there.
NEAR_MIDNIGHT = datetime(2026, 3, 1, 22, 30, tzinfo=UTC)
LONG = 90


@pytest.fixture(autouse=True, scope="module")
def in_berlin() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tzlocal, "get_localzone", lambda: BERLIN)
        yield


class Row(NamedTuple):
    """Minutes after a beginning; None is no end."""

    device: str
    host: str
    at: int
    end: int | None
    what: str

    @property
    def minutes(self) -> range:
        return range(self.at, self.at if self.end is None else self.end)


def rows(kinds: Sequence[str], *, ends: bool = False) -> st.SearchStrategy[list[Row]]:
    one = st.builds(
        lambda device, host, at, length, what: Row(
            device, host, at, None if length is None else at + length, what
        ),
        st.sampled_from(["laptop", "desktop"]),
        st.sampled_from(["", "a", "b"]),
        st.integers(0, LONG),
        st.integers(0, 30) if ends else st.integers(0, 30) | st.none(),
        st.sampled_from(kinds),
    )
    return st.lists(one, max_size=12)


def frame(
    given_rows: Sequence[Row], began: datetime = NEAR_DST, stream: str = "window", what: str = "app"
) -> pl.DataFrame:
    schema = polars_schema(stream)
    return pl.DataFrame(
        [
            {
                "id": str(number),
                "device": row.device,
                "bucket": f"aw-watcher_{row.host}" if row.host else None,
                "at": began + row.at * MINUTE,
                "end": None if row.end is None else began + row.end * MINUTE,
                what: row.what,
            }
            for number, row in enumerate(given_rows)
        ],
        schema=schema,
    )


def minutes_of(found: pl.DataFrame, began: datetime = NEAR_DST) -> Counter[tuple[str, int]]:
    """How often each row of the target is there in each minute; moments by their minute."""
    counted: Counter[tuple[str, int]] = Counter()
    for id_, at, end in found.select("id", "at", "end").iter_rows():
        first = (at - began) // MINUTE
        assert (at - began) % MINUTE == timedelta(0)
        for minute in range(first, first + 1 if end in (None, at) else (end - began) // MINUTE):
            counted[id_, minute] += 1
    return counted


@given(rows("x"), st.lists(rows("y"), max_size=3), st.integers(0, 4), st.booleans())
def test_during_is_what_minutes_say(
    target: list[Row], conditions: list[list[Row]], within: int, by_device: bool
) -> None:
    found = during(
        frame(target),
        *map(frame, conditions),
        within=within * MINUTE,
        by="device" if by_device else (),
    )

    def holds(condition: list[Row], row: Row, minute: int) -> bool:
        return any(
            one.at - within <= minute < (one.at if one.end is None else one.end) + within
            and (not by_device or one.device == row.device)
            for one in condition
        )

    wanted = Counter(
        {
            (str(number), minute): 1
            for number, row in enumerate(target)
            for minute in (row.minutes or [row.at])
            if all(holds(condition, row, minute) for condition in conditions)
        }
    )
    assert minutes_of(found) == wanted
    assert found["at"].is_sorted()
    assert found.schema == frame(target).schema


def test_a_row_that_is_interrupted_becomes_several() -> None:
    target = frame([Row("laptop", "", 0, 60, "x")])
    away = [Row("laptop", "", at, at + 10, "y") for at in (0, 10, 30, 50)]
    found = during(target.lazy(), frame(away).lazy())
    spans = [(at - NEAR_DST, end - NEAR_DST) for at, end in found.select("at", "end").iter_rows()]
    assert spans == [(0 * MINUTE, 20 * MINUTE), (30 * MINUTE, 40 * MINUTE), (50 * MINUTE, LAST)]
    assert found["id"].to_list() == ["0"] * 3


LAST = 60 * MINUTE


def test_during_takes_frames_of_other_zones_and_says_what_they_lack() -> None:
    target = frame([Row("laptop", "", 0, 60, "x")])
    local = target.with_columns(pl.col("at", "end").dt.convert_time_zone("Asia/Kolkata"))
    assert during(target, local).equals(target)
    assert during(local, target).equals(local)
    assert during(target).equals(target)
    with pytest.raises(UsageError, match="'end'"):
        during(target, target.drop("end"))
    with pytest.raises(UsageError, match="'monitor'"):
        during(target, target, by=["monitor"])


class World(NamedTuple):
    """A lake in memory: what `usage` asks for rows."""

    frames: dict[str, pl.DataFrame]

    def rows(self, stream: str, start: datetime, end: datetime) -> pl.LazyFrame:
        found = self.frames.get(stream, pl.DataFrame(schema=polars_schema(stream)))
        return found.lazy().filter(pl.col("at") < end, pl.col("end") > start)


@given(
    rows(["mail", "code"], ends=True),
    rows(["afk", "not-afk"], ends=True),
    st.integers(0, LONG),
    st.integers(0, LONG),
    st.sampled_from([NEAR_DST, NEAR_MIDNIGHT]),
    st.booleans(),
)
def test_usage_is_what_minutes_say(
    windows: list[Row],
    presence: list[Row],
    first: int,
    length: int,
    began: datetime,
    afk: bool,
) -> None:
    world = World({"window": frame(windows, began), "afk": frame(presence, began, "afk", "status")})
    start, last = began + first * MINUTE, began + (first + length) * MINUTE
    seen = [
        row for row in presence
        if row.at < first + length and (row.end or 0) > first
    ]  # fmt: skip
    hosts = {(row.device, row.host) for row in seen}

    def present(row: Row, minute: int) -> bool:
        if row.device not in {device for device, _ in hosts}:
            return True
        own = [r for r in seen if r.device == row.device and r.what == "not-afk"]
        if (row.device, row.host) in hosts:
            own = [r for r in own if r.host == row.host]
        return any(minute in r.minutes for r in own)

    wanted: Counter[tuple[object, ...]] = Counter()
    for row in windows:
        for minute in row.minutes:
            if first <= minute < first + length and (afk or present(row, minute)):
                local = (began + minute * MINUTE).astimezone(BERLIN)
                wanted[row.what, local.date(), local.hour] += 1
    found = usage(world.rows, start, last, ["app", "day", "hour"], afk=afk, devices=None)
    assert {row[:3]: row[3] // MINUTE for row in found.iter_rows()} == wanted
    apps = usage(world.rows, start, last, "app", afk=afk, devices=None)
    assert apps["time"].is_sorted(descending=True)
    assert apps["time"].sum() == found["time"].sum()


def test_the_hour_that_comes_twice_has_two_hours() -> None:
    world = World({"window": frame([Row("laptop", "", 0, 180, "code")], NEAR_DST)})
    found = usage(world.rows, "2026-10-25", None, "hour", afk=False, devices=None).sort("hour")
    hours = found["time"].dt.total_minutes().to_list()
    assert dict(zip(found["hour"], hours, strict=True)) == {2: 90, 3: 60, 4: 30}


def test_a_site_counts_while_its_browser_is_in_front() -> None:
    pages = [Row("laptop", "", 0, 60, "https://www.Example.org/a?b#c")]
    windows = [Row("laptop", "", 0, 10, "Firefox"), Row("laptop", "", 10, 60, "code")]
    away = [Row("laptop", "", 0, 5, "afk"), Row("laptop", "", 5, 60, "not-afk")]
    world = World(
        {
            "web": frame(pages, stream="web", what="url"),
            "window": frame(windows),
            "afk": frame(away, stream="afk", what="status"),
        }
    )

    def minutes(**options: bool) -> list[tuple[str, timedelta]]:
        return usage(
            world.rows, "2026-10-25", None, "site", devices=None, **{"afk": False} | options
        ).rows()

    assert minutes() == [("example.org", 5 * MINUTE)]
    assert minutes(afk=True) == [("example.org", 10 * MINUTE)]
    del world.frames["window"]  # a device that tells of pages only
    assert minutes() == [("example.org", 55 * MINUTE)]


@pytest.mark.parametrize("app", ["Google-chrome", "chromium-browser", "msedge.exe", "Opera", "arc"])
def test_programs_that_show_sites(app: str) -> None:
    assert pl.Series([app]).str.contains(BROWSERS).item()


@pytest.mark.parametrize("app", ["knowledge", "operator-sdk", "Monochrome", "search", "Zenity"])
def test_programs_that_only_sound_like_it(app: str) -> None:
    assert not pl.Series([app]).str.contains(BROWSERS).item()


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("https://www.example.org/x", "example.org"),
        ("http://user:word@Example.org:8080/?a=https://other.org", "example.org:8080"),
        ("about:blank", "about:"),
        ("file:///home/me/x.html", "file:"),
        ("no address", None),
    ],
)
def test_sites(url: str, named: str | None) -> None:
    assert pl.DataFrame({"url": [url]}).select(site(pl.col("url"))).item() == named


def test_during_takes_no_time_for_another() -> None:
    """Local times without a zone would be taken for UTC; no row with an end is no error."""
    moment = pl.DataFrame({"at": [NEAR_DST], "end": [None]})
    hour = pl.DataFrame({"at": [NEAR_DST], "end": [NEAR_DST + 60 * MINUTE]})
    assert during(moment, hour).rows() == [(NEAR_DST, None)]
    in_ms = moment.cast(pl.Datetime("ms", "UTC"))
    assert during(in_ms, hour).height == 1
    mixed = hour.with_columns(pl.col("end").dt.convert_time_zone("Europe/Berlin"))
    assert during(mixed, hour).rows() == hour.rows()
    for type_ in (pl.Datetime("us"), pl.Date()):
        wrong = hour.cast({"at": type_})
        for frames in ((hour, wrong), (wrong, hour)):
            with pytest.raises(UsageError, match="'at' has no times with a zone") as raised:
                during(*frames)
            assert "replace_time_zone" in (raised.value.hint or "")


def test_a_column_named_twice_counts_once() -> None:
    world = World({"window": frame([Row("laptop", "", 0, 10, "code")])})
    found = usage(world.rows, "2026-10-25", None, ["app", "app"], afk=True, devices=None)
    assert found.rows() == [("code", 10 * MINUTE)]


def test_usage_says_what_it_cannot_count_by() -> None:
    world = World({})
    for by in ("colour", ["app", "site"]):
        with pytest.raises(UsageError) as raised:
            usage(world.rows, "today", None, by, afk=False, devices=None)
        assert raised.value.hint
    empty = usage(world.rows, "today", None, ["title", "day"], afk=False, devices="laptop")
    assert empty.is_empty()
    assert empty.columns == ["title", "day", "time"]
