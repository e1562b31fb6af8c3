"""The app notebook: a header and lazy tabs, one small kernel a visitor.

A tab's module is imported when the tab is first opened, so a page costs what it shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import ipywidgets as widgets

from lifelog_lake.ui.shell import Shell


@dataclass(frozen=True, slots=True, kw_only=True)
class Tab:
    """A page at ``/lifelog/<name>``, made by ``module.builder()``; its ``widget`` is shown."""

    name: str
    label: str
    module: str
    builder: str


TABS = (
    Tab(name="timeline", label="Timeline", module="lifelog_lake.ui.timeline", builder="Timeline"),
    Tab(name="journal", label="Journal", module="lifelog_lake.ui.journal", builder="JournalPage"),
    Tab(name="search", label="Search", module="lifelog_lake.ui.search", builder="SearchPage"),
    Tab(name="health", label="Health", module="lifelog_lake.ui.health", builder="HealthPage"),
    Tab(
        name="settings",
        label="Settings",
        module="lifelog_lake.ui.settings",
        builder="SettingsPage",
    ),
)


class App:
    """The header and the open tab; ``widget`` is what is shown."""

    def __init__(self, tabs: tuple[Tab, ...] = TABS) -> None:
        self._tabs = {tab.name: tab for tab in tabs}
        self._open: dict[str, Any] = {}
        self.shell = Shell(
            pages=[{"name": tab.name, "label": tab.label} for tab in tabs], page=tabs[0].name
        )
        self.body = widgets.Box()
        self.body.add_class("ll-page")
        self.widget = widgets.VBox([self.shell, self.body])
        self.widget.add_class("ll-app")
        self.shell.observe(self._show, names=["page"])
        self._show(None)

    def _show(self, change: object) -> None:
        del change
        tab = self._tabs.get(self.shell.page)
        if tab is None:
            return
        if tab.name not in self._open:
            self._open[tab.name] = getattr(import_module(tab.module), tab.builder)()
        self.body.children = (self._open[tab.name].widget,)


def show() -> None:
    """Display the app; the only line of the app notebook."""
    from IPython.display import display

    display(App().widget)
