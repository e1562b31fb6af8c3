"""Settings of the flows: what keeps the lake small and fast, and when."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator

from lifelog_lake import cron
from lifelog_lake.section import Section

MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86_400.0
#: Longer than anybody means, and short enough for calendars to reckon with.
MOST_S, MOST_DAYS = 366 * DAY_S, 3660.0


class FlowSettings(Section):
    """When one flow runs, and what happens when it can't."""

    enabled: bool = Field(True, description="Whether it runs by its schedule.")
    every_s: float = Field(HOUR_S, ge=1, le=MOST_S, description="Seconds between two runs.")
    cron: str = Field(
        "",
        description="Instead of every_s: minute, hour, day of the month, month, weekday, "
        "in this machine's time; e.g. 30 3 * * *",
    )
    timeout_s: float = Field(
        HOUR_S,
        ge=1,
        le=MOST_S,
        description="It is ended after so many seconds; the next run goes on.",
    )
    retries: int = Field(
        3, ge=0, le=10, description="How often it is tried again when the lake can't be reached."
    )
    retry_after_s: float = Field(
        30.0, gt=0, le=DAY_S, description="Seconds before the first of them; doubled each time."
    )
    grace_s: float = Field(
        7 * DAY_S,
        gt=0,
        le=MOST_S,
        description="A run that was missed is made up for, unless it is older.",
    )

    @field_validator("cron")
    @classmethod
    def _is_cron(cls, value: str) -> str:
        return cron.check(value) if value.strip() else ""


class CompactSettings(FlowSettings):
    """Small files are merged."""


class TidySettings(FlowSettings):
    """Logs are shortened, and files that nothing refers to removed."""

    every_s: float = Field(DAY_S, ge=1, le=MOST_S, description="Seconds between two runs.")
    cron: str = Field("30 3 * * *", description=str(FlowSettings.model_fields["cron"].description))


class ThumbnailsSettings(FlowSettings):
    """Small pictures of new frames are made."""

    every_s: float = Field(5 * MINUTE_S, ge=1, le=MOST_S, description="Seconds between two runs.")


class SummariesSettings(FlowSettings):
    """The days' sums are brought up to date."""

    every_s: float = Field(15 * MINUTE_S, ge=1, le=MOST_S, description="Seconds between two runs.")


class OcrSettings(FlowSettings):
    """The words on new frames are recognised, the newest first."""

    # With shipping each minute a word is found two minutes after it was seen, at the latest.
    every_s: float = Field(45.0, ge=1, le=MOST_S, description="Seconds between two runs.")
    budget_s: float = Field(
        15.0,
        gt=0,
        le=DAY_S,
        description="A run ends after so many seconds; what is left waits. A third of a core at "
        "most, if it runs each 45 seconds.",
    )
    engine: Literal["tesseract", "rapidocr"] = Field(
        "tesseract",
        description="What reads the words. rapidocr needs the extra of that name, ten times the "
        "time, and 1.2 GB of memory; it takes no languages.",
    )
    languages: tuple[str, ...] = Field(
        ("eng",),
        min_length=1,
        description="Languages as Tesseract names them; each needs its data, "
        "e.g. apt install tesseract-ocr-deu.",
    )
    redo_older: bool = Field(
        False, description="Whether frames that an older version read are read again."
    )


class EmbedSettings(FlowSettings):
    """New texts are made vectors, the newest first; only while [search] semantic is on."""

    every_s: float = Field(MINUTE_S, ge=1, le=MOST_S, description="Seconds between two runs.")
    budget_s: float = Field(
        10.0,
        gt=0,
        le=DAY_S,
        description="A run ends after so many seconds; what is left waits.",
    )


class SearchSettings(FlowSettings):
    """New events are taken into the search index."""

    every_s: float = Field(5 * MINUTE_S, ge=1, le=MOST_S, description="Seconds between two runs.")


class VerifySettings(FlowSettings):
    """The lake is verified, and its bytes read little by little."""

    every_s: float = Field(DAY_S, ge=1, le=MOST_S, description="Seconds between two runs.")
    cron: str = Field("30 4 * * *", description=str(FlowSettings.model_fields["cron"].description))
    days: int = Field(
        30, ge=1, le=3660, description="In so many days every byte of the lake is read once."
    )
    budget_s: float = Field(
        300.0,
        gt=0,
        le=DAY_S,
        description="A run reads no further after so many seconds, as other flows wait; the next "
        "one goes on there.",
    )


#: A check of health that is later than this is left out: the next one says more.
CHECK_GRACE_S = 300.0


def checking(every_s: float) -> FlowSettings:
    """When a check of health runs; 0 = never. A failed one isn't tried again: the next comes soon.

    It has no table of its own: ``[health]`` says how often.
    """
    return FlowSettings(
        enabled=every_s > 0,
        every_s=max(every_s, 1.0),
        timeout_s=CHECK_GRACE_S,
        retries=0,
        grace_s=CHECK_GRACE_S,
    )


class FlowsSettings(Section):
    """What keeps the lake small and fast, run by Prefect (`lifelog up` on a hub; docs/flows.md)."""

    enabled: bool = Field(True, description="Whether `lifelog up` runs the flows.")
    start_after_s: float = Field(
        20.0,
        ge=0,
        le=DAY_S,
        description="Seconds from lifelog's start to theirs: the pages come first.",
    )
    at_once: int = Field(1, ge=1, le=16, description="Most flows that run at the same time.")
    poll_s: float = Field(
        5.0, ge=0.1, le=30, description="Seconds between two looks for runs that are due."
    )
    keep_days: float = Field(
        14.0,
        ge=1,
        le=MOST_DAYS,
        description="How long Prefect's database keeps runs and their logs.",
    )
    api_url: str = Field(
        "",
        description="The API of a Prefect server elsewhere, https://host/api; empty = one of our "
        "own, on this machine only.",
    )
    database_url: str = Field(
        "",
        description="Where our own Prefect server keeps its state, postgresql+asyncpg://…; "
        "empty = a file in HOME/prefect.",
    )
    compact: CompactSettings = CompactSettings()
    tidy: TidySettings = TidySettings()
    thumbnails: ThumbnailsSettings = ThumbnailsSettings()
    summaries: SummariesSettings = SummariesSettings()
    ocr: OcrSettings = OcrSettings()
    embed: EmbedSettings = EmbedSettings()
    search: SearchSettings = SearchSettings()
    verify: VerifySettings = VerifySettings()

    @field_validator("api_url")
    @classmethod
    def _is_http(cls, value: str) -> str:
        if value and not re.match(r"https?://[^/\s]+", value):
            raise ValueError("it must be an address such as https://prefect.example.org/api")
        return value.rstrip("/")

    def of(self, name: str) -> FlowSettings:
        """The settings of one flow; KeyError if there is none of that name."""
        found = getattr(self, name, None)
        if not isinstance(found, FlowSettings):
            raise KeyError(name)
        return found
