"""The search page in a real browser: ask, narrow, page on, and be led to the moment."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from lifelog_lake.care import ocr
from lifelog_lake.clock import SystemClock, to_us
from lifelog_lake.events import BlobSource, new_event
from lifelog_lake.home import open_home
from lifelog_lake.lake import parse_url
from tests.browser.conftest import PHONE, Opener, Seen
from tests.browser.hub import HOSTILE, Hub, lasting, minutes_ago, new_home, ship_events, start_hub
from tests.fixtures.meaning import make_embeddings, model_place
from tests.fixtures.pages import PROSE, as_frame, page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAGE = "lifelog/search"
HIT = ".ll-hit-link"
MOMENT = re.compile(r"lifelog/timeline\?.*moment=")
SPELLED = HOSTILE.replace("\u202e", "[U+202E]")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """Forty windows and one three times, two entries, a hostile page, and a frame that was read."""
    home = new_home(tmp_path_factory.mktemp("search"))
    shown = BlobSource.of_bytes(as_frame(page(PROSE)), "image/webp")
    entries = [
        {"entry_id": "one", "title": "Trip", "description": "hired a zebra", "tags": ["work"]},
        {"entry_id": "two", "title": "Zebra", "tags": ["work", "home"]},
    ]
    ship_events(
        home,
        [
            *(
                lasting("window", minutes_ago(90 - n), minutes_ago(89 - n), title=f"countless {n}")
                for n in range(40)
            ),
            *(
                lasting("window", minutes_ago(40 - n), minutes_ago(39 - n), title="come back to")
                for n in range(3)
            ),
            *(
                new_event("journal", at=to_us(minutes_ago(9 - n)), data={**one, "lamport": 1})
                for n, one in enumerate(entries)
            ),
            lasting("web", minutes_ago(7), minutes_ago(6), url="x:", title=f"hurtful {HOSTILE}"),
            new_event(
                "screen",
                at=to_us(minutes_ago(5)),
                end=to_us(minutes_ago(5) + timedelta(seconds=10)),
                data={"monitor": 1, "width": 1100, "height": 320},
                source=shown,
            ),
        ],
    )
    ocr.run(home, parse_url(home.lake_url, home), SystemClock())
    with (home.path / "config.toml").open("a") as config:
        config.write(f'\n[search]\nsemantic = true\nmodel = "{model_place()}"\n')
    make_embeddings(open_home(home.path))
    running = start_hub(home)
    running.await_pages()
    yield running
    running.stop()


def asked(hub: Hub, visit: Opener, text: str) -> Page:
    """The page with something in its box."""
    opened = visit(hub, PAGE)
    opened.get_by_role("searchbox").fill(text)
    return opened


def test_found_narrowed_and_kept_in_the_address(hub: Hub, visit: Opener) -> None:
    opened = asked(hub, visit, "zebra")
    expect(opened.locator(HIT)).to_have_count(2)
    expect(opened.locator(".ll-search-said")).to_have_text("2 hits")
    expect(opened.locator(HIT).first).to_have_attribute("href", re.compile(r"journal\?entry="))
    expect(opened.locator("mark").first).to_have_text(re.compile("zebra", re.IGNORECASE))
    tags = opened.locator('[data-facet="tag"]')
    expect(tags.locator("label", has_text="work").locator(".ll-facet-count")).to_have_text("2")
    tags.get_by_label(re.compile("home")).check()
    expect(opened.locator(HIT)).to_have_count(1)
    expect(opened).to_have_url(re.compile(r"search\?q=zebra&tag=home$"))
    opened.get_by_role("button", name="Newest").click()
    opened.reload()
    expect(opened.locator(HIT)).to_have_count(1)
    expect(opened.get_by_role("searchbox")).to_have_value("zebra")
    expect(opened.get_by_role("button", name="Newest")).to_have_attribute("aria-pressed", "true")
    opened.locator('[data-facet="tag"]').get_by_label(re.compile("home")).uncheck()
    expect(opened.locator(HIT)).to_have_count(2)
    opened.get_by_label("To", exact=True).fill("2020-01-01")
    expect(opened.locator(".ll-search-said")).to_contain_text("0 hits. Fewer words")
    opened.get_by_label("To", exact=True).fill("")
    opened.get_by_role("searchbox").fill("")
    expect(opened.get_by_text("the words in a row")).to_be_visible()
    opened.get_by_role("searchbox").fill('"come back"')
    expect(opened.locator(HIT)).to_have_count(1)
    opened.get_by_text("2 more like it").click()
    expect(opened.locator(".ll-hit-alike a")).to_have_count(2)
    expect(opened.locator(".ll-hit-alike a").first).to_have_attribute("href", MOMENT)


def test_words_on_the_screen_are_boxed_and_lead_to_their_moment(hub: Hub, visit: Opener) -> None:
    opened = asked(hub, visit, '"quarterly budget"')
    expect(opened.locator(HIT)).to_have_count(1)
    boxes = opened.locator(".ll-hit-box")
    expect(boxes).to_have_count(2)
    opened.wait_for_function("() => document.querySelector('.ll-hit-picture img')?.naturalWidth")
    picture, box = opened.locator(".ll-hit-picture").bounding_box(), boxes.first.bounding_box()
    assert picture
    assert box
    assert picture["y"] < box["y"] < picture["y"] + picture["height"]
    assert box["width"] < picture["width"] / 4
    opened.keyboard.press("ArrowDown")
    opened.keyboard.press("Enter")
    expect(opened).to_have_url(MOMENT)
    expect(opened.locator(".ll-tile img").first).to_be_visible()


def test_what_is_near_in_meaning_is_found_if_it_is_wanted(hub: Hub, visit: Opener) -> None:
    opened = asked(hub, visit, "striped African horse")
    expect(opened.locator(".ll-search-said")).to_contain_text("0 hits")
    opened.get_by_role("button", name="Meaning").click()
    expect(opened.locator(HIT)).to_have_count(2)
    expect(opened).to_have_url(re.compile("order=meaning"))
    opened.reload()
    expect(opened.locator(HIT)).to_have_count(2)
    expect(opened.locator(".ll-hit-snippet").first).to_contain_text(
        re.compile("zebra", re.IGNORECASE)
    )


def test_pages_follow_and_hostile_words_are_text(hub: Hub, visit: Opener) -> None:
    opened = asked(hub, visit, "countless")
    expect(opened.locator(HIT)).to_have_count(30)
    opened.get_by_role("button", name="More").click()
    expect(opened.locator(HIT)).to_have_count(40)
    expect(opened.get_by_role("button", name="More")).to_be_hidden()
    opened.get_by_role("searchbox").fill("hurtful")
    expect(opened.locator(HIT)).to_have_count(1)
    expect(opened.locator(".ll-hit-snippet")).to_contain_text(SPELLED[:20])
    assert opened.evaluate("window.hurt") is None
    assert "\u202e" not in opened.locator("body").inner_text()


def test_a_mistake_is_told_and_a_phone_is_wide_enough(hub: Hub, visit: Opener, seen: Seen) -> None:
    seen.expected.append("400")
    opened = visit(hub, PAGE, PHONE)
    opened.get_by_role("searchbox").fill("(zebra")
    expect(opened.locator(".ll-search-said")).to_contain_text("isn't closed. (at character 1)")
    expect(opened.get_by_role("searchbox")).to_have_attribute("aria-invalid", "true")
    opened.get_by_role("searchbox").fill("zebra")
    expect(opened.locator(HIT)).to_have_count(2)
    tags = opened.locator('[data-facet="tag"]')
    expect(tags).to_be_hidden()
    opened.get_by_text("Narrow", exact=True).click()
    expect(tags).to_be_visible()
    wide = opened.evaluate("document.documentElement.scrollWidth")
    assert wide <= PHONE[0]
