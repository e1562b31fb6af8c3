"""The keys of an S3 server: from the environment, a private file in the home, or the keyring.

They are never part of the settings, and never in a log, an error or an output.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from lifelog_lake.errors import LakeDenied, UsageError

FILE = "s3-credentials.toml"
#: The keyring's service; its user is the lake's address, its password ``KEY_ID:SECRET``.
SERVICE = "lifelog_lake"
_NAMES = ("access_key_id", "secret_access_key", "session_token")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """One pair of keys. Its repr doesn't show them."""

    key_id: str = field(repr=False)
    secret: str = field(repr=False)
    token: str | None = field(repr=False, default=None)


def read(home: Path, url: str) -> Credentials:
    """The keys of now. Raises :class:`LakeDenied` if there are none, :class:`UsageError` for a
    file that others may read."""
    found = _environment() or _file(home / FILE) or _keyring(url)
    if found is None:
        raise LakeDenied(
            f"There are no keys for {url}.",
            hint=f"Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write {home / FILE}, or use "
            "the keyring: see docs/s3.md.",
        )
    return found


def _environment() -> Credentials | None:
    key_id = os.environ.get("AWS_ACCESS_KEY_ID", "")
    secret = os.environ.get("AWS_SECRET_ACCESS_KEY", "")
    if not key_id or not secret:
        return None
    token = os.environ.get("AWS_SESSION_TOKEN") or None
    return Credentials(key_id=key_id, secret=secret, token=token)


def _file(path: Path) -> Credentials | None:
    try:
        status = path.stat()
        if os.name != "nt" and status.st_mode & 0o077:
            raise UsageError(
                f"Others on this machine may read {path}.", hint=f"Run: chmod 600 '{path}'"
            )
        values = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(
            f"{path} can't be read: {error.strerror}.", hint="Make it readable for you alone."
        ) from None
    except ValueError:  # the parser's words could show a part of a key
        values = {}
    texts = [values.get(name) for name in _NAMES]
    if not all(isinstance(text, str) and text for text in texts[:2]) or values.keys() - {*_NAMES}:
        raise UsageError(
            f"{path} doesn't hold a pair of keys.",
            hint='It needs access_key_id = "…" and secret_access_key = "…" (and session_token if '
            "there is one).",
        )
    return Credentials(key_id=str(texts[0]), secret=str(texts[1]), token=texts[2] or None)


def _keyring(url: str) -> Credentials | None:
    import keyring
    from keyring.errors import KeyringError

    try:
        pair = keyring.get_password(SERVICE, url)
    except KeyringError:  # there is none on this machine, or it is locked
        return None
    key_id, _, secret = (pair or "").partition(":")
    return Credentials(key_id=key_id, secret=secret) if key_id and secret else None
