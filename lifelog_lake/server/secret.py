"""What opens the hub to people: ``HOME/token``, 0600, made once; or a password in its place.

Of the password only its hash is kept, in ``HOME/password``, 0600, and in its second line that of
the last ``ADMIN_PASSWORD``: the variable counts when it is new, and else what ``lifelog password``
has set.
"""

from __future__ import annotations

import os
import secrets
import unicodedata
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
    return _hashes(home)[0]


def take_password(home: Path, given: str) -> None:
    """Make what the environment gives the password, unless it gave the same before. Durable.

    So it is the first password, and a new one when somebody changes the variable; what
    :func:`set_password` has set in between stays.
    """
    from jupyter_server.auth.security import passwd_check

    kept, taken = _hashes(home)
    if not kept or not passwd_check(taken or kept, given):
        made = _hashed(given, VARIABLE)
        _write(home, made, made)


def set_password(home: Path, password: str) -> None:
    """Change the password; whoever is logged in has to log in again. Durable on return.

    Raises :class:`UsageError` for one that is soon guessed: the login is a shell.
    """
    _write(home, _hashed(password, "The password"), _hashes(home)[1])


def _hashed(password: str, what: str) -> str:
    from jupyter_server.auth.security import passwd

    if len(password) < _LEAST_PASSWORD:
        raise UsageError(
            f"{what} has less than {_LEAST_PASSWORD} characters.",
            hint="Choose a longer one: who knows it has a shell here.",
        )
    if any(unicodedata.category(one) == "Cc" for one in password):
        raise UsageError(
            f"{what} holds a character that a form can't take.",
            hint="Leave out tabs, line ends and other control characters.",
        )
    made: str = passwd(password)
    return made


def _hashes(home: Path) -> tuple[str, str]:
    """Of the password, and of what the environment gave last; empty for none."""
    try:
        lines = (home / HASH).read_text("ascii").split()
    except FileNotFoundError:
        lines = []
    return (lines[0] if lines else "", lines[1] if len(lines) > 1 else "")


def _write(home: Path, password: str, given: str) -> None:
    content = f"{password}\n{given}\n".encode()
    fsio.write_atomic(home / HASH, content, at="server")
