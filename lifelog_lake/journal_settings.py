"""Settings of the journal: what may be attached to an entry."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from lifelog_lake.section import Section

MIB = 1024**2
#: A browser runs what is in them, whatever they were meant for.
NEVER = frozenset(
    {"image/svg+xml", "text/html", "application/xhtml+xml", "text/xml", "application/xml"}
    | {"text/javascript", "application/javascript"}
)
_TYPE = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]*")


class JournalSettings(Section):
    """What a person writes, and the files attached to it."""

    file_max_bytes: int = Field(
        10 * MIB, ge=1, le=1024**4, description="Most bytes of an attached file."
    )
    attachments_per_entry: int = Field(
        10, ge=0, le=10_000, description="Most files attached to one entry."
    )
    allowed_types: Annotated[tuple[str, ...], NoDecode] = Field(
        (
            *("image/jpeg", "image/png", "image/webp", "application/pdf"),
            *("text/plain", "text/markdown", "text/csv", "video/mp4"),
        ),
        description="Media types that may be attached, judged by the content; in the environment "
        "with commas between. SVG, HTML and scripts never may.",
    )

    @field_validator("allowed_types", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        text = value.strip().removeprefix("[").removesuffix("]")
        return tuple(part.strip(" \t\"'") for part in text.split(",") if part.strip(" \t\"'"))

    @field_validator("allowed_types")
    @classmethod
    def _are_types(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        named = tuple(dict.fromkeys(name.strip().lower() for name in value))
        for name in named:
            if not _TYPE.fullmatch(name):
                raise ValueError(f"{name[:40]!r} isn't a media type such as image/png")
            if name in NEVER:
                raise ValueError(f"{name} can't be allowed: a browser would run what is in it")
        return named
