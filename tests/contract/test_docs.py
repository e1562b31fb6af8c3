"""The pages name every command, option and setting, and none that is gone.

``python tests/contract/test_docs.py`` writes docs/settings.md anew from the settings, and
the table of operations in docs/api.md from the routes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel
from typer.main import get_command

from lifelog_lake import errors
from lifelog_lake.cli.app import INTERRUPTED, MISTAKE, app
from lifelog_lake.collect import registry
from lifelog_lake.config import Settings, environment_name, toml_value
from lifelog_lake.server.api.routes import ROUTES
from lifelog_lake.server.base import METHODS

DOCS = Path(__file__).resolve().parents[2] / "docs"
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
EVERYWHERE = "Everywhere"

# --- commands -----------------------------------------------------------------------------------


def commands(group: Any = None, name: str = "lifelog") -> Iterator[tuple[str, Any]]:
    """Each command that does something, by its full name."""
    group = group if group is not None else get_command(app)
    for word, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{name} {word}")
        else:
            yield f"{name} {word}", command


def options(command: Any) -> set[str]:
    """The long options of a command."""
    return {word for param in command.params for word in param.opts if word.startswith("--")}


def sections(page: str) -> dict[str, str]:
    """The page's second-level sections by their titles."""
    text = (DOCS / page).read_text("utf-8")
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return {title.strip("` \n"): body for title, body in zip(parts[1::2], parts[2::2], strict=True)}


COMMANDS = dict(commands())


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_documented_with_its_options_and_what_it_says(name: str) -> None:
    section = sections("cli.md")[name]
    assert re.search(rf"^\$ (\w+=\S* )*{name}\b", section, re.MULTILINE), "no example"
    own = options(COMMANDS[name]) - {"--help", "--home"}
    assert own <= set(OPTION.findall(section))


@pytest.mark.parametrize("name", COMMANDS)
def test_no_option_is_documented_that_is_gone(name: str) -> None:
    known = options(COMMANDS[name]) | options(get_command(app))
    assert set(OPTION.findall(sections("cli.md")[name])) <= known


def test_no_command_is_documented_that_is_gone() -> None:
    said = {title for title in sections("cli.md") if title.startswith("lifelog")}
    assert said == set(COMMANDS)


def test_what_holds_everywhere_is_documented() -> None:
    section = sections("cli.md")[EVERYWHERE]
    assert options(get_command(app)) | {"--help"} == set(OPTION.findall(section))


def test_the_exit_codes_are_documented() -> None:
    section = sections("cli.md")["Exit codes"]
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)}
    kinds = [value for value in vars(errors).values() if isinstance(value, type)]
    used = {kind.exit_code for kind in kinds if issubclass(kind, errors.LifelogError)}
    assert documented == used | {0, MISTAKE, INTERRUPTED}


# --- settings -----------------------------------------------------------------------------------

HEAD = """# Settings

This page is made from the settings themselves (`python tests/contract/test_docs.py`); a test fails
when it isn't up to date.

A setting comes from, the last one wins: its default · `config.toml` in the home · the environment ·
a flag of the command. The first start writes a `config.toml` in which every default is commented
out. An unknown name is an error that names the nearest known one. `lifelog config show` tells each
value in use and where it comes from.

The environment name of a setting is `LIFELOG_`, its sections and its name in capitals, joined by
two underscores. Some shorter names are honoured too; the long names win over them.

| variable | meaning |
|---|---|
| `LIFELOG_HOME` | The home directory. Default: the platform's directory for user data. |
| `ADMIN_PASSWORD` | The login's password, in the token's place, when it is new; kept as a hash. |
| `LIFELOG_API_TOKEN`, `API_TOKEN` | A program's token, of 16 characters at least; kept as a hash. |
| `LOG_LEVEL` | As `LIFELOG_LOG__LEVEL`. |
| `LOG_FILE` | As `LIFELOG_LOG__FILE`; set but empty = the console. |
| `AW_WINDOW_BUCKET_ID` | As `LIFELOG_COLLECTORS__ACTIVITYWATCH__WINDOW_BUCKET`. |
| `AW_AFK_BUCKET_ID` | As `LIFELOG_COLLECTORS__ACTIVITYWATCH__AFK_BUCKET`. |
| `AW_WEB_BROWSER_BUCKET_ID` | As `LIFELOG_COLLECTORS__ACTIVITYWATCH__WEB_BUCKET`. |
| `WATCHER_TIMESTAMP_THRESHOLD_MINUTES` | As `LIFELOG_HEALTH__STALE_AFTER_MINUTES`. |
| `FILE_MAX_BYTES` | As `LIFELOG_JOURNAL__FILE_MAX_BYTES`. |
| `ATTACHMENT_MAX_PER_EVENT` | As `LIFELOG_JOURNAL__ATTACHMENTS_PER_ENTRY`. |
| `ALLOWED_MIME_TYPES` | As `LIFELOG_JOURNAL__ALLOWED_TYPES`. |
"""


