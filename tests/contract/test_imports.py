"""Imports go downward only.

The table below is the house as the design draws it. Every import statement of the source is held
against it, those inside functions and behind ``TYPE_CHECKING`` too: by reading the syntax tree,
so that no module has to be importable here.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# room: the rooms it may import. A module directly below lifelog_lake/ is on the floor.
LOWER = {"floor", "spool", "lake", "ship", "collect", "recall", "care"}
MAY_IMPORT: dict[str, set[str]] = {
    "floor": {"floor"},
    "spool": {"floor", "spool"},
    "lake": {"floor", "lake"},
    "ship": {"floor", "spool", "lake", "ship"},
    "collect": {"floor", "spool", "collect"},
    "recall": {"floor", "lake", "recall"},
    "demo": {"floor", "lake", "demo"},
    "care": LOWER - {"spool"},
    "fleet": LOWER | {"fleet"},
    "server": LOWER | {"server"},
    "ui": LOWER | {"ui"},
    "cli": LOWER | {"demo", "fleet", "server", "ui", "cli"},
    "collectors": {"floor", "collect", "collectors"},
    "flows": {"floor", "lake", "recall", "care", "flows"},
}
# module: rooms that it alone may import as well.
EXCEPTIONS: dict[str, set[str]] = {
    # The front door: `lifelog_lake.open_lake`, loaded when it is asked for.
    "lifelog_lake": {"recall"},
    # A person's own entries show at once, before they are shipped.
    "lifelog_lake.recall.pending": {"spool"},
    # … and they go out through it.
    "lifelog_lake.recall.journal.spooled": {"spool"},
    # `python -m lifelog_lake` is the command.
    "lifelog_lake.__main__": {"cli"},
}
# third-party root: the only rooms that may import it.
ONLY_IN: dict[str, set[str]] = {
    "prefect": {"flows"},
    "uvicorn": {"flows"},
    "ipywidgets": {"ui"},
    "anywidget": {"ui"},
    "altair": {"ui"},
    "vl_convert": {"ui"},
    "jupyter_client": {"server"},
    "jupyter_core": {"server"},
    "jupyter_server": {"server"},
    "jupyter_server_proxy": {"server"},
    "jupyterlab": {"server"},
    "tornado": {"server"},
    "voila": {"server"},
}
# These run on every device, all day: standard library and base dependencies, nothing else.
LIGHT = {"floor", "spool", "collect"}
NAMES_OF_THE_FRONT_DOOR = {"open_lake": "lifelog_lake.recall"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One imported module, by its full name, and the line that names it."""

    name: str
    line: int


def imports(source: str, module: str, *, is_package: bool = False) -> Iterator[Import]:
    """Every module that `source`, the text of `module`, imports anywhere in it."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield Import(name=alias.name, line=node.lineno)
            case ast.ImportFrom(module=base, names=names, level=level):
                start = base or ""
                if level:
                    here = module.split(".")[: None if is_package else -1]
                    start = ".".join([*here[: len(here) - level + 1], *([base] if base else [])])
                for alias in names:
                    yield Import(name=f"{start}.{alias.name}", line=node.lineno)
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__")
                | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield Import(name=name, line=node.lineno)


def room_of(module: str, rooms: set[str]) -> str | None:
    """The room of one of our modules; None for anyone else's."""
    top, _, rest = module.partition(".")
    if top in {"collectors", "flows"}:
        return top
    if top != "lifelog_lake":
        return None
    head, _, tail = rest.partition(".")
    if head in NAMES_OF_THE_FRONT_DOOR:
        return room_of(NAMES_OF_THE_FRONT_DOOR[head], rooms)
    return head if head in rooms and (tail or head in MAY_IMPORT) else "floor"


def violations(
    source: str, module: str, *, base: set[str], rooms: set[str], is_package: bool = False
) -> list[str]:
    """What `source` breaks of the rules above, one sentence each."""
    home = room_of(module, rooms)
    assert home is not None, module
    if home not in MAY_IMPORT:
        return [f"{module}: the room {home!r} is not in the table of this test"]
    allowed = MAY_IMPORT[home] | EXCEPTIONS.get(module, set())
    found = []
    for one in imports(source, module, is_package=is_package):
        where = f"{module}:{one.line} imports {one.name}"
        target = room_of(one.name, rooms)
        root = one.name.partition(".")[0]
        if target is not None:
            if target not in allowed:
                found.append(f"{where}: {home} must not import {target}")
        elif home not in ONLY_IN.get(root, {home}):
            found.append(f"{where}: only for {', '.join(sorted(ONLY_IN[root]))}")
        elif home in LIGHT and root not in sys.stdlib_module_names and root not in base:
            found.append(f"{where}: {home} has the standard library and the base dependencies")
    return found


