"""The events whose texts are near to what was asked, in one list with those that have its words.

Both lists become one by reciprocal rank fusion (Cormack, Clarke and Büttcher, *Reciprocal rank
fusion outperforms Condorcet and individual rank learning methods*, SIGIR 2009): an event's score is
the sum of 1 / (60 + its place) over the lists that it is in. So the first has the words whenever
any event has them. What narrows the search (fields, times, negations) holds for both.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tantivy
from tantivy import Occur, Query

from lifelog_lake.home import Home
from lifelog_lake.lake import read_identity
from lifelog_lake.lake.store import Store
from lifelog_lake.recall.meaning.model import Model
from lifelog_lake.recall.meaning.pieces import pieces, sha256, short
from lifelog_lake.recall.meaning.vectors import Near, Opened, Vectors, no_lake
from lifelog_lake.recall.search import schema
from lifelog_lake.recall.search.documents import Document, restored
from lifelog_lake.recall.search.plan import Plan
from lifelog_lake.recall.search.query import All, Any, Node, Words

if TYPE_CHECKING:
    from lifelog_lake.recall.meaning.bert import Array

#: What reciprocal rank fusion adds to each place.
ADDED = 60
#: The cosine from which on a piece is near at all: below it most have nothing in common.
LEAST = 0.25
#: Most events by their words and by their meaning, and of one piece that many events have.
BY_WORDS, BY_MEANING, OF_ONE = 1_000, 100, 5
#: If filters leave so few events, each of them is compared.
FEW, MOST_PIECES = 5_000, 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked as a vector, and the vectors that it is compared with."""

    vector: Array
    vectors: Opened


@dataclass(frozen=True, slots=True, kw_only=True)
class Fused:
    """What is found by words and by meaning, the best first, as (score, place in the index).

    ``query`` finds all of it; ``near`` has what is near in meaning by the events' keys.
    """

    query: Query
    ranked: tuple[tuple[float, tantivy.DocAddress], ...]
    near: dict[str, Near]


class Meaning:
    """The model and the vectors of a home, loaded when they are first asked for. Threads may share
    one."""

    def __init__(self, home: Home, store: Store) -> None:
        self._home = home
        self._store = store
        self._mutex = threading.Lock()
        self._loaded: tuple[Model, Vectors] | None = None

    def close(self) -> None:
        """Let the files go."""
        with self._mutex:
            if self._loaded is not None:
                self._loaded[1].close()
                self._loaded = None

    def asked(self, text: str) -> Asked | None:
        """A text to be compared with all vectors that the lake has by now; None for an empty one.

        Raises :class:`~lifelog_lake.recall.meaning.model.NoMeaning` where there is no model.
        """
        if not text:
            return None
        with self._mutex:
            if self._loaded is None:
                self._loaded = self._load()
            model, vectors = self._loaded
            return Asked(vector=model.embed([text])[0], vectors=vectors.refresh())

    def _load(self) -> tuple[Model, Vectors]:
        model = Model(self._home.settings.search.model)
        identity = read_identity(self._store)
        if identity is None:
            raise no_lake(self._store)
        found = Vectors(self._home.path, self._store, identity, model.sha256, model.dimensions)
        return model, found


def meaning_of(home: Home, store: Store) -> Meaning | None:
    """What a home's searches by meaning ask; None while that is off."""
    return Meaning(home, store) if home.settings.search.semantic else None


def fused(searcher: tantivy.Searcher, plan: Plan, node: Node, asked: Asked) -> Fused:
    """One list of what has the words of a query and what is near to them in meaning."""
    by_words = plan.of(node)
    filters = narrowing(node)
    narrowed = None if filters is None else plan.of(filters)
    score: dict[tuple[int, int], float] = {}
    address: dict[tuple[int, int], tantivy.DocAddress] = {}
    near: dict[str, Near] = {}
    found = []
    for piece, one in _events(searcher, plan, narrowed, asked):
        key = restored(searcher.doc(one)["document"][0]).key
        if key not in near:
            near[key] = piece
            found.append(one)
    for hits in ([one for _, one in searcher.search(by_words, BY_WORDS, count=False).hits], found):
        for place, one in enumerate(hits, 1):
            number = one.segment_ord, one.doc
            address.setdefault(number, one)
            score[number] = score.get(number, 0.0) + 1 / (ADDED + place)
    order = sorted(score, key=lambda number: -score[number])  # of equal ones those with the words
    by_meaning = _both(plan.pieces({one.name for one in near.values()}), narrowed)
    return Fused(
        query=Query.boolean_query([(Occur.Should, by_words), (Occur.Should, by_meaning)]),
        ranked=tuple((score[number], address[number]) for number in order),
        near=near,
    )


def narrowing(node: Node) -> Node | None:
    """A query without the words that are looked for: what remains must hold; None for nothing."""
    match node:
        case Words():
            return None
        case All():
            parts = tuple(part for one in node.parts if (part := narrowing(one)) is not None)
            return All(parts=parts) if parts else None
        case Any():
            either = [narrowing(one) for one in node.parts]
            some = tuple(part for part in either if part is not None)
            return Any(parts=some) if len(some) == len(either) else None
        case _:
            return node


def piece_of(document: Document, near: Near) -> str | None:
    """The piece of an event that is near."""
    return next((one for one in pieces(document) if short(sha256(one)) == near.name), None)


def _events(
    searcher: tantivy.Searcher, plan: Plan, narrowed: Query | None, asked: Asked
) -> Iterator[tuple[Near, tantivy.DocAddress]]:
    """The nearest piece first, of each the newest events."""
    count = 0
    for piece in _pieces(searcher, plan, narrowed, asked):
        query = _both(plan.pieces({piece.name}), narrowed)
        for _, one in searcher.search(query, OF_ONE, count=False, order_by_field="at").hits:
            yield piece, one
            count += 1
            if count == BY_MEANING:
                return


def _pieces(
    searcher: tantivy.Searcher, plan: Plan, narrowed: Query | None, asked: Asked
) -> list[Near]:
    """The nearest pieces of events that the filters leave."""
    if narrowed is None:
        return asked.vectors.nearest(asked.vector, LEAST)
    left = searcher.search(narrowed, 1, count=True).count  # type: ignore[attr-defined]
    if left <= FEW:
        return asked.vectors.similar(asked.vector, list(_there(searcher, narrowed)), LEAST)
    near = asked.vectors.nearest(asked.vector, LEAST)
    there = _there(searcher, _both(plan.pieces({one.name for one in near}), narrowed))
    return [one for one in near if one.name in there]


def _there(searcher: tantivy.Searcher, query: Query) -> set[str]:
    """The pieces of the events that a query finds."""
    asked = {"pieces": {"terms": {"field": schema.PIECE, "size": MOST_PIECES}}}
    return {bucket["key"] for bucket in searcher.aggregate(query, asked)["pieces"]["buckets"]}


def _both(query: Query, narrowed: Query | None) -> Query:
    if narrowed is None:
        return query
    return Query.boolean_query([(Occur.Must, query), (Occur.Must, narrowed)])
