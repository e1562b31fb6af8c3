"""Logs of the server's processes go where all others go: :mod:`lifelog_lake.logs`.

Jupyter gives every application its own handler. Here they are replaced, so that a line is written
once, as JSON, without the text of foreign records (which may hold addresses and tokens).
"""

from __future__ import annotations

import logging
import warnings

from lifelog_lake.home import Home
from lifelog_lake.logs import setup_logging


class Onward(logging.Handler):
    """Hands an application's records to the root logger's handlers."""

    def __init__(self, stream: object = None) -> None:
        super().__init__()
        del stream

    def emit(self, record: logging.LogRecord) -> None:
        """Pass it on."""
        logging.getLogger().handle(record)


#: traitlets' ``Application.logging_config`` for every application of the process.
LOGGING_CONFIG = {"handlers": {"console": {"class": "lifelog_lake.server.logs.Onward"}}}


def log_as_all(home: Home, process: str) -> None:
    """Set up this process's logs.

    Python's own warnings are left out: they are for those who develop the libraries.
    """
    setup_logging(home, process)
    logging.getLogger("tornado").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
