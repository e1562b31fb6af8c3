"""The timeline tab: where in time one is, the lanes, and lists of what happened."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
import structlog

from lifelog_lake.errors import LifelogError
from lifelog_lake.ui.bar import Bar
from lifelog_lake.ui.coverage import Coverage
from lifelog_lake.ui.cursor import Cursor
from lifelog_lake.ui.quick_add import QuickAdd
from lifelog_lake.ui.views import Views

if TYPE_CHECKING:
    from lifelog_lake.recall.lake import Lake

log = structlog.get_logger(__name__)

#: A live span moves on each few seconds; its lanes follow at this pace.
LANES_EVERY_S = 30.0
_SPAN = ("range", "start", "end", "live", "streams", "devices")


class Timeline:
    """The tab's widgets and how they hang together; ``widget`` is what is shown."""

    def __init__(self) -> None:
        self.bar = Bar()
        self.views = Views()
        self.cursor = Cursor()
        self.coverage = Coverage()
        self._links = [
            widgets.jslink((self.bar, "view"), (other, "view"))
            for other in (self.views, self.cursor, self.coverage)
        ]
        self.lane = widgets.Box(children=(_said("The lanes are coming …"),))
        self.lane.add_class("ll").add_class("ll-lane")
        self.legend = widgets.HTML()
        self.legend.add_class("ll")
        lanes = widgets.VBox([self.lane, self.legend, self.cursor])
        lanes.add_class("ll").add_class("ll-lanes")
        self.widget = widgets.VBox([self.bar, QuickAdd(), lanes, self.coverage, self.views])
        self.widget.add_class("ll-page")
        self._drawn: dict[str, Any] = {}
        self._drawn_s = float("-inf")
        self._warming = False
        self._lake: Lake | None = None
        # Frames first: the lanes' libraries take longer than everything else together.
        self.views.observe(self._on_change, names=["painted"])
        self.bar.observe(self._on_change, names=["view"])

    def _on_change(self, change: object) -> None:
        del change
        if not self._warming:
            # A visitor is here. Kernels that wait in the pool stay small.
            self._warming = True
            threading.Thread(target=_warm, name="warm", daemon=True).start()
        view = {name: self.bar.view[name] for name in _SPAN} if self.bar.view else {}
        if not self.views.painted or not view:
            return
        if view["live"] and self._drawn.get("live"):
            moves = () if view["range"] == "day" else ("start", "end")
            same = all(view[name] == self._drawn[name] for name in _SPAN if name not in moves)
            if same and time.monotonic() - self._drawn_s < LANES_EVERY_S:
                return
        elif view == self._drawn:
            return
        self._drawn, self._drawn_s = view, time.monotonic()
        drawn, self.legend.value = self._draw(view)
        self.lane.children = (drawn,)

    def _draw(self, view: dict[str, Any]) -> tuple[widgets.Widget, str]:
        start = datetime.fromtimestamp(view["start"] / 1000, UTC)
        end = datetime.fromtimestamp(view["end"] / 1000, UTC)
        try:
            import polars as pl

            from lifelog_lake.recall.detail import CAPTURED, details
            from lifelog_lake.recall.lake import open_lake
            from lifelog_lake.ui.lane import lane_chart

            if self._lake is None:  # kept: it remembers what the logs of its tables say
                self._lake = open_lake()
            lake = self._lake
            streams = [name for name in CAPTURED if not view["streams"] or name in view["streams"]]
            events = pl.concat(
                pl.collect_all([details(lake, name, start, end) for name in streams])
            )
            if view["devices"]:
                events = events.filter(pl.col("device").is_in(view["devices"]))
            if events.height == 0:
                return _said("Nothing in this span"), ""
            chart, legend, colours = lane_chart(events, start, end, self._brush, self.views.colours)
            self.views.colours = {**self.views.colours, **colours}
            return chart, legend
        except LifelogError as error:
            log.warning("lanes_not_drawn", error=error)
            return _said(str(error)), ""

    def _brush(self, start_ms: int, end_ms: int) -> None:
        self.cursor.brushed = [start_ms, end_ms]


def _warm() -> None:
    """Import what the lanes need while the browser fetches its frames."""
    import lifelog_lake.recall.detail
    import lifelog_lake.recall.lake
    import lifelog_lake.ui.lane  # noqa: F401


def _said(text: str) -> widgets.Widget:
    return widgets.HTML(f'<div class="ll-lane-wait">{escape(text)}</div>')
