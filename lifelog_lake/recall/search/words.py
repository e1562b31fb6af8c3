"""What a word is: the same for what is indexed, for what is asked for and for what is marked.

A text is decomposed (NFKD) and case-folded, loses its accents, and is put together again (NFC);
what is no letter, digit or mark parts words. Scripts that don't put spaces between words (Chinese,
Japanese, Korean, Thai, Lao, Burmese, Khmer) give one word a character, so that any part of what is
written there is found as a phrase. A word counts by its first :data:`LONGEST` characters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

#: Raised whenever :func:`fold` gives other words: the index is made anew then.
VERSION = 1
LONGEST = 64
_ASCII_WORD = re.compile("[A-Za-z0-9]+")
_ACCENTS = re.compile("[\u0300-\u036f]")
#: Letters that Unicode doesn't take apart.
_LETTERS = {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "\u0131": "i"}
#: Marks of kana that are letters to Unicode.
_HALF_WIDTH_MARKS = "\uff9e\uff9f"
#: Ranges of scripts without spaces, first and last character.
_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),  # 々〆〇
    (0x3041, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),
    (0x3400, 0x9FFF),  # Han
    (0xAC00, 0xD7AF),  # Hangul
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)


class _Table(dict[int, str]):
    """Characters as words have them, worked out when they are first met."""

    def __missing__(self, code: int) -> str:
        self[code] = found = _as_in_words(chr(code))
        return found


def _is_unspaced(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in _UNSPACED)


def _as_in_words(character: str) -> str:
    if unicodedata.category(character)[0] not in "LMN":
        return " "
    if _is_unspaced(character):
        return f" {character} "
    return _LETTERS.get(character, character)


_TABLE = _Table()


def fold(text: str) -> str:
    """The words of a text, in their order, one space between them."""
    if text.isascii():
        folded = text.lower()
    else:
        folded = unicodedata.normalize("NFKD", text).casefold()
        folded = unicodedata.normalize("NFC", _ACCENTS.sub("", folded))
    return " ".join(word[:LONGEST] for word in folded.translate(_TABLE).split())


def words(text: str) -> list[str]:
    """The same as a list."""
    return fold(text).split()


def exact(text: str) -> str:
    """A name for comparing whole: of a tag, a device, a site."""
    return unicodedata.normalize("NFKC", text).casefold().strip()


@lru_cache(maxsize=65_536)
def _folded(cluster: str) -> tuple[tuple[str, ...], bool]:
    """The words in a character with its marks, and whether they stand by themselves."""
    found = tuple(words(cluster))
    return found, len(found) == 1 and len(found[0]) >= 1 and _is_unspaced(found[0][0])


def places(text: str) -> Iterator[tuple[str, int, int]]:
    """Each word of a text as :func:`fold` gives it, and where it stands: from, to (exclusive)."""
    if text.isascii():  # the same in a tenth of the time
        for found in _ASCII_WORD.finditer(text):
            yield found[0][:LONGEST].lower(), found.start(), found.end()
        return
    word, start, end = "", 0, 0
    for here, after in _clusters(text):
        parts, alone = _folded(text[here:after])
        if word and (alone or not parts):
            yield word[:LONGEST], start, end
            word = ""
        if alone:
            yield parts[0], here, after
            continue
        for number, part in enumerate(parts):
            if number and word:  # one character that stands for several words, such as ㎧
                yield word[:LONGEST], start, end
                word = ""
            if not word:
                start = here
            word, end = word + part, after
    if word:
        yield word[:LONGEST], start, end


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] == "M" or character in _HALF_WIDTH_MARKS


def _clusters(text: str) -> Iterator[tuple[int, int]]:
    """Each character with the marks that follow it: from, to."""
    start = 0
    for here in range(1, len(text) + 1):
        if here == len(text) or not _is_mark(text[here]):
            yield start, here
            start = here
