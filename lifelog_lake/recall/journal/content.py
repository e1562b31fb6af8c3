"""What a file is, judged by its bytes, and the stream in which it comes.

A name says nothing but what to call it, and what to refuse: an executable stays one under any type.
Binary types are recognised by puremagic (pure Python, maintained, no system library); text is what
decodes as UTF-8, has no control characters and doesn't begin like a script or a page.
"""

from __future__ import annotations

import codecs
import hashlib
import io
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePosixPath
from typing import BinaryIO

from lifelog_lake.errors import FileIncomplete, FileRefused, FileTooLarge
from lifelog_lake.journal_settings import NEVER, JournalSettings
from lifelog_lake.recall.journal.outbox import chunks_of

#: A type is judged by so much of a file's beginning.
HEAD_BYTES = 16 * 1024
MOST_NAME_BYTES = 200
#: What an operating system, an office program or an interpreter runs when it is opened.
_PROGRAMS = """
apk app appimage asp aspx bash bat bin cgi cmd com cpl csh deb desktop dll dmg elf exe fish gadget
hta htm html inf ins iso jar js jse jsp ksh lnk mhtml mht mjs msc msh msi msp php phtml pif pkg pl
ps1 psd1 psm1 py pyc pyw rb reg rpm run scf scr sh shtml so svg svgz sys tcsh url vb vbe vbs wasm
wsf wsh xht xhtml xml xsl zsh
"""
EXECUTABLE = frozenset(_PROGRAMS.split())
_BY_ENDING = {"md": "text/markdown", "markdown": "text/markdown", "csv": "text/csv"}
_ENDINGS = {
    "image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp", "application/pdf": ".pdf",
    "text/plain": ".txt", "text/markdown": ".md", "text/csv": ".csv", "video/mp4": ".mp4",
}  # fmt: skip
TEXTS = ("text/plain", "text/markdown", "text/csv")
#: What browsers take for a page (WHATWG MIME Sniffing, 7.1), with SVG, XML and PHP.
_PAGE = re.compile(
    rb"<(!doctype|!--|\?|%|/?(html|head|script|iframe|h[1-6]|div|font|table|a|style|title|b|body|"
    rb"br|p|svg|meta|link|object|embed|form|img|base|frame|frameset|applet|math|input|video|audio)"
    rb"[\s/>:])",
    re.IGNORECASE,
)
_SCRIPT = re.compile(rb"(#!|@echo\b|%!ps)", re.IGNORECASE)
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def judge(head: bytes, name: str, said: str | None, settings: JournalSettings) -> str:
    """The media type of content by its beginning; raises :class:`FileRefused`.

    ``name`` and the type that was ``said`` only choose between kinds of text.
    """
    ending = _ending(name)
    if ending in EXECUTABLE:
        raise FileRefused(
            f"Files of the kind .{ending} can't be attached: they are programs or pages.",
            hint=_allowed(settings),
        )
    if not head:
        raise FileRefused("The file is empty.", hint="Attach one with content.")
    found = _recognised(head)
    if found & NEVER or _PAGE.match(head.removeprefix(codecs.BOM_UTF8).lstrip(b"\t\n\r\f \x00")):
        raise FileRefused("The file is a page or drawing with code in it.", hint=_allowed(settings))
    if _SCRIPT.match(head.removeprefix(codecs.BOM_UTF8).lstrip()):
        raise FileRefused("The file is a script or program.", hint=_allowed(settings))
    for type_ in settings.allowed_types:
        if type_ in found and type_ not in TEXTS:
            return type_
    if _is_text(head):
        said = (said or "").partition(";")[0].strip().lower()
        wanted = [_BY_ENDING.get(ending, said), "text/plain"]
        for type_ in wanted:
            if type_ in TEXTS and type_ in settings.allowed_types:
                return type_
        raise FileRefused("Text can't be attached here.", hint=_allowed(settings))
    kind = next((name for name in sorted(found) if name), "unknown")
    raise FileRefused(f"Files of this type ({kind}) can't be attached.", hint=_allowed(settings))


def _allowed(settings: JournalSettings) -> str:
    return f"Allowed, by content: {', '.join(settings.allowed_types)} ([journal] allowed_types)."


def _ending(name: str) -> str:
    return PurePosixPath(name.rstrip(". ")).suffix.removeprefix(".").lower()


def _recognised(head: bytes) -> set[str]:
    """The types that fit best; several names of one format."""
    import puremagic  # of the extra 'device': an export names files without it

    try:
        matches = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        return set()  # no type that it knows, which is refused unless it is text
    # puremagic 1 raises for what it doesn't know; 2, which needs Python 3.12, gives nothing.
    best = max((match.confidence for match in matches), default=0)
    return {match.mime_type for match in matches if match.confidence == best}


def _is_text(head: bytes) -> bool:
    try:
        # The head may end within a character.
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        return False
    return _CONTROLS.search(text) is None


