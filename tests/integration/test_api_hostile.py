"""Whatever is sent to the API: a problem document, nothing half-written, and the server lives."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from lifelog_lake.server.api import patience
from lifelog_lake.server.throttle import BURST
from lifelog_lake.server.tokens import Tokens
from tests.browser.hub import wait_until
from tests.fixtures.api import GIVEN, PNG, Api, Served, problem, served_api

MOST = 200_000


@pytest.fixture(scope="module", name="served")
def a_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("hostile")
        patch.setenv("LIFELOG_HOME", str(home))
        with served_api(home, file_max_bytes=MOST, attachments_per_entry=3) as served:
            yield served


@pytest.fixture(scope="module", name="api")
def an_api(served: Served) -> Api:
    return served.api("read", "write", name="all")


@pytest.fixture
def entry(api: Api) -> Iterator[str]:
    """An entry that has no file, before and after."""
    id_ = api.post("events", json={"title": "An entry"}).json()["id"]
    yield id_
    assert api.get(f"events/{id_}").json()["attachments"] == []


# --- arguments and JSON ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        *("limit=1e9", "limit=1000000000", "limit=0", "limit=-1", "limit=", "limit=9" + "9" * 5000),
        *("start=yesterday", "start=2026-01-01T00:00:00", "end=9999-12-31T23:59:59-14:00"),
        *("stream=pulse", "stream=../journal", "sort=title", "order=up", "any_tag=maybe"),
        *("limit=1&limit=2", "unknown=1", "tag=%00", "tag=%ff", "&".join(["tag=x"] * 501)),
    ],
)
def test_wrong_arguments_are_refused(api: Api, query: str) -> None:
    problem(api.get(f"events?{query}"), 400)


def test_a_tampered_cursor_is_refused(api: Api) -> None:
    api.post("events", json=[{"title": str(n)} for n in range(3)])
    cursor = api.get("events", params={"limit": 1}).json()["cursor"]
    for other in (cursor[:-2], cursor + "AA", "x" * 900, cursor[::-1], "A", "__--"):
        problem(api.get("events", params={"limit": 1, "cursor": other}), 422)
    problem(api.get("events", params={"limit": 1, "cursor": cursor, "order": "asc"}), 422)
    problem(api.get("events", params={"cursor": "e30", "stream": "window"}), 422)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"null", b"7", b'"x"', b"[]", b"[7]", b"{}", b"\xff\xfe", b'{"title": NaN}',
        b'{"title": "\\ud800"}', b'{"title": "a\\u0000b"}', b'{"title": " "}',
        b'{"title": "x", "unknown": 1}', b'{"title": "x", "tags": "x"}',
        b'{"title": "x", "metadata": {"n": 1e999}}', b'{"title": "x", "at": "0001-01-01T00:00Z"}',
        b'{"title": "x", "metadata": {"n": 18446744073709551615}}',
        b'{"title": "x", "id": "../../etc/passwd"}', b'{"title": "' + b"x" * 10_001 + b'"}',
        b'{"title": "x", "metadata": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"title": "x", "metadata": {"a": ' + b'{"a": ' * 40 + b"1" + b"}" * 41 + b"}",
        b"[" * 100_000 + b"]" * 100_000,
    ],
    ids=lambda body: body[:40].decode("latin-1"),
)  # fmt: skip
def test_wrong_bodies_are_refused(api: Api, body: bytes) -> None:
    head = {"Content-Type": "application/json"}
    problem(api.post("events", data=body, headers=head), 400)


def test_other_types_and_methods_are_refused(api: Api) -> None:
    problem(api.post("events", data={"title": "x"}), 415)
    answer = api.put("events", json={})
    problem(answer, 405)
    assert answer.headers["Allow"] == "GET, POST, OPTIONS"
    problem(api.request("BREW", "events"), 405)
    problem(api.get("nothing"), 404)
    foreign = problem(api.get("events", headers={"Host": "evil.example"}), 403)
    assert "[server] url or names" in foreign["hint"]


# --- uploads --------------------------------------------------------------------------------------


@contextmanager
def raw(served: Served, method: str, path: str, token: str, *head: str) -> Iterator[socket.socket]:
    """A connection on which a request's head was sent."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as connection:
        lines = [f"{method} /lifelog/api/{path} HTTP/1.1", "Host: localhost"]
        lines += [f"Authorization: Bearer {token}", *head, "", ""]
        connection.sendall("\r\n".join(lines).encode())
        yield connection


def first_line(connection: socket.socket) -> bytes:
    return connection.makefile("rb").readline().strip()


def no_leftovers(served: Served) -> bool:
    return not list(served.home.spool.rglob(".tmp-*"))


def test_too_large_is_refused_before_the_body(served: Served, api: Api, entry: str) -> None:
    for path, method in ((f"events/{entry}/attachments/a.png", "PUT"), ("events", "POST")):
        for more in ((), ("Expect: 100-continue",)):
            head = ("Content-Type: application/json", f"Content-Length: {10**12}", *more)
            with raw(served, method, path, api.token, *head) as connection:
                assert first_line(connection) == b"HTTP/1.1 413 Request Entity Too Large"
    problem(api.put(f"events/{entry}/attachments/a.png", data=b"x" * (MOST + 1)), 413)
    form = {"file": ("a.txt", b"x" * (MOST + 1))}
    problem(api.post(f"events/{entry}/attachments", files=form), 413)


