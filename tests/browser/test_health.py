"""The health page in a real browser: each control is used, and the stream ``alert`` tells of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from lifelog_lake.care import flow_status, summaries
from lifelog_lake.care.facts import FlowFacts, FlowsFacts
from lifelog_lake.care.health import job
from lifelog_lake.clock import SystemClock
from lifelog_lake.config import CONFIG_NAME
from lifelog_lake.lake import parse_url
from lifelog_lake.recall.lake import open_lake
from lifelog_lake.ship.shipper import Shipper
from tests.browser.conftest import PHONE, WIDE, Opener, Seen
from tests.browser.hub import HOSTILE, Hub, minutes_ago, new_home, ship_frames, start_hub
from tests.fixtures.pulses import MINUTE_US, entry, life, other_device, presence, pulse, record
from tests.fixtures.receivers import SECRET, Hook

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAGE = "lifelog/health"
ALERT = ".ll-alert"
SPELLED = HOSTILE.replace("\u202e", "[U+202E]")
TROUBLED = "laptop-in-trouble"
#: Counts changes of what a screen reader reads out by itself.
COUNT_SPOKEN = """() => {
  window.spoken = 0;
  const told = document.querySelector(".ll-health-said [role=status]");
  new MutationObserver(() => { window.spoken += 1; })
    .observe(told, { subtree: true, childList: true, characterData: true });
}"""


@pytest.fixture(scope="module")
def fleet_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """This device is well, another one is in trouble, with hostile words; a flow failed twice."""
    home = new_home(tmp_path_factory.mktemp("fleet"))
    now_us = SystemClock().wall_us()

    def ago(minutes: float) -> int:
        return now_us - round(minutes * MINUTE_US)

    def streams(at: int, **screen: object) -> list[dict[str, object]]:
        window = entry("window", "activitywatch", at, spool_bytes=48_000_000,
                       spool_oldest_at=at - 90 * MINUTE_US)  # fmt: skip
        off = entry("sensor", "battery", at, state="disabled", spool_bytes=0)
        ship = {"collector": "ship", "state": "running"}
        return [entry("screen", "screen", at, **screen), window, off, ship]

    minutes = [*range(1400, 600, -5), *range(300, 0, -5), 0.5]
    record(
        home,
        *[pulse(ago(n), streams(ago(n))) for n in minutes],
        life("stopped", ago(600)),
        life("started", ago(300)),
        life("paused", ago(200), extra={"until": ago(150)}),
        presence("not-afk", ago(20), ago(10)),
    )
    ship_frames(home, [minutes_ago(12 - n) for n in range(8)])
    bad = {"state": "error", "errors": 7, "last_error": HOSTILE}
    other = other_device(home, TROUBLED)
    record(
        other,
        *[pulse(ago(n), streams(ago(n), restarts=max(0, 60 - round(n)), **bad), version=HOSTILE)
          for n in (1300, 55, 40, 20, 10, 0.5)],
    )  # fmt: skip
    store = parse_url(home.lake_url, home)
    summaries.run(home, store, SystemClock())
    flow_status.write(home.run, flows(now_us))
    job.run(home, store, SystemClock())
    hub = start_hub(home)
    hub.await_pages()
    yield hub
    hub.stop()


def flows(now_us: int) -> FlowsFacts:
    hour = 60 * MINUTE_US
    well = FlowFacts(
        name="compact", enabled=True, every_s=3600, state="Completed",
        message="41 files merged", started_at=now_us - hour,
        ended_at=now_us - hour, well_at=now_us - hour, next_at=now_us + 2 * hour,
    )  # fmt: skip
    failed = FlowFacts(
        name="tidy", enabled=True, every_s=86_400, state="Failed",
        message=HOSTILE, started_at=now_us - hour,
        ended_at=now_us - hour, failures=2,
    )  # fmt: skip
    return FlowsFacts(at=now_us, flows=(well, failed))


def rows_of(hub: Hub, rule: str) -> pl.DataFrame:
    """Rows of a rule's alerts in the lake, oldest first, after what the hub wrote was shipped."""
    assert not Shipper.of(hub.home).run_once().errors
    rows = open_lake(hub.home.lake_url).scan("alert").filter(pl.col("rule") == rule)
    return rows.sort("at", "seq").collect()


