"""The token that opens the hub: ``HOME/token``, 0600, made once."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from lifelog_lake import fsio
from lifelog_lake.errors import Terminal
from lifelog_lake.locks import FileLock

NAME = "token"
TOKEN_BYTES = 32
_LEAST_CHARS = 32


def read_token(home: Path) -> str:
    """The token of a home, made on first use. Durable on return.

    Raises :class:`Terminal` for a token that others may read, or that is too short.
    """
    path = home / NAME
    if not path.exists():
        fsio.make_dirs(home / "run", at="server")
        lock = FileLock(home / "run" / "token.lock")  # two first processes must agree on one token
        try:
            with lock:
                if not path.exists():
                    token = secrets.token_urlsafe(TOKEN_BYTES)
                    fsio.write_atomic(path, token.encode(), at="server")
        finally:
            lock.close()
    if os.name != "nt" and path.stat().st_mode & 0o077:
        raise Terminal(f"Others may read {path}.", hint=f"Make it yours alone: chmod 600 {path}")
    token = path.read_text("ascii").strip()
    if len(token) < _LEAST_CHARS:
        raise Terminal(
            f"The token in {path} is too short.", hint="Remove the file; a new one is made."
        )
    return token
