"""What every store promises; each implementation runs it with a fixture ``store`` of its own.

``Suite`` isn't collected by itself: a module subclasses it and gives the fixtures ``store`` (empty)
and ``damage`` (writes other bytes behind its back).
"""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lifelog_lake.errors import LakeDamaged
from lifelog_lake.lake.blobs import has, hash_of
from lifelog_lake.lake.store import Store, blob_key

PART = 8 * 2**20
Damage = Callable[[str, bytes], None]


def blob(tmp_path: Path, content: bytes) -> tuple[Path, str]:
    """A file and its hash."""
    source = tmp_path / f"source-{len(content)}"
    source.write_bytes(content)
    return source, hashlib.sha256(content).hexdigest()


class Suite:
    """The promises of :class:`~lifelog_lake.lake.store.Store`."""

    def test_what_is_written_is_read(self, store: Store) -> None:
        for content in (b"", b"one", os.urandom(3 * 2**20)):
            store.write("tables/window/some file", content, at="data")
            assert store.read("tables/window/some file") == content
            found = store.stat("tables/window/some file")
            assert found.size_bytes == len(content)
            assert found.modified_s > 1e9

    def test_what_is_missing_is_said(self, store: Store) -> None:
        for look in (store.read, store.open, store.stat):
            with pytest.raises(FileNotFoundError):
                look("control/nothing")
        assert list(store.keys("control/nothing")) == []
        store.delete("control/nothing", at="lake")

    def test_each_writing_has_its_own_tag(self, store: Store) -> None:
        store.write("control/a", b"1", at="lake")
        first = store.stat("control/a").tag
        assert store.stat("control/a").tag == first
        store.write("control/a", b"2", at="lake")
        assert store.stat("control/a").tag != first

    def test_one_of_many_first_writers_wins(self, store: Store) -> None:
        gate = threading.Barrier(6)

        def write(number: int) -> bool:
            gate.wait()
            return store.write_new("control/first", b"content %d" % number, at="lake")

        with ThreadPoolExecutor(6) as threads:
            won = list(threads.map(write, range(6)))
        assert sum(won) == 1
        assert store.read("control/first") == b"content %d" % won.index(True)

    def test_a_first_writer_that_repeats_itself_has_won(self, store: Store) -> None:
        assert store.write_new("control/first", b"mine", at="lake")
        assert store.write_new("control/first", b"mine", at="lake")
        assert not store.write_new("control/first", b"other", at="lake")
        assert store.read("control/first") == b"mine"

    def test_keys_are_listed_in_order_below_a_key(self, store: Store) -> None:
        names = [f"tables/t/_delta_log/{n:020d}.json" for n in range(23)]
        for name in (*names, "tables/tt/x", "tables/t/date=2026-01-02/a b.parquet"):
            store.write(name, b"{}", at="data")
        assert list(store.keys("tables/t/_delta_log")) == names
        assert len(list(store.keys("tables/t"))) == 24
        store.write("tables/_sums/_delta_log/00000000000000000000.json", b"{}", at="data")
        assert store.streams() == ["t"]
        store.delete(names[0], at="data")
        assert list(store.keys("tables/t/_delta_log")) == names[1:]

    def test_many_are_deleted(self, store: Store) -> None:
        names = [f"tables/t/date=2026-01-0{n % 3 + 1}/{n}.parquet" for n in range(20)]
        for name in names:
            store.write(name, b"1", at="data")
        store.delete_many([*names[:15], "tables/t/date=2026-01-01/gone"], at="vacuum")
        assert sorted(store.keys("tables/t")) == sorted(names[15:])
        store.delete_many([], at="vacuum")

    def test_what_is_whole_is_no_leftover(self, store: Store) -> None:
        store.write("tables/t/date=2026-01-01/a.parquet", b"1", at="data")
        assert store.clear_leftovers(0) == 0
        assert list(store.keys("tables/t")) == ["tables/t/date=2026-01-01/a.parquet"]

    def test_reading_seeks(self, store: Store) -> None:
        content = os.urandom(3 * 2**20 + 7)
        store.write("control/long", content, at="lake")
        with store.open("control/long") as file:
            assert file.read(10) == content[:10]
            assert file.seek(0, io.SEEK_END) == len(content)
            assert file.read(1) == b""
            file.seek(len(content) - 5)
            assert file.read(100) == content[-5:]
            file.seek(2**20)
            assert file.read(2**20) == content[2**20 : 2**21]
            file.seek(0)
            assert hash_of(file) == hashlib.sha256(content).hexdigest()

    @pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 3 * PART])
    def test_content_of_any_size_is_brought_once(
        self, store: Store, tmp_path: Path, size: int
    ) -> None:
        source, sha256 = blob(tmp_path, os.urandom(size))
        assert not has(store, sha256)
        moves: list[tuple[int, int]] = []
        assert store.put_blob(source, sha256, lambda done, whole: moves.append((done, whole)))
        assert not store.put_blob(source, sha256)
        assert has(store, sha256, size)
        assert not has(store, sha256, size + 1)
        with store.open(blob_key(sha256)) as file:
            assert hash_of(file) == sha256
        if size > PART:
            assert moves[-1] == (size, size)
            assert moves == sorted(moves)

    @pytest.mark.parametrize("size", [100, PART + 100])
    def test_content_that_changed_in_the_spool_is_refused(
        self, store: Store, tmp_path: Path, size: int
    ) -> None:
        source, sha256 = blob(tmp_path, os.urandom(size))
        content = source.read_bytes()
        source.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(LakeDamaged):
            store.put_blob(source, sha256)
        assert not has(store, sha256)

    @pytest.mark.parametrize("size", [100, PART + 100])
    def test_content_that_was_cut_in_the_lake_is_brought_again(
        self, store: Store, damage: Damage, tmp_path: Path, size: int
    ) -> None:
        content = os.urandom(size)
        source, sha256 = blob(tmp_path, content)
        assert store.put_blob(source, sha256)
        damage(blob_key(sha256), content[:-50])
        assert store.put_blob(source, sha256)
        with store.open(blob_key(sha256)) as file:
            assert hash_of(file) == sha256

    def test_two_processes_may_look_at_once_whether_it_is_fit(self, store: Store) -> None:
        store.prepare()
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda _: [store.check_in() for _ in range(5)], range(2)))

    def test_it_is_fit_and_says_so_again_and_again(self, store: Store) -> None:
        store.prepare()
        for _ in range(3):
            store.check_in()
        assert all(item.ok for item in store.probe())
        assert all(key.startswith("control/probe/") for key in store.keys("control"))
        assert store.streams() == []
