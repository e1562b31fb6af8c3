"""Asks the index: hits in an order, with pieces of their texts, in pages; and counts by facet.

A page of newest hits begins behind the last hit of the one before, whatever came meanwhile. Ranks
move with all that is indexed, so the pages of a ranked list are those of the moment when its first
page was asked for, while this process remembers it.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import orjson
import tantivy

from lifelog_lake.clock import Clock, SystemClock
from lifelog_lake.errors import Locked, UsageError
from lifelog_lake.lake.logcheck import is_panic
from lifelog_lake.lake.store import Store
from lifelog_lake.recall.meaning.model import NoMeaning
from lifelog_lake.recall.meaning.nearest import Asked, Fused, Meaning, fused, piece_of
from lifelog_lake.recall.meaning.vectors import Near
from lifelog_lake.recall.search import newest, schema
from lifelog_lake.recall.search.documents import JOURNAL, Document, restored
from lifelog_lake.recall.search.filling import Filled
from lifelog_lake.recall.search.index import WAIT_S, Opened, SearchIndex, damaged
from lifelog_lake.recall.search.plan import Plan, wanted_words
from lifelog_lake.recall.search.query import Node, Words
from lifelog_lake.recall.search.request import MOST_HITS, Order, Request
from lifelog_lake.recall.search.snippets import Snippet, marked_tokens, snippet
from lifelog_lake.recall.search.waiting import Outlet

#: So many of the best are weighed by their age, and no list of the best is longer with it.
WEIGHED = 1_000
MOST_OFFSET = 10_000
MOST_FACETS = {"stream": 50, "device": 100, "tag": 200, "day": 4_000}
KEPT_MOMENTS = 32
DAY_US = 86_400_000_000
_FACETS = {
    "stream": schema.STREAM,
    "device": schema.DEVICE,
    "tag": schema.TAG,
    "day": schema.DAY,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """An event that was found. ``score`` is the rank's measure; 0 in a list of the newest.

    ``boxes`` are where found words stand in the picture ``document.blob``, as the document's are.
    ``similarity`` (-1 to 1) is that of the snippet's meaning, if the event was found by it.
    """

    document: Document
    score: float
    snippet: Snippet
    similarity: float | None = None
    boxes: tuple[tuple[int, int, int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A page of hits; ``cursor`` leads to the next one, None on the last.

    ``total`` is how many there are in all, if it was asked for; ``facets`` gives for ``stream``,
    ``device``, ``tag`` and ``day`` (days since 1970) each value with its number of hits.
    """

    hits: tuple[Hit, ...]
    cursor: str | None = None
    total: int | None = None
    facets: dict[str, list[tuple[str | int, int]]] = field(default_factory=dict)


