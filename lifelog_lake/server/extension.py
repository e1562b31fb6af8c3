"""The Jupyter Server extension: mounts ``/lifelog/`` and keeps the pages' process warm."""

from __future__ import annotations

import re
from typing import Any

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.extension.application import ExtensionApp
from jupyter_server.utils import url_path_join
from tornado.web import authenticated

from lifelog_lake.config import default_home
from lifelog_lake.home import open_home
from lifelog_lake.server.api.operation import WORK
from lifelog_lake.server.api.routes import handlers
from lifelog_lake.server.api.work import Work
from lifelog_lake.server.app_process import AppProcess
from lifelog_lake.server.app_proxy import APP_BASE, AppProxy, Page
from lifelog_lake.server.base import READER, NotThere
from lifelog_lake.server.flows_proxy import FLOWS_BASE, FlowsProxy
from lifelog_lake.server.health import HEALTH, Health
from lifelog_lake.server.reading import LakeReader
from lifelog_lake.server.thumbnails import (
    DERIVED,
    THUMBNAILS,
    Derived,
    Thumbnails,
)

#: Pages that exist, each a tab of the app notebook.
PAGES = ("timeline", "journal", "search", "health", "settings")


class Lead(JupyterHandler):
    """What a person types leads to a page: ``/lifelog`` to the first, ``/lifelog/flows`` to its."""

    def initialize(self, to: str) -> None:
        """Called by tornado."""
        self._to = to

    @authenticated
    def get(self) -> None:
        """Redirect."""
        self.redirect(url_path_join(self.base_url, "lifelog", self._to))


class LifelogExtension(ExtensionApp):
    """Loaded by Jupyter Server; found by ``_jupyter_server_extension_points``."""

    name = "lifelog_lake"
    extension_url = "/lifelog/timeline"
    load_other_extensions = True
    app_process: AppProcess
    reader: LakeReader
    work: Work
    thumbnails: Thumbnails
    derived: Derived

    def initialize_settings(self) -> None:
        """Make what the handlers share."""
        assert self.serverapp is not None  # Jupyter links before it initializes
        base_url = self.serverapp.base_url
        self.reader = LakeReader()
        self.app_process = AppProcess(base_url=url_path_join(base_url, APP_BASE) + "/")
        self.settings[READER] = self.reader
        self.work = Work(open_home())
        self.settings[WORK] = self.work
        self.settings[HEALTH] = Health(self.reader)
        self.thumbnails = Thumbnails(default_home() / "index" / "thumbnails")
        self.settings[THUMBNAILS] = self.thumbnails
        self.derived = Derived(default_home())
        self.settings[DERIVED] = self.derived

    def initialize_handlers(self) -> None:
        """Mount the routes; the most special first."""
        process: dict[str, Any] = {"process": self.app_process}
        pages = "|".join(re.escape(page) for page in PAGES)
        self.handlers.extend(
            [
                (r"/lifelog/?", Lead, {"to": PAGES[0]}),
                (rf"/lifelog/({pages})", Page, process),
                (rf"/{APP_BASE}(/.*)", AppProxy, process),
                (rf"/{FLOWS_BASE}", Lead, {"to": "flows/"}),
                (rf"/{FLOWS_BASE}(/.*)", FlowsProxy),
                *handlers(),
                (r"/lifelog/.*", NotThere),
            ]
        )

    async def _start_jupyter_server_extension(self, serverapp: Any) -> None:
        """Called once the server's loop runs: warm the pages."""
        del serverapp
        self.app_process.start()

    async def stop_extension(self) -> None:
        """Called when the server ends."""
        await self.app_process.stop()
        self.reader.close()
        self.work.close()
        self.thumbnails.close()
        self.derived.close()
