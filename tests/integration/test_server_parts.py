"""The server's small parts, without a server: ranges, tags, sniffing, status, runs, ports."""

from __future__ import annotations

import io
import socket
import struct
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import polars as pl
import pytest
from PIL import Image

from lifelog_lake import places
from lifelog_lake.care.pictures import shrink
from lifelog_lake.errors import Terminal, UsageError
from lifelog_lake.home import open_home
from lifelog_lake.recall.detail import SCHEMA
from lifelog_lake.recall.lake import open_lake
from lifelog_lake.server import launch, reading
from lifelog_lake.server.media import inert_type
from lifelog_lake.server.ranges import (
    ByteRange,
    Unsatisfiable,
    etag_matches,
    parse_range,
    range_still_valid,
)
from lifelog_lake.server.secret import read_token
from lifelog_lake.server.thumbnails import Thumbnails
from lifelog_lake.ui.bars import BINS, COLOURS, OTHER, bars, groups, totals
from lifelog_lake.ui.lane import app_colours
from lifelog_lake.ui.status import read_status
from lifelog_lake.ui.text import duration, plain
from tests.browser.hub import new_home, picture


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
    state, summary, detail = _status(tmp_path, children={"screen": stuck, "audio": broken})
    assert (state, detail) == ("trouble", "screen: The lake is away.; audio: No microphone.")
    assert summary == "Not recording. In trouble: screen, audio. See lifelog status."
    assert _status(tmp_path, pause={"since": 1, "until": None})[0] == "paused"
    assert _status(tmp_path, at=NOW_US - 60_000_000)[0] == "off"
    assert _status(tmp_path, state="stopped")[0] == "off"
    (tmp_path / "run" / "status.json").unlink()
    assert read_status(tmp_path, NOW_US).state == "off"


DAY = datetime(2026, 3, 1, tzinfo=UTC)
NEXT = DAY + timedelta(days=1)


def events_of(*rows: dict[str, object]) -> pl.DataFrame:
    """Events as the page reads them; missing columns are null."""
    named = [{"device": "a", "id": str(n), "end": None, **row} for n, row in enumerate(rows)]
    return groups(pl.DataFrame(named, schema=SCHEMA, orient="row"), DAY, NEXT)


def hour(number: float) -> datetime:
    return DAY + timedelta(hours=number)


def test_a_day_of_frames_becomes_few_bars() -> None:
    times = [DAY + timedelta(seconds=2 * n) for n in range(40_000) if not 10_000 < n < 20_000]
    drawn = bars(events_of(*({"stream": "screen", "at": at} for at in times)), DAY, NEXT)
    assert drawn["group"].to_list() == ["Screen", "Screen"]
    assert drawn["start"].to_list() == [times[0], times[10_001]]


def test_bars_never_outnumber_the_bins_and_never_leave_the_span() -> None:
    rows = [
        {
            "stream": "window",
            "device": device,
            "at": DAY + timedelta(seconds=8.6 * n) - timedelta(seconds=5),
            "end": DAY + timedelta(seconds=8.6 * n + 3),
            "name": f"app {n // 100 % 12}",
        }
        for device in ("a", "b")
        for n in range(10_100)
    ]
    drawn = bars(events_of(*rows), DAY, NEXT)
    assert drawn.height <= 2 * (BINS + 1)
    assert drawn["start"].min() >= DAY
    assert drawn["end"].max() <= NEXT
    named = drawn["group"].unique()
    assert named.len() == COLOURS + 1
    assert OTHER in named


def test_where_two_share_a_bin_the_longer_wins_and_leaves_no_gap() -> None:
    rows = [
        {"stream": "window", "at": hour(1), "end": hour(2), "name": "Editor", "detail": "long"},
        {"stream": "window", "at": hour(2), "end": hour(2.01), "name": "Mail"},
        {"stream": "window", "at": hour(2.01), "end": hour(3), "name": "Editor", "detail": "short"},
    ]
    drawn = bars(events_of(*rows), DAY, NEXT)
    assert drawn["group"].to_list() == ["Editor"]
    assert (drawn["start"][0], drawn["end"][0]) == (hour(1), hour(3))
    assert drawn["detail"].to_list() == ["long"]
    away = {"stream": "afk", "at": hour(0), "end": hour(8), "name": "Away"}
    active = {"stream": "afk", "at": hour(8), "end": hour(9), "name": "Active"}
    first, second = bars(events_of(away, active), DAY, NEXT).iter_rows(named=True)
    assert (first["group"], second["group"]) == ("Away", "Active")
    assert first["end"] == second["start"]


