"""The piece of a text that shows why it was found, and where the found words stand in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from lifelog_lake.recall.search.plan import within_edits
from lifelog_lake.recall.search.query import Words
from lifelog_lake.recall.search.words import LONGEST, places

#: Characters of a piece, and of a text that is looked through.
LENGTH, MOST = 200, 100_000
#: Characters before the first found word.
LEAD = 40
_PIECE = re.compile(r"\S+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """A piece of a text; ``marks`` are places in it: from, to (exclusive), in their order."""

    text: str
    marks: tuple[tuple[int, int], ...] = ()


def snippet(texts: Sequence[str], wanted: Sequence[Words]) -> Snippet:
    """The best piece of the first text that has the most of what was looked for."""
    best, found = "", list[tuple[int, int]]()
    for text in texts:
        marked = marks(text[:MOST], wanted)
        if len(marked) > len(found) or not best:
            best, found = text, marked
    start = _start(found)
    if start > 0:  # not in the middle of a word
        space = best.find(" ", start, start + LEAD)
        start = start if space < 0 else space + 1
    end = min(start + LENGTH, len(best))
    if end < len(best):
        space = best.rfind(" ", start + LENGTH // 2, end)
        end = end if space < 0 else space
    before, after = "… " if start > 0 else "", " …" if end < len(best) else ""
    shift = len(before) - start
    return Snippet(
        text=before + best[start:end].replace("\n", " ") + after,
        marks=tuple(
            (first + shift, min(last, end) + shift) for first, last in found if start <= first < end
        ),
    )


def marks(text: str, wanted: Sequence[Words]) -> list[tuple[int, int]]:
    """Where the words stand that were looked for; a phrase is marked as one."""
    if text.isascii() and (patterns := _patterns(tuple(wanted))) is not None:
        return _joined([place.span(1) for one in patterns for place in one.finditer(text)])
    found = list(places(text))
    marked: list[tuple[int, int]] = []
    for one in wanted:
        length = len(one.words)
        marked += [
            (found[n][1], found[n + length - 1][2])
            for n in range(len(found) - length + 1)
            if all(_is(found[n + m][0], one, m) for m in range(length))
        ]
    return _joined(marked)


@lru_cache(maxsize=256)
def _patterns(wanted: tuple[Words, ...]) -> tuple[re.Pattern[str], ...] | None:
    """What finds the words in plain ASCII in a fifth of the time; None for near words and long
    ones, of which only the first characters count. A phrase only looks ahead, as the next place of
    it may begin within this one."""
    if any(one.edits or max(map(len, one.words)) >= LONGEST for one in wanted):
        return None
    made = []
    for one in wanted:
        if all(word.isascii() for word in one.words):
            between = "[^A-Za-z0-9]+".join(one.words)
            end = "[A-Za-z0-9]*" if one.prefix else ""
            group = f"({between}{end})(?![A-Za-z0-9])"
            ahead = group if len(one.words) == 1 else f"(?={group})"
            made.append(re.compile(f"(?<![A-Za-z0-9]){ahead}", re.IGNORECASE | re.ASCII))
    return tuple(made)


def _joined(marked: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """In their order, those that overlap as one."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(marked):
        if joined and first < joined[-1][1]:
            joined[-1] = joined[-1][0], max(last, joined[-1][1])
        else:
            joined.append((first, last))
    return joined


def marked_tokens(text: str, wanted: Sequence[Words]) -> list[int]:
    """Which of the pieces between spaces have something that was looked for, counted from 0."""
    marked = marks(text[:MOST], wanted)
    pieces = [(found.start(), found.end()) for found in _PIECE.finditer(text[:MOST])]
    return [
        number
        for number, (start, end) in enumerate(pieces)
        if any(first < end and start < last for first, last in marked)
    ]


def _is(word: str, one: Words, n: int) -> bool:
    wanted = one.words[n]
    if word == wanted:
        return True
    if one.edits:
        return within_edits(word, wanted, one.edits)
    return one.prefix and n == len(one.words) - 1 and word.startswith(wanted)


def _start(marked: Sequence[tuple[int, int]]) -> int:
    """Where a piece begins that holds the most marks."""
    best, most = 0, 0
    for n, (first, _) in enumerate(marked):
        held = sum(1 for other in marked[n:] if other[1] <= first + LENGTH - LEAD)
        if held > most:
            best, most = first, held
        if n > MOST // LENGTH:
            break
    return max(best - LEAD, 0) if most else 0
