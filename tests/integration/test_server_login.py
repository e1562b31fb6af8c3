"""Without a credential nothing opens: every route of the running hub is tried."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
import requests
import websocket

from lifelog_lake.server.launch import prepare
from lifelog_lake.server.secret import set_password
from lifelog_lake.server.tokens import Tokens
from tests.browser import routes
from tests.browser.hub import (
    Hub,
    alive,
    family,
    minutes_ago,
    new_home,
    ship_frames,
    start_hub,
    wait_until,
)
from tests.needs import require_linux

#: Handlers that answer strangers, and why that gives nothing away.
PUBLIC = {
    "jupyter_server.auth.login.LoginFormHandler": "the login itself",
    "lifelog_lake.server.hub.Logout": "forgets a cookie",
    "jupyter_server.base.handlers.APIVersionHandler": "Jupyter's version; JupyterLab asks for it",
    "jupyter_server.base.handlers.FileFindHandler": "the login page's style; files of packages",
    "jupyterlab_server.themes_handler.ThemesHandler": "styles of packages",
    "jupyter_server.services.contents.handlers.NotebooksRedirectHandler": "redirects to the API",
    "jupyter_server.base.handlers.PublicStaticFileHandler": "robots.txt, favicon.ico",
    "jupyter_server.base.handlers.TrailingSlashHandler": "redirects to the path without a slash",
    "jupyter_server.base.handlers.RedirectWithParams": "redirects",
    "tornado.web.RedirectHandler": "redirects",
}


#: Refuses without an answer: its own error page fails on a wrong argument (JupyterLab's bug).
MUTE = "jupyterlab_server.licenses_handler.LicensesHandler"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    home = new_home(tmp_path_factory.mktemp("login"))
    ship_frames(home, [minutes_ago(3)])
    running = start_hub(home)
    running.await_pages()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def all_routes(hub: Hub) -> list[dict[str, object]]:
    program = subprocess.run(
        [sys.executable, routes.__file__],
        env={**prepare(hub.home, port=0).env, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert program.returncode == 0, program.stderr.decode()
    return json.loads(program.stdout)


def refused(answer: requests.Response) -> bool:
    if answer.status_code == 302:
        return urlsplit(answer.headers["Location"]).path == "/login"
    return answer.status_code in (401, 403)


def test_every_route_refuses_a_stranger(hub: Hub, all_routes: list[dict[str, object]]) -> None:
    patterns = {str(route["pattern"]) for route in all_routes}
    for expected in (
        "blobs",
        "api/timeline",
        "thumbnails",
        "summary",
        "lifelog/app",
        "channels",
        "terminals",
        "lab",
    ):
        assert any(expected in pattern for pattern in patterns), expected
    opened = []
    tried = 0
    for route in all_routes:
        for method in route["methods"]:
            if method == "OPTIONS":  # says which methods there are, for CORS; no content
                continue
            address = hub.url.rstrip("/") + str(route["path"])
            tried += 1
            try:
                mute = route["handler"] == MUTE
                answer = requests.request(
                    method, address, allow_redirects=False, timeout=3 if mute else 60
                )
            except requests.exceptions.ReadTimeout:
                assert mute, address
                continue
            if not refused(answer) and answer.status_code != 405:
                opened.append((method, route["path"], route["handler"], answer.status_code))
    assert tried > 80
    unexpected = [entry for entry in opened if entry[2] not in PUBLIC]
    assert not unexpected, unexpected


def test_no_route_of_the_proxy_or_a_second_voila_is_there(
    all_routes: list[dict[str, object]],
) -> None:
    handlers = " ".join(str(route["handler"]) for route in all_routes)
    assert "RemoteProxyHandler" not in handlers
    assert "voila" not in handlers


#: Of no kernel; the same in each worker, because it is part of the names of tests.
KERNEL = "3f0e4c5a-6f0b-4c1e-9d57-8a2b1c4d5e6f"
INNER = (
    "lifelog/app/",
    "lifelog/app/voila/render/app.ipynb",
    "lifelog/app/voila/static/voila.js",
    "lifelog/app/voila/files/app.ipynb",
    "lifelog/app/voila/tree",
    f"lifelog/app/api/kernels/{KERNEL}",
    "lifelog/app/api/contents/app.ipynb",
)


@pytest.mark.parametrize("path", INNER)
def test_the_inner_server_is_behind_the_same_login(hub: Hub, path: str) -> None:
    answer = requests.get(hub.url + path, allow_redirects=False, timeout=30)
    assert refused(answer)
    assert "lifelog_lake" not in answer.text


def test_pages_send_a_stranger_to_the_login_and_then_on(hub: Hub) -> None:
    stranger = requests.Session()
    answer = stranger.get(f"{hub.url}lifelog/timeline?range=day", allow_redirects=False)
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/login?next=%2Flifelog%2Ftimeline")
    api = stranger.get(f"{hub.url}lifelog/api/timeline", allow_redirects=False)
    assert api.status_code == 401
    assert api.headers["WWW-Authenticate"].startswith("Bearer")
    assert api.headers["Content-Type"] == "application/problem+json"


def test_the_token_leaves_the_address_once_it_has_logged_in(hub: Hub) -> None:
    browser = requests.Session()
    answer = browser.get(f"{hub.entrance}&range=day", allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/lifelog/timeline?range=day")
    page = browser.get(hub.url + "lifelog/timeline?range=day", allow_redirects=False)
    assert page.status_code == 200
    assert hub.token not in page.text
    assert "Set-Cookie" not in page.headers or "_xsrf" in page.headers["Set-Cookie"]
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "http:" not in policy
    assert browser.get(f"{hub.url}lifelog/", allow_redirects=True).url.endswith("/timeline")


def test_a_wrong_token_opens_nothing(hub: Hub) -> None:
    for given in ("", "x" * 43, hub.token[:-1]):
        answer = requests.get(
            f"{hub.url}lifelog/api/timeline", headers={"Authorization": f"token {given}"}
        )
        assert answer.status_code == 401


# --- websockets -----------------------------------------------------------------------------------

SOCKETS = (
    f"lifelog/app/api/kernels/{KERNEL}/channels",
    f"lifelog/app/voila/query/{KERNEL}",
    f"api/kernels/{KERNEL}/channels",
    "api/events/subscribe",
    "terminals/websocket/1",
)


def handshake(hub: Hub, path: str, **options: object) -> int:
    """Try to open a websocket; the HTTP status that answered (101 = open)."""
    address = hub.url.replace("http", "ws", 1) + path
    try:
        connection = websocket.create_connection(address, timeout=30, redirect_limit=0, **options)
    except websocket.WebSocketBadStatusException as error:
        return int(error.status_code)
    except websocket.WebSocketException as error:
        assert "Redirect" in str(error)  # noqa: PT017 - an open socket is no failure here
        return 302
    connection.close()
    return 101


@pytest.mark.parametrize("path", SOCKETS)
def test_no_websocket_opens_for_a_stranger(hub: Hub, path: str) -> None:
    # Jupyter sends some of its own to the login page; a browser's websocket follows no redirect.
    allowed = (403,) if "lifelog" in path else (302, 403)
    assert handshake(hub, path, origin=hub.url.rstrip("/")) in allowed


def test_no_websocket_opens_for_another_site_with_the_persons_cookie(hub: Hub) -> None:
    cookies = "; ".join(f"{c.name}={c.value}" for c in hub.person().cookies)
    path = f"lifelog/app/voila/query/{KERNEL}"
    assert handshake(hub, path, cookie=cookies, origin=hub.url.rstrip("/")) == 101
    for foreign in ("http://evil.example", "null", "http://127.0.0.1:1"):
        assert handshake(hub, path, cookie=cookies, origin=foreign) == 403
        assert handshake(hub, SOCKETS[0], cookie=cookies, origin=foreign) == 403


def open_sockets(hub: Hub, person: requests.Session) -> list[websocket.WebSocket]:
    """Of a page, of a shell, and of what JupyterLab hears."""
    cookies = "; ".join(f"{c.name}={c.value}" for c in person.cookies)
    person.get(f"{hub.url}lifelog/api/settings").raise_for_status()
    made = person.post(
        f"{hub.url}api/terminals", headers={"X-XSRFToken": person.cookies["_xsrf"]}, timeout=30
    )
    paths = (
        f"lifelog/app/voila/query/{KERNEL}",
        f"terminals/websocket/{made.json()['name']}",
        "api/events/subscribe",
    )
    address, origin = hub.url.replace("http", "ws", 1), hub.url.rstrip("/")
    return [
        websocket.create_connection(f"{address}{path}", cookie=cookies, origin=origin, timeout=60)
        for path in paths
    ]


def await_close(opened: websocket.WebSocket) -> None:
    """Hear what it still says, until it is closed by the other side."""
    deadline_s = time.monotonic() + 60
    while opened.recv_data(control_frame=True)[0] != websocket.ABNF.OPCODE_CLOSE:
        assert time.monotonic() < deadline_s, "it is still open"  # each ping comes by here


def test_logging_out_closes_the_websockets_that_the_login_opened(hub: Hub) -> None:
    person = hub.person()
    opened = open_sockets(hub, person)
    person.get(f"{hub.url}logout")
    for one in opened:
        await_close(one)


def test_a_strangers_logout_ends_nobodys_session(hub: Hub) -> None:
    cookies = "; ".join(f"{c.name}={c.value}" for c in hub.person().cookies)
    address = hub.url.replace("http", "ws", 1)
    opened = websocket.create_connection(
        f"{address}lifelog/app/voila/query/{KERNEL}",
        cookie=cookies,
        origin=hub.url.rstrip("/"),
        timeout=30,
    )
    assert requests.get(f"{hub.url}logout", timeout=30).status_code == 200
    opened.ping()
    code, _ = opened.recv_data(control_frame=True)
    assert code == websocket.ABNF.OPCODE_PONG
    opened.close()


@pytest.mark.parametrize("mode", ["no-cors", "cors", "same-origin", "websocket"])
def test_a_page_takes_a_kernel_for_a_person_only(hub: Hub, mode: str) -> None:
    person = hub.person()
    answer = person.get(f"{hub.url}lifelog/timeline", headers={"Sec-Fetch-Mode": mode})
    assert answer.status_code == 403
    assert "window of its own" in answer.text
    opened = person.get(f"{hub.url}lifelog/timeline", headers={"Sec-Fetch-Mode": "navigate"})
    assert opened.status_code == 200


def test_the_login_page_says_where_the_token_is_and_sets_no_password(hub: Hub) -> None:
    stranger = requests.Session()
    page = stranger.get(f"{hub.url}login", timeout=30)
    assert "lifelog up" in page.text
    assert "jupyter server list" not in page.text
    assert "new_password" not in page.text
    form = {"password": hub.token, "new_password": "mine", "_xsrf": stranger.cookies["_xsrf"]}
    assert stranger.post(f"{hub.url}login", data=form, timeout=30).ok
    assert not list((hub.home.path / "jupyter").glob("*.json"))
    assert hub.client().get(f"{hub.url}api/me", timeout=30).status_code == 200


def test_no_page_holds_the_token(hub: Hub) -> None:
    """A script that sends it would log in again by itself, after a logout in another tab."""
    person = hub.person()
    for path in ("lab", "lifelog/timeline"):
        page = person.get(hub.url + path)
        assert page.status_code == 200
        assert hub.token not in page.text, path


def test_the_cookie_stays_here_when_another_site_asks(hub: Hub) -> None:
    answer = requests.get(f"{hub.url}api/me", params={"token": hub.token}, timeout=30)
    assert "SameSite=Lax" in answer.headers["Set-Cookie"]


def test_no_page_is_shared_with_another_site(hub: Hub) -> None:
    foreign = {"Origin": "http://127.0.0.1:1"}
    for path in ("lifelog/timeline", "lifelog/app/", "lifelog/app/voila/static/voila.js"):
        page = hub.person().get(hub.url + path, headers=foreign)
        assert page.status_code == 200
        assert not page.headers.get("Access-Control-Allow-Origin"), path


def test_another_site_can_end_no_kernel(hub: Hub) -> None:
    address = f"{hub.url}lifelog/app/voila/api/shutdown/{KERNEL}"
    answer = hub.person().post(address, headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403


# --- the process behind the pages -----------------------------------------------------------------


def app_process(hub: Hub) -> psutil.Process:
    for child in psutil.Process(hub.process.pid).children():
        if "voila_app" in " ".join(child.cmdline()):
            return child
    raise AssertionError("The pages' process isn't there.")


def test_the_inner_server_answers_nobody_else(hub: Hub) -> None:
    require_linux("looks into /proc and connects to a unix socket")
    import http.client
    import socket

    inner = app_process(hub)
    assert not inner.net_connections("inet")
    path = Path(inner.environ()["LIFELOG_APP_SOCKET"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    for address in ("/lifelog/app/", "/lifelog/app/voila/static/voila.js", "/lifelog/app/login"):
        for headers in ({}, {"X-Lifelog-App-Secret": "guess"}):
            connection = http.client.HTTPConnection("localhost")
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(str(path))
            connection.request("GET", address, headers=headers)
            assert connection.getresponse().status == 403
            connection.close()


def test_no_argument_and_no_log_holds_the_token(hub: Hub) -> None:
    hub.client().get(f"{hub.url}lifelog/api/timeline", params={"token": hub.token})
    requests.get(f"{hub.url}lifelog/nothing?token={hub.token}&x=1")
    everyone = [psutil.Process(hub.process.pid), *map(psutil.Process, family(hub.process.pid))]
    for process in everyone:
        assert hub.token not in " ".join(process.cmdline())
        assert hub.token not in " ".join(process.environ().values())
    written = [hub.stderr, *hub.home.logs.glob("*")]
    for path in written:
        assert hub.token not in path.read_text(errors="replace"), path
    assert not list(hub.home.run.rglob("*open.html"))


def test_server_json_is_private_and_holds_no_token(hub: Hub) -> None:
    path = hub.home.run / "server.json"
    assert path.stat().st_mode & 0o777 == 0o600
    said = json.loads(path.read_text())
    assert said == {
        "url": hub.url, "open": hub.url, "password": False, "pid": hub.process.pid
    }  # fmt: skip
    assert not (hub.home.path / "notebooks" / "token").exists()
    assert hub.client().get(f"{hub.url}files/../token").status_code == 404


# --- its life -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_pages_come_back_and_nothing_outlives_the_server(tmp_path: Path) -> None:
    require_linux("sends SIGKILL and looks into /proc")
    home = new_home(tmp_path)
    running = start_hub(home)
    running.await_pages()
    first = app_process(running)
    first.kill()
    wait_until("The pages' process wasn't started again.", 60, lambda: not alive(first.pid))
    running.await_pages()
    assert app_process(running).pid != first.pid
    wait_until("No kernel was warmed.", 60, lambda: len(family(running.process.pid)) >= 3)
    everyone = family(running.process.pid)
    running.process.kill()
    running.process.wait()
    wait_until("Orphans are left.", 20, lambda: not any(map(alive, everyone)))

    again = start_hub(home)
    wait_until("No kernel was warmed.", 60, lambda: len(family(again.process.pid)) >= 3)
    everyone = family(again.process.pid)
    assert again.stop() < 15  # generous: a hang, not a figure
    wait_until("Processes are left.", 10, lambda: not any(map(alive, everyone)))
    assert not (home.run / "server.json").exists()


@pytest.mark.slow
def test_a_password_takes_the_tokens_place(tmp_path: Path) -> None:
    from jupyter_server.auth import passwd

    (tmp_path / "config.toml").write_text(f'[server]\npassword_hash = "{passwd("open sesame")}"\n')
    running = start_hub(new_home(tmp_path))
    try:
        assert "token" not in running.entrance
        assert running.client().get(f"{running.url}lifelog/api/timeline").status_code == 401
        person = requests.Session()
        page = person.get(f"{running.url}login")
        form = {"password": "open sesame", "_xsrf": person.cookies["_xsrf"]}
        assert page.status_code == 200
        person.post(f"{running.url}login", data=form)
        assert person.get(f"{running.url}lifelog/api/timeline").status_code == 400
        wrong = requests.Session()
        wrong.get(f"{running.url}login")
        wrong.post(
            f"{running.url}login", data={"password": "guess", "_xsrf": wrong.cookies["_xsrf"]}
        )
        assert wrong.get(f"{running.url}lifelog/api/timeline").status_code == 401
        assert person.get(f"{running.url}lifelog/api/settings").json()["login"] == "settings"
    finally:
        running.stop()


def test_a_command_changes_the_password_and_ends_what_is_open(tmp_path: Path) -> None:
    running = start_hub(new_home(tmp_path))
    try:
        opened = open_sockets(running, running.person())
        set_password(tmp_path, "a password of mine")
        for one in opened:  # though nobody asks for anything meanwhile
            await_close(one)
    finally:
        running.stop()


# --- programs -------------------------------------------------------------------------------------


def test_a_programs_token_opens_the_api_and_not_the_shell(hub: Hub) -> None:
    made = Tokens(hub.home.path).create("program", ["read", "write"])
    head = {"Authorization": f"Bearer {made.secret}"}
    base = f"{hub.url}lifelog/api/"
    answer = requests.post(f"{base}events", json={"title": "by a program"}, headers=head)
    assert answer.status_code == 201, answer.text
    assert "Set-Cookie" not in answer.headers
    for path in ("timeline?start=2026-01-01T00:00:00Z&end=2026-01-02T00:00:00Z", "lake", "export"):
        assert requests.get(base + path, headers=head).status_code == 200, path
    for path in ("lab", "api/contents", "api/kernels", "lifelog/timeline", "lifelog/app/"):
        assert refused(requests.get(hub.url + path, headers=head, allow_redirects=False)), path
    for path in SOCKETS:
        assert handshake(hub, path, header=[f"Authorization: Bearer {made.secret}"]) in (302, 403)
    reader = Tokens(hub.home.path).create("reader", ["read"])
    head = {"Authorization": f"Bearer {reader.secret}"}
    assert requests.post(f"{base}alerts", json={"do": "test"}, headers=head).status_code == 403
    for path in [hub.stderr, *hub.home.logs.glob("*")]:
        assert made.secret not in path.read_text(errors="replace"), path


def test_the_first_token_is_shown_once_and_the_environments_leaves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = new_home(tmp_path)
    first = prepare(home, port=0)
    assert first.token is not None
    assert Tokens(home.path).find(first.token) is not None
    assert prepare(home, port=0).token is None
    monkeypatch.setenv("API_TOKEN", "a-token-of-my-own-choice")
    again = prepare(home, port=0)
    assert again.token is None
    assert "API_TOKEN" not in again.env
    assert Tokens(home.path).find("a-token-of-my-own-choice") is not None
