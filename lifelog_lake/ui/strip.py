"""The frame strip: screen frames in virtual rows, read from the REST API by the browser."""

from __future__ import annotations

import anywidget
import traitlets

from lifelog_lake.ui.assets import script, style


class Strip(anywidget.AnyWidget):
    """Shows the frames of ``span`` (see :class:`lifelog_lake.ui.bar.Bar`).

    Rows and pictures go from the server to the browser without passing this kernel. ``painted``
    turns true once the first frames (or the empty page) are on the screen.
    """

    _esm = script("strip")
    _css = style("strip")
    span = traitlets.Dict().tag(sync=True)
    painted = traitlets.Bool(False).tag(sync=True)
