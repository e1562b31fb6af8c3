"""``events/{entry_id}/history`` and ``…/undelete``: what an entry was, and back to it."""

from __future__ import annotations

from lifelog_lake.recall.journal.model import Entry
from lifelog_lake.server.api.entries import entry_json, etag_of
from lifelog_lake.server.api.meter import METER
from lifelog_lake.server.api.models import EntryOut, HistoryOut
from lifelog_lake.server.api.operation import Answer, ApiHandler, operation


class HistoryHandler(ApiHandler):
    """Serves an entry's revisions; GET."""

    @operation(
        "getHistory", "Read all revisions of an entry, also of a deleted one.",
        scopes=("read",), problems=(404,),
        answers={200: Answer(doc="Its revisions, the oldest first.", schema=HistoryOut)},
    )  # fmt: skip
    async def get(self, entry_id: str) -> None:
        """A delete is a revision, too."""
        found = await self.work.run(self.work.journal.history, entry_id)
        self.answer({"id": entry_id, "revisions": [one.as_json() for one in found]})


class UndeleteHandler(ApiHandler):
    """Brings an entry back; POST."""

    @operation(
        "undeleteEvent", "Bring a deleted entry back as it was last, with its files.",
        scopes=("write",), problems=(404, 507),
        answers={200: Answer(
            doc="The entry as it is now.", schema=EntryOut, headers={"ETag": "Names its state."}
        )},
    )  # fmt: skip
    async def post(self, entry_id: str) -> None:
        """One that isn't deleted stays as it is."""
        record = self.audit("entry.undelete", entry=entry_id)

        def undelete() -> Entry:
            entry = self.work.journal.undelete(entry_id)
            METER.wrote("journal")
            record()
            return entry

        entry = await self.work.run(undelete)
        self.set_header("ETag", etag_of(entry))
        self.answer(entry_json(entry))