def look_again(page: Page) -> None:
    """As when somebody comes back to the tab."""
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def one(page: Page, rule: str) -> Locator:
    """The alert of a rule."""
    return page.locator(f'{ALERT}[data-key^="{rule}/"]').first


def test_the_fleet_at_a_glance(fleet_hub: Hub, visit: Opener) -> None:
    page = visit(fleet_hub, PAGE)
    expect(page.locator(".ll-health-said h2")).to_contain_text("open alert")
    expect(page.locator('.ll-tab[aria-current="page"]')).to_have_text("Health")
    expect(page.locator(".ll-device")).to_have_count(2)
    trouble = page.locator(f'.ll-device[data-device="{TROUBLED}"]')
    expect(page.locator(".ll-device").first).to_have_attribute("data-device", TROUBLED)
    screen = trouble.locator('tr[data-stream="screen"]')
    expect(screen.locator(".ll-cell-state")).to_have_text("In trouble")
    expect(screen.locator(".ll-cell-trouble")).to_contain_text(
        "restarts in the last hour, 7 errors"
    )
    expect(screen.locator(".ll-last-error")).to_have_text(SPELLED)
    window = trouble.locator('tr[data-stream="window"]')
    expect(window.locator(".ll-cell-lag")).to_have_text("90 min")
    expect(window.locator(".ll-cell-waits")).to_have_text("45.8 MiB")
    expect(trouble.locator('tr[data-stream="sensor"]')).to_have_count(0)
    expect(trouble).to_contain_text("Switched off: Sensors")
    expect(trouble.locator(".ll-device-facts")).to_contain_text(SPELLED)
    well = page.locator(f'.ll-device[data-device="{fleet_hub.home.device}"]')
    expect(well.locator(".ll-device-state")).to_have_text("Running")
    expect(well.locator('tr[data-stream="screen"] .ll-cell-newest')).to_contain_text("min ago")
    strip = well.locator('tr[data-stream="screen"] .ll-strip')
    expect(strip).to_have_attribute("aria-label", re.compile("Running .*Off 5 h.*Paused 50 min"))
    off, paused = strip.locator('[data-state="off"]'), strip.locator('[data-state="paused"]')
    expect(off).to_have_attribute("title", re.compile("^Off, "))
    box, part, late = strip.bounding_box(), off.bounding_box(), paused.bounding_box()
    assert box
    assert part
    assert late
    assert part["width"] / box["width"] == pytest.approx(300 / 1440, abs=0.02)
    assert box["x"] < part["x"] < late["x"] < box["x"] + box["width"]
    # Flows and storage.
    card = page.locator(".ll-flows-card")
    compact = card.locator('tr[data-flow="compact"]')
    expect(compact).to_contain_text("Well")
    expect(compact).to_contain_text("41 files merged")
    expect(compact).to_contain_text(re.compile(r"in 1\d\d min"))
    tidy = card.locator('tr[data-flow="tidy"]')
    expect(tidy).to_contain_text("Failed, 2 times in a row")
    expect(tidy).to_contain_text(SPELLED)
    expect(card.get_by_role("link", name="All runs")).to_have_attribute("href", "/lifelog/flows/")
    storage = page.locator(".ll-storage")
    expect(storage.locator('tr[data-stream="screen"]')).to_contain_text("Screen")
    expect(storage.locator('tr[data-stream="screen"] [data-label="Rows"]')).to_have_text("8")
    expect(storage.locator(".ll-forecast")).to_contain_text("a day. Its disk has")
    expect(storage.locator(".ll-verified")).to_contain_text("lifelog verify")
    # Data is text and nothing else.
    assert page.evaluate("window.hurt") is None
    assert page.locator('img[src$="/x"]').count() == 0
    assert "\u202e" not in page.locator("body").inner_text()


