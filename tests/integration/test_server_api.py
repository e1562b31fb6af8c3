"""The REST routes of a running hub: blobs, thumbnails and the timeline."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from PIL import Image

from lifelog_lake.care import thumbnails
from lifelog_lake.care.pictures import shrink
from lifelog_lake.clock import SystemClock, to_us
from lifelog_lake.events import BlobSource, new_event
from lifelog_lake.lake import parse_url
from lifelog_lake.lake.store import blob_key
from lifelog_lake.ship.shipper import Shipper
from lifelog_lake.spool.queue import Spool
from tests.browser.hub import (
    HOSTILE,
    Hub,
    lasting,
    minutes_ago,
    new_home,
    picture,
    ship_events,
    ship_frames,
    start_hub,
    wait_until,
)
from tests.fixtures.pulses import MINUTE_US, covered

EVIL = b"<!doctype html><script>alert(1)</script>"
BIG = bytes(range(256)) * 5000


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    home = new_home(tmp_path_factory.mktemp("api"))
    ship_frames(home, [minutes_ago(30 - n) for n in range(12)])
    ship_frames(home, [minutes_ago(29.5)], device=HOSTILE, name="Other")
    began = minutes_ago(18)
    first = lasting("window", began, began + timedelta(minutes=5), app="Editor", title=HOSTILE)
    second = new_event(
        "window",
        at=to_us(began + timedelta(minutes=5)),
        end=to_us(began + timedelta(minutes=8)),
        cont=first.id,
        data=first.data,
    )
    address = "https://me@www.example.org/a?b#c"
    sound = {"speech": 0.25, "level_dbfs": -30.5, "source": "Microphone"}
    ship_events(
        home,
        [
            first,
            second,
            lasting("web", minutes_ago(9), minutes_ago(8), url=address, title="A page"),
            lasting("afk", minutes_ago(20), minutes_ago(16), status="not-afk"),
            lasting("audio", minutes_ago(6), minutes_ago(5), **sound),
        ],
    )
    queue = Spool.of(home)
    for content, claimed in ((EVIL, "image/png"), (BIG, "video/mp4")):
        queue.append(
            [
                new_event(
                    "attachment",
                    at=to_us(minutes_ago(1)),
                    data={"key": "k", "name": "n"},
                    source=BlobSource.of_bytes(content, claimed),
                )
            ]
        )
    assert not Shipper.of(home, SystemClock()).run_once().errors
    running = start_hub(home)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def client(hub: Hub) -> requests.Session:
    return hub.client()


def blob(hub: Hub, content: bytes) -> str:
    return f"{hub.url}lifelog/api/blobs/{hashlib.sha256(content).hexdigest()}"


FRAME = picture("Frame 0")


def test_a_frame_is_served_whole_and_may_be_kept_for_ever(hub: Hub, client) -> None:
    answer = client.get(blob(hub, FRAME))
    assert answer.status_code == 200
    assert answer.content == FRAME
    assert answer.headers["Content-Type"] == "image/webp"
    assert answer.headers["Content-Length"] == str(len(FRAME))
    assert answer.headers["ETag"] == f'"{hashlib.sha256(FRAME).hexdigest()}"'
    assert answer.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert "Content-Disposition" not in answer.headers


def test_head_tells_the_same_without_content(hub: Hub, client) -> None:
    whole, head = client.get(blob(hub, FRAME)), client.head(blob(hub, FRAME))
    assert head.status_code == 200
    assert head.content == b""
    for name in ("ETag", "Content-Type", "Content-Length", "Cache-Control", "Accept-Ranges"):
        assert head.headers[name] == whole.headers[name]


def test_a_known_tag_saves_the_content(hub: Hub, client) -> None:
    tag = client.head(blob(hub, FRAME)).headers["ETag"]
    same = client.get(blob(hub, FRAME), headers={"If-None-Match": tag})
    assert (same.status_code, same.content) == (304, b"")
    assert same.headers["ETag"] == tag
    other = client.get(blob(hub, FRAME), headers={"If-None-Match": '"something else"'})
    assert (other.status_code, other.content) == (200, FRAME)


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100000-299999", 100_000, 300_000),
        ("bytes=1279999-", 1_279_999, 1_280_000),
        ("bytes=-7", 1_279_993, 1_280_000),
        ("bytes=1000000-99999999", 1_000_000, 1_280_000),
    ],
)
def test_a_range_is_served(hub: Hub, client, asked: str, start: int, stop: int) -> None:
    answer = client.get(blob(hub, BIG), headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.content == BIG[start:stop]
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(BIG)}"


def test_ranges_follow_their_conditions(hub: Hub, client) -> None:
    tag = client.head(blob(hub, BIG)).headers["ETag"]
    fits = client.get(blob(hub, BIG), headers={"Range": "bytes=0-3", "If-Range": tag})
    assert (fits.status_code, fits.content) == (206, BIG[:4])
    changed = client.get(blob(hub, BIG), headers={"Range": "bytes=0-3", "If-Range": '"old"'})
    assert (changed.status_code, changed.content) == (200, BIG)
    several = client.get(blob(hub, BIG), headers={"Range": "bytes=0-1,5-6"})
    assert (several.status_code, several.content) == (200, BIG)


def test_a_range_outside_is_refused_with_the_size(hub: Hub, client) -> None:
    answer = client.get(blob(hub, BIG), headers={"Range": f"bytes={len(BIG)}-"})
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == f"bytes */{len(BIG)}"
    assert str(len(BIG)) in answer.json()["hint"]


def test_markup_passed_off_as_a_picture_is_a_download(hub: Hub, client) -> None:
    answer = client.get(blob(hub, EVIL))
    assert answer.content == EVIL
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("name", ["abc", "A" * 64, "g" * 64, "0" * 63, "0" * 65, "..%2f..%2ftoken"])
def test_what_is_no_blob_name_is_refused(hub: Hub, client, name: str) -> None:
    answer = client.get(f"{hub.url}lifelog/api/blobs/{name}")
    assert answer.status_code == 400
    assert "sha256" in answer.json()["hint"]


def test_an_unknown_blob_says_what_to_do(hub: Hub, client) -> None:
    answer = client.get(f"{hub.url}lifelog/api/blobs/{'0' * 64}")
    assert answer.status_code == 404
    assert "verify" in answer.json()["hint"]
    assert "immutable" not in answer.headers["Cache-Control"]


def test_the_cookie_opens_blobs_too(hub: Hub) -> None:
    assert hub.person().get(blob(hub, FRAME)).content == FRAME


# --- thumbnails -----------------------------------------------------------------------------------


def thumbnail(hub: Hub, content: bytes) -> str:
    return f"{hub.url}lifelog/api/thumbnails/{hashlib.sha256(content).hexdigest()}"


def test_a_frame_is_made_small_once_and_may_be_kept_for_ever(hub: Hub, client) -> None:
    answer = client.get(thumbnail(hub, FRAME))
    assert answer.status_code == 200
    small = Image.open(io.BytesIO(answer.content))
    assert (small.format, small.size) == ("WEBP", (320, 180))
    assert answer.headers["Content-Type"] == "image/webp"
    assert answer.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    name = hashlib.sha256(FRAME).hexdigest()
    kept = hub.home.path / "index" / "thumbnails" / name[:2] / f"{name}.webp"
    assert kept.read_bytes() == answer.content
    tag = answer.headers["ETag"]
    same = client.get(thumbnail(hub, FRAME), headers={"If-None-Match": tag})
    assert (same.status_code, same.content) == (304, b"")


def test_the_lakes_own_small_picture_is_served_without_the_frame(hub: Hub, client) -> None:
    ship_frames(hub.home, [minutes_ago(90)], name="Derived")
    content = picture("Derived 0")
    store = parse_url(hub.home.lake_url, hub.home)
    thumbnails.run(hub.home, store, SystemClock())
    store.place(blob_key(hashlib.sha256(content).hexdigest())).write_bytes(b"gone")
    wait_until(
        "The server doesn't see it.",
        60,
        lambda: client.get(thumbnail(hub, content)).status_code == 200,
    )
    answer = client.get(thumbnail(hub, content))
    assert answer.content == shrink(io.BytesIO(content))
    assert answer.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    tag = answer.headers["ETag"]
    same = client.get(thumbnail(hub, content), headers={"If-None-Match": tag})
    assert (same.status_code, same.content) == (304, b"")
    name = hashlib.sha256(content).hexdigest()
    assert not (hub.home.path / "index" / "thumbnails" / name[:2] / f"{name}.webp").exists()


def test_what_is_no_picture_has_no_small_one(hub: Hub, client) -> None:
    answer = client.get(thumbnail(hub, EVIL))
    assert answer.status_code == 415
    assert "blobs" in answer.json()["hint"]
    assert "immutable" not in answer.headers["Cache-Control"]
    assert client.get(f"{hub.url}lifelog/api/thumbnails/{'0' * 64}").status_code == 404
    assert client.get(f"{hub.url}lifelog/api/thumbnails/..%2ftoken").status_code == 400
    assert requests.get(thumbnail(hub, FRAME), timeout=30).status_code == 401


# --- timeline -------------------------------------------------------------------------------------


def ask(hub: Hub, client, route: str, **query: object) -> requests.Response:
    base = {"start": minutes_ago(60).isoformat(), "end": minutes_ago(0).isoformat()}
    return client.get(f"{hub.url}lifelog/api/{route}", params={**base, **query})


def timeline(hub: Hub, client, **query: object) -> requests.Response:
    return ask(hub, client, "timeline", **query)


def frames(hub: Hub, client, **query: object) -> requests.Response:
    return timeline(hub, client, stream="screen", **query)


def test_events_come_newest_first_in_pages(hub: Hub, client) -> None:
    whole = frames(hub, client).json()
    times = [frame["at"] for frame in whole["events"]]
    assert whole["total"] == len(times) == 13
    assert times == sorted(times, reverse=True)
    ids = [frame["id"] for frame in whole["events"]]
    paged = []
    fixed = {"start": minutes_ago(60).isoformat(), "end": minutes_ago(0).isoformat()}
    for offset in (0, 5, 10):
        page = frames(hub, client, offset=offset, limit=5, **fixed).json()
        assert (page["total"], page["offset"]) == (13, offset)
        paged += [frame["id"] for frame in page["events"]]
    assert paged == ids
    assert frames(hub, client, offset=13).json()["events"] == []


def test_a_frame_of_the_list_leads_to_its_picture(hub: Hub, client) -> None:
    frame = frames(hub, client).json()["events"][-1]
    answer = client.get(f"{hub.url}lifelog/api/blobs/{frame['blob']}")
    assert answer.content == FRAME
    assert frame["blob_bytes"] == len(FRAME)
    began, ended = (datetime.fromisoformat(frame[name]) for name in ("at", "end"))
    assert ended - began == timedelta(seconds=10)


def test_slices_are_one_event_with_what_a_page_shows_of_it(hub: Hub, client) -> None:
    streams = ["window", "web", "window", "afk", "audio"]  # a name that is given twice counts once
    events = timeline(hub, client, stream=streams).json()["events"]
    by_stream = {event["stream"]: event for event in events}
    assert len(events) == len(by_stream) == 4
    window = by_stream["window"]
    assert (window["name"], window["detail"]) == ("Editor", HOSTILE)
    began, ended = (datetime.fromisoformat(window[name]) for name in ("at", "end"))
    assert ended - began == timedelta(minutes=8)
    web = by_stream["web"]
    assert (web["name"], web["url"]) == ("example.org", "https://me@www.example.org/a?b#c")
    assert by_stream["afk"]["name"] == "Active"
    assert (by_stream["audio"]["speech"], by_stream["audio"]["level_dbfs"]) == (0.25, -30.5)


def test_events_of_some_devices(hub: Hub, client) -> None:
    answer = frames(hub, client, device=HOSTILE).json()
    assert [frame["device"] for frame in answer["events"]] == [HOSTILE]
    assert frames(hub, client, device="nobody").json()["total"] == 0
    both = frames(hub, client, device=[HOSTILE, hub.home.device]).json()
    assert both["total"] == 13


def test_a_moment_has_its_place_and_its_company(hub: Hub, client) -> None:
    listed = frames(hub, client).json()["events"]
    at = datetime.fromisoformat(listed[4]["at"])
    for moment, index in ((at, 4), (at + timedelta(seconds=1), 4), (minutes_ago(59), 12)):
        answer = frames(hub, client, around=moment.isoformat(), limit=1).json()
        assert answer["index"] == index
    inside = minutes_ago(15).isoformat()
    going_on = timeline(hub, client, stream=["window", "web"], moment=inside).json()["events"]
    assert [event["stream"] for event in going_on] == ["window"]
    assert timeline(hub, client, stream="window", moment=minutes_ago(50).isoformat()).json() == {
        "total": 0,
        "offset": 0,
        "events": [],
    }


def test_a_summary_counts_by_stream_and_device(hub: Hub, client) -> None:
    told = ask(hub, client, "summary").json()
    assert {entry["name"]: entry["events"] for entry in told["streams"]} == {
        "afk": 1,
        "window": 1,
        "web": 1,
        "screen": 13,
        "audio": 1,
        "attachment": 2,
    }
    assert [entry["label"] for entry in told["streams"]][:2] == ["Presence", "Windows"]
    assert [entry["name"] for entry in told["devices"]] == sorted([hub.home.device, HOSTILE])
    assert told["newest_at"] is None


def test_an_empty_span_names_the_newest_event(hub: Hub, client) -> None:
    newest = timeline(hub, client).json()["events"][0]["at"]
    span = {"start": minutes_ago(600).isoformat(), "end": minutes_ago(599).isoformat()}
    empty = ask(hub, client, "summary", **span).json()
    assert (empty["streams"], empty["newest_at"]) == ([], newest)


def test_a_search_finds_what_was_shipped(hub: Hub, client) -> None:
    asked = {"q": "page", "facets": "1"}
    answer = client.get(f"{hub.url}lifelog/api/search", params=asked)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    (result,) = told["results"]
    assert (result["stream"], result["title"]) == ("web", "A page")
    assert (result["snippet"], result["marks"]) == ("A page", [[2, 6]])
    assert (told["total"], told["cursor"], told["fresh"]) == (1, None, True)
    assert told["facets"]["stream"] == [{"value": "web", "count": 1}]
    ship_events(hub.home, [lasting("web", minutes_ago(3), minutes_ago(2), title="Another page")])

    def both() -> bool:
        found = client.get(
            f"{hub.url}lifelog/api/search",
            params={"q": "page", "order": "newest", "stream": ["web", "journal"]},
        ).json()
        return [one["title"] for one in found["results"]] == ["Another page", "A page"]

    wait_until("The new page isn't found.", 30, both)
    wrong = client.get(f"{hub.url}lifelog/api/search", params={"q": "page AND (x"})
    assert (wrong.status_code, wrong.headers["Content-Type"]) == (400, "application/problem+json")
    assert wrong.json()["position"] == 9
    assert "bracket" in wrong.json()["detail"]
    other = client.get(f"{hub.url}lifelog/api/search", params={"q": "page", "cursor": "e30"})
    assert (other.status_code, "position" in other.json()) == (422, False)
    assert requests.get(f"{hub.url}lifelog/api/search", params=asked).status_code == 401
    off = client.get(f"{hub.url}lifelog/api/search", params={"q": "page", "semantic": "1"})
    assert (off.status_code, off.json()["detail"]) == (400, "Search by meaning is off.")
    assert "semantic = true" in off.json()["hint"]
    long = client.get(f"{hub.url}lifelog/api/search", params={"q": "x" * 20_000})
    assert (long.status_code, long.json()["position"]) == (400, 10_000)


def test_a_lake_of_real_days_is_no_demo(hub: Hub, client) -> None:
    assert client.get(f"{hub.url}lifelog/api/lake").json() == {"demo": None}


@pytest.mark.parametrize(
    ("query", "about"),
    [
        ({"start": ""}, "start"),
        ({"start": "yesterday"}, "start"),
        ({"end": "2026-01-01T00:00:00"}, "zone"),
        ({"start": "0001-01-01T00:00:00+14:00"}, "start"),
        ({"end": "9999-12-31T23:59:59-14:00"}, "end"),
        ({"start": "2300-01-01T00:00:00Z", "end": "2300-01-02T00:00:00Z"}, "2199"),
        ({"start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}, "span"),
        ({"start": "2020-01-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"}, "span"),
        ({"offset": "-1"}, "offset"),
        ({"offset": "1e3"}, "offset"),
        ({"offset": "9" * 5000}, "offset"),
        ({"limit": "0"}, "limit"),
        ({"limit": "501"}, "limit"),
        ({"limit": "٣"}, "limit"),
        ({"limit": ["1", "2"]}, "limit"),
        ({"stream": "pulse"}, "stream"),
        ({"stream": ["screen", "<script>"]}, "stream.1"),
        ({"around": "now"}, "around"),
        ({"moment": "2026-01-01T00:00:00"}, "moment"),
    ],
)
def test_bad_input_is_refused_in_words(
    hub: Hub, client, query: dict[str, object], about: str
) -> None:
    answer = timeline(hub, client, **query)
    assert answer.status_code == 400
    said = answer.json()
    assert about in said["detail"]
    assert said["hint"]


def test_other_paths_answer_404_in_json(hub: Hub, client) -> None:
    for path in ("lifelog/api/nothing", "lifelog/search-me", "lifelog/timeline/x"):
        answer = client.get(hub.url + path)
        assert answer.status_code == 404
        assert answer.json()["hint"]


def test_a_lake_that_is_gone_is_said_and_comes_back(tmp_path: Path) -> None:
    home = new_home(tmp_path)
    ship_frames(home, [minutes_ago(5)])
    away = tmp_path / "away"
    (tmp_path / "lake").rename(away)
    running = start_hub(home)
    try:
        answer = frames(running, running.client())
        assert answer.status_code == 503
        assert "Mount" in answer.json()["hint"]
        away.rename(tmp_path / "lake")
        assert frames(running, running.client()).json()["total"] == 1
        (tmp_path / "lake").rename(away)  # under a server that has read it
        wait_until(
            "A lake that went away is shown as an empty one.",
            90,
            lambda: frames(running, running.client()).status_code == 503,
        )
    finally:
        running.stop()


def test_coverage_tells_hours_with_what_was_lost_and_why(hub: Hub, client) -> None:
    begin = to_us(datetime(2026, 3, 2, 8, tzinfo=UTC))
    lost = begin + 70 * MINUTE_US, begin + 90 * MINUTE_US
    events = covered(begin, begin + 180 * MINUTE_US, lost=lost, why=HOSTILE)
    ship_events(hub.home, events, device="covered")
    asked = {"start": "2026-03-02T08:00:00Z", "end": "2026-03-02T12:00:00Z", "device": "covered"}
    answer = client.get(f"{hub.url}lifelog/api/coverage", params=asked)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    told = [(one["at"][11:16], one["state"], one["minutes"]) for one in answer.json()["hours"]]
    assert told == [
        *(("08:00", "idle", 60), ("09:00", "idle", 40), ("09:00", "lost", 20)),
        *(("10:00", "idle", 60), ("11:00", "off", 60)),
    ]
    assert answer.json()["hours"][2]["reasons"] == [f"screen: {HOSTILE}"]
    india = client.get(
        f"{hub.url}lifelog/api/coverage", params={**asked, "zone": "Asia/Kolkata"}
    ).json()
    assert {one["at"][14:16] for one in india["hours"]} == {"30"}  # its hours begin there
    for zone, status in (("../x", 400), ("Mars/Olympus", 422)):
        refused = client.get(f"{hub.url}lifelog/api/coverage", params={**asked, "zone": zone})
        assert (refused.status_code, refused.json()["hint"] != "") == (status, True)
    assert requests.get(f"{hub.url}lifelog/api/coverage", params=asked).status_code == 401