def test_a_body_without_a_length_is_refused_while_it_streams(api: Api, entry: str) -> None:
    sent = 0

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(MOST // 1000 + 300):
            sent += 1000
            yield b"x" * 1000

    problem(api.put(f"events/{entry}/attachments/a.txt", data=pieces()), 413)


def test_an_upload_that_is_cut_leaves_nothing(served: Served, api: Api, entry: str) -> None:
    length = f"Content-Length: {MOST // 2}"
    with raw(served, "PUT", f"events/{entry}/attachments/a.txt", api.token, length) as connection:
        connection.sendall(b"x" * 60_000)
        wait_until("Nothing was written.", 60, lambda: not no_leftovers(served))
    wait_until("Something is left.", 60, lambda: no_leftovers(served))
    assert api.get("events").status_code == 200


def test_what_isnt_what_it_says_is_refused(api: Api, entry: str) -> None:
    address = f"events/{entry}/attachments"
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    for name, content in (
        ("a.png", svg), ("a.png", b"<!doctype html><script>"), ("a.txt", b"#!/bin/sh\nrm"),
        ("a.exe", PNG), ("a.png", b"MZ\x90\x00" + bytes(500)), ("a.txt", b"\x00\x01"),
    ):  # fmt: skip
        problem(api.put(f"{address}/{name}", data=content), 415)
        problem(api.post(address, files={"file": (name, content)}), 415)
    problem(api.put(f"{address}/a.txt", data=b""), 415)
    problem(api.put("events/nothing/attachments/a.txt", data=b"x"), 404)
    both = [("file", ("good.png", PNG)), ("file", ("bad.png", svg))]
    problem(api.post(address, files=both), 415)  # and the first one is taken back


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=x", b""),
        ("multipart/form-data; boundary=x", b"--x\r\nno header\r\n\r\nabc\r\n--x--\r\n"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nabc\r\n',
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="f"\r\n\r\nno file\r\n--x--\r\n',
        ),
    ],
)
def test_broken_forms_are_refused(api: Api, entry: str, kind: str, body: bytes) -> None:
    head = {"Content-Type": kind}
    problem(api.post(f"events/{entry}/attachments", data=body, headers=head), 400)


def test_an_entry_has_so_many_files_and_no_more(api: Api) -> None:
    id_ = api.post("events", json={"title": "full"}).json()["id"]
    for _ in range(3):
        assert api.put(f"events/{id_}/attachments/a.png", data=PNG).status_code == 201
    problem(api.put(f"events/{id_}/attachments/a.png", data=PNG), 409)
    assert len(api.get(f"events/{id_}").json()["attachments"]) == 3


def test_slow_senders_hold_nobody_up(
    served: Served, api: Api, entry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "IDLE_S", 3.0)
    path, length = f"events/{entry}/attachments/a.txt", f"Content-Length: {MOST}"
    held = [raw(served, "PUT", path, api.token, length) for _ in range(40)]
    connections = [one.__enter__() for one in held]
    for connection in connections:
        connection.sendall(b"slow")
    assert api.post("events", json={"title": "meanwhile"}).status_code == 201
    assert api.get("events").status_code == 200
    for one, connection in zip(held, connections, strict=True):
        assert first_line(connection) == b"HTTP/1.1 408 Request Timeout"
        one.__exit__(None, None, None)
    wait_until("Something is left.", 60, lambda: no_leftovers(served))


def test_a_slow_disk_is_not_the_senders_fault(
    served: Served, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told to send it again although it is kept, it would be there twice."""
    monkeypatch.setattr(patience, "IDLE_S", 0.1)
    id_ = api.post("events", json={"title": "An entry"}).json()["id"]
    path = f"events/{id_}/attachments/a.txt"
    checked = threading.Event()
    check = served.work.journal.check_room
    monkeypatch.setattr(served.work.journal, "check_room", lambda id_: (check(id_), checked.set()))
    with ThreadPoolExecutor(1) as other:
        with served.work.journal._lock:  # an import has it, say
            heard = other.submit(api.put, path, data=b"words")
            assert checked.wait(60)
            threading.Event().wait(0.5)  # longer than a sender may be silent
            with raw(served, "PUT", path, api.token, "Content-Length: 5") as gone:
                gone.sendall(b"gone!")
                threading.Event().wait(0.5)
        assert heard.result().status_code == 201
    wait_until("Something is left.", 60, lambda: no_leftovers(served))
    wait_until(
        "What nobody heard of is kept.", 60,
        lambda: len(api.get(f"events/{id_}").json()["attachments"]) == 1,
    )  # fmt: skip


# --- guessing -------------------------------------------------------------------------------------


def test_who_guesses_is_slowed_and_programs_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIFELOG_HOME", str(tmp_path))
    with served_api(tmp_path) as served:
        api = served.api("read", name="program")
        Tokens(tmp_path).give(GIVEN)
        answers = [Api(served.url, f"guess-{n}").get("events") for n in range(BURST + 3)]
        assert [answer.status_code for answer in answers] == [401] * BURST + [429] * 3
        assert 0 < int(answers[-1].headers["Retry-After"]) <= 7
        problem(answers[-1], 429)
        assert api.get("events").status_code == 200
        problem(Api(served.url, GIVEN).get("events"), 429)  # a person chose it: not looked at


def test_two_creates_of_one_id_at_once_make_one(api: Api) -> None:
    answers: list[requests.Response] = []

    def create() -> None:
        answers.append(Api(api.base.removesuffix("lifelog/api/"), api.token).post(
            "events", json={"title": "x", "id": "the-same"}
        ))  # fmt: skip

    threads = [threading.Thread(target=create) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 5]
