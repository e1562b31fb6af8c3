"""Files attached to entries: judged by content, bounded, whole or not at all."""

from __future__ import annotations

import hashlib
import io
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lifelog_lake.config import load
from lifelog_lake.errors import (
    FileRefused,
    FileTooLarge,
    LakeDamaged,
    LifelogError,
    UnknownEntry,
    UsageError,
)
from lifelog_lake.home import Home
from lifelog_lake.journal_settings import JournalSettings
from lifelog_lake.recall.journal.content import display_name, judge
from lifelog_lake.recall.journal.journal import Journal, Upload
from lifelog_lake.recall.journal.model import NewEntry
from tests.fixtures.contents import picture, video
from tests.fixtures.journal import home_of, journal_of, upload, written
from tests.helpers import ship, verified


@pytest.fixture(name="home")
def a_home(tmp_path: Path) -> Home:
    return home_of(tmp_path / "home", file_max_bytes=300_000, attachments_per_entry=3)


@pytest.fixture(name="journal")
def a_journal(home: Home) -> Iterator[Journal]:
    with journal_of(home) as journal:
        yield journal


@pytest.fixture(name="shared", scope="module")
def a_shared_journal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, Journal]]:
    """For what leaves nothing behind."""
    home = home_of(tmp_path_factory.mktemp("shared") / "home", file_max_bytes=300_000)
    with journal_of(home) as journal:
        yield home, journal


def in_spool(home: Home) -> list[str]:
    """Content and unfinished files of the spool."""
    found = (home.spool / "attachment").rglob("*")
    return [path.name for path in found if "-" in path.name and path.parent.name == "blobs"] + [
        path.name for path in (home.spool / "attachment").glob(".tmp-*")
    ]


GOOD: dict[str, tuple[Callable[[], bytes], str]] = {
    "photo.jpg": (lambda: picture("JPEG"), "image/jpeg"),
    "shot.png": (lambda: picture("PNG"), "image/png"),
    "shot.webp": (lambda: picture("WEBP"), "image/webp"),
    "scan.pdf": (lambda: picture("PDF"), "application/pdf"),
    "clip.mp4": (video, "video/mp4"),
    "a.txt": ("Grüße, 日本".encode, "text/plain"),
    "a.md": (lambda: b"# Title\n\nText <b>bold</b>", "text/markdown"),
    "a.csv": (lambda: b"\xef\xbb\xbfa;b\n1;2\n", "text/csv"),
    "no-ending": (lambda: b"From: a letter\n", "text/plain"),
    "named-wrong.txt": (lambda: picture("PNG"), "image/png"),
}


def test_a_file_is_what_its_content_is(tmp_path: Path) -> None:
    home = home_of(tmp_path / "home", file_max_bytes=300_000)
    with journal_of(home) as journal:
        entry = written(journal)
        files = {}
        for name, (make, media_type) in GOOD.items():
            content = make()
            file = journal.attach(entry.id, upload(content, name, length=len(content)))
            assert (file.media_type, file.name, file.size_bytes) == (media_type, name, len(content))
            assert file.sha256 == hashlib.sha256(content).hexdigest()
            files[file] = content
        for _ in range(2):
            assert journal.get(entry.id).attachments == tuple(files)
            for file, content in files.items():
                assert journal.attachment(file.key) == file
                with journal.content(file) as there:
                    assert there.read() == content
            ship(home)
    assert in_spool(home) == []
    verified(home)


ELF, EXE = b"\x7fELF\x02\x01\x01" + bytes(60), b"MZ\x90\0\x03" + bytes(60)
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
HTML = b"\n <!DOCTYPE html><script>alert(1)</script>"
ZIP = io.BytesIO()
with zipfile.ZipFile(ZIP, "w") as archive:
    archive.writestr("a", "b")