def settings_page() -> str:
    """docs/settings.md as it should be."""
    parts = [HEAD]
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            parts.append(_section((name,), field.annotation))
    for name, model in sorted(registry.models().items()):
        parts.append(_section(("collectors", name), model))
    return "\n".join(parts)


def _section(path: tuple[str, ...], model: type[BaseModel]) -> str:
    about = (model.__doc__ or "").strip().split("\n")[0]
    lines = [f"## `[{'.'.join(path)}]`", ""]
    if about and not about.startswith("``["):
        lines += [about, ""]
    lines += ["| setting | default | environment | meaning |", "|---|---|---|---|"]
    for key, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            continue  # a table within, below
        default = (
            None if field.is_required() else field.get_default(call_default_factory=True)  # type: ignore[call-arg,unused-ignore]
        )
        shown = "unset" if default is None else f"`{toml_value(default)}`"
        shown = "needed" if field.is_required() else shown
        meaning = (field.description or "").replace("|", "\\|")
        lines.append(f"| `{key}` | {shown} | `{environment_name((*path, key))}` | {meaning} |")
    parts = ["\n".join(lines) + "\n"]
    for key, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            parts.append(_section((*path, key), field.annotation))
        if get_origin(field.annotation) is dict:  # tables that the person names
            inner = get_args(field.annotation)[1]
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                parts.append(_section((*path, key, "NAME"), inner))
    return "\n".join(parts)


def test_the_page_of_settings_is_up_to_date() -> None:
    written = (DOCS / "settings.md").read_text("utf-8")
    assert written == settings_page(), "write it anew: python tests/contract/test_docs.py"


def test_each_setting_says_what_it_means() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", settings_page(), re.MULTILINE)
    assert len(rows) > 20
    assert [name for name, meaning in rows if len(meaning) < 5] == []


# --- the API ------------------------------------------------------------------------------------

#: The part of api.md that is made, from its heading to the next one.
OPERATIONS = re.compile(r"(?<=^## All of it\n).*?(?=^## )", re.MULTILINE | re.DOTALL)


def operations_table() -> str:
    """Each operation that is served: method, address, who may, what it does."""
    lines = ["| operation | who | what it does |", "|---|---|---|"]
    for path, handler in ROUTES:
        for method in METHODS:
            said = getattr(getattr(handler, method), "operation", None)
            if said is not None:
                who = ", ".join(f"`{scope}`" for scope in said.scopes) or "people"
                lines.append(f"| `{method.upper()} {path[1:]}` | {who} | {said.summary} |")
    return "\n".join(lines) + "\n\n"


def test_the_table_of_operations_is_up_to_date() -> None:
    (written,) = OPERATIONS.findall((DOCS / "api.md").read_text("utf-8"))
    assert written == operations_table(), "write it anew: python tests/contract/test_docs.py"


if __name__ == "__main__":
    (DOCS / "settings.md").write_text(settings_page(), "utf-8")
    page = (DOCS / "api.md").read_text("utf-8")
    (DOCS / "api.md").write_text(OPERATIONS.sub(lambda _: operations_table(), page), "utf-8")
    sys.stdout.write(f"{DOCS / 'settings.md'}\n{DOCS / 'api.md'}\n")
