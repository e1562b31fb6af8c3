"""The journal's pages in a real browser: each control is used, and the lake is asked what came."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import polars as pl
import pytest
from playwright.sync_api import Page, expect

from lifelog_lake import open_lake
from lifelog_lake.spool.queue import Spool
from tests.browser.conftest import PHONE, Opener
from tests.browser.hub import HOSTILE, Hub, minutes_ago, new_home, ship, ship_frames, start_hub

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAGE = "lifelog/journal"
CARD = ".ll-entry[data-id]"
TITLE = ".ll-entry-title"
LONG = f"{HOSTILE} שלום مرحبا 👨‍👩‍👧 {'x' * 9000} {'word ' * 200}"[:9_999] + "."


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """Two frames for the timeline, 150 old entries."""
    home = new_home(tmp_path_factory.mktemp("journal"))
    ship_frames(home, [minutes_ago(5), minutes_ago(4)])
    running = start_hub(home)
    old = [
        {"title": f"Old {n}", "tags": ["old"], "at": f"2020-01-01T{n // 60:02}:{n % 60:02}:00Z"}
        for n in range(150)
    ]
    written = running.client().post(f"{running.url}lifelog/api/events", json=old)
    assert written.status_code == 201, written.text
    running.await_pages()
    yield running
    running.stop()


def scanned(hub: Hub, stream: str) -> list[dict[str, Any]]:
    """What the lake has of a stream, in the order of writing, once all that waits is shipped."""
    with closing(Spool.of(hub.home)) as queue:
        ship(hub.home, queue)
    rows = open_lake(hub.home.lake_url).scan(stream).sort("seq").collect()
    assert isinstance(rows, pl.DataFrame)
    return rows.to_dicts()


def quick_add(page: Page, title: str, tags: str = "") -> None:
    """As a person does: type, Tab, type, Enter."""
    page.get_by_label("New entry", exact=True).fill(title)
    page.keyboard.press("Tab")
    page.keyboard.type(tags)
    page.keyboard.press("Enter")


def test_quick_add_and_cards(hub: Hub, visit: Opener) -> None:
    page = visit(hub, "lifelog/timeline?range=hour")
    page.keyboard.press("n")
    expect(page.get_by_label("New entry", exact=True)).to_be_focused()
    quick_add(page, "From the timeline", "walk, Berlin")
    expect(page.locator(".ll-quick-said")).to_contain_text("From the timeline")
    expect(page.get_by_label("New entry", exact=True)).to_have_value("")
    page.locator('[data-name="journal"]').wait_for()  # live: it is counted there

    page = visit(hub, PAGE, PHONE)
    expect(page.locator(TITLE).first).to_have_text("From the timeline")
    quick_add(page, LONG)
    expect(page.locator(CARD).nth(1).locator(TITLE)).to_have_text("From the timeline")
    expect(page.locator(TITLE).first).to_contain_text("👨‍👩‍👧")
    expect(page.locator(TITLE).first).to_contain_text("<img src=x onerror=")
    assert page.evaluate("window.hurt") is None
    assert "\u202e" not in page.locator("body").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]

    newest = scanned(hub, "journal")[-2:]
    assert [row["title"] for row in newest] == ["From the timeline", LONG]
    assert newest[0]["tags"] == ["walk", "Berlin"]
    assert newest[0]["tz"] == "Europe/Berlin"


def test_all_entries_come_by_cursor(hub: Hub, visit: Opener) -> None:
    page = visit(hub, f"{PAGE}?tag=old")
    expect(page.locator(TITLE).first).to_have_text("Old 149")
    assert page.locator(CARD).count() < 40  # rows near the window alone
    page.locator(CARD).first.focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator(":focus .ll-entry-title")).to_have_text("Old 148")
    for _ in range(4):
        page.keyboard.press("End")
        page.wait_for_function("document.activeElement.matches('[data-id]')")
    expect(page.locator(":focus .ll-entry-title")).to_have_text("Old 0")
    page.get_by_role("button", name="No longer only entries with the tag old").click()
    expect(page.locator(TITLE).first).not_to_have_text("Old 149")
