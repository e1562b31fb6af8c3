"""What recognising the words on the screen costs: an hour of use, played in short.

Somebody types, a word each frame of two seconds, and turns to another window every forty seconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from lifelog_lake.care.reading import Read, read
from lifelog_lake.care.recognise import recogniser
from lifelog_lake.errors import LifelogError
from tests.bench.pairs import Row
from tests.fixtures.pages import CODE, MONO, PROSE, SANS, as_frame, from_frame, page

EVERY_S, WINDOW_S = 2, 40
SCREEN = (1920, 1080)


def run(*, quick: bool) -> Iterator[Row]:
    """Frames of some minutes, read the newest first, with and without what is known."""
    try:
        engine = recogniser(["eng"])
    except LifelogError as error:
        yield Row(name="recognition", ours="", base="", value=f"skipped: {error.message}")
        return
    frames = list(_frames(40 if quick else 240))
    took_s = {}
    for name, known in (("by what changed", True), ("each frame whole", False)):
        before: Read | None = None
        began_s = time.process_time()
        for content in reversed(frames[:: 1 if known else 10]):
            found = read(engine, from_frame(content), before)
            before = found if known else None
        took_s[name] = (time.process_time() - began_s) * (1 if known else 10)
    engine.close()
    an_hour = 3600 / (len(frames) * EVERY_S)
    ours, whole = took_s["by what changed"] * an_hour, took_s["each frame whole"] * an_hour
    yield Row(
        name=f"recognition of an hour of typing, {3600 // EVERY_S:,} frames of 1080p",
        ours=f"{ours:,.0f} s of processor",
        base=f"each frame whole: {whole:,.0f} s",
        value=f"{ours / 36:.0f} % of a core, {whole / ours:.1f} times less",
    )


def _frames(count: int) -> Iterator[bytes]:
    for number in range(count):
        window, typed = divmod(number * EVERY_S, WINDOW_S)
        kind = (PROSE, CODE)[window % 2] * 4
        words = PROSE.split()[: 1 + typed // EVERY_S]
        text = f"{kind.strip()}\n\n{' '.join(words)}"
        font = (SANS, MONO)[window % 2]
        yield as_frame(page(text, font=font, dark=window % 3 == 0, size=SCREEN))
