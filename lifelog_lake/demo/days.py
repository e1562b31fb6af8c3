"""A stretch of days as tables: one a stream, all devices in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from lifelog_lake.demo import small
from lifelog_lake.demo.activity import (
    HOUR_MS,
    Pace,
    Spans,
    Use,
    Windows,
    minutes_of_sound,
    presence_of,
    uses,
)
from lifelog_lake.demo.canvas import HEIGHT, WIDTH
from lifelog_lake.demo.chance import Chance
from lifelog_lake.demo.pictures import WEBP
from lifelog_lake.demo.plan import Plan
from lifelog_lake.demo.rhythm import DEVICES, LAPTOP, PHONE, Block, blocks_of
from lifelog_lake.demo.rows import Numbering, sliced, table_of, words
from lifelog_lake.demo.scenes import SCENES, VIDEO
from lifelog_lake.demo.sounds import KINDS, OPUS, RATE_HZ

#: Rows of a day that don't depend on the pace, and hours of use that it counts for. Measured.
FIXED_ROWS, HOURS = 600, 7
#: Nothing begins or ends closer to the plan's ends: its lifecycle rows need the room.
MARGIN_MS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The blobs, as rows name them: sha256 and size; of frames the hash of the pixels too."""

    pictures: Sequence[tuple[str, int, str]]
    sounds: Sequence[tuple[str, int, float, float]]
    documents: Sequence[small.Document]


