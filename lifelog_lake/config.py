"""Settings: ``config.toml``, then ``LIFELOG_*`` from the environment, then flags.

Loaded once into a frozen object and passed on. ``[ship] every_s`` is ``LIFELOG_SHIP__EVERY_S``.
``LOG_LEVEL``, ``LOG_FILE`` and the others of ``ALIASES`` are honoured too (the long names win over
them); an empty ``LOG_FILE`` means the console. An unknown key is an error that names the nearest
known one, a wrong value one that names where it was set. The first run writes a commented
``config.toml`` and goes on.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast, get_args, get_origin

import orjson
import platformdirs
from pydantic import BaseModel, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from lifelog_lake import fsio
from lifelog_lake.alert_settings import AlertsSettings
from lifelog_lake.budget_settings import BudgetSettings
from lifelog_lake.errors import UsageError
from lifelog_lake.flow_settings import FlowsSettings
from lifelog_lake.health_settings import HealthSettings
from lifelog_lake.journal_settings import JournalSettings
from lifelog_lake.search_settings import LookingSettings
from lifelog_lake.section import Section
from lifelog_lake.server_settings import ServerSettings

GIB = 1024**3
PREFIX = "LIFELOG_"
CONFIG_NAME = "config.toml"

#: Names that other programs gave to what we set, too; our long names win over them.
ALIASES: dict[str, tuple[str, ...]] = {
    "LOG_LEVEL": ("log", "level"),
    "LOG_FILE": ("log", "file"),
    "AW_WINDOW_BUCKET_ID": ("collectors", "activitywatch", "window_bucket"),
    "AW_AFK_BUCKET_ID": ("collectors", "activitywatch", "afk_bucket"),
    "AW_WEB_BROWSER_BUCKET_ID": ("collectors", "activitywatch", "web_bucket"),
    "WATCHER_TIMESTAMP_THRESHOLD_MINUTES": ("health", "stale_after_minutes"),
    "FILE_MAX_BYTES": ("journal", "file_max_bytes"),
    "ATTACHMENT_MAX_PER_EVENT": ("journal", "attachments_per_entry"),
    "ALLOWED_MIME_TYPES": ("journal", "allowed_types"),
}

#: Names that other programs use in ``LOG_LEVEL`` for levels that we have.
LOG_LEVELS = {"trace": "debug", "warn": "warning", "fatal": "error", "critical": "error"}


class LakeSettings(Section):
    """Where the lake lies."""

    url: str = Field(
        "", description="A directory, file:// or s3://bucket/prefix; empty = HOME/lake."
    )
    endpoint: str = Field(
        "",
        description="The S3 server, https://host:port; empty = AWS_ENDPOINT_URL_S3 or "
        "AWS_ENDPOINT_URL, or AWS itself.",
    )
    region: str = Field("", description="The S3 region; empty = AWS_REGION, or us-east-1.")
    ca_bundle: str = Field(
        "",
        description="A PEM file with the authority of the server's certificate; "
        "empty = AWS_CA_BUNDLE, or the system's.",
    )
    plain_http: bool = Field(
        False,
        description="Take http:// for another machine, too; only where nobody else listens, such "
        "as between two containers.",
    )


class DeviceSettings(Section):
    """This device."""

    name: str = Field(
        "", description="Name in the lake; empty = the host's name. Set once, at the first start."
    )


class SpoolSettings(Section):
    """The durable queue between collectors and the lake."""

    max_bytes: int = Field(10 * GIB, ge=2**20, description="Most bytes that may wait for the lake.")
    min_free_bytes: int = Field(
        GIB // 2, ge=0, description="Free disk space that capture leaves alone."
    )
    on_full: Literal["stop", "block", "drop-oldest", "degrade"] = Field(
        "stop",
        description="stop or block = capture waits for room; drop-oldest = the oldest rows go, "
        "recorded; degrade = less is captured from half full on, then it waits.",
    )
    segment_bytes: int = Field(4 * 2**20, ge=4096, description="Size at which a segment is sealed.")
    keep_acked_days: float = Field(7.0, ge=0, description="How long shipped segments are kept.")
    keep_acked_bytes: int = Field(GIB, ge=0, description="Most bytes of shipped segments kept.")


class ShipSettings(Section):
    """Moving rows from the spool into the lake."""

    every_s: float = Field(60.0, gt=0, description="Seconds between two runs.")
    batch_rows: int = Field(10_000, ge=1, le=100_000, description="Most rows a commit.")


class CareSettings(Section):
    """What keeps the lake small, fast and whole; the hub's work."""

    keep_days: float = Field(
        7.0,
        ge=7,
        le=3660,
        description="How long replaced files and old log entries are kept for who reads them.",
    )
    target_bytes: int = Field(
        64 * 2**20,
        ge=2**20,
        le=GIB,
        description="Size that merged files should have; merging takes about 15 times as much "
        "memory.",
    )