BAD = {
    "svg as png": (SVG, "photo.png"),
    "svg": (SVG, "drawing.svg"),
    "svg behind a comment": (b"<!-- x -->" + SVG, "a.txt"),
    "svg with xml head": (b"<?xml version='1.0'?>" + SVG, "a.jpg"),
    "svg behind a mark": (b"\xef\xbb\xbf" + SVG, "a.txt"),
    "html as text": (HTML, "a.txt"),
    "html as markdown": (b"<ScRiPt >alert(1)</script>", "a.md"),
    "php": (b"<?php system('x');", "a.txt"),
    "shell script": (b"#!/bin/sh\nrm -rf ~\n", "notes.txt"),
    "batch": (b"@echo off\r\ndel x", "notes.txt"),
    "elf": (ELF, "a.png"),
    "exe": (EXE, "a.pdf"),
    "ending exe": (b"harmless", "setup.exe"),
    "ending sh": (b"echo", "run.sh"),
    "ending behind a dot": (b"echo", "run.sh. "),
    "ending in capitals": (b"echo", "RUN.PS1"),
    "picture named exe": (picture("PNG"), "photo.png.exe"),
    "zip": (ZIP.getvalue(), "a.zip"),
    "zip as text": (ZIP.getvalue(), "a.txt"),
    "gif": (picture("GIF"), "a.gif"),
    "latin-1": ("Grüße".encode("latin-1"), "a.txt"),
    "utf-16": ("text".encode("utf-16"), "a.txt"),
    "zeros": (bytes(1000), "a.txt"),
    "zeros far behind": (b"text " * 20_000 + bytes(9), "a.txt"),
    "half a character at the end": (b"text " * 20_000 + b"\xc3", "a.txt"),
    "empty": (b"", "a.txt"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_refused_leaves_nothing(name: str, shared: tuple[Home, Journal]) -> None:
    content, called = BAD[name]
    home, journal = shared
    entry = written(journal)
    with pytest.raises(FileRefused) as caught:
        journal.attach(entry.id, upload(content, called, media_type="text/plain"))
    assert caught.value.message
    assert journal.get(entry.id).attachments == ()
    assert in_spool(home) == []


def test_what_the_library_does_not_know_may_still_be_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its second major version, of newer Pythons, says so by an empty list."""
    monkeypatch.setattr("puremagic.magic_string", lambda _: [])
    assert judge(b"From: a letter\n", "a", None, JournalSettings()) == "text/plain"


def broken(content: bytes) -> Iterator[bytes]:
    yield content
    raise ConnectionResetError(104, "Connection reset by peer")


@pytest.mark.parametrize(
    ("file", "kind", "words"),
    [
        (upload(b"x" * 300_001, "a.txt"), FileTooLarge, "300000"),
        (upload(b"x", "a.txt", length=300_001), FileTooLarge, "300000"),
        (upload(b"x" * 99, "a.txt", length=100), FileRefused, "cut short"),
        (upload(b"x" * 50_000, "a.txt", length=60_000), FileRefused, "50000 came"),
        (upload(b"x" * 101, "a.txt", length=100), FileRefused, "more came"),
        (Upload(chunks=broken(b"x" * 90_000), name="a.txt"), FileRefused, "reset by peer"),
    ],
)
def test_a_cut_or_oversized_stream_leaves_nothing(
    file: Upload, kind: type[LifelogError], words: str, home: Home, journal: Journal
) -> None:
    entry = written(journal)
    with pytest.raises(kind, match=words):
        journal.attach(entry.id, file)
    assert journal.get(entry.id).attachments == ()
    assert in_spool(home) == []


def test_too_large_a_length_is_refused_unread(journal: Journal) -> None:
    def never() -> Iterator[bytes]:
        raise AssertionError("it was read")
        yield b""

    entry = written(journal)
    with pytest.raises(FileTooLarge):
        journal.attach(entry.id, Upload(chunks=never(), name="a.txt", length=10**12))


def test_an_endless_stream_ends_at_the_limit_in_constant_memory(tmp_path: Path) -> None:
    home = home_of(tmp_path / "home", file_max_bytes=64 * 2**20)

    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 100_000

    with journal_of(home) as journal:
        entry = written(journal)
        tracemalloc.start()
        with pytest.raises(FileTooLarge):
            journal.attach(entry.id, Upload(chunks=endless(), name="a.txt"))
        assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
        tracemalloc.stop()
    assert in_spool(home) == []


def test_an_entry_has_so_many_files_also_for_two_at_once(home: Home, journal: Journal) -> None:
    entry = written(journal)
    for n in range(2):
        journal.attach(entry.id, upload(b"file %d" % n, "a.txt"))

    def another_meanwhile() -> Iterator[bytes]:
        yield b"slow "
        with journal_of(home) as other:
            other.attach(entry.id, upload(b"quick", "quick.txt"))
        yield b"file"

    with pytest.raises(FileRefused, match="at most 3"):
        journal.attach(entry.id, Upload(chunks=another_meanwhile(), name="slow.txt"))
    assert [file.name for file in journal.get(entry.id).attachments][2:] == ["quick.txt"]
    with pytest.raises(FileRefused, match="at most 3"):
        journal.create(NewEntry(title="t"), [upload(b"x", "a.txt")] * 4)


def test_what_was_deleted_while_a_file_came_takes_it_not(home: Home, journal: Journal) -> None:
    entry = written(journal)

    def meanwhile() -> Iterator[bytes]:
        yield b"slow "
        with journal_of(home) as other:
            other.delete(entry.id)

    with pytest.raises(UnknownEntry):
        journal.attach(entry.id, Upload(chunks=meanwhile(), name="slow.txt"))
    assert in_spool(home) == []


def test_a_file_that_is_removed_makes_room(home: Home, journal: Journal) -> None:
    entry = written(journal)
    files = [journal.attach(entry.id, upload(b"%d" % n, "a.txt")) for n in range(3)]
    ship(home)
    journal.detach(files[1].key)
    for _ in range(2):
        assert journal.get(entry.id).attachments == (files[0], files[2])
        with pytest.raises(UnknownEntry):
            journal.attachment(files[1].key)
        ship(home)
    journal.attach(entry.id, upload(b"again", "a.txt"))
    journal.delete(entry.id)
    with pytest.raises(UnknownEntry):
        journal.attachment(files[0].key)


def test_keys_cannot_be_guessed(journal: Journal) -> None:
    entry = written(journal)
    keys = {journal.attach(entry.id, upload(b"same", "a.txt")).key for _ in range(3)}
    assert len(keys) == 3
    assert all(len(key) == 32 for key in keys)


def test_content_that_is_gone_is_said_to_be(home: Home, journal: Journal) -> None:
    entry = written(journal)
    file = journal.attach(entry.id, upload(b"content", "a.txt"))
    ship(home)
    next(Path(home.lake_url).glob(f"blobs/sha256/*/*/{file.sha256}")).unlink()
    with pytest.raises(LakeDamaged, match="isn't in the lake"):
        journal.content(file)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\a.txt", "a.txt"),
        ("a\0b\n.txt", "ab.txt"),
        ("photo\u202egpj.txt", "photogpj.txt"),
        ("CON.txt", "_CON.txt"),
        ("..", "file.txt"),
        ("", "file.txt"),
        ("\ud800.txt", "\ufffd.txt"),
        ('<a>"b".txt', "_a__b_.txt"),
        ("Ω" * 300 + ".txt", "Ω" * 98 + ".txt"),
        ("שלום.txt", "שלום.txt"),
    ],
)
def test_a_name_is_safe_to_show(given: str, shown: str) -> None:
    assert display_name(given, "text/plain") == shown


def test_the_settings_say_what_may_be_attached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FILE_MAX_BYTES", "1000")
    monkeypatch.setenv("ATTACHMENT_MAX_PER_EVENT", "2")
    monkeypatch.setenv("ALLOWED_MIME_TYPES", "image/GIF, text/plain")
    found = load(tmp_path).journal
    assert (found.file_max_bytes, found.attachments_per_entry) == (1000, 2)
    assert found.allowed_types == ("image/gif", "text/plain")
    monkeypatch.setenv("LIFELOG_JOURNAL__ALLOWED_TYPES", "text/plain,image/svg+xml")
    with pytest.raises(UsageError, match="a browser would run"):
        load(tmp_path)
    monkeypatch.setenv("LIFELOG_JOURNAL__ALLOWED_TYPES", "png")
    with pytest.raises(UsageError, match="media type"):
        load(tmp_path)
