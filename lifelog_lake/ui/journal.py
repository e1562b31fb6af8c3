"""The journal tab: what a person writes, as cards; read and written through the REST API."""

from __future__ import annotations

import anywidget

from lifelog_lake.ui.assets import script, style


class Journal(anywidget.AnyWidget):
    """Everything goes between the server and the browser, without passing this kernel."""

    _esm = script("rows", "journal_text", "quick", "journal_cards", "journal_export", "journal")
    _css = style("quick", "list", "journal")


class JournalPage:
    """The tab; ``widget`` is what is shown."""

    def __init__(self) -> None:
        self.widget = Journal()
