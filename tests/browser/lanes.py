"""Where the lanes of the timeline lie on the page, once they are drawn."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

LABELS = ".ll-lane svg .role-axis-label text"
#: The chart is laid out some time after its labels stand in the page.
FILLED = """() => {
  const lane = document.querySelector(".ll-lane");
  const drawn = lane.querySelector("svg .background")?.getBoundingClientRect().width ?? 0;
  return drawn > lane.clientWidth / 2;
}"""


def plot(page: Page) -> tuple[float, float, float, float]:
    """Left, top, width and height of the lanes' area, once it is drawn and fills its place."""
    expect(page.locator(LABELS).first).to_be_visible()
    page.wait_for_function(FILLED)
    box = page.locator(".ll-lane svg .background").first.bounding_box()
    assert box
    return box["x"], box["y"], box["width"], box["height"]


def lane_y(page: Page, label: str, which: int = 0) -> float:
    """The height of a lane on the page, by its label."""
    box = page.locator(LABELS).filter(has_text=re.compile(f"^{label}$")).nth(which).bounding_box()
    assert box
    return box["y"] + box["height"] / 2
