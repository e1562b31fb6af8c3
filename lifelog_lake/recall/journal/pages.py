"""Questions to the index: one entry, its revisions, a page of a list, all of it.

A page is found by the place of the last entry before it, not by counting, so page 1000 costs what
page 1 does, and what arrives meanwhile moves nothing.
"""

from __future__ import annotations

import base64
import binascii
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import orjson

from lifelog_lake.clock import MAX_US, MIN_US
from lifelog_lake.errors import UsageError
from lifelog_lake.recall.journal.model import Attachment, Entry, Revision
from lifelog_lake.recall.journal.rows import metadata_of

MOST_ROWS = 500
MOST_NAMES = 500
#: Up to so many entries of a tag are looked up and sorted; of a more common one the list is read.
RARE = 2_000
_COLUMNS = (
    "r.id, r.entry, r.parent, r.lamport, r.written, r.device, r.deleted, r.at, r.tz, r.created, "
    "r.title, r.description, r.tags, r.metadata"
)
_FILE = "a.id, a.key, a.entry, a.name, a.media_type, a.bytes, a.sha256, a.uploaded, a.device"
_THERE = (
    "NOT a.deleted AND NOT EXISTS "
    "(SELECT 1 FROM attachment d WHERE d.key = a.key AND d.deleted AND d.entry = a.entry)"
)
_SORTS = {"at": "e.at", "created_at": "e.created"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which entries, in what order. ``start`` and ``end`` (exclusive) bound ``at``, in µs.

    ``tags`` must all be there, or any of them; ``devices`` is where the entry was written last.
    """

    sort: Literal["at", "created_at"] = "at"
    newest_first: bool = True
    tags: tuple[str, ...] = ()
    match: Literal["all", "any"] = "all"
    devices: tuple[str, ...] = ()
    start: int | None = None
    end: int | None = None

    def __post_init__(self) -> None:
        if self.sort not in _SORTS:
            raise UsageError("Entries are sorted by 'at' or 'created_at'.")
        if self.match not in {"all", "any"}:
            raise UsageError("Tags match 'all' or 'any'.")
        if max(len(self.tags), len(self.devices)) > MOST_NAMES:
            raise UsageError(f"More than {MOST_NAMES} tags or devices can't be asked for.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Entries, and ``cursor`` for the next page; None on the last one."""

    entries: tuple[Entry, ...]
    cursor: str | None


def page(db: sqlite3.Connection, query: Query, limit: int, cursor: str | None) -> Page:
    """A page of at most ``limit`` entries, after the one whose cursor is given."""
    if not 1 <= limit <= MOST_ROWS:
        raise UsageError(f"A page has 1 to {MOST_ROWS} entries.", hint="Ask for the next page.")
    where, values = _filters(db, query)
    if cursor is not None:
        last, id_ = _read_cursor(cursor, query)
        sign = "<" if query.newest_first else ">"
        where.append(f"({_SORTS[query.sort]}, e.id) {sign} (?, ?)")
        values += [last, id_]
    rows = db.execute(_statement(query, where) + " LIMIT ?", [*values, limit + 1]).fetchall()
    found = rows[:limit]
    more = len(rows) > limit
    return Page(
        entries=tuple(_with_files(db, found)),
        cursor=_cursor(query, found[-1][0], found[-1][4]) if more else None,
    )


class Snapshot:
    """The index at one moment, to go through all of it."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def count(self) -> int:
        """How many entries there are."""
        return int(self._db.execute("SELECT count(*) FROM entry").fetchone()[0])

    def entries(self, query: Query) -> Iterator[Entry]:
        """All entries of a query, some in memory at a time."""
        where, values = _filters(self._db, query)
        rows = self._db.execute(_statement(query, where), values)
        while found := rows.fetchmany(MOST_NAMES):
            yield from _with_files(self._db, found)

    def history(self, entry_id: str) -> list[Revision]:
        """All revisions of an entry in their order."""
        return history(self._db, entry_id)


def entry(db: sqlite3.Connection, entry_id: str) -> Entry | None:
    """An entry as it stands; None if there is none, or it is deleted."""
    rows = db.execute(
        f"SELECT e.at, e.created, e.created, {_COLUMNS} "
        "FROM entry e JOIN revision r ON r.rowid = e.revision WHERE e.id = ?",
        (entry_id,),
    ).fetchall()
    return next(_with_files(db, rows), None)


def history(db: sqlite3.Connection, entry_id: str) -> list[Revision]:
    """All revisions of an entry in their order, deletes too; empty for none."""
    rows = db.execute(
        f"SELECT min(r.written) OVER (), {_COLUMNS} FROM revision r "
        "WHERE r.entry = ? ORDER BY r.lamport, r.written, r.device, r.id",
        (entry_id,),
    )
    return [_revision(row[1:], row[0]) for row in rows]


def attachment(db: sqlite3.Connection, key: str) -> Attachment | None:
    """The file with a key, if it and its entry are there."""
    row = db.execute(
        f"SELECT {_FILE} FROM attachment a JOIN entry e ON e.id = a.entry "
        f"WHERE a.key = ? AND {_THERE} ORDER BY a.uploaded, a.id",
        (key,),
    ).fetchone()
    return None if row is None else _attachment(row)


def attachments(db: sqlite3.Connection, start: int, end: int) -> list[Attachment]:
    """Files that came between two times, µs, with those of entries that aren't known (yet)."""
    rows = db.execute(
        f"SELECT {_FILE} FROM attachment a WHERE a.uploaded >= ? AND a.uploaded < ? AND {_THERE} "
        "AND (EXISTS (SELECT 1 FROM entry e WHERE e.id = a.entry) OR NOT EXISTS "
        "(SELECT 1 FROM revision r WHERE r.entry = a.entry)) ORDER BY a.uploaded, a.id",
        (start, end),
    )
    return [_attachment(row) for row in rows]


def known(
    db: sqlite3.Connection,
    kind: Literal["entry", "revision", "attachment"],
    ids: Sequence[str],
) -> set[str]:
    """Those ids that the index has, of deleted entries too."""
    column, table = ("entry", "revision") if kind == "entry" else ("id", kind)
    found: set[str] = set()
    for start in range(0, len(ids), MOST_NAMES):
        names = ids[start : start + MOST_NAMES]
        marks = ",".join("?" * len(names))
        rows = db.execute(f"SELECT {column} FROM {table} WHERE {column} IN ({marks})", names)
        found.update(row[0] for row in rows)
    return found


# -- parts -------------------------------------------------------------------------------------


def _statement(query: Query, where: Sequence[str]) -> str:
    by = _SORTS[query.sort]
    way = "DESC" if query.newest_first else "ASC"
    return (
        f"SELECT {by}, e.created, e.at, {_COLUMNS} "
        "FROM entry e CROSS JOIN revision r ON r.rowid = e.revision "
        f"WHERE {' AND '.join(where) or '1'} ORDER BY {by} {way}, e.id {way}"
    )


def _filters(db: sqlite3.Connection, query: Query) -> tuple[list[str], list[object]]:
    where: list[str] = []
    values: list[object] = []
    for column, sign, bound in (("at", ">=", query.start), ("at", "<", query.end)):
        if bound is not None:
            where.append(f"e.{column} {sign} ?")
            values.append(min(max(bound, MIN_US), MAX_US))
    if query.devices:
        where.append(f"e.device IN ({','.join('?' * len(query.devices))})")
        values += query.devices
    tags = list(dict.fromkeys(query.tags))
    if tags and query.match == "any":
        marks = ",".join("?" * len(tags))
        where.append(_tagged(_is_rare(db, tags), f"IN ({marks})"))
        values += tags
    elif tags:
        for tag in tags:
            where.append(_tagged(_is_rare(db, [tag]), "= ?"))
            values.append(tag)
    return where, values


def _tagged(rare: bool, named: str) -> str:
    """An entry with a tag: looked up by the tag, or (``+``) asked of each entry of the list."""
    if rare:
        return f"e.id IN (SELECT entry FROM tag WHERE tag {named})"
    return f"EXISTS (SELECT 1 FROM tag WHERE tag {named} AND entry = +e.id)"


def _is_rare(db: sqlite3.Connection, tags: Sequence[str]) -> bool:
    marks = ",".join("?" * len(tags))
    (found,) = db.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM tag WHERE tag IN ({marks}) LIMIT ?)",
        [*tags, RARE],
    ).fetchone()
    return bool(found < RARE)


