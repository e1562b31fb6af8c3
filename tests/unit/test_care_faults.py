"""A full disk under each job of care: said in words, no row changed, made up for."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lifelog_lake.care import compact, days_table, summaries, thumbnails, tidy
from lifelog_lake.care.outcome import Outcome
from lifelog_lake.clock import US_PER_S, SystemClock
from lifelog_lake.errors import Transient
from lifelog_lake.home import Home, open_home
from lifelog_lake.lake import checkpoint, lease, parse_url
from tests.fixtures.derived import add, lasting, pictured
from tests.fixtures.piles import content
from tests.helpers import Failing, Recorder, hooked, make_home, window

JOBS = {
    "compact": compact.run,
    "tidy": lambda *given: tidy.run(*given, keep_s=-5),
    "thumbnails": thumbnails.run,
    "summaries": summaries.run,
}


class Later(SystemClock):
    """Hours after the last commit: its day is closed."""

    def wall_us(self) -> int:
        return super().wall_us() + 7200 * US_PER_S


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose lake has work for each job."""
    home = make_home(tmp_path_factory.mktemp("base") / "home")
    store = parse_url(home.lake_url, home)
    add(home, window(0), pictured(0), lasting("afk", 0, 60, status="not-afk"))
    add(home, window(1))
    run(compact.run, home)  # so that tidy has files to remove
    for n in range(2, 5):
        checkpoint.make(store, "window")
        add(home, window(n))
    return home.path


def run(job: Callable[..., Outcome], home: Home) -> Outcome:
    return job(home, parse_url(home.lake_url, home), Later())


@pytest.mark.parametrize("name", JOBS)
def test_a_full_disk_is_told_and_changes_no_row(
    base: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A job is a process of its own: what it couldn't give back ends with it.
    monkeypatch.setattr(tidy, "ENTRIES", 1)
    monkeypatch.setattr(lease.psutil, "pid_exists", lambda _: False)

    def copied(number: int) -> Home:
        return open_home(Path(shutil.copytree(base, tmp_path / f"{number}")))

    with hooked(Recorder()) as recorder:
        wanted = run(JOBS[name], copied(0))
    assert any(wanted.counts.values()), "there is something to do"
    first: dict[str, int] = {}
    for place, op in enumerate(recorder.ops):
        first.setdefault(op.name, place)
    for number, place in enumerate(first.values(), 1):
        home = copied(number)
        store = parse_url(home.lake_url, home)
        before = content(store)
        with hooked(Failing(errno.ENOSPC, first=place, times=10**6)) as hook:
            try:
                told = run(JOBS[name], home).findings
            except Transient as error:
                told = (str(error),)
        assert hook.failed
        assert told == () or "No space left" in " ".join(told), told
        assert content(store).equals(before)
        run(JOBS[name], home)
        assert content(store).equals(before)
        shutil.rmtree(home.path)


def test_a_full_disk_is_no_reason_to_delete_the_summaries(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = open_home(Path(shutil.copytree(base, tmp_path / "home")))

    def full(*_: object, **__: object) -> None:  # as Delta's engine says it
        raise OSError("Generic LocalFileSystem error\n  No space left on device (os error 28)\n")

    monkeypatch.setattr(days_table.DeltaTable, "create", full)
    with pytest.raises(Transient, match=r"disk says: No space left.*Make room"):
        run(JOBS["summaries"], home)
