"""How ``lifelog up`` starts the hub's server, and the address that a person opens.

Nothing of Jupyter is imported here: the command line stays light.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import orjson
import structlog

from lifelog_lake import fsio, places
from lifelog_lake.errors import Transient, UsageError
from lifelog_lake.home import Home
from lifelog_lake.server import workspace
from lifelog_lake.server.secret import HASH, VARIABLE, read_token, take_password
from lifelog_lake.server.tokens import Tokens, of_environment

log = structlog.get_logger(__name__)

PAGE = "lifelog/timeline"
PORTS_TRIED = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A child process to start: its arguments, its whole environment, where it will listen.

    ``token`` is one for programs that was made just now: to be shown, it is kept nowhere.
    """

    argv: tuple[str, ...]
    env: dict[str, str]
    ip: str
    port: int
    token: str | None


def prepare(home: Home, *, port: int | None = None) -> Launch:
    """Make the workspace and the token ready and choose a port; idempotent.

    ``port`` replaces the setting; the next free one is taken if it is in use. Raises
    :class:`UsageError` if none is free or the address isn't this machine's.
    """
    read_token(home.path)
    workspace.fill(home.path / "notebooks", places.shipped("notebooks"))
    ip = home.settings.server.ip
    free = free_port(ip, home.settings.server.port if port is None else port)
    jupyter = home.path / "run" / "jupyter"
    fsio.make_dirs(jupyter, at="server")
    _make_lab_config(home.path / "jupyter")
    workspaces = home.path / "jupyter" / "lab" / "workspaces"
    workspace.greet(workspaces)
    env = {
        **os.environ,
        "LIFELOG_HOME": str(home.path),
        # The hub's own Jupyter: a person's other settings and running servers stay apart.
        "JUPYTER_CONFIG_DIR": str(home.path / "jupyter"),
        "JUPYTER_RUNTIME_DIR": str(jupyter),
        "JUPYTERLAB_WORKSPACES_DIR": str(workspaces),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    given = env.pop(VARIABLE, "")  # a kernel, and what runs in it, has no use for it
    if given and not home.settings.server.password_hash:
        take_password(home.path, given)
    token = _tokens(home, env)
    for name in ("JUPYTER_TOKEN", "JUPYTER_SERVER_ALLOW_UNAUTHENTICATED_ACCESS"):
        env.pop(name, None)
    argv = (sys.executable, "-m", "lifelog_lake.server", "--port", str(free))
    return Launch(argv=argv, env=env, ip=ip, port=free, token=token)


def _tokens(home: Home, env: dict[str, str]) -> str | None:
    """Let the environment's token count, or make a first one: its secret, to be shown once."""
    tokens = Tokens(home.path)
    secret, variable = of_environment(env)
    given = tokens.give(secret, variable)
    if secret is not None and given is None:
        log.warning("token_was_revoked", message=f"{variable} was revoked or rotated.")
    made = tokens.first()
    return None if made is None else made.secret


def address(home: Path) -> str:
    """The address to open, with the token (none with a password), once the server listens.

    Raises :class:`Transient` while it doesn't.
    """
    try:
        server = orjson.loads((home / "run" / "server.json").read_bytes())
    except FileNotFoundError:
        raise Transient(
            "The server isn't running.", hint="Start it with: lifelog up", home=str(home)
        ) from None
    page = f"{server['open']}{PAGE}"
    if server["password"] or (home / HASH).exists():
        return page
    return f"{page}?{urlencode({'token': read_token(home)})}"


def free_port(ip: str, wanted: int) -> int:
    """``wanted``, or the next port above it that is free; 0 asks for any."""
    last = wanted if wanted == 0 else min(wanted + PORTS_TRIED, 65535)
    for port in range(wanted, last + 1):
        try:
            return _bind(ip, port)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise UsageError(
                    f"Can't listen on {ip!r}: {error.strerror}.",
                    hint="Set [server] ip to an address of this machine.",
                ) from None
    raise UsageError(
        f"No port from {wanted} to {last} is free.", hint="Choose another: lifelog up --port 9000"
    )


def _bind(ip: str, port: int) -> int:
    family, kind, protocol, _, address_ = socket.getaddrinfo(
        ip or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as probe:
        if os.name != "nt":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address_)
        return int(probe.getsockname()[1])


def _make_lab_config(directory: Path) -> None:
    """Switch off JupyterLab's half of an extension that the hub doesn't load, and its news."""
    path = directory / "labconfig" / "page_config.json"
    if not path.exists():
        fsio.make_dirs(path.parent, at="server")
        disabled = (
            "@jupyterhub/jupyter-server-proxy",
            "@jupyterlab/apputils-extension:announcements",
        )
        content = {"disabledExtensions": dict.fromkeys(disabled, True)}
        fsio.write_atomic(path, orjson.dumps(content, option=orjson.OPT_INDENT_2), at="server")
