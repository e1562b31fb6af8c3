"""A picture made small, as WebP: for the page at once, and ahead of it for the lake.

A picture is input from a device: its format is recognised by its bytes, and one that would need too
much memory is refused before it is decoded.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from lifelog_lake.errors import UsageError

if TYPE_CHECKING:
    from PIL import Image

#: Names what :func:`shrink` does, and is raised whenever it gives other pictures.
TRANSFORM, VERSION = "small-webp", 1
MEDIA_TYPE = "image/webp"
#: Wide enough for a tile on a dense screen; a tall picture keeps its width.
WIDTH_PX, MOST_HEIGHT_PX = 320, 640
QUALITY = 70
FORMATS = ("WEBP", "PNG", "JPEG", "AVIF")
MOST_BYTES = 64 * 1024 * 1024
#: Four bytes a pixel while it is decoded, eight with transparency, and buffers of some formats (330
#: to 640 MiB at most): an 8K screen has 33 million.
MOST_PIXELS = 40_000_000


def shrink(file: BinaryIO) -> bytes:
    """A picture as a small WebP. Raises :class:`UsageError` for anything else."""
    from PIL import Image

    with _opened(file) as picture:
        picture.draft("RGB", (WIDTH_PX, MOST_HEIGHT_PX))  # a JPEG is decoded small at once
        small = picture.convert("RGB")
        small.thumbnail((WIDTH_PX, MOST_HEIGHT_PX), Image.Resampling.BILINEAR, reducing_gap=2.0)
    content = io.BytesIO()
    small.save(content, "WEBP", quality=QUALITY, method=2)
    return content.getvalue()


def grey(file: BinaryIO) -> Image.Image:
    """A picture in shades of grey, whole. Raises :class:`UsageError` for anything else."""
    with _opened(file) as picture:
        return picture.convert("L")


@contextlib.contextmanager
def _opened(file: BinaryIO) -> Iterator[Image.Image]:
    """A picture to be decoded; what goes wrong with it is told as :class:`UsageError`."""
    from PIL import Image, UnidentifiedImageError

    hint = "Open the content itself: /lifelog/api/blobs/ and its name."
    size = file.seek(0, 2)
    file.seek(0)
    if size > MOST_BYTES:
        raise UsageError("The picture's file is too large to be made small.", hint=hint)
    try:
        with Image.open(file, formats=FORMATS) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise UsageError("The picture has too many pixels to be made small.", hint=hint)
            yield picture
    except UnidentifiedImageError:
        raise UsageError("This content isn't a picture.", hint=hint) from None
    # The AVIF decoder says RuntimeError; MemoryError is a size that a damaged header made up.
    except (
        OSError,
        SyntaxError,
        ValueError,
        RuntimeError,
        MemoryError,
        Image.DecompressionBombError,
    ):
        raise UsageError("The picture is damaged.", hint=hint) from None


def size_of(content: bytes) -> tuple[int, int]:
    """Width and height of a picture that :func:`shrink` made, px."""
    from PIL import Image

    with Image.open(io.BytesIO(content)) as picture:
        return picture.size
