"""JupyterLab in a real browser: it opens the tour, runs it, and asks nobody else for anything."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import PAGE_MS, WIDE, Seen, watch
from tests.browser.hub import Hub, minutes_ago, new_home, ship_frames, start_hub

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """Frames of the last minutes."""
    home = new_home(tmp_path_factory.mktemp("lab"))
    ship_frames(home, [minutes_ago(20 - n) for n in range(9)])
    hub = start_hub(home)
    yield hub
    hub.stop()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": WIDE[0], "height": WIDE[1]}, locale="en-GB")
    context.set_default_timeout(PAGE_MS)
    yield context.new_page()
    context.close()


def test_it_greets_with_the_tour_which_runs_offline(page: Page, hub: Hub) -> None:
    seen = Seen()
    watch(page, hub, seen)
    page.goto(f"{hub.url}lab?token={hub.token}")
    book = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
    expect(book.get_by_role("heading", name="Your lake: a tour")).to_be_visible()
    expect(page.locator("#jp-main-dock-panel .lm-TabBar-tab")).to_have_text(["tour.ipynb"])
    expect(page.get_by_role("listitem", name="where-did-my-week-go")).to_be_visible()
    outputs = book.locator(".jp-OutputArea-output")
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    # The last cell's output: one that fails before it would keep it from coming.
    expect(outputs.filter(has_text="my-day.csv has")).to_be_visible()
    for shown in ("Newest row of each device", "events on"):
        expect(outputs.filter(has_text=shown)).to_be_attached()
    chart = book.locator(".vega-embed svg, .vega-embed canvas").first
    chart.scroll_into_view_if_needed()
    expect(chart).to_be_visible()
    assert chart.bounding_box()["width"] > 300
    picture = outputs.locator("img").first
    picture.scroll_into_view_if_needed()
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.complete && image.naturalWidth > 100")
    assert not seen.foreign
    assert not seen.errors
