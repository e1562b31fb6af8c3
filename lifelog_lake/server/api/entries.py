"""``events`` and ``events/{entry_id}``: entries of the journal, and lists of all streams."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import orjson

from lifelog_lake.errors import EntryExists
from lifelog_lake.recall.journal.model import Change, Entry, NewEntry
from lifelog_lake.server.api.meter import METER
from lifelog_lake.server.api.models import (
    MOST_BATCH,
    CreatedOut,
    CreateHeaders,
    EntryOut,
    EventsOut,
    ListQuery,
    MatchHeaders,
    NewEntries,
)
from lifelog_lake.server.api.operation import Answer, ApiHandler, Body, operation
from lifelog_lake.server.api.repeats import id_of
from lifelog_lake.server.problem import Problem

if TYPE_CHECKING:
    from lifelog_lake.server.api.work import Work

#: A status and a body.
Written = tuple[int, bytes]

EXAMPLE = {
    "title": "Dinner with Ada",
    "description": "At the river.",
    "tags": ["family", "food"],
    "metadata": {"total": 42.5, "currency": "EUR"},
    "at": "2026-05-31T18:30:00+02:00",
}


def entry_json(entry: Entry) -> dict[str, object]:
    """An entry as the API gives it."""
    return {"stream": "journal", **entry.as_json()}


def etag_of(entry: Entry) -> str:
    """Names this state of an entry, its files included; a change is made for the revision alone."""
    names = (entry.revision, *(file.id[-8:] for file in entry.attachments))
    # What was brought in has ids of any characters; a dot stands between them.
    plain = ".".join(quote(name, safe="").replace(".", "%2E") for name in names)
    return f'"{plain}"'


def revision_of(header: str | None) -> str | None:
    """The revision that ``If-Match`` names; None for any. Of several the first counts."""
    if header is None or header.strip() == "*":
        return None
    tag = header.split(",")[0].strip().removeprefix("W/").strip('"')
    return unquote(tag.split(".")[0])


class EventsHandler(ApiHandler):
    """``events``."""

    @operation(
        "listEvents", "List entries, or what another stream holds, page by page.",
        scopes=("read",), query=ListQuery, problems=(422, 503),
        answers={200: Answer(
            doc="A page.", schema=EventsOut,
            example={"events": [], "cursor": None},
        )},
    )  # fmt: skip
    async def get(self) -> None:
        """Filters can be combined; cursors last as long as the filters stay the same."""
        query: ListQuery = self.arguments
        if query.stream != "journal":
            from lifelog_lake.server.api.captured import captured_page

            self.answer(await self.reader.run(captured_page, self.reader, query))
            return
        self.answer(await self.work.run(_page, self.work, query))

    @operation(
        "createEvents", "Write one entry, or a batch: all of it or nothing.",
        scopes=("write", "ingest"), headers=CreateHeaders,
        body=Body(
            doc="An entry, or a list of them.", schema=NewEntries,
            examples={"one": EXAMPLE, "batch": [EXAMPLE, {"title": "Walk", "tags": ["health"]}]},
        ),
        answers={201: Answer(
            doc="It is kept: the entry as it is now, or {\"events\": […]} for a batch.",
            schema=EntryOut | CreatedOut,
            headers={"ETag": "Names the entry's state.", "Location": "The entry's address."},
        )},
        problems=(409, 413, 415, 422, 507),
    )  # fmt: skip
    async def post(self) -> None:
        """Durable when it is answered; it reaches the lake with the next shipment."""
        key = self.said_in_head(CreateHeaders).key
        asked = self.json()
        if not isinstance(asked, list):
            given = [self.parsed(NewEntry, asked, "The entry")]
        elif 1 <= len(asked) <= MOST_BATCH:
            given = [self.parsed(NewEntry, one, f"Entry {n}") for n, one in enumerate(asked)]
        else:
            raise Problem(status=400, detail=f"A batch has 1 to {MOST_BATCH} entries.")
        ids: list[str] = []
        record = self.audit("entry.create", entries=ids)

        def write(begun_at: int) -> Written:
            entries = _create(self.work, given, self.caller.id, key, begun_at)
            ids.extend(entry.id for entry in entries)
            METER.wrote("journal", len(entries))
            record()
            one = entry_json(entries[0])
            many = {"events": [entry_json(entry) for entry in entries]}
            return 201, orjson.dumps(many if isinstance(asked, list) else one)

        status, body = await self.work.write(
            repeated, self.work, self.caller.id, key, bytes(self._body), write
        )
        if not isinstance(asked, list):
            entry = orjson.loads(body)
            self.set_header("Location", f"{self.request.path.rstrip('/')}/{entry['id']}")
            self.set_header("ETag", f'"{entry["revision"]}"')
        self.set_status(status)
        self.set_header("Cache-Control", "no-store")
        self.finish(body)


class EventHandler(ApiHandler):
    """``events/{entry_id}``."""

    @operation(
        "getEvent", "Read an entry as it stands.", scopes=("read",), problems=(404,),
        answers={
            200: Answer(doc="The entry.", schema=EntryOut, headers={"ETag": "Names its state."}),
            304: Answer(doc="It is still what If-None-Match names.", media=()),
        },
    )  # fmt: skip
    async def get(self, entry_id: str) -> None:
        """With If-None-Match only if it was changed."""
        self._give(await self.work.run(self.work.journal.get, entry_id))

    @operation(
        "changeEvent", "Change an entry: what isn't given stays as it is.",
        scopes=("write",), headers=MatchHeaders,
        body=Body(doc="The fields to change.", schema=Change,
                  examples={"title": {"title": "Dinner with Ada and Tim"}}),
        answers={200: Answer(
            doc="The entry as it is now.", schema=EntryOut, headers={"ETag": "Names its state."}
        )},
        problems=(404, 412, 413, 415, 422, 507),
    )  # fmt: skip
    async def patch(self, entry_id: str) -> None:
        """``metadata`` and ``tags`` are replaced as a whole. The text before stays in the lake."""
        expected = revision_of(self.said_in_head(MatchHeaders).match)
        change = self.parsed(Change, self.json(), "The change")
        record = self.audit("entry.change", entry=entry_id)

        def edit() -> Entry:
            entry = self.work.journal.edit(entry_id, change, expected=expected)
            METER.wrote("journal")
            record()
            return entry

        self._give(await self.work.run(edit))

    @operation(
        "deleteEvent", "Delete an entry. Its revisions stay in the lake.",
        scopes=("write",), headers=MatchHeaders,
        answers={204: Answer(doc="It is deleted.", media=())}, problems=(404, 412, 507),
    )  # fmt: skip
    async def delete(self, entry_id: str) -> None:
        """Its files go with it."""
        expected = revision_of(self.said_in_head(MatchHeaders).match)
        record = self.audit("entry.delete", entry=entry_id)

        def remove() -> None:
            self.work.journal.delete(entry_id, expected=expected)
            METER.wrote("journal")
            record()

        await self.work.run(remove)
        self.set_status(204)
        self.finish()

    def _give(self, entry: Entry) -> None:
        etag = etag_of(entry)
        self.set_header("ETag", etag)
        if self.request.method == "GET" and self.request.headers.get("If-None-Match") == etag:
            self.set_status(304)
            self.finish()
            return
        self.answer(entry_json(entry))


# -- in threads --------------------------------------------------------------------------------


def repeated(
    work: Work, caller: str, key: str | None, content: bytes, write: Callable[[int], Written]
) -> Written:
    """Do something once for each key; ``write`` hears when the request first came."""
    if key is None:
        return write(work.clock.wall_us())
    begun = work.repeats.begin(caller, key, content)
    if begun.answer is not None:
        return begun.answer
    answer = None
    try:
        answer = write(begun.at)
    finally:
        work.repeats.end(caller, key, answer)
    return answer


def _create(
    work: Work, given: list[NewEntry], caller: str, key: str | None, begun_at: int
) -> list[Entry]:
    if key is None:
        return work.journal.create_all(given)
    own = [id_of(caller, key, begun_at, number) for number in range(len(given))]
    named = [
        one if one.id is not None else one.model_copy(update={"id": id_})
        for one, id_ in zip(given, own, strict=True)
    ]
    try:
        return work.journal.create_all(named)
    except EntryExists:
        if any(one.id is not None for one in given):
            raise
        # An earlier try was cut off behind the write: what has these ids came of it.
        return [work.journal.get(id_) for id_ in own]


def _page(work: Work, query: ListQuery) -> dict[str, object]:
    from lifelog_lake.recall.journal.pages import Query

    page = work.journal.page(
        Query(
            sort=query.sort,
            newest_first=query.order == "desc",
            tags=query.tag,
            match="any" if query.any_tag else "all",
            devices=query.device,
            start=query.start,
            end=query.end,
        ),
        limit=query.limit,
        cursor=query.cursor,
    )
    return {"events": [entry_json(entry) for entry in page.entries], "cursor": page.cursor}
