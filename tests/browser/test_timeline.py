"""The timeline page in a real browser: each control is used and its effect looked at."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Page, expect

from lifelog_lake.care import thumbnails
from lifelog_lake.clock import US_PER_S, SystemClock, to_us
from lifelog_lake.lake import parse_url
from lifelog_lake.lake.store import blob_key
from tests.browser.conftest import PHONE, WIDE, Opener, Seen, answers
from tests.browser.hub import (
    HOSTILE,
    Hub,
    alive,
    family,
    minutes_ago,
    picture,
    ship_events,
    ship_frames,
    wait_until,
)
from tests.browser.lanes import LABELS, lane_y, plot
from tests.fixtures.pulses import MINUTE_US, covered

pytestmark = [pytest.mark.browser, pytest.mark.slow]

HOUR_US = 3600 * US_PER_S
TILES = ".ll-tile[data-index]"
SAID = ".ll-message h2"
MOMENT = "dialog.ll-dialog"


def shown_times(page: Page) -> list[str]:
    return [
        text.strip()
        for text in page.locator(f"{TILES} .ll-tile-time").evaluate_all(
            "all => all.map(e => [Number(e.parentElement.dataset.index), e.firstChild.textContent])"
            ".sort((a, b) => a[0] - b[0]).map(([, text]) => text)"
        )
    ]


def query_of(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def painted(page: Page) -> int:
    """How many pictures of tiles have really been decoded."""
    return page.locator(f"{TILES} img").evaluate_all(
        "all => all.filter(e => e.complete && e.naturalWidth === 320).length"
    )


def test_login_leads_to_the_frames_of_the_last_minutes(full_hub: Hub, visit: Opener) -> None:
    page = visit(full_hub)
    expect(page.locator(".ll-count")).to_have_text("12 frames")
    expect(page.locator(TILES)).to_have_count(12)
    wait_until("The pictures aren't shown.", 30, lambda: painted(page) == 12)
    times = shown_times(page)
    assert times == sorted(times, reverse=True)
    berlin = datetime.now(ZoneInfo("Europe/Berlin"))
    assert times[0].split(":")[0] in {f"{berlin.hour:02}", f"{(berlin.hour - 1) % 24:02}"}
    expect(page.locator(".ll-zone")).to_contain_text("Times in Europe/Berlin, UTC+")
    assert full_hub.token not in page.url
    assert urlsplit(page.url).path == "/lifelog/timeline"
    expect(page.locator('.ll-tab[aria-current="page"]')).to_have_text("Timeline")
    expect(page.get_by_role("link", name="Flows", exact=True)).to_have_count(0)  # none run here


def test_frames_go_by_url_and_are_kept_by_the_browser(full_hub: Hub, visit: Opener) -> None:
    page = visit(full_hub)
    sources = page.locator(f"{TILES} img").evaluate_all("all => all.map(e => e.src)")
    assert all(re.search(r"/lifelog/api/thumbnails/[0-9a-f]{64}$", source) for source in sources)
    assert page.locator('img[src^="data:"]').count() == 0


def test_the_lane_is_drawn_offline_and_a_brush_zooms(full_hub: Hub, visit: Opener) -> None:
    page = visit(full_hub)
    axis = page.locator(".ll-lane svg .role-axis text")
    expect(axis.first).to_be_visible()
    labels = " ".join(axis.all_text_contents())
    assert "Screen" in labels
    assert page.locator(".ll-lane svg path").count() >= 12
    left, top, width, height = plot(page)
    y = top + height / 2
    page.mouse.move(left + width * 0.80, y)
    page.mouse.down()
    page.mouse.move(left + width * 0.90, y, steps=4)
    page.mouse.up()
    page.wait_for_url(re.compile("range=zoom"))
    start, end = (datetime.fromisoformat(query_of(page)[name][0]) for name in ("at", "to"))
    assert 4 * 60 < (end - start).total_seconds() < 8 * 60
    expect(page.locator(".ll-count")).not_to_have_text("12 frames")
    expect(page.locator(".ll-live")).to_have_attribute("aria-pressed", "false")


def test_every_length_of_span(full_hub: Hub, visit: Opener) -> None:
    page = visit(full_hub, "lifelog/timeline?range=15m")
    expect(page.locator('[data-range="15m"]')).to_have_attribute("aria-pressed", "true")
    for name, length_s in (("hour", 3600), ("15m", 900)):
        with page.expect_request(re.compile("api/timeline")) as asked:
            page.locator(f'[data-range="{name}"]').click()
        given = parse_qs(urlsplit(asked.value.url).query)
        start, end = (datetime.fromisoformat(given[key][0]) for key in ("start", "end"))
        assert (end - start).total_seconds() == length_s
        assert query_of(page)["range"] == [name]
    page.locator('[data-range="day"]').click()
    expect(page.locator(".ll-span-text")).to_have_text("Today")


def test_earlier_later_and_live(full_hub: Hub, visit: Opener) -> None:
    page = visit(full_hub, "lifelog/timeline")
    later = page.get_by_role("button", name="Next day")
    expect(later).to_be_disabled()
    for _ in range(3):
        page.get_by_role("button", name="Previous day").click()
    expect(page.locator(".ll-span-text")).not_to_have_text("Today")
    expect(page.locator(".ll-live")).to_have_attribute("aria-pressed", "false")
    expect(page.locator(".ll-count")).to_contain_text("frames")
    assert "at" in query_of(page)
    bookmarked = page.url
    later.click()
    expect(page.locator(SAID)).to_have_text("Nothing recorded in this span.")
    page.locator(".ll-live").click()
    expect(page.locator(".ll-span-text")).to_have_text("Today")
    page.goto(bookmarked)  # a bookmark leads to the same day
    expect(page.locator(".ll-count")).to_contain_text("frames")
    assert query_of(page)["at"] == parse_qs(urlsplit(bookmarked).query)["at"]


def test_a_day_is_picked_and_its_many_rows_are_virtual(full_hub: Hub, visit: Opener) -> None:
    page = visit(full_hub)
    day = minutes_ago(3 * 24 * 60).astimezone(ZoneInfo("Europe/Berlin"))
    page.locator(".ll-date").fill(f"{day:%Y-%m-%d}")
    expect(page.locator(".ll-span-text")).to_have_text(f"{day:%a}, {day.day} {day:%b} {day:%Y}")
    expect(page.locator(".ll-count")).not_to_have_text("12 frames")
    total = int(page.locator(".ll-count").inner_text().split()[0])
    assert total >= 25
    expect(page.locator(TILES).first).to_be_visible()
    if total < 100:  # near midnight the frames lie on two days
        return
    in_document = page.locator(".ll-tile").count()
    assert in_document < total
    with page.expect_response(re.compile(r"offset=(60|120)")):
        page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    expect(page.locator(f'[data-index="{total - 1}"]')).to_be_visible()
    assert page.locator('[data-index="0"]').count() == 0


def test_a_frame_opens_large_and_keys_walk(full_hub: Hub, visit: Opener) -> None:
    page = visit(full_hub)
    expect(page.locator(TILES)).to_have_count(12)
    page.locator('[data-index="1"]').click()
    dialog = page.locator(MOMENT)
    expect(dialog).to_be_visible()
    wait_until(
        "The large frame isn't shown.",
        30,
        lambda: page.locator(".ll-large").evaluate("e => e.naturalWidth") == 640,
    )
    second = page.locator(".ll-when").inner_text()
    assert re.search(r"(CET|CEST|GMT\+[12])$", second)
    expect(page.locator(".ll-facts")).to_contain_text("shown for 10 s")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("button", name="Later")).to_be_disabled()
    assert page.locator(".ll-when").inner_text() != second
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".ll-when")).to_have_text(second)
    page.get_by_role("button", name="Earlier").click()
    page.get_by_role("button", name="Later").click()
    expect(page.locator(".ll-when")).to_have_text(second)
    opened = page.get_by_role("link", name="Open").get_attribute("href")
    assert opened
    assert "/lifelog/api/blobs/" in opened
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.locator('[data-index="1"]')).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.locator('[data-index="2"]')).to_be_focused()
    page.keyboard.press("End")
    expect(page.locator('[data-index="11"]')).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Earlier")).to_be_disabled()
    page.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()


def test_a_key_right_after_closing_a_frame_is_not_taken_back(full_hub: Hub, visit: Opener) -> None:
    page = visit(full_hub)
    expect(page.locator(TILES)).to_have_count(12)
    page.locator('[data-index="1"]').click()
    expect(page.locator(MOMENT)).to_be_visible()
    page.evaluate(  # in one task, so that the dialog's own close event comes after the key
        """() => {
            document.querySelector(".ll-dialog-buttons button:last-child").click();
            const key = { key: "ArrowRight", bubbles: true, cancelable: true };
            document.activeElement.dispatchEvent(new KeyboardEvent("keydown", key));
            return new Promise((done) => setTimeout(done, 500));
        }"""
    )
    expect(page.locator('[data-index="2"]')).to_be_focused()


def test_text_from_data_is_text(full_hub: Hub, visit: Opener) -> None:
    page = visit(full_hub)
    expect(page.locator(TILES)).to_have_count(12)
    spelled = HOSTILE.replace("\u202e", "[U+202E]")
    expect(page.locator(".ll-tile-device").filter(has_text="<script>").first).to_have_text(spelled)
    page.locator(TILES).filter(has_text="<script>").first.click()
    expect(page.locator(".ll-facts")).to_contain_text(spelled)
    page.keyboard.press("Escape")
    # On the lanes, in their tooltip, in the legend, in the list and in the facts of a moment.
    labels = page.locator(LABELS)
    expect(labels.filter(has_text=spelled[:40])).to_have_count(1)
    left, _, width, _ = plot(page)
    y = lane_y(page, "Windows")
    page.mouse.move(left + width * 0.30, y)
    page.mouse.move(left + width * 0.31, y)
    expect(page.locator("#vg-tooltip-element.visible h2")).to_have_text(f"Windows: {spelled}")
    expect(page.locator(".widget-html .ll-legend bdi").filter(has_text=spelled)).to_have_count(1)
    page.locator('[data-tab="activity"]').click()
    expect(page.locator(".ll-row").filter(has_text=spelled)).to_have_count(2)
    page.locator(".ll-row").first.click()
    facts = page.locator(".ll-going-on")
    expect(facts).to_contain_text(f"javascript:alert(1)//{spelled}")
    expect(facts.locator("a")).to_have_count(0)
    page.keyboard.press("Escape")
    assert page.evaluate("window.hurt") is None
    assert page.locator('img[src$="/x"]').count() == 0
    assert "\u202e" not in page.locator("body").inner_text()


def test_one_device_alone(full_hub: Hub, visit: Opener) -> None:
    page = visit(full_hub)
    spelled = HOSTILE.replace("\u202e", "[U+202E]")
    chip = (
        page.locator(".ll-chip")
        .filter(has_not_text="<script>")
        .filter(has_text=full_hub.home.device)
    )
    expect(page.locator(".ll-chip").filter(has_text=spelled)).to_have_count(1)
    chip.locator("input").uncheck()
    expect(page.locator(".ll-count")).to_have_text("4 frames")
    assert query_of(page)["device"] == [HOSTILE]
    page.reload()
    expect(page.locator(".ll-count")).to_have_text("4 frames")
    chip.locator("input").check()
    expect(page.locator(".ll-count")).to_have_text("12 frames")
    assert "device" not in query_of(page)


def test_an_empty_lake_says_what_to_do(empty_hub: Hub, visit: Opener, screenshots: Path) -> None:
    page = visit(empty_hub)
    expect(page.locator(SAID)).to_have_text("Your lake is empty.")
    expect(page.locator(".ll-message")).to_contain_text("lifelog up")
    expect(page.locator(".ll-message")).to_contain_text("lifelog demo --days 30 --home")
    expect(page.locator(".ll-demo")).to_be_hidden()
    expect(page.locator(".ll-status")).to_contain_text("Not recording")
    expect(page.locator(".ll-lake")).to_have_text(str(empty_hub.home.path / "lake"))
    expect(page.locator(".ll-lane-wait")).to_have_text("Nothing in this span")
    page.screenshot(path=screenshots / "empty-1440.png")


def test_an_empty_span_leads_to_the_newest_frame(full_hub: Hub, visit: Opener) -> None:
    page = visit(full_hub, "lifelog/timeline?range=hour&at=2026-01-01T00:00:00Z")
    expect(page.locator(SAID)).to_have_text("Nothing recorded in this span.")
    page.get_by_role("button", name="Show that day").click()
    expect(page.locator(TILES).first).to_be_visible()


def test_new_frames_appear_by_themselves(full_hub: Hub, visit: Opener) -> None:
    page = visit(full_hub, "lifelog/timeline?range=15m")
    expect(page.locator(TILES).first).to_be_visible()
    assert page.locator(".ll-tile-device").filter(has_text="late-comer").count() == 0
    # One that lies before this test's other spans' beginning would be counted by them: remove none,
    # it is the last test that counts frames of this hub.
    ship_frames(full_hub.home, [minutes_ago(0.3)], device="late-comer", name="Late")
    expect(page.locator('[data-index="0"] .ll-tile-device')).to_have_text("late-comer")


def test_a_server_that_is_gone_is_said_and_found_again(
    full_hub: Hub, visit: Opener, seen: Seen
) -> None:
    seen.expected = ["ERR_FAILED", "Failed to load resource"]
    page = visit(full_hub)
    expect(page.locator(TILES).first).to_be_visible()
    page.route("**/lifelog/api/timeline*", lambda route: route.abort())
    page.locator('[data-range="day"]').click()
    expect(page.locator(SAID)).to_have_text("The server can't be reached.")
    expect(page.locator(".ll-message")).to_contain_text("lifelog up")
    page.unroute("**/lifelog/api/timeline*")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(SAID)).to_have_count(0)
    expect(page.locator(TILES).first).to_be_visible()


def test_a_lost_login_and_an_unreachable_lake_are_said(
    full_hub: Hub, visit: Opener, seen: Seen
) -> None:
    seen.expected = ["Failed to load resource"]
    page = visit(full_hub)
    hint = {"detail": "There is no lake at /mnt/x.", "hint": "Mount its disk."}
    page.route("**/lifelog/api/timeline*", lambda route: route.fulfill(status=503, json=hint))
    page.locator('[data-range="day"]').click()
    expect(page.locator(SAID)).to_have_text(hint["detail"])
    expect(page.locator(".ll-message")).to_contain_text(hint["hint"])
    page.unroute("**/lifelog/api/timeline*")
    page.context.clear_cookies()
    page.locator('[data-range="15m"]').click()
    expect(page.locator(SAID)).to_have_text("You are logged out.")
    page.get_by_role("link", name="Log in").click()
    page.wait_for_url(re.compile(r"/login\?next="))


def test_a_tab_that_was_logged_out_begins_anew_after_the_login(
    full_hub: Hub, visit: Opener, seen: Seen
) -> None:
    seen.expected = ["Failed to load resource", "WebSocket", "Cannot send"]
    page = visit(full_hub)
    expect(page.locator(TILES).first).to_be_visible()
    page.evaluate("window.before = true")
    other = page.context.new_page()
    other.goto(f"{full_hub.url}logout")
    page.locator('[data-range="15m"]').click()
    expect(page.locator(SAID)).to_have_text("You are logged out.")
    other.goto(full_hub.entrance)
    other.close()
    page.bring_to_front()
    page.wait_for_function("window.before === undefined", timeout=60_000)
    expect(page.locator(".ll-lane svg .role-axis text").first).to_be_visible(timeout=60_000)


def test_a_picture_that_is_gone_is_said(full_hub: Hub, visit: Opener, seen: Seen) -> None:
    seen.expected = ["Failed to load resource"]
    page = visit(full_hub)
    page.route(
        re.compile("api/(blobs|thumbnails)/"), lambda route: route.fulfill(status=404, json={})
    )
    page.reload()
    expect(page.locator(".ll-missing").first).to_be_visible()
    page.locator(TILES).first.click()
    expect(page.locator(".ll-broken")).to_contain_text("lifelog verify")


def test_the_lakes_own_small_pictures_are_shown(full_hub: Hub, visit: Opener) -> None:
    noon = minutes_ago(40 * 24 * 60).replace(hour=12, minute=0)
    ship_frames(full_hub.home, [noon + timedelta(seconds=10 * n) for n in range(4)], name="Derived")
    store = parse_url(full_hub.home.lake_url, full_hub.home)
    thumbnails.run(full_hub.home, store, SystemClock())
    names = []
    for n in range(4):  # without them, nothing could be made small any more
        content = picture(f"Derived {n}", kind="PNG" if n % 2 else "WEBP")
        names.append(hashlib.sha256(content).hexdigest())
        store.place(blob_key(names[-1])).write_bytes(b"gone")
    small, client = f"{full_hub.url}lifelog/api/thumbnails/{names[0]}", full_hub.client()
    wait_until("The server doesn't see them.", 60, lambda: client.get(small).status_code == 200)
    page = visit(full_hub, f"lifelog/timeline?range=day&at={noon:%Y-%m-%d}T12:00:00Z")
    expect(page.locator(".ll-count")).to_have_text("4 frames")
    wait_until("The small pictures aren't shown.", 30, lambda: painted(page) == 4)


def test_log_out_and_notebooks(full_hub: Hub, visit: Opener) -> None:
    page = visit(full_hub)
    assert page.get_by_role("link", name="Notebooks").get_attribute("href") == "/lab"
    page.get_by_role("link", name="Log out").click()
    page.goto(f"{full_hub.url}lifelog/timeline")
    page.wait_for_url(re.compile(r"/login\?next="))


def test_a_closed_page_ends_its_kernel(empty_hub: Hub, visit: Opener) -> None:
    page = visit(empty_hub)
    wait_until("No kernels.", 60, lambda: len(family(empty_hub.process.pid)) >= 4)
    kernel = page.evaluate(
        "JSON.parse(document.getElementById('jupyter-config-data').textContent).kernelId"
    )
    gone = f"{empty_hub.url}lifelog/app/api/kernels/{kernel}"
    assert empty_hub.client().get(gone).status_code == 200
    page.goto("about:blank")
    wait_until("The kernel is left.", 30, lambda: empty_hub.client().get(gone).status_code == 404)
    assert alive(empty_hub.process.pid)


@pytest.mark.parametrize(
    ("name", "size", "dark"),
    [("wide", WIDE, False), ("phone", PHONE, False), ("dark", WIDE, True)],
)
def test_it_fits_and_is_pictured(
    full_hub: Hub,
    visit: Opener,
    screenshots: Path,
    name: str,
    size: tuple[int, int],
    dark: bool,
) -> None:
    page = visit(full_hub, size=size, dark=dark)
    expect(page.locator(".ll-lane svg .role-axis text").first).to_be_visible()
    wait_until("No picture is shown.", 30, lambda: painted(page) >= 2)
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    for control in (".ll-bar .ll-ranges", ".ll-where", ".ll-live", ".ll-date", ".ll-links"):
        box = page.locator(control).bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= size[0]
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(19, 22, 26)") is dark
    page.screenshot(path=screenshots / f"timeline-{name}.png")
    page.locator(TILES).first.click()
    expect(page.locator(MOMENT)).to_be_visible()
    page.wait_for_timeout(300)
    page.screenshot(path=screenshots / f"frame-{name}.png")
    page.keyboard.press("Escape")


def test_jupyterlab_opens_on_the_same_login(full_hub: Hub, visit: Opener, seen: Seen) -> None:
    page = visit(full_hub)
    page.get_by_role("link", name="Notebooks").click()
    page.wait_for_selector("#jp-main-dock-panel", timeout=90_000)
    expect(page.locator(".jp-Launcher, .jp-NotebookPanel").first).to_be_visible()
    page.wait_for_timeout(2000)
    expect(page.get_by_text("Jupyter news")).to_have_count(0)  # it would ask another host
    assert not seen.foreign


def test_the_heat_map_tells_why_an_hour_was_lost(full_hub: Hub, visit: Opener) -> None:
    now = to_us(minutes_ago(0)) // HOUR_US * HOUR_US
    begin, end = now - 5 * HOUR_US, now - 2 * HOUR_US
    lost = begin + HOUR_US, begin + HOUR_US + 30 * MINUTE_US
    ship_events(full_hub.home, covered(begin, end, lost=lost, why=HOSTILE), device="covered")
    page = visit(full_hub)
    heat = page.locator(".ll-coverage")
    expect(heat.locator(".ll-coverage-grid button")).to_have_count(0)  # nothing is asked for yet
    with answers(page, "lifelog/api/coverage"):
        heat.locator("summary").click()
    cells = heat.locator(".ll-coverage-row button")
    expect(cells.first).to_be_visible()
    half = heat.locator('button[data-lost="50"]')
    expect(half).to_have_count(1)
    half.hover()
    said = heat.locator(".ll-coverage-said")
    expect(said).to_contain_text("Lost 50 %")
    expect(said).to_contain_text("screen: <img src=x")
    assert "\u202e" not in said.inner_text()
    assert said.inner_text() == half.get_attribute("title")
    half.click()
    expect(page.locator(".ll-span-text")).to_contain_text(":00")
    assert query_of(page)["range"] == ["hour"]
    page.reload()
    expect(heat.locator(".ll-coverage-row button").first).to_be_visible()  # it stays open
    expect(half).to_have_count(1)
