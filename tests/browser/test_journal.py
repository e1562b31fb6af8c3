"""The journal's pages in a real browser: each control is used, and the lake is asked what came."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from lifelog_lake import open_lake
from lifelog_lake.spool.queue import Spool
from tests.browser.conftest import PHONE, WIDE, Opener, Seen
from tests.browser.hub import HOSTILE, Hub, minutes_ago, new_home, ship, ship_frames, start_hub
from tests.fixtures.contents import picture, video

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


def lose_answer(route: Route) -> None:
    """The server does it, the browser never hears of it."""
    route.fetch()
    route.abort()


def test_quick_add_and_cards(hub: Hub, visit: Opener, seen: Seen) -> None:
    seen.expected += ["ERR_FAILED", "401"]
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
    page.locator(CARD).first.click()
    detail = page.get_by_role("dialog", name="Entry", exact=True)
    expect(detail.locator("h2")).to_contain_text("<script>window.hurt=1</script>[U+202E]gnp.exe")
    body = detail.locator(".ll-sheet-body")
    assert body.evaluate("body => body.scrollWidth <= body.clientWidth")
    assert page.evaluate("window.hurt") is None
    detail.get_by_role("button", name="Close").click()
    expect(detail).to_be_hidden()
    said = page.locator(".ll-quick-said")
    page.route("**/lifelog/api/events", lose_answer, times=1)
    quick_add(page, "Only once")
    expect(said).to_contain_text("The server can't be reached.")
    expect(page.get_by_label("New entry", exact=True)).to_have_value("Only once")
    page.keyboard.press("Enter")
    expect(said).to_contain_text("Kept: Only once")
    page.context.clear_cookies()
    quick_add(page, "After a login")
    expect(said).to_contain_text("You are logged out.")
    other = page.context.new_page()
    other.goto(f"{hub.url}lifelog/journal?token={hub.token}")
    other.close()
    page.keyboard.press("Enter")
    expect(said).to_contain_text("Kept: After a login")

    newest = scanned(hub, "journal")[-4:]
    titles = ["From the timeline", LONG, "Only once", "After a login"]
    assert [row["title"] for row in newest] == titles
    assert newest[0]["tags"] == ["walk", "Berlin"]
    assert newest[0]["tz"] == "Europe/Berlin"


def test_all_entries_come_by_cursor(hub: Hub, visit: Opener, seen: Seen) -> None:
    seen.expected.append("ERR_FAILED")
    page = visit(hub, f"{PAGE}?tag=old")
    expect(page.locator(TITLE).first).to_have_text("Old 149")
    assert page.locator(CARD).count() < 40  # rows near the window alone
    page.locator(CARD).first.focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator(":focus .ll-entry-title")).to_have_text("Old 148")
    for index in ("62", "122", "149"):  # a page and the three that stand for what follows
        page.keyboard.press("End")
        expect(page.locator(":focus")).to_have_attribute("data-index", index)
    expect(page.locator(":focus .ll-entry-title")).to_have_text("Old 0")
    page.get_by_role("button", name="No longer only entries with the tag old").click()
    expect(page.locator(TITLE).first).not_to_have_text("Old 149")
    page.route("**/lifelog/api/events?*", lambda route: route.abort(), times=1)
    page.reload()
    expect(page.locator(".ll-message h2")).to_have_text("The server can't be reached.")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(TITLE).first).to_be_visible()


FILES = {
    "menu.png": ("image/png", picture("PNG")),
    "bill.pdf": ("application/pdf", picture("PDF")),
    "walk.mp4": ("video/mp4", video()),
    "notes.md": ("text/markdown", b"# Notes"),
}
METADATA = '{"price": 12.5, "seat": 9007199254740993, "who": ["Ada"]}'


def choose(form: Locator, **files: tuple[str, bytes]) -> None:
    """Attach files in the form."""
    form.get_by_label("Files").set_input_files(
        [{"name": n, "mimeType": kind, "buffer": content} for n, (kind, content) in files.items()]
    )


def test_the_form_keeps_all_of_it_and_says_what_is_wrong_where(
    hub: Hub, visit: Opener, seen: Seen, screenshots: Path
) -> None:
    seen.expected += ["400", "415"]
    page = visit(hub, PAGE)
    page.get_by_label("New entry", exact=True).fill(" ")
    page.get_by_label("Its tags").fill("family, food")
    page.get_by_role("button", name="More …").click()
    form = page.get_by_role("dialog", name="Entry form")
    save = form.get_by_role("button", name="Save")
    save.click()
    expect(form.locator('[data-field="title"] .ll-field-error')).to_have_text("It is empty.")
    expect(form.get_by_role("textbox", name="Title")).to_be_focused()
    form.get_by_role("textbox", name="Title").fill("Dinner with Ada")
    form.get_by_role("textbox", name="Description").fill("At the river.\n<b>No markup</b>")
    form.get_by_label("Tags", exact=True).type("x,")
    form.get_by_role("button", name="Remove the tag x").click()
    form.get_by_label("When").fill("2031-05-31T20:30:15")
    form.get_by_label("Metadata").fill("[1]")
    save.click()
    expect(form.locator('[data-field="metadata"] .ll-field-error')).to_contain_text("an object")
    form.get_by_label("Metadata").fill('{"deep": ' + "[" * 40 + "]" * 40 + "}")
    save.click()
    expect(form.locator('[data-field="metadata"] .ll-field-error')).to_contain_text("nested")
    form.get_by_label("Metadata").fill(METADATA)
    choose(form, **FILES, **{"fake.png": ("image/png", b"<html><script>1</script></html>")})
    choose(form, **{"large.txt": ("text/plain", bytes(11 * 2**20))})
    expect(form.locator("li", has_text="large.txt")).to_contain_text("11.0 MiB, more than")
    held: list[Route] = []
    hold = lambda route: held.append(route)  # noqa: E731, PLW0108 - Playwright marks the function
    page.route("**/attachments/menu.png", hold, times=1)
    form.get_by_role("textbox", name="Title").press("Enter")
    expect(form.get_by_role("progressbar", name="Upload of menu.png")).to_be_visible()
    form.get_by_role("button", name="Stop the upload of menu.png").click()
    expect(form.locator("li", has_text="menu.png")).to_contain_text("Stopped.")
    expect(form.locator(".ll-form-trouble")).to_contain_text("not all of its files")
    expect(form.locator("li", has_text="fake.png")).to_contain_text("code in it")
    form.get_by_role("button", name="Remove fake.png").click()
    form.get_by_role("button", name="Remove large.txt").click()
    page.screenshot(path=screenshots / "journal-form.png")
    save.click()
    expect(form).to_be_hidden()
    expect(page.locator(TITLE).first).to_have_text("Dinner with Ada")
    expect(page.locator(".ll-entry-files").first).to_have_attribute(
        "aria-label", "Attached: 1 PDF, 1 Video, 1 Text, 1 Picture"
    )
    expect(page.get_by_label("New entry", exact=True)).to_have_value("")

    row = scanned(hub, "journal")[-1]
    assert row["title"] == "Dinner with Ada"
    assert row["description"] == "At the river.\n<b>No markup</b>"
    assert row["tags"] == ["family", "food"]
    assert row["at"].isoformat() == "2031-05-31T18:30:15+00:00"
    assert json.loads(row["metadata"]) == json.loads(METADATA)
    rows = [one for one in scanned(hub, "attachment") if one["entry_id"] == row["entry_id"]]
    assert sorted(one["name"] for one in rows) == sorted(FILES)
    lake = open_lake(hub.home.lake_url)
    for one in rows:
        with lake.blob(one["blob"]) as content:
            assert content.read() == FILES[one["name"]][1]


def test_detail_edit_conflict_and_delete(
    hub: Hub, visit: Opener, seen: Seen, screenshots: Path
) -> None:
    seen.expected += ["412", "404"]
    api = hub.client()
    url = f"{hub.url}lifelog/api/events"
    first = {"id": "trip", "title": "Trip", "tags": ["sea"], "metadata": json.loads(METADATA)}
    assert api.post(url, json={**first, "at": "2033-01-01T10:00:00.123456Z"}).ok
    for name, (kind, content) in FILES.items():
        put = f"{url}/trip/attachments/{name}"
        assert api.put(put, data=content, headers={"Content-Type": kind}).status_code == 201

    page = visit(hub, PAGE, WIDE)
    page.locator(CARD, has_text="Trip").click()
    detail = page.get_by_role("dialog", name="Entry", exact=True)
    expect(detail.locator("h2")).to_have_text("Trip")
    for name in ("menu.png", "bill.pdf"):
        look = detail.locator(".ll-file", has_text=name).locator("img")
        expect(look).to_have_js_property("complete", True)
        assert look.evaluate("image => image.naturalWidth") > 0
    expect(detail.locator("video")).to_have_attribute("poster", re.compile("/api/thumbnails/"))
    expect(detail.locator(".ll-detail-metadata")).to_contain_text("9007199254740993")
    for name, (_, content) in FILES.items():
        with page.expect_download() as download:
            detail.get_by_role("link", name=f"Download {name}").click()
        assert download.value.suggested_filename == name
        assert download.value.path().read_bytes() == content
    page.screenshot(path=screenshots / "journal-detail.png")

    detail.get_by_role("button", name="Edit").click()
    form = page.get_by_role("dialog", name="Entry form")
    form.get_by_role("textbox", name="Title").fill("My title")
    form.get_by_role("textbox", name="Description").fill("My words")
    theirs = {"title": "Their title", "tags": ["sea", "sun"]}
    assert api.patch(f"{url}/trip", json=theirs).ok
    save = form.get_by_role("button", name="Save")
    save.click()
    expect(form.locator(".ll-form-trouble")).to_contain_text("It was changed meanwhile")
    expect(form.get_by_role("textbox", name="Title")).to_have_value("My title")
    expect(form.locator('[data-field="title"] .ll-field-other')).to_contain_text("Their title")
    page.screenshot(path=screenshots / "journal-conflict.png")
    take = form.get_by_role("button", name="Title: take this one")
    take.click()
    expect(form.get_by_role("textbox", name="Title")).to_have_value("Their title")
    expect(form.locator('[data-field="title"] .ll-field-other')).to_contain_text("My title")
    take.click()
    form.get_by_role("button", name="Remove notes.md").click()
    form.get_by_role("button", name="Keep notes.md").click()
    form.get_by_role("button", name="Remove notes.md").click()
    save.click()
    expect(form).to_be_hidden()
    expect(detail.locator("h2")).to_have_text("My title")
    expect(detail.locator(".ll-file")).to_have_count(3)
    mine = [row for row in scanned(hub, "journal") if row["entry_id"] == "trip"]
    assert [row["title"] for row in mine] == ["Trip", "Their title", "My title"]
    assert (mine[-1]["description"], mine[-1]["tags"]) == ("My words", ["sea", "sun"])
    assert mine[-1]["at"] == mine[0]["at"]  # to the microsecond, as it wasn't touched
    assert mine[-1]["metadata"] == mine[0]["metadata"]
    assert [row["deleted"] for row in scanned(hub, "attachment")][-1]

    # What was typed outlives a delete by another hand.
    detail.get_by_role("button", name="Edit").click()
    form.get_by_role("textbox", name="Description").fill("Kept all the same")
    assert api.delete(f"{url}/trip").status_code == 204
    page.keyboard.press("Control+Enter")
    form.get_by_role("button", name="Bring it back and save").click()
    expect(form).to_be_hidden()
    expect(detail.locator(".ll-detail-text")).to_have_text("Kept all the same")

    # Leaving what was typed asks first; Escape is no way around it.
    detail.get_by_role("button", name="Edit").click()
    form.get_by_role("textbox", name="Title").fill("Half a thought")
    dropped = page.evaluate_handle(
        "() => { const all = new DataTransfer(); for (let n = 0; n < 8; n += 1)"
        " all.items.add(new File(['x'], `dropped ${n}.txt`)); return all; }"
    )
    form.locator("form").dispatch_event("drop", {"dataTransfer": dropped})
    expect(form.locator("li")).to_have_count(10)
    expect(form.locator("#ll-files-error")).to_contain_text("at most 10 files: dropped 7.txt")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Go on writing").click()
    expect(form.get_by_role("textbox", name="Title")).to_have_value("Half a thought")
    form.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Discard it").click()
    expect(form).to_be_hidden()

    detail.get_by_role("button", name="Delete").click()
    sure = page.get_by_role("alertdialog")
    expect(sure.get_by_role("button", name="Keep it")).to_be_focused()
    page.keyboard.press("Enter")
    expect(sure).to_be_hidden()
    detail.get_by_role("button", name="Delete").click()
    sure.get_by_role("button", name="Delete").click()
    expect(detail).to_be_hidden()
    expect(page.locator(CARD, has_text="My title")).to_have_count(0)
    assert scanned(hub, "journal")[-1]["deleted"]
    page.get_by_role("button", name="Bring it back").click()
    expect(page.locator(CARD, has_text="My title")).to_have_count(1)
    assert not scanned(hub, "journal")[-1]["deleted"]

    page.locator(CARD, has_text="My title").click()
    detail.get_by_role("button", name="#sun").click()
    expect(page.locator(CARD)).to_have_count(1)
    expect(page).to_have_url(re.compile(r"journal\?tag=sun$"))
    page.go_back()
    expect(page).to_have_url(re.compile(r"entry=trip$"))
    expect(detail).to_be_visible()
    page.keyboard.press("Escape")
    expect(detail).to_be_hidden()
    expect(page.locator(":focus .ll-entry-title")).to_have_text("My title")


def exported(name: str, path: Path) -> set[str]:
    """The ids in an export."""
    if name.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            text = archive.read("entries.jsonl").decode()
    else:
        text = path.read_text("utf-8")
    if name.endswith(".json"):
        return {entry["id"] for entry in json.loads(text)["entries"]}
    return {json.loads(line)["id"] for line in text.split("\n") if line}


def test_export(hub: Hub, visit: Opener) -> None:
    page = visit(hub, PAGE)
    standing = hub.client().get(f"{hub.url}lifelog/api/events?limit=500").json()["events"]
    ids = {entry["id"] for entry in standing}
    for label in ("JSON", "JSON Lines", "Zip, with all files"):
        page.locator("summary", has_text="Export").focus()
        page.keyboard.press("Enter")
        with page.expect_download() as download:
            page.get_by_role("link", name=label, exact=True).click()
        assert exported(download.value.suggested_filename, download.value.path()) == ids
    page.locator("summary", has_text="Export").click()
    page.get_by_label("with earlier versions").check()
    json_link = page.get_by_role("link", name="JSON", exact=True)
    expect(json_link).to_have_attribute("href", re.compile("history=true"))
    page.keyboard.press("Escape")
    expect(json_link).to_be_hidden()
