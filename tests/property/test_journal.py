"""Any entry survives every way it can take; devices that edit apart agree in the end."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lifelog_lake.errors import UnknownEntry
from lifelog_lake.home import Home
from lifelog_lake.recall.journal.content import MOST_NAME_BYTES, display_name
from lifelog_lake.recall.journal.exporting import Format, export_file
from lifelog_lake.recall.journal.importing import import_file
from lifelog_lake.recall.journal.journal import Journal
from lifelog_lake.recall.journal.model import Entry, NewEntry, Revision, order, parse
from lifelog_lake.recall.journal.rows import journal_event
from lifelog_lake.spool import Spool
from tests.fixtures.journal import ALL, changed, home_of, journal_of, listed, upload
from tests.helpers import T0, ship, verified

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)
EDGES = st.sampled_from(
    ["שלום עולם", "\u202eabc", "👩‍👩‍👧‍👦🏳️‍🌈", "e\u0301", "\ufeff", "🍝" * 10_000, "'\"\\\n\r\t,;"]
)
TITLES = (TEXT | EDGES).filter(lambda text: bool(text.strip()))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TIMES = st.datetimes(datetime(1900, 1, 2), datetime(2199, 12, 30), timezones=ZONES)
ENTRIES = st.fixed_dictionaries(
    {"title": TITLES},
    optional={
        "description": TEXT | EDGES,
        "tags": st.lists(TEXT.map(str.strip).filter(bool), max_size=5),
        "metadata": st.dictionaries(TEXT, JSON, max_size=4),
        "at": TIMES,
        "tz": st.sampled_from(["Europe/Berlin", "Asia/Kolkata", "Etc/GMT+12"]),
    },
)
FILES = st.lists(
    st.tuples(st.text(max_size=30), TEXT.filter(lambda text: text.isprintable() and bool(text))),
    max_size=2,
)


@pytest.fixture(name="devices", scope="module")
def two_devices(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, Journal]]:
    home = home_of(tmp_path_factory.mktemp("journal") / "home")
    with journal_of(home) as journal:
        yield home, journal


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(given_=ENTRIES)
def test_any_entry_is_what_was_written(
    devices: tuple[Home, Journal], given_: dict[str, Any]
) -> None:
    _, journal = devices
    wanted = parse(NewEntry, given_)
    entry = journal.create(wanted)
    now = entry.current
    assert (now.title, now.description) == (given_["title"], given_.get("description", ""))
    assert now.metadata == given_.get("metadata", {})
    if "at" in given_:
        assert datetime.fromtimestamp(0, UTC) + timedelta(microseconds=now.at) == given_["at"]
    assert same(journal.get(entry.id), entry)


def same(one: Entry, two: Entry) -> bool:
    """To the last type: to Python, 1 and true are equal."""
    return repr(one.as_json()) == repr(two.as_json())


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    given_=st.lists(st.tuples(ENTRIES, FILES), max_size=6),
    edits=st.lists(st.tuples(st.integers(0, 5), ENTRIES), max_size=4),
    format_=st.sampled_from(["zip", "zip", "jsonl", "json"]),
    history=st.booleans(),
)
def test_an_export_brings_all_of_it_into_an_empty_lake(
    given_: list[tuple[dict[str, Any], list[tuple[str, str]]]],
    edits: list[tuple[int, dict[str, Any]]],
    format_: Format,
    history: bool,
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        here, there = home_of(root / "here"), home_of(root / "there")
        out, again = root / f"one.{format_}", root / f"two.{format_}"
        with journal_of(here) as journal:
            made = [journal.create(parse(NewEntry, one)) for one, _ in given_]
            for entry, (_, files) in zip(made, given_, strict=True):
                for name, text in files:
                    if format_ == "zip" and plain(text):
                        journal.attach(entry.id, upload(text.encode(), f"{name}.txt"))
            if len(made) > 1:
                ship(here)
            for index, change in edits:
                if index < len(made):
                    changed(journal, made[index].id, **change)
            if len(made) > 4:
                journal.delete(made[0].id)
            done = export_file(journal, out, format_, history=history)
            expected = {one.id: one for one in listed(journal)}
            assert done.entries == len(expected)
            assert import_file(journal, out, format_).entries == 0
            assert export_file(journal, again, format_, history=history) == done
            assert again.read_bytes() == out.read_bytes()
        with journal_of(there) as journal:
            assert import_file(journal, out, format_, dry_run=True).entries == len(expected)
            assert listed(journal) == []
            assert import_file(journal, out, format_).entries == len(expected)
            if len(made) % 2:
                ship(there)
            found = {one.id: one for one in listed(journal)}
            assert found.keys() == expected.keys()
            assert all(same(found[name], expected[name]) for name in found)
            for entry in found.values():
                for file in entry.attachments:
                    with journal.content(file) as content:
                        assert len(content.read()) == file.size_bytes
            export_file(journal, again, format_, history=history)
            assert again.read_bytes() == out.read_bytes()
            second = import_file(journal, out, format_)
            assert (second.entries, second.changes, second.files) == (0, 0, 0)
            ship(there)
            verified(there)


def plain(text: str) -> bool:
    """Text that isn't taken for a page or a script."""
    return not text.lstrip().startswith(("<", "#!", "@", "%"))


@settings(deadline=None)
@given(st.text(max_size=300))
def test_a_name_that_is_safe_stays_as_it_is(name: str) -> None:
    safe = display_name(name, "text/plain")
    assert display_name(safe, "text/plain") == safe
    assert 0 < len(safe.encode()) <= MOST_NAME_BYTES
    assert not set(safe) & set('/\\:*?"<>|\0')
    assert safe not in {".", ".."}


