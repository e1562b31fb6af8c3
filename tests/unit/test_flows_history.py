"""What a start of the flows does with what an earlier life left."""

from __future__ import annotations

import socket
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from flows.history import ASIDE, set_aside_damaged
from flows.server import ADDRESS, bind, forget


def made(directory: Path) -> Path:
    path = directory / "prefect.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE run (name TEXT)")
        database.executemany("INSERT INTO run VALUES (?)", [(f"run {n}",) for n in range(5000)])
        database.commit()
    return path


@pytest.mark.parametrize("where", ["beginning", "middle", "end"])
def test_a_damaged_history_makes_room_for_a_new_one(tmp_path: Path, where: str) -> None:
    path = made(tmp_path)
    content = path.read_bytes()
    half = len(content) // 2 // 4096 * 4096
    path.write_bytes(
        {
            "beginning": b"x" * 2000 + content[2000:],
            "middle": content[:half] + b"x" * 4096 + content[half + 4096 :],
            "end": content[:half],
        }[where]
    )
    damaged = path.read_bytes()
    set_aside_damaged(tmp_path)
    assert not path.exists()
    assert (tmp_path / f"prefect.db{ASIDE}").read_bytes() == damaged


def test_a_whole_one_stays_also_while_somebody_has_it(tmp_path: Path) -> None:
    set_aside_damaged(tmp_path)
    path = made(tmp_path)
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO run VALUES ('now')")
        set_aside_damaged(tmp_path)
        other.commit()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM run").fetchone() == (5001,)


# Python has none on Windows; there bind() takes a port, which nobody has to remove.
@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no unix sockets here")
def test_the_socket_of_a_life_that_was_killed_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    held = bind()
    path = Path(held[1].getsockname())
    for each in held:
        each.close()
    address = tmp_path / ADDRESS
    address.write_bytes(orjson.dumps({"socket": str(path)}))
    forget(tmp_path)
    assert list(tmp_path.iterdir()) == []
    for content in (b"", b"{}", orjson.dumps({"socket": str(tmp_path / "gone" / "flows")})):
        address.write_bytes(content)
        forget(tmp_path)
        assert list(tmp_path.iterdir()) == []
