"""What of an event is embedded: its texts, in pieces that a model takes.

A piece is a title, an entry, or some lines of a longer text. Where a longer one is cut depends on
the lines themselves, so two screens that share most of their lines share most of their pieces, and
each distinct piece is embedded once.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator

from lifelog_lake.recall.search.documents import JOURNAL, SOURCES, Document

#: Words of a piece: after the least it may end with a line, at the most it ends anyway.
LEAST, MOST = 40, 110
#: One line in so many ends a piece that is long enough.
ENDS = 4
#: Characters of a text that are embedded.
MOST_CHARACTERS = 100_000
#: Raised whenever :func:`pieces` gives other ones.
VERSION = 1


def pieces(document: Document) -> Iterator[str]:
    """The pieces of an event's own words, in their order; addresses and names of programs aren't.

    The same for every event with the same words.
    """
    if document.stream == JOURNAL:
        text = "\n".join(document.texts)
    elif SOURCES[document.stream].title is not None:
        text = document.title or ""
    else:
        text = document.texts[0]
    yield from _cut(text[:MOST_CHARACTERS])


def _cut(text: str) -> Iterator[str]:
    words: list[str] = []
    for line in text.splitlines():
        for word in line.split():
            words.append(word)
            if len(words) == MOST:
                yield " ".join(words)
                words = []
        if len(words) >= LEAST and zlib.crc32(line.encode()) % ENDS == 0:
            yield " ".join(words)
            words = []
    if any(character.isalnum() for word in words for character in word):
        yield " ".join(words)


def sha256(piece: str) -> str:
    """Names a piece in the stream ``embedding``, hexadecimal."""
    return hashlib.sha256(piece.encode()).hexdigest()


def short(sha256: str) -> str:
    """Its first 64 bits: names it in the index and among the vectors of this machine."""
    return sha256[:16]


def named(document: Document) -> list[str]:
    """The short names of an event's pieces."""
    return [short(sha256(piece)) for piece in pieces(document)]
