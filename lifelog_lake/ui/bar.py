"""The choice of a span: the last 15 minutes, an hour, a day, or what was brushed on the lane."""

from __future__ import annotations

import anywidget
import traitlets

from lifelog_lake.ui.assets import script, style


class Bar(anywidget.AnyWidget):
    """``span`` is ``{"range", "start", "end", "live"}``; times in ms since 1970 UTC.

    ``range`` is ``15m``, ``hour``, ``day`` or ``zoom``. The browser chooses the first span, from
    the page's address or its own clock and zone, and moves it on while it is live.
    """

    _esm = script("bar")
    _css = style("bar")
    span = traitlets.Dict().tag(sync=True)
