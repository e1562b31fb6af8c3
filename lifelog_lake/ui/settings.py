"""The settings tab: tokens, password, limits, the lake in use, and who did what.

Secrets go between the server and the browser alone, never through this kernel.
"""

from __future__ import annotations

import anywidget

from lifelog_lake.ui.assets import script, style


class Settings(anywidget.AnyWidget):
    """Shows what the REST API says; without state of its own."""

    _esm = script(
        "health_words",
        "sheet",
        "settings_parts",
        "settings_tokens",
        "settings_password",
        "settings",
    )
    _css = style("sheet", "settings")


class SettingsPage:
    """The tab; ``widget`` is what is shown."""

    def __init__(self) -> None:
        self.widget = Settings()
