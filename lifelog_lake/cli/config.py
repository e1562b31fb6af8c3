"""``lifelog config``: the settings in use and where each comes from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lifelog_lake.cli.options import HomeOption, JsonOption, Options, here, home_path
from lifelog_lake.cli.output import say, say_json

if TYPE_CHECKING:
    from pydantic import BaseModel

app = typer.Typer(help="Show and check the settings.", no_args_is_help=True)

#: Shown as set or not, never with their value.
SECRET = frozenset(
    {
        *("server.password_hash", "flows.database_url", "alerts.ping_url", "alerts.notify"),
        *("alerts.notify_info", "alerts.notify_warning", "alerts.notify_critical"),
    }
)


@app.callback()
def config(context: typer.Context, home: HomeOption = None) -> None:
    """Show and check the settings."""
    context.obj = Options(home=home_path(context, home))


@app.command("show")
def show(context: typer.Context, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show every setting in use and where it comes from.

    \b
    Examples:
      lifelog config show
      LIFELOG_SHIP__EVERY_S=10 lifelog config show
    """
    from lifelog_lake.config import CONFIG_NAME, source_of

    opened = here(context, home)
    where = opened.path / CONFIG_NAME
    values = in_use(context, home)
    sources = {name: source_of(tuple(name.split(".")), where) for name in values}
    if as_json:
        say_json(
            {
                "file": str(where),
                "settings": {
                    name: {"value": value, "from": sources[name]} for name, value in values.items()
                },
            }
        )
        return
    say(f"# {where}" if where.exists() else f"# {where} doesn't exist: all defaults")
    width = max(len(f"{name} = {_toml(value)}") for name, value in values.items())
    for name, value in values.items():
        line = f"{name} = {_toml(value)}"
        say(line if sources[name] == "default" else f"{line:<{width}}  # {sources[name]}")


@app.command("check")
def check(context: typer.Context, home: HomeOption = None) -> None:
    """Check the settings; an error names the setting, its source and the remedy.

    \b
    Example:
      lifelog config check
    """
    from lifelog_lake.config import CONFIG_NAME, source_of

    opened = here(context, home)
    values = in_use(context, home)
    where = opened.path / CONFIG_NAME
    changed = sum(1 for name in values if source_of(tuple(name.split(".")), where) != "default")
    say(f"Fine: {len(values)} settings, {changed} of them set: {where}")


def in_use(context: typer.Context, home: Path | None) -> dict[str, Any]:
    """Every setting by its dotted name; secrets as ``…``. Raises :class:`UsageError`."""
    from lifelog_lake.collect import registry
    from lifelog_lake.config import CONFIG_NAME

    opened = here(context, home)
    where = opened.path / CONFIG_NAME
    registry.enabled(opened.settings, where)  # complains about unknown sections
    values: dict[str, Any] = {}
    for section, model in opened.settings:
        if section != "collectors":
            values.update(_flat(section, model))
    for name in registry.names():
        checked = registry.settings_of(name, opened.settings, where)
        plain = checked.model_dump(mode="json")  # tables within are models
        values.update({f"collectors.{name}.{key}": value for key, value in plain.items()})
    return {name: "…" if name in SECRET and value else value for name, value in values.items()}


def _flat(section: str, model: BaseModel) -> dict[str, Any]:
    """A table's settings by their dotted names, those of the tables within too."""
    from pydantic import BaseModel

    values: dict[str, Any] = {}
    for key, value in model:
        name = f"{section}.{key}"
        values.update(_flat(name, value) if isinstance(value, BaseModel) else {name: value})
    return values


def _toml(value: object) -> str:
    from lifelog_lake.config import toml_value

    return toml_value(value)
