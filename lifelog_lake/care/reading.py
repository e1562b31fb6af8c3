"""Reads a frame by what changed since another one of the same monitor.

A screen changes in places: a line is typed, a clock ticks. What is the same pixel by pixel has the
same words, so only the bands (the whole width, from line to line) around what changed are
recognised, and the rest is taken over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lifelog_lake.care.recognise import Recogniser, Word

if TYPE_CHECKING:
    from PIL import Image

#: Pixels of a tile's side, and how much a pixel may differ and still be the same (of 255):
#: compression changes a frame by a few.
TILE_PX, SAME = 32, 24
#: Space around the words of a band; an engine wants some.
MARGIN_PX = 8
#: Beyond this share of the frame it is read whole.
MOST_CHANGED = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A frame with its words, in reading order; ``pixels`` is an array of grey."""

    pixels: Any
    words: tuple[Word, ...]

    @property
    def text(self) -> str:
        """The words, line by line."""
        parts: list[str] = []
        for word in self.words:
            parts += ["\n" if word.begins_line else " ", word.text]
        return "".join(parts[1:])


def read(engine: Recogniser, picture: Image.Image, before: Read | None) -> Read:
    """The words of a frame (in grey), with what another frame of the monitor has the same."""
    import numpy as np

    pixels = np.asarray(picture)
    bands = None if before is None else _changed(pixels, before)
    if before is None or bands is None:
        return Read(pixels=pixels, words=tuple(engine.words(picture)))
    words = list(before.words)
    for top, bottom in bands:
        found = engine.words(picture.crop((0, top, picture.width, bottom)))
        words = _put(words, top, bottom, [replace(word, top=word.top + top) for word in found])
    return Read(pixels=pixels, words=tuple(words))


def _changed(pixels: Any, before: Read) -> list[tuple[int, int]] | None:
    """Bands (top, bottom) around all that differs; None: read the whole frame."""
    import numpy as np

    if pixels.shape != before.pixels.shape:
        return None
    height = int(pixels.shape[0])
    differs = (np.abs(pixels.astype(np.int16) - before.pixels) > SAME).any(axis=1)
    rows = np.flatnonzero(differs).tolist()
    bands = _whole_lines(
        [(row // TILE_PX * TILE_PX, (row // TILE_PX + 1) * TILE_PX) for row in rows],
        before.words,
        height,
    )
    area = sum(bottom - top for top, bottom in bands)
    return None if area > MOST_CHANGED * height else bands


def _whole_lines(
    bands: list[tuple[int, int]], words: Sequence[Word], height: int
) -> list[tuple[int, int]]:
    """Bands that meet made one, and grown until no word lies half within one."""
    found = bands
    while True:
        grown: list[tuple[int, int]] = []
        for top, bottom in sorted(set(found)):
            reached = [word for word in words if _is_in(word, top, bottom)]
            first = max(min([top, *(word.top - MARGIN_PX for word in reached)]), 0)
            last = max([bottom, *(word.top + word.height + MARGIN_PX for word in reached)])
            last = min(last, height)
            if grown and first <= grown[-1][1]:
                grown[-1] = min(first, grown[-1][0]), max(last, grown[-1][1])
            else:
                grown.append((first, last))
        if grown == found:
            return found
        found = grown


def _is_in(word: Word, top: int, bottom: int) -> bool:
    return word.top < bottom and top < word.top + word.height


def _put(words: list[Word], top: int, bottom: int, found: list[Word]) -> list[Word]:
    """The words with those of a band replaced, in the place where the first of them stood."""
    within = [n for n, word in enumerate(words) if _is_in(word, top, bottom)]
    below = [n for n, word in enumerate(words) if word.top >= bottom]
    place = (within or below or [len(words)])[0]
    kept = [word for word in words[:place] if not _is_in(word, top, bottom)]
    return kept + found + [word for word in words[place:] if not _is_in(word, top, bottom)]
