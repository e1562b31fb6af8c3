"""A day of a demo lake with half a million events, and a lake with one: every control, used."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import PHONE, WIDE, Opener, Seen
from tests.browser.hub import Hub, lasting, new_home, ship_events, start_hub
from tests.browser.lanes import LABELS, lane_y, plot

pytestmark = [pytest.mark.browser, pytest.mark.slow]

#: A Tuesday at work, with meetings that were heard.
DAY = "lifelog/timeline?range=day&at=2025-10-28T10:00:00Z"
BARS = '.ll-lane svg path[aria-roledescription="bar"]'
MOMENT = "dialog.ll-dialog"


@pytest.fixture(scope="module")
def demo_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """Thirty days of three devices, half a million rows, made by the command a person types."""
    home = new_home(tmp_path_factory.mktemp("demo"))
    argv = [sys.executable, "-m", "lifelog_lake", "demo", "--home", str(home.path)]
    argv += ["--days", "30", "--events-per-day", "20500", "--end", "2025-10-31"]
    made = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    hub = start_hub(home)
    hub.await_pages()
    yield hub
    hub.stop()


@pytest.fixture(scope="module")
def single_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A lake with one event."""
    home = new_home(tmp_path_factory.mktemp("single"))
    at = datetime(2026, 2, 3, 9, 0, tzinfo=UTC)
    ship_events(
        home, [lasting("window", at, at + timedelta(minutes=4), app="Editor", title="A letter")]
    )
    hub = start_hub(home)
    hub.await_pages()
    yield hub
    hub.stop()


def query_of(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query, keep_blank_values=True)


def chip(page: Page, name: str) -> Locator:
    return page.locator(f'.ll-chip input[data-name="{name}"]')


def test_lanes_tell_what_was_recorded_by_stream_and_device(demo_hub: Hub, visit: Opener) -> None:
    page = visit(demo_hub, DAY)
    expect(page.locator(".ll-demo")).to_have_text("Demo data")
    left, _, width, _ = plot(page)
    labels = page.locator(LABELS).all_text_contents()
    for label in ("demo-laptop", "demo-phone", "Presence", "Windows", "Web", "Screen", "Sound"):
        assert label in labels
    fills = page.locator(BARS).evaluate_all("all => all.map(e => e.getAttribute('fill'))")
    assert len({fill for fill in fills if "--ll-app-" in fill}) >= 4
    assert {"var(--ll-active)", "var(--ll-away)", "var(--ll-speech)"} <= set(fills)
    assert len(fills) < 4500
    legend = page.locator(".widget-html .ll-legend li")
    expect(legend.filter(has_text="Active")).to_contain_text(re.compile(r"\d h \d+ min"))
    expect(legend.filter(has_text="Other")).to_have_count(1)
    # The tooltip names program, title and times in the browser's zone.
    page.mouse.move(left + width * 10.5 / 24, lane_y(page, "Windows", labels.count("Windows") - 2))
    page.mouse.move(left + width * 10.6 / 24, lane_y(page, "Windows", labels.count("Windows") - 2))
    tooltip = page.locator("#vg-tooltip-element.visible")
    expect(tooltip.locator("h2")).to_contain_text("Windows: ")
    expect(tooltip).to_contain_text(re.compile(r"From\s*(09|10):"))
    expect(page.locator(".ll-cursor-hover span")).to_have_text(re.compile("^10:3"))


def test_lanes_that_were_drawn_without_room_are_drawn_again(demo_hub: Hub, visit: Opener) -> None:
    page = visit(demo_hub, DAY)
    _, _, width, _ = plot(page)
    # As when the chart is made before the page has given it a place.
    page.locator(".ll-lane").evaluate(
        "e => { e.style.display = 'none'; window.dispatchEvent(new Event('resize')); }"
    )
    drawn = "() => document.querySelector('.ll-lane svg .background').getBBox().width"
    page.wait_for_function(
        "() => Number(document.querySelector('.ll-lane svg').getAttribute('width')) < 300"
    )
    page.locator(".ll-lane").evaluate("e => { e.style.display = ''; }")
    page.wait_for_function(f"({drawn})() > {width} - 5")


