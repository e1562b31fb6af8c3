"""How a frame becomes a file. Measured in docs/adr/002-screen-encoding.md.

Text and interfaces (few colours) are kept without loss, which for them is smaller and faster than
a lossy file; pictures are kept lossy. Which of the two a frame is, is told by the number of
colours among its sampled pixels, so each frame is encoded once.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

WEBP = "image/webp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """``mode`` auto chooses by the content. ``quality`` counts for lossy frames, 0 to 100."""

    mode: Literal["auto", "lossy", "lossless"] = "auto"
    quality: int = 75
    #: Share of different colours among the sampled pixels from which on a frame is a picture.
    picture_share: float = 0.08


def is_picture(sample: npt.NDArray[np.uint32], share: float) -> bool:
    """Whether the sampled pixels have so many colours that the frame is like a photograph."""
    return len(np.unique(sample)) >= share * sample.size


def encode(
    raw: bytes | bytearray,
    size: tuple[int, int],
    sample: npt.NDArray[np.uint32],
    encoding: Encoding,
) -> tuple[bytes, str]:
    """The file and its media type of ``raw`` BGRx pixels, ``size`` (width, height) px."""
    image = Image.frombuffer("RGB", size, raw, "raw", "BGRX", 0, 1)
    lossy = encoding.mode == "lossy" or (
        encoding.mode == "auto" and is_picture(sample, encoding.picture_share)
    )
    file = io.BytesIO()
    if lossy:
        image.save(file, "WEBP", quality=encoding.quality, method=0)
    else:
        # For lossless files "quality" is effort: of a page with a small picture, 100 makes a third
        # of what 0 makes, in one and a half times the time.
        image.save(file, "WEBP", lossless=True, quality=100, method=0)
    return file.getvalue(), WEBP
