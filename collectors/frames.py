"""The frames of one monitor: what is a new frame, and how a frame that stays becomes slices.

Each look is compared with the **last stored** frame, never with the last seen one, so that small
changes add up instead of slipping by:

1. Equal hash of all pixels: the frame stays.
2. A grid of each 8th pixel in each direction differs in 0.2 % or more: a new frame, at once.
3. Otherwise all pixels are compared. At least ``small_px`` differ (a line of text does): a new
   frame, at once.
4. Fewer, in the shape of a text cursor (a bar, or a filled block): the frame stays. If the change
   is there in each look for five minutes it was no blinking cursor and becomes a frame.
5. Fewer, in another shape (a letter, a clock): held in memory. It becomes a frame when it has
   lasted ``small_after_s``, or as soon as something else changes or capture ends, so the word
   typed last isn't lost. If the stored frame comes back before that, it stays.

Frames are written at once, slices when they are complete; see
:mod:`lifelog_lake.collect.slices`. Times are µs since 1970 UTC.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import xxhash

from collectors.images import Encoding, encode
from lifelog_lake.collect.protocol import Context
from lifelog_lake.collect.slices import complete, cut
from lifelog_lake.events import BlobSource, new_event
from lifelog_lake.levels import QUALITY, RATE

STREAM = "screen"
STEP = 8
SURE_SHARE = 0.002
RGB = np.uint32(0x00FFFFFF)

CURSOR_HEIGHT_PX = 64
CURSOR_BAR_PX = 3
CURSOR_BLOCK_PX = 32
CURSOR_FILLED = 0.9
CURSOR_AFTER_US = 300 * 1_000_000

Pixels = npt.NDArray[np.uint32]
Verdict = Literal["same", "cursor", "small", "new"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a monitor lies in the desktop; another place or size is another monitor."""

    monitor: int
    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The settings that this module needs."""

    small_px: int
    small_after_us: int
    #: Not looked at for longer than this: the frame ended at its last look.
    gap_us: int
    encoding: Encoding

    def at_level(self, level: int) -> Rules:
        """The rules for a step of the ladder: looks are further apart, pictures coarser."""
        if level == 0:
            return self
        quality = max(1, round(self.encoding.quality * QUALITY[level]))
        encoding = replace(self.encoding, quality=quality)
        return replace(self, gap_us=self.gap_us * RATE[level], encoding=encoding)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One grab of a monitor. ``raw`` are its BGRx bytes, kept and never changed."""

    raw: bytes | bytearray
    width: int
    height: int
    at: int
    digest: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", xxhash.xxh3_64_intdigest(self.raw))

    @property
    def pixels(self) -> Pixels:
        """A view of the bytes, one number a pixel."""
        return np.frombuffer(self.raw, dtype="<u4").reshape(self.height, self.width)


@dataclass(slots=True, kw_only=True)
class _Stored:
    """The frame that was written last, and how far its slices go."""

    id: str
    look: Look
    sample: Pixels
    data: dict[str, object]
    blob: str
    blob_bytes: int
    media_type: str
    seen: int
    written: int
    cursors: set[int] = field(default_factory=set)


def is_cursor(differs: npt.NDArray[np.bool_], count: int) -> bool:
    """Whether the differing pixels have the shape of one text cursor."""
    rows = np.flatnonzero(differs.any(axis=1))
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    if bottom - top > CURSOR_HEIGHT_PX:
        return False
    columns = np.flatnonzero(differs[top:bottom].any(axis=0))
    width = int(columns[-1]) + 1 - int(columns[0])
    if width <= CURSOR_BAR_PX:
        return True
    return width <= CURSOR_BLOCK_PX and count >= CURSOR_FILLED * width * (bottom - top)


