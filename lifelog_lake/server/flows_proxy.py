"""Prefect's page and API behind the hub's login: ``/lifelog/flows/…``.

The flows' process says in ``run/flows.json``, which only this person can read, where its server
listens and what opens it; Prefect serves everything below the same path as the hub shows it.
"""

from __future__ import annotations

import base64

import orjson
from tornado.web import HTTPError

from lifelog_lake.config import default_home
from lifelog_lake.server.inner_proxy import InnerProxy

FLOWS_BASE = "lifelog/flows"
#: As the flows' process writes it into ``run/`` of the home.
ADDRESS = "flows.json"


class FlowsProxy(InnerProxy):
    """Prefect's page, and the API that it asks."""

    base = FLOWS_BASE
    away = "The flows don't run now. They start a little after the pages; see lifelog status."

    async def reach(self) -> None:
        """Read where the server is now: each of its lives has another port and secret."""
        try:
            address = orjson.loads((default_home() / "run" / ADDRESS).read_bytes())
        except FileNotFoundError:
            raise HTTPError(503, self.away) from None
        self.unix_socket = address["socket"]
        self.port = int(address["port"])
        self._key = f"{address['user']}:{address['secret']}"

    def key(self) -> dict[str, str]:
        """HTTP's Basic scheme, as Prefect's own clients use it."""
        return {"Authorization": f"Basic {base64.b64encode(self._key.encode()).decode()}"}
