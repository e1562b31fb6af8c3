"""Small pictures of attached files: the first look at a picture, a PDF, a video."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any, BinaryIO, cast

import polars as pl
import pytest
from PIL import Image

from lifelog_lake.care import previews, thumbnails
from lifelog_lake.care.previews import first_look, preview
from lifelog_lake.clock import SystemClock
from lifelog_lake.errors import UsageError
from lifelog_lake.events import BlobSource, new_event
from lifelog_lake.home import Home
from lifelog_lake.lake import parse_url
from lifelog_lake.lake.store import Store
from lifelog_lake.recall.lake import open_lake
from lifelog_lake.spool import Spool
from tests.fixtures.contents import pdf_bomb, picture, png_bomb, video
from tests.fixtures.derived import add, make_thumbnails, pictured, reading
from tests.fixtures.journal import home_of, journal_of, upload, written
from tests.helpers import T0, rows, ship, verified

MADE, REFUSED, LOST = (
    "thumbnails made",
    "contents that are no picture",
    "contents missing or damaged",
)


@pytest.fixture(name="home")
def a_home(tmp_path: Path) -> Home:
    return home_of(tmp_path / "home")


def attach(home: Home, *files: tuple[str, bytes]) -> dict[str, str]:
    """Files on an entry, shipped; their hashes by name."""
    with journal_of(home) as journal:
        entry = written(journal)
        found = [journal.attach(entry.id, upload(content, name)) for name, content in files]
    ship(home)
    return {file.name: file.sha256 or "" for file in found}


def test_each_file_gets_its_first_look_once(home: Home) -> None:
    photo = picture("JPEG")
    add(home, pictured(0))
    of = attach(
        home,
        ("photo.jpg", photo),
        ("again.jpg", photo),
        ("scan.pdf", picture("PDF")),
        ("clip.mp4", video()),
        ("a.txt", b"text"),
        ("bomb.png", png_bomb()),
        ("junk.pdf", b"%PDF-1.4 junk"),
        ("cut.mp4", video()[:700]),
    )
    assert make_thumbnails(home) == {MADE: 4, REFUSED: 3, LOST: 0}
    made = {row["source_sha256"]: row for row in rows(home, "thumbnail").to_dicts()}
    attached = {
        row["blob"]: row for row in rows(home, "attachment").sort("seq").reverse().to_dicts()
    }
    for name, transform in (
        ("photo.jpg", "small-webp"), ("scan.pdf", "preview-webp"), ("clip.mp4", "preview-webp"),
    ):  # fmt: skip
        row = made[of[name]]
        assert (row["transform"], row["source_id"]) == (transform, attached[of[name]]["id"])
        with Image.open(open_lake(home.lake_url).blob(row["blob"])) as image:
            assert (image.format, image.size) == ("WEBP", (row["width"], row["height"]))
            assert image.width == 320
            red, green, blue = image.convert("RGB").getpixel((100, 100))  # type: ignore[misc]
            assert red > 150
            assert max(green, blue) < 90
    for name in ("bomb.png", "junk.pdf", "cut.mp4"):
        assert made[of[name]]["blob"] is None
        assert "refused" in made[of[name]]["extra"]
    assert of["a.txt"] not in made
    verified(home)
    store = reading(home)
    assert not any(make_thumbnails(home, store).values())
    assert store.seen["blobs"] == 0


class Elsewhere:
    """A store whose contents are no files of this machine, as on S3; one may be damaged."""

    def __init__(self, store: Store, damaged: str) -> None:
        self._store = store
        self._damaged = damaged

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def open(self, key: str) -> BinaryIO:
        with self._store.open(key) as file:
            content = file.read()
        return io.BytesIO(content[:-1] + b"?" if key.endswith(self._damaged) else content)


def test_a_file_that_is_elsewhere_is_copied_and_checked(home: Home) -> None:
    of = attach(home, ("scan.pdf", picture("PDF")), ("other.pdf", picture("PDF", (90, 90))))
    store = Elsewhere(parse_url(home.lake_url, home), of["other.pdf"])
    outcome = thumbnails.run(home, cast("Store", store), SystemClock())
    assert outcome.counts == {MADE: 1, REFUSED: 0, LOST: 1}
    assert rows(home, "thumbnail")["source_sha256"].to_list() == [of["scan.pdf"]]
    assert list((home.run / "previews").iterdir()) == []


def test_a_row_that_says_anything_harms_nothing(home: Home) -> None:
    """Other writers' rows: a type that isn't the content's, none, a file that lies in no lake."""
    events = [
        new_event("attachment", at=T0, source=BlobSource(open=lambda: io.BytesIO(picture("PDF")),
                  media_type="image/png"), data={"key": "a"}),
        new_event("attachment", at=T0, source=BlobSource(open=lambda: io.BytesIO(b"x"),
                  media_type="weird"), data={"key": "b"}),
        new_event("attachment", at=T0, data={"key": "c"}),
    ]  # fmt: skip
    Spool.of(home).append(events)
    ship(home)
    assert make_thumbnails(home) == {MADE: 0, REFUSED: 1, LOST: 0}
    assert rows(home, "thumbnail").select(pl.col("blob").null_count()).item() == 1


def test_a_bomb_ends_in_a_process_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb.pdf"
    path.write_bytes(pdf_bomb())
    assert path.stat().st_size < 2**20
    with path.open("rb") as file:
        try:
            small = preview(file, "application/pdf")
        except UsageError:
            small = None
    assert small is None or len(small) < 10_000  # shown without it, within the bounds
    monkeypatch.setattr(previews, "MOST_WAIT_S", 0.01)
    with path.open("rb") as file, pytest.raises(UsageError, match="takes too long"):
        preview(file, "application/pdf")


# Windows has no setrlimit: there the wait alone bounds it, which the test above shows.
@pytest.mark.skipif(sys.platform == "win32", reason="it has no such bounds")
def test_that_process_has_bounds() -> None:
    code = (
        "import resource as r; from lifelog_lake.care import previews as p; p._bounded(); "
        "print(r.getrlimit(r.RLIMIT_CPU)[0] == p.MOST_CPU_S); bytearray(p.MOST_MEMORY_BYTES)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "True\n"
    assert "MemoryError" in done.stderr


def test_what_was_not_told_is_judged_by_its_beginning(tmp_path: Path) -> None:
    for content in (picture("PNG"), video()):
        (tmp_path / "file").write_bytes(content)
        with (
            (tmp_path / "file").open("rb") as file,
            Image.open(io.BytesIO(first_look(file))) as one,
        ):
            assert (one.format, one.width) == ("WEBP", 320)
    for file in (io.BytesIO(b"text"), io.BytesIO(picture("PDF"))):  # that one isn't on disk
        with pytest.raises(UsageError, match="isn't a picture"):
            first_look(file)


def test_other_files_have_no_preview() -> None:
    assert preview(io.BytesIO(b"text"), "text/plain") is None
