"""The REST routes of a running hub: blobs and frames."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import requests

from lifelog_lake.clock import SystemClock, to_us
from lifelog_lake.events import BlobSource, new_event
from lifelog_lake.ship.shipper import Shipper
from lifelog_lake.spool.queue import Spool
from tests.browser.hub import (
    HOSTILE,
    Hub,
    minutes_ago,
    new_home,
    picture,
    ship_frames,
    start_hub,
)

EVIL = b"<!doctype html><script>alert(1)</script>"
BIG = bytes(range(256)) * 5000


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    home = new_home(tmp_path_factory.mktemp("api"))
    ship_frames(home, [minutes_ago(30 - n) for n in range(12)])
    ship_frames(home, [minutes_ago(29.5)], device=HOSTILE, name="Other")
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


# --- frames ---------------------------------------------------------------------------------------


def frames(hub: Hub, client, **query: object) -> requests.Response:
    base = {"start": minutes_ago(60).isoformat(), "end": minutes_ago(0).isoformat()}
    return client.get(f"{hub.url}lifelog/api/frames", params={**base, **query})


def test_frames_come_newest_first_in_pages(hub: Hub, client) -> None:
    whole = frames(hub, client).json()
    times = [frame["at"] for frame in whole["frames"]]
    assert whole["total"] == len(times) == 13
    assert times == sorted(times, reverse=True)
    assert whole["devices"] == sorted([hub.home.device, HOSTILE])
    ids = [frame["id"] for frame in whole["frames"]]
    paged = []
    fixed = {"start": minutes_ago(60).isoformat(), "end": minutes_ago(0).isoformat()}
    for offset in (0, 5, 10):
        page = frames(hub, client, offset=offset, limit=5, **fixed).json()
        assert (page["total"], page["offset"]) == (13, offset)
        paged += [frame["id"] for frame in page["frames"]]
    assert paged == ids
    assert frames(hub, client, offset=13).json()["frames"] == []


def test_a_frame_of_the_list_leads_to_its_picture(hub: Hub, client) -> None:
    frame = frames(hub, client).json()["frames"][-1]
    answer = client.get(f"{hub.url}lifelog/api/blobs/{frame['blob']}")
    assert answer.content == FRAME
    assert frame["blob_bytes"] == len(FRAME)
    began, ended = (datetime.fromisoformat(frame[name]) for name in ("at", "end"))
    assert ended - began == timedelta(seconds=10)


def test_frames_of_one_device(hub: Hub, client) -> None:
    answer = frames(hub, client, device=HOSTILE).json()
    assert [frame["device"] for frame in answer["frames"]] == [HOSTILE]
    assert frames(hub, client, device="nobody").json()["total"] == 0


def test_an_empty_span_names_the_newest_frame(hub: Hub, client) -> None:
    newest = frames(hub, client).json()["frames"][0]["at"]
    empty = frames(
        hub, client, start=minutes_ago(600).isoformat(), end=minutes_ago(599).isoformat()
    ).json()
    assert (empty["total"], empty["newest_at"]) == (0, newest)


@pytest.mark.parametrize(
    ("query", "about"),
    [
        ({"start": ""}, "start"),
        ({"start": "yesterday"}, "start"),
        ({"end": "2026-01-01T00:00:00"}, "offset"),
        ({"start": "0001-01-01T00:00:00+14:00"}, "start"),
        ({"end": "9999-12-31T23:59:59-14:00"}, "end"),
        ({"start": "2300-01-01T00:00:00Z", "end": "2300-01-02T00:00:00Z"}, "range"),
        ({"start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}, "span"),
        ({"start": "2020-01-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"}, "span"),
        ({"offset": "-1"}, "offset"),
        ({"offset": "1e3"}, "offset"),
        ({"offset": "9" * 5000}, "offset"),
        ({"limit": "0"}, "limit"),
        ({"limit": "501"}, "limit"),
        ({"limit": "٣"}, "limit"),
        ({"limit": ["1", "2"]}, "limit"),
    ],
)
def test_bad_input_is_refused_in_words(
    hub: Hub, client, query: dict[str, object], about: str
) -> None:
    answer = frames(hub, client, **query)
    assert answer.status_code == 400
    said = answer.json()
    assert about in said["message"]
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
    finally:
        running.stop()
