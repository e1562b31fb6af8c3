"""``lifelog event``, ``export`` and ``import`` through a hub's API, with a token."""

from __future__ import annotations

import json
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from lifelog_lake.server.api.imports import ImportHandler
from tests.fixtures.api import Served, served_api
from tests.fixtures.command import Run, a_home, said  # noqa: F401 - fixtures
from tests.fixtures.within import a_command_within, js  # noqa: F401 - fixtures
from tests.helpers import ship, window


@pytest.fixture(scope="module", name="served")
def the_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("hub")
        patch.setenv("LIFELOG_HOME", str(home))
        with served_api(home, file_max_bytes=300_000) as served:
            # Its lake is opened now: the commands below have another LIFELOG_HOME in this process.
            api = served.api("read", name="first")
            assert api.get("events", params={"stream": "window"}).json()["events"] == []
            yield served


@pytest.fixture(name="there")
def a_command_elsewhere(
    lifelog: Run, served: Served, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Run:
    """``lifelog`` on a device whose entries go through the hub."""
    token = served.api("read", "write", name=request.node.name[:50]).token
    monkeypatch.setenv("LIFELOG_HUB", served.url)
    monkeypatch.setenv("LIFELOG_API_TOKEN", token)
    return lifelog


def test_an_entry_from_its_writing_to_its_end(there: Run, home: Path, tmp_path: Path) -> None:
    note, large = tmp_path / "ä note.md", tmp_path / "large.txt"
    note.write_text("# Note")
    large.write_text("x" * 300_001)
    words = ["event", "create", "--title", "Dinner 🍝", "--tags", "food, family", "--attach", note]
    made = js(there(*map(str, words), "--at", "2026-01-02T18:30+01:00", "--meta", '{"a": 1.5}',
                    "--json"))  # fmt: skip
    assert (made["title"], made["tags"], made["metadata"]) == (
        "Dinner 🍝",
        ["food", "family"],
        {"a": 1.5},
    )
    assert made["at"] == "2026-01-02T17:30:00.000000Z"
    (file,) = made["attachments"]
    assert file["name"] == "ä note.md"
    name = made["id"]
    piped = there("event", "attach", name, "-", "--name", "p.txt", stdin=b"from a pipe")
    assert piped.returncode == 0, said(piped)
    refused = there("event", "attach", name, str(large))
    assert refused.returncode == 2
    assert "300000 bytes" in said(refused)
    assert "note.md" not in said(there("event", "attach", name, "--remove", file["key"]))
    edited = js(there("event", "edit", name, "--tags", "", "--title", "Supper", "--json"))
    assert (edited["tags"], edited["title"]) == ([], "Supper")
    stale = there("event", "edit", name, "--desc", "x", "--if-revision", made["revision"])
    assert stale.returncode == 2
    assert "changed meanwhile" in said(stale)
    assert "p.txt" in said(there("event", "show", name))
    assert "Supper" in said(there("event", "list", "--start", "2026-01-01", "--end", "2026-02-01"))
    assert js(there("event", "delete", name, "--json")) == {"id": name, "deleted": True}
    assert there("event", "show", name).returncode == 2
    history = js(there("event", "show", name, "--history", "--json"))["revisions"]
    assert [one["title"] for one in history] == ["Dinner 🍝", "Supper", ""]
    back = js(there("event", "undelete", name, "--json"))
    assert (back["title"], len(back["attachments"])) == ("Supper", 1)
    assert js(there("event", "list", "--json", LIFELOG_HUB=""))["entries"] == [], "nothing is here"


def test_an_entry_whose_file_is_refused_is_none(there: Run, tmp_path: Path) -> None:
    good, bad = tmp_path / "a.txt", tmp_path / "b.png"
    good.write_text("fine")
    bad.write_text("<svg></svg>")
    words = ["--tags", "refused", "--attach", str(good), "--attach", str(bad)]
    done = there("event", "create", "--title", "t", *words)
    assert done.returncode == 2
    assert "page or drawing" in said(done)
    assert there("event", "list", "--tag", "refused").stdout == "No entries.\n"


def test_pages_go_on_and_streams_are_listed(there: Run, served: Served) -> None:
    for n in range(3):
        there("event", "create", "--title", f"n{n}", "--tags", "paged", "--at", f"2026-02-0{n + 1}")
    page = js(there("event", "list", "--tag", "paged", "--limit", "2", "--json"))
    assert [one["title"] for one in page["entries"]] == ["n2", "n1"]
    words = ["--tag", "paged", "--limit", "2", "--cursor", page["cursor"], "--json"]
    rest = js(there("event", "list", *words))
    assert [one["title"] for one in rest["entries"]] == ["n0"]
    assert rest["cursor"] is None
    served.work.append([window(0)])
    ship(served.home)
    local = {"LIFELOG_HUB": "", "LIFELOG_HOME": str(served.home.path)}
    for where in ({}, local):
        listed = there("event", "list", "--stream", "window", "--start", "2026-01-02", **where)
        assert "editor" in listed.stdout, said(listed)


def test_out_of_a_hub_and_into_it(there: Run, served: Served, tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("content of the export")
    there("event", "create", "--title", "out", "--attach", str(note))
    out = tmp_path / "out.zip"
    assert "Exported to" in said(there("export", "--out", str(out)))
    with zipfile.ZipFile(out) as archive:
        titles = [json.loads(line)["title"] for line in archive.open("entries.jsonl")]
        assert "out" in titles
        assert any(archive.read(one) == b"content of the export" for one in archive.namelist())
    lines = there("export", "--out", "-", "--format", "jsonl").stdout.splitlines()
    assert len(lines) == len(titles)
    dry = js(there("import", str(out), "--dry-run", "--json"))
    assert (dry["entries"], dry["changes"], dry["files"], dry["dry_run"]) == (0, 0, 0, True)
    page = js(there("event", "list", "--limit", "500", "--json"))
    listed = json.dumps({"events": page["entries"]}).encode()  # as GET events gives it
    again = js(there("import", "-", "--format", "json", "--json", stdin=listed))
    assert (again["entries"], again["changes"]) == (0, 0)
    assert again["present"] >= len(page["entries"])
    csv = b"Summary;When\nof a table;2026-03-04T05:06:07Z\n"
    words = ["import", "-", "--format", "csv", "--map", "title=Summary,at=When"]
    for new in (1, 0):
        assert f"{new} new" in said(there(*words, stdin=csv))
    wrong = there("import", "-", "--format", "jsonl", stdin=b'{"title": "fine"}\n{"text": "x"}')
    assert wrong.returncode == 2
    assert "Line 2" in said(wrong)
    # The answer is on its way before what it is about is cleared away.
    until(lambda: not list((served.home.run / "imports").iterdir()))


def until(held: Callable[[], bool]) -> None:
    """Wait for it."""
    end_s = time.monotonic() + 60
    while not held():
        assert time.monotonic() < end_s
        time.sleep(0.02)


def test_an_import_that_is_cut_leaves_nothing(there: Run, served: Served) -> None:
    api = served.api("write", name="cut")

    def half() -> Iterator[bytes]:
        yield b'{"title": "half"}\n' * 1000
        until(lambda: ImportHandler.running == 1)
        raise ConnectionAbortedError

    with pytest.raises(requests.ConnectionError):
        api.post("import", params={"format": "jsonl"}, data=half())
    kept = served.home.run / "imports"
    until(lambda: not ImportHandler.running and not list(kept.glob("*")))
    assert "half" not in there("event", "list").stdout
    refused = served.api("ingest", name="no").post("import?format=jsonl", data=b"{}")
    assert refused.status_code == 403


def test_a_hub_that_is_away_is_told_with_its_own_code(lifelog: Run) -> None:
    words = ["event", "create", "--title", "t", "--hub", "http://127.0.0.1:9"]
    done = lifelog(*words, LIFELOG_API_TOKEN="x" * 20)
    assert done.returncode == 3
    assert "can't be reached" in said(done)
    done = lifelog(*words, LIFELOG_API_TOKEN="", API_TOKEN="")
    assert done.returncode == 2
    assert "There is no token" in said(done)