# --- devices that edit apart --------------------------------------------------------------------

#: What a device does between two hearings: nothing, an edit, a delete.
ACTS = ("", "e", "d")
#: Who ships between: the other one hears of it, the first one hears of nothing.
SHIPS = ((0,), (1,), ())


@dataclass
class Known:
    """An entry as it should be: each revision with all that its writer knew then."""

    edits: dict[str, frozenset[str]]
    deletes: dict[str, frozenset[str]]
    own: tuple[set[str], set[str]]
    in_lake: set[str]

    def of(self, device: int) -> frozenset[str]:
        return frozenset(self.own[device] | self.in_lake)

    def alive(self, known: frozenset[str]) -> set[str]:
        """Edits that no delete knew of."""
        gone = {e for d, past in self.deletes.items() if d in known for e in past}
        return {one for one in self.edits if one in known and one not in gone}


@pytest.mark.parametrize("ships", SHIPS)
def test_two_devices_agree_in_every_interleaving(ships: tuple[int, ...], tmp_path: Path) -> None:
    """Two rounds in which each of two devices edits, deletes or rests, with every hearing between.

    What they see is told by a model that knows causes alone: an entry lives while it has an edit
    that no delete knew of. Each case is an entry of its own in one lake.
    """
    lake = tmp_path / "lake"
    homes = [home_of(tmp_path / name, lake=lake) for name in ("first", "second")]
    cases = list(itertools.product(ACTS, repeat=4))
    with journal_of(homes[0]) as one, journal_of(homes[1]) as two:
        journals = (one, two)
        models: dict[str, Known] = {}
        entries = {}
        for case in cases:
            entry = one.create(NewEntry(title="root"))
            entries[case] = entry.id
            models[entry.id] = Known(
                edits={entry.revision: frozenset()}, deletes={}, own=({entry.revision}, set()),
                in_lake={entry.revision},
            )  # fmt: skip
        ship(homes[0])
        for number in range(2):
            for case, entry_id in entries.items():
                for device in (0, 1):
                    act = case[2 * number + device]
                    perform(journals[device], device, entry_id, act, models[entry_id])
            for device in ships if number == 0 else (0, 1):
                ship(homes[device])
                for model in models.values():
                    model.in_lake |= model.own[device]
        for case, entry_id in entries.items():
            model = models[entry_id]
            living = model.alive(model.of(0))
            seen = [current(journal, entry_id) for journal in journals]
            assert seen[0] == seen[1], case
            assert (seen[0] is not None) == bool(living), case
            if living:
                known = {one.id: one for one in one.history(entry_id)}
                assert seen[0] == max((known[name] for name in living), key=order), case
    verified(homes[0])


def perform(journal: Journal, device: int, entry_id: str, act: str, model: Known) -> None:
    if not act:
        return
    known = model.of(device)
    before = {revision.id for revision in journal.history(entry_id)}
    assert before == known
    if not model.alive(known):
        with pytest.raises(UnknownEntry):
            journal.delete(entry_id)
        if act == "d":
            return
        journal.undelete(entry_id)  # whom an edit is refused can bring it back
    elif act == "d":
        journal.delete(entry_id)
    else:
        changed(journal, entry_id, title=f"edit of {device}, knowing {len(known)}")
    new = {revision.id for revision in journal.history(entry_id)} - before
    for name in new:
        (model.deletes if act == "d" else model.edits)[name] = known
    model.own[device].update(new)


def current(journal: Journal, entry_id: str) -> Revision | None:
    try:
        return journal.get(entry_id).current
    except UnknownEntry:
        return None


def revision(name: str, parent: str | None, lamport: int, *, deleted: bool = False) -> Revision:
    return Revision(
        id=name, entry_id="e", parent=parent, lamport=lamport, written_at=T0 + lamport,
        device="d", deleted=deleted, at=T0, tz=None, created_at=T0, title=name, description="",
        tags=(name,), metadata={},
    )  # fmt: skip


def test_the_order_of_arrival_does_not_matter(tmp_path: Path) -> None:
    """Every order in which six revisions of an entry can come, one by one or all at once."""
    branches = [
        revision("root", None, 1),
        revision("left", "root", 2),
        revision("right", "root", 2),
        revision("gone", "left", 3, deleted=True),
        revision("more", "right", 3),
        revision("lost", "nowhere", 1),
    ]
    home = home_of(tmp_path / "home")
    spool = Spool.of(home)
    orders = list(itertools.permutations(range(6)))[::7]
    for number, places in enumerate(orders):
        rows = [renamed(branches[place], f"{number}-") for place in places]
        for part in [rows] if number % 2 else [[row] for row in rows]:
            spool.append([journal_event(row, home.device) for row in part])
        if number % 20 == 0:
            with journal_of(home) as journal:
                journal.page(ALL)
    with journal_of(home) as journal:
        found = {entry.id: entry for entry in listed(journal)}
        assert len(found) == len(orders)
        for number in range(len(orders)):
            assert found[f"{number}-e"].current.title == f"{number}-more"
            assert found[f"{number}-e"].current.tags == (f"{number}-more",)


def renamed(one: Revision, prefix: str) -> Revision:
    return replace(
        one,
        id=prefix + one.id,
        entry_id=prefix + one.entry_id,
        parent=None if one.parent is None else prefix + one.parent,
        title=prefix + one.title,
        tags=tuple(prefix + tag for tag in one.tags),
    )
