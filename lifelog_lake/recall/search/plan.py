"""A query's tree as tantivy's, and as what marks the found words in a text."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import lru_cache

import tantivy
from tantivy import FieldType, Occur
from tantivy import Query as Found

from lifelog_lake.clock import MAX_US, MIN_US
from lifelog_lake.recall.search.query import All, Any, Named, Node, Not, Within, Words
from lifelog_lake.recall.search.schema import PIECE


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
        return Found.range_query(
            self._schema,
            "at",
            FieldType.Integer,
            MIN_US if node.start is None else node.start,
            MAX_US if node.end is None else node.end,
            include_upper=node.end is None,
        )


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
