"""What happens in the blocks: windows, frames, pages, presence, sound. All of a stretch at once.

Times are whole milliseconds since 1970 UTC, as ActivityWatch keeps them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lifelog_lake.demo.chance import Chance, Ints
from lifelog_lake.demo.rhythm import HOME_ZONE, PLACES, Block
from lifelog_lake.demo.scenes import ACTIVITIES, GROUPS, PICTURED, SCENES, VIDEO

ZONES: tuple[str, ...] = (HOME_ZONE, *(zone for zone, _ in PLACES))
HOUR_MS = 3_600_000
_BITS = 31
_GROUP_AT = {name: index for index, name in enumerate(GROUPS)}
_MEMBERS = np.array([scene for members in GROUPS.values() for scene in members], np.int64)
_SIZES = np.array([len(members) for members in GROUPS.values()], np.int64)
_STARTS = np.cumsum(_SIZES) - _SIZES
_PICTURE_OF = np.full(len(SCENES), -1, np.int64)
_PICTURE_OF[list(PICTURED)] = np.arange(len(PICTURED))
_HAS_PAGE = np.array([scene.url is not None for scene in SCENES])
#: A film changes all the time, a text now and then.
_LIVELY = np.array([4 if scene.kind == VIDEO else 1 for scene in SCENES], np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How dense it is: windows and frames an hour of use."""

    windows: int
    frames: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """Events of one device in the order of time; ``what`` and ``zone`` are indices."""

    begin: Ints
    end: Ints
    what: Ints
    zone: Ints

    def __len__(self) -> int:
        return len(self.begin)


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A stretch in which a device is on: its blocks, and those after which it wasn't looking."""

    begin: int
    end: int
    zone: int
    blocks: tuple[Block, ...]

    @property
    def holes(self) -> list[Block]:
        """The blocks after which the device slept or was paused."""
        return [block for block in self.blocks if block.after in ("suspended", "paused")]


def uses(blocks: Iterable[Block]) -> list[Use]:
    """The stretches in which a device was on."""
    found, here = [], []
    for block in blocks:
        here.append(block)
        if block.after == "off":
            zone = ZONES.index(block.zone)
            found.append(Use(begin=here[0].begin, end=block.end, zone=zone, blocks=tuple(here)))
            here = []
    return found


