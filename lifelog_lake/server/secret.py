"""What opens the hub to people: ``HOME/token``, 0600, made once; or a password in its place.

Of the password only its hash is kept, in ``HOME/password``, 0600. ``ADMIN_PASSWORD`` is the first
one; ``lifelog password`` changes it, and from then on the variable says nothing any more.
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


def read_password(home: Path) -> str:
    """The hash of the home's password; empty if it has none."""
    try:
        return (home / HASH).read_text("ascii").strip()
    except FileNotFoundError:
        return ""


def first_password(home: Path, password: str) -> bool:
    """Make this the password unless there is one; whether it opens the hub now. Durable."""
    from jupyter_server.auth.security import passwd_check

    kept = read_password(home)
    if kept:
        return bool(passwd_check(kept, password))
    set_password(home, password, what=VARIABLE)
    return True


def set_password(home: Path, password: str, *, what: str = "The password") -> None:
    """Change the password; whoever is logged in has to log in again. Durable on return.

    Raises :class:`UsageError` for one that is soon guessed: the login is a shell.
    """
    from jupyter_server.auth.security import passwd

    if len(password) < _LEAST_PASSWORD:
        raise UsageError(
            f"{what} has less than {_LEAST_PASSWORD} characters.",
            hint="Choose a longer one: who knows it has a shell here.",
        )
    made: str = passwd(password)
    fsio.write_atomic(home / HASH, made.encode(), at="server")
