"""Recognise the few media types that a browser may show inline, by their first bytes.

The type that a row claims is input from a device and isn't trusted: HTML or SVG passed off as a
picture would run script on the hub's origin. What isn't recognised is a download.
"""

from __future__ import annotations

#: Bytes of a content's start that :func:`inert_type` needs.
HEAD_BYTES = 64

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"\x1aE\xdf\xa3", "video/webm"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
_BRANDS = {b"avif": "image/avif", b"avis": "image/avif", b"M4A ": "audio/mp4"}
_MP4_BRANDS = (b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1", b"dash")


def inert_type(head: bytes) -> str | None:
    """Media type of a content that is safe to show inline, or None."""
    for magic, media_type in _MAGIC:
        if head.startswith(magic):
            return media_type
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12])
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        return "video/mp4" if brand in _MP4_BRANDS else _BRANDS.get(brand)
    return None
