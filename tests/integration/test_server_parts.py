"""The server's small parts, without a server: ranges, tags, sniffing, status, runs, ports."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import polars as pl
import pytest

from lifelog_lake.errors import Terminal, UsageError
from lifelog_lake.home import open_home
from lifelog_lake.recall.timeline import SCHEMA
from lifelog_lake.server import launch, places
from lifelog_lake.server.media import inert_type
from lifelog_lake.server.ranges import (
    ByteRange,
    Unsatisfiable,
    etag_matches,
    parse_range,
    range_still_valid,
)
from lifelog_lake.server.secret import read_token
from lifelog_lake.ui.lane import RESOLUTION, runs
from lifelog_lake.ui.status import read_status
from tests.browser.hub import picture


@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 10),
        ("bytes=3-", 3, 10),
        ("bytes=9-9", 9, 10),
        ("bytes=-4", 6, 10),
        ("bytes=-40", 0, 10),
        ("BYTES = 2 - 4", 2, 5),
    ],
)
def test_a_single_range_is_understood(header: str, start: int, stop: int) -> None:
    assert parse_range(header, 10) == ByteRange(start=start, stop=stop)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes=",
        "bytes=-",
        "items=0-1",
        "bytes=0-1,3-4",
        "bytes=5-2",
        "bytes=a-b",
        f"bytes={'9' * 5000}-",
    ],
)
def test_what_is_no_single_range_means_the_whole(header: str | None) -> None:
    assert parse_range(header, 10) is None


@pytest.mark.parametrize(("header", "size"), [("bytes=10-", 10), ("bytes=-0", 10), ("bytes=-1", 0)])
def test_a_range_beyond_the_content_is_refused(header: str, size: int) -> None:
    with pytest.raises(Unsatisfiable):
        parse_range(header, size)


def test_tags_are_compared_as_the_rfc_says() -> None:
    assert etag_matches('"x", W/"abc"', '"abc"')
    assert etag_matches("*", '"abc"')
    assert not etag_matches('"abcd"', '"abc"')
    assert not etag_matches(None, '"abc"')
    assert range_still_valid(None, '"abc"')
    assert range_still_valid('"abc"', '"abc"')
    assert not range_still_valid('W/"abc"', '"abc"')  # If-Range wants a strong tag


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF"])
def test_pictures_are_recognised_by_their_bytes(kind: str) -> None:
    assert inert_type(picture("x", kind=kind)) == f"image/{kind.lower()}"


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (b"OggS\0\2", "audio/ogg"),
        (b"fLaC\0\0\0\x22", "audio/flac"),
        (b"RIFF\0\0\0\0WAVEfmt ", "audio/wav"),
        (b"\x1a\x45\xdf\xa3\x01", "video/webm"),
        (b"\0\0\0\x20ftypisom\0\0", "video/mp4"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='x'>", None),
        (b"<!doctype html><script>", None),
        (b"RIFF\0\0\0\0EVIL", None),
        (b"%PDF-1.7", None),
        (b"", None),
    ],
)
def test_only_inert_types_are_shown(head: bytes, media_type: str | None) -> None:
    assert inert_type(head) == media_type


def test_shipped_directories_are_found_in_this_checkout() -> None:
    assert (places.shipped("dashboards") / "app.ipynb").is_file()
    assert (places.shipped("voila_template") / "index.html.j2").is_file()
    # Voila serves files of this directory: it must hold nothing but notebooks.
    assert {path.suffix for path in places.shipped("dashboards").iterdir()} <= {".ipynb", ".md"}


def test_a_token_is_made_once_and_is_private(tmp_path: Path) -> None:
    token = read_token(tmp_path)
    assert read_token(tmp_path) == token
    assert len(token) >= 43  # 32 bytes
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
    (tmp_path / "token").chmod(0o644)
    with pytest.raises(Terminal, match="chmod 600"):
        read_token(tmp_path)


def test_an_empty_token_would_open_the_door_and_is_refused(tmp_path: Path) -> None:
    (tmp_path / "token").touch(0o600)
    with pytest.raises(Terminal, match="too short"):
        read_token(tmp_path)


def test_the_next_free_port_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert port < launch.free_port("127.0.0.1", port) <= port + launch.PORTS_TRIED
    with pytest.raises(UsageError, match="ip"):
        launch.free_port("192.0.2.1", 8899)


def test_a_launch_names_no_secret_and_keeps_what_a_person_changed(tmp_path: Path) -> None:
    home = open_home(tmp_path)
    prepared = launch.prepare(home, port=0)
    token = read_token(tmp_path)
    assert token not in " ".join(prepared.argv)
    assert token not in " ".join(prepared.env.values())
    assert prepared.env["LIFELOG_HOME"] == str(tmp_path)
    mine = tmp_path / "notebooks" / "mine.ipynb"
    mine.write_text("{}")
    for shipped in places.shipped("notebooks").glob("*.ipynb"):
        (tmp_path / "notebooks" / shipped.name).write_text("changed")
    launch.prepare(home, port=0)
    assert mine.read_text() == "{}"
    assert all(p.read_text() == "changed" for p in (tmp_path / "notebooks").glob("t*.ipynb"))


NOW_US = 1_800_000_000_000_000


def _status(home: Path, **data: object) -> tuple[str, str, str]:
    (home / "run").mkdir(exist_ok=True)
    base = {"state": "running", "at": NOW_US - 1_000_000, "pause": None, "children": {}}
    (home / "run" / "status.json").write_bytes(orjson.dumps({**base, **data}))
    status = read_status(home, NOW_US)
    assert status.lake == str(home / "lake")
    return status.state, status.summary, status.detail


def test_the_header_says_what_is_recorded(tmp_path: Path) -> None:
    screen = {"state": "running", "streams": ["screen"]}
    broken = {"state": "unavailable", "streams": ["audio"], "reason": "No microphone."}
    assert _status(tmp_path, children={"screen": screen})[:2] == ("recording", "Recording: Screen")
    state, summary, detail = _status(tmp_path, children={"screen": screen, "audio": broken})
    assert (state, detail) == ("trouble", "audio: No microphone.")
    assert summary == "Recording: Screen. In trouble: audio"  # a dot's colour doesn't say it
    stuck = {"state": "error", "streams": [], "reason": "The lake is away."}
    _, summary, _ = _status(tmp_path, children={"screen": screen, "ship": stuck})
    assert summary == "Recording: Screen. In trouble: the shipper"
    assert _status(tmp_path, pause={"since": 1, "until": None})[0] == "paused"
    assert _status(tmp_path, at=NOW_US - 60_000_000)[0] == "off"
    assert _status(tmp_path, state="stopped")[0] == "off"
    (tmp_path / "run" / "status.json").unlink()
    assert read_status(tmp_path, NOW_US).state == "off"


def test_a_day_of_frames_becomes_few_runs() -> None:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    end = start + timedelta(days=1)
    times = [start + timedelta(seconds=2 * n) for n in range(40_000) if not 10_000 < n < 20_000]
    events = pl.DataFrame(
        [
            {"stream": "screen", "device": "a", "id": str(n), "at": at, "end": None}
            for n, at in enumerate(times)
        ],
        schema=SCHEMA,
        orient="row",
    )
    drawn = runs(events, start, end)
    assert drawn["lane"].unique().to_list() == ["Screen"]
    assert drawn["events"].to_list() == [10_001, 20_000]
    assert drawn["start"].to_list() == [times[0], times[10_001]]


def test_runs_never_outnumber_the_resolution_and_never_leave_the_span() -> None:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    end = start + timedelta(hours=1)
    events = pl.DataFrame(
        [
            {
                "stream": "screen",
                "device": device,
                "id": f"{device}{n}",
                "at": start + timedelta(seconds=9 * n + 0.1 * (n % 3)) - timedelta(seconds=5),
                "end": start + timedelta(seconds=9 * n + 1),
            }
            for device in ("a", "b\u202e")
            for n in range(400)
        ],
        schema=SCHEMA,
        orient="row",
    )
    drawn = runs(events, start, end)
    assert drawn.height <= 2 * RESOLUTION
    assert drawn["start"].min() >= start
    assert drawn["events"].sum() == 800
    assert drawn["lane"].unique().sort().to_list() == ["Screen · a", "Screen · b�"]
