"""Which lake a home ships to: never a new empty one in the place of one that is gone."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lifelog_lake import fsio
from lifelog_lake.errors import LakeRefused, LakeUnreachable, UsageError
from lifelog_lake.home import Home
from lifelog_lake.lake import init_lake, parse_url, read_identity, require_known
from lifelog_lake.lake.identity import known_lake
from lifelog_lake.lake.local import LocalTarget
from lifelog_lake.lake.verify import verify
from lifelog_lake.recall.lake import open_lake
from lifelog_lake.ship import Shipper
from lifelog_lake.spool import Spool
from tests.helpers import abandon, frame, hooked, ids, make_home, pending, ship, verified, window

ROOT = Path(__file__).parents[2]


def tree(path: Path) -> set[str]:
    return {str(found.relative_to(path)) for found in path.rglob("*")}


def refused(home: Home) -> LakeUnreachable:
    """Shipping must say that the lake can't be reached, and leave everything as it is."""
    spool = Spool.of(home)
    spool.append([window(100)])
    before = len(pending(spool, "window"))
    with pytest.raises(LakeUnreachable) as caught:
        Shipper.of(home).run_once()
    assert caught.value.exit_code == 3
    assert caught.value.hint
    with pytest.raises(LakeUnreachable):
        init_lake(home)
    assert len(pending(spool, "window")) == before
    abandon(spool)
    return caught.value


