"""Finds collectors by the entry-point group ``lifelog_lake.collectors`` and checks their settings.

A distribution offers a collector with::

    [project.entry-points."lifelog_lake.collectors"]
    battery = "my_package.battery:Battery"
"""

from __future__ import annotations

import difflib
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from pydantic import ValidationError

from lifelog_lake.collect.protocol import Collector, CollectorSettings, streams_of
from lifelog_lake.config import Settings, explain
from lifelog_lake.errors import UsageError

GROUP = "lifelog_lake.collectors"


@cache  # each look reads the files of all distributions: 10 ms
def _found() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def names() -> list[str]:
    """The collectors that are installed, sorted."""
    return sorted(_found())


def load(name: str) -> type[Collector]:
    """The collector's class; raises :class:`UsageError` that names the nearest known one."""
    found = _found()
    entry = found.get(name)
    if entry is None:
        raise _unknown(name, list(found), "collector")
    loaded: type[Collector] = entry.load()
    return loaded


def models() -> dict[str, type[CollectorSettings]]:
    """Every collector's settings model, for the default ``config.toml``."""
    return {name: load(name).Settings for name in names()}


def settings_of(name: str, settings: Settings, where: Path) -> CollectorSettings:
    """The checked settings of one collector. ``where`` is the file that errors point to."""
    return _checked(load(name), name, settings, where)


def streams(name: str, settings: Settings, where: Path) -> tuple[str, ...]:
    """The streams that one collector writes with its settings."""
    cls = load(name)
    return streams_of(cls, _checked(cls, name, settings, where))


def enabled(settings: Settings, where: Path) -> dict[str, type[Collector]]:
    """The collectors that are to run: enabled, and with a stream to write.

    Raises :class:`UsageError` for anything wrong in ``[collectors]``, a section of an unknown
    collector included.
    """
    known = names()
    for section in settings.collectors:
        if section not in known:
            raise _unknown(section, known, "section collectors.")
    classes = {name: load(name) for name in known}
    checked = {name: _checked(cls, name, settings, where) for name, cls in classes.items()}
    return {
        name: cls
        for name, cls in classes.items()
        if checked[name].enabled and streams_of(cls, checked[name])
    }


def _checked(cls: type[Collector], name: str, settings: Settings, where: Path) -> CollectorSettings:
    try:
        return cls.Settings(**settings.collectors.get(name, {}))
    except ValidationError as error:
        raise explain(error, where, cls.Settings, ("collectors", name)) from None


def _unknown(name: str, known: list[str], kind: str) -> UsageError:
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    title = f"{kind}{name}" if kind.endswith(".") else f"{kind} '{name}'"
    return UsageError(
        f"There is no {title}.",
        hint=f"Did you mean '{nearest[0]}'?"
        if nearest
        else f"Installed: {', '.join(sorted(known)) or 'none'}.",
        collector=name,
    )
