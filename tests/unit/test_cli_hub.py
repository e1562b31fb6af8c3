"""A hub's API as the commands use it: where the token comes from and goes, what breaks."""

from __future__ import annotations

import io
import json
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import keyring
import pytest

from lifelog_lake.cli import hub as module
from lifelog_lake.cli.entries import File
from lifelog_lake.cli.hub import FILE, Hub, token_for
from lifelog_lake.errors import (
    EntryChanged,
    LakeUnreachable,
    LifelogError,
    UnknownEntry,
    UsageError,
)
from lifelog_lake.recall.journal.model import NewEntry, parse
from lifelog_lake.recall.journal.pages import Query

Answers = Callable[[BaseHTTPRequestHandler], None]


class Server:
    """Answers as a test says, and keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.answers: list[Answers] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65_537)
                if self.raw_requestline and self.parse_request():
                    outer.asked.append((self.command, self.path, dict(self.headers.items())))
                    outer.answers.pop(0)(self)
                self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:
                del format, args

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture(name="server")
def a_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(module, "PAUSE_S", 0.0)
    server = Server()
    yield server
    server.close()


@pytest.fixture(name="hub")
def a_hub(server: Server) -> Hub:
    return Hub(server.url, "secret-token")


def answering(status: int, body: object, **headers: str) -> Answers:
    def answer(request: BaseHTTPRequestHandler) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    return answer


def broken(request: BaseHTTPRequestHandler) -> None:
    request.connection.close()


def test_a_broken_connection_is_tried_again_as_the_same_request(server: Server, hub: Hub) -> None:
    entry = {"id": "e", "title": "t"}
    server.answers = [broken, answering(503, {"detail": "d", "hint": "h"}), answering(201, entry)]
    given = parse(NewEntry, {"title": "t", "at": "2026-01-02T03:04:05+01:00"})
    assert hub.create(given, []) == entry
    assert [(method, path) for method, path, _ in server.asked] == [
        ("POST", "/lifelog/api/events")
    ] * 3
    heads = [headers for _, _, headers in server.asked]
    assert len({head["Idempotency-Key"] for head in heads}) == 1
    assert {head["Authorization"] for head in heads} == {"Bearer secret-token"}
    server.answers = [broken] * 3
    with pytest.raises(LakeUnreachable, match="can't be reached") as caught:
        hub.get("e")
    assert caught.value.exit_code == 3


def test_a_list_from_1970_on_says_so(server: Server, hub: Hub) -> None:
    server.answers = [answering(200, {"events": [], "cursor": None})]
    hub.page(Query(start=0), 5, None, "journal")
    assert "start=1970-01-01T00" in server.asked[0][1]


def test_a_token_follows_no_redirection(server: Server, hub: Hub) -> None:
    server.answers = [answering(302, b"", Location="http://127.0.0.1:9/")]
    with pytest.raises(UsageError, match="not as a hub does"):
        hub.get("e")
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("status", "kind"), [(404, UnknownEntry), (412, EntryChanged), (401, UsageError)]
)
def test_a_refusal_is_told_in_the_hubs_words(
    status: int, kind: type[LifelogError], server: Server, hub: Hub
) -> None:
    server.answers = [answering(status, {"detail": "No.", "hint": "Because."})]
    with pytest.raises(kind) as caught:
        hub.delete("a/b?c", "r")
    assert str(caught.value) == "No. Because."
    method, path, headers = server.asked[0]
    assert (method, path) == ("DELETE", "/lifelog/api/events/a%2Fb%3Fc")
    assert headers["If-Match"] == '"r"'


def test_another_web_server_is_no_hub(server: Server, hub: Hub) -> None:
    for answer in (answering(200, b"<html>"), answering(404, b"<html>")):
        server.answers = [answer]
        with pytest.raises(UsageError, match="not as a hub does"):
            hub.get("e")


def test_a_file_refused_before_its_end_leaves_no_entry(server: Server, hub: Hub) -> None:
    def early(request: BaseHTTPRequestHandler) -> None:
        answering(413, {"detail": "The file is larger.", "hint": ""})(request)
        # The answer must not be thrown away by a reset: some of the rest is read.
        request.connection.recv(2**20)

    server.answers = [answering(201, {"id": "e"}), early, answering(204, b"")]
    content = io.BytesIO(bytes(20 * 2**20))
    file = File(path="a.bin", name="ä b.bin", content=content, size_bytes=20 * 2**20)
    with pytest.raises(LifelogError) as caught:
        hub.create(parse(NewEntry, {"title": "t"}), [file])
    assert caught.value.message == "The file is larger."
    assert [(method, path) for method, path, _ in server.asked] == [
        ("POST", "/lifelog/api/events"),
        ("PUT", "/lifelog/api/events/e/attachments/%C3%A4%20b.bin"),
        ("DELETE", "/lifelog/api/events/e"),
    ]


def test_a_cut_export_is_no_export(server: Server, hub: Hub) -> None:
    def cut(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "100")
        request.end_headers()
        request.wfile.write(b"half")

    server.answers = [cut]
    with pytest.raises(LakeUnreachable):
        list(hub.export("json", history=False))


# --- the token ----------------------------------------------------------------------------------

URL = "https://hub.example.org"


@pytest.fixture(name="home")
def an_empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in module.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    kept = {("lifelog_lake", URL): "of-the-keyring"}
    monkeypatch.setattr(keyring, "get_password", lambda service, user: kept.get((service, user)))
    return tmp_path


def test_the_environment_comes_before_the_file_and_that_before_the_keyring(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert token_for(URL, home) == "of-the-keyring"
    (home / FILE).write_text("of-the-file\n")
    (home / FILE).chmod(0o600)
    assert token_for(URL, home) == "of-the-file"
    monkeypatch.setenv("API_TOKEN", "of-the-environment")
    assert token_for(URL, home) == "of-the-environment"
    monkeypatch.setenv("LIFELOG_API_TOKEN", "of-the-longer-name")
    assert token_for(URL, home) == "of-the-longer-name"
    monkeypatch.setenv("LIFELOG_API_TOKEN", "two\nlines")
    with pytest.raises(UsageError, match="characters"):
        token_for(URL, home)


def test_without_a_token_it_is_said_where_one_goes(home: Path) -> None:
    with pytest.raises(UsageError) as caught:
        token_for("https://other.example.org", home)
    assert "LIFELOG_API_TOKEN" in caught.value.hint


# Its chmod knows read-only alone, so a file that others may read can't be made there.
@pytest.mark.skipif(sys.platform == "win32", reason="it has other permissions")
def test_a_file_that_others_may_read_is_refused(home: Path) -> None:
    (home / FILE).write_text("secret")
    (home / FILE).chmod(0o644)
    with pytest.raises(UsageError, match="Others may read") as caught:
        token_for(URL, home)
    assert "chmod 600" in caught.value.hint
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://hub.example.org", "could read the token"),
        ("http://192.168.1.5:8888", "could read the token"),
        ("https://me:secret@hub.example.org", "must not hold a password"),
        ("https://hub.example.org/?token=x", "isn't an address"),
        ("file:///etc/passwd", "isn't an address"),
        ("hub.example.org", "isn't an address"),
    ],
)
def test_an_address_that_would_leak_is_refused(url: str, words: str, home: Path) -> None:
    with pytest.raises(UsageError, match=words):
        Hub.at(url, home)


@pytest.mark.parametrize(
    "url", ["http://localhost:8888/", "http://[::1]:1", f"{URL}/base/lifelog/"]
)
def test_this_machine_and_https_are_fine(
    url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIFELOG_API_TOKEN", "x" * 20)
    assert not Hub.at(url, home)._root.endswith("/lifelog/lifelog/api/")