class Finder:
    """Answers requests on a lake; threads may share one. ``outlet``: see :class:`SearchIndex`."""

    def __init__(
        self,
        home: Path,
        store: Store,
        clock: Clock | None = None,
        *,
        meaning: Meaning | None = None,
        outlet: Outlet | None = None,
    ) -> None:
        self._index = SearchIndex(home, store, outlet, meant=meaning is not None)
        self._meaning = meaning
        self._clock = clock or SystemClock()
        self._moments: OrderedDict[str, _Moment] = OrderedDict()
        self._mutex = threading.Lock()
        self._fresh_s = float("-inf")

    @property
    def index(self) -> SearchIndex:
        """What it asks."""
        return self._index

    def close(self) -> None:
        """Let the files go."""
        self._index.close()
        if self._meaning is not None:
            self._meaning.close()

    def refresh(
        self,
        *,
        at_most_every_s: float = 0.0,
        wait_s: float = WAIT_S,
        told: Callable[[int], None] | None = None,
    ) -> Filled | None:
        """Bring the index up to date; None if it was just now, or another process is at it."""
        if self._clock.monotonic_s() - self._fresh_s < at_most_every_s:
            return None
        try:
            filled = self._index.refresh(wait_s=wait_s, told=told)
        except Locked:
            if self._index.opened() is None:
                raise
            return None
        self._fresh_s = self._clock.monotonic_s()
        return filled

    def find(
        self,
        request: Request,
        *,
        cursor: str | None = None,
        total: bool = False,
        facets: bool = False,
    ) -> Found:
        """A page of what is found in the index as it is; none if there is no index.

        Raises :class:`UsageError` for a request or cursor that can't be used, and with a position
        :class:`~lifelog_lake.recall.search.query.QueryError`.
        """
        node = request.node()
        after = None if cursor is None else _read_cursor(cursor, request)
        asked = self._embedded(node) if request.semantic else None
        moment = self._moment(after)
        if moment is None:
            return Found(hits=(), total=0 if total else None)
        opened = moment.opened
        with _readable():
            plan = Plan(opened.index.schema)
            query = plan.of(node)
            if asked is not None:
                moment = _fused(moment, plan, node, asked)
            near = {} if moment.fused is None else moment.fused.near
            query = query if moment.fused is None else moment.fused.query
            if request.order == "newest":
                search = newest.Search(
                    searcher=opened.searcher, plan=plan, node=node, now_us=moment.at_us
                )
                page, following = _newest(search, request, after)
            else:
                page, following = self._best(moment, request, query, after)
            wanted = tuple(wanted_words(node))
            values = _facets(opened.searcher, query) if facets else {}
            if not total:
                counted = None
            elif values:  # each has one stream: nobody counts twice
                counted = sum(count for _, count in values["stream"])
            else:
                counted = _count(opened.searcher, query)
            return Found(
                hits=tuple(
                    Hit(
                        document=one,
                        score=score,
                        snippet=snippet(_shown(one, near.get(one.key)), wanted),
                        similarity=near[one.key].similarity if one.key in near else None,
                        boxes=_boxes(one, wanted),
                    )
                    for one, score in page
                ),
                cursor=None if following is None else _cursor(request, following),
                total=counted,
                facets=values,
            )

    def times(self, request: Request) -> list[int]:
        """When each event that is found began, µs since 1970, in no order and of all pages."""
        opened = self._index.opened()
        if opened is None:
            return []
        with _readable():
            searcher = opened.searcher
            query = Plan(opened.index.schema).of(request.node())
            hits = searcher.search(
                query, max(searcher.num_docs, 1), count=False, order_by_field="at"
            ).hits
            return [at for at, _ in hits]

    # -- orders -----------------------------------------------------------------------------

    def _best(
        self, moment: _Moment, request: Request, query: tantivy.Query, after: _Cursor | None
    ) -> tuple[list[tuple[Document, float]], _Cursor | None]:
        searcher, offset = moment.opened.searcher, 0 if after is None else int(after.place)
        ranked: Sequence[tuple[float, tantivy.DocAddress]]
        if moment.fused is not None:
            ranked = moment.fused.ranked[offset:]
        elif request.recency_days:
            half_us = request.recency_days * DAY_US
            ranked = _weighed(searcher, query, half_us, moment.at_us)[offset:]
        else:
            wanted = request.limit + 1
            ranked = searcher.search(query, wanted, count=False, offset=offset).hits
        page = [
            (_document(searcher, address), float(score))
            for score, address in ranked[: request.limit]
        ]
        more = len(ranked) > request.limit and offset + request.limit <= MOST_OFFSET
        if not more:
            return page, None
        name = after.key if after is not None and after.key in self._moments else ""
        return page, _Cursor(
            place=offset + request.limit, key=name or self._keep(moment), order="best"
        )

    # -- meaning ----------------------------------------------------------------------------

    def _embedded(self, node: Node) -> Asked | None:
        """What is asked by meaning; None if nothing is asked but filters."""
        if self._meaning is None:
            raise NoMeaning(
                "Search by meaning is off.",
                hint="[search] semantic = true turns it on; docs/search.md says what it costs.",
            )
        return self._meaning.asked(
            " ".join(word for one in wanted_words(node) for word in one.words)
        )

    # -- moments ----------------------------------------------------------------------------

    def _moment(self, after: _Cursor | None) -> _Moment | None:
        """The index as it is, or as it was when a ranked list began."""
        if after is not None and after.order == "best":
            with self._mutex:
                if (kept := self._moments.get(after.key)) is not None:
                    self._moments.move_to_end(after.key)
                    return kept
        opened = self._index.opened()
        return None if opened is None else _Moment(opened=opened, at_us=self._clock.wall_us())

    def _keep(self, moment: _Moment) -> str:
        name = secrets.token_urlsafe(9)
        with self._mutex:
            self._moments[name] = moment
            while len(self._moments) > KEPT_MOMENTS:
                self._moments.popitem(last=False)
        return name


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """What a list is of: the index as it was, and when, µs since 1970."""

    opened: Opened
    at_us: int
    #: What is found by words and by meaning, if that was asked for.
    fused: Fused | None = None


