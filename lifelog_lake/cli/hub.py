"""A hub's REST API as the commands use it: the standard library alone, so any device can.

The token comes from the environment, a private file of the home, or the keyring, never from the
command line, and goes to no other host: redirections aren't followed.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import os
import stat
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

import orjson

from lifelog_lake.cli.entries import Fields, File
from lifelog_lake.clock import iso
from lifelog_lake.config import default_home
from lifelog_lake.errors import (
    EntryChanged,
    EntryExists,
    LakeUnreachable,
    LifelogError,
    UnknownEntry,
    UsageError,
)
from lifelog_lake.events import new_id

if TYPE_CHECKING:
    from lifelog_lake.recall.journal.model import Change, NewEntry
    from lifelog_lake.recall.journal.pages import Query

API = "/lifelog/api/"
VARIABLES = ("LIFELOG_API_TOKEN", "API_TOKEN")
#: Below the home.
FILE = "hub.token"
#: The keyring's service; its user is the hub's address.
SERVICE = "lifelog_lake"
#: Seconds without an answer, or a piece of one.
TIMEOUT_S = 60.0
#: The same while a hub reads a file twice and writes what is in it.
IMPORT_S = 6 * 3600.0
#: Tries of what may be repeated, and seconds between them.
TRIES, PAUSE_S = 3, 1.0
_MOST_PROBLEM_BYTES = 64 * 1024
_PIECE_BYTES = 256 * 1024
_KINDS: dict[int, type[LifelogError]] = {404: UnknownEntry, 409: EntryExists, 412: EntryChanged}


class Hub:
    """Entries behind a hub's API; see :class:`~lifelog_lake.cli.entries.Entries`.

    Raises :class:`LakeUnreachable` if it doesn't answer, and what it refuses in its own words.
    """

    def __init__(self, url: str, token: str) -> None:
        self._root = url + API
        self._token = token
        self._opener = urllib.request.build_opener(_Straight, _Http, _Https)

    @classmethod
    def at(cls, url: str, home: Path | None) -> Hub:
        """The hub at an address, with the token that is known for it."""
        address = _checked(url)
        return cls(address, token_for(address, home or default_home()))

    def create(self, given: NewEntry, files: list[File]) -> Fields:
        """The entry comes first; if a file of it is refused, it is deleted again."""
        fields = given.model_dump(exclude_unset=True, exclude_none=True)
        # Sent again after a broken connection, it is still one entry.
        entry = self._json("POST", "events", _times(fields), {"Idempotency-Key": new_id()})
        try:
            for file in files:
                self.attach(entry["id"], file)
        except LakeUnreachable as error:
            raise LakeUnreachable(
                f"The entry {entry['id']} is kept, but not all of its files: {error.message}",
                hint="Attach them again: lifelog event attach.",
            ) from error
        except LifelogError:
            self.delete(entry["id"], None)
            raise
        return self.get(entry["id"]) if files else entry

    def get(self, entry_id: str) -> Fields:
        """An entry as it stands."""
        return self._json("GET", f"events/{_part(entry_id)}")

    def history(self, entry_id: str) -> list[Fields]:
        """Its revisions, the oldest first."""
        found: list[Fields] = self._json("GET", f"events/{_part(entry_id)}/history")["revisions"]
        return found

    def edit(self, entry_id: str, change: Change, expected: str | None) -> Fields:
        """Change it."""
        fields = _times(change.given())
        return self._json("PATCH", f"events/{_part(entry_id)}", fields, _match(expected))

    def delete(self, entry_id: str, expected: str | None) -> None:
        """Delete it."""
        self._json("DELETE", f"events/{_part(entry_id)}", None, _match(expected))

    def undelete(self, entry_id: str) -> Fields:
        """Bring it back."""
        return self._json("POST", f"events/{_part(entry_id)}/undelete")

    def attach(self, entry_id: str, file: File) -> None:
        """Attach a file, in pieces."""
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(file.size_bytes),
        }
        where = f"events/{_part(entry_id)}/attachments/{_part(file.name)}"
        with self._answer("PUT", where, file.pieces(), headers):
            return

    def detach(self, key: str) -> None:
        """Take a file away."""
        self._json("DELETE", f"attachments/{_part(key)}")

    def page(
        self, query: Query, limit: int, cursor: str | None, stream: str
    ) -> tuple[list[Fields], str | None]:
        """Entries of a list, and where the next page begins."""
        asked: list[tuple[str, str]] = [
            ("stream", stream),
            ("sort", query.sort),
            ("order", "desc" if query.newest_first else "asc"),
            ("any_tag", "true" if query.match == "any" else "false"),
            ("limit", str(limit)),
            *(("tag", tag) for tag in query.tags),
            *(("device", device) for device in query.devices),
        ]
        asked += [
            (n, iso(at)) for n, at in (("start", query.start), ("end", query.end)) if at is not None
        ]
        asked += [("cursor", cursor)] if cursor is not None else []
        page = self._json("GET", f"events?{urlencode(asked)}")
        return page["events"], page["cursor"]

    def export(self, format_: str, *, history: bool) -> Iterator[bytes]:
        """All entries as the pieces of a file."""
        asked = urlencode({"format": format_, "history": str(history).lower()})
        with self._answer("GET", f"export?{asked}") as answer:
            while piece := answer.read(_PIECE_BYTES):
                yield piece
            if answer.length:  # reading by pieces doesn't tell that some are missing
                raise http.client.IncompleteRead(b"", answer.length)

    def bring(self, file: File, format_: str, columns: str, *, dry_run: bool) -> Fields:
        """Bring entries in; it may take its time."""
        asked = urlencode({"format": format_, "map": columns, "dry_run": str(dry_run).lower()})
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(file.size_bytes),
        }
        pieces = file.pieces("Sending")
        with self._answer("POST", f"import?{asked}", pieces, headers, IMPORT_S) as answer:
            found: Fields = orjson.loads(answer.read())
            return found

    # -- parts ------------------------------------------------------------------------------

    def _json(
        self,
        method: str,
        where: str,
        fields: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Fields:
        """An answer as JSON; asked again if the connection breaks: none of it doubles anything."""
        body = None if fields is None else orjson.dumps(fields)
        said = {"Content-Type": "application/json"} if body is not None else {}
        for left in reversed(range(TRIES)):
            try:
                with self._answer(method, where, body, {**said, **(headers or {})}) as answer:
                    content = answer.read()
                return orjson.loads(content) if content else {}
            except orjson.JSONDecodeError:
                raise _no_hub(self._root) from None
            except LakeUnreachable:
                if not left:
                    raise
                time.sleep(PAUSE_S)
        raise AssertionError("unreachable")

    @contextlib.contextmanager
    def _answer(
        self,
        method: str,
        where: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Iterator[http.client.HTTPResponse]:
        asked = urllib.request.Request(  # noqa: S310 - the scheme was checked
            self._root + where,
            data=body,
            method=method,
            headers={"Authorization": f"Bearer {self._token}", **(headers or {})},
        )
        try:
            with self._opener.open(asked, timeout=timeout_s) as answer:
                yield answer
        except urllib.error.HTTPError as error:
            with error:
                raise _refused(error, self._root) from None
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "reason", None) or error
            raise LakeUnreachable(
                f"The hub at {self._root.removesuffix(API)} can't be reached: {why}.",
                hint="Is it running, and its address right? Without --hub entries are kept here.",
            ) from error


class _Straight(urllib.request.HTTPRedirectHandler):
    """Follows nothing: a token must not go elsewhere."""

    def redirect_request(self, *_: object) -> None:
        """No further request."""


class _Heard(http.client.HTTPConnection):
    """A hub may refuse a file before it has all of it: then its answer counts."""

    def request(self, *words: Any, **named: Any) -> None:
        """Send it, as far as it is taken."""
        # Its answer, which says why, is read next.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            super().request(*words, **named)


class _HeardSafely(_Heard, http.client.HTTPSConnection):
    """The same over TLS."""


class _Http(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Heard, req)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_HeardSafely, req)


def _checked(url: str) -> str:
    """An address without what is behind its host and path; raises :class:`UsageError`."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise UsageError(
            f"{url[:200]!r} isn't an address.", hint="Such as https://hub.example.org."
        )
    if parts.username is not None or parts.password is not None:
        raise UsageError("An address must not hold a password.", hint=_TOKEN_HINT)
    if parts.scheme == "http" and not _is_here(parts.hostname):
        raise UsageError(
            "Over http:// anybody on the way could read the token.",
            hint="Use https:// (docs/deploy.md), or a tunnel to this machine such as ssh -L.",
        )
    return url.rstrip("/").removesuffix("/lifelog")


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


