"""The search tab: a box, what narrows it, and hits that lead to the timeline."""

from __future__ import annotations

import anywidget
import traitlets

from lifelog_lake.config import default_home, load
from lifelog_lake.errors import UsageError
from lifelog_lake.ui.assets import script, style


class Search(anywidget.AnyWidget):
    """Everything goes between the server and the browser, without passing this kernel.

    ``semantic``: the order "Meaning" is offered.
    """

    _esm = script("search_hits", "search")
    _css = style("search")
    semantic = traitlets.Bool(False).tag(sync=True)


class SearchPage:
    """The tab; ``widget`` is what is shown."""

    def __init__(self) -> None:
        self.widget = Search(semantic=_semantic())


def _semantic() -> bool:
    try:
        return load(default_home()).search.semantic
    except UsageError:
        return False  # the header says that the settings are wrong
