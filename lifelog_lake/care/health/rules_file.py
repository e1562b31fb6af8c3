"""``HOME/health.toml``: which rules there are, and how soon each speaks.

The first health run writes it with every default commented out. A single device may have other
values: ``[devices.laptop-2ac252.last_seen] after_s = 600``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from pydantic import BaseModel, Field, ValidationError

from lifelog_lake import fsio
from lifelog_lake.alert_settings import Severity
from lifelog_lake.config import explain, toml_value
from lifelog_lake.errors import UsageError
from lifelog_lake.home import Home
from lifelog_lake.section import Section

NAME = "health.toml"
DEVICES = "devices"
GIB = 1024**3
HOUR_S, DAY_S = 3600.0, 86_400.0


class Rule(Section):
    """What every rule has."""

    enabled: bool = Field(True, description="Whether it is looked at.")
    severity: Severity = Field("warning", description=f"One of {', '.join(get_args(Severity))}.")


class LastSeen(Rule):
    """A device sends nothing any more."""

    after_s: float = Field(DAY_S, gt=0, description="Seconds; laptops sleep, so it is a day.")
    stopped_after_s: float = Field(
        7 * DAY_S, gt=0, description="The same for one that was shut down properly."
    )


class Capture(Rule):
    """A stream that is enabled has nothing new, though nobody paused and the person is there."""

    after_s: float = Field(600.0, gt=0, description="Seconds, by the device's own clock.")
    streams: dict[str, float] = Field(
        default_factory=dict,
        description="The same for single streams, e.g. {screen = 120, web = 0}; 0 = never.",
    )


class ActivityWatch(Rule):
    """A device's ActivityWatch server doesn't answer, or not as it should."""

    after_s: float = Field(
        120.0, ge=0, description="Seconds of that; at login it begins a little after lifelog."
    )


class Backlog(Rule):
    """Much waits in a device's spool."""

    bytes: int = Field(2 * GIB, gt=0, description="Bytes of all its streams.")


class Lag(Rule):
    """A device's rows come late into the lake."""

    after_s: float = Field(HOUR_S, gt=0, description="Age of the oldest that waits, seconds.")


class Often(Rule):
    """Something happens too often."""

    most: int = Field(5, ge=0, description="More than so many are a finding …")
    within_s: float = Field(HOUR_S, gt=0, le=6 * HOUR_S, description="… within so many seconds.")


class Restarts(Often):
    """A collector ends and is started again."""


class Errors(Often):
    """A collector meets errors."""

    most: int = Field(20, ge=0, description="More than so many are a finding …")


class Disk(Rule):
    """A disk is full, or will be."""

    free_bytes: int = Field(GIB, ge=0, description="Least free bytes on a device, and at the lake.")
    full_within_s: float = Field(
        14 * DAY_S, ge=0, description="The lake's disk will be full within so many seconds."
    )


class Clock(Rule):
    """A device's clock is wrong."""

    skew_s: float = Field(120.0, gt=0, description="Seconds ahead or behind.")


class Version(Rule):
    """A device has another version than this hub."""

    severity: Severity = Field("info", description="One of info, warning, critical.")


class Config(Rule):
    """A device has another revision of the configuration than most."""

    severity: Severity = Field("info", description="One of info, warning, critical.")


class Flows(Rule):
    """A flow failed, or doesn't run."""

    late_s: float = Field(900.0, gt=0, description="Seconds after its time that a run may begin.")
    silent_s: float = Field(300.0, gt=0, description="Seconds that the flows may say nothing.")


class Verify(Rule):
    """The last `lifelog verify` found something."""

    severity: Severity = Field("critical", description="One of info, warning, critical.")


class Identity(Rule):
    """Two live homes have one device id."""

    severity: Severity = Field("critical", description="One of info, warning, critical.")


