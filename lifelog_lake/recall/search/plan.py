"""A query's tree as tantivy's, and as what marks the found words in a text."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import lru_cache

import tantivy
from tantivy import FieldType, Occur
from tantivy import Query as Found

from lifelog_lake.clock import MAX_US, MIN_US
from lifelog_lake.recall.search.documents import DAY_US
from lifelog_lake.recall.search.query import All, Any, Named, Node, Not, Within, Words
from lifelog_lake.recall.search.schema import HOUR_US, PIECE, UTC_DAY, UTC_HOUR

#: In a longer range it is quicker to look at all times.
LISTED_US = 200 * DAY_US


class Plan:
    """Makes queries for an index of a schema."""

    def __init__(self, schema: tantivy.Schema) -> None:
        self._schema = schema

    def of(self, node: Node) -> Found:
        """What finds the tree. Only words weigh in the ranking; filters and negations don't."""
        match node:
            case Words():
                return self._words("text", node.words, prefix=node.prefix, edits=node.edits)
            case Named():
                return _unweighted(self._named(node))
            case Within():
                return _unweighted(self._within(node))
            case Not():
                return Found.boolean_query(
                    [
                        (Occur.Must, _unweighted(Found.all_query())),
                        (Occur.MustNot, self.of(node.part)),
                    ]
                )
            case Any():
                return Found.boolean_query([(Occur.Should, self.of(part)) for part in node.parts])
            case All():
                return self._all(node.parts)

    def pieces(self, names: Collection[str]) -> Found:
        """What finds events by the short names of their pieces; they don't weigh."""
        return _unweighted(Found.term_set_query(self._schema, PIECE, list(names)))

    def _all(self, parts: tuple[Node, ...]) -> Found:
        """What must not be there is taken from what must: nobody goes through all the rest."""
        parts = in_one_range(parts)
        wanted = [(Occur.Must, self.of(part)) for part in parts if not isinstance(part, Not)]
        if not wanted:
            wanted = [(Occur.Must, _unweighted(Found.all_query()))]
        unwanted = [(Occur.MustNot, self.of(part.part)) for part in parts if isinstance(part, Not)]
        return Found.boolean_query(wanted + unwanted)

    def _words(self, name: str, given: tuple[str, ...], *, prefix: bool, edits: int) -> Found:
        if edits:
            return Found.fuzzy_term_query(self._schema, name, given[0], distance=edits)
        if prefix and len(given) == 1:
            # Words are letters, digits and marks: nothing of it is the pattern's.
            return Found.regex_query(self._schema, name, f"{given[0]}.*")
        if prefix:
            last = f"{given[-1]}.*"
            return Found.regex_phrase_query(self._schema, name, [*given[:-1], last])
        if len(given) == 1:
            return Found.term_query(self._schema, name, given[0], index_option="freq")
        return Found.phrase_query(self._schema, name, list(given))

    def _named(self, node: Named) -> Found:
        each = [self._value(node.field, value) for value in node.values]
        return each[0] if len(each) == 1 else Found.boolean_query([(Occur.Should, q) for q in each])

    def _value(self, name: str, value: str) -> Found:
        begins = value.endswith("*")
        bare = value.removesuffix("*")
        if name == "app":
            given = tuple(bare.split())
            return self._words(name, given, prefix=begins, edits=0)
        if begins:
            return Found.regex_query(self._schema, name, f"{_escaped(bare)}.*")
        return Found.term_query(self._schema, name, value, index_option="basic")

    def _within(self, node: Within) -> Found:
        """Of a short range the days and hours that lie in it, and at its ends the exact times."""
        start = MIN_US if node.start is None else node.start
        end = MAX_US + 1 if node.end is None else node.end
        first, last = -(-start // HOUR_US), end // HOUR_US
        if end - start > LISTED_US or first >= last:
            return self._range("at", start, end)
        first_day, last_day = -(-first // 24), last // 24
        if first_day < last_day:
            listed = [
                (UTC_HOUR, first, first_day * 24),
                (UTC_DAY, first_day, last_day),
                (UTC_HOUR, last_day * 24, last),
            ]
        else:
            listed = [(UTC_HOUR, first, last)]
        ends = [("at", start, first * HOUR_US), ("at", last * HOUR_US, end)]
        each = [self._range(*one) for one in (*listed, *ends) if one[1] < one[2]]
        return Found.boolean_query([(Occur.Should, one) for one in each])

    def _range(self, name: str, start: int, end: int) -> Found:
        """From a value on, until another one."""
        return Found.range_query(
            self._schema, name, FieldType.Integer, start, end, include_upper=False
        )


def in_one_range(parts: tuple[Node, ...]) -> tuple[Node, ...]:
    """Parts that must all be there, with one range of all that bound the time."""
    times = [part for part in parts if isinstance(part, Within)]
    if not times:
        return parts
    start = max((one.start for one in times if one.start is not None), default=None)
    end = min((one.end for one in times if one.end is not None), default=None)
    others = tuple(part for part in parts if not isinstance(part, Within))
    return (*others, Within(start=start, end=end))


def _unweighted(query: Found) -> Found:
    return Found.const_score_query(query, 0.0)


def _escaped(text: str) -> str:
    """A name within a pattern."""
    return "".join(c if c.isalnum() else f"\\{c}" if c.isascii() else c for c in text)


def wanted_words(node: Node) -> Iterator[Words]:
    """The words whose places are marked: those that are looked for, not those that must not be."""
    match node:
        case Words():
            yield node
        case All() | Any():
            for part in node.parts:
                yield from wanted_words(part)
        case _:
            return


def within_edits(word: str, wanted: str, most: int) -> bool:
    """Whether a word is nearly another one: letters changed, left out, put in or swapped."""
    if abs(len(word) - len(wanted)) > most:
        return False
    return _distance(word, wanted) <= most


@lru_cache(maxsize=65_536)
def _distance(one: str, other: str) -> int:
    """Optimal string alignment: Levenshtein's distance with swaps of neighbours."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        here = [row]
        for column, with_letter in enumerate(other, 1):
            cost = min(
                last[column] + 1,
                here[column - 1] + 1,
                last[column - 1] + (letter != with_letter),
            )
            swapped = row > 1 and column > 1
            if swapped and (letter, with_letter) == (other[column - 2], one[row - 2]):
                cost = min(cost, before[column - 2] + 1)
            here.append(cost)
        before, last = last, here
    return last[-1]
