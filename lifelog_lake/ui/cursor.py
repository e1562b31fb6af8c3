"""What lies over the lanes: the moment under the pointer, the chosen one, now."""

from __future__ import annotations

import anywidget
import traitlets

from lifelog_lake.ui.assets import script, style


class Cursor(anywidget.AnyWidget):
    """A click on the lanes chooses a moment of ``view`` (see :class:`lifelog_lake.ui.bar.Bar`).

    ``brushed`` is the span in ms that the chart says was drawn over it; the browser zooms to it
    when the pointer is up.
    """

    _esm = script("view", "cursor")
    _css = style("lane")
    view = traitlets.Dict().tag(sync=True)
    brushed: traitlets.List[int] = traitlets.List().tag(sync=True)
