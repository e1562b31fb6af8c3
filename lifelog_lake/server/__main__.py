"""The hub's Jupyter Server as :mod:`lifelog_lake.server.launch` starts it: ``python -m …``.

The home comes from ``LIFELOG_HOME``; secrets are read from it here, so none is in the arguments
or the environment, where ``ps`` would show it.
"""

from __future__ import annotations

import argparse

from lifelog_lake.home import open_home
from lifelog_lake.server.hub import HubServer
from lifelog_lake.server.logs import log_as_all
from lifelog_lake.server.orphan import end_with_parent


def main() -> None:
    """Serve until SIGTERM, or until the parent is gone."""
    end_with_parent()
    parser = argparse.ArgumentParser(prog="python -m lifelog_lake.server")
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    home = open_home()
    log_as_all(home, "server")
    HubServer.home = home
    server = HubServer.instance()
    server.wanted_port = port
    server.initialize([])
    server.start()


if __name__ == "__main__":
    main()
