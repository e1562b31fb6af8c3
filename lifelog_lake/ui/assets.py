"""Scripts and styles of the widgets, read from beside the modules.

A widget's script is one module for the browser, so what widgets share is put before it.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def script(*names: str) -> str:
    """``common.js`` and the widget's own scripts as one module, the one that renders last."""
    return "".join(_text(f"{name}.js") for name in ("common", *names))


@cache
def style(*names: str) -> str:
    """``common.css`` and the widget's own styles."""
    return "".join(_text(f"{name}.css") for name in ("common", *names))


def _text(name: str) -> str:
    return (files("lifelog_lake.ui") / "static" / name).read_text("utf-8")