def test_alerts_are_acknowledged_and_snoozed(fleet_hub: Hub, visit: Opener) -> None:
    page = visit(fleet_hub, PAGE)
    alert = one(page, "flows")
    expect(alert.locator(".ll-alert-says")).to_contain_text(SPELLED)
    expect(alert.locator(".ll-alert-hint")).to_contain_text("What to do:")
    before = page.locator(f'{ALERT}[data-state="open"]').count()
    alert.locator('[data-do="acknowledge"]').click()
    expect(alert).to_have_attribute("data-state", "acknowledged")
    expect(alert.locator(".ll-badge")).to_have_text("Acknowledged")
    expect(alert.locator('[data-do="acknowledge"]')).to_have_count(0)
    expect(page.locator(f'{ALERT}[data-state="open"]')).to_have_count(before - 1)
    expect(page.locator(".ll-health-said h2")).to_contain_text(f"{before - 1} open alert")
    rows = rows_of(fleet_hub, "flows")
    assert rows["state"].to_list() == ["open", "acknowledged"]
    page.reload()
    expect(one(page, "flows")).to_have_attribute("data-state", "acknowledged")
    alert = one(page, "restarts")
    before_us = SystemClock().wall_us()
    alert.locator('[data-do="span"]').select_option("14400")
    alert.locator('[data-do="snooze"]').click()
    expect(alert).to_have_attribute("data-state", "snoozed")
    expect(alert.locator(".ll-badge")).to_contain_text("Snoozed until")
    rows = rows_of(fleet_hub, "restarts")
    assert rows["state"].to_list() == ["open", "snoozed"]
    (found,) = [
        one
        for one in fleet_hub.client().get(f"{fleet_hub.url}lifelog/api/health").json()["alerts"]
        if one["state"] == "snoozed"
    ]
    until_us = int(pl.Series([found["until"]]).str.to_datetime(time_zone="UTC").dt.epoch("us")[0])
    assert 0 <= until_us - before_us - 4 * 60 * MINUTE_US < 5 * MINUTE_US


def test_the_keyboard_is_enough(fleet_hub: Hub, visit: Opener) -> None:
    page = visit(fleet_hub, PAGE)
    alert = page.locator(f'{ALERT}[data-state="open"]').first
    key = alert.get_attribute("data-key")
    alert = page.locator(f'{ALERT}[data-key="{key}"]')
    button = alert.locator('[data-do="snooze"]')
    button.focus()
    before = button.element_handle()
    page.evaluate(COUNT_SPOKEN)
    look_again(page)
    page.wait_for_function("one => !one.isConnected", arg=before)  # there is news
    expect(button).to_be_focused()
    assert page.evaluate("window.spoken") == 0, "nothing has changed, so nothing is read out"
    page.keyboard.press("Tab")
    for _ in range(2):  # to the day; on the way nothing is sent
        page.keyboard.press("ArrowDown")
    expect(alert.locator('[data-do="span"]')).to_have_value("86400")
    expect(alert).to_have_attribute("data-state", "open")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(alert).to_have_attribute("data-state", "snoozed")
    page.wait_for_function("window.spoken > 0")


def test_many_alerts_leave_the_devices_in_sight(fleet_hub: Hub, visit: Opener) -> None:
    page = visit(fleet_hub, PAGE)

    def many(route: Route) -> None:
        answer = route.fetch()
        fleet = answer.json()
        alert = {**fleet["alerts"][0], "state": "open", "severity": "warning"}
        fleet["alerts"] = [{**alert, "key": f"last_seen/d{n}/-"} for n in range(150)]
        fleet["alerts"][-1]["severity"] = "critical"
        route.fulfill(response=answer, json=fleet)

    page.route("**/lifelog/api/health", many)
    look_again(page)
    expect(page.locator(".ll-health-said h2")).to_have_text("150 open alerts")
    shown = page.locator(f"{ALERT}:visible")
    expect(shown).to_have_count(20)
    expect(shown.first).to_have_attribute("data-severity", "critical")
    more = page.locator('[data-fold="more"] > summary')
    expect(more).to_have_text("130 more alerts")
    more.click()
    expect(shown).to_have_count(150)
    before = more.element_handle()
    look_again(page)
    page.wait_for_function("one => !one.isConnected", arg=before)
    expect(shown).to_have_count(150)
    expect(more).to_be_focused()


