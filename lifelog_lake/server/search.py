"""The search's route: ``GET /lifelog/api/search``, see docs/search.md.

It answers from the index below the home and brings it up to date first; where that takes longer
than a person waits, ``fresh`` is false and the answer is from what is there.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Annotated, Literal

import structlog
from pydantic import Field

from lifelog_lake.errors import LifelogError, Locked, MissingExtra
from lifelog_lake.events import STREAMS
from lifelog_lake.recall.journal.model import Input
from lifelog_lake.server.api.models import MOST_NAMES, Name, Out, QueryTime, Stamp
from lifelog_lake.server.api.operation import Answer, ApiHandler, operation
from lifelog_lake.server.problem import problem_of

if TYPE_CHECKING:
    from lifelog_lake.recall.search.find import Finder
    from lifelog_lake.recall.search.request import Request

#: A search sees what was shipped until so long ago.
FRESH_S = 2.0
#: So long a search waits for the index; then it answers from what is there.
PATIENCE_S = 3.0

log = structlog.get_logger(__name__)


class SearchQuery(Input):
    """What is looked for, and what narrows it."""

    q: str = Field("", description="The language of docs/search.md; may be empty with a filter.")
    stream: tuple[Literal[tuple(STREAMS)], ...] = Field((), description="Any of these.")  # type: ignore[valid-type]
    device: Annotated[tuple[Name, ...], Field(max_length=MOST_NAMES)] = Field(
        (), description="Any of these."
    )
    tag: Annotated[tuple[Name, ...], Field(max_length=MOST_NAMES)] = Field(
        (), description="All of these, or any of them."
    )
    match: Literal["all", "any"] = Field("all", description="Of the tags.")
    start: QueryTime | None = Field(None, description="Began at this time or later.")
    end: QueryTime | None = Field(None, description="Began before this time.")
    order: Literal["best", "newest"] = Field("best", description="Which hit comes first.")
    recency: Annotated[float, Field(ge=0, le=36_525)] = Field(
        0.0,
        description="Days in which a rank falls half of the way to its half; 0: age is nothing.",
    )
    semantic: bool = Field(
        False, description="Also what is near in meaning; refused while [search] semantic is off."
    )
    limit: int = Field(50, ge=1, le=200, description="Most hits of a page.")
    cursor: Annotated[str, Field(max_length=4000, pattern="^[A-Za-z0-9_-]*$")] | None = Field(
        None, description="As the page before names it; the rest as it was asked for then."
    )
    facets: bool = Field(False, description="Also count hits by stream, device, tag and day.")


class HitOut(Out):
    """An event that was found; slices of one event are one hit."""

    id: str = Field(description="Of recognised text that of the frame or sound.")
    stream: str
    label: str
    device: str
    at: Stamp
    end: Stamp | None
    tz: str | None
    title: str | None
    snippet: str
    marks: list[tuple[int, int]] = Field(description="Places in it: from, to, in characters.")
    app: str | None
    url: str | None
    site: str | None
    tags: list[str]
    blob: str | None
    boxes: list[tuple[int, int, int, int]] = Field(
        description="Where the words stand in the frame: left, top, width, height, of 10,000."
    )
    score: float = Field(description="The rank's measure; 0 in a list of the newest.")
    similarity: float | None = Field(
        description="Of the snippet's meaning to what was asked, -1 to 1; null without semantic=1."
    )


class FacetOut(Out):
    """A value, and how many hits have it."""

    value: str
    count: int


class SearchOut(Out):
    """A page of hits."""

    results: list[HitOut]
    cursor: str | None = Field(description="For the next page; null on the last one.")
    total: int
    fresh: bool = Field(description="False: the index is still being brought up to date.")
    facets: dict[str, list[FacetOut]] = Field(
        default_factory=dict, description="By stream, device, tag and day, if they were asked for."
    )


class SearchHandler(ApiHandler):
    """Serves a page of hits; GET."""

    @operation(
        "search", "Find events of all streams by what was written in them, the best hit first.",
        scopes=("read",), query=SearchQuery, problems=(422, 503),
        answers={200: Answer(doc="A page of hits.", schema=SearchOut)},
    )  # fmt: skip
    async def get(self) -> None:
        """A query that can't be read is refused (400) with the ``position`` of the mistake."""
        asked: SearchQuery = self.arguments

        def page() -> dict[str, object]:
            from lifelog_lake.recall.meaning.model import NoMeaning
            from lifelog_lake.recall.search.answer import as_json
            from lifelog_lake.recall.search.query import QueryError

            request = _request(asked)
            try:
                request.node()  # what is wrong is said before the index is made
                finder = self.reader.lake.finder()
                fresh = _refreshed(finder)
                found = finder.find(request, cursor=asked.cursor, total=True, facets=asked.facets)
            except (QueryError, NoMeaning, MissingExtra) as error:
                raise problem_of(error) from None
            return {**as_json(found), "fresh": fresh}

        self.answer(await self.reader.run(page))


def _request(asked: SearchQuery) -> Request:
    from lifelog_lake.recall.search.request import Request

    return Request(
        query=asked.q,
        streams=tuple(dict.fromkeys(asked.stream)),
        devices=tuple(dict.fromkeys(asked.device)),
        tags=tuple(dict.fromkeys(asked.tag)),
        match=asked.match,
        start=asked.start,
        end=asked.end,
        order=asked.order,
        recency_days=asked.recency,
        limit=asked.limit,
        semantic=asked.semantic,
    )


def _refreshed(finder: Finder) -> bool:
    """Bring the index up to date; False if it takes longer than a person waits, or can't be."""
    done = threading.Event()

    def refresh() -> None:
        try:
            finder.refresh(at_most_every_s=FRESH_S, wait_s=PATIENCE_S)
            done.set()
        except Locked:
            return  # somebody is at it
        except LifelogError as error:
            log.warning("search_refresh_failed", error=error)

    thread = threading.Thread(target=refresh, name="search-index", daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    return done.is_set()