def _with_files(db: sqlite3.Connection, rows: Sequence[tuple[object, ...]]) -> Iterator[Entry]:
    """Rows of an entry's sort value, created, at and revision, with their attachments."""
    files: dict[str, list[Attachment]] = {}
    ids = [str(row[4]) for row in rows]
    for start in range(0, len(ids), MOST_NAMES):
        names = ids[start : start + MOST_NAMES]
        found = db.execute(
            f"SELECT {_FILE} FROM attachment a WHERE a.entry IN "
            f"({','.join('?' * len(names))}) AND {_THERE} ORDER BY a.uploaded, a.id",
            names,
        )
        for row in found:
            one = _attachment(row)
            files.setdefault(one.entry_id, []).append(one)
    for row in rows:
        current = _revision(row[3:], row[1])
        yield Entry(current=current, attachments=tuple(files.get(current.entry_id, ())))


def _revision(row: Sequence[object], created: object) -> Revision:
    tags = row[12]
    return Revision(
        id=str(row[0]),
        entry_id=str(row[1]),
        parent=None if row[2] is None else str(row[2]),
        lamport=_int(row[3]),
        written_at=_int(row[4]),
        device=str(row[5]),
        deleted=bool(row[6]),
        at=_int(row[7]),
        tz=None if row[8] is None else str(row[8]),
        created_at=_int(created if row[9] is None else row[9]),
        title=str(row[10]),
        description=str(row[11]),
        tags=() if tags is None else tuple(orjson.loads(str(tags))),
        metadata=metadata_of(None if row[13] is None else str(row[13])),
    )


def _attachment(row: Sequence[object]) -> Attachment:
    return Attachment(
        id=str(row[0]),
        key=str(row[1]),
        entry_id=str(row[2]),
        name=str(row[3]),
        media_type=str(row[4]),
        size_bytes=_int(row[5]),
        sha256=None if row[6] is None else str(row[6]),
        uploaded_at=_int(row[7]),
        device=str(row[8]),
    )


def _int(value: object) -> int:
    assert isinstance(value, int)
    return value


def _print(query: Query) -> int:
    """What a cursor belongs to: another question's cursor would skip entries in silence."""
    return zlib.crc32(repr(query).encode())


def _cursor(query: Query, last: object, id_: object) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([_print(query), last, id_])).decode().rstrip("=")


def _read_cursor(cursor: str, query: Query) -> tuple[int, str]:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        found = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (UnicodeEncodeError, binascii.Error, orjson.JSONDecodeError):
        found = None
    match found:
        case [int(mark), int(last), str(id_)] if mark == _print(query) and abs(last) < 2**63:
            return last, id_
    raise UsageError(
        "The cursor isn't one of this list.",
        hint="Take it from the page before, and ask with the same filters and order.",
    )
