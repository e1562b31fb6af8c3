"""The hub behind a real reverse proxy with HTTPS: Caddy with the shipped Caddyfile, and nginx.

The proxy speaks TLS with a certificate of its own making on a port of its own; the name that people
open is one that no name server knows, so clients are told where it is.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import websocket
from jupyter_server.auth import passwd_check
from requests.adapters import HTTPAdapter

from lifelog_lake.errors import UsageError
from lifelog_lake.server.secret import HASH, read_password, set_password, take_password
from tests.browser.hub import Hub, minutes_ago, new_home, ship_frames, start_hub, wait_until
from tests.needs import require_program

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
NAME = "hub.lifelog.test"
PASSWORD = "open sesame"
START_S = 30.0

pytestmark = [pytest.mark.slow]

NGINX = """
daemon off; worker_processes 1; pid {at}/pid; error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/fastcgi;
    uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
    server {{
        listen 127.0.0.1:{port} ssl;
        server_name {name};
        ssl_certificate {at}/certificate.pem;
        ssl_certificate_key {at}/key.pem;
{location}
    }}
}}
"""


class Here(HTTPAdapter):
    """Reaches a name at 127.0.0.1, as a name server would say, and checks it in the certificate."""

    def send(self, request: requests.PreparedRequest, *args: Any, **words: Any) -> Any:
        assert request.url is not None
        request.headers["Host"] = request.url.split("/")[2]
        request.url = request.url.replace(NAME, "127.0.0.1", 1)
        return super().send(request, *args, **words)


@dataclass(kw_only=True)
class Proxied:
    """A hub and the proxy before it."""

    hub: Hub
    port: int
    certificate: Path

    @property
    def host(self) -> str:
        return f"{NAME}:{self.port}"

    @property
    def url(self) -> str:
        return f"https://{self.host}/"

    def browser(self) -> requests.Session:
        """A session that trusts the proxy's certificate for its name."""
        session = requests.Session()
        session.trust_env = False
        adapter = Here()
        adapter.init_poolmanager(10, 10, server_hostname=NAME, assert_hostname=NAME)
        session.mount("https://", adapter)
        session.verify = str(self.certificate)
        return session

    def logged_in(self) -> requests.Session:
        """One that has given the password. Its cookies are for the name."""
        session = self.browser()
        page = session.get(f"{self.url}login")
        assert page.status_code == 200
        form = {"password": PASSWORD, "_xsrf": session.cookies["_xsrf"]}
        answer = session.post(
            f"{self.url}login",
            data=form,
            headers={"Origin": self.url.rstrip("/"), "Referer": f"{self.url}login"},
            allow_redirects=False,
        )
        assert answer.status_code == 302, answer.text
        return session

    def socket(self, path: str, cookies: str, origin: str) -> websocket.WebSocket:
        """A websocket through the proxy."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        context = ssl.create_default_context(cafile=str(self.certificate))
        secure = context.wrap_socket(plain, server_hostname=NAME)
        return websocket.create_connection(
            f"wss://{self.host}/{path}", socket=secure, cookie=cookies, origin=origin, timeout=30
        )


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def make_certificate(at: Path) -> Path:
    """A certificate of the name that signs itself, by openssl."""
    openssl = require_program("openssl", package="openssl")
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"),
            *("-keyout", str(at / "key.pem"), "-out", str(at / "certificate.pem")),
        ],
        check=True,
        capture_output=True,
    )
    return at / "certificate.pem"


def caddy(at: Path, port: int, hub: int) -> tuple[list[str], dict[str, str]]:
    """Caddy with the shipped Caddyfile: only names, ports and the certificate are the test's."""
    fetched = ROOT / ".venv" / "caddy" / "usr" / "bin" / "caddy"  # by tools/system-packages.sh
    program = str(fetched) if fetched.exists() else require_program("caddy", package="caddy")
    shipped = (DEPLOY / "Caddyfile").read_text("utf-8")
    changes = {
        "email {$ACME_EMAIL}": "admin off\n\tauto_https off",
        "{$HUB_HOST} {": f"https://{NAME}:{port} {{\n\tbind 127.0.0.1\n"
        f"\ttls {at}/certificate.pem {at}/key.pem",
        "{$LAKE_HOST} {": f"http://lake.lifelog.test:{free_port()} {{\n\tbind 127.0.0.1",
        "reverse_proxy hub:8899": f"reverse_proxy 127.0.0.1:{hub}",
        "reverse_proxy rustfs:9000": "reverse_proxy 127.0.0.1:9",
    }
    for there, here in changes.items():
        assert shipped.count(there) == 1
        shipped = shipped.replace(there, here)
    (at / "Caddyfile").write_text(shipped)
    home = {"XDG_DATA_HOME": str(at), "XDG_CONFIG_HOME": str(at), "HOME": str(at)}
    argv = [program, "run", "--config", str(at / "Caddyfile"), "--adapter", "caddyfile"]
    return argv, {**os.environ, **home}