def base_dependencies() -> set[str]:
    """Import names of what the bare installation has."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    names = (re.match(r"[\w.-]+", line) for line in project["dependencies"])
    return {name.group().replace("-", "_") for name in names if name} | {"__future__"}


def rooms_on_disk() -> set[str]:
    """The packages below lifelog_lake/."""
    return {path.parent.name for path in (ROOT / "lifelog_lake").glob("*/*.py")}


def modules() -> Iterator[tuple[Path, str]]:
    """Each source file with its module's name."""
    for package in ("lifelog_lake", "collectors", "flows"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield path, ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_the_source_keeps_the_rules() -> None:
    base, rooms = base_dependencies(), rooms_on_disk()
    found = [
        line
        for path, module in modules()
        for line in violations(
            path.read_text("utf-8"),
            module,
            base=base,
            rooms=rooms,
            is_package=path.name == "__init__.py",
        )
    ]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("lifelog_lake.spool.queue", "from lifelog_lake.lake import tables"),
        ("lifelog_lake.spool.queue", "from lifelog_lake import lake"),
        ("lifelog_lake.spool.queue", "from ..lake.tables import append"),
        ("lifelog_lake.spool.queue", "from .. import lake"),
        ("lifelog_lake.spool.queue", "def f():\n    import lifelog_lake.lake.tables as t"),
        ("lifelog_lake.spool.queue", "import importlib\nimportlib.import_module('polars')"),
        ("lifelog_lake.lake.tables", "import lifelog_lake.spool"),
        ("lifelog_lake.lake.tables", "from lifelog_lake import open_lake"),
        ("lifelog_lake.clock", "from lifelog_lake.spool.queue import Queue"),
        ("lifelog_lake.clock", "import numpy as np"),
        ("lifelog_lake.collect.child", "if TYPE_CHECKING:\n    import pyarrow as pa"),
        ("lifelog_lake.collect.child", "from lifelog_lake.ship import shipper"),
        ("lifelog_lake.collect.registry", "from collectors.screen import ScreenCollector"),
        ("lifelog_lake.cli.up", "import flows"),
        ("lifelog_lake.cli.up", "from jupyter_server.serverapp import ServerApp"),
        ("lifelog_lake.recall.search", "from lifelog_lake.spool import outlet"),
        ("lifelog_lake.recall.search", "from lifelog_lake.care import health"),
        ("lifelog_lake.care.health", "from prefect import flow"),
        ("lifelog_lake.server.api", "import ipywidgets"),
        ("lifelog_lake.server.api", "from lifelog_lake.ui import cards"),
        ("lifelog_lake.ui.cards", "import tornado.web"),
        ("lifelog_lake.attic.thing", "import os"),
        ("collectors.screen", "from lifelog_lake.lake import blobs"),
    ],
)
def test_a_violation_is_seen(module: str, source: str) -> None:
    assert violations(source, module, base={"pydantic"}, rooms={*MAY_IMPORT, "attic"})


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("lifelog_lake", "from lifelog_lake.recall.lake import open_lake"),
        ("lifelog_lake.clock", "import os.path\nimport pydantic\nfrom . import errors"),
        ("lifelog_lake.ship.shipper", "from ..spool import outlet\nimport deltalake"),
        ("lifelog_lake.spool.queue", "from lifelog_lake import __version__, errors"),
        ("lifelog_lake.server.api", "import tornado.web\nfrom lifelog_lake.recall import lake"),
        ("lifelog_lake.cli.up", "def f():\n    from lifelog_lake.server import app"),
        (
            "collectors.screen",
            "import mss\nimport numpy\nfrom lifelog_lake.collect import protocol",
        ),
    ],
)
def test_what_is_allowed_passes(module: str, source: str) -> None:
    assert not violations(source, module, base={"pydantic"}, rooms=set(MAY_IMPORT))


BLOCKER = """
import importlib.abc, sys

class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {heavy!r}:
            raise ModuleNotFoundError(f"{{name}} is not of the base installation", name=name)

sys.meta_path.insert(0, Block())
import {module}
"""
HEAVY = {
    *ONLY_IN,
    *("PIL", "collectors", "deltalake", "flows", "fsspec", "mss", "numpy", "pandas"),
    *("papermill", "polars", "pyarrow", "s3fs", "traitlets", "xxhash", "IPython"),
}


@pytest.mark.parametrize(
    "module", ["lifelog_lake", "lifelog_lake.cli", "lifelog_lake.fleet.install"]
)
def test_it_imports_with_base_dependencies_alone(module: str) -> None:
    code = BLOCKER.format(heavy=HEAVY, module=module)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
