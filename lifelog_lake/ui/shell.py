"""The header of the app: tabs, and one line on what is recorded and where it is kept."""

from __future__ import annotations

from typing import Any

import anywidget
import traitlets

from lifelog_lake.ui.assets import script, style
from lifelog_lake.ui.status import read_status


class Shell(anywidget.AnyWidget):
    """``page`` is the open tab; the browser sets it from the address and from clicks."""

    _esm = script("shell")
    _css = style("shell")
    pages: Any = traitlets.List().tag(sync=True)
    page = traitlets.Unicode().tag(sync=True)
    status = traitlets.Dict().tag(sync=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._answers = 0
        self.on_msg(self._on_message)

    def _on_message(self, widget: object, content: object, buffers: object) -> None:
        del widget, buffers
        if content == {"ask": "status"}:
            # Never equal to the last: only a change reaches the browser, which counts answers.
            self._answers += 1
            self.status = {**read_status().sent(), "answer": self._answers}
