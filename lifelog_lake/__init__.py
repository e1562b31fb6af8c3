"""One person, many devices, one lake of open files.

``lifelog_lake.open_lake()`` opens the lake for reading; everything else is found in the modules.
Nothing happens at import: the heavy parts load when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lifelog_lake.recall.lake import open_lake

__all__ = ["__version__", "open_lake"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name == "open_lake":
        try:
            from lifelog_lake.recall.lake import open_lake
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] == __name__:
                raise
            from lifelog_lake.errors import MissingExtra

            raise MissingExtra("Reading the lake", "hub") from error
        return open_lake
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), "open_lake"])
