"""What the shipper says about seqs that don't become rows: lifecycle rows, before the commit.

The id of a note is made of what it says, so a repeated note after a crash is the same row.
"""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from lifelog_lake.clock import Clock
from lifelog_lake.events import Event, new_event, pulled_id
from lifelog_lake.spans import spans
from lifelog_lake.spool import Batch, Gap, Spool

REASONS = {
    "present": "The lake had these rows already.",
    "renumbered": "These rows go on under the seqs of a new epoch.",
    "dropped": "The spool was full and its policy is drop-oldest.",
    "quarantined": "The spool's bytes were damaged; they are kept in its quarantine.",
    "lost": "The spool gave these seqs but no longer has the rows.",
    "blob-lost": "The content of these rows is neither in the spool nor in the lake.",
    "blob-brought": "The content of these rows was in quarantine and is in the lake now.",
    "blob-refused": "The lake refused the content of these rows five times; it is in quarantine: "
    "lifelog spool retry offers it again.",
    "blob-quarantined": "The content of these rows was damaged in the spool; it is in quarantine.",
}


class Notes:
    """Writes lifecycle rows through the device's own spool and collects findings for the caller."""

    def __init__(self, spool: Spool, clock: Clock) -> None:
        self._spool = spool
        self._clock = clock
        self._findings: list[str] = []
        self._dirty = False

    def gaps(self, stream: str, batch: Batch) -> None:
        """Record the seqs that were given but can't be read."""
        self._write(
            self._event(
                gap.kind, stream, batch.epoch, gap.first, gap.last,
                times=gap.times or self._times(stream, batch, gap),
            )
            for gap in batch.gaps
        )  # fmt: skip

    def present(self, stream: str, epoch: str, seqs: Iterable[int]) -> None:
        """Record the seqs whose rows the lake has under another seq."""
        self._write(
            self._event("present", stream, epoch, first, last) for first, last in spans(seqs)
        )

    def blobs(self, stream: str, epoch: str, missing: dict[int, str]) -> None:
        """Record the seqs whose content is gone; ``missing`` is seq -> kind."""
        for kind in sorted(set(missing.values())):
            seqs = [seq for seq, found in missing.items() if found == kind]
            self._write(self._event(kind, stream, epoch, *span) for span in spans(seqs))

    def renumbered(self, stream: str, found: Iterable[tuple[str, int, int]]) -> None:
        """Record the (epoch, first, last) that are about to get seqs of a new epoch."""
        self._write(self._event("renumbered", stream, *span) for span in found)

    def finding(self, kind: str, stream: str, epoch: str, reason: str) -> None:
        """Record that home and lake disagreed, and what was done about it."""
        self._write([self._event(kind, stream, epoch, None, None, reason)])

    def take_findings(self) -> list[str]:
        """What was found since the last call, each a sentence."""
        found, self._findings = self._findings, []
        return found

    def take_dirty(self) -> bool:
        """Whether there are notes that aren't in the lake yet; forgets it."""
        dirty, self._dirty = self._dirty, False
        return dirty

    def _write(self, events: Iterable[Event]) -> None:
        rows = list(events)
        if not rows:
            return
        self._spool.append(rows)
        self._dirty = True
        for row in rows:
            data = row.data
            span = (
                "" if data.get("first_seq") is None else f" {data['first_seq']}-{data['last_seq']}"
            )
            if data["kind"] not in {"present", "renumbered", "blob-brought"}:
                self._findings.append(f"{data['stream']}{span}: {data['kind']}. {data['reason']}")
            structlog.get_logger().warning(
                "finding",
                stream=data["stream"],
                kind=data["kind"],
                epoch=data["about_epoch"],
                first_seq=data.get("first_seq"),
                last_seq=data.get("last_seq"),
            )

    def _times(self, stream: str, batch: Batch, gap: Gap) -> tuple[int, int]:
        """Between which times the rows of a gap were recorded, by the rows around it."""
        before = [one for one in batch.records if one.seq < gap.first][-1:]
        if not before and (kept := self._spool.outlet(stream).newest_acked()) is not None:
            before = [kept]
        after = [one for one in batch.records if one.seq > gap.last][:1]
        until = after[0].fields["at"] if after else self._clock.wall_us()
        return (before[0].fields["at"] if before else until), until

    def _event(
        self,
        kind: str,
        stream: str,
        epoch: str,
        first: int | None,
        last: int | None,
        reason: str | None = None,
        times: tuple[int, int] | None = None,
    ) -> Event:
        return new_event(
            "lifecycle",
            id=pulled_id(self._spool.device, stream, epoch, kind, str(first), str(last)),
            at=self._clock.wall_us(),
            data={
                "kind": kind,
                "collector": "ship",
                "stream": stream,
                "about_epoch": epoch,
                "first_seq": first,
                "last_seq": last,
                "reason": reason or REASONS[kind],
            },
            extra=None
            if times is None or first is None or last is None
            else {"from": times[0], "to": times[1], "rows": last - first + 1},
        )