def test_speech_is_seen_among_other_sound() -> None:
    rows = [
        {
            "stream": "audio",
            "at": DAY + timedelta(minutes=n),
            "end": DAY + timedelta(minutes=n + 1),
            "speech": 0.6 if 100 <= n < 110 else 0.0,
        }
        for n in range(200)
    ]
    drawn = bars(events_of(*rows), DAY, NEXT)
    assert drawn["group"].to_list() == ["Sound", "Speech", "Sound"]


def test_time_is_told_for_each_program() -> None:
    rows = [
        {"stream": "window", "at": hour(n), "end": hour(n + 0.5), "name": name}
        for n, name in enumerate(["Editor", "Mail", "Editor", *(f"app {n}" for n in range(9))])
    ]
    told = totals(events_of(*rows), "window")
    assert told[0] == ("Editor", 3_600_000_000)
    assert told[-1] == (OTHER, 4 * 1_800_000_000)
    assert len(told) == COLOURS + 1


def test_a_program_keeps_its_colour() -> None:
    first = app_colours(["Editor", "Mail", "Chat"], {})
    assert len(set(first.values())) == 3
    second = app_colours(["Chat", "News", "Editor"], first)
    assert (second["Chat"], second["Editor"]) == (first["Chat"], first["Editor"])
    assert len(set(second.values())) == 3


def test_text_that_turns_its_direction_is_spelled() -> None:
    assert plain("a\u202egnp.exe\x00") == "a[U+202E]gnp.exe[U+0000]"
    assert plain(None) == ""
    assert len(plain("x" * 5000)) == 200
    assert [duration(n * 10**6) for n in (5, 65, 4000)] == ["5 s", "1 min 5 s", "1 h 6 min"]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF"])
def test_a_picture_is_made_small(kind: str) -> None:
    small = Image.open(io.BytesIO(shrink(io.BytesIO(picture("x", (2560, 1440), kind)))))
    assert (small.format, small.size) == ("WEBP", (320, 180))


def test_a_tall_picture_keeps_its_width_and_none_grows() -> None:
    tall = Image.open(io.BytesIO(shrink(io.BytesIO(picture("x", (640, 1280))))))
    assert tall.size == (320, 640)
    little = Image.open(io.BytesIO(shrink(io.BytesIO(picture("x", (64, 36))))))
    assert little.size == (64, 36)


def bomb() -> bytes:
    """A PNG that claims 60,000 x 60,000 pixels in a few hundred bytes."""
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "isn't a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "isn't a picture"),
        (b"GIF89a" + bytes(100), "isn't a picture"),
        (picture("x")[:200], "damaged"),
        (picture("x", kind="PNG")[:300], "damaged"),
        (picture("x", kind="AVIF").replace(b"pitm", b"pitn"), "damaged"),  # a RuntimeError
    ],
)
def test_what_is_no_picture_is_refused_small(content: bytes, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        shrink(io.BytesIO(content))


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(UsageError):
        shrink(io.BytesIO(bomb()))


def test_small_pictures_are_kept_and_the_least_used_go(tmp_path: Path) -> None:
    contents = {f"{n:064x}": picture(f"Frame {n}", (1280, 720)) for n in range(12)}
    one = len(shrink(io.BytesIO(contents[f"{0:064x}"])))
    kept = Thumbnails(tmp_path / "kept", kept_bytes=one * 5)
    for name, content in contents.items():
        assert kept.get(name, io.BytesIO(content)) == shrink(io.BytesIO(content))
    there = {path.stem for path in (tmp_path / "kept").rglob("*.webp")}
    assert 1 <= len(there) <= 6
    assert f"{11:064x}" in there
    # What is kept isn't made again: its content isn't even looked at.
    assert kept.get(f"{11:064x}", io.BytesIO()) == shrink(io.BytesIO(contents[f"{11:064x}"]))
    kept.close()


def test_answers_that_are_out_of_date_are_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = new_home(tmp_path)
    reader = reading.LakeReader(lambda: open_lake(home.lake_url))
    monkeypatch.setattr(reading, "SETTLED_S", 0.0)
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    for minute in range(20):  # a live page moves on; nothing was recorded, so no row counts
        start = begun + timedelta(minutes=minute)
        span = reading.Span(start=start, end=start + timedelta(hours=1))
        assert reader.events(span, ("window", "web"), ()).height == 0
    assert len(reader._kept) == 1
    reader.close()
