"""A real Chromium, logged in at a hub: one hub with frames, one with an empty lake."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from tests.browser.hub import (
    HOSTILE,
    Hub,
    lasting,
    minutes_ago,
    new_home,
    ship_events,
    ship_frames,
    start_hub,
)

WIDE = (1440, 900)
PHONE = (390, 844)
#: Generous: no test asserts a time.
PAGE_MS = 60_000

expect.set_options(timeout=PAGE_MS)


#: Said by Jupyter's kernel connection when a page is left or loaded again while it still has
#: something to say; which visit that hits is a matter of load.
LEAVING = "Cannot send"


@dataclass
class Seen:
    """What went wrong on a page without showing."""

    foreign: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)  # parts of errors that a test provokes

    def unexpected(self) -> list[str]:
        """Console errors that no test asked for."""
        expected = [LEAVING, *self.expected]
        return [e for e in self.errors if not any(part in e for part in expected)]


@pytest.fixture(scope="session")
def full_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """Twelve frames of the last minutes by two devices, 150 of three days ago; hostile words."""
    home = new_home(tmp_path_factory.mktemp("full"))
    ship_frames(home, [minutes_ago(12 - n) for n in range(8)])
    ship_frames(home, [minutes_ago(11.5 - n) for n in range(4)], device=HOSTILE, name="Other")
    ship_frames(home, [minutes_ago(3 * 24 * 60 - n / 6) for n in range(150)], name="Old")
    began, ended = minutes_ago(50), minutes_ago(30)
    ship_events(
        home,
        [
            lasting("window", began, ended, app=HOSTILE, title=HOSTILE),
            lasting("web", began, ended, url=f"javascript:alert(1)//{HOSTILE}", title=HOSTILE),
        ],
        device=HOSTILE,
    )
    hub = start_hub(home)
    hub.await_pages()
    yield hub
    hub.stop()


@pytest.fixture(scope="session")
def empty_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A lake without a row."""
    hub = start_hub(new_home(tmp_path_factory.mktemp("empty")))
    hub.await_pages()
    yield hub
    hub.stop()


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pictures of the pages go, to be looked at: ``SCREENSHOTS_DIR``, or a temporary one."""
    named = os.environ.get("SCREENSHOTS_DIR")
    directory = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    directory.mkdir(parents=True, exist_ok=True)
    return directory


Opener = Callable[..., Page]


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def visit(browser: Browser, seen: Seen) -> Iterator[Opener]:
    """``visit(hub, "lifelog/timeline", size=WIDE, dark=False)`` logs in and opens a page.

    At the end of the test no request may have gone to another host and no error to the console.
    """
    contexts = []

    def open_page(
        hub: Hub,
        path: str = "lifelog/timeline?range=hour",
        size: tuple[int, int] = WIDE,
        zone: str = "Europe/Berlin",
        *,
        dark: bool = False,
    ) -> Page:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if dark else "light",
            timezone_id=zone,
            locale="en-GB",
        )
        contexts.append(context)
        context.set_default_timeout(PAGE_MS)
        page = context.new_page()
        watch(page, hub, seen)
        mark = "&" if "?" in path else "?"
        began_s = time.monotonic()
        page.goto(f"{hub.url}{path}{mark}token={hub.token}")
        page.wait_for_selector(
            ".ll-message h2, .ll-tile img, .ll-row-time, .ll-storage, .ll-search, .ll-journal, "
            ".ll-set-tokens"
        )
        print(f"first frames after {time.monotonic() - began_s:.2f} s")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not seen.foreign
    assert not seen.unexpected()


def watch(page: Page, hub: Hub, seen: Seen) -> None:
    """Note foreign requests, console errors and exceptions of a page."""
    own = (hub.url, hub.url.replace("http", "ws", 1), "data:", "blob:")

    def on_request(request: Request) -> None:
        if not request.url.startswith(own):
            seen.foreign.append(request.url)

    page.on("request", on_request)
    page.on("websocket", lambda s: s.url.startswith(own) or seen.foreign.append(s.url))
    page.on("console", lambda m: m.type == "error" and seen.errors.append(m.text))
    page.on("pageerror", lambda error: seen.errors.append(str(error)))


@contextmanager
def answers(page: Page, part: str) -> Iterator[None]:
    """Wait for an answer of the REST API that has ``part`` in its address."""
    with page.expect_response(lambda response: part in response.url):
        yield
