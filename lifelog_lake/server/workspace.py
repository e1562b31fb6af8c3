"""The person's folder of notebooks, and JupyterLab's first look at it.

The shipped notebooks are copied there. What a person changed stays for good: of a notebook that
was changed a newer version is put beside it, one that wasn't is replaced. JupyterLab opens the
tour as long as it hasn't kept a layout of its own.
"""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import orjson

from lifelog_lake import __version__, fsio
from lifelog_lake.errors import UsageError

FIRST = "tour.ipynb"
#: Beside the notebooks: name -> sha256 of the version that was given last.
GIVEN = ".shipped.json"
#: JupyterLab's name for the file of its default workspace.
LAYOUT = "default-37a8.jupyterlab-workspace"


def fill(folder: Path, shipped: Path) -> None:
    """Bring a folder up to what is shipped; idempotent.

    Raises :class:`UsageError` if something is in the way.
    """
    try:
        _fill(folder, shipped)
    except OSError as error:
        raise UsageError(
            f"The notebooks can't be put into {folder}: {error.strerror} "
            f"({error.filename or folder}).",
            hint="Make it a directory that you may write, and move what is in the way.",
        ) from None


def _fill(folder: Path, shipped: Path) -> None:
    fsio.make_dirs(folder, at="server")
    record = folder / GIVEN
    given = _given(record)
    before = dict(given)
    for source in sorted(shipped.glob("*.ipynb")):
        content = source.read_bytes()
        target = folder / source.name
        unchanged = target.exists() and _hash(target.read_bytes()) == given.get(source.name)
        if not target.exists() or (unchanged and target.read_bytes() != content):
            fsio.write_atomic(target, content, at="server")
        elif not unchanged and _hash(content) not in (
            given.get(source.name),
            _hash(target.read_bytes()),
        ):
            fsio.write_atomic(_free_name(target), content, at="server")
        given[source.name] = _hash(content)
    if given != before:
        fsio.write_atomic(record, orjson.dumps(given, option=orjson.OPT_INDENT_2), at="server")


def _given(record: Path) -> dict[str, str]:
    """What a record says; a damaged one says nothing, by which nothing is overwritten."""
    try:
        content = orjson.loads(record.read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return {}
    return content if isinstance(content, dict) else {}


def _free_name(path: Path) -> Path:
    """``tour-0.2.0.ipynb``, or with a number behind it."""
    stem = f"{path.stem}-{__version__}"
    names = itertools.chain([stem], (f"{stem}-{n}" for n in itertools.count(2)))
    return next(p for p in map(path.with_name, (f"{n}.ipynb" for n in names)) if not p.exists())


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def greet(workspaces: Path) -> None:
    """Let JupyterLab open the tour, unless it has a layout already."""
    layout = workspaces / LAYOUT
    if layout.exists():
        return
    widget = f"notebook:{FIRST}"
    dock = {"type": "tab-area", "currentIndex": 0, "widgets": [widget]}
    files = "filebrowser"
    content = {
        "data": {
            "layout-restorer:data": {
                "main": {"dock": dock, "current": widget},
                "left": {"collapsed": False, "visible": True, "current": files, "widgets": [files]},
                "relativeSizes": [0.16, 0.84, 0],
            },
            widget: {"data": {"path": FIRST, "factory": "Notebook"}},
        },
        "metadata": {"id": "default"},
    }
    fsio.make_dirs(workspaces, at="server")
    fsio.write_atomic(layout, orjson.dumps(content, option=orjson.OPT_INDENT_2), at="server")
