"""What is listed below the lanes, read from the REST API by the browser."""

from __future__ import annotations

import anywidget
import traitlets

from lifelog_lake.ui.assets import script, style


class Views(anywidget.AnyWidget):
    """Frames, activity and sound of ``view`` (see :class:`lifelog_lake.ui.bar.Bar`).

    Rows, pictures and sound go from the server to the browser without passing this kernel.
    ``colours`` are those that programs have on the lanes. ``painted`` turns true once the first
    list (or the empty page) is on the screen.
    """

    _esm = script("view", "rows", "list", "kinds", "player", "moment", "views")
    _css = style("list", "views")
    view = traitlets.Dict().tag(sync=True)
    colours: traitlets.Dict[str, str] = traitlets.Dict().tag(sync=True)
    painted = traitlets.Bool(False).tag(sync=True)