def nginx(at: Path, port: int, hub: int) -> tuple[list[str], dict[str, str]]:
    """nginx with the location that docs/deploy.md shows; left out where it isn't installed."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:  # its package would start a service; Caddy has gone through the same tests
        pytest.skip("nginx isn't here")
    docs = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    (block,) = re.findall(r"^```nginx\n(.+?)^```", docs, re.MULTILINE | re.DOTALL)
    location = block.replace("127.0.0.1:8899", f"127.0.0.1:{hub}")
    assert location != block
    (at / "nginx.conf").write_text(NGINX.format(at=at, port=port, name=NAME, location=location))
    return [program, "-p", str(at), "-c", str(at / "nginx.conf")], dict(os.environ)


PROXIES = {"caddy": caddy, "nginx": nginx}


@pytest.fixture(scope="module", name="hub")
def a_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """One for all proxies; its port is where none listens, only the name counts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIFELOG_SERVER__URL", f"https://{NAME}")
        patch.setenv("ADMIN_PASSWORD", PASSWORD)
        home = new_home(tmp_path_factory.mktemp("proxied"))
        ship_frames(home, [minutes_ago(3)])
        running = start_hub(home)
    yield running
    running.stop()


def inner(hub: Hub) -> str:
    """The hub's own address, which a proxy knows."""
    url: str = json.loads((hub.home.run / "server.json").read_bytes())["url"]
    return url


@pytest.fixture(scope="module", params=sorted(PROXIES))
def proxied(
    hub: Hub, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxied]:
    at = tmp_path_factory.mktemp(request.param)
    port = free_port()
    certificate = make_certificate(at)
    argv, env = PROXIES[request.param](at, port, int(inner(hub).rstrip("/").rpartition(":")[2]))
    with (at / "log").open("wb") as log:
        proxy = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        deadline_s = time.monotonic() + START_S
        while True:
            assert proxy.poll() is None, (at / "log").read_text()
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < deadline_s, (at / "log").read_text()
                time.sleep(0.05)
        yield Proxied(hub=hub, port=port, certificate=certificate)
    finally:
        proxy.terminate()
        proxy.wait(30)


def test_the_address_to_open_is_the_proxys(hub: Hub) -> None:
    assert hub.entrance == f"https://{NAME}/lifelog/timeline"


def test_the_login_through_it_and_a_cookie_for_https_only(proxied: Proxied) -> None:
    stranger = proxied.browser()
    answer = stranger.get(f"{proxied.url}lifelog/timeline", allow_redirects=False)
    assert answer.status_code == 302
    # Relative, or of the name that was asked for: never http, never the inner port.
    assert answer.headers["Location"].startswith(("/login?", f"{proxied.url}login?"))
    person = proxied.logged_in()
    cookies = {cookie.name: cookie for cookie in person.cookies}
    (login,) = [cookie for name, cookie in cookies.items() if name.startswith("username-")]
    assert login.secure
    assert login.has_nonstandard_attr("HttpOnly")
    assert person.get(f"{proxied.url}lifelog/api/lake").status_code == 200


