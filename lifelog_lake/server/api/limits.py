"""What may be attached to an entry, and where each limit comes from."""

from __future__ import annotations

from dataclasses import dataclass

from lifelog_lake.config import CONFIG_NAME, load, source_of
from lifelog_lake.errors import UsageError
from lifelog_lake.home import Home

#: Names that a person knows them by, and the settings of [journal].
NAMES = {
    "FILE_MAX_BYTES": "file_max_bytes",
    "ATTACHMENT_MAX_PER_EVENT": "attachments_per_entry",
    "ALLOWED_MIME_TYPES": "allowed_types",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A limit in use. ``source``: ``default``, ``config.toml`` or ``environment NAME``."""

    name: str
    setting: str
    value: int | tuple[str, ...]
    source: str


def limits_of(home: Home) -> tuple[Limit, ...]:
    """The limits of a home's settings."""
    return tuple(
        Limit(
            name=name,
            setting=f"journal.{key}",
            value=getattr(home.settings.journal, key),
            source=source_of(("journal", key), home.path / CONFIG_NAME),
        )
        for name, key in NAMES.items()
    )


def limits_json(home: Home, limits: tuple[Limit, ...]) -> dict[str, object]:
    """The limits in use, and what config.toml says by now for the next start."""
    trouble = None
    coming = {limit.setting: limit.value for limit in limits}
    try:
        journal = load(home.path).journal
    except UsageError as error:
        trouble = f"{error.message} {error.hint}".strip()
    else:
        coming = {f"journal.{key}": getattr(journal, key) for key in NAMES.values()}
    return {
        "limits": [
            {
                "name": limit.name,
                "setting": limit.setting,
                "value": limit.value,
                "source": limit.source,
                "next": None if coming[limit.setting] == limit.value else coming[limit.setting],
            }
            for limit in limits
        ],
        "trouble": trouble,
    }
