"""Brings a lake of an older format up to this version's, a step at a time, when lifelog starts.

A step begins with the format that it is filed under. It may be killed at any moment and begun anew,
devices ship and people read meanwhile; the number in ``lake.json`` moves after it. Until then, and
for ever if this key may not, this version works with the older format as it is. A step raises
``minimum`` only in a release after the one that brought its format, so two neighbouring releases
always work on one lake (docs/adr/012-upgrades-of-formats.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from lifelog_lake.clock import Clock
from lifelog_lake.errors import LakeDenied, LakeRefused, LakeUnreachable, Locked
from lifelog_lake.lake import identity as identities
from lifelog_lake.lake.identity import LakeIdentity, read_identity, write_identity
from lifelog_lake.lake.lease import hold
from lifelog_lake.lake.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One format up. ``minimum``: the oldest format whose programs may use the lake after it."""

    run: Callable[[Store], None]
    minimum: int


#: By the format that a step begins with. Format 1 is the first, so there is none yet.
STEPS: dict[int, Step] = {}


def upgrade(target: Store, device: str, clock: Clock) -> LakeIdentity:
    """Take all steps that are due; the lake as it is then. Idempotent, durable on return.

    Leaves it to others if they are at it, or if this key may not. Raises :class:`LakeRefused` for a
    format that there never was, :class:`LakeUnreachable` if there is no lake.
    """
    found = _read(target)
    if found.format >= identities.FORMAT:
        return found
    try:
        with hold(target, "upgrade", device, clock) as lease:
            found = _read(target)
            while found.format < identities.FORMAT:
                step = STEPS.get(found.format)
                if step is None:
                    raise LakeRefused(
                        f"{target.place(identities.NAME)} names the format {found.format}, which "
                        "there never was.",
                        hint="Restore it from a backup.",
                    )
                step.run(target)
                lease.keep()
                found = replace(found, format=found.format + 1, minimum=step.minimum)
                write_identity(target, found, at="upgrade")
    except (Locked, LakeDenied) as error:
        structlog.get_logger(__name__).info("upgrade_left_to_others", reason=error.message)
    return found


def _read(target: Store) -> LakeIdentity:
    found = read_identity(target)
    if found is None:
        raise LakeUnreachable(
            f"There is no lake at {target.url}.", hint="Mount its disk, or check [lake] url."
        )
    return found
