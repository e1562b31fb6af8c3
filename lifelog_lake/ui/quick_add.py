"""Quick add above the timeline's lanes: a title, tags, Enter."""

from __future__ import annotations

import anywidget

from lifelog_lake.ui.assets import script, style


class QuickAdd(anywidget.AnyWidget):
    """What is typed goes from the browser to the REST API, without passing this kernel."""

    _esm = script("journal_text", "quick", "quick_add")
    _css = style("quick")
