"""A drawing board with the few shapes that programs are made of.

The only typeface is the one that Pillow carries: pictures don't depend on what is installed.
"""

from __future__ import annotations

from functools import cache

from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
WIDTH, HEIGHT = 1280, 800

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
def _glyph(character: str, size: int, cell: int) -> Image.Image:
    image = Image.new("L", (cell, size + 6), 0)
    width = _font(size).getlength(character)
    ImageDraw.Draw(image).text(
        (round((cell - width) / 2), 0), character, font=_font(size), fill=255
    )
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
        font = _font(size)
        if most and font.getlength(words) > most:
            while words and font.getlength(words + "…") > most:
                words = words[:-1]
            words += "…"
        self._draw.text((x, y), words, font=font, fill=fill)
        return x + round(font.getlength(words))

    def middle(self, x: int, y: int, words: str, size: int, fill: Colour) -> None:
        """One line of text around a point."""
        self._draw.text((x, y), words, font=_font(size), fill=fill, anchor="mm")

    def paragraph(
        self, x: int, y: int, words: str, width: int, size: int = 15, fill: Colour = INK
    ) -> int:
        """Text in lines of a width; where the next line would be."""
        font, line = _font(size), ""
        for word in words.split():
            longer = f"{line} {word}".strip()
            if font.getlength(longer) > width:
                self._draw.text((x, y), line, font=font, fill=fill)
                y += round(size * 1.55)
                line = word
            else:
                line = longer
        self._draw.text((x, y), line, font=font, fill=fill)
        return y + round(size * 1.55)

    def code(self, x: int, y: int, words: str, fill: Colour, *, size: int = 15) -> int:
        """Text in which each character has the same width; where it ends."""
        cell = size * 3 // 5
        for character in words:
            if character != " ":
                self.image.paste(fill, (x, y), _glyph(character, size, cell))
            x += cell
        return x


def mix(first: Colour, second: Colour, percent: int) -> Colour:
    """A colour between two: 0 is the first, 100 the second."""
    red, green, blue = (
        one + (other - one) * percent // 100 for one, other in zip(first, second, strict=True)
    )
    return red, green, blue
