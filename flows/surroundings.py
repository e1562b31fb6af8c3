"""What Prefect is told through its environment, before it is imported.

Prefect's own server lies in the home: its database, its profile, its page. It listens on loopback
only, with a secret of this life before every answer, tells nobody anything, and has a prefix of
its own so that the hub can show it behind its login. Nothing of a Prefect that the person has set
up for other work is read or changed: a PREFECT_API_URL in the environment may be an employer's.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from lifelog_lake.flow_settings import DAY_S, FlowsSettings

#: Where Prefect's page and API are, below the hub's address and below our own server's.
BASE = "/lifelog/flows"
API = f"{BASE}/api"
HOST = "127.0.0.1"
#: Our copy of Prefect's page, in its directory.
PAGE = "page"
#: The user part of the secret that opens our server (HTTP's Basic scheme has two parts).
USER = "lifelog"
FILE = "prefect.db"
DATABASE = f"sqlite+aiosqlite:///{FILE}"  # in the working directory: any path will do for it

_QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "ERROR",
    "PREFECT_LOGGING_LEVEL": "WARNING",
    # What a run says is kept by the server, to be read on its page.
    "PREFECT_LOGGING_LOGGERS_PREFECT_FLOW_RUNS_LEVEL": "INFO",
    "PREFECT_LOGGING_LOGGERS_PREFECT_TASK_RUNS_LEVEL": "INFO",
    "PREFECT_LOGGING_COLORS": "false",
}
#: Parts of the server that one hub with four flows has no use for: each polls the database or
#: keeps events of everything that happens.
_UNUSED = (
    *("CANCELLATION_CLEANUP", "CLEANUP_RECONCILER", "EVENT_PERSISTER", "FOREMAN", "LATE_RUNS"),
    *("PAUSE_EXPIRATIONS", "REPOSSESSOR", "TRIGGERS"),
)


def elsewhere(home: Path, settings: FlowsSettings, given: Mapping[str, str]) -> dict[str, str]:
    """The environment with a Prefect server elsewhere. Its key and certificates are the person's
    own (``PREFECT_API_KEY``, ``PREFECT_API_AUTH_STRING``, ``PREFECT_API_SSL_CERT_FILE`` …)."""
    return {
        **given,
        **_QUIET,
        "LIFELOG_HOME": str(home),
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_API_URL": settings.api_url,
    }


def embedded(
    home: Path, settings: FlowsSettings, given: Mapping[str, str], *, port: int, secret: str
) -> dict[str, str]:
    """The environment with a server of our own at ``port``."""
    kept = {name: value for name, value in given.items() if not name.startswith("PREFECT_")}
    direct = ",".join(filter(None, (given.get("NO_PROXY") or given.get("no_proxy"), HOST)))
    keep_s = str(int(settings.keep_days * DAY_S))
    return {
        **kept,
        **_QUIET,
        **{f"PREFECT_SERVER_SERVICES_{name}_ENABLED": "false" for name in _UNUSED},
        "NO_PROXY": direct,
        "no_proxy": direct,
        "LIFELOG_HOME": str(home),
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_API_URL": f"http://{HOST}:{port}{API}",
        "PREFECT_API_AUTH_STRING": f"{USER}:{secret}",
        "PREFECT_SERVER_API_BASE_PATH": API,
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": settings.database_url or DATABASE,
        "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "flow_runs",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": keep_s,
        "PREFECT_SERVER_UI_API_URL": API,
        "PREFECT_SERVER_UI_SERVE_BASE": BASE,
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(home / "prefect" / PAGE),
    }


def enter(environment: Mapping[str, str], directory: Path) -> None:
    """Make the environment this process's own, and stand where no project's ``prefect.toml`` or
    ``.env`` lies."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