def test_a_click_on_lanes_that_have_no_width_chooses_nothing(demo_hub: Hub, visit: Opener) -> None:
    page = visit(demo_hub, DAY)
    left, top, _, height = plot(page)
    # Without a width each point of the chart would be the same moment: none.
    page.locator(".ll-lane svg .background").first.evaluate(
        "(e, [x, y, h]) => { e.getBoundingClientRect = () => new DOMRect(x, y, 0, h); }",
        [left + 40, top, height],
    )
    page.mouse.click(left + 40, top + height / 2)
    page.keyboard.press("?")  # answered after the click, if there was an answer to that
    expect(page.locator("dialog[open]")).to_have_count(1)
    expect(page.locator(MOMENT)).not_to_be_visible()


def test_a_day_of_25_hours_is_whole_and_in_the_viewers_time(demo_hub: Hub, visit: Opener) -> None:
    page = visit(demo_hub, "lifelog/timeline?range=day&at=2025-10-26T12:00:00Z")
    expect(page.locator(".ll-span-text")).to_have_text("Sun, 26 Oct 2025")
    expect(page.locator(".ll-zone")).to_have_text("Times in Europe/Berlin, UTC+2")
    left, _, width, _ = plot(page)
    noon = page.locator(LABELS).filter(has_text=re.compile("^12:00$")).bounding_box()
    assert noon
    # Noon is 13 hours after midnight on that day.
    assert abs((noon["x"] + noon["width"] / 2 - left) / width - 13 / 25) < 0.01
    page.get_by_role("button", name="Next day").click()
    expect(page.locator(".ll-zone")).to_have_text("Times in Europe/Berlin, UTC+1")
    expect(page.locator(".ll-span-text")).to_have_text("Mon, 27 Oct 2025")


def test_days_are_whole_in_zones_that_skip_midnight_or_a_day(
    single_hub: Hub, visit: Opener
) -> None:
    text = ".ll-span-text"
    page = visit(
        single_hub, "lifelog/timeline?range=day&at=2011-12-29T20:00:00Z", zone="Pacific/Apia"
    )
    expect(page.locator(text)).to_have_text("Thu, 29 Dec 2011")
    for key, day in (("ArrowRight", "Sat, 31 Dec 2011"), ("ArrowLeft", "Thu, 29 Dec 2011")):
        page.keyboard.press(key)
        expect(page.locator(text)).to_have_text(day)
    page = visit(
        single_hub, "lifelog/timeline?range=day&at=2026-04-24T12:00:00Z", zone="Africa/Cairo"
    )
    expect(page.locator(text)).to_have_text("Fri, 24 Apr 2026")  # it begins at one o'clock
    page.get_by_role("button", name="Next day").click()
    expect(page.locator(text)).to_have_text("Sat, 25 Apr 2026")
    assert query_of(page)["at"] == ["2026-04-24T21:00:00.000Z"]


def test_nonsense_in_the_address_shows_today(single_hub: Hub, visit: Opener) -> None:
    page = visit(single_hub, "lifelog/timeline", zone="UTC")
    expect(page.locator(".ll-zone")).to_have_text("Times in UTC")
    for nonsense in (
        "range=day&at=-271821-04-20T00:00:00Z",
        "range=hour&at=0001-01-01T00:00:00Z&tab=x&moment=%2B275760-09-13T00:00:00Z&open",
        "range=zoom&at=1000-01-01T00:00:00Z&to=2026-01-01T00:00:00Z",
        "range=zoom&at=x&to=y&stream=nope&device=",
    ):
        page.evaluate("address => history.pushState(null, '', address)", f"?{nonsense}")
        page.evaluate("dispatchEvent(new PopStateEvent('popstate'))")
        page.wait_for_function(
            "() => { const query = new URLSearchParams(location.search);"
            " return !query.has('at') && !query.has('moment') && !query.has('device'); }"
        )
    expect(page.locator(".ll-span-text")).to_have_text("Today")


def test_a_date_is_typed(demo_hub: Hub, visit: Opener) -> None:
    page = visit(demo_hub, DAY)
    date = page.locator(".ll-date")
    date.focus()
    for key in "10272025":  # the browser tells of 10, then 27, then the year 2, 20, 202
        page.keyboard.press(key)
        page.wait_for_timeout(100)  # as a person types
    expect(page.locator(".ll-span-text")).to_have_text("Mon, 27 Oct 2025")
    expect(date).to_have_value("2025-10-27")


