"""The hub's Jupyter Server: JupyterLab, pages, API and blobs at one address with one login.

Its settings come from the home alone and win over a person's own Jupyter configuration, so that
no file elsewhere can switch the login off.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import orjson
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.auth.logout import LogoutHandler
from jupyter_server.serverapp import ServerApp
from tornado.ioloop import PeriodicCallback
from traitlets.config import Config

from lifelog_lake import fsio
from lifelog_lake.home import Home
from lifelog_lake.server.identity import HubIdentity
from lifelog_lake.server.logs import LOGGING_CONFIG
from lifelog_lake.server.secret import read_password, read_token

SERVER_JSON = "server.json"
#: Seconds in which a request's head has to come, and that an idle connection is kept.
HEAD_S = 75.0
#: How often it is seen whether a command has changed the password.
LOOK_EVERY_MS = 2000.0


class Logout(LogoutHandler):
    """Jupyter's logout, which also closes the websockets that the login had opened."""

    @allow_unauthenticated
    def get(self) -> None:
        """Log out. A stranger's request ends nobody's session."""
        known = self.current_user is not None
        super().get()
        if not known:
            return
        identity = self.identity_provider
        assert isinstance(identity, HubIdentity)
        identity.close_sockets()


class HubServer(ServerApp):
    """A :class:`ServerApp` that is configured by a :class:`~lifelog_lake.home.Home`."""

    home: ClassVar[Home]
    wanted_port: int = 0

    def load_config_file(self, *args: Any, **kwargs: Any) -> None:
        """Load what extensions ship, then put our settings above all."""
        HubIdentity.home = self.home
        super().load_config_file(*args, **kwargs)
        self.update_config(config_of(self.home, self.wanted_port))

    def load_server_extensions(self) -> None:
        """Load them, then take the token out of JupyterLab's page.

        Its scripts would send it with each request, and each would set the cookie again that a
        logout in another tab has just taken away. The cookie is enough, as with a password.
        """
        super().load_server_extensions()
        self.web_app.settings.get("page_config_data", {})["token"] = ""

    def init_httpserver(self) -> None:
        """Make it; who sends a request's head slowly, or nothing, keeps no connection for long."""
        super().init_httpserver()
        self.http_server.conn_params.header_timeout = HEAD_S
        identity = self.identity_provider
        assert isinstance(identity, HubIdentity)
        # A command may change the password, and who has a shell open needs no further request.
        self._looks = PeriodicCallback(identity.refresh, LOOK_EVERY_MS)
        self._looks.start()

    def write_server_info_file(self) -> None:
        """Say where we listen: ``HOME/run/server.json``."""
        super().write_server_info_file()
        # Jupyter begins to listen by a callback that it added before: who reads this may connect.
        self.io_loop.add_callback(self._say_where)

    def _say_where(self) -> None:
        url = f"http://{_host(self.ip)}:{self.port}{self.base_url}"
        settings = self.home.settings.server
        content = orjson.dumps({
            "url": url,
            "open": f"{settings.url}/" if settings.url else url,
            "password": bool(settings.password_hash or read_password(self.home.path)),
            "pid": os.getpid(),
        })  # fmt: skip
        fsio.write_atomic(self.home.run / SERVER_JSON, content, at="server")

    def remove_server_info_file(self) -> None:
        """Take the address back."""
        super().remove_server_info_file()
        path = self.home.run / SERVER_JSON
        if path.exists() and orjson.loads(path.read_bytes())["pid"] == os.getpid():
            path.unlink()

    def write_browser_open_files(self) -> None:
        """Leave out files that hold the token; ``lifelog up`` prints the address."""


def _host(ip: str) -> str:
    if ip in ("", "0.0.0.0", "::"):  # noqa: S104 - a comparison
        return "127.0.0.1"
    return f"[{ip}]" if ":" in ip else ip


def config_of(home: Home, port: int) -> Config:
    """All settings of the server, JupyterLab and its login."""
    settings = home.settings.server
    config = Config()
    app = config.ServerApp
    app.ip = settings.ip
    app.port = port
    app.port_retries = 0
    if settings.url:
        # Only by this name, so that no page elsewhere reaches us by a name of its own (DNS
        # rebinding); by loopback's too, for health checks. Whether a cookie is for https alone,
        # the proxy's X-Forwarded-Proto says.
        app.allow_remote_access = False
        app.local_hostnames = ["localhost", urlsplit(settings.url).hostname, *settings.names]
        app.trust_xheaders = True
    elif settings.names:
        app.allow_remote_access = False
        app.local_hostnames = ["localhost", *settings.names]
    if settings.origins:
        app.allow_origin_pat = rf"(?:{settings.origins})\Z"  # matched from the beginning
    app.identity_provider_class = HubIdentity
    app.open_browser = False
    app.answer_yes = True
    app.root_dir = str(home.path / "notebooks")
    app.default_url = "/lifelog/timeline"
    app.log_level = "WARN"
    app.allow_unauthenticated_access = False
    app.authenticate_prometheus = True
    app.allow_root = hasattr(os, "geteuid") and os.geteuid() == 0
    app.use_redirect_file = False
    # A second Voila, and a proxy to every port of this machine, are routes that nobody needs.
    app.jpserver_extensions = {
        "lifelog_lake.server": True,
        "jupyterlab": True,
        "voila.server_extension": False,
        "jupyter_server_proxy": False,
    }
    config.Application.logging_config = LOGGING_CONFIG
    app.extra_template_paths = [str(Path(__file__).with_name("jupyter_templates"))]
    config.PasswordIdentityProvider.logout_handler_class = Logout
    # `lifelog password` sets one; another that the login page wrote elsewhere would be a second.
    config.PasswordIdentityProvider.allow_password_change = False
    config.IdentityProvider.cookie_options = {"samesite": "Lax"}
    hashed = settings.password_hash or read_password(home.path)
    config.IdentityProvider.token = "" if hashed else read_token(home.path)
    config.PasswordIdentityProvider.hashed_password = hashed
    # Looking for language servers runs npm at each start, which writes into the person's home.
    config.LanguageServerManager.autodetect = False
    lab = config.LabApp
    lab.log_level = "WARN"
    lab.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
    lab.news_url = None
    lab.extension_manager = "readonly"
    return config
