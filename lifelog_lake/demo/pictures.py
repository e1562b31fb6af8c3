"""The frames: each scene in several variants, as the screen collector would have kept them."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

import xxhash

from lifelog_lake.demo.canvas import PAPER, Canvas
from lifelog_lake.demo.chance import Chance
from lifelog_lake.demo.looks import DARK, LOOKS, NIGHT, frame
from lifelog_lake.demo.scenes import SCENES

WEBP = "image/webp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A frame as a file, with the hash of its pixels as the screen collector counts it."""

    content: bytes
    sha256: str
    frame_hash: str


def draw(seed: int, scene: int, variant: int) -> Canvas:
    """A scene in one of its variants: what belongs to it stays, what moves has moved on."""
    about = SCENES[scene]
    dark = about.kind in DARK
    canvas = Canvas(NIGHT if dark else PAPER)
    own = Chance(seed, "picture", about.title)
    now = Chance(seed, "picture", about.title, variant)
    LOOKS[about.kind](canvas, about, variant, own, now)
    frame(canvas, about.title, dark=dark)
    return canvas


def picture(seed: int, scene: int, variant: int) -> Picture:
    """The frame's file: WebP without loss, which suits text and flat colours."""
    image = draw(seed, scene, variant).image
    file = io.BytesIO()
    image.save(file, "WEBP", lossless=True, quality=0, method=1)
    content = file.getvalue()
    return Picture(
        content=content,
        sha256=hashlib.sha256(content).hexdigest(),
        frame_hash=xxhash.xxh3_64_hexdigest(image.tobytes("raw", "BGRX")),
    )
