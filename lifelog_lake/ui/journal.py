"""The journal tab: what a person writes, as cards; read and written through the REST API."""

from __future__ import annotations

from typing import Any

import anywidget
import traitlets

from lifelog_lake.config import default_home, load
from lifelog_lake.errors import UsageError
from lifelog_lake.journal_settings import JournalSettings
from lifelog_lake.ui.assets import script, style

_PARTS = ("cards", "export", "files", "detail", "fields", "form")


class Journal(anywidget.AnyWidget):
    """Everything goes between the server and the browser, without passing this kernel.

    ``limits`` has what may be attached: ``file_max_bytes``, ``attachments_per_entry`` and
    ``allowed_types``, so that a file that is too large isn't sent in vain.
    """

    _esm = script(
        "rows", "sheet", "journal_text", "quick", *(f"journal_{part}" for part in _PARTS), "journal"
    )
    _css = style("quick", "list", "sheet", "journal")
    limits: Any = traitlets.Dict().tag(sync=True)


class JournalPage:
    """The tab; ``widget`` is what is shown."""

    def __init__(self) -> None:
        self.widget = Journal(limits=_limits().model_dump(mode="json"))


def _limits() -> JournalSettings:
    try:
        return load(default_home()).journal
    except UsageError:
        return JournalSettings()  # the header says that the settings are wrong; the server decides
