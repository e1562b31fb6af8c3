"""Who a lake is: ``lake.json`` at its root, and the home's memory of the lake it knows.

A home that knows a lake never makes a new one in its place: a missing or different one means
*unreachable* (an unmounted disk must not become a new empty lake).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from lifelog_lake import fsio
from lifelog_lake.clock import Clock, SystemClock, iso
from lifelog_lake.errors import LakeRefused, LakeUnreachable
from lifelog_lake.home import Home
from lifelog_lake.lake.store import Store
from lifelog_lake.lake.target import parse_url

FORMAT = 1
NAME = "lake.json"
_KEYS = frozenset({"format", "minimum", "lake_id", "generation", "created_at", "demo"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LakeIdentity:
    """A lake's id and generation; the generation rises when a restore rolls the lake back."""

    lake_id: str
    generation: int
    created_at: str
    #: What ``lifelog demo`` filled it with; None for a lake of real days.
    demo: Mapping[str, object] | None = None
    #: What it is written in, and the oldest format whose programs may still use it: a change that
    #: they needn't know leaves that one alone, so that not all devices must be upgraded at once.
    format: int = FORMAT
    minimum: int = FORMAT
    #: What a newer version wrote there besides; kept when the file is replaced.
    rest: Mapping[str, object] = field(default_factory=dict)

    @property
    def mark(self) -> str:
        """``<lake id>/<generation>``: what a spool's acks belong to."""
        return f"{self.lake_id}/{self.generation}"

    @property
    def is_settled(self) -> bool:
        """False while ``lifelog demo`` fills or removes it: nothing is derived from it then."""
        return self.demo is None or self.demo.get("state") == "complete"


def read_identity(target: Store) -> LakeIdentity | None:
    """The lake at a target, None if there is none; :class:`LakeRefused` for a newer format."""
    path = target.place(NAME)
    try:
        content = orjson.loads(target.read(NAME))
        format_ = int(content["format"])
        identity = LakeIdentity(
            lake_id=str(content["lake_id"]),
            generation=int(content["generation"]),
            created_at=str(content["created_at"]),
            demo=None if content.get("demo") is None else dict(content["demo"]),
            format=format_,
            minimum=int(content.get("minimum", format_)),
            rest={key: value for key, value in content.items() if key not in _KEYS},
        )
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise LakeUnreachable(
            f"{path} can't be read: {error.strerror}.", hint="Check the mount and its permissions."
        ) from None
    except (AttributeError, orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise LakeRefused(
            f"{path} can't be read: {error!r}.",
            hint="Restore it from a backup."
            if target.disk is not None
            else "Is [lake] endpoint an S3 server, and not a web page? If so, restore it from a "
            "backup.",
        ) from None
    if identity.minimum > FORMAT:
        raise LakeRefused(
            f"The lake {target.url} has format {identity.format}; this version knows {FORMAT}.",
            hint="Install a newer lifelog_lake.",
        )
    return identity


def create(target: Store, clock: Clock) -> LakeIdentity:
    """Make a lake in a vacant place, or join one that another device makes at the same time.

    Raises :class:`LakeRefused` if something else is there or the place isn't fit.
    """
    target.prepare()
    identity = LakeIdentity(
        lake_id=str(uuid.uuid4()), generation=1, created_at=iso(clock.wall_us())
    )
    try:
        target.write_new(NAME, _content(identity), at="lake")
    except OSError as error:
        raise LakeUnreachable(
            f"No lake can be made at {target.url}: {error.strerror}.",
            hint="Choose a place that you may write.",
        ) from None
    return read_identity(target) or identity


def write_identity(target: Store, identity: LakeIdentity, *, at: str = "lake") -> None:
    """Replace ``lake.json``; durable on return."""
    target.write(NAME, _content(identity), at=at)


def _content(identity: LakeIdentity) -> bytes:
    content: dict[str, object] = {
        "format": identity.format,
        "lake_id": identity.lake_id,
        "generation": identity.generation,
        "created_at": identity.created_at,
    }
    if identity.minimum != identity.format:
        content["minimum"] = identity.minimum
    content |= identity.rest
    if identity.demo is not None:
        content["demo"] = identity.demo
    return orjson.dumps(content, option=orjson.OPT_INDENT_2)


def init_lake(home: Home, url: str | None = None, clock: Clock | None = None) -> LakeIdentity:
    """Create the home's lake or join an existing one, and remember it. Idempotent.

    Without ``url`` the setting decides, and a lake that this home knows must be the one that is
    there. With ``url`` a person says so: the home turns to that lake.
    """
    target = parse_url(url or home.lake_url, home)
    if url is None and known_lake(home) is not None:
        return require_known(home, target)
    identity = read_identity(target) or create(target, clock or SystemClock())
    _remember(home, target, identity)
    return identity


def require_known(home: Home, target: Store | None = None) -> LakeIdentity:
    """The lake at the home's address, if it is the one the home knows.

    ``target`` is its store if it is open already. Raises :class:`LakeUnreachable` if the lake is
    missing or another one.
    """
    target = target or parse_url(home.lake_url, home)
    known = known_lake(home)
    found = read_identity(target)
    if found is None:
        raise LakeUnreachable(
            f"There is no lake at {target.url}.",
            hint=("Mount its disk" if target.disk is not None else "Check [lake] url and endpoint")
            + "; the spool keeps everything until then."
            if known is not None
            else f"Make one: lifelog init --lake {target.url}",
        )
    if known is None:
        raise LakeUnreachable(
            f"This home doesn't know the lake at {target.url} yet.",
            hint=f"Join it: lifelog init --lake {target.url}",
        )
    if known != found.lake_id:
        raise LakeUnreachable(
            f"The lake at {target.url} is another one than this home knows ({known}).",
            hint=("Mount the right disk" if target.disk is not None else "Check [lake] endpoint")
            + f", or turn to this lake: lifelog init --lake {target.url}",
        )
    return found


def require_real(identity: LakeIdentity, url: str) -> None:
    """Raise :class:`LakeRefused` for a lake of demo data: real rows are never mixed into it."""
    if identity.demo is not None:
        raise LakeRefused(
            f"The lake {url} holds demo data; nothing is recorded into it.",
            hint="Remove it with: lifelog demo --remove",
        )


def known_lake(home: Home) -> str | None:
    """Id of the lake this home ships to; None before the first start."""
    try:
        return str(orjson.loads(_memory(home).read_bytes())["lake_id"])
    except FileNotFoundError:
        return None
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise LakeUnreachable(
            f"{_memory(home)} can't be read: {error!r}.",
            hint=f"Join the lake again: lifelog init --lake {home.lake_url}",
        ) from None


def forget(home: Home) -> None:
    """Forget the lake: the next start makes a new one, or joins the one it finds."""
    fsio.unlink(_memory(home), at="home")
    fsio.sync_dir(home.path, at="home")


def _memory(home: Home) -> Path:
    return home.path / NAME


def _remember(home: Home, target: Store, identity: LakeIdentity) -> None:
    content = {"lake_id": identity.lake_id, "url": target.url}
    fsio.write_atomic(_memory(home), orjson.dumps(content, option=orjson.OPT_INDENT_2), at="home")
