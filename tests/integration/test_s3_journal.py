"""The journal with its lake on S3: offline it goes on, files come back whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import requests

from lifelog_lake.home import open_home
from lifelog_lake.server.secret import read_token
from tests.fixtures.api import Api, Served
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


def test_a_download_can_come_from_the_lakes_own_server(
    s3_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home(tmp_path / "home", lake=s3_url)
    monkeypatch.setenv("LIFELOG_HOME", str(home.path))
    flags = {
        "lake": {"url": s3_url},
        "spool": {"min_free_bytes": 0},
        "server": {"presigned_links": True},
    }
    with Served(open_home(home.path, flags=flags)) as served:
        api = Api(served.url, read_token(home.path))
        entry = api.post("events", json={"title": "with a file"}).json()
        made = api.put(f"events/{entry['id']}/attachments/a%20b.txt", data=b"some words").json()
        waits = api.get(f"attachments/{made['key']}", allow_redirects=False)
        assert (waits.status_code, waits.content) == (200, b"some words")  # still in the spool
        ship(home)
        answer = api.get(f"attachments/{made['key']}", allow_redirects=False)
        assert answer.status_code == 307
        link = answer.headers["Location"]
        assert "X-Amz-Expires=300" in link
        assert api.token not in link
        content = requests.get(link, timeout=60)  # no token, no cookie
        assert content.content == b"some words"
        assert content.headers["Content-Disposition"] == "attachment; filename*=UTF-8''a%20b.txt"
        broken = link.replace("X-Amz-Signature=", "X-Amz-Signature=0")
        assert requests.get(broken, timeout=60).status_code == 403
