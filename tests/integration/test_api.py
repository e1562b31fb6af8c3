"""The REST API of a running hub: entries, files, export, tokens, what phones send."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import sqlite3
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import requests

from lifelog_lake.clock import US_PER_S
from lifelog_lake.errors import Transient
from lifelog_lake.lake import require_known
from lifelog_lake.server import identity
from lifelog_lake.server.api.limits import NAMES
from lifelog_lake.server.api.repeats import Repeats
from lifelog_lake.server.api.work import CALLS
from lifelog_lake.server.audit import NAME as AUDIT
from lifelog_lake.server.audit import Audit
from lifelog_lake.server.problem import problem_of
from lifelog_lake.server.secret import read_password, read_token
from lifelog_lake.server.throttle import BURST
from lifelog_lake.server.tokens import SCOPES, Tokens
from tests.browser.hub import lasting, minutes_ago, ship_events
from tests.fixtures.api import GIVEN, PNG, Api, Served, problem, served_api
from tests.helpers import FixedClock

EVERYTHING = {
    "title": "Grüße aus العربية 🎉",
    "description": "two\nlines",
    "tags": ["family", "Essen"],
    "metadata": {"total": 42.5, "deep": {"list": [1, None, True]}},
    "at": "2031-05-31T18:30:00+02:00",
    "tz": "Europe/Berlin",
}


@pytest.fixture(scope="module", name="hub")
def the_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("api")
        patch.setenv("LIFELOG_HOME", str(home))
        with served_api(home, file_max_bytes=300_000) as served:
            yield served


@pytest.fixture(scope="module", name="apis")
def the_apis(hub: Served) -> dict[str, Api]:
    Tokens(hub.home.path).give(GIVEN)
    scopes = {"read": ["read"], "write": ["write"], "ingest": ["ingest"], "all": SCOPES}
    made = {name: hub.api(*some, name=name) for name, some in scopes.items()}
    return made | {"given": Api(hub.url, GIVEN)}


@pytest.fixture(scope="module", name="api")
def an_api(apis: dict[str, Api]) -> Api:
    return apis["all"]


def create(api: Api, **fields: object) -> dict[str, object]:
    answer = api.post("events", json={"title": "An entry", **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


# --- entries --------------------------------------------------------------------------------------


def test_an_entry_is_written_read_changed_and_deleted(api: Api) -> None:
    answer = api.post("events", json=EVERYTHING)
    assert answer.status_code == 201
    made = answer.json()
    assert {name: made[name] for name in EVERYTHING if name != "at"} == {
        name: value for name, value in EVERYTHING.items() if name != "at"
    }
    assert made["at"] == "2031-05-31T16:30:00.000000Z"
    address = answer.headers["Location"].removeprefix("/lifelog/api/")
    read = api.get(address)
    assert read.json() == made
    assert read.headers["ETag"] == answer.headers["ETag"]
    same = api.get(address, headers={"If-None-Match": read.headers["ETag"]})
    assert (same.status_code, same.content) == (304, b"")
    changed = api.patch(address, json={"title": "New"}, headers={"If-Match": read.headers["ETag"]})
    assert changed.status_code == 200
    assert changed.json() == made | {
        name: changed.json()[name]
        for name in ("title", "revision", "parent", "lamport", "updated_at")
    }
    assert (changed.json()["title"], changed.json()["parent"]) == ("New", made["revision"])
    assert changed.headers["ETag"] != read.headers["ETag"]
    gone = api.delete(address, headers={"If-Match": changed.headers["ETag"]})
    assert (gone.status_code, gone.content) == (204, b"")
    problem(api.get(address), 404)
    problem(api.patch(address, json={"title": "x"}), 404)
    problem(api.delete(address), 404)


def test_what_was_brought_in_with_odd_ids_is_read_and_changed(api: Api) -> None:
    line = {"id": "odd", "revision": 'a.b,"c"\n é漢', "parent": None, "lamport": 1, "device": "d",
            "title": "odd", "description": "", "tags": [], "metadata": {}, "tz": None,
            **dict.fromkeys(("at", "created_at", "updated_at"), "2026-01-02T03:04Z")}  # fmt: skip
    assert api.post("import?format=jsonl", data=json.dumps(line).encode()).ok
    etag = api.get("events/odd").headers["ETag"]
    changed = api.patch("events/odd", json={"title": "odd, changed"}, headers={"If-Match": etag})
    assert (changed.status_code, changed.json()["parent"]) == (200, line["revision"])
    problem(api.patch("events/odd", json={"title": "x"}, headers={"If-Match": etag}), 412)
    long = api.post("events", data='{"title": "x", "metadata": {"n": 18446744073709551616}}')
    assert "more than 64 bits" in problem(long, 400)["detail"]


def test_of_two_edits_at_once_one_is_told(api: Api) -> None:
    entry = create(api)
    tag = api.get(f"events/{entry['id']}").headers["ETag"]
    answers = [
        api.patch(f"events/{entry['id']}", json={"title": title}, headers={"If-Match": tag})
        for title in ("one", "two")
    ]
    assert [answer.status_code for answer in answers] == [200, 412]
    problem(answers[1], 412)
    problem(api.delete(f"events/{entry['id']}", headers={"If-Match": tag}), 412)
    assert api.get(f"events/{entry['id']}").json()["title"] == "one"
    assert api.patch(f"events/{entry['id']}", json={}, headers={"If-Match": "*"}).ok


def test_who_waits_for_the_lake_holds_up_no_entry(api: Api, hub: Served) -> None:
    ended = threading.Event()
    for _ in range(CALLS):
        hub.work._calls.submit(ended.wait, 60)
    try:
        for head in ({}, {"Idempotency-Key": "beside"}):
            assert api.post("events", json={"title": "beside"}, headers=head).status_code == 201
        assert api.post("ingest/owntracks", json={"_type": "lwt"}).status_code == 200
    finally:
        ended.set()


def test_a_batch_comes_in_together_or_not_at_all(api: Api) -> None:
    batch = [{"title": f"batch {n}", "tags": ["batch"]} for n in range(30)]
    answer = api.post("events", json=batch)
    assert answer.status_code == 201
    assert [entry["title"] for entry in answer.json()["events"]] == [one["title"] for one in batch]
    said = problem(api.post("events", json=[*batch, {"title": ""}]), 400)
    assert "Entry 30" in said["detail"]
    assert said["field"] == "title"
    same = [{"title": "a", "id": "twice", "tags": ["batch"]}] * 2
    problem(api.post("events", json=same), 409)
    assert len(api.get("events", params={"tag": "batch", "limit": 500}).json()["events"]) == 30
    problem(api.post("events", json=[]), 400)


def test_lists_are_filtered_sorted_and_paged(api: Api, hub: Served) -> None:
    create(api, title="c", at="2001-01-03T00:00:00Z", tags=["page", "x"])
    create(api, title="a", at="2001-01-01T00:00:00Z", tags=["page"])
    create(api, title="b", at="2001-01-02T00:00:00Z", tags=["page", "x"])

    def titles(**query: object) -> list[str]:
        answer = api.get("events", params={"tag": "page", **query})
        assert answer.status_code == 200, answer.text
        return [event["title"] for event in answer.json()["events"]]

    assert titles() == ["c", "b", "a"]
    assert titles(order="asc") == ["a", "b", "c"]
    assert titles(sort="created_at", order="asc") == ["c", "a", "b"]
    assert titles(tag=["page", "x"]) == ["c", "b"]
    assert titles(tag=["x", "none"], any_tag="true") == ["c", "b"]
    assert titles(start="2001-01-02T00:00:00+00:00", end="2001-01-03T00:00:00Z") == ["b"]
    assert titles(device="nobody") == []
    assert titles(device=hub.home.device) == ["c", "b", "a"]
    paged: list[str] = []
    cursor: str | None = None
    for _ in range(3):
        query = {"tag": "page", "limit": 1} | ({} if cursor is None else {"cursor": cursor})
        page = api.get("events", params=query).json()
        paged += [event["title"] for event in page["events"]]
        cursor = page["cursor"]
    assert (paged, cursor) == (["c", "b", "a"], None)


def test_other_streams_are_listed_the_same_way(api: Api, hub: Served) -> None:
    times = [minutes_ago(60 * 24 * days) for days in (0.1, 0.2, 3, 40, 400)]
    events = [
        lasting("window", at, at + timedelta(minutes=1), app=f"app {n}", title="t")
        for n, at in enumerate(times)
    ]
    ship_events(hub.home, events)

    def page(**query: object) -> dict[str, object]:
        answer = api.get("events", params={"stream": "window", **query})
        assert answer.status_code == 200, answer.text
        return answer.json()

    names = [f"app {n}" for n in range(5)]
    assert [event["name"] for event in page()["events"]] == names
    assert [event["name"] for event in page(order="asc")["events"]] == names[::-1]
    assert page(device="nobody") == {"events": [], "cursor": None}
    assert len(page(start=minutes_ago(60 * 24 * 10).isoformat())["events"]) == 3
    for order in ("asc", "desc"):
        found, cursor = [], None
        for _ in range(3):
            query = {"limit": 2, "order": order} | ({"cursor": cursor} if cursor else {})
            one = page(**query)
            found += [event["name"] for event in one["events"]]
            cursor = one["cursor"]
        assert (found, cursor) == (names if order == "desc" else names[::-1], None)
    problem(api.get("events", params={"stream": "window", "tag": "x"}), 422)


def test_a_request_that_is_sent_again_is_done_once(api: Api, apis: dict[str, Api]) -> None:
    head = {"Idempotency-Key": "word-1"}
    body = {"title": "once", "tags": ["once"]}
    first = api.post("events", json=body, headers=head)
    again = api.post("events", json=body, headers=head)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert first.headers["Location"] == again.headers["Location"]
    problem(api.post("events", json=body | {"title": "other"}, headers=head), 422)
    assert apis["write"].post("events", json=body, headers=head).json()["id"] != first.json()["id"]
    batch = [{"title": "b1", "tags": ["once"]}, {"title": "b2", "tags": ["once"]}]
    answers = [api.post("events", json=batch, headers={"Idempotency-Key": "w2"}) for _ in "12"]
    assert answers[0].json() == answers[1].json()
    assert len(api.get("events", params={"tag": "once"}).json()["events"]) == 4


def test_a_crash_behind_the_write_doubles_nothing(api: Api, hub: Served) -> None:
    body, head = {"title": "cut", "tags": ["cut"]}, {"Idempotency-Key": "word-cut"}
    first = api.post("events", json=body, headers=head).json()
    db = sqlite3.connect(hub.home.path / "index" / "repeats.db", timeout=60, isolation_level=None)
    with contextlib.closing(db):
        db.execute("UPDATE request SET status = NULL, body = NULL WHERE key = 'word-cut'")
        assert api.post("events", json=body, headers=head).json()["id"] == first["id"]
        assert len(api.get("events", params={"tag": "cut"}).json()["events"]) == 1
        # On another day the word stands for another request, and nothing of it is swallowed.
        db.execute("UPDATE request SET at = at - 86400000001 WHERE key = 'word-cut'")
        other = api.post("events", json=body | {"title": "cut 2"}, headers=head)
        assert (other.status_code, other.json()["title"]) == (201, "cut 2")
        assert len(api.get("events", params={"tag": "cut"}).json()["events"]) == 2


def test_a_damaged_file_of_repeats_is_made_anew_and_a_full_disk_is_said(tmp_path: Path) -> None:
    clock = FixedClock(1_800_000_000 * US_PER_S)
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "repeats.db").write_bytes(b"no database" * 1000)
    with contextlib.closing(Repeats(tmp_path, clock)) as repeats:
        assert repeats.begin("me", "word", b"1").answer is None
        repeats.end("me", "word", (201, b"done"))
        assert repeats.begin("me", "word", b"1").answer == (201, b"done")
        # A clock that was a year ahead and is set back: the key isn't taken for a year.
        clock.now_us += 365 * 86_400 * US_PER_S
        repeats.begin("me", "ahead", b"1")
        repeats.end("me", "ahead", (201, b"done"))
        clock.now_us -= 365 * 86_400 * US_PER_S
        assert repeats.begin("me", "ahead", b"2").answer is None
        repeats._db().execute("PRAGMA max_page_count = 1")  # as many as there are: no room
        repeats.end("me", "ahead", (201, bytes(100_000)))  # what was asked for is done
        with pytest.raises(Transient, match="full") as full:  # noqa: PT012 - one of them is the last
            for number in range(100):
                repeats.begin("me", f"{number:0255}", b"1")
    assert problem_of(full.value).status == 503


# --- files ----------------------------------------------------------------------------------------


def test_a_file_goes_up_by_form_or_as_it_is_and_comes_down_as_a_download(api: Api) -> None:
    entry = create(api)
    text = ("é" * 1000).encode()
    form = api.post(
        f"events/{entry['id']}/attachments",
        files=[("file", ("../Rechnung ä.png", PNG)), ("file", ("notes.md", text))],
        data={"other": "field"},
    )
    assert form.status_code == 201, form.text
    raw = api.put(f"events/{entry['id']}/attachments/plan%20b.txt", data=iter([text[:7], text[7:]]))
    assert raw.status_code == 201, raw.text
    files = api.get(f"events/{entry['id']}/attachments").json()["attachments"]
    assert files == [*form.json()["attachments"], raw.json()]
    assert files == api.get(f"events/{entry['id']}").json()["attachments"]
    assert [(f["name"], f["media_type"], f["size_bytes"]) for f in files] == [
        ("Rechnung ä.png", "image/png", len(PNG)),
        ("notes.md", "text/markdown", len(text)),
        ("plan b.txt", "text/plain", len(text)),
    ]
    answer = api.get(f"attachments/{files[0]['key']}")
    assert answer.content == PNG
    assert answer.headers["ETag"] == f'"{hashlib.sha256(PNG).hexdigest()}"'
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["Content-Disposition"].startswith("attachment; filename*=UTF-8''Rechnung")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"].startswith("sandbox")
    part = api.get(f"attachments/{files[0]['key']}", headers={"Range": "bytes=1-3"})
    assert (part.status_code, part.content) == (206, b"PNG")
    far = api.get(f"attachments/{files[0]['key']}", headers={"Range": "bytes=9999-"})
    problem(far, 416)
    head = api.head(f"attachments/{files[0]['key']}")
    assert (head.headers["Content-Length"], head.content) == (str(len(PNG)), b"")
    tag = {"If-None-Match": answer.headers["ETag"]}
    assert api.get(f"attachments/{files[0]['key']}", headers=tag).status_code == 304
    assert api.get(f"blobs/{files[0]['sha256']}").content == PNG, "seen before it is shipped"
    assert api.delete(f"attachments/{files[0]['key']}").status_code == 204
    problem(api.get(f"attachments/{files[0]['key']}"), 404)
    assert len(api.get(f"events/{entry['id']}").json()["attachments"]) == 2


def test_the_export_is_what_import_takes(api: Api, hub: Served) -> None:
    entry = create(api, title="exported", tags=["export"])
    api.put(f"events/{entry['id']}/attachments/a.png", data=PNG)
    whole = api.get("export")
    assert whole.headers["Content-Type"] == "application/json"
    lines = [one for one in whole.json()["entries"] if one["id"] == entry["id"]]
    assert lines[0]["attachments"][0]["size_bytes"] == len(PNG)
    several = api.get("export", params={"format": "jsonl", "history": "true"})
    assert [json.loads(line) for line in several.text.splitlines()]
    packed = api.get("export", params={"format": "zip"})
    assert ".zip" in packed.headers["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        assert archive.testzip() is None
        key = lines[0]["attachments"][0]["key"]
        assert archive.read(f"files/{key}/a.png") == PNG
    audited = [json.loads(line) for line in (hub.home.path / AUDIT).read_text().splitlines()]
    assert [one["format"] for one in audited if one["action"] == "export"][-1] == "zip"


# --- access ---------------------------------------------------------------------------------------


def test_a_token_does_what_its_scope_says_and_no_more(apis: dict[str, Api], hub: Served) -> None:
    entry = create(apis["all"])
    tries = {
        ("get", "events"): {"read", "all", "given"},
        ("get", f"events/{entry['id']}"): {"read", "all", "given"},
        ("get", "export"): {"read", "all", "given"},
        ("get", "health"): {"read", "all", "given"},
        ("post", "events"): {"write", "ingest", "all", "given"},
        ("patch", f"events/{entry['id']}"): {"write", "all", "given"},
        ("post", "ingest/readings"): {"write", "ingest", "all", "given"},
        ("get", "auth/tokens"): set(),
        ("post", "auth/tokens"): set(),
        ("delete", "auth/tokens/00000000"): set(),
        ("post", "auth/password"): set(),
        ("get", "settings"): set(),
        ("get", "settings/lake"): set(),
        ("get", "audit"): set(),
    }
    for (method, path), may in tries.items():
        for name, api in apis.items():
            answer = api.request(method, path, json={})
            if name in may:
                assert answer.status_code not in (401, 403), (name, method, path, answer.text)
            else:
                problem(answer, 403)


def test_a_token_in_an_address_opens_nothing(apis: dict[str, Api], hub: Served) -> None:
    stranger = requests.Session()
    for secret in (apis["all"].token, GIVEN, read_token(hub.home.path)):
        answer = stranger.get(f"{apis['all'].base}export?token={secret}", timeout=60)
        problem(answer, 401)


def test_basic_is_for_programs_without_headers(api: Api) -> None:
    answer = requests.get(f"{api.base}events", auth=("phone", api.token), timeout=60)
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers
    problem(requests.get(f"{api.base}events", auth=("phone", "wrong"), timeout=60), 401)


def test_a_token_rotates_itself_and_the_old_one_ends(hub: Served, api: Api) -> None:
    made = Tokens(hub.home.path).create("turning", ["ingest"])
    program = Api(hub.url, made.secret)
    answer = program.post("auth/token/rotate")
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["name"], told["scopes"]) == ("turning", ["ingest"])
    problem(program.post("events", json={"title": "x"}), 401)
    fresh = Api(hub.url, told["token"])
    assert fresh.post("events", json={"title": "x"}).status_code == 201
    problem(fresh.post("auth/token/rotate", json={"id": api.token[:8]}), 403)
    Tokens(hub.home.path).revoke("turning")  # by the command, while the hub runs
    problem(fresh.post("events", json={"title": "x"}), 401)


def test_a_person_makes_and_ends_tokens_with_the_second_cookie(hub: Served) -> None:
    person = hub.person()
    base = f"{hub.url}lifelog/api/auth/tokens"
    asked = {"name": "from the page", "scopes": ["read"]}
    assert person.post(base, json=asked, timeout=60).status_code == 403
    person.get(f"{hub.url}lifelog/api/settings", timeout=120)
    person.headers["X-XSRFToken"] = person.cookies["_xsrf"]
    foreign = person.post(base, json=asked, headers={"Origin": "http://evil.example"}, timeout=60)
    assert foreign.status_code in (403, 404)
    made = person.post(base, json=asked, timeout=60)
    assert made.status_code == 201, made.text
    program = Api(hub.url, made.json()["token"])
    assert program.get("events").status_code == 200
    names = [one["name"] for one in person.get(base, timeout=60).json()["tokens"]]
    assert "from the page" in names
    assert person.delete(f"{base}/{made.json()['id']}", timeout=60).status_code == 200
    problem(program.get("events"), 401)
    problem(person.delete(f"{base}/{made.json()['id']}", timeout=60), 404)


# --- what phones and houses send ------------------------------------------------------------------


def sensor(api: Api, hub: Served) -> list[tuple[str, str]]:
    from lifelog_lake.clock import SystemClock
    from lifelog_lake.ship.shipper import Shipper

    assert not Shipper.of(hub.home, SystemClock()).run_once().errors
    answer = api.get("events", params={"stream": "sensor", "limit": 500, "order": "asc"})
    return [(event["name"], event["detail"]) for event in answer.json()["events"]]


def test_places_and_readings_become_rows_once(apis: dict[str, Api], hub: Served) -> None:
    described = apis["ingest"].get("openapi.json").json()
    for path in ("owntracks", "overland", "readings"):
        body = described["paths"][f"/lifelog/api/ingest/{path}"]["post"]["requestBody"]
        (example,) = body["content"]["application/json"]["examples"].values()
        head = {"Idempotency-Key": "the-same"} if path == "readings" else {}
        for _ in range(2):  # a phone that didn't hear the answer sends again
            answer = apis["ingest"].post(f"ingest/{path}", json=example["value"], headers=head)
            assert answer.ok, answer.text
            if path == "overland":
                overland = body["content"]["application/json"]
                assert answer.json() == {"result": "ok"}
    rows = sensor(apis["all"], hub)
    assert rows.count(("latitude", "52.516 deg")) == 2  # one of each
    assert rows.count(("temperature", "21.5 Cel")) == 1
    assert ("speed", "1.111 m/s") in rows
    assert len(rows) == 6 + 6 + 1
    other = apis["ingest"].post("ingest/owntracks", json={"_type": "waypoints"})
    assert (other.status_code, other.json()) == (200, [])
    problem(apis["ingest"].post("ingest/owntracks", json={"_type": "location", "tst": 1}), 422)
    sealed = apis["ingest"].post("ingest/owntracks", json={"_type": "encrypted", "data": "x"})
    assert "encryption key" in problem(sealed, 422)["detail"]
    # A place that can't be used is left out: refused, the phone would send it for ever.
    (batch,) = overland["examples"].values()
    (good,) = batch["value"]["locations"]
    at = {"timestamp": "2026-06-01T00:00:00Z"}
    for broken in ({"properties": {"timestamp": "soon"}}, {"geometry": good["geometry"] | {
        "coordinates": [None, 1]}}, {"properties": at, "geometry": good["geometry"] | {
        "coordinates": [1, 91]}}):  # fmt: skip
        batch = {"locations": [good | broken, good | {"properties": at}]}
        assert apis["ingest"].post("ingest/overland", json=batch).json() == {"result": "ok"}
    assert sensor(apis["all"], hub).count(("latitude", "52.516 deg")) == 3
    assert Audit(hub.home.path).newest(1)[0]["left_out"] == 1
    basic = base64.b64encode(f"phone:{apis['ingest'].token}".encode()).decode()
    head = {"Authorization": f"Basic {basic}", "X-Limit-D": "phone"}
    stranger = requests.post(
        f"{apis['all'].base}ingest/owntracks", json={"_type": "lwt"}, headers=head, timeout=60
    )
    assert stranger.status_code == 200


def test_the_metrics_count_the_api(api: Api) -> None:
    text = api.get("metrics").text
    for name in ("calls_total", "errors_total", "received_bytes_total", "sent_bytes_total",
                 "chunks_total", "rows_total", "call_seconds_bucket"):  # fmt: skip
        assert f"lifelog_api_{name}" in text, name
    assert 'lifelog_api_rows_total{stream="journal"}' in text
    assert 'lifelog_api_errors_total{operation="createEvents",status="400"}' in text


def test_another_password_ends_every_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFELOG_HOME", str(tmp_path))
    monkeypatch.setattr(identity, "LOOK_EVERY_S", 3600.0)
    with served_api(tmp_path) as served:
        person = served.person()
        address = f"{served.url}lifelog/api/auth/"
        person.get(f"{served.url}lifelog/api/settings", timeout=120)
        person.headers["X-XSRFToken"] = person.cookies["_xsrf"]
        asked = {"current": "wrong", "new": "a new password"}
        assert (
            person.get(f"{served.url}lifelog/api/settings", timeout=60).json()["login"] == "token"
        )
        assert person.post(f"{address}password", json=asked, timeout=60).status_code == 403
        asked["current"] = read_token(tmp_path)
        assert person.get(f"{address}tokens", timeout=60).status_code == 200
        assert person.post(f"{address}password", json=asked, timeout=60).status_code == 204
        problem(person.get(f"{address}tokens", timeout=60), 401)
        old = {"Authorization": f"token {asked['current']}"}
        problem(requests.get(f"{address}tokens", headers=old, timeout=60), 401)


def test_guesses_of_the_old_password_are_failed_logins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIFELOG_HOME", str(tmp_path))
    with served_api(tmp_path) as served:
        person = served.person()
        person.get(f"{served.url}lifelog/api/settings", timeout=60)
        person.headers["X-XSRFToken"] = person.cookies["_xsrf"]
        address = f"{served.url}lifelog/api/auth/password"

        def guess(current: str) -> int:
            body = {"current": current, "new": "a new password"}
            return requests.post(
                address, json=body, headers=person.headers, cookies=person.cookies, timeout=60
            ).status_code

        with ThreadPoolExecutor(2 * BURST) as beside:
            said = list(beside.map(guess, [f"wrong {n}" for n in range(2 * BURST)]))
        assert sorted(said) == [403] * BURST + [429] * BURST
        assert guess(read_token(tmp_path)) == 429, "the right one isn't looked at either"
        assert not read_password(tmp_path)


def test_a_person_sees_what_is_in_use_and_what_was_done(hub: Served) -> None:
    person = hub.person()
    base = f"{hub.url}lifelog/api/"
    found = person.get(f"{base}settings", timeout=60).json()
    assert [limit["name"] for limit in found["limits"]] == list(NAMES)
    lake = person.get(f"{base}settings/lake", timeout=60).json()
    assert (lake["reachable"], lake["generation"]) == (True, 1)
    assert lake["lake_id"] == require_known(hub.home).lake_id
    Audit(hub.home.path).record("export", who="person", format="zip")
    (line,) = person.get(f"{base}audit", params={"limit": 1}, timeout=60).json()["lines"]
    assert (line["action"], line["format"]) == ("export", "zip")
    problem(person.get(f"{base}audit", params={"limit": 0}, timeout=60), 400)