@dataclass(slots=True, kw_only=True)
class Days:
    """Makes the tables, stretch by stretch, and counts the seqs."""

    plan: Plan
    contents: Contents
    marks: dict[tuple[str, str], int] = field(default_factory=dict)

    def stretches(self) -> Iterator[list[date]]:
        """The days of each stretch, on the person's calendar and UTC's alike."""
        for begin in range(0, self.plan.days, self.plan.chunk_days):
            count = min(self.plan.chunk_days, self.plan.days - begin)
            yield [self.plan.first + timedelta(days=begin + day) for day in range(count)]

    def tables(self, days: Sequence[date]) -> dict[str, pa.Table]:
        """The rows of some days by stream."""
        found: dict[str, list[pa.Table]] = {}
        blocks = [block for day in days for block in blocks_of(self.plan.seed, day)]
        for device in DEVICES:
            for stream, table in self._device(device, days, blocks):
                found.setdefault(stream, []).append(table)
        return {stream: pa.concat_tables(tables) for stream, tables in found.items()}

    def _device(
        self, device: str, days: Sequence[date], blocks: Sequence[Block]
    ) -> Iterator[tuple[str, pa.Table]]:
        plan = self.plan
        inside = [
            use
            for use in uses(block for block in blocks if block.device == device)
            if use.begin >= plan.begin_ms + MARGIN_MS and use.end <= plan.end_ms - MARGIN_MS
        ]
        own = [block for use in inside for block in use.blocks]
        if own:
            windows = Windows(own, plan.seed, device, pace(plan.events_per_day))
            yield self._window(device, windows.spans)
            if device != PHONE:
                yield self._web(device, windows.pages())
                yield self._screen(device, windows.frames(plan.variants))
                yield from self._sound(device, minutes_of_sound(own))
                yield from self._presence(device, inside)
        charge = self._next(device, "sensor")
        if (table := small.battery(charge, days, inside)) is not None:
            yield self._counted(charge, table)
        if device == PHONE:
            yield from self._written(days)

    def _presence(self, device: str, inside: Sequence[Use]) -> Iterator[tuple[str, pa.Table]]:
        spans = presence_of(inside)
        numbering, rows = self._next(device, "afk"), sliced(spans)
        data = {
            "status": words(("not-afk", "afk"), spans.what[rows.event]),
            "bucket": _constant(f"aw-watcher-afk_{device}", len(rows)),
        }
        yield self._counted(numbering, table_of(numbering, rows, spans.zone[rows.event], data))
        numbering = self._next(device, "pulse")
        yield self._counted(numbering, small.pulses(numbering, inside))
        numbering = self._next(device, "lifecycle")
        yield self._counted(numbering, small.rows_of(numbering, small.lifecycle(inside)))

    def _window(self, device: str, spans: Spans) -> tuple[str, pa.Table]:
        numbering, rows = self._next(device, "window"), sliced(spans)
        what = spans.what[rows.event]
        data = {
            "app": words([scene.app for scene in SCENES], what),
            "title": words([scene.title for scene in SCENES], what),
            "bucket": _constant(f"aw-watcher-window_{device}", len(rows)),
        }
        return self._counted(numbering, table_of(numbering, rows, spans.zone[rows.event], data))

    def _web(self, device: str, spans: Spans) -> tuple[str, pa.Table]:
        numbering, rows = self._next(device, "web"), sliced(spans)
        what = spans.what[rows.event]
        tabs = 4 + spans.begin // (6 * HOUR_MS) % 13
        data = {
            "url": words([scene.url for scene in SCENES], what),
            "title": words([scene.page for scene in SCENES], what),
            "audible": pa.array(np.array([scene.kind == VIDEO for scene in SCENES])[what]),
            "incognito": pa.array(np.zeros(len(rows), bool)),
            "tab_count": pa.array(tabs[rows.event]),
            "bucket": _constant(f"aw-watcher-web-firefox_{device}", len(rows)),
        }
        return self._counted(numbering, table_of(numbering, rows, spans.zone[rows.event], data))

    def _screen(self, device: str, spans: Spans) -> tuple[str, pa.Table]:
        numbering, rows = self._next(device, "screen"), sliced(spans, at_once=True)
        what, count = spans.what[rows.event], len(rows)
        chance = Chance(self.plan.seed, device, "changed", numbering.seq)
        changed = chance.many(len(spans), 700) + 1
        pictures = self.contents.pictures
        data = {
            "monitor": _whole(1, count),
            "left": _whole(0, count),
            "top": _whole(0, count),
            "width": _whole(WIDTH, count),
            "height": _whole(HEIGHT, count),
            "frame_hash": words([frame_hash for _, _, frame_hash in pictures], what),
            "changed": pa.array((changed / 1000)[rows.event], mask=~rows.first),
            "black": pa.array(np.zeros(count, bool)),
            "blob": words([sha256 for sha256, _, _ in pictures], what),
            "blob_bytes": pa.array(np.array([size for _, size, _ in pictures])[what]),
            "media_type": _constant(WEBP, count),
        }
        table = table_of(numbering, rows, spans.zone[rows.event], data, made="7")
        return self._counted(numbering, table)

    def _sound(self, device: str, spans: Spans) -> Iterator[tuple[str, pa.Table]]:
        if device != LAPTOP or not len(spans):
            return
        numbering, rows, count = self._next(device, "audio"), sliced(spans), len(spans)
        each = len(self.contents.sounds) // len(KINDS)
        chance = Chance(self.plan.seed, device, "sound", numbering.seq)
        what = spans.what * each + chance.many(count, each)
        sounds = self.contents.sounds
        data = {
            "sample_rate": _whole(RATE_HZ, count),
            "channels": _whole(1, count),
            "speech": pa.array(np.array([speech for _, _, speech, _ in sounds])[what]),
            "level_dbfs": pa.array(np.array([level for *_, level in sounds])[what]),
            "source": _constant("Built-in microphone", count),
            "blob": words([sha256 for sha256, *_ in sounds], what),
            "blob_bytes": pa.array(np.array([size for _, size, *_ in sounds])[what]),
            "media_type": _constant(OPUS, count),
        }
        yield self._counted(numbering, table_of(numbering, rows, spans.zone, data, made="7"))

    def _written(self, days: Sequence[date]) -> Iterator[tuple[str, pa.Table]]:
        journal, attached = small.entries(self.plan.seed, days, self.contents.documents)
        for stream, rows in (("journal", journal), ("attachment", attached)):
            if rows:
                numbering = self._next(PHONE, stream)
                yield self._counted(numbering, small.rows_of(numbering, rows))

    def _next(self, device: str, stream: str) -> Numbering:
        seq = self.marks.get((device, stream), 0)
        return Numbering(seed=self.plan.seed, device=device, stream=stream, seq=seq)

    def _counted(self, numbering: Numbering, table: pa.Table) -> tuple[str, pa.Table]:
        self.marks[(numbering.device, numbering.stream)] = numbering.seq + table.num_rows
        return numbering.stream, table


def pace(events_per_day: int) -> Pace:
    """Windows and frames an hour of use that make a day of about so many rows.

    A window costs 2.9 rows with its page and its first frame, each further frame 2.5 (films have
    more). Denser days have more frames rather than more windows: nobody changes them each second.
    """
    rest = (events_per_day - FIXED_ROWS) * 5 // 4
    windows = min(rest * 22 // 100, 1_300 + rest * 3 // 100)
    frames = (rest * 10 - windows * 29) // 25
    return Pace(windows=windows // HOURS, frames=frames // HOURS)


def _constant(word: str, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(word, pa.string()), count)


def _whole(value: int, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, pa.int64()), count)
