"""The spool of one device: its streams, its limits, its quarantine."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import orjson

from lifelog_lake import fsio
from lifelog_lake.clock import Clock, SystemClock
from lifelog_lake.config import SpoolSettings
from lifelog_lake.errors import Locked, SpoolError, SpoolFull
from lifelog_lake.events import STREAMS, Event, new_id
from lifelog_lake.home import Home
from lifelog_lake.locks import FileLock
from lifelog_lake.spool import blobs
from lifelog_lake.spool.files import StreamFiles, translated
from lifelog_lake.spool.inlet import Inlet
from lifelog_lake.spool.outlet import Outlet, Record, StreamStats, times_of
from lifelog_lake.spool.renew import renew
from lifelog_lake.spool.state import StreamState
from lifelog_lake.validate import JSON, clean_text

FORMAT = 1
FORMAT_NAME = "format.json"
#: How to bring a spool of an older format one step up; each must survive being killed and repeated.
UPGRADES: dict[int, Callable[[Path], None]] = {}
#: How long a look at the disk's room and the spool's size holds.
LOOK_EVERY_S = 5.0
#: … and at least so many times as long as it took: a backlog has many files to count.
LOOK_SHARE = 100.0
#: A segment is sealed when its records brought so many segments' bytes of content, or a share of
#: the whole spool: drop-oldest removes whole segments, and never the newest.
CONTENT_SEGMENTS = 16
CONTENT_SHARE = 8
_NO_STREAM = re.compile(r"[^a-z0-9_]")


def _none(record: Record) -> bool:
    del record
    return False


class Spool:
    """The durable queue of one device. Processes and threads may each have their own."""

    def __init__(self, root: Path, device: str, settings: SpoolSettings, clock: Clock) -> None:
        self.root = root
        self.device = device
        self._settings = settings
        self._clock = clock
        self._streams: dict[str, StreamFiles] = {}
        self._inlets: dict[str, Inlet] = {}
        self._outlets: dict[str, Outlet] = {}
        self._look_at_s = float("-inf")
        self._full: SpoolFull | None = None
        fsio.make_dirs(root, at="spool")
        check_format(root)

    @classmethod
    def of(cls, home: Home, clock: Clock | None = None) -> Spool:
        """The spool of a home."""
        return cls(home.spool, home.device, home.settings.spool, clock or SystemClock())

    def close(self) -> None:
        """Give up the file handles, for who doesn't end soon; a closed spool isn't used again."""
        for files in self._streams.values():
            files.close()
        self._streams.clear()

    def append(self, events: Sequence[Event], cursor: JSON = None) -> range:
        """Take events of one stream in, with the cursor of their source; durable on return.

        Returns their seqs. Raises :class:`SpoolFull` or
        :class:`~lifelog_lake.errors.SpoolWriteFailed`: then nothing of it is acknowledged and the
        same events may be offered again.
        """
        if not events:
            raise ValueError("One append takes at least one event.")
        stream = events[0].stream
        if any(event.stream != stream for event in events):
            raise ValueError("One append takes events of one stream.")
        return self._inlet(stream).append(events, cursor)

    def cursor(self, stream: str) -> JSON:
        """The last cursor that was appended with rows of this stream; None at the beginning."""
        with translated(stream):
            files = self._files(stream)
            with files.locked():
                cursor = files.last_cursor()
        return None if cursor is None else orjson.loads(cursor)

    def streams(self) -> list[str]:
        """Names of the streams that have a spool, those that ship first in front."""
        names = sorted(path.parent.name for path in self.root.glob("*/lock"))
        return sorted(names, key=lambda name: not _ships_first(name))

    def outlet(self, stream: str) -> Outlet:
        """The shipper's side of a stream."""
        if stream not in self._outlets:
            self._outlets[stream] = Outlet(self._files(stream), self._clock)
        return self._outlets[stream]

    def written_bytes(self) -> dict[str, int]:
        """Bytes that went in through this object, by stream."""
        return {stream: inlet.written_bytes for stream, inlet in self._inlets.items()}

    def stats(self, within_s: float | None = None) -> dict[str, StreamStats]:
        """How each stream stands.

        With ``within_s``, a stream is left out whose lock another process holds for so long: it
        may be stopped, and who watches over it must not wait for it.
        """
        found = {}
        for name in self.streams():
            with translated(name), contextlib.suppress(Locked):
                found[name] = self.outlet(name).stats(within_s)
        return found

    def renew(
        self,
        stream: str,
        *,
        expected_epoch: str,
        expected_dropped: tuple[tuple[int, int], ...] | None = None,
        generation: str,
        offer_acked: bool,
        leave_out: Callable[[Record], bool] = _none,
    ) -> StreamState:
        """Begin a new epoch of a stream; see :func:`lifelog_lake.spool.renew.renew`."""
        return renew(
            self._files(stream),
            device=self.device,
            expected_epoch=expected_epoch,
            expected_dropped=expected_dropped,
            generation=generation,
            segment_bytes=self._settings.segment_bytes,
            offer_acked=offer_acked,
            leave_out=leave_out,
        )

    def start_over(self) -> None:
        """Begin each stream anew under this device's id, with what waits. Idempotent enough: killed
        in between, the shipper does the same for the rest."""
        for stream in self.streams():
            state = self.outlet(stream).state()
            self.renew(
                stream, expected_epoch=state.epoch, generation=state.generation, offer_acked=False
            )

    def quarantine(self, stream: str, payload: bytes, reason: str) -> Path:
        """Keep what can't become an event, with the reason beside it; durable on return."""
        name = _NO_STREAM.sub("_", stream) or "_"
        directory = self.root / name / "quarantine"
        stem = new_id()
        with translated(name):
            fsio.make_dirs(directory, at="quarantine")
            path = directory / f"{stem}.payload"
            fsio.write_atomic(path, payload, at="quarantine")
            note = orjson.dumps({"reason": clean_text(reason)[0], "wall_us": self._clock.wall_us()})
            fsio.write_atomic(directory / f"{stem}.json", note, at="quarantine")
        return path

    def prune_acked(self) -> None:
        """Remove kept acked segments that are too old or, oldest first, too many bytes."""
        kept = []
        for path in self.root.glob("*/acked/*/*.seg"):
            with contextlib.suppress(FileNotFoundError):  # another shipper was quicker
                status = path.stat()
                kept.append((status.st_mtime, status.st_size, path))
        oldest = self._clock.wall_us() / 1e6 - self._settings.keep_acked_days * 86_400
        total = sum(size for _, size, _ in kept)
        for modified, size, path in sorted(kept):
            if modified >= oldest and total <= self._settings.keep_acked_bytes:
                break
            fsio.unlink(path, at="prune")
            total -= size

    # -- room ------------------------------------------------------------------------------

    def _check_room(self) -> None:
        """Raise :class:`SpoolFull` if captured streams have used up their room."""
        now_s = time.monotonic()
        if now_s >= self._look_at_s or self._full is not None:
            self._full = self._look()
            cost_s = time.monotonic() - now_s
            self._look_at_s = now_s + max(LOOK_EVERY_S, LOOK_SHARE * cost_s)
        if self._full is not None:
            raise self._full

    def _look(self) -> SpoolFull | None:
        free = shutil.disk_usage(self.root).free
        used = pending_bytes(self.root)
        if used > self._settings.max_bytes:  # what is acked in the newest segments doesn't wait
            used = sum(self._waiting(stream) for stream in self.streams())
        if self._settings.on_full == "drop-oldest":
            while used > self._settings.max_bytes or free < self._settings.min_free_bytes:
                freed = self._drop_oldest()
                if not freed:
                    break
                used -= freed
                free = shutil.disk_usage(self.root).free
        if used > self._settings.max_bytes:
            return SpoolFull(
                f"The spool holds {used} bytes, its limit is {self._settings.max_bytes}.",
                hint="Let it ship, or raise [spool] max_bytes.",
            )
        if free < self._settings.min_free_bytes:
            return SpoolFull(
                f"The disk has {free} bytes free, {self._settings.min_free_bytes} are left alone.",
                hint="Make room, or lower [spool] min_free_bytes.",
            )
        return None

    def _waiting(self, stream: str) -> int:
        try:
            return self.outlet(stream).stats().pending_bytes
        except SpoolError:  # said by whoever uses that stream
            return 0

    def _drop_oldest(self) -> int:
        """Remove the oldest sealed pending segment of a captured stream; bytes freed."""
        candidates = []
        for stream in self.streams():
            if _ships_first(stream):
                continue
            files = self._files(stream)
            with files.locked() as state:
                for name in files.segments()[:-1]:
                    if name.last is not None and name.last > state.acked:
                        candidates.append((name.path.stat().st_mtime, stream))
                        break
        return self._drop_first_segment(min(candidates)[1]) if candidates else 0

    def _drop_first_segment(self, stream: str) -> int:
        files = self._files(stream)
        with files.locked() as state:
            pending = [
                n for n in files.segments()[:-1] if n.last is not None and n.last > state.acked
            ]
            if not pending:
                return 0
            name = pending[0]
            assert name.last is not None
            span = (max(name.first, state.acked + 1), name.last)
            times = times_of(name.path.read_bytes(), state.acked)
            files.write_state(state.with_drop(span, times), at="drop")
            freed = name.path.stat().st_size
            fsio.unlink(name.path, at="drop")
            for seq, _, path in blobs.names(files.epoch_dir):
                if span[0] <= seq <= span[1]:
                    freed += path.stat().st_size
                    fsio.unlink(path, at="drop")
        return freed

    # -- parts -----------------------------------------------------------------------------

    def _files(self, stream: str) -> StreamFiles:
        if stream not in self._streams:
            self._streams[stream] = StreamFiles(self.root / stream)
        return self._streams[stream]

    def _inlet(self, stream: str) -> Inlet:
        if stream not in self._inlets:
            with translated(stream):
                self._inlets[stream] = Inlet(
                    self._files(stream),
                    device=self.device,
                    segment_bytes=self._settings.segment_bytes,
                    content_bytes=min(
                        CONTENT_SEGMENTS * self._settings.segment_bytes,
                        self._settings.max_bytes // CONTENT_SHARE,
                    ),
                    clock=self._clock,
                    reserved=_ships_first(stream),
                    check_room=self._check_room,
                )
        return self._inlets[stream]


