"""What opens the hub: ``HOME/token``, 0600, made once; or the password of ``ADMIN_PASSWORD``.

Of the password only its hash is kept, in ``HOME/password``, 0600: the same hash at each start keeps
those logged in who are.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from lifelog_lake import fsio
from lifelog_lake.errors import Terminal, UsageError
from lifelog_lake.locks import FileLock

NAME = "token"
TOKEN_BYTES = 32
_LEAST_CHARS = 32
VARIABLE = "ADMIN_PASSWORD"
HASH = "password"
_LEAST_PASSWORD = 8


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


def password_hash(home: Path, password: str) -> str:
    """The hash of a password as Jupyter checks it; the one of before if it still fits. Durable.

    Raises :class:`UsageError` for a password that is soon guessed: the login is a shell.
    """
    from jupyter_server.auth.security import passwd, passwd_check

    if len(password) < _LEAST_PASSWORD:
        raise UsageError(
            f"{VARIABLE} has less than {_LEAST_PASSWORD} characters.",
            hint="Choose a longer one: who knows it has a shell here.",
        )
    path = home / HASH
    kept = path.read_text("ascii") if path.exists() else ""
    if kept and passwd_check(kept, password):
        return kept
    made: str = passwd(password)
    fsio.write_atomic(path, made.encode(), at="server")
    return made