def test_a_page_with_its_scripts_comes_through(proxied: Proxied) -> None:
    proxied_page = proxied.logged_in()

    def there() -> bool:
        address = f"{proxied.url}lifelog/timeline"
        answer = proxied_page.get(address, headers={"Sec-Fetch-Mode": "navigate"}, timeout=60)
        return answer.status_code == 200 and "voila" in answer.text

    wait_until("The page doesn't come through.", 60, there)
    script = proxied_page.get(f"{proxied.url}lifelog/app/voila/static/voila.js")
    assert script.status_code == 200


def test_a_kernels_websocket_through_it(proxied: Proxied) -> None:
    person = proxied.logged_in()
    headers = {"X-XSRFToken": person.cookies["_xsrf"], "Origin": proxied.url.rstrip("/")}
    made = person.post(f"{proxied.url}api/kernels", json={}, headers=headers)
    assert made.status_code == 201, made.text
    path = f"api/kernels/{made.json()['id']}/channels"
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in person.cookies)
    channel = proxied.socket(path, cookies, proxied.url.rstrip("/"))
    channel.send(
        json.dumps(
            {
                "channel": "shell",
                "header": {"msg_id": "1", "msg_type": "kernel_info_request", "session": "s",
                           "username": "", "version": "5.3"},
                "parent_header": {}, "metadata": {}, "content": {},
            }
        )
    )  # fmt: skip
    while json.loads(channel.recv())["msg_type"] != "kernel_info_reply":
        pass
    channel.close()
    for origin, sent in (("https://elsewhere.test", cookies), (proxied.url.rstrip("/"), "")):
        with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
            proxied.socket(path, sent, origin)
    person.delete(f"{proxied.url}api/kernels/{made.json()['id']}", headers=headers)


def test_without_a_proxy_the_cookie_works_on_this_machine(hub: Hub) -> None:
    person = requests.Session()
    person.get(f"{inner(hub)}login")
    form = {"password": PASSWORD, "_xsrf": person.cookies["_xsrf"]}
    person.post(f"{inner(hub)}login", data=form)
    assert person.get(f"{inner(hub)}lifelog/api/lake").status_code == 200
    assert not any(cookie.secure for cookie in person.cookies)


def test_another_name_is_refused(hub: Hub) -> None:
    answer = requests.get(f"{inner(hub)}login", headers={"Host": "rebound.test"})
    assert answer.status_code == 403
    assert requests.get(f"{inner(hub)}login", headers={"Host": NAME}).status_code == 200


def test_the_password_is_kept_as_a_hash_only(hub: Hub) -> None:
    kept = hub.home.path / HASH
    assert kept.read_text().startswith("argon2:")
    if sys.platform != "win32":
        assert kept.stat().st_mode & 0o077 == 0
    environ = Path(f"/proc/{hub.process.pid}/environ")
    if environ.exists():
        assert PASSWORD.encode() not in environ.read_bytes()


def test_the_environments_password_counts_when_it_is_new(tmp_path: Path) -> None:
    take_password(tmp_path, PASSWORD)
    first = read_password(tmp_path)
    take_password(tmp_path, PASSWORD)
    assert read_password(tmp_path) == first
    set_password(tmp_path, "a longer secret")
    take_password(tmp_path, PASSWORD)  # the next start, with nothing changed
    assert passwd_check(read_password(tmp_path), "a longer secret")
    take_password(tmp_path, "changed in .env")
    assert passwd_check(read_password(tmp_path), "changed in .env")
    with pytest.raises(UsageError, match="less than 8"):
        set_password(tmp_path, "short")