class LogSettings(Section):
    """Logs are JSON lines; they never hold captured content."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severity written."
    )
    file: str | None = Field(
        None, description="A path; unset = a file a process in HOME/logs; empty = the console."
    )


class Settings(BaseSettings):
    """Everything a person can set, except what belongs to one collector's own model.

    ``collectors`` holds the raw tables; :mod:`lifelog_lake.collect.registry` checks each with its
    collector's own settings model.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    lake: LakeSettings = LakeSettings()
    device: DeviceSettings = DeviceSettings()
    spool: SpoolSettings = SpoolSettings()
    ship: ShipSettings = ShipSettings()
    budgets: BudgetSettings = BudgetSettings()
    care: CareSettings = CareSettings()
    journal: JournalSettings = JournalSettings()
    search: LookingSettings = LookingSettings()
    server: ServerSettings = ServerSettings()
    flows: FlowsSettings = FlowsSettings()
    health: HealthSettings = HealthSettings()
    alerts: AlertsSettings = AlertsSettings()
    log: LogSettings = LogSettings()
    collectors: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Init values alone: :func:`load` merges file, environment and flags, once."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    def sha256(self) -> str:
        """Hash of the settings in use: two devices with the same hash behave the same."""
        return hashlib.sha256(
            orjson.dumps(self.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)
        ).hexdigest()


def default_home() -> Path:
    """``LIFELOG_HOME``, or the platform's user data directory."""
    named = os.environ.get("LIFELOG_HOME")
    if named:
        return Path(named).expanduser()
    return Path(platformdirs.user_data_dir("lifelog", appauthor=False))