class Content(Rule):
    """Rows come, but nothing is in them: black frames, digital silence, a window that hangs."""

    after_s: float = Field(
        1800.0, ge=0, le=4 * HOUR_S, description="Seconds of black frames, or of silence."
    )
    frozen_s: float = Field(
        4 * HOUR_S,
        ge=0,
        le=4 * HOUR_S,
        description="Seconds of one window while the screen goes on changing.",
    )


class Quarantine(Rule):
    """Rows or contents were put aside or lost."""

    most: int = Field(0, ge=0, description="More than so many are a finding …")
    within_s: float = Field(DAY_S, gt=0, le=31 * DAY_S, description="… within so many seconds.")


class Lake(Rule):
    """The lake can't be reached from the hub."""

    after_s: float = Field(
        120.0, ge=0, description="Seconds of that; after a night the network takes its time."
    )

    severity: Severity = Field("critical", description="One of info, warning, critical.")


class Rules(Section):
    """Every rule."""

    last_seen: LastSeen = LastSeen()
    capture: Capture = Capture()
    activitywatch: ActivityWatch = ActivityWatch()
    backlog: Backlog = Backlog()
    lag: Lag = Lag()
    restarts: Restarts = Restarts()
    errors: Errors = Errors()
    disk: Disk = Disk()
    clock: Clock = Clock()
    version: Version = Version()
    config: Config = Config()
    flows: Flows = Flows()
    verify: Verify = Verify()
    identity: Identity = Identity()
    content: Content = Content()
    quarantine: Quarantine = Quarantine()
    lake: Lake = Lake()


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleBook:
    """The rules, and those of devices that have others."""

    general: Rules = field(default_factory=Rules)
    by_device: Mapping[str, Rules] = field(default_factory=dict)

    def of(self, device: str) -> Rules:
        """The rules of one device."""
        return self.by_device.get(device, self.general)


def load(home: Home) -> RuleBook:
    """The rules of a home; a missing file is written with the defaults.

    Raises :class:`UsageError` that says what is wrong in which line or with which key, and names
    the nearest known one.
    """
    path = home.path / NAME
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        fsio.write_atomic(path, default_toml().encode(), at="rules")
        return RuleBook()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} can't be read: {error}.", hint="Mend or remove it.") from None
    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(
            f"{path} isn't valid TOML: {error}.", hint="Mend the line, or move the file away."
        ) from None
    devices = values.pop(DEVICES, {})
    if not isinstance(devices, dict) or not all(isinstance(v, dict) for v in devices.values()):
        raise UsageError(
            f"[{DEVICES}] of {path} can't be used.",
            hint=f"Write [{DEVICES}.<device>.<rule>] and its settings below.",
        )
    general = _rules(values, home, ())
    return RuleBook(
        general=general,
        by_device={
            name: _rules(_merge(values, own), home, (DEVICES, name))
            for name, own in devices.items()
        },
    )


def default_toml() -> str:
    """Every rule with its defaults, commented out."""
    lines = [
        "# How soon lifelog's health rules speak (docs/health.md). What is commented out is the",
        "# default. One device may have other values: [devices.NAME.last_seen] and so on.",
    ]
    for name, info in Rules.model_fields.items():
        model = info.annotation
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        lines += ["", f"[{name}]", f"# {model.__doc__}"]
        for key, one in model.model_fields.items():
            default = one.get_default(call_default_factory=True)  # type: ignore[call-arg,unused-ignore]
            lines += [f"# {key} = {toml_value(default)}  # {one.description}"]
    return "\n".join(lines) + "\n"


def _rules(values: Mapping[str, Any], home: Home, prefix: tuple[str, ...]) -> Rules:
    try:
        return Rules(**values)
    except ValidationError as error:
        raise explain(error, home.path / NAME, Rules, prefix) from None


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        both = isinstance(value, dict) and isinstance(under, dict)
        merged[key] = {**under, **value} if both else value  # type: ignore[dict-item]
    return merged
