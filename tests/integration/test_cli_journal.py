"""``lifelog event``, ``export`` and ``import``, as a person and a script use them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fixtures.command import LIFELOG, Done, Run, a_home, said  # noqa: F401 - fixtures
from tests.fixtures.within import a_command_within, js  # noqa: F401 - fixtures


def test_a_process_of_its_own_takes_what_is_piped_into_it(home: Path, lifelog: Run) -> None:
    surroundings = {**os.environ, "LIFELOG_HOME": str(home)}
    done = subprocess.run(
        [str(LIFELOG), "event", "create", "--title", "Clipping", "--desc", "-", "--json"],
        input="Grüße".encode(), env=surroundings, capture_output=True, timeout=120,
    )  # fmt: skip
    assert json.loads(done.stdout)["description"] == "Grüße"
    assert js(lifelog("event", "list", "--json"))["entries"] == [json.loads(done.stdout)]


def test_an_entry_from_its_writing_to_its_end(lifelog: Run, home: Path, tmp_path: Path) -> None:
    note, table = tmp_path / "note.md", tmp_path / "table.csv"
    note.write_text("# Note")
    table.write_text("a,b\n1,2\n")
    words = ["event", "create", "--title", "Dinner 🍝", "--tags", "food, family", "--desc", "Good"]
    meta = ["--at", "2026-01-02T18:30+01:00", "--meta", '{"cost": 12.5}', "--attach", str(note)]
    made = js(lifelog(*words, *meta, "--json"))
    assert (made["title"], made["tags"]) == ("Dinner 🍝", ["food", "family"])
    assert (made["at"], made["metadata"]) == ("2026-01-02T17:30:00.000000Z", {"cost": 12.5})
    assert [file["name"] for file in made["attachments"]] == ["note.md"]
    name = made["id"]
    lifelog("ship")
    attached = js(lifelog("event", "attach", name, str(table), "--json"))
    key = attached["attachments"][0]["key"]
    piped = lifelog("event", "attach", name, "-", "--name", "p.txt", stdin=b"from a pipe")
    assert piped.returncode == 0, said(piped)
    assert "note.md" not in said(lifelog("event", "attach", name, "--remove", key))
    edited = js(lifelog("event", "edit", name, "--tags", "", "--title", "Supper", "--json"))
    assert (edited["tags"], edited["title"], edited["description"]) == ([], "Supper", "Good")
    stale = lifelog("event", "edit", name, "--desc", "x", "--if-revision", made["revision"])
    assert stale.returncode == 2
    assert "changed meanwhile" in said(stale)
    shown = said(lifelog("event", "show", name))
    assert "Supper" in shown
    assert "table.csv" in shown
    assert "p.txt" in shown
    assert name in said(lifelog("event", "list"))
    assert js(lifelog("event", "delete", name, "--json")) == {"id": name, "deleted": True}
    assert lifelog("event", "show", name).returncode == 2
    assert js(lifelog("event", "undelete", name, "--json"))["title"] == "Supper"
    lifelog("event", "delete", name)
    history = js(lifelog("event", "show", name, "--history", "--json"))["revisions"]
    assert [one["title"] for one in history] == ["Dinner 🍝", "Supper", "", "Supper", ""]
    assert "deleted" in said(lifelog("event", "show", name, "--history"))


WITHOUT = """
import importlib.abc, sys

class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"polars", "pyarrow", "deltalake", "numpy", "puremagic"}:
            raise ModuleNotFoundError(f"{name} isn't installed", name=name)

sys.meta_path.insert(0, Block())
from lifelog_lake.cli import app
for words in sys.argv[1:]:
    print(app.run(words.split("|")), flush=True)
