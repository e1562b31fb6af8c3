"""The journal with its lake on S3: offline it goes on, files come back whole."""

from __future__ import annotations

import os
from pathlib import Path

from lifelog_lake.home import open_home
from tests.fixtures.journal import changed, journal_of, listed, upload, written
from tests.helpers import make_home, ship


def test_what_is_written_offline_arrives(s3_url: str, tmp_path: Path) -> None:
    home = make_home(tmp_path / "home", lake=s3_url)
    content = os.urandom(64 * 1024).hex().encode()
    with journal_of(home) as journal:
        entry = written(journal, "on S3")
        file = journal.attach(entry.id, upload(content, "a.txt", 10_000, length=len(content)))
        ship(home)
        assert journal.get(entry.id).attachments == (file,)
        with journal.content(file) as there:
            assert there.read() == content
    flags = {
        "lake": {"url": s3_url, "endpoint": "http://127.0.0.1:9"},
        "spool": {"min_free_bytes": 0},
    }
    with journal_of(open_home(home.path, flags=flags)) as offline:
        edited = changed(offline, entry.id, title="edited offline")
        new = written(offline, "new")
        assert offline.away is not None
        assert {one.id for one in listed(offline)} == {entry.id, new.id}
    ship(home)
    (home.path / "index" / "journal.db").unlink()
    with journal_of(home) as journal:
        assert {one.id: one.revision for one in listed(journal)} == {
            entry.id: edited.revision,
            new.id: new.revision,
        }
        assert journal.away is None
