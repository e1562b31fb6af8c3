"""The settings page in a real browser: each control is used, and the API and the command tell."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Locator, Page, Request, WebSocket, expect

from lifelog_lake.cli.app import app
from lifelog_lake.config import CONFIG_NAME
from lifelog_lake.lake import require_known
from lifelog_lake.server.tokens import PREFIX, Tokens
from tests.browser.conftest import PHONE, WIDE, Opener, Seen
from tests.browser.hub import HOSTILE, Hub, new_home, start_hub
from tests.fixtures.api import Api

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAGE = "lifelog/settings"
SPELLED = HOSTILE.replace("\u202e", "[U+202E]")
SECRET = re.compile(re.escape(PREFIX) + r"[\w-]{43}")
PASSWORD = " a pässword of mine "


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """Limits come from each place; the hub has its first token and none else."""
    home = new_home(tmp_path_factory.mktemp("settings"))
    (home.path / CONFIG_NAME).write_text("[journal]\nattachments_per_entry = 7\n")
    running = start_hub(home, environment={"FILE_MAX_BYTES": "2097152"})
    running.await_pages()
    yield running
    running.stop()


def listed(hub: Hub, capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    """What the command lists, by name."""
    capsys.readouterr()
    app(["token", "list", "--json", "--home", str(hub.home.path)], standalone_mode=False)
    return {one["name"]: one for one in json.loads(capsys.readouterr().out)["tokens"]}


def create(opened: Page, name: str, *scopes: str) -> str:
    """Make a token on the page and put it away; the secret."""
    form = opened.get_by_role("form", name="A new token")
    form.get_by_label("Name").fill(name)
    for scope in ("Read", "Write", "Ingest"):
        form.get_by_label(re.compile(f"^{scope}")).set_checked(scope.lower() in scopes)
    form.get_by_role("button", name="Create token").dblclick()  # one token all the same
    secret = opened.locator(".ll-set-secret").input_value()
    assert SECRET.fullmatch(secret)
    return secret


def row(opened: Page, name: str) -> Locator:
    return opened.locator(".ll-set-tokens tbody tr", has=opened.get_by_text(name, exact=True))


def test_a_token_is_made_shown_once_rotated_and_revoked(
    hub: Hub, visit: Opener, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = visit(hub, PAGE)
    requested: list[str] = []

    def note(request: Request) -> None:
        requested.append(request.url)

    opened.on("request", note)
    opened.context.grant_permissions(["clipboard-read", "clipboard-write"])
    sent: list[str] = []

    def listen(socket: WebSocket) -> None:
        socket.on("framesent", lambda frame: sent.append(str(frame)))

    opened.on("websocket", listen)

    first = create(opened, "kitchen", "ingest")
    opened.get_by_role("button", name="Copy").click()
    expect(opened.get_by_text("Copied.", exact=True)).to_be_visible()
    assert opened.evaluate("navigator.clipboard.readText()") == first
    assert listed(hub, capsys)["kitchen"]["scopes"] == ["ingest"]
    assert len(listed(hub, capsys)) == 2
    opened.get_by_role("link", name="Health").click()
    expect(opened.locator(".ll-storage")).to_be_visible()
    opened.get_by_role("link", name="Settings").click()
    expect(opened.locator(".ll-set-secret")).to_have_value(first)
    program = Api(hub.url, first)
    assert program.post("events", json={"title": "by the kitchen"}).status_code == 201
    assert program.get("events").status_code == 403
    opened.get_by_role("button", name="Done").click()
    expect(opened.locator(".ll-set-secret")).to_have_count(0)
    expect(row(opened, "kitchen")).to_contain_text("ingest")
    opened.reload()
    expect(row(opened, "kitchen")).to_contain_text(re.compile(r"\d+ s ago|now"))
    assert first not in opened.content()
    assert listed(hub, capsys)["kitchen"]["last_used_at"] is not None

    row(opened, "kitchen").get_by_role("button", name="Rotate").click()
    opened.keyboard.press("Escape")
    assert program.post("events", json={"title": "still"}).status_code == 201
    row(opened, "kitchen").get_by_role("button", name="Rotate").click()
    opened.get_by_role("alertdialog").get_by_role("button", name="Rotate").click()
    second = opened.locator(".ll-set-secret").input_value()
    assert second != first
    assert program.post("events", json={"title": "x"}).status_code == 401
    program = Api(hub.url, second)
    assert program.post("events", json={"title": "x"}).status_code == 201

    row(opened, "kitchen").get_by_role("button", name="Revoke").click()
    opened.get_by_role("alertdialog").get_by_role("button", name="Cancel").click()
    row(opened, "kitchen").get_by_role("button", name="Revoke").dblclick()
    opened.get_by_role("alertdialog").get_by_role("button", name="Cancel").click()
    assert program.post("events", json={"title": "x"}).status_code == 201
    row(opened, "kitchen").get_by_role("button", name="Revoke").click()
    opened.get_by_role("alertdialog").get_by_role("button", name="Revoke").click()
    expect(row(opened, "kitchen")).to_have_count(0)
    assert program.post("events", json={"title": "x"}).status_code == 401
    assert "kitchen" not in listed(hub, capsys)

    audit = opened.locator(".ll-set-audit tbody tr")
    expect(audit.nth(0)).to_contain_text(re.compile(r"revoked a token\s*kitchen \(\w{8}\)"))
    expect(audit.filter(has_text="rotated a token")).to_have_count(1)
    expect(audit.filter(has_text="made a token")).to_contain_text("ingest")
    assert sent
    for text in (*requested, *sent):
        assert first not in text
        assert second not in text
    logs = [path.read_text() for path in (hub.home.path / "logs").rglob("*") if path.is_file()]
    kept = [*logs, hub.stderr.read_text(), (hub.home.path / "audit.jsonl").read_text()]
    assert all(not SECRET.search(text) for text in kept)


def test_mistakes_are_told_beside_what_is_typed(hub: Hub, visit: Opener, seen: Seen) -> None:
    seen.expected.append("422")
    opened = visit(hub, PAGE)
    card = opened.locator('[data-card="tokens"]')
    said = card.locator("> .ll-set-said")
    name = card.get_by_label("Name")
    button = card.get_by_role("button", name="Create token")
    button.click()
    expect(said).to_contain_text("Give it a name")
    expect(name).to_be_focused()
    name.fill("first")
    card.get_by_label(re.compile("^Read")).uncheck()
    button.click()
    expect(said).to_contain_text("Choose what it may do")
    card.get_by_label(re.compile("^Write")).check()
    name.press("Enter")
    expect(said).to_contain_text("There is a token 'first' already")
    expect(name).to_have_value("first")
    name.fill("family \U0001f468\u200d\U0001f469")
    name.press("Enter")
    expect(said).to_contain_text("None of them may be invisible")
    create(opened, SPELLED[:40], "read")
    opened.get_by_role("button", name="Done").click()
    Tokens(hub.home.path).create(HOSTILE.replace("\u202e", "")[:60], ["read"])
    opened.reload()
    expect(opened.locator(".ll-set-tokens tbody tr")).to_have_count(3)
    assert opened.evaluate("window.hurt") is None


def test_limits_and_lake_are_those_in_use(
    hub: Hub, visit: Opener, seen: Seen, screenshots: Path
) -> None:
    opened = visit(hub, PAGE, WIDE)
    limits = opened.locator(".ll-set-limits")
    largest = limits.locator('[data-limit="FILE_MAX_BYTES"]')
    expect(largest).to_contain_text("2.0 MiB (2,097,152 bytes)")
    expect(largest).to_contain_text("environment: FILE_MAX_BYTES")
    most = limits.locator('[data-limit="ATTACHMENT_MAX_PER_EVENT"]')
    expect(most).to_contain_text("at most 7")
    expect(most).to_contain_text("config.toml")
    types = limits.locator('[data-limit="ALLOWED_MIME_TYPES"]')
    expect(types).to_contain_text("the default")
    expect(types.locator("td code")).to_have_count(8)
    (hub.home.path / CONFIG_NAME).write_text("[journal]\nattachments_per_entry = 8\n")
    opened.reload()
    expect(most).to_contain_text("at most 7From the next start: at most 8")
    identity = require_known(hub.home)
    lake = opened.locator('[data-card="lake"]')
    expect(lake).to_contain_text("It can be reached.")
    expect(lake).to_contain_text(hub.home.lake_url)
    expect(lake).to_contain_text(identity.lake_id)
    file = Path(hub.home.lake_url) / "lake.json"
    away = file.rename(file.with_name("away.json"))
    try:
        lake.get_by_role("button", name="Look again").click()
        expect(lake).to_contain_text("It can't be reached. There is no lake at")
        opened.screenshot(path=screenshots / "settings-away.png", full_page=True)
    finally:
        away.rename(file)
    lake.get_by_role("button", name="Look again").click()
    expect(lake).to_contain_text("It can be reached.")
    seen.expected.append("Failed to load resource")
    opened.route("**/lifelog/api/audit?*", lambda route: route.abort())
    opened.locator(".ll-set-audit").evaluate("(audit) => audit.remove()")
    opened.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    top = opened.locator(".ll-set-top")
    expect(top).to_contain_text("The server can't be reached")
    opened.unroute("**/lifelog/api/audit?*")
    top.get_by_role("button", name="Try again").click()
    expect(opened.locator(".ll-set-audit")).to_be_visible()
    expect(top).to_be_hidden()


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("size", [(1280, 900), PHONE])
def test_it_fits_a_phone_and_the_dark(
    hub: Hub, visit: Opener, screenshots: Path, size: tuple[int, int], dark: bool
) -> None:
    opened = visit(hub, PAGE, size, dark=dark)
    expect(opened.locator(".ll-set-limits")).to_be_visible()
    create(opened, f"{size[0]} {dark}", "read", "write")
    expect(opened.locator(".ll-set-audit tbody tr").first).to_contain_text(f"{size[0]} {dark}")
    assert opened.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert opened.locator(".ll-tabs").evaluate("(tabs) => tabs.scrollWidth <= tabs.clientWidth")
    name = f"settings-{size[0]}-{'dark' if dark else 'light'}"
    opened.screenshot(path=screenshots / f"{name}.png", full_page=True)
    row(opened, f"{size[0]} {dark}").get_by_role("button", name="Revoke").click()
    opened.screenshot(path=screenshots / f"{name}-dialog.png")
    opened.get_by_role("alertdialog").get_by_role("button", name="Revoke").click()
    expect(row(opened, f"{size[0]} {dark}")).to_have_count(0)


def test_another_password_ends_the_logins_and_opens_new_ones(
    hub: Hub, visit: Opener, seen: Seen, screenshots: Path
) -> None:
    seen.expected += ["401", "403", "404", "WebSocket"]
    opened = visit(hub, PAGE)
    elsewhere = hub.person()
    token = hub.token
    card = opened.locator('[data-card="password"]')
    said = card.locator(".ll-set-said")
    current = card.get_by_label("Current token of the login")
    new = card.get_by_label("New password", exact=True)
    again = card.get_by_label("New password, once more")
    button = card.get_by_role("button", name="Set password")

    def tried(one: str, two: str, three: str) -> None:
        current.fill(one)
        new.fill(two)
        again.fill(three)
        button.click()

    button.click()
    expect(said).to_contain_text("Type what opens the login now")
    tried("wrong", "short", "short")
    expect(said).to_contain_text("at least 8 characters")
    tried("wrong", PASSWORD, PASSWORD + "x")
    expect(said).to_contain_text("aren't the same")
    tried("wrong", PASSWORD, PASSWORD)
    expect(said).to_contain_text("The current password is wrong.")
    expect(current).to_have_attribute("type", "password")
    card.get_by_label("Show what I type").check()
    expect(current).to_have_attribute("type", "text")
    tried(token, PASSWORD, PASSWORD)
    expect(card).to_contain_text("The password is changed. Every login has ended")
    opened.screenshot(path=screenshots / "settings-password.png", full_page=True)
    assert elsewhere.get(f"{hub.url}lifelog/api/auth/tokens").status_code == 401
    old = requests.get(f"{hub.url}lifelog/api/lake", headers={"Authorization": f"token {token}"})
    assert old.status_code == 401

    card.get_by_role("link", name="Log in again").click()
    opened.get_by_label(re.compile("Password|token", re.IGNORECASE)).first.fill(token)
    opened.keyboard.press("Enter")
    expect(opened.get_by_text("Invalid credentials")).to_be_visible()
    opened.locator("#password_input").fill(PASSWORD)
    opened.keyboard.press("Enter")
    expect(opened.locator('[data-card="password"]')).to_contain_text("Current password")
    expect(opened.locator(".ll-set-audit")).to_contain_text("changed the password")