def load(home: Path, flags: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings of a home; raises :class:`UsageError` that says what, where and how.

    ``flags`` is a nested mapping of what the command line sets. A missing file is no error.
    """
    path = home / CONFIG_NAME
    from_file = _read_toml(path)
    from_environment = _environment()
    merged = _merge(_merge(from_file, from_environment), flags or {})
    try:
        return Settings(**merged)
    except ValidationError as error:
        raise explain(error, path, Settings) from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(
            f"{path} can't be read: {error.strerror}.",
            hint="Make it readable for you, or name another home with --home.",
            path=str(path),
        ) from None
    try:
        return tomllib.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, UnicodeDecodeError
        raise UsageError(
            f"{path} isn't valid TOML: {error}.", hint="Mend the line, or move the file away."
        ) from None


def _environment() -> dict[str, Any]:
    known = {name.upper() for name in Settings.model_fields}
    for variable in os.environ:
        if not variable.upper().startswith(PREFIX) or "__" not in variable:
            continue
        section = variable[len(PREFIX) :].split("__")[0].upper()
        if section not in known:
            nearest = difflib.get_close_matches(section, known, n=1)
            raise UsageError(
                f"The environment variable {variable} names no setting.",
                hint=f"Did you mean {PREFIX}{nearest[0]}__…?"
                if nearest
                else "`lifelog config show` lists them.",
            )
    try:
        values: dict[str, Any] = EnvSettingsSource(Settings)()
    except SettingsError as error:
        raise UsageError(
            f"The environment isn't usable: {error}.",
            hint=f"Set one setting a variable: {PREFIX}SHIP__EVERY_S=60.",
        ) from None
    aliased: dict[str, Any] = {}
    for variable, setting in ALIASES.items():
        if not _counts(variable):
            continue
        value = os.environ[variable]
        if variable == "LOG_LEVEL":
            level = value.strip().lower()
            value = LOG_LEVELS.get(level, level)
        nested: Any = value
        for part in reversed(setting):
            nested = {part: nested}
        aliased = _merge(aliased, nested)
    return _merge(aliased, values)


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        if isinstance(value, Mapping) and isinstance(under, Mapping):
            merged[key] = _merge(under, value)
        else:
            merged[key] = value
    return merged


def environment_name(setting: tuple[str, ...]) -> str:
    """Name of the environment variable that sets ``("ship", "every_s")``."""
    return PREFIX + "__".join(setting).upper()


def explain(
    error: ValidationError, where: Path, model: type[BaseModel], prefix: tuple[str, ...] = ()
) -> UsageError:
    """The first problem of a validation as a sentence that names the setting and the remedy.

    ``where`` is the file of the settings; a value that came from the environment is said to.
    """
    problem = error.errors(include_url=False, include_input=False)[0]
    location = (*prefix, *(str(part) for part in problem["loc"]))
    name = ".".join(location)
    source = variable_of(location)
    place = f"It comes from the environment variable {source}." if source else f"See {where}."
    if problem["type"] != "extra_forbidden":
        message = problem["msg"].removeprefix("Value error, ")
        return UsageError(f"The setting {name} is wrong: {message}.", hint=place, setting=name)
    siblings = _fields_at(model, tuple(str(part) for part in problem["loc"][:-1]))
    nearest = difflib.get_close_matches(location[-1], siblings, n=1, cutoff=0.4)
    if nearest:
        place = f"Did you mean '{nearest[0]}'? {place}"
    elif siblings:
        place = f"Known here: {', '.join(sorted(siblings))}. {place}"
    return UsageError(f"There is no setting '{name}'.", hint=place, setting=name)


def variable_of(setting: tuple[str, ...]) -> str | None:
    """The variable of the environment that sets this setting now, if there is one."""
    wanted = environment_name(setting)
    for variable in os.environ:
        if variable.upper() == wanted:
            return variable
    aliases = [variable for variable, named in ALIASES.items() if named == setting]
    return next((variable for variable in aliases if _counts(variable)), None)


def source_of(setting: tuple[str, ...], where: Path) -> str:
    """Where the value of a setting comes from: ``environment NAME``, the file's name, ``default``.

    ``where`` is the file of the settings, which :func:`load` has read before.
    """
    if (variable := variable_of(setting)) is not None:
        return f"environment {variable}"
    value: Any = _read_toml(where)
    for part in setting:
        if not isinstance(value, dict) or part not in value:
            return "default"
        value = value[part]
    return where.name


def _counts(alias: str) -> bool:
    """Whether a short name is set. Empty means unset, but for ``LOG_FILE``: the console."""
    value = os.environ.get(alias)
    return value is not None and (bool(value.strip()) or alias == "LOG_FILE")


def _fields_at(model: type[BaseModel], path: tuple[str, ...]) -> list[str]:
    annotation: Any = model
    for part in path:
        if get_origin(annotation) is dict:  # tables that the person names: any part fits
            annotation = get_args(annotation)[1]
        elif _is_model(annotation) and part in annotation.model_fields:
            annotation = annotation.model_fields[part].annotation
    return list(annotation.model_fields) if _is_model(annotation) else []


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def write_default(home: Path, collectors: Mapping[str, type[BaseModel]]) -> bool:
    """Write the commented default ``config.toml`` if there is none; True if it was written."""
    path = home / CONFIG_NAME
    if path.exists():
        return False
    fsio.make_dirs(home, at="home")
    fsio.write_atomic(path, default_toml(collectors).encode(), at="config")
    return True


def write_setting(home: Path, section: str, key: str, value: str) -> None:
    """Set one setting in ``config.toml`` and leave all else as the person wrote it. Durable.

    Takes the place of the setting, or of its commented default, in its section.
    """
    path = home / CONFIG_NAME
    _read_toml(path)  # a file that can't be read must not be edited
    text = path.read_bytes().decode("utf-8-sig") if path.exists() else ""
    lines = text.splitlines()
    line = f"{key} = {toml_value(value)}"
    heads = [number for number, text in enumerate(lines) if text.strip().startswith("[")]
    start = next((n for n in heads if lines[n].split("#")[0].strip() == f"[{section}]"), None)
    if start is None:
        lines += ["", f"[{section}]", line]
    else:
        end = next((n for n in heads if n > start), len(lines))
        said = re.compile(rf"\s*(#\s*)?{re.escape(key)}\s*=")
        places = [n for n in range(start + 1, end) if said.match(lines[n])]
        places.sort(key=lambda n: lines[n].lstrip().startswith("#"))  # what is set goes first
        if places:
            lines[places[0]] = line
        else:
            lines.insert(start + 1, line)
    content = "\n".join(lines) + "\n"
    try:
        written = tomllib.loads(content)[section][key] == value
    except (tomllib.TOMLDecodeError, LookupError, TypeError):
        written = False  # a section in a form that one line can't change, such as an inline table
    if not written:
        raise UsageError(
            f"The setting {section}.{key} can't be written into {path}.",
            hint=f"Write it yourself, in [{section}]: {line}",
            setting=f"{section}.{key}",
        )
    fsio.write_atomic(path, content.encode(), at="config")


def default_toml(collectors: Mapping[str, type[BaseModel]]) -> str:
    """Every setting with its default, commented out, so that new defaults reach old homes."""
    lines = ["# Settings of lifelog_lake. What is commented out is the default."]
    for name, field in Settings.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            lines += _toml_section(name, annotation)
    for name, model in sorted(collectors.items()):
        lines += _toml_section(f"collectors.{name}", model)
    return "\n".join(lines) + "\n"


def _toml_section(name: str, model: type[BaseModel]) -> list[str]:
    lines = ["", f"[{name}]"]
    within: list[str] = []
    for key, field in model.model_fields.items():
        if _is_model(field.annotation):
            within += _toml_section(f"{name}.{key}", cast("type[BaseModel]", field.annotation))
            continue
        default = field.get_default(call_default_factory=True)  # type: ignore[call-arg,unused-ignore]
        lines += [f"# {field.description}", f"# {key} = {toml_value(default)}"]
    return lines + within


def toml_value(value: object) -> str:
    """A value as TOML. What is unset has no value there: an empty string would mean something."""
    if value is None:
        return "(unset)"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {toml_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    return orjson.dumps(value).decode()  # strings, numbers and booleans are written alike in both
