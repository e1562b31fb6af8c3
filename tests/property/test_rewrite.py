"""Any files of any rows: merged, they are the same rows."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from lifelog_lake.events import new_event
from lifelog_lake.lake import datafile, rewrite
from lifelog_lake.lake.local import LocalTarget
from lifelog_lake.lake.tail import Tail
from tests.fixtures import piles
from tests.helpers import T0

texts = st.none() | st.text(max_size=6)
rows = st.fixed_dictionaries(
    {
        "at": st.integers(0, 40),
        "lasts": st.none() | st.integers(0, 5),
        "app": texts,
        "title": texts,
        "extra": st.none() | st.dictionaries(st.text(max_size=3), st.none() | st.floats()),
    }
)
#: A file: its device, its rows, and columns that an older version didn't write.
files = st.tuples(
    st.sampled_from(["laptop", "phone"]),
    st.lists(rows, min_size=1, max_size=8),
    st.sets(st.sampled_from(["title", "extra", "tz"]), max_size=2),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(files, min_size=2, max_size=6), st.integers(1, 2**20))
def test_merged_files_have_the_same_rows(
    given_files: list[tuple[str, list[dict[str, object]], set[str]]], most_bytes: int
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        store = LocalTarget(Path(directory) / "lake")
        store.prepare()
        table = piles.Writer(store).table
        for number, (device, found, lacking) in enumerate(given_files):
            events = [
                new_event(
                    "window",
                    at=T0 + int(str(row["at"])),
                    end=None if row["lasts"] is None else T0 + 40 + int(str(row["lasts"])),
                    data={"app": row["app"], "title": row["title"]},
                    extra=row["extra"],  # type: ignore[arg-type]
                )
                for row in found
            ]
            part = datafile.split_by_day(piles.rows("window", events, number * 10, device))[0]
            file = datafile.write(store, "window", part[0], part[1].drop_columns([*lacking]))
            table.snapshot().add([file], {device: number})
        before = piles.content(store)
        handle = piles.opened(store)
        merged = rewrite.merge(
            store,
            Tail(store, "window", handle.version()),
            "window",
            rewrite.row_schema(handle),
            rewrite.live_files(handle),
            most_bytes=most_bytes,
            keep=lambda: None,
            now_us=lambda: T0,
        )
        assert merged.unfit == {}
        assert piles.content(store).equals(before)
        used = len(given_files) - max(len(merged.merged) - 1, 0)
        assert len(piles.opened(store).file_uris()) == used
