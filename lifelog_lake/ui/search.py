"""The search tab: a box, what narrows it, and hits that lead to the timeline."""

from __future__ import annotations

import anywidget

from lifelog_lake.ui.assets import script, style


class Search(anywidget.AnyWidget):
    """Everything goes between the server and the browser, without passing this kernel."""

    _esm = script("search_hits", "search")
    _css = style("search")


class SearchPage:
    """The tab; ``widget`` is what is shown."""

    def __init__(self) -> None:
        self.widget = Search()