def test_a_test_message_is_sent(fleet_hub: Hub, visit: Opener) -> None:
    page = visit(fleet_hub, PAGE)
    button, told = (
        page.get_by_role("button", name="Send a test message"),
        page.locator(".ll-tested"),
    )
    button.click()
    expect(told).to_contain_text("There is no address yet")
    hook = Hook()
    config = fleet_hub.home.path / CONFIG_NAME
    config.write_text(f'[alerts]\nnotify = ["{hook.address}"]\n')
    try:
        button.click()
        expect(told).to_have_text("Sent to 1 address.")
        assert len(hook.bodies) == 1
        assert "a test" in hook.bodies[0]
        hook.answer = 503
        button.click()
        expect(told).to_have_attribute("data-tone", "bad")
        expect(told).not_to_contain_text("Sent to")
        assert SECRET not in told.inner_text()
    finally:
        hook.stop()
        config.unlink()


def test_what_fails_is_said_and_can_be_tried_again(
    fleet_hub: Hub, visit: Opener, seen: Seen
) -> None:
    seen.expected = ["Failed to load resource"]
    page = visit(fleet_hub, PAGE)
    alert = page.locator(f'{ALERT}[data-state="open"]').first
    page.route(
        "**/lifelog/api/alerts",
        lambda route: route.fulfill(status=503, json={"detail": "No room.", "hint": "Make room."}),
    )
    alert.locator('[data-do="acknowledge"]').click()
    expect(alert.locator(".ll-alert-note")).to_have_text("No room. Make room.")
    expect(alert.locator('[data-do="acknowledge"]')).to_be_enabled()
    # And so is a lake that is away.
    hint = {"detail": "There is no lake at /mnt/x.", "hint": "Mount its disk."}
    page.route("**/lifelog/api/health", lambda route: route.fulfill(status=503, json=hint))
    look_again(page)
    expect(page.locator(".ll-health-said")).to_contain_text("There is no lake at /mnt/x.")
    page.unroute("**/lifelog/api/health")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".ll-health-said h2")).not_to_contain_text("lake")


def test_an_empty_lake_says_what_to_do(empty_hub: Hub, visit: Opener, screenshots: Path) -> None:
    page = visit(empty_hub, PAGE)
    expect(page.locator(".ll-health-said h2")).to_have_text("No device has told of itself yet.")
    expect(page.locator(".ll-health-said")).to_contain_text("lifelog up")
    expect(page.locator(".ll-device")).to_have_count(0)
    expect(page.locator(".ll-forecast")).to_contain_text("The lake holds")
    page.screenshot(path=screenshots / "health-empty.png")


def test_from_tab_to_tab(fleet_hub: Hub, visit: Opener) -> None:
    page = visit(fleet_hub)
    page.get_by_role("link", name="Health", exact=True).click()
    expect(page.locator(".ll-device")).to_have_count(2)
    assert page.url.endswith("/lifelog/health")
    page.go_back()
    expect(page.locator(".ll-tile img").first).to_be_visible()


@pytest.mark.parametrize(
    ("name", "size", "dark"),
    [("wide", WIDE, False), ("phone", PHONE, False), ("dark", WIDE, True)],
)
def test_it_fits_and_is_pictured(
    fleet_hub: Hub, visit: Opener, screenshots: Path, name: str, size: tuple[int, int], dark: bool
) -> None:
    page = visit(fleet_hub, PAGE, size=size, dark=dark)
    expect(page.locator(".ll-device").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    outside = page.locator(".ll-health *").evaluate_all(
        "(all, width) => all.filter(e => e.getBoundingClientRect().right > width + 1)"
        ".filter(e => !e.closest('thead, .ll-strip')).map(e => e.className)",
        size[0],
    )
    assert outside == []
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(19, 22, 26)") is dark
    page.screenshot(path=screenshots / f"health-{name}.png", full_page=True)
