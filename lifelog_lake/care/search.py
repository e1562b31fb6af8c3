"""Keeps the search index up to date, so that a search needn't.

A search brings it up to date itself (:mod:`lifelog_lake.recall.search`); this has the long part
done before anybody waits for it. The index belongs to this machine: on each hub it is made anew.
"""

from __future__ import annotations

from functools import partial

from lifelog_lake.care.outcome import Outcome
from lifelog_lake.care.trouble import worded
from lifelog_lake.clock import Clock
from lifelog_lake.errors import MissingExtra
from lifelog_lake.home import Home
from lifelog_lake.lake import require_known
from lifelog_lake.lake.store import Store
from lifelog_lake.recall.pending import pending

JOB = "search"


@worded
def run(home: Home, store: Store, clock: Clock) -> Outcome:
    """Take in what is new; see the package for what a job promises.

    Raises :class:`~lifelog_lake.errors.Locked` while a search is at it.
    """
    del clock
    try:
        from lifelog_lake.recall.search.index import SearchIndex
    except ModuleNotFoundError as error:
        if error.name != "tantivy":
            raise
        raise MissingExtra("Searching the lake", "hub") from error
    if not require_known(home, store).is_settled:
        return Outcome(job=JOB)
    settings = home.settings.search
    index = SearchIndex(home.path, store, partial(pending, home), meant=settings.semantic)
    try:
        filled = index.refresh()
    finally:
        index.close()
    return Outcome(
        job=JOB,
        counts={"events indexed": filled.added, "events removed": filled.removed},
        findings=tuple(
            f"{trouble} lifelog verify --read-data looks closer." for trouble in filled.unreadable
        ),
    )