def test_zoom_by_brush_and_buttons_and_back_again(demo_hub: Hub, visit: Opener, seen: Seen) -> None:
    seen.expected = ["Cannot send"]  # lanes that were being drawn when the page is loaded again
    page = visit(demo_hub, DAY)
    left, top, width, height = plot(page)
    y = top + height / 2
    page.mouse.move(left + width * 10 / 24, y)
    page.mouse.down()
    page.mouse.move(left + width * 12 / 24, y, steps=5)
    page.mouse.up()
    page.wait_for_url(re.compile("range=zoom"))
    expect(page.locator(".ll-span-text")).to_contain_text("Tue, 28 Oct 2025, ")
    start, end = (datetime.fromisoformat(query_of(page)[name][0]) for name in ("at", "to"))
    assert abs((end - start) - timedelta(hours=2)) < timedelta(minutes=5)
    brushed = page.url
    closer = page.get_by_role("button", name="Zoom in")
    for _ in range(6):
        if closer.is_enabled():
            closer.click()
    expect(closer).to_be_disabled()
    start, end = (datetime.fromisoformat(query_of(page)[name][0]) for name in ("at", "to"))
    assert end - start == timedelta(minutes=1)
    page.reload()  # to the minute
    expect(page.locator(".ll-span-text")).to_contain_text(re.compile(r"\d\d:\d\d:\d\d "))
    while page.url != brushed:
        before = page.url
        page.go_back()
        expect(page).not_to_have_url(before)
    page.go_back()
    expect(page.locator(".ll-span-text")).to_have_text("Tue, 28 Oct 2025")
    page.go_forward()
    expect(page).to_have_url(brushed)
    wider = page.get_by_role("button", name="Zoom out")
    wider.click()
    wider.click()
    expect(page.locator('[data-range="day"]')).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".ll-span-text")).to_have_text("Tue, 28 Oct 2025")


def test_streams_and_devices_are_chosen_and_stay(demo_hub: Hub, visit: Opener, seen: Seen) -> None:
    seen.expected = ["Cannot send"]  # as above
    page = visit(demo_hub, DAY)
    expect(page.locator(LABELS).filter(has_text=re.compile("^Screen$")).first).to_be_visible()
    everything = page.locator(".ll-count").inner_text()
    for name in ("demo-desktop", "demo-phone"):
        chip(page, name).uncheck()
    expect(page.locator(LABELS).filter(has_text="demo-")).to_have_count(0)
    expect(page.locator(LABELS).filter(has_text=re.compile("^Screen$"))).to_have_count(1)
    assert query_of(page)["device"] == ["demo-laptop"]
    chip(page, "screen").uncheck()
    expect(page.locator(LABELS).filter(has_text=re.compile("^Screen$"))).to_have_count(0)
    expect(page.locator(".ll-message h2")).to_have_text("No frames in this choice.")
    page.reload()
    expect(chip(page, "screen")).not_to_be_checked()
    expect(chip(page, "demo-phone")).not_to_be_checked()
    page.get_by_role("button", name="Show all").click()
    expect(page.locator(".ll-count")).to_have_text(everything)
    assert not {"stream", "device"} & set(query_of(page))
    page.go_back()
    expect(page.locator(".ll-message h2")).to_have_text("No frames in this choice.")