"""


def test_a_bare_installation_writes_entries(lifelog: Run, home: Path, tmp_path: Path) -> None:
    note = tmp_path / "a.txt"
    note.write_text("x")
    words = (
        f"--home|{home}|event|create|--title|from a small device|--tags|a|--json",
        f"--home|{home}|event|list",
        f"--home|{home}|event|create|--title|t|--attach|{note}",
    )
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *words], capture_output=True, text=True, timeout=120
    )
    codes = [line for line in done.stdout.splitlines() if line.isdigit()]
    assert codes == ["0", "2", "2"], said(done)
    assert done.stderr.index("the extra 'hub'") < done.stderr.index("the extra 'device'")
    (entry,) = js(lifelog("event", "list", "--json"))["entries"]
    assert entry["title"] == "from a small device"


def test_a_list_goes_on_where_it_ended(lifelog: Run, home: Path) -> None:
    lines = [{"title": f"n{n}", "tags": ["t"] if n % 2 else [], "at": f"2026-01-{n + 1:02}T12:00Z"}
             for n in range(6)]  # fmt: skip
    content = "\n".join(map(json.dumps, lines)).encode()
    assert lifelog("import", "-", "--format", "jsonl", stdin=content).returncode == 0
    page = js(lifelog("event", "list", "--limit", "2", "--json"))
    assert [one["title"] for one in page["entries"]] == ["n5", "n4"]
    rest = js(lifelog("event", "list", "--cursor", page["cursor"], "--json"))
    assert [one["title"] for one in rest["entries"]] == ["n3", "n2", "n1", "n0"]
    assert rest["cursor"] is None
    words = ["event", "list", "--tag", "t", "--tag", "u", "--any", "--oldest", "--json"]
    assert [one["title"] for one in js(lifelog(*words))["entries"]] == ["n1", "n3", "n5"]
    bounds = ["event", "list", "--start", "2026-01-02T00:00Z", "--end", "2026-01-04T00:00Z"]
    found = js(lifelog(*bounds, "--sort", "created_at", "--json"))["entries"]
    assert {one["title"] for one in found} == {"n1", "n2"}
    assert lifelog("event", "list", "--device", "nowhere").stdout == "No entries.\n"
    assert "cursor" in said(lifelog("event", "list", "--cursor", "x"))


def test_out_and_in_again(lifelog: Run, home: Path, tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("content")
    lifelog("event", "create", "--title", "one", "--attach", str(note))
    lifelog("event", "create", "--title", "two")
    out, again = tmp_path / "out.zip", tmp_path / "again.zip"
    assert "2 entries, 1 file" in said(lifelog("export", "--out", str(out)))
    other = {"LIFELOG_HOME": str(tmp_path / "other")}
    lifelog("init", **other)
    dry = js(lifelog("import", str(out), "--dry-run", "--json", **other))
    assert (dry["entries"], dry["files"], dry["first"]) == (2, 1, ["one", "two"])
    assert lifelog("event", "list", **other).stdout == "No entries.\n"
    assert "2 new entries" in said(lifelog("import", str(out), **other))
    assert "0 new entries" in said(lifelog("import", str(out), **other))
    lifelog("ship", **other)
    lifelog("export", "--out", str(again), **other)
    assert again.read_bytes() == out.read_bytes()
    lines = lifelog("export", "--out", "-", "--format", "jsonl", **other).stdout.splitlines()
    assert [json.loads(line)["title"] for line in lines] == ["one", "two"]
    named = tmp_path / "named.json"
    lifelog("export", "--out", str(named), **other)
    third = {"LIFELOG_HOME": str(tmp_path / "third")}
    lifelog("init", **third)
    assert "Left out 1 attachment" in said(lifelog("import", str(named), **third))
    assert lifelog("export", "--out", str(tmp_path / "x.doc")).returncode == 2
    assert lifelog("export", "--out", str(tmp_path / "x.doc"), "--format", "zip").returncode == 0
    assert "can't be written" in said(lifelog("export", "--out", str(tmp_path / "no" / "x.zip")))


CSV = (
    "\ufeffSummary;When;Labels;Mood\n"
    'Walk;2026-01-02T10:00:00Z;"a, b";good\n'
    'Walk;2026-01-02T10:00:00Z;"a, b";good\n'
    '"Line\nbreak; and ""quotes""";2026-01-03T10:00:00+05:30;;\n'
)


