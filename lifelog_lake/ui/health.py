"""The health tab: alerts, devices, flows and storage, read from the REST API by the browser."""

from __future__ import annotations

import anywidget

from lifelog_lake.ui.assets import script, style


class Health(anywidget.AnyWidget):
    """Everything goes between the server and the browser, without passing this kernel."""

    _esm = script("health_words", "health_alerts", "health_parts", "health")
    _css = style("health")


class HealthPage:
    """The tab; ``widget`` is what is shown."""

    def __init__(self) -> None:
        self.widget = Health()