def test_what_happened_is_listed_and_opens_its_moment(
    demo_hub: Hub, visit: Opener, seen: Seen
) -> None:
    seen.expected = ["Cannot send"]  # as above
    page = visit(demo_hub, DAY)
    page.locator('[data-tab="activity"]').click()
    expect(page.locator(".ll-count")).to_contain_text("events")
    total = int(page.locator(".ll-count").inner_text().split()[0].replace(",", ""))
    assert total > 2000
    expect(page.locator(".ll-row-time").first).to_be_visible()
    assert page.locator(".ll-row").count() < 100
    page.locator('.ll-row[data-index="0"]').focus()
    page.keyboard.press("End")
    expect(page.locator(f'.ll-row[data-index="{total - 1}"]')).to_be_focused()
    chip(page, "web").check()
    for name in ("afk", "window", "journal", "attachment", "sensor", "screen", "audio"):
        if chip(page, name).count():
            chip(page, name).uncheck()
    row = page.locator(".ll-row").filter(has_text="Web").first
    expect(row).to_be_visible()
    expect(page.locator(".ll-row").filter(has_text="Windows")).to_have_count(0)
    site = row.locator("b").inner_text()
    row.click()
    dialog = page.locator(MOMENT)
    expect(dialog).to_be_visible()
    facts = dialog.locator(".ll-going-on")
    expect(facts.locator("dt").first).to_have_text("Presence")
    expect(facts).to_contain_text(site)
    link = facts.locator(".ll-fact-url a").first
    expect(link).to_have_attribute("href", re.compile("^https?://"))
    expect(link).to_have_attribute("rel", "noopener noreferrer")
    page.go_back()
    expect(dialog).to_be_hidden()
    page.go_forward()
    expect(dialog).to_be_visible()
    expect(facts).to_contain_text(site)
    page.reload()  # a moment can be bookmarked
    expect(dialog).to_be_visible()
    expect(facts).to_contain_text(site)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_a_click_on_the_lanes_shows_that_moment(demo_hub: Hub, visit: Opener) -> None:
    page = visit(demo_hub, DAY)
    left, top, width, height = plot(page)
    page.mouse.click(left + width * 10.5 / 24, top + height / 2)
    dialog = page.locator(MOMENT)
    expect(dialog.locator(".ll-when")).to_contain_text("Tuesday, 28 October 2025 at 10:")
    large = dialog.locator(".ll-large")
    expect(large).to_be_visible()
    expect(large).to_have_js_property("complete", value=True)
    assert large.evaluate("e => e.naturalWidth") > 320  # the whole frame, not its thumbnail
    expect(dialog.locator(".ll-going-on")).to_contain_text("Windows")
    first = dialog.locator(".ll-when").inner_text()
    page.keyboard.press("ArrowLeft")
    expect(dialog.locator(".ll-when")).not_to_have_text(first)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    mark = page.locator(".ll-cursor-chosen")
    expect(mark).to_be_visible()
    box = mark.bounding_box()
    assert box
    assert abs((box["x"] - left) / width - 10.5 / 24) < 0.02
    page.get_by_role("button", name="Next day").click()
    expect(mark).to_be_hidden()
    page.mouse.click(left + width * 3 / 24, top + height / 2)  # nothing was on at three at night
    expect(dialog.locator(".ll-when")).to_contain_text("at 03:")
    expect(dialog.get_by_role("button", name="Close")).to_be_visible()


def test_sound_plays_on_and_from_a_moment(demo_hub: Hub, visit: Opener, seen: Seen) -> None:
    seen.expected = ["Cannot send"]  # as above
    page = visit(demo_hub, DAY)
    page.locator('[data-tab="sound"]').click()
    row = page.locator('.ll-sound[data-index="3"]')
    expect(row).to_contain_text(re.compile(r"Speech \d+ %"))
    row.click()
    expect(row).to_have_attribute("aria-pressed", "true")
    audio = page.locator(".ll-player audio[controls]")
    plays = "() => document.querySelector('.ll-player audio').currentTime > 0.3"
    page.wait_for_function(plays)
    page.keyboard.press("p")
    expect(audio).to_have_js_property("paused", value=True)
    page.keyboard.press("p")
    expect(audio).to_have_js_property("paused", value=False)
    audio.evaluate("e => { e.currentTime = e.duration - 0.3; }")
    # The next interval plays by itself.
    expect(page.locator('.ll-sound[data-index="2"]')).to_have_attribute("aria-pressed", "true")
    expect(row).to_have_attribute("aria-pressed", "false")
    page.wait_for_function(plays)
    page.get_by_role("button", name="Earlier interval").click()
    expect(row).to_have_attribute("aria-pressed", "true")
    times = page.locator(".ll-player-text b").inner_text()
    page.get_by_role("button", name="Close the player").click()
    expect(page.locator(".ll-player")).to_be_hidden()
    # From a moment in the middle of that interval, in the large view.
    day, clock = times.rsplit(", ", 1)
    assert day == "Tue, 28 Oct 2025"
    begun = datetime.fromisoformat(f"2025-10-28T{clock}+01:00")
    moment = (begun + timedelta(seconds=30)).astimezone(UTC).isoformat().replace("+00:00", "Z")
    page.goto(f"{demo_hub.url}{DAY}&tab=sound&moment={moment}&open=")
    page.get_by_role("button", name="Play from here").first.click()
    page.wait_for_function("() => document.querySelector('.ll-player audio').currentTime > 30")
    expect(page.locator(MOMENT).locator(".ll-player")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".ll-player")).to_be_visible()  # it plays on
    expect(audio).to_have_js_property("paused", value=False)


