"""The first look at an attached file, small, as WebP: for the derived stream ``thumbnail``.

A picture is shrunk; of a PDF it is the first page, of a video the first frame. Such a file comes
from anywhere and is decoded by C libraries, so PDFs and videos are opened in a process of their
own, with little memory and little time: a bomb ends there.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from typing import BinaryIO

from lifelog_lake.care.pictures import MOST_HEIGHT_PX, MOST_PIXELS, WIDTH_PX, shrink
from lifelog_lake.errors import MissingExtra, UsageError

#: Names what :func:`preview` does, and is raised whenever it gives other pictures.
TRANSFORM, VERSION = "preview-webp", 1
PICTURES = ("image/jpeg", "image/png", "image/webp", "image/avif")
PDF, MP4 = "application/pdf", "video/mp4"
#: What is opened elsewhere.
OPENED = (PDF, MP4)
TYPES = (*PICTURES, *OPENED)
#: A larger file than this has none: it may have to be copied first.
MOST_BYTES = 4 * 1024**3
#: Of a process that opens a file: rendering a page of a scan takes a fifth of it.
MOST_MEMORY_BYTES = 1024**3
MOST_CPU_S = 20
MOST_WAIT_S = 60.0
#: How it says that a library is missing.
NO_LIBRARY = 9


def preview(file: BinaryIO, media_type: str) -> bytes | None:
    """A small picture of a file (on disk, open for reading); None for a type that has none.

    Raises :class:`UsageError` for a file that can't be shown: damaged, locked, or a bomb.
    """
    if media_type in PICTURES:
        return shrink(file)
    if media_type not in OPENED:
        return None
    return shrink(io.BytesIO(_opened_elsewhere(file, media_type)))


def first_look(file: BinaryIO) -> bytes:
    """A small picture of a content whose type nobody told; one that is opened must be on disk.

    Raises :class:`UsageError` if there can't be one.
    """
    try:
        return shrink(file)
    except UsageError:
        file.seek(0)
        head = file.read(16)
        told = PDF if head.startswith(b"%PDF-") else MP4 if head[4:8] == b"ftyp" else None
        if told is None or not is_real(file):
            raise
    return shrink(io.BytesIO(_opened_elsewhere(file, told)))


def is_real(file: BinaryIO) -> bool:
    """Whether it is a file of this machine, which a process can be handed."""
    try:
        file.fileno()
    except OSError:
        return False
    return True


def _opened_elsewhere(file: BinaryIO, media_type: str) -> bytes:
    """The first page or frame as PNG, made by a process that may end badly."""
    os.lseek(file.fileno(), 0, os.SEEK_SET)  # seek() may only move within what is buffered here
    command = [sys.executable, "-m", __name__, media_type]
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command,
            stdin=file,
            capture_output=True,
            timeout=MOST_WAIT_S,
            env=surroundings,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _not_shown("takes too long") from None
    if done.returncode == NO_LIBRARY:
        raise MissingExtra("Making previews of PDFs and videos", "hub")
    if done.returncode or not done.stdout:
        raise _not_shown("is damaged, locked, or needs too much memory")
    return done.stdout


def _not_shown(why: str) -> UsageError:
    return UsageError(f"No preview can be made: the file {why}.", hint="Open the file itself.")


# -- in the other process ------------------------------------------------------------------------


def _bounded() -> None:
    """Give this process bounds. Windows has none to give: there time alone ends it."""
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU_S, MOST_CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _page(file: BinaryIO) -> bytes:
    import pypdfium2

    document = pypdfium2.PdfDocument(file)
    page = document[0]
    width, height = page.get_size()
    # Twice the size of the picture, to be shrunk well; a page may be as large as it likes.
    scale = min(2 * WIDTH_PX / width, 2 * MOST_HEIGHT_PX / height)
    return _png(page.render(scale=scale).to_pil())


def _frame(file: BinaryIO) -> bytes:
    import av

    with av.open(file, "r") as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        if context.width * context.height > MOST_PIXELS:
            raise ValueError("too many pixels")
        context.thread_count = 1
        frame = next(container.decode(stream))
        scale = min(1.0, 2 * WIDTH_PX / frame.width, 2 * MOST_HEIGHT_PX / frame.height)
        small = frame.reformat(
            width=max(1, round(frame.width * scale)), height=max(1, round(frame.height * scale))
        )
        return _png(small.to_image())  # type: ignore[no-untyped-call,unused-ignore]


def _png(picture: object) -> bytes:
    content = io.BytesIO()
    picture.save(content, "PNG", compress_level=1)  # type: ignore[attr-defined]
    return content.getvalue()


def _main() -> int:
    _bounded()
    try:
        with os.fdopen(0, "rb", closefd=False) as file:
            content = {PDF: _page, MP4: _frame}[sys.argv[1]](file)
    except ModuleNotFoundError:
        return NO_LIBRARY
    except BaseException:  # noqa: BLE001 - whatever a library makes of it, there is no picture
        return 1
    sys.stdout.buffer.write(content)
    return 0


if __name__ == "__main__":
    sys.exit(_main())