def test_init_is_idempotent(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home", init=False)
    assert known_lake(home) is None
    first = init_lake(home)
    before = tree(Path(home.lake_url))
    assert init_lake(home) == init_lake(home, home.lake_url) == first == require_known(home)
    assert tree(Path(home.lake_url)) == before == {"lake.json", "tables", "blobs", "blobs/sha256",
                                                   "control"}  # fmt: skip
    assert known_lake(home) == first.lake_id


def test_a_lake_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home", lake=tmp_path / "disk" / "lake")
    Spool.of(home).append([window(0)])
    ship(home)
    (tmp_path / "disk").rename(tmp_path / "away")
    assert "Mount" in refused(home).hint
    assert not (tmp_path / "disk").exists()
    (tmp_path / "disk" / "lake").mkdir(parents=True)  # the empty mount point
    refused(home)
    assert not any((tmp_path / "disk" / "lake").iterdir())
    shutil.rmtree(tmp_path / "disk")
    (tmp_path / "away").rename(tmp_path / "disk")
    ship(home)
    assert len(ids(home, "window")) == 3
    verified(home)


def test_a_lake_that_goes_while_it_is_written_is_not_made_anew(tmp_path: Path) -> None:
    """Its disk was unmounted: what a writer made anew would lie below the mount point."""
    home, source = make_home(tmp_path / "home"), tmp_path / "source"
    source.write_bytes(b"picture")
    target = parse_url(home.lake_url, home)
    assert isinstance(target, LocalTarget)
    target.write("control/one", b"1", at="test")
    target.root.rename(tmp_path / "away")
    writers: list[Callable[[], object]] = [
        lambda: target.write("control/one", b"2", at="test"),
        lambda: target.write_new("control/two", b"2", at="test"),
        lambda: target.put_blob(source, hashlib.sha256(b"picture").hexdigest()),
    ]
    for writer in writers:
        with pytest.raises(FileNotFoundError):
            writer()
    assert not target.root.exists()


def test_another_lake_in_its_place_is_not_used(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home", lake=tmp_path / "lake")
    (tmp_path / "lake").rename(tmp_path / "mine")
    make_home(tmp_path / "other", lake=tmp_path / "lake")
    before = tree(tmp_path / "lake")
    assert "another" in str(refused(home))
    assert tree(tmp_path / "lake") == before


def test_a_lake_that_was_never_joined_is_not_used(tmp_path: Path) -> None:
    make_home(tmp_path / "other", lake=tmp_path / "lake")
    home = make_home(tmp_path / "home", lake=tmp_path / "lake", init=False)
    Spool.of(home).append([window(0)])
    with pytest.raises(LakeUnreachable, match="doesn't know"):
        Shipper.of(home).run_once()
    init_lake(home)
    ship(home)
    assert len(ids(home, "window")) == 1


def test_turning_to_another_lake_offers_what_is_kept_again(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home", lake=tmp_path / "one")
    spool = Spool.of(home)
    first = [window(0), window(1)]
    spool.append(first)
    spool.append([frame(0)])
    ship(home)
    spool.append([window(2)])
    abandon(spool)
    turned = make_home(tmp_path / "home", lake=tmp_path / "two", init=False)
    with pytest.raises(LakeUnreachable):
        init_lake(turned)
    init_lake(turned, str(tmp_path / "two"))
    done = ship(turned)
    assert any("offered again" in finding for finding in done.findings)
    assert len(ids(turned, "window")) == 3
    assert {event.id for event in first} < set(ids(turned, "window"))
    assert len(ids(home, "window")) == 2, "the first lake is left as it was"
    assert verify(turned.lake_url, read_data=True).recorded  # the frame's content went with the ack
    assert not verify(turned.lake_url, read_data=True).findings
    verified(home)


@pytest.mark.parametrize("name", ["photo.jpg", "tables/window/_delta_log/0.json", "blobs/sha256/x"])
def test_a_directory_with_other_content_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "lake" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    before = tree(tmp_path / "lake")
    with pytest.raises(LakeRefused, match=r"lake\.json"):
        make_home(tmp_path / "home", lake=tmp_path / "lake")
    assert tree(tmp_path / "lake") == before


def test_a_file_is_no_lake(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("x")
    with pytest.raises((LakeRefused, LakeUnreachable)):
        make_home(tmp_path / "home", lake=tmp_path / "lake")


class Crash(BaseException):
    """The process ends here."""


class CrashAt:
    def __init__(self, number: int) -> None:
        self.left = number

    def before(self, op: fsio.Op) -> None:
        del op
        self.left -= 1
        if self.left < 0:
            raise Crash

    def after(self, op: fsio.Op) -> None:
        pass


def test_making_a_lake_can_be_repeated_after_a_crash_at_any_point(tmp_path: Path) -> None:
    for number in range(100):
        home = make_home(tmp_path / f"home-{number}", init=False)
        try:
            with hooked(CrashAt(number)):
                init_lake(home)
        except Crash:
            identity = init_lake(home)
            assert require_known(home) == identity
            continue
        assert number > 10
        return
    pytest.fail("init_lake never ended")


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[]", "null", "\ud800", '{"format": 1}', '{"format": "x", "lake_id": 1}'],
)
def test_an_identity_that_can_not_be_read_is_refused(tmp_path: Path, content: str) -> None:
    home = make_home(tmp_path / "home")
    (Path(home.lake_url) / "lake.json").write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(LakeRefused):
        require_known(home)
    with pytest.raises(LakeRefused):
        open_lake(home.lake_url)


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    path = Path(home.lake_url) / "lake.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 2}))
    for use in (lambda: require_known(home), lambda: open_lake(home.lake_url)):
        with pytest.raises(LakeRefused, match="format 2") as caught:
            use()
        assert "newer" in caught.value.hint
    with pytest.raises(LakeRefused):
        make_home(tmp_path / "other", lake=path.parent)


@pytest.mark.parametrize("content", ["", "{}", "[]", "\x00"])
def test_a_memory_that_can_not_be_read_is_said(tmp_path: Path, content: str) -> None:
    home = make_home(tmp_path / "home")
    (home.path / "lake.json").write_text(content)
    with pytest.raises(LakeUnreachable, match="Join the lake again"):
        require_known(home)
    init_lake(home, home.lake_url)
    require_known(home)


class Lacking:
    """A file system that refuses an operation."""

    def __init__(self, name: str) -> None:
        self.name = name

    def before(self, op: fsio.Op) -> None:
        if op.name == self.name:
            raise OSError(95, "Operation not supported")

    def after(self, op: fsio.Op) -> None:
        pass


@pytest.mark.parametrize(
    ("operation", "lacks"),
    [
        ("probe.link", "hard link"),
        ("probe.rename", "rename"),
        ("probe.fsync_dir", "directory fsync"),
    ],
)
def test_a_file_system_that_is_not_fit_is_refused_by_name(
    tmp_path: Path, operation: str, lacks: str
) -> None:
    with hooked(Lacking(operation)), pytest.raises(LakeRefused) as caught:
        make_home(tmp_path / "home")
    assert lacks in str(caught.value)
    assert "file system '" in str(caught.value)
    lake = tmp_path / "home" / "lake"
    assert not (lake / "lake.json").exists()
    assert not list(lake.glob(".probe-*"))
    assert all(item.ok for item in LocalTarget(lake).probe())
    make_home(tmp_path / "home")


@pytest.mark.parametrize("name", ["plain", "with space", "ünï日本", "50 € #1? <b> {c}"])
def test_odd_names_are_the_same_as_path_and_as_address(tmp_path: Path, name: str) -> None:
    path = tmp_path / name / "lake"
    home = make_home(tmp_path / "home", lake=path)
    assert (path / "lake.json").exists()
    assert parse_url(path.as_uri()).root == path == parse_url(str(path)).root
    spool = Spool.of(home)
    spool.append([window(0)])
    spool.append([frame(0)])
    ship(home)
    assert len(ids(home, "window")) == len(ids(home, "screen")) == 1
    verified(home)
    by_address = make_home(tmp_path / "home", lake=path.as_uri(), init=False)
    assert require_known(by_address) == require_known(home)
    assert open_lake(path.as_uri()).scan("window").collect().height == 1


def test_a_relative_path_counts_from_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    home = make_home(tmp_path / "home", lake="some/lake")
    assert read_identity(parse_url(str(tmp_path / "some" / "lake"))) is not None
    Spool.of(home).append([window(0)])
    ship(home)
    verified(home)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(LakeUnreachable):
        Shipper.of(home).run_once()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "  ",
        "s3:///x",
        "s3://B_/x",
        "s3://bucket/a%2541",
        "s3://key:secret@bucket/x",
        "s3://bucket/x?y",
        "memory://x",
        "file://host/x",
        "http://[x",
        "a\0b",
        "100%41",
        "a[b",
        "a|b",
        "file:///a%2541",
    ],
)
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_url(url)
    assert caught.value.hint


JOIN = """
import sys
from pathlib import Path
from tests.helpers import make_home, window, ship
from lifelog_lake.spool import Spool
home = make_home(Path(sys.argv[1]), lake=sys.argv[2], init=False)
Spool.of(home).append([window(0)])
sys.stdin.read()
from lifelog_lake.lake import init_lake
print(init_lake(home).lake_id)
ship(home)
"""


@pytest.mark.parametrize("turn", range(3))
def test_two_homes_may_make_one_lake_at_once(tmp_path: Path, turn: int) -> None:
    lake = tmp_path / "lake"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", JOIN, str(tmp_path / f"home-{i}"), str(lake)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "LOG_LEVEL": "error"},
        )
        for i in range(3)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    said = [process.communicate()[0].splitlines() for process in started]
    assert [process.returncode for process in started] == [0, 0, 0]
    there = read_identity(parse_url(str(lake)))
    assert there is not None
    assert {lines[0] for lines in said} == {there.lake_id}
    assert open_lake(str(lake)).scan("window").collect().height == 3
    assert not verify(str(lake), read_data=True).findings
