"""A drawing board with the few shapes that programs are made of.

The only typeface is the one that Pillow carries: pictures don't depend on what is installed.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import cache
from math import ceil

from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
WIDTH, HEIGHT = 1280, 800

#: Of a character beyond its cell, px.
ROOM = 4
INK: Colour = (34, 38, 46)
MUTED: Colour = (118, 124, 136)
LINE: Colour = (222, 225, 231)
PAPER: Colour = (255, 255, 255)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return font


@cache
def _length(words: str, size: int) -> float:
    return _font(size).getlength(words)


@cache
def _cut(words: str, size: int, most: int) -> str:
    """As much of a line as ``most`` px can hold."""
    if _length(words, size) <= most:
        return words
    font = _font(size)
    kept = bisect_left(range(len(words)), most, key=lambda n: ceil(font.getlength(words[:n] + "…")))
    return words[: max(kept - 1, 0)] + "…"


@cache
def _glyph(character: str, size: int, cell: int) -> Image.Image:
    """A character in the middle of its cell, with room for wide ones at both sides."""
    image = Image.new("L", (cell + 2 * ROOM, size + 6), 0)
    x = ROOM + round((cell - _length(character, size)) / 2)
    ImageDraw.Draw(image).text((x, 0), character, font=_font(size), fill=255)
    return image


class Canvas:
    """A frame in the making."""

    def __init__(self, background: Colour) -> None:
        self.image = Image.new("RGB", (WIDTH, HEIGHT), background)
        self._draw = ImageDraw.Draw(self.image)

    def box(
        self, x: int, y: int, width: int, height: int, fill: Colour, *, round_px: int = 0
    ) -> None:
        """A filled rectangle."""
        shape = (x, y, x + width - 1, y + height - 1)
        if round_px:
            self._draw.rounded_rectangle(shape, round_px, fill=fill)
        else:
            self._draw.rectangle(shape, fill=fill)

    def dot(self, x: int, y: int, radius: int, fill: Colour) -> None:
        """A disc around a point."""
        self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)

    def path(self, points: list[tuple[int, int]], fill: Colour, width: int = 2) -> None:
        """A line through points."""
        self._draw.line(points, fill=fill, width=width, joint="curve")

    def area(self, points: list[tuple[int, int]], fill: Colour) -> None:
        """A filled outline."""
        self._draw.polygon(points, fill=fill)

    def text(
        self, x: int, y: int, words: str, size: int = 14, fill: Colour = INK, *, most: int = 0
    ) -> int:
        """One line of text, cut to ``most`` px if given; where it ends."""
        if most:
            words = _cut(words, size, most)
        self._draw.text((x, y), words, font=_font(size), fill=fill)
        return x + round(_length(words, size))

    def middle(self, x: int, y: int, words: str, size: int, fill: Colour) -> None:
        """One line of text around a point."""
        self._draw.text((x, y), words, font=_font(size), fill=fill, anchor="mm")

    def paragraph(
        self, x: int, y: int, words: str, width: int, size: int = 15, fill: Colour = INK
    ) -> int:
        """Text in lines of a width; where the next line would be."""
        lines, line, space = [], "", _length(" ", size)
        reach = 0.0
        for word in words.split():
            if line and reach + space + _length(word, size) > width:
                lines.append(line)
                line, reach = "", 0.0
            reach += (space if line else 0.0) + _length(word, size)
            line = f"{line} {word}" if line else word
        for row, text in enumerate([*lines, line]):
            self._draw.text((x, y + row * _leading(size)), text, font=_font(size), fill=fill)
        return y + (len(lines) + 1) * _leading(size)

    def code(self, x: int, y: int, words: str, fill: Colour, *, size: int = 15) -> int:
        """Text in which each character has the same width; where it ends."""
        cell = size * 3 // 5
        for character in words:
            if character != " ":
                self.image.paste(fill, (x - ROOM, y), _glyph(character, size, cell))
            x += cell
        return x


def _leading(size: int) -> int:
    return size * 155 // 100


def mix(first: Colour, second: Colour, percent: int) -> Colour:
    """A colour between two: 0 is the first, 100 the second."""
    red, green, blue = (
        one + (other - one) * percent // 100 for one, other in zip(first, second, strict=True)
    )
    return red, green, blue
