"""The process behind the pages (``python -m lifelog_lake.server.voila_app``).

A standalone Voila with one notebook and a pool of warm kernels. It has no login of its own: it is
reachable only through :class:`~lifelog_lake.server.app_process.AppProcess`'s address and answers
only requests that carry that life's secret, static files and websockets included. Its settings are
here and nowhere else; a person's own ``voila.json`` can't open it.
"""

from __future__ import annotations

import hmac
import logging
import os
import signal
import time
from pathlib import Path
from typing import Any

from jupyter_server.auth.identity import IdentityProvider, User
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.ioloop import IOLoop
from tornado.web import ErrorHandler
from traitlets.config import Config
from voila.app import Voila

from lifelog_lake import places
from lifelog_lake.home import open_home
from lifelog_lake.server.app_process import ENV_BASE_URL, ENV_PORT, ENV_SECRET, ENV_SOCKET, HEADER
from lifelog_lake.server.logs import LOGGING_CONFIG, log_as_all
from lifelog_lake.server.orphan import end_with_parent

POOL_SIZE = 2
#: The visitor's own page comes first; a new kernel takes seconds of a processor.
REFILL_AFTER_S = 8.0
#: A page says goodbye when it closes; one that couldn't (a phone that slept) is culled.
CULL_IDLE_S = 180
CULL_EVERY_S = 30
#: A kernel that has just left the pool isn't connected yet and looks idle since it was made.
GRACE_S = 15.0

_EXTENSIONS = [
    "@jupyter-widgets/jupyterlab-manager",
    "@voila-dashboards/widgets-manager8",
    "anywidget",
]


class GracefulKernels(AsyncMappingKernelManager):
    """Leaves a kernel alone for a while after it has left the pool."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._outside_since_s: dict[str, float] = {}

    async def cull_kernel_if_idle(self, kernel_id: str) -> None:
        """Called by the pool's subclass only for kernels outside of the pool."""
        now_s = time.monotonic()
        for gone in self._outside_since_s.keys() - self._kernels.keys():
            del self._outside_since_s[gone]
        if now_s - self._outside_since_s.setdefault(kernel_id, now_s) >= GRACE_S:
            await super().cull_kernel_if_idle(kernel_id)


class BehindLogin(IdentityProvider):
    """Whoever has the secret has passed Jupyter's login outside."""

    def get_user(self, handler: Any) -> User:
        """The one person."""
        del handler
        return User(username="person")

    def should_check_origin(self, handler: Any) -> bool:
        """The outer server has checked it."""
        del handler
        return False

    def is_token_authenticated(self, handler: Any) -> bool:
        """True skips the inner XSRF check, so that a closing page can end its kernel."""
        del handler
        return True


class LifelogVoila(Voila):  # type: ignore[misc,unused-ignore]
    """Voila on a private address, with settings of its own."""

    template_paths: Any

    def load_config_file(self, *args: Any, **kwargs: Any) -> None:
        """Take the settings from here in place of files."""
        del args, kwargs
        self.update_config(_config())

    def setup_template_dirs(self) -> None:
        """Find the template in a checkout too."""
        super().setup_template_dirs()
        self.template_paths = [str(places.shipped("voila_template")), *self.template_paths]

    def listen(self) -> None:
        """Serve on the private address until a signal comes."""
        _guard(self.app, os.environ[ENV_SECRET])
        server = HTTPServer(self.app)
        path = os.environ.get(ENV_SOCKET)
        if path:
            from tornado.netutil import bind_unix_socket

            server.add_socket(bind_unix_socket(path, mode=0o600))
        else:
            server.listen(int(os.environ[ENV_PORT]), "127.0.0.1")
        self.ioloop = IOLoop.current()
        try:
            self.ioloop.start()
        finally:
            server.stop()
            self.stop()


def _guard(app: Any, secret: str) -> None:
    """Refuse every request without the secret, whatever route it is for."""
    find = app.find_handler

    def guarded(request: HTTPServerRequest, **kwargs: Any) -> Any:
        given = request.headers.get(HEADER, "")
        if hmac.compare_digest(given.encode(), secret.encode()):
            return find(request, **kwargs)
        return app.get_handler_delegate(request, ErrorHandler, {"status_code": 403})

    app.find_handler = guarded


def _config() -> Config:
    config = Config()
    base_url = os.environ[ENV_BASE_URL]
    config.Voila.base_url = config.Voila.server_url = base_url
    config.Voila.open_browser = False
    config.Voila.identity_provider_class = BehindLogin
    config.Voila.notebook_path = str(places.shipped("dashboards") / "app.ipynb")
    config.Voila.root_dir = str(places.shipped("dashboards"))
    config.Voila.log_level = logging.ERROR  # its warnings are about trust and culling
    config.Application.logging_config = LOGGING_CONFIG
    if os.environ.get(ENV_SOCKET):  # kernels need no port that another user could reach
        config.KernelManager.transport = "ipc"
    config.VoilaConfiguration.preheat_kernel = True
    config.VoilaConfiguration.default_pool_size = POOL_SIZE
    config.VoilaConfiguration.template = "lab"
    config.VoilaConfiguration.allow_template_override = "NO"
    config.VoilaConfiguration.allow_theme_override = "NO"
    config.VoilaConfiguration.file_allowlist = []
    config.VoilaConfiguration.extension_allowlist = _EXTENSIONS
    config.VoilaConfiguration.multi_kernel_manager_class = GracefulKernels
    config.VoilaKernelManager.fill_delay = REFILL_AFTER_S
    config.MappingKernelManager.cull_idle_timeout = CULL_IDLE_S
    config.MappingKernelManager.cull_interval = CULL_EVERY_S
    return config


def main() -> None:
    """Run until SIGTERM, or until the server that started it is gone."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    log_as_all(open_home(), "pages")
    app = LifelogVoila()
    os.chdir(Path(places.shipped("dashboards")))
    app.initialize([])
    app.start()


if __name__ == "__main__":
    main()
