"""Tokens of programs: ``HOME/tokens.json``, 0600. Only hashes are kept.

A token is random (256 bits), so one round of sha256 keeps it as well as many would. One that a
person chose (``API_TOKEN`` or ``LIFELOG_API_TOKEN``) is *given*: it counts as long as the
environment names it, and never again once it was revoked or rotated. Every process of the home
sees a change at its next look.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import orjson

from lifelog_lake import fsio
from lifelog_lake.clock import Clock, SystemClock, iso
from lifelog_lake.errors import Terminal, UsageError
from lifelog_lake.locks import FileLock

Scope = Literal["read", "write", "ingest"]
#: What a token may be good for: read everything; create, change and delete; append alone.
SCOPES: tuple[Scope, ...] = get_args(Scope)
#: In the order in which they count: the long name wins.
VARIABLES = ("LIFELOG_API_TOKEN", "API_TOKEN")
NAME = "tokens.json"
PREFIX = "lifelog_"
FIRST = "first"
MOST_NAME = 60
_BYTES = 32
_LEAST_GIVEN = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What is kept of a token. Times in µs since 1970 UTC; ``sha256`` is the secret's."""

    id: str
    name: str
    scopes: tuple[Scope, ...]
    sha256: str
    created_at: int
    given: bool = False
    revoked_at: int | None = None

    @property
    def is_active(self) -> bool:
        """Whether it opens anything."""
        return self.revoked_at is None

    def as_json(self, used_at: int | None = None) -> dict[str, object]:
        """For programs: without the hash."""
        return {
            "id": self.id,
            "name": self.name,
            "scopes": list(self.scopes),
            "created_at": iso(self.created_at),
            "last_used_at": None if used_at is None else iso(used_at),
            "given": self.given,
            "revoked_at": None if self.revoked_at is None else iso(self.revoked_at),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A new token, and its secret, which is told this once."""

    token: Token
    secret: str


class Tokens:
    """The tokens of a home. Threads may share one."""

    def __init__(self, home: Path, clock: Clock | None = None) -> None:
        self._home = home
        self._path = home / NAME
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._seen: tuple[int, ...] = ()
        self._kept: tuple[Token, ...] = ()

    def all(self) -> tuple[Token, ...]:
        """Every token, revoked ones too, in the order of their making."""
        with self._lock:
            try:
                stat = self._path.stat()
            except FileNotFoundError:
                return ()
            seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if seen != self._seen:
                if os.name != "nt" and stat.st_mode & 0o077:
                    raise Terminal(
                        f"Others may read {self._path}.",
                        hint=f"Make it yours alone: chmod 600 {self._path}",
                    )
                self._kept = _read(self._path)
                self._seen = seen
            return self._kept

    def find(self, secret: str) -> Token | None:
        """The active token with this secret. All are compared, each in constant time."""
        wanted = hash_of(secret)
        found = None
        for token in self.all():
            if hmac.compare_digest(token.sha256, wanted) and token.is_active:
                found = token
        return found

    def named(self, name: str) -> Token:
        """The active token with this id or name; raises :class:`UsageError`."""
        for token in self.all():
            if token.is_active and name in (token.id, token.name):
                return token
        raise UsageError(
            f"There is no token {name[:MOST_NAME]!r}.", hint="lifelog token list shows them."
        )

    def create(self, name: str, scopes: Iterable[str]) -> Made:
        """A new token; durable on return. Raises :class:`UsageError` for a bad name or scope."""
        name = name.strip()
        if not 1 <= len(name) <= MOST_NAME or not name.isprintable():
            raise UsageError(
                f"A token's name has 1 to {MOST_NAME} characters.",
                hint="None of them may be invisible, as within some composed emoji.",
            )
        granted = _scopes(scopes)
        with self._changing():
            known = self.all()
            if any(token.is_active and token.name == name for token in known):
                raise UsageError(
                    f"There is a token {name!r} already.",
                    hint="Choose another name, or rotate that one.",
                )
            return self._add(known, name, granted)

    def rotate(self, name: str) -> Made:
        """A new secret for a token; the old one opens nothing any more. Durable on return."""
        with self._changing():
            old = self.named(name)
            others = self._without(old)
            return self._add(others, old.name, old.scopes)

    def revoke(self, name: str) -> Token:
        """Let a token open nothing any more; durable on return."""
        with self._changing():
            old = self.named(name)
            self._write(self._without(old))
            return old

    def give(self, secret: str | None, variable: str = VARIABLES[0]) -> Token | None:
        """Let what the environment names count, and nothing that it named before. Durable.

        None if there is none, or it was revoked. Raises :class:`UsageError` for a short one.
        """
        if secret is not None and len(secret) < _LEAST_GIVEN:
            raise UsageError(
                f"{variable} has less than {_LEAST_GIVEN} characters.",
                hint="Choose a longer one, or leave it out: a token is made then.",
            )
        wanted = None if secret is None else hash_of(secret)
        with self._changing():
            known = self.all()
            kept = [one for one in known if not (one.given and one.is_active)]
            same = [one for one in known if one.sha256 == wanted]
            if wanted is None or (same and not same[0].is_active):
                if len(kept) < len(known):
                    self._write(kept)
                return None
            if same:
                return same[0]
            name = _free(variable, kept)
            return self._add(kept, name, ("read", "write"), sha256=wanted).token

    def first(self) -> Made | None:
        """The token of a home that never had one; None if it has or had."""
        with self._changing():
            return None if self.all() else self._add((), FIRST, ("read", "write"))

    # -- parts ------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        fsio.make_dirs(self._home / "run", at="tokens")
        lock = FileLock(self._home / "run" / "tokens.lock")
        try:
            with lock:
                yield
        finally:
            lock.close()

    def _add(
        self,
        known: Sequence[Token],
        name: str,
        scopes: tuple[Scope, ...],
        *,
        sha256: str | None = None,
    ) -> Made:
        secret = PREFIX + secrets.token_urlsafe(_BYTES)
        token = Token(
            id=secrets.token_hex(4),
            name=name,
            scopes=scopes,
            sha256=sha256 or hash_of(secret),
            created_at=self._clock.wall_us(),
            given=sha256 is not None,
        )
        self._write([*known, token])
        return Made(token=token, secret=secret)

    def _without(self, old: Token) -> list[Token]:
        revoked = replace(old, revoked_at=self._clock.wall_us())
        return [revoked if token.id == old.id else token for token in self.all()]

    def _write(self, tokens: Sequence[Token]) -> None:
        entries = [
            {
                "id": token.id,
                "name": token.name,
                "scopes": token.scopes,
                "sha256": token.sha256,
                "created_at": token.created_at,
                "given": token.given,
                "revoked_at": token.revoked_at,
            }
            for token in tokens
        ]
        content = orjson.dumps({"tokens": entries}, option=orjson.OPT_INDENT_2)
        fsio.write_atomic(self._path, content, at="tokens")


def hash_of(secret: str) -> str:
    """What is kept of a secret, hexadecimal."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def of_environment(environment: dict[str, str]) -> tuple[str | None, str]:
    """Take the token that the environment names out of it: the token and the variable."""
    found = [(environment.pop(name, "").strip(), name) for name in VARIABLES]
    return next(((secret, name) for secret, name in found if secret), (None, VARIABLES[0]))


def _scopes(scopes: Iterable[str]) -> tuple[Scope, ...]:
    wanted = set(scopes)
    if not wanted or wanted - set(SCOPES):
        raise UsageError("A token has one scope or several.", hint=f"Known: {', '.join(SCOPES)}.")
    return tuple(scope for scope in SCOPES if scope in wanted)


def _free(name: str, known: Sequence[Token]) -> str:
    taken = {token.name for token in known if token.is_active}
    return name if name not in taken else f"{name} {secrets.token_hex(2)}"


def _read(path: Path) -> tuple[Token, ...]:
    try:
        entries = orjson.loads(path.read_bytes())["tokens"]
        return tuple(Token(**{**entry, "scopes": _scopes(entry["scopes"])}) for entry in entries)
    except (ValueError, KeyError, TypeError, UsageError) as error:
        raise Terminal(
            f"{path} isn't a list of tokens: {type(error).__name__}.",
            hint="Restore it from a copy, or remove it: programs need new tokens then.",
            path=str(path),
        ) from None