def display_name(name: str, media_type: str) -> str:
    """A name that is safe to show and to save under: no path, no control or hidden characters.

    It never ends in a way that would start a program.
    """
    text = name.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    text = unicodedata.normalize("NFC", text.replace("\\", "/")).rsplit("/", 1)[-1]
    # Cf are the marks that turn the direction of writing round: "exe.gpj" for "jpg.exe".
    text = "".join(c for c in text if unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Zl", "Zp"})
    text = re.sub(r'[<>:"|?*]', "_", text).strip(". ")
    if not text:
        text = "file" + _ENDINGS.get(media_type, "")
    if _RESERVED.fullmatch(text):
        text = f"_{text}"
    stem, dot, ending = text.rpartition(".")
    if not dot or len(ending.encode()) > 20:
        stem, dot, ending = text, "", ""
    room = MOST_NAME_BYTES - len((dot + ending).encode())
    return stem.encode()[:room].decode("utf-8", "ignore") + dot + ending


class Incoming:
    """Content on its way in: checked while it is read, in constant memory.

    The type is known once :meth:`begin` has read the beginning. Reading further raises
    :class:`FileTooLarge` or :class:`FileRefused` as soon as something is wrong, and at the end if
    it is shorter or longer than it was said to be; ``at_end`` is called when all of it is fine.
    """

    def __init__(
        self,
        chunks: Iterable[bytes],
        *,
        name: str,
        said: str | None,
        length: int | None,
        settings: JournalSettings,
        sha256: str | None = None,
        at_end: Callable[[], None] | None = None,
    ) -> None:
        self._chunks: Iterator[bytes] = iter(chunks)
        self._name = name
        self._said = said
        self._length = length
        self._settings = settings
        self._expected = sha256
        self._at_end = at_end
        self._decoder: codecs.IncrementalDecoder | None = None
        self._ready = bytearray()
        #: How much came so far, and its hash: of all of it at the end.
        self.size_bytes = 0
        self._digest = hashlib.sha256()
        self._ended = False

    def begin(self) -> str:
        """Read the beginning; its media type."""
        most = self._settings.file_max_bytes
        if self._length is not None and self._length > most:
            raise _too_large(most)
        while len(self._ready) < HEAD_BYTES and not self._ended:
            self._pull()
        type_ = judge(bytes(self._ready[:HEAD_BYTES]), self._name, self._said, self._settings)
        if type_ in TEXTS:
            self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
            self._check_text(bytes(self._ready))
        return type_

    def read(self, size: int = -1, /) -> bytes:
        """At most ``size`` bytes; none at the end."""
        while not self._ended and (size < 0 or len(self._ready) < size):
            self._pull()
        piece = bytes(self._ready[:size] if size >= 0 else self._ready)
        del self._ready[: len(piece)]
        if not piece and self._at_end is not None:
            at_end, self._at_end = self._at_end, None
            at_end()
        return piece

    def _pull(self) -> None:
        try:
            chunk = next(self._chunks, None)
        except OSError as error:  # not one of the disk that it is written to
            raise FileIncomplete(
                f"The file can't be read to its end: {error.strerror or type(error).__name__}.",
                hint="Nothing of it was kept: send it again.",
            ) from error
        if chunk is None:
            self._ended = True
            if self._length is not None and self.size_bytes != self._length:
                raise FileIncomplete(
                    f"The file was said to have {self._length} bytes, {self.size_bytes} came.",
                    hint="The transfer was cut short or its length is wrong: send it again.",
                )
            if self._decoder is not None:
                self._check_text(b"", final=True)
            if self._expected not in (None, self.sha256):
                raise FileRefused("The file isn't what its hash says.", hint="Copy it anew.")
            return
        self.size_bytes += len(chunk)
        if self.size_bytes > self._settings.file_max_bytes:
            raise _too_large(self._settings.file_max_bytes)
        if self._length is not None and self.size_bytes > self._length:
            raise FileIncomplete(
                f"The file was said to have {self._length} bytes, more came.",
                hint="Its length is wrong: send it again.",
            )
        if self._decoder is not None:
            self._check_text(chunk)
        self._digest.update(chunk)
        self._ready += chunk

    @property
    def sha256(self) -> str:
        """Hash of what came, hexadecimal."""
        return self._digest.hexdigest()

    def _check_text(self, piece: bytes, *, final: bool = False) -> None:
        assert self._decoder is not None
        try:
            text = self._decoder.decode(piece, final=final or self._ended)
        except UnicodeDecodeError:
            text = "\x00"
        if _CONTROLS.search(text):
            raise FileRefused(
                "The file isn't text all through.", hint="Save it as UTF-8, or as what it is."
            )

    def as_file(self) -> BinaryIO:
        """It as a file that is read once."""
        return io.BufferedReader(_Raw(self), buffer_size=1024 * 1024)


class _Raw(io.RawIOBase):
    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object, /) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        piece = self._incoming.read(len(view))
        view[: len(piece)] = piece
        return len(piece)


def _too_large(most: int) -> FileTooLarge:
    return FileTooLarge(
        f"The file is larger than {most} bytes.", hint="[journal] file_max_bytes is the limit."
    )


def check(file: BinaryIO, name: str, settings: JournalSettings) -> None:
    """Read a file to its end; raises what attaching it would."""
    incoming = Incoming(chunks_of(file), name=name, said=None, length=None, settings=settings)
    incoming.begin()
    while incoming.read(1024 * 1024):
        pass
