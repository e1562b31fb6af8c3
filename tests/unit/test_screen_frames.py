"""What becomes a frame and what a slice: pixels made by hand, a clock set by hand."""

from __future__ import annotations

import hashlib
import io
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from collectors.frames import Frames, Look, Place, Rules, is_cursor
from collectors.images import Encoding, encode, is_picture
from lifelog_lake.collect.slices import GRID_US, complete, cut, next_line
from lifelog_lake.events import Event

WIDTH, HEIGHT = 640, 480
S = 1_000_000
#: A grid line, with room before it.
LINE = 6_000_000 * GRID_US
Pixels = npt.NDArray[np.uint32]


class Sink:
    """The part of a context that frames use; keeps the rows."""

    def __init__(self) -> None:
        self.rows: list[Event] = []

    def append(self, events: Sequence[Event]) -> None:
        self.rows += events


class Screen:
    """A screen to draw on, looked at by Frames each two seconds."""

    def __init__(self, start: int = LINE - 200 * S, **rules: Any) -> None:
        self.sink = Sink()
        self.now = start
        self.pixels: Pixels = np.full((HEIGHT, WIDTH), 0x00FFFFFF, dtype=np.uint32)
        values: dict[str, Any] = {
            "small_px": 300,
            "small_after_us": 30 * S,
            "gap_us": 15 * S,
            "encoding": Encoding(),
        }
        place = Place(monitor=1, left=0, top=0, width=WIDTH, height=HEIGHT)
        self.frames = Frames(place, Rules(**(values | rules)), self.sink)  # type: ignore[arg-type]

    def look(self, times: int = 1, every: int = 2 * S) -> None:
        for _ in range(times):
            raw = self.pixels.astype("<u4").tobytes()
            self.frames.look(Look(raw=raw, width=WIDTH, height=HEIGHT, at=self.now))
            self.now += every

    def fill(self, left: int, top: int, width: int, height: int, color: int = 0) -> None:
        self.pixels[top : top + height, left : left + width] = color

    def letters(self, left: int, top: int, count: int) -> None:
        """About 16 pixels a letter, none of them a filled block."""
        for number in range(count):
            x = left + 10 * number
            self.fill(x, top, 1, 10)
            self.fill(x, top + 4, 6, 1)

    @property
    def firsts(self) -> list[Event]:
        return [row for row in self.sink.rows if row.cont is None]

    @property
    def slices(self) -> list[Event]:
        return [row for row in self.sink.rows if row.cont is not None]


def shown(event: Event) -> Pixels:
    """The pixels of a frame's file."""
    assert event.source is not None
    image = Image.open(event.source.open()).convert("RGB")
    rgb = np.asarray(image).astype(np.uint32)
    return (rgb[..., 0] << 16) | (rgb[..., 1] << 8) | rgb[..., 2]


def test_a_new_frame_is_written_at_once() -> None:
    screen = Screen()
    screen.letters(20, 20, 12)
    at = screen.now
    screen.look()
    (row,) = screen.sink.rows
    assert (row.at, row.end, row.cont) == (at, at, None)
    assert row.media_type == "image/webp"
    assert row.data == {
        "monitor": 1,
        "left": 0,
        "top": 0,
        "width": WIDTH,
        "height": HEIGHT,
        "frame_hash": row.data["frame_hash"],
        "black": False,
    }
    assert len(str(row.data["frame_hash"])) == 16
    assert (shown(row) == screen.pixels).all()


def test_a_frame_that_is_seen_once_has_no_slice() -> None:
    screen = Screen()
    screen.look()
    screen.frames.end()
    assert len(screen.sink.rows) == 1


def test_a_frame_that_stays_is_cut_on_the_grid() -> None:
    screen = Screen(start=LINE - 11 * S)
    begin = screen.now
    screen.look(5)
    assert not screen.slices  # the line hasn't passed
    screen.look(155)
    screen.frames.end()
    (first,) = screen.firsts
    last_seen = screen.now - 2 * S
    assert [(row.at, row.end) for row in screen.slices] == [
        (begin, LINE),
        (LINE, LINE + GRID_US),
        (LINE + GRID_US, last_seen),
    ]
    assert first.source is not None
    content = first.source.open().read()
    for row in screen.slices:
        assert row.cont == first.id
        assert row.source is None
        assert row.blob == hashlib.sha256(content).hexdigest()
        assert row.blob_bytes == len(content)
        assert row.media_type == first.media_type
        assert row.data["frame_hash"] == first.data["frame_hash"]
    assert len({row.id for row in screen.sink.rows}) == 4


