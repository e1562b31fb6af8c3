"""A page of the newest hits: the last days first, and further back only for what isn't found there.

Of a common word, hits of all years would be looked at to choose the newest ten. Days are cheap to
narrow to (:mod:`~lifelog_lake.recall.search.plan`), so a page mostly costs what its own days hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import tantivy

from lifelog_lake.recall.search.documents import DAY_US, Document, restored
from lifelog_lake.recall.search.plan import Plan, in_one_range
from lifelog_lake.recall.search.query import All, Node, Within, Words

#: Hits that are looked at faster than days are narrowed to.
FEW = 20_000
#: Days from now that are asked one after the other, before all that is left.
WINDOWS = (1, 16, 128)
#: Events of one moment beyond the page, which is ordered by key within a moment.
SPARE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What is looked for and where; ``now_us`` only says where it is likely to be found soon."""

    searcher: tantivy.Searcher
    plan: Plan
    node: Node
    now_us: int

    def page(self, wanted: int, after: tuple[int, str] | None) -> list[Document]:
        """So many, or all that are left, by time and within a moment by key.

        ``after`` names time (µs) and key of the last one of the page before.
        """
        parts = self.node.parts if isinstance(self.node, All) else (self.node,)
        behind = Within(end=None if after is None else after[0] + 1)
        *words, range_ = in_one_range((*parts, behind))
        assert isinstance(range_, Within)
        found: list[Document] = []
        for window in self._windows(All(parts=tuple(words)), range_.start, range_.end):
            within = [window] if window != Within() else []
            query = self.plan.of(All(parts=(*words, *within)))
            found += self._of(query, wanted - len(found), after)
            if len(found) >= wanted:
                break
        return found[:wanted]

    def _windows(self, words: All, start: int | None, end: int | None) -> Iterator[Within]:
        if self._most(words) > FEW:
            newest = self.now_us if end is None else min(self.now_us, end)
            for days in WINDOWS:
                begins = (newest // DAY_US + 1 - days) * DAY_US
                if start is not None and begins <= start:
                    break
                if end is None or begins < end:
                    yield Within(start=begins, end=end)
                    end = begins
        yield Within(start=start, end=end)

    def _of(
        self, query: tantivy.Query, wanted: int, after: tuple[int, str] | None
    ) -> list[Document]:
        portion = wanted + SPARE
        while True:
            hits = self.searcher.search(query, portion, count=False, order_by_field="at").hits
            # Of the last moment there may be more.
            whole = [hit for hit in hits if hit[0] > hits[-1][0]] if len(hits) == portion else hits
            found: list[Document] = []
            for at, moment in groupby(whole, key=lambda hit: hit[0]):
                if len(found) >= wanted:  # each one that is read costs as much as finding it
                    break
                some = [restored(self.searcher.doc(one)["document"][0]) for _, one in moment]
                some.sort(key=lambda one: one.key)
                found += [
                    one for one in some if after is None or (-at, one.key) > (-after[0], after[1])
                ]
            if len(hits) < portion or len(found) >= wanted:
                return found
            portion *= 4

    def _most(self, node: Node) -> int:
        """More hits there aren't: of words that must all be there the rarest one counts."""
        match node:
            case Words() if not node.prefix and not node.edits:
                return min(self.searcher.doc_freq("text", word) for word in node.words)
            case All():
                return min(map(self._most, node.parts), default=self.searcher.num_docs)
            case _:
                return self.searcher.num_docs
