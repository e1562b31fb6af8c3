"""The timeline tab: the choice of a span, the lane, the frame strip."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from html import escape
from typing import Any

import ipywidgets as widgets
import structlog

from lifelog_lake.errors import LifelogError
from lifelog_lake.ui.assets import style
from lifelog_lake.ui.bar import Bar
from lifelog_lake.ui.strip import Strip

log = structlog.get_logger(__name__)

#: A live span moves on each few seconds; its lane follows at this pace.
LANE_EVERY_S = 30.0
LANE_STREAMS = ["screen"]


class Timeline:
    """The tab's widgets and how they hang together; ``widget`` is what is shown."""

    def __init__(self) -> None:
        self.bar = Bar()
        self.strip = Strip()
        self._link = widgets.jslink((self.bar, "span"), (self.strip, "span"))
        self.lane = widgets.Box(children=(_waiting("The lane is coming …"),))
        self.lane.add_class("ll").add_class("ll-lane")
        self._styles = widgets.HTML(f"<style>{style('lane')}</style>", layout={"display": "none"})
        self.widget = widgets.VBox([self._styles, self.bar, self.lane, self.strip])
        self.widget.add_class("ll-page")
        self._drawn: dict[str, Any] = {}
        self._drawn_s = float("-inf")
        self._warming = False
        # Frames first: the lane's libraries take longer than everything else together.
        self.strip.observe(self._on_change, names=["painted"])
        self.bar.observe(self._on_change, names=["span"])

    def _on_change(self, change: object) -> None:
        del change
        if not self._warming:
            # A visitor is here. Kernels that wait in the pool stay small.
            self._warming = True
            threading.Thread(target=_warm, name="warm", daemon=True).start()
        span = self.bar.span
        if not self.strip.painted or not span:
            return
        moved_on = (
            span["live"] and self._drawn.get("live") and span["range"] == self._drawn["range"]
        )
        now_s = time.monotonic()
        if moved_on and now_s - self._drawn_s < LANE_EVERY_S:
            return
        self._drawn, self._drawn_s = span, now_s
        self.lane.children = (self._draw(span),)

    def _draw(self, span: dict[str, Any]) -> widgets.Widget:
        start = datetime.fromtimestamp(span["start"] / 1000, UTC)
        end = datetime.fromtimestamp(span["end"] / 1000, UTC)
        try:
            from lifelog_lake.recall.lake import open_lake
            from lifelog_lake.ui.lane import lane_chart

            events = open_lake().timeline(start, end, streams=LANE_STREAMS)
            if events.height == 0:
                return _waiting("Nothing in this span")
            return lane_chart(events, start, end, self._zoom)
        except LifelogError as error:
            log.warning("lane_not_drawn", error=error)
            return _waiting(str(error))

    def _zoom(self, start_ms: int, end_ms: int) -> None:
        """Show what was brushed; the lane itself stays, to brush again."""
        self._drawn = {"range": "zoom", "start": start_ms, "end": end_ms, "live": False}
        self.bar.unobserve(self._on_change, names=["span"])
        self.bar.span = self._drawn
        self.bar.observe(self._on_change, names=["span"])


def _warm() -> None:
    """Import what the lane needs while the browser fetches its frames."""
    import lifelog_lake.recall.lake
    import lifelog_lake.ui.lane  # noqa: F401


def _waiting(text: str) -> widgets.Widget:
    return widgets.HTML(f'<div class="ll-lane-wait">{escape(text)}</div>')