def test_slices_are_written_as_soon_as_they_are_complete() -> None:
    screen = Screen(start=LINE - 5 * S)
    screen.look(3)
    assert not screen.slices
    screen.look()
    assert [row.end for row in screen.slices] == [LINE]


def test_the_grid_is_the_same_however_often_one_looks() -> None:
    cuts = []
    for every in (1 * S, 2 * S, 5 * S):
        screen = Screen(start=LINE - 100 * S)
        screen.look(600 * S // every, every)
        cuts.append([row.end for row in screen.slices])
    assert cuts[0] == cuts[1] == cuts[2] == [LINE, LINE + GRID_US]


def test_a_change_ends_the_frame_at_its_last_look() -> None:
    screen = Screen()
    begin = screen.now
    screen.look(5)
    screen.fill(0, 0, 300, 200, 0x3366AA)
    screen.look()
    assert [(row.at, row.end) for row in screen.slices] == [(begin, begin + 8 * S)]
    assert [row.at for row in screen.firsts] == [begin, begin + 10 * S]
    assert screen.firsts[1].data["changed"] == pytest.approx(300 * 200 / (WIDTH * HEIGHT), rel=0.1)


def test_a_blinking_cursor_makes_no_frame() -> None:
    screen = Screen()
    screen.look()
    for number in range(100):
        screen.fill(100, 100, 2, 20, 0 if number % 3 else 0xFFFFFF)
        screen.look()
    assert len(screen.firsts) == 1
    for number in range(100):  # a terminal's block
        screen.fill(300, 100, 10, 20, 0 if number % 2 else 0xFFFFFF)
        screen.look()
    assert len(screen.firsts) == 1


def test_a_cursor_is_not_kept_when_the_screen_changes_or_capture_ends() -> None:
    screen = Screen()
    screen.look()
    screen.fill(100, 100, 2, 20)
    screen.look(40)
    screen.fill(0, 200, WIDTH, 200, 0x224466)
    screen.look()
    screen.fill(120, 100, 10, 20)
    screen.look()
    screen.frames.end()
    assert len(screen.firsts) == 2


def test_what_looks_like_a_cursor_but_stays_becomes_a_frame() -> None:
    screen = Screen()
    screen.look()
    screen.fill(100, 100, 3, 30)
    screen.look(100)
    assert len(screen.firsts) == 1
    screen.look(60)
    assert len(screen.firsts) == 2
    assert (shown(screen.firsts[1]) == screen.pixels).all()


def test_a_line_of_text_is_a_frame_at_once() -> None:
    screen = Screen()
    screen.look()
    screen.letters(20, 101, 40)  # between the sampled rows as well
    screen.look()
    assert len(screen.firsts) == 2
    assert (shown(screen.firsts[1]) == screen.pixels).all()


@pytest.mark.parametrize("top", range(96, 104))
def test_a_word_is_kept_when_the_screen_changes(top: int) -> None:
    screen = Screen()
    begin = screen.now
    screen.look()
    screen.letters(20, top, 5)
    word = screen.pixels.copy()
    screen.look(2)
    assert len(screen.firsts) == 1
    screen.fill(0, 200, WIDTH, 200, 0x224466)
    screen.look()
    assert [row.at - begin for row in screen.firsts] == [0, 2 * S, 6 * S]
    assert (shown(screen.firsts[1]) == word).all()
    assert [(row.at - begin, row.end - begin) for row in screen.slices if row.end] == [
        (2 * S, 4 * S)
    ]


def test_a_word_is_kept_when_capture_ends() -> None:
    screen = Screen()
    screen.look()
    screen.letters(20, 100, 5)
    screen.look()
    screen.frames.end()
    assert (shown(screen.firsts[-1]) == screen.pixels).all()


def test_a_word_that_stays_becomes_a_frame() -> None:
    screen = Screen()
    screen.look()
    screen.letters(20, 100, 5)
    screen.look(15)
    assert len(screen.firsts) == 1
    screen.look(2)
    assert len(screen.firsts) == 2
    assert (shown(screen.firsts[1]) == screen.pixels).all()


def test_small_changes_add_up() -> None:
    """Letter by letter: each look differs by little from the one before."""
    screen = Screen()
    screen.look()
    for number in range(22):
        screen.letters(20 + 10 * number, 100, 1)
        screen.look(every=S)
    assert len(screen.firsts) >= 2  # before the time is up after which any change counts


def test_rows_of_growing_text_do_not_overlap() -> None:
    screen = Screen(start=LINE - 40 * S)
    screen.look(3)
    for number in range(60):
        screen.letters(20 + 10 * (number % 50), 40 + 14 * (number // 50), 1)
        screen.look()
    screen.frames.end()
    assert (shown(screen.firsts[-1]) == screen.pixels).all()
    spans = sorted((row.at, row.end or row.at) for row in screen.sink.rows)
    for (_, end), (begin, _) in itertools.pairwise(spans):
        assert end <= begin
    assert all(row.at // GRID_US == ((row.end or row.at) - 1) // GRID_US for row in screen.slices)


def test_a_small_change_that_goes_away_leaves_the_frame() -> None:
    screen = Screen()
    screen.look(2)
    before = screen.pixels.copy()
    screen.letters(20, 100, 3)
    screen.look(3)
    screen.pixels = before
    screen.look(3)
    screen.frames.end()
    assert len(screen.firsts) == 1
    (row,) = screen.slices
    assert row.end == screen.now - 2 * S


def test_a_gap_ends_the_frame() -> None:
    screen = Screen()
    begin = screen.now
    screen.look(3)
    screen.now += 60 * S
    screen.look(2)
    assert [row.at - begin for row in screen.firsts] == [0, 66 * S]
    assert [(row.at - begin, row.end - begin) for row in screen.slices if row.end] == [(0, 4 * S)]
    assert "changed" not in screen.firsts[1].data


def test_a_clock_set_back_ends_the_frame() -> None:
    screen = Screen()
    screen.look(3)
    screen.now -= 60 * S
    screen.look(3)
    screen.frames.end()
    assert len(screen.firsts) == 2
    assert all((row.end or 0) >= row.at for row in screen.sink.rows)


def test_black_is_marked() -> None:
    screen = Screen()
    screen.pixels[:] = 0
    screen.look()
    assert screen.frames.black_us == 0
    begun = screen.now
    screen.look(3)
    assert 0 < screen.frames.black_us <= screen.now - begun
    screen.fill(0, 0, 100, 100, 0x010101)
    screen.look(3)
    assert screen.frames.black_us == 0
    assert [row.data["black"] for row in screen.firsts] == [True, False]


def test_the_shape_of_a_cursor() -> None:
    def shape(*boxes: tuple[int, int, int, int]) -> bool:
        differs = np.zeros((200, 200), dtype=bool)
        for left, top, width, height in boxes:
            differs[top : top + height, left : left + width] = True
        return is_cursor(differs, int(np.count_nonzero(differs)))

    assert shape((10, 10, 2, 20))
    assert shape((10, 10, 9, 18))
    assert shape((10, 28, 9, 2))
    assert not shape((10, 10, 2, 100))
    assert not shape((10, 10, 100, 3))
    assert not shape((10, 10, 2, 20), (40, 10, 2, 20))
    assert not shape((10, 10, 1, 20), (10, 20, 12, 1))


def test_text_is_kept_without_loss_and_pictures_are_not() -> None:
    dice = np.random.default_rng(1)
    noise = dice.integers(0, 2**24, (HEIGHT, WIDTH), dtype=np.uint32)
    text = np.where(noise > 2**23, np.uint32(0xFFFFFF), np.uint32(0x112233)).astype(np.uint32)
    for pixels, kept in ((text, True), (noise, False)):
        sample = pixels[::8, ::8].copy()
        content, media_type = encode(pixels.tobytes(), (WIDTH, HEIGHT), sample, Encoding())
        assert media_type == "image/webp"
        image = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(np.uint32)
        same = (image[..., 0] << 16 | image[..., 1] << 8 | image[..., 2]) == pixels
        assert bool(same.all()) is kept
        assert is_picture(sample, Encoding().picture_share) is not kept
    for mode, begins in (("lossless", b"VP8L"), ("lossy", b"VP8 ")):
        for pixels in (text, noise):
            content, _ = encode(
                pixels.tobytes(),
                (WIDTH, HEIGHT),
                pixels[::8, ::8],
                Encoding(mode=mode),  # type: ignore[arg-type]
            )
            assert content[12:16] == begins


def test_the_grid() -> None:
    assert next_line(LINE) == LINE + GRID_US
    assert next_line(LINE - 1) == LINE
    assert list(cut(LINE, LINE)) == []
    assert list(cut(LINE - 1, LINE + 1)) == [(LINE - 1, LINE), (LINE, LINE + 1)]
    assert list(complete(LINE - 1, LINE + 1)) == [(LINE - 1, LINE)]
    assert list(complete(LINE - 5, LINE - 1)) == []
    day = 86_400 * S
    assert day % GRID_US == 0  # no piece crosses midnight
