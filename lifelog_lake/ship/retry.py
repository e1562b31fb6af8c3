"""Content that the lake refused is offered to it again, when a person says so."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lifelog_lake import fsio
from lifelog_lake.clock import Clock, SystemClock
from lifelog_lake.errors import ContentRefused, LakeDamaged
from lifelog_lake.home import Home
from lifelog_lake.lake.identity import require_known
from lifelog_lake.lake.target import parse_url
from lifelog_lake.ship.notes import Notes
from lifelog_lake.spool import Spool

_NAME = re.compile(r"(?P<epoch>[0-9a-f-]{36})-(?P<seq>\d{20})-(?P<sha256>[0-9a-f]{64})")


@dataclass(slots=True, kw_only=True)
class Retried:
    """What a try brought: file names, and those that stay in quarantine with the reason."""

    brought: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)


def retry(home: Home, clock: Clock | None = None) -> Retried:
    """Bring the contents in quarantine into the lake, under their hashes.

    Their rows are there already, with the hash in ``extra["_blob_missing"]``; a lifecycle row says
    that the content is there now. What isn't what its hash says stays. Raises
    :class:`~lifelog_lake.errors.LakeUnreachable`.
    """
    clock = clock or SystemClock()
    store = parse_url(home.lake_url, home)
    require_known(home, store)
    spool = Spool.of(home, clock)
    notes = Notes(spool, clock)
    done = Retried()
    for path in sorted(home.spool.glob("*/quarantine/*")):
        match = _NAME.fullmatch(path.name)
        if match is None:
            continue
        try:
            store.put_blob(path, match["sha256"])
        except (ContentRefused, LakeDamaged) as error:
            done.kept[path.name] = error.message
            continue
        stream = path.parents[1].name
        notes.blobs(stream, match["epoch"], {int(match["seq"]): "blob-brought"})
        fsio.unlink(path, at="quarantine")
        fsio.sync_dir(path.parent, at="quarantine")
        done.brought.append(path.name)
    return done