_TOKEN_HINT = (
    f"Make a token on the hub (lifelog token create NAME) and put it into {VARIABLES[0]}, into the "
    f"private file {FILE} of the home, or into the keyring ({SERVICE}, the hub's address)."
)


def token_for(url: str, home: Path) -> str:
    """The token for a hub; raises :class:`UsageError` if there is none."""
    for name in VARIABLES:
        if found := os.environ.get(name, "").strip():
            return _sendable(found)
    found = _from_file(home / FILE) or _from_keyring(url)
    if not found:
        raise UsageError("There is no token for the hub.", hint=_TOKEN_HINT)
    return _sendable(found)


def _sendable(token: str) -> str:
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise UsageError("The hub's token holds characters that a token can't have.")
    return token


def _from_file(path: Path) -> str:
    try:
        if sys.platform != "win32" and stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise UsageError(
                f"Others may read the token in {path}.", hint=f"Type: chmod 600 {path}"
            )
        return path.read_text().strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} can't be read: {error}.") from None


def _from_keyring(url: str) -> str:
    try:
        import keyring
        from keyring.errors import KeyringError
    except ModuleNotFoundError:  # of the extra 'device'
        return ""
    try:
        return (keyring.get_password(SERVICE, url) or "").strip()
    except KeyringError:  # there is none on this machine, or it is locked
        return ""


def _part(text: str) -> str:
    return quote(text, safe="")


def _match(expected: str | None) -> dict[str, str]:
    return {} if expected is None else {"If-Match": f'"{expected}"'}


def _times(fields: Mapping[str, object]) -> dict[str, object]:
    """Times as texts."""
    return {n: iso(v) if n == "at" and isinstance(v, int) else v for n, v in fields.items()}


def _no_hub(root: str) -> UsageError:
    return UsageError(
        f"{root.removesuffix(API)} answers, but not as a hub does.", hint="Check its address."
    )


def _refused(error: urllib.error.HTTPError, root: str) -> LifelogError:
    """What the hub says, in its own words."""
    try:
        said = orjson.loads(error.read(_MOST_PROBLEM_BYTES))
        detail, hint = str(said["detail"]), str(said.get("hint", ""))
    except (orjson.JSONDecodeError, KeyError, TypeError, OSError):
        if error.code < 500:
            return _no_hub(root)
        detail, hint = f"The hub answers {error.code} {error.reason}.", "Its log has more."
    if error.code in {429, 500, 502, 503, 504}:
        return LakeUnreachable(detail, hint=hint)
    return _KINDS.get(error.code, UsageError)(detail, hint=hint)