class Windows:
    """The windows of a device in its blocks, and what follows from them."""

    def __init__(self, blocks: Sequence[Block], seed: int, device: str, pace: Pace) -> None:
        self._chance = Chance(seed, device, blocks[0].begin if blocks else 0)
        self._pace = pace
        activities = list(ACTIVITIES)
        self._activity = np.array([activities.index(b.activity) for b in blocks], np.int64)
        self._begin = np.array([b.begin for b in blocks], np.int64)
        self._end = np.array([b.end for b in blocks], np.int64)
        self._stay = np.array([b.until if b.after == "break" else b.end for b in blocks], np.int64)
        self._zone = np.array([ZONES.index(b.zone) for b in blocks], np.int64)
        self._cut()

    def _cut(self) -> None:
        """Each block into windows, some short, few long; the last one stays over a break."""
        lengths = self._end - self._begin
        factor = np.array([a.windows for a in ACTIVITIES.values()], np.int64)[self._activity]
        counts = lengths * self._pace.windows // HOUR_MS * factor // 1000
        counts = np.clip(counts, 1, np.maximum(lengths // 800, 1))
        self._block = np.repeat(np.arange(len(counts)), counts)
        total = len(self._block)
        draw = self._chance.many(total, 1024)
        weight = 24 + (draw * draw * draw >> 20)
        ends = _shares(weight, counts, self._begin[self._block], lengths[self._block], self._block)
        last = np.cumsum(counts) - 1
        begins = np.empty_like(ends)
        begins[1:] = ends[:-1]
        first = last - counts + 1
        begins[first] = self._begin
        self._active_end = ends
        stay = ends.copy()
        stay[last] = self._stay
        self.spans = Spans(
            begin=begins, end=stay, what=self._scenes(total), zone=self._zone[self._block]
        )

    def _scenes(self, total: int) -> Ints:
        """A scene a window: the group by the activity, in it mostly what the block is about."""
        slots, starts, sizes = _slots()
        activity = self._activity[self._block]
        draw = self._chance.many(total, 1 << _BITS)
        group = slots[starts[activity] + (draw * sizes[activity] >> _BITS)]
        favourite = self._chance.many(len(self._begin), 1 << 20)[self._block] + group
        draw = self._chance.many(total, 1 << _BITS)
        far = (draw * draw >> _BITS) * draw >> _BITS  # cubed: near ones far more often
        place = (favourite + (far * _SIZES[group] >> _BITS)) % _SIZES[group]
        scene = _MEMBERS[_STARTS[group] + place]
        same = np.zeros(total, bool)
        same[1:] = scene[1:] == scene[:-1]
        other = _MEMBERS[_STARTS[group] + (place + 1) % _SIZES[group]]
        return np.where(same, other, scene)

    def frames(self, variants: int) -> Spans:
        """The frames shown in the windows; ``what`` counts scene by scene, variant by variant."""
        seen = np.flatnonzero(_PICTURE_OF[self.spans.what] >= 0)
        begin, scene = self.spans.begin[seen], self.spans.what[seen]
        lengths = np.maximum(self._active_end[seen] - begin, 1)
        factor = np.array([a.frames for a in ACTIVITIES.values()], np.int64)
        rate = factor[self._activity[self._block[seen]]] * _LIVELY[scene]
        counts = 1 + lengths * self._pace.frames // HOUR_MS * rate // 1000
        # Below an hour's pace of one a window the division above gives nothing: draw the rest.
        share = lengths * self._pace.frames % HOUR_MS // 1000
        counts += self._chance.many(len(seen), HOUR_MS // 1000) < share
        counts = np.minimum(counts, np.maximum(lengths // 700, 1))
        window = np.repeat(np.arange(len(seen)), counts)
        place = np.arange(len(window)) - np.repeat(np.cumsum(counts) - counts, counts)
        begins = begin[window] + lengths[window] * place // counts[window]
        ends = np.empty_like(begins)
        ends[:-1] = begins[1:]
        last = np.cumsum(counts) - 1
        ends[last] = self.spans.end[seen]
        start = self._chance.many(len(seen), variants)
        picture = _PICTURE_OF[scene[window]] * variants + (start[window] + place) % variants
        return Spans(begin=begins, end=ends, what=picture, zone=self.spans.zone[seen][window])

    def pages(self) -> Spans:
        """The pages of the browser's windows: each within its window; a glance gives none."""
        begin = self.spans.begin + 150 + self._chance.many(len(self.spans), 1100)
        kept = _HAS_PAGE[self.spans.what] & (begin + 1000 < self.spans.end)
        return Spans(
            begin=begin[kept],
            end=self.spans.end[kept],
            what=self.spans.what[kept],
            zone=self.spans.zone[kept],
        )


def presence(use: Use) -> list[tuple[int, int, int]]:
    """Begin, end and 0 (not-afk) or 1 (afk), without what a sleep or a pause hides."""
    found = []
    begin = use.begin
    for block in use.blocks:
        if block.after == "next":
            continue
        found.append((begin, block.end, 0))
        if block.after in ("break", "locked"):
            found.append((block.end, block.until, 1))
        begin = block.until
    return found


def presence_of(stretches: Iterable[Use]) -> Spans:
    """The presence of several stretches."""
    rows = [(*row, use.zone) for use in stretches for row in presence(use) if row[0] < row[1]]
    return _spans(rows)


def minutes_of_sound(blocks: Iterable[Block]) -> Spans:
    """Whole minutes in which sound is recorded; ``what`` is 0 for a talk, 1 for a room."""
    rows = []
    for block in blocks:
        if not ACTIVITIES[block.activity].sound:
            continue
        first, last = -(-block.begin // 60_000), block.end // 60_000
        kind, zone = int(block.activity != "meeting"), ZONES.index(block.zone)
        rows += [
            (minute * 60_000, minute * 60_000 + 60_000, kind, zone) for minute in range(first, last)
        ]
    return _spans(rows)


def _spans(rows: Sequence[tuple[int, int, int, int]]) -> Spans:
    columns = np.array(rows, np.int64).reshape(-1, 4)
    return Spans(begin=columns[:, 0], end=columns[:, 1], what=columns[:, 2], zone=columns[:, 3])


def _shares(weight: Ints, counts: Ints, begin: Ints, length: Ints, block: Ints) -> Ints:
    """Where each of a block's windows ends, its length divided by weight."""
    total = np.cumsum(weight)
    last = np.cumsum(counts) - 1
    before = np.zeros(len(counts), np.int64)
    before[1:] = total[last[:-1]]
    whole = total[last] - before
    result: Ints = begin + length * (total - before[block]) // whole[block]
    return result


def _slots() -> tuple[Ints, Ints, Ints]:
    """Per activity its groups as often as they weigh: all slots, where each begins, how many."""
    lists = [
        [_GROUP_AT[name] for name, weight in activity.groups for _ in range(weight)]
        for activity in ACTIVITIES.values()
    ]
    sizes = np.array([len(one) for one in lists], np.int64)
    return (
        np.array([slot for one in lists for slot in one], np.int64),
        np.cumsum(sizes) - sizes,
        sizes,
    )
