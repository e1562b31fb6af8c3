"""What ``settings``, ``settings/lake`` and ``audit`` take and give, as models."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lifelog_lake.recall.journal.model import Input
from lifelog_lake.server.api.models import Out, Stamp


class LimitOut(Out):
    """A limit in use."""

    name: str = Field(description="As the environment names it: FILE_MAX_BYTES.")
    setting: str
    value: int | list[str]
    source: str = Field(description="default, config.toml, or environment NAME.")
    next: int | list[str] | None = Field(
        description="What it will be from the next start on, if config.toml was changed."
    )


class SettingsOut(Out):
    """Limits, and what opens the login."""

    limits: list[LimitOut]
    trouble: str | None = Field(description="Why config.toml can't be used at the next start.")
    file: str
    login: Literal["settings", "password", "token"]


class LakeInUseOut(Out):
    """The lake in use."""

    url: str | None
    place: str | None = Field(description="File system, or server.")
    bucket: str | None
    prefix: str | None
    lake_id: str | None
    generation: int | None
    format: int | None
    created_at: Stamp | None
    reachable: bool
    error: str | None
    hint: str | None


class AuditQuery(Input):
    """How much of it."""

    limit: int = Field(50, ge=1, le=500, description="Most lines.")


class AuditLine(Out):
    """Who did what; further fields say to what, by ids and counts."""

    at: Stamp
    who: str = Field(description="person, command, or token ID NAME.")
    address: str
    action: str


class AuditOut(Out):
    """Newest first."""

    lines: list[AuditLine]
