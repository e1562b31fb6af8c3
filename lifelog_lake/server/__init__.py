"""The hub's Jupyter Server extension: pages, REST routes and blobs behind Jupyter's own login.

``places`` where shipped notebooks lie · ``launch`` starts the server · ``hub`` the server's
configuration · ``identity`` who asks, with ``secret`` (people), ``tokens`` (programs) and
``throttle`` · ``audit`` who did what · ``extension`` mounts the routes · ``app_process``,
``app_proxy`` and ``voila_app`` the dashboards' Voila behind that login · ``flows_proxy`` Prefect's
page there · ``inner_proxy`` what both share · ``api`` the REST API · ``timeline``, ``coverage``,
``search``, ``thumbnails``, ``blobs``, ``health`` the pages' routes · ``base`` and ``problem`` what
all routes share · ``ranges``, ``media`` what they are made of · ``reading`` the lake off the event
loop.
"""

from __future__ import annotations

from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """What Jupyter Server looks for in an extension's module."""
    from lifelog_lake.server.extension import LifelogExtension

    return [{"module": "lifelog_lake.server", "app": LifelogExtension}]