class Frames:
    """Follows one monitor. Hands its rows to the context's ``append``; keeps no other state."""

    def __init__(self, place: Place, rules: Rules, context: Context) -> None:
        self._place = place
        self.rules = rules
        self._context = context
        self._stored: _Stored | None = None
        self._held: Look | None = None
        self._held_seen = 0
        self._small_since: int | None = None
        self._cursor_since: int | None = None
        self._looked = 0

    def look(self, look: Look) -> None:
        """Take one look in."""
        stored = self._stored
        if stored is not None and not 0 <= look.at - self._looked <= self.rules.gap_us:
            self.end()
            stored = None
        self._looked = look.at
        if stored is None:
            self._store(look, changed=None)
            return
        verdict, changed = self._compare(stored, look)
        if verdict != "small":
            self._small_since = None
        if verdict != "cursor":
            self._cursor_since = None
        if verdict == "new":
            self._end_stored(stored)
            self._store(look, changed=changed)
        elif verdict == "small":
            self._hold(stored, look)
        else:
            self._stay(stored, look, verdict)

    @property
    def black_us(self) -> int:
        """For how long there has been nothing but black."""
        stored = self._stored
        return stored.seen - stored.look.at if stored is not None and stored.data["black"] else 0

    def end(self) -> None:
        """The monitor isn't followed any more (stop, pause, gone): write what isn't complete."""
        if self._stored is not None:
            self._end_stored(self._stored)
        self._stored = None
        self._small_since = self._cursor_since = None

    def _compare(self, stored: _Stored, look: Look) -> tuple[Verdict, float]:
        if look.digest == stored.look.digest:
            return "same", 0.0
        if look.digest in stored.cursors:
            return "cursor", 0.0
        pixels = look.pixels
        sample = pixels[::STEP, ::STEP]
        changed = float(np.count_nonzero(sample != stored.sample)) / sample.size
        if changed >= SURE_SHARE:
            return "new", changed
        differs = pixels != stored.look.pixels
        count = int(np.count_nonzero(differs))
        if count >= self.rules.small_px:
            return "new", changed
        if is_cursor(differs, count):
            if len(stored.cursors) < 64:
                stored.cursors.add(look.digest)
            return "cursor", changed
        return "small", changed

    def _stay(self, stored: _Stored, look: Look, verdict: Verdict) -> None:
        self._held = None
        if verdict == "cursor":
            self._cursor_since = look.at if self._cursor_since is None else self._cursor_since
            if look.at - self._cursor_since >= CURSOR_AFTER_US:
                self._cursor_since = None
                self._end_stored(stored)
                self._store(look, changed=0.0)
                return
        stored.seen = look.at
        for piece in complete(stored.written, stored.seen):
            self._slice(stored, *piece)

    def _hold(self, stored: _Stored, look: Look) -> None:
        if self._small_since is None:
            self._small_since = look.at
        if self._held is not None and self._held.digest != look.digest:
            stored.seen = self._held_seen  # taken over by the next small change
            self._held = None
        if self._held is None:
            self._held = look
        self._held_seen = look.at
        if look.at - self._small_since >= self.rules.small_after_us:
            self._small_since = None
            self._store_held(stored)

    def _store_held(self, stored: _Stored) -> None:
        """The held look becomes the stored frame, with the time at which it was first seen."""
        held, self._held = self._held, None
        if held is None:
            return
        for piece in cut(stored.written, stored.seen):
            self._slice(stored, *piece)
        sample = held.pixels[::STEP, ::STEP]
        changed = float(np.count_nonzero(sample != stored.sample)) / sample.size
        self._store(held, changed=changed)
        if self._stored is not None:
            self._stored.seen = self._held_seen

    def _end_stored(self, stored: _Stored) -> None:
        if self._held is not None:
            self._store_held(stored)
            stored = self._stored or stored
        for piece in cut(stored.written, stored.seen):
            self._slice(stored, *piece)

    def _store(self, look: Look, *, changed: float | None) -> None:
        sample = look.pixels[::STEP, ::STEP].copy()
        content, media_type = encode(
            look.raw, (look.width, look.height), sample & RGB, self.rules.encoding
        )
        data: dict[str, object] = {
            "monitor": self._place.monitor,
            "left": self._place.left,
            "top": self._place.top,
            "width": look.width,
            "height": look.height,
            "frame_hash": f"{look.digest:016x}",
            "black": not bool((sample & RGB).any()),
        }
        event = new_event(
            STREAM,
            at=look.at,
            end=look.at,
            data=data | {"changed": changed},
            source=BlobSource.of_bytes(content, media_type),
        )
        self._context.append([event])
        self._stored = _Stored(
            id=event.id,
            look=look,
            sample=sample,
            data=data,
            blob=hashlib.sha256(content).hexdigest(),
            blob_bytes=len(content),
            media_type=media_type,
            seen=look.at,
            written=look.at,
        )

    def _slice(self, stored: _Stored, begin: int, end: int) -> None:
        event = new_event(
            STREAM,
            at=begin,
            end=end,
            cont=stored.id,
            data=stored.data,
            blob=stored.blob,
            blob_bytes=stored.blob_bytes,
            media_type=stored.media_type,
        )
        self._context.append([event])
        stored.written = end
