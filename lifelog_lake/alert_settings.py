"""Settings of the alerts: whom they are told, how, and when not."""

from __future__ import annotations

import json
import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, field_validator
from pydantic_settings import NoDecode

from lifelog_lake.section import Section

Severity = Literal["info", "warning", "critical"]
_HOURS = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)\s*-\s*([01]?\d|2[0-3]):([0-5]\d)")


def _split(value: object) -> object:
    """A variable of the environment names them as a JSON list, or with blanks between them."""
    if not isinstance(value, str):
        return value
    return json.loads(value) if value.lstrip().startswith("[") else value.split()


Addresses = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


class AlertsSettings(Section):
    """Whom alerts are told (docs/health.md). Addresses may lie in HOME/alert-addresses.toml too."""

    notify: Addresses = Field(
        (),
        description="Apprise addresses, e.g. mailtos://user:password@host?to=me@host, ntfys://topic.",
    )
    notify_info: Addresses = Field(
        (), description="Instead of notify, for alerts of severity info."
    )
    notify_warning: Addresses = Field((), description="The same for warnings.")
    notify_critical: Addresses = Field((), description="The same for what is critical.")
    least: Severity = Field("warning", description="Least severity that is sent.")
    quiet_hours: str = Field(
        "",
        description="When nothing is sent, e.g. 22:00-07:00, this machine's time; empty = never.",
    )
    quiet_except: Severity = Field(
        "critical", description="Least severity that is sent in quiet hours all the same."
    )
    resolve_after_s: float = Field(
        300.0,
        ge=0,
        description="A finding that wasn't seen for so long is resolved; doubled each time that "
        "it comes again within six hours.",
    )
    retry_after_s: float = Field(
        60.0, gt=0, description="Seconds before what couldn't be sent is tried again; doubled."
    )
    retry_most_s: float = Field(3600.0, gt=0, description="The longest of these waits.")
    timeout_s: float = Field(20.0, gt=0, description="How long an address may take to answer.")
    ping_url: str = Field(
        "",
        description="Asked (GET) after each health run that went well: a dead man's switch "
        "elsewhere; empty = none.",
    )

    @field_validator("quiet_hours")
    @classmethod
    def _are_hours(cls, value: str) -> str:
        if value.strip() and not _HOURS.fullmatch(value.strip()):
            raise ValueError("it must be two times of the day, such as 22:00-07:00")
        return value.strip()

    @field_validator("ping_url")
    @classmethod
    def _is_http(cls, value: str) -> str:
        if value and (
            urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).netloc
        ):
            raise ValueError("it must be an http:// or https:// address")
        return value

    def is_quiet(self, minute: int) -> bool:
        """Whether a minute of the local day (0 to 1439) is in the quiet hours."""
        found = _HOURS.fullmatch(self.quiet_hours)
        if found is None:
            return False
        hours = [int(part) for part in found.groups()]
        begin, end = hours[0] * 60 + hours[1], hours[2] * 60 + hours[3]
        return begin <= minute < end if begin <= end else not end <= minute < begin
