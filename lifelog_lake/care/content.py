"""Rows that hold nothing: a stream may be alive and fresh and yet record nothing of use.

Three kinds, each a spell from when it began to the newest row: ``black`` (every frame of every
monitor is black), ``silent`` (nothing but digital silence while the microphone is open: a live one
always has some noise), ``frozen`` (the window stays the same while the screen goes on changing:
its watcher hangs).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from lifelog_lake.care.facts import Spell
from lifelog_lake.clock import to_us

#: A new frame that differs in so much is a change that a person sees …
CHANGED = 0.05
#: … and a window that stays the same over so many of them is odd.
CHANGES = 30
#: Columns that are looked at, by stream.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "screen": ("device", "at", "end", "cont", "black", "changed"),
    "audio": ("device", "at", "end", "level_dbfs", "dropped"),
    "window": ("device", "at", "end", "app", "title"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """Rows of the last hours, None where there is no such table."""

    screen: pl.DataFrame | None = None
    audio: pl.DataFrame | None = None
    window: pl.DataFrame | None = None


def blanks_of(looked: Looked) -> dict[str, tuple[Spell, ...]]:
    """The spells of each device that last until its newest row."""
    found: dict[str, list[Spell]] = defaultdict(list)
    if looked.screen is not None:
        dark = pl.col("black").fill_null(value=False)
        for device, spell in _lasting(looked.screen, dark, "black"):
            found[device].append(spell)
    if looked.audio is not None:
        mute = pl.col("level_dbfs").is_null() & ~pl.col("dropped").fill_null(value=False)
        for device, spell in _lasting(looked.audio, mute, "silent"):
            found[device].append(spell)
    if looked.window is not None and looked.screen is not None:
        for device, spell in _frozen(looked.window, looked.screen):
            found[device].append(spell)
    return {device: tuple(spells) for device, spells in found.items()}


def _lasting(rows: pl.DataFrame, blank: pl.Expr, state: str) -> list[tuple[str, Spell]]:
    """Since the last row of a device that isn't blank, or since its first that was looked at."""
    ends = pl.coalesce("end", "at")
    spells = (
        rows.drop_nulls(["device", "at"])
        .with_columns(blank=blank, ends=ends)
        .with_columns(last=pl.col("ends").filter(~pl.col("blank")).max().over("device"))
        .filter("blank", pl.col("last").is_null() | (pl.col("at") >= pl.col("last")))
        .group_by("device")
        .agg(pl.col("at").min(), pl.col("ends").max())
        .sort("device")
    )
    return [(device, Spell(to_us(at), to_us(end), state)) for device, at, end in spells.iter_rows()]


def _frozen(window: pl.DataFrame, screen: pl.DataFrame) -> list[tuple[str, Spell]]:
    """Devices whose newest window has stood while many new frames came."""
    spells = []
    changes = screen.filter(pl.col("cont").is_null(), pl.col("changed") >= CHANGED)
    for (device,), rows in window.drop_nulls(["device", "at"]).group_by("device"):
        ordered = rows.sort("at")
        newest = ordered.row(-1, named=True)
        same = (pl.col("app").eq_missing(pl.lit(newest["app"]))) & (
            pl.col("title").eq_missing(pl.lit(newest["title"]))
        )
        for _, spell in _lasting(ordered, same, "frozen"):
            begin, end = spell.start, spell.end
            at = pl.col("at").dt.epoch("us")
            seen = changes.filter(pl.col("device") == device, at >= begin, at < end).height
            if seen >= CHANGES:
                spells.append((str(device), spell))
    return sorted(spells)
