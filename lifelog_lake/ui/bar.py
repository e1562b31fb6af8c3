"""Where in time one is: a span of some length, earlier or later, streams and devices."""

from __future__ import annotations

import anywidget
import traitlets

from lifelog_lake.ui.assets import script, style


class Bar(anywidget.AnyWidget):
    """``view`` is what is looked at, shared by all of the page; ``static/view.js`` describes it.

    ``{"range", "start", "end", "live", "streams", "devices", "tab", "moment", "open"}``; times in
    ms since 1970 UTC, ``range`` is ``15m``, ``hour``, ``day`` or ``zoom``. The browser chooses the
    first one, from the page's address or its own clock and zone, and moves it on while it is live.
    """

    _esm = script("view", "bar")
    _css = style("bar")
    view = traitlets.Dict().tag(sync=True)
