"""A heat map of the days: for each hour whether it was recorded, and why not."""

from __future__ import annotations

import anywidget
import traitlets

from lifelog_lake.ui.assets import script, style


class Coverage(anywidget.AnyWidget):
    """Two weeks up to the day of ``view`` (see :class:`lifelog_lake.ui.bar.Bar`), folded away until
    a person opens it; the browser asks the REST API for it."""

    _esm = script("view", "coverage")
    _css = style("coverage")
    view = traitlets.Dict().tag(sync=True)