def _ships_first(stream: str) -> bool:
    return stream in STREAMS and STREAMS[stream].first


def pending_bytes(root: Path) -> int:
    """Size of all segments and blobs that wait, in bytes."""
    total = 0
    for stream in os.scandir(root):
        if not stream.is_dir():
            continue
        for directory, names, files in os.walk(stream.path):
            names[:] = [name for name in names if name not in {"acked", "quarantine"}]
            for file in files:
                try:
                    total += os.stat(os.path.join(directory, file)).st_size
                except FileNotFoundError:
                    continue  # shipped while we looked
    return total


def check_format(root: Path) -> None:
    """Mark a new spool, upgrade an older one, refuse a newer one; raises :class:`SpoolError`."""
    path = root / FORMAT_NAME
    try:
        found = int(orjson.loads(path.read_bytes())["format"])
    except FileNotFoundError:
        fsio.write_atomic(path, orjson.dumps({"format": FORMAT}), at="spool")
        return
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise SpoolError(
            f"{path} can't be read: {error!r}.", hint=f'It should be {{"format": {FORMAT}}}.'
        ) from None
    if found < FORMAT:
        _upgrade(root, path)
    if found > FORMAT:
        raise SpoolError(
            f"The spool in {root} has format {found}; this version knows {FORMAT}.",
            hint="Install a newer lifelog_lake.",
        )


def _upgrade(root: Path, path: Path) -> None:
    """Step by step; another process of the new version may begin with it at the same moment."""
    lock = FileLock(root / "upgrade.lock")
    try:
        with lock:
            for version in range(int(orjson.loads(path.read_bytes())["format"]), FORMAT):
                if version not in UPGRADES:
                    raise _never_was(path, version)
                UPGRADES[version](root)  # each is idempotent; the mark moves after it
                content = orjson.dumps({"format": version + 1})
                fsio.write_atomic(path, content, at="upgrade")
    finally:
        lock.close()


def _never_was(path: Path, version: int) -> SpoolError:
    return SpoolError(
        f"{path} names the format {version}, which there never was.",
        hint=f'It should be {{"format": {FORMAT}}}.',
    )