def test_every_key_does_what_the_help_says(demo_hub: Hub, visit: Opener) -> None:
    page = visit(demo_hub, DAY)
    text = page.locator(".ll-span-text")
    page.keyboard.press("?")
    help_ = page.locator("dialog.ll-help")
    expect(help_).to_contain_text("Zoom in, zoom out")
    page.keyboard.press("ArrowLeft")  # the page behind keeps still
    page.keyboard.press("Escape")
    expect(help_).to_be_hidden()
    expect(text).to_have_text("Tue, 28 Oct 2025")
    page.keyboard.press("ArrowLeft")
    expect(text).to_have_text("Mon, 27 Oct 2025")
    page.keyboard.press("ArrowRight")
    expect(text).to_have_text("Tue, 28 Oct 2025")
    page.keyboard.press("2")
    expect(page.locator('[data-range="hour"]')).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("1")
    expect(page.locator('[data-range="15m"]')).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("3")
    expect(page.locator('[data-range="day"]')).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("+")
    page.wait_for_url(re.compile("range=zoom"))
    page.keyboard.press("-")
    expect(page.locator('[data-range="day"]')).to_have_attribute("aria-pressed", "true")
    for key, tab in (("a", "activity"), ("s", "sound"), ("f", "frames")):
        page.keyboard.press(key)
        expect(page.locator(f'[data-tab="{tab}"]')).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("g")
    expect(page.locator(".ll-date")).to_be_focused()
    page.locator(".ll-date").blur()
    page.keyboard.press("t")
    expect(text).to_have_text("Today")
    expect(page.locator(".ll-live")).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".ll-message h2")).to_have_text("Nothing recorded in this span.")
    page.get_by_role("button", name="Show that day").click()
    expect(text).to_have_text(re.compile("(30|31) Oct 2025|1 Nov 2025"))
    page.keyboard.press("l")
    expect(text).to_have_text("Today")


def test_a_lake_with_one_event_shows_it(single_hub: Hub, visit: Opener, screenshots: Path) -> None:
    page = visit(single_hub, "lifelog/timeline")
    expect(page.locator(".ll-message h2")).to_have_text("Nothing recorded in this span.")
    page.get_by_role("button", name="Show that day").click()
    expect(page.locator(".ll-message h2")).to_have_text("No frames in this span.")
    expect(page.locator(LABELS).filter(has_text="Windows")).to_be_visible()
    expect(page.locator(".widget-html .ll-legend")).to_contain_text("Editor 4 min")
    page.screenshot(path=screenshots / "single-1440.png")
    page.get_by_role("button", name="Show activity").click()
    row = page.locator(".ll-row")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("10:00:00")
    expect(row).to_contain_text("A letter")
    row.click()
    expect(page.locator(MOMENT)).to_contain_text("No frame of the screen at this moment.")
    expect(page.locator(MOMENT).locator(".ll-going-on")).to_contain_text("A letter")
    page.keyboard.press("Escape")
    expect(row).to_be_focused()


@pytest.mark.parametrize(
    ("name", "size", "dark"),
    [
        ("wide", WIDE, False),
        ("dark", WIDE, True),
        ("phone", PHONE, False),
        ("phone-dark", PHONE, True),
    ],
)
def test_a_full_day_fits_and_is_pictured(
    demo_hub: Hub, visit: Opener, screenshots: Path, name: str, size: tuple[int, int], dark: bool
) -> None:
    page = visit(demo_hub, DAY, size=size, dark=dark)
    plot(page)
    expect(page.locator(".ll-chip").first).to_be_visible()
    expect(page.locator(".widget-html .ll-legend li").first).to_be_visible()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.ll-tile img')].some(e => e.naturalWidth)"
    )
    page.screenshot(path=screenshots / f"day-{name}.png")
    page.locator(".ll-views").evaluate("e => e.scrollIntoView()")
    page.screenshot(path=screenshots / f"day-{name}-frames.png")
    for tab in ("activity", "sound", "frames"):
        page.locator(f'[data-tab="{tab}"]').click()
        expect(page.locator(f".ll-list-{tab} [data-index]").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        page.screenshot(path=screenshots / f"day-{name}-{tab}.png")
    if size == PHONE:
        small = page.locator(
            ".ll button:visible, .ll-chip:visible, .ll-links a:visible"
        ).evaluate_all(
            "all => all.filter(e => e.getBoundingClientRect().height < 40"
            " && !e.closest('.ll-ranges')).map(e => e.outerHTML.slice(0, 120))"
        )
        assert small == []
    page.locator(".ll-tile").nth(1).click()
    expect(page.locator(MOMENT).locator(".ll-going-on dt").first).to_be_visible()
    page.screenshot(path=screenshots / f"day-{name}-moment.png")
