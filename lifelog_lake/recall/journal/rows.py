"""Revisions and attachments as rows of their streams, and back.

A row may come from another writer or an older version, so what it lacks is filled in: an entry's
id is then the row's, the time of writing that of its uuid7.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import orjson

from lifelog_lake.events import BlobSource, Event, new_event
from lifelog_lake.recall.journal.model import Attachment, Metadata, Revision, metadata_text

JOURNAL, ATTACHMENT = "journal", "attachment"
#: Columns that are read of the tables.
JOURNAL_COLUMNS = (
    *("id", "device", "at", "tz", "entry_id", "parent", "lamport", "deleted", "title"),
    *("description", "tags", "metadata", "created_at", "written_at", "author"),
)
ATTACHMENT_COLUMNS = (
    *("id", "device", "at", "blob", "blob_bytes", "media_type", "key", "entry_id", "name"),
    *("deleted", "author"),
)


def journal_event(revision: Revision, device: str) -> Event:
    """The row of a revision, to be appended on ``device``."""
    data: dict[str, object] = {
        "entry_id": revision.entry_id,
        "parent": revision.parent,
        "lamport": revision.lamport,
        "deleted": revision.deleted,
        "created_at": revision.created_at,
        "written_at": revision.written_at,
        "author": None if revision.device == device else revision.device,
    }
    if not revision.deleted:
        data |= {
            "title": revision.title,
            "description": revision.description,
            "tags": list(revision.tags),
            "metadata": metadata_text(revision.metadata),
        }
    return new_event(JOURNAL, id=revision.id, at=revision.at, tz=revision.tz, data=data)


def attachment_event(
    file: Attachment, device: str, source: BlobSource | None, *, deleted: bool = False
) -> Event:
    """The row of an attachment; without a source its content is in the lake or spool already."""
    known = source is None and not deleted
    return new_event(
        ATTACHMENT,
        id=file.id,
        at=file.uploaded_at,
        blob=file.sha256 if known else None,
        blob_bytes=file.size_bytes if known else None,
        media_type=file.media_type if known else None,
        source=source,
        data={
            "key": file.key,
            "entry_id": file.entry_id,
            "name": file.name,
            "deleted": deleted or None,
            "author": None if file.device == device else file.device,
        },
    )


def waiting_row(fields: Mapping[str, Any], device: str) -> dict[str, Any]:
    """A record of the spool as a row of the table."""
    return {**fields["data"], **fields, "device": device}


def revision_values(row: Mapping[str, Any]) -> tuple[object, ...]:
    """A row (times in µs) as the index keeps it."""
    at = row["at"]
    written_at = row.get("written_at")
    if written_at is None:
        written_at = _time_of(row["id"])
    tags = list(dict.fromkeys(tag for tag in row.get("tags") or () if tag is not None))
    return (
        row["id"],
        row.get("entry_id") or row["id"],
        row.get("parent"),
        row.get("lamport") or 0,
        at if written_at is None else written_at,
        row.get("author") or row.get("device") or "",
        bool(row.get("deleted")),
        at,
        row.get("tz"),
        row.get("created_at"),
        row.get("title") or "",
        row.get("description") or "",
        orjson.dumps(tags).decode() if tags else None,
        row.get("metadata"),
    )


def attachment_values(row: Mapping[str, Any]) -> tuple[object, ...]:
    """The same for an attachment."""
    return (
        row["id"],
        row.get("key") or row["id"],
        row.get("entry_id") or "",
        row.get("name") or "",
        row.get("media_type") or "",
        row.get("blob_bytes") or 0,
        row.get("blob"),
        row["at"],
        row.get("author") or row.get("device") or "",
        bool(row.get("deleted")),
    )


def metadata_of(text: str | None) -> Metadata:
    """The column ``metadata``; what another writer put there and isn't an object stays readable."""
    if not text:
        return {}
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:  # not of ours; it is shown as it is
        value = text
    return value if isinstance(value, dict) else {"value": value}


def _time_of(id_: str) -> int | None:
    """µs since 1970 that a uuid7 was made; None for any other id."""
    try:
        made = uuid.UUID(id_)
    except ValueError:
        return None
    return (made.int >> 80) * 1000 if made.version == 7 else None