def test_csv_with_a_map_of_columns(lifelog: Run, tmp_path: Path) -> None:
    path = tmp_path / "notes.csv"
    path.write_text(CSV)
    words = ["import", str(path), "--map", "title=Summary,at=When,tags=Labels"]
    assert "Would bring in 3 new entries" in said(lifelog(*words, "--dry-run"))
    for new in (3, 0):
        done = js(lifelog(*words, "--json"))
        assert (done["entries"], done["changes"], done["present"]) == (new, 0, 3 - new)
    found = js(lifelog("event", "list", "--oldest", "--json"))["entries"]
    assert [one["title"] for one in found] == ["Walk", "Walk", 'Line\nbreak; and "quotes"']
    assert (found[0]["tags"], found[0]["metadata"]) == (["a", "b"], {"Mood": "good"})
    assert found[2]["at"] == "2026-01-03T04:30:00.000000Z"
    lifelog("event", "edit", found[0]["id"], "--title", "Walk, edited")
    lifelog("event", "delete", found[1]["id"])
    assert js(lifelog(*words, "--json"))["entries"] == 0
    assert len(js(lifelog("event", "list", "--json"))["entries"]) == 2


def test_lines_with_ids_of_their_own_are_brought_up_to_date(lifelog: Run, tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    for title, new, changes in (("before", 1, 0), ("after", 0, 1), ("after", 0, 0)):
        path.write_text(json.dumps({"id": "n-1", "title": title, "url": "x"}) + "\n\n")
        done = js(lifelog("import", str(path), "--json"))
        assert (done["entries"], done["changes"]) == (new, changes)
    (entry,) = js(lifelog("event", "list", "--json"))["entries"]
    assert (entry["id"], entry["title"], entry["metadata"]) == ("n-1", "after", {"url": "x"})


def test_odd_columns_lose_nothing_and_the_last_of_one_id_counts(
    lifelog: Run, tmp_path: Path
) -> None:
    path = tmp_path / "odd.csv"
    path.write_text(
        '"a, b, c, d";"Title\nof it ";id;note;note\n'
        + "".join(f"1;v{n};same;first;second\n" for n in range(8))
    )
    words = ["import", str(path), "--map", "title=Title\nof it", "--json"]
    done = js(lifelog(*words))
    assert (done["entries"], done["changes"]) == (1, 7)
    (entry,) = js(lifelog("event", "list", "--json"))["entries"]
    assert (entry["title"], entry["lamport"]) == ("v7", 8)
    assert entry["metadata"] == {"a, b, c, d": "1", "note": "first", "note#2": "second"}
    assert js(lifelog(*words))["present"] == 8
    lines = tmp_path / "long.jsonl"
    lines.write_text('{"title": "t", "text in digits": "12345678901234567890123"}\n')
    assert js(lifelog("import", str(lines), "--json"))["entries"] == 1
    lines.write_text('{"title": "t", "number": 12345678901234567890123}\n')  # a float would differ
    assert "Line 1 isn't JSON: a whole number has more" in said(lifelog("import", str(lines)))


# Windows has no mkfifo, and its shells hand no pipe over by a name.
@pytest.mark.skipif(os.name == "nt", reason="named pipes of a shell are POSIX")
def test_a_pipe_is_read_as_a_file_is(lifelog: Run, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def piped(content: bytes, *words: str) -> Done:
        with ThreadPoolExecutor(1) as other:
            other.submit(pipe.write_bytes, content)
            return lifelog(*words, "--json")

    done = js(piped(b'{"title": "one"}\n', "import", str(pipe), "--format", "jsonl"))
    assert done["entries"] == 1
    made = js(piped(b"words", "event", "create", "--title", "two", "--attach", str(pipe)))
    assert made["attachments"][0]["size_bytes"] == 5
    with ThreadPoolExecutor(1) as other:
        read = other.submit(pipe.read_bytes)
        assert lifelog("export", "--out", str(pipe), "--format", "jsonl").returncode == 0
        lines = read.result(60).splitlines()
    assert [json.loads(line)["title"] for line in lines] == ["one", "two"]
    assert pipe.is_fifo(), "nothing took its place"


OURS = {
    "id": "e", "revision": "r", "parent": None, "lamport": 1, "device": "d",
    "updated_at": "2026-01-02T03:04:05Z", "at": "2026-01-02T03:04:05Z", "tz": None,
    "created_at": "2026-01-02T03:04:05Z", "title": "t", "description": "", "tags": [],
    "metadata": {},
}  # fmt: skip
FILE = {
    "id": "f", "key": "k", "name": "a.txt", "media_type": "text/plain", "size_bytes": 4,
    "sha256": "3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b7",
    "uploaded_at": "2026-01-02T03:04:05Z", "device": "d",
}  # fmt: skip


def a_zip(path: Path, content: bytes | None, **file: object) -> None:
    """An export with one attachment, ``data`` unless told otherwise."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        entry = OURS | {"attachments": [FILE | file]}
        archive.writestr("entries.jsonl", json.dumps(OURS | {"id": "e0", "revision": "r0"}) + "\n"
                         + json.dumps(entry) + "\n")  # fmt: skip
        if content is not None:
            archive.writestr(f"files/k/{file.get('name', 'a.txt')}", content)


def bad_files(root: Path) -> dict[str, tuple[Path, str]]:
    good = json.dumps({"title": "fine"})
    texts = {
        "deep.jsonl": (good + "\n" + "[" * 100_000 + "]" * 100_000, "Line 2 isn't JSON"),
        "deepmeta.jsonl": (
            '{"title":"t","metadata":{"x":' + "[" * 60 + "]" * 60 + "}}",
            "metadata",
        ),
        "cut.jsonl": (good + '\n{"title": "x', "Line 2 isn't JSON"),
        "untitled.jsonl": (good + '\n{"text": "x"}', "Line 2"),
        "list.jsonl": (good + "\n[1]", "Line 2 isn't an object"),
        "nul.jsonl": (good + '\n{"title": "a\\u0000b"}', "NUL"),
        "half.jsonl": (good + '\n{"title": "\\ud800"}', "Line 2"),
        "time.csv": ("title,at\nfine,2026-01-01\nbad,2026-13-01\n", "Row 3"),
        "year.csv": ("title,at\nfine,2026-01-01\nbad,0001-01-01\n", "Row 3"),
        "cells.csv": ("title,at\nfine,2026-01-01\na,b,c\n", "Row 3"),
        "quote.csv": ('title\nfine\n"open', "CSV"),
        "empty.csv": ("", "CSV is empty"),
        "ours.jsonl": (json.dumps(OURS | {"lamport": -1}), "lamport"),
        "hash.jsonl": (
            json.dumps(OURS | {"attachments": [FILE | {"sha256": "../x"}]}),
            "sha256",
        ),
        "cut.json": ('{"format":"lifelog-journal","version":1,"entries":[\n', "before its end"),
        "no.json": ('{"a": 1}', "no list"),
        "no.zip": ("PK but no zip", "zip"),
    }
    found = {}
    for name, (text, words) in texts.items():
        (root / name).write_text(text)
        found[name] = (root / name, words)
    zips: dict[str, tuple[bytes | None, dict[str, object], str]] = {
        "bomb.zip": (b"x" * 99 * 2**20, {"size_bytes": 99 * 2**20}, "larger"),
        "longer.zip": (b"x" * 30 * 2**20, {}, "more came"),
        "other.zip": (b"atad", {}, "hash"),
        "short.zip": (b"da", {}, "cut short"),
        "script.zip": (b"#!/bin/sh " * 2000, {"size_bytes": 20_000}, "script"),
        "named.zip": (b"data", {"name": "a.exe"}, "exe"),
    }
    for name, (content, file, words) in zips.items():
        a_zip(root / name, content, **file)
        found[name] = (root / name, words)
    with zipfile.ZipFile(root / "line.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("entries.jsonl", b" " * (65 * 2**20))
    found["line.zip"] = (root / "line.zip", "longer than")
    a_zip(root / "locked.zip", b"data")
    content = bytearray((root / "locked.zip").read_bytes())
    place = content.index(b"PK\x01\x02")
    content[place + 8] |= 1  # says that it is encrypted
    (root / "locked.zip").write_bytes(content)
    found["locked.zip"] = (root / "locked.zip", "encrypted")
    with zipfile.ZipFile(root / "none.zip", "w") as archive:
        archive.writestr("x", "y")
    found["none.zip"] = (root / "none.zip", "entries.jsonl")
    return found


def test_a_name_in_an_export_leads_nowhere(lifelog: Run, home: Path, tmp_path: Path) -> None:
    a_zip(tmp_path / "in.zip", b"data", name="../../../a.txt", key="../../k")
    with zipfile.ZipFile(tmp_path / "in.zip", "a") as archive:
        key = hashlib.sha256(b"../../k").hexdigest()
        archive.writestr(f"files/{key}/a.txt", b"data")
    assert js(lifelog("import", str(tmp_path / "in.zip"), "--json"))["files"] == 1
    lifelog("export", "--out", str(tmp_path / "out.zip"))
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert archive.namelist() == ["entries.jsonl", f"files/{key}/a.txt"]
        assert archive.read(f"files/{key}/a.txt") == b"data"


IMPORT = """
import sys
from pathlib import Path
import lifelog_lake.recall.journal.index, lifelog_lake.recall.follow, polars, deltalake
from lifelog_lake.errors import LifelogError
from lifelog_lake.home import open_home
from lifelog_lake.recall.journal.importing import import_file
from lifelog_lake.recall.journal.spooled import open_journal
journal = open_journal(open_home(Path(sys.argv[1])))
journal.index()
def peak_kib():  # not ru_maxrss: that counts what the parent had before the program was loaded
    try:
        status = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return int(next(line for line in status if line.startswith("VmHWM")).split()[1])
before = peak_kib()
for path in map(Path, sys.argv[2:]):
    try:
        import_file(journal, path, path.suffix[1:])
        print(path.name, "brought in", sep="\\t")
    except LifelogError as error:
        print(path.name, error, sep="\\t")
print("memory", peak_kib() - before, sep="\\t")
"""


def test_bad_input_is_refused_whole_with_memory_flat(
    lifelog: Run, home: Path, tmp_path: Path
) -> None:
    files = bad_files(tmp_path)
    command = [sys.executable, "-c", IMPORT, str(home), *(str(path) for path, _ in files.values())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    answers = dict(line.split("\t") for line in done.stdout.splitlines())
    for name, (_, words) in files.items():
        assert words in answers[name], (name, answers[name])
    # The longest line that is allowed is in memory some times over; nothing else is.
    assert int(answers["memory"]) < 400 * 1024
    assert lifelog("event", "list").stdout == "No entries.\n"
    assert "Nothing was brought in" in said(lifelog("import", str(files["cut.jsonl"][0])))


WRONG = [
    (("create", "--title", " "), "'title' is wrong: it is empty"),
    (("create", "--title", "t", "--meta", "[1]"), "metadata"),
    (("create", "--title", "t", "--meta", "{"), "--meta isn't JSON"),
    (("create", "--title", "t", "--at", "soon"), "'at' is wrong"),
    (("create", "--title", "t", "--attach", "missing.png"), "missing.png can't be read"),
    (("edit", "x"), "Nothing to change"),
    (("show", "x"), "There is no entry 'x'"),
    (("attach", "x"), "Nothing to attach"),
    (("attach", "x", "a.txt", "--name", "b.txt"), "--name is for what comes from stdin"),
    (("create", "--title", "t", "--meta", '{"n": 9223372036854775808}'), "more than 64 bits"),
    (("list", "--sort", "size"), "sorted by"),
    (("list", "--limit", "1000000000"), "1 to 500"),
]


def test_what_is_wrong_is_said(lifelog: Run) -> None:
    for words, complaint in WRONG:
        done = lifelog("event", *words)
        assert done.returncode == 2, words
        assert complaint in said(done)
    assert lifelog("event", "list").stdout == "No entries.\n"


def test_a_file_that_is_refused_leaves_no_entry(lifelog: Run, tmp_path: Path) -> None:
    good, bad = tmp_path / "a.txt", tmp_path / "b.png"
    good.write_text("fine")
    bad.write_text("<svg></svg>")
    done = lifelog("event", "create", "--title", "t", "--attach", str(good), "--attach", str(bad))
    assert done.returncode == 2
    assert f"{bad}: The file is a page" in said(done)
    assert lifelog("event", "list").stdout == "No entries.\n"


def test_it_is_kept_and_seen_while_the_lake_is_away(lifelog: Run, home: Path) -> None:
    lifelog("event", "create", "--title", "before")
    lifelog("ship")
    lifelog("event", "list")
    (home / "lake").rename(home / "unmounted")
    assert lifelog("event", "create", "--title", "offline").returncode == 0
    listed = lifelog("event", "list")
    assert "offline" in listed.stdout
    assert "before" in listed.stdout
    assert "can't be reached" in listed.stderr
    (home / "unmounted").rename(home / "lake")
    assert lifelog("ship").returncode == 0
    assert "offline" in lifelog("event", "list").stdout
