"""The flow that reads the lake share by share: all of it in time, and no finding is forgotten."""

from __future__ import annotations

from pathlib import Path

from lifelog_lake.care import sampling, verified
from lifelog_lake.care.outcome import Outcome
from lifelog_lake.home import Home
from lifelog_lake.lake import parse_url
from lifelog_lake.lake.verify import verify
from tests.fixtures.day import DayClock
from tests.unit.test_damaged import DATA, opened

DAYS = 12


class Hub:
    """A hub with a damaged content in its lake, by a clock set by hand."""

    def __init__(self, tmp_path: Path, **settings: float) -> None:
        said: dict[str, object] = {"flows": {"verify": {"days": DAYS, **settings}}}
        self.home: Home = opened(tmp_path, "blob-flipped", said)
        self.store = parse_url(self.home.lake_url, self.home)
        self.whole = verify(self.store, read_data=True)
        self.clock = DayClock()

    def run(self, after_days: float = 1.0) -> Outcome:
        self.clock.s += after_days * 86_400
        return sampling.run(self.home, self.store, self.clock)


def test_all_is_read_in_so_many_days_and_what_is_found_stays(tmp_path: Path) -> None:
    hub = Hub(tmp_path)
    runs = [hub.run() for _ in range(DAYS)]
    found = [bool(run.findings) for run in runs]
    assert sorted(found) == found, "once found it is found each day"
    again = found.count(True) - 1  # the damaged one, whose turn it wasn't
    (damaged,) = hub.whole.findings
    size = hub.store.stat(damaged.key).size_bytes
    assert sum(run.counts["bytes read"] for run in runs) == hub.whole.bytes_read + again * size
    assert max(run.counts["bytes read"] for run in runs) < hub.whole.bytes_read
    last = verified.last(hub.store)
    assert last is not None
    assert (last.count, last.findings) == (1, (f"{damaged.where}: {damaged.message}",))


def test_it_is_over_when_it_is_mended(tmp_path: Path) -> None:
    hub = Hub(tmp_path)
    hub.run()
    assert hub.run(after_days=DAYS).findings
    (damaged,) = hub.whole.findings
    sound = (DATA / "v1" / "lake" / damaged.key).read_bytes()
    (Path(hub.home.lake_url) / damaged.key).write_bytes(sound)
    assert hub.run().findings == ()


def test_after_a_while_without_a_hub_all_that_is_due_is_read(tmp_path: Path) -> None:
    hub = Hub(tmp_path)
    hub.run()
    rest = hub.run(after_days=DAYS)
    assert rest.counts["bytes read"] >= hub.whole.bytes_read
    assert hub.run(after_days=0.0).counts["bytes read"] < hub.whole.bytes_read / 2


def test_what_there_was_no_time_for_is_read_by_the_next_runs(tmp_path: Path) -> None:
    hub = Hub(tmp_path, budget_s=0.5)
    hub.run()
    looks = iter(range(1_000))
    hub.clock.monotonic_s = lambda: 0.6 * next(looks)  # type: ignore[method-assign]
    runs = [hub.run(after_days=DAYS)]
    while sum(run.counts["bytes read"] for run in runs) < hub.whole.bytes_read:
        assert len(runs) < 10, "the runs don't go on"
        runs.append(hub.run(after_days=0.0))
    assert len(runs) > 2
    behind = [sampling.BEHIND.format(DAYS) in run.findings for run in runs]
    assert behind[0], "a whole round was due"
    assert not any(behind[1:])
    assert any(run.findings for run in runs)


def test_a_place_that_cannot_be_read_begins_anew(tmp_path: Path) -> None:
    hub = Hub(tmp_path)
    hub.store.write(sampling.KEY, b"{", at="care")
    hub.run()
    assert sampling._read(hub.store) is not None