def _fused(moment: _Moment, plan: Plan, node: Node, asked: Asked) -> _Moment:
    """The moment with what is found by words and by meaning; one that has it stays as it is."""
    if moment.fused is not None:
        return moment
    return replace(moment, fused=fused(moment.opened.searcher, plan, node, asked))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cursor:
    """Where a page begins: behind a time and a key, or at a place of the list of a moment."""

    order: Order
    place: int
    key: str


def _cursor(request: Request, following: _Cursor) -> str:
    told = [request.mark(), following.place, following.key]
    return base64.urlsafe_b64encode(orjson.dumps(told)).decode().rstrip("=")


def _read_cursor(text: str, request: Request) -> _Cursor:
    try:
        mark, place, key = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        usable = mark == request.mark() and isinstance(place, int) and isinstance(key, str)
        if not usable or (request.order == "best" and not 0 <= place <= MOST_OFFSET + MOST_HITS):
            raise ValueError
    except (ValueError, TypeError, binascii.Error):
        raise UsageError(
            "This cursor isn't of this list.", hint="Ask for the first page, without a cursor."
        ) from None
    return _Cursor(order=request.order, place=place, key=key)


def _newest(
    search: newest.Search, request: Request, after: _Cursor | None
) -> tuple[list[tuple[Document, float]], _Cursor | None]:
    behind = None if after is None else (after.place, after.key)
    found = search.page(request.limit + 1, behind)
    page = [(one, 0.0) for one in found[: request.limit]]
    if len(found) <= request.limit:
        return page, None
    last = page[-1][0]
    return page, _Cursor(place=last.at, key=last.key, order="newest")


def _weighed(
    searcher: tantivy.Searcher, query: tantivy.Query, half_us: float, now_us: int
) -> Sequence[tuple[float, tantivy.DocAddress]]:
    """The best by their words, anew by words and age: half the weight goes with age."""
    hits = searcher.search(query, WEIGHED, count=False).hits
    begun = searcher.fast_field_values("at", [address for _, address in hits])

    def weight(at: object) -> float:
        age_us = max(now_us - int(at), 0) if isinstance(at, int) else 0
        return 0.5 + 0.5 * float(2.0 ** -(age_us / half_us))

    weighed = [
        (float(score) * weight(at), address)
        for (score, address), at in zip(hits, begun, strict=True)
    ]
    return sorted(weighed, key=lambda hit: -hit[0])


def _facets(
    searcher: tantivy.Searcher, query: tantivy.Query
) -> dict[str, list[tuple[str | int, int]]]:
    asked = {
        name: {"terms": {"field": of, "size": MOST_FACETS[name]}} for name, of in _FACETS.items()
    }
    told = searcher.aggregate(query, asked)
    return {
        name: [(bucket["key"], bucket["doc_count"]) for bucket in told[name]["buckets"]]
        for name in _FACETS
    }


def _shown(document: Document, near: Near | None) -> Sequence[str]:
    """Its texts, the first one to be shown if all tell as much: what is near in meaning. An entry's
    title is shown anyway; a window's and a page's are what tells most."""
    if near is not None and (piece := piece_of(document, near)) is not None:
        return (piece, *document.texts)
    if document.stream != JOURNAL:
        return document.texts
    return sorted(document.texts, key=lambda text: text == document.title)


def _boxes(document: Document, wanted: Sequence[Words]) -> tuple[tuple[int, int, int, int], ...]:
    if not document.boxes:
        return ()
    found = marked_tokens(document.texts[0], wanted)
    return tuple(document.boxes[number] for number in found if number < len(document.boxes))


def _count(searcher: tantivy.Searcher, query: tantivy.Query) -> int:
    return int(searcher.search(query, 1, count=True).count)  # type: ignore[attr-defined]


def _document(searcher: tantivy.Searcher, address: tantivy.DocAddress) -> Document:
    return restored(searcher.doc(address)["document"][0])


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except ValueError as error:  # as tantivy says it
        raise damaged(error) from error
    except BaseException as error:
        if not is_panic(error):
            raise
        raise damaged(RuntimeError("it is damaged")) from None
