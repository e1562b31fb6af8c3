"""The shipper's process before a server that comes and goes, and content that is refused."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from lifelog_lake import clock_check
from lifelog_lake.clock import US_PER_S, SystemClock, to_us, utc
from lifelog_lake.events import new_event
from lifelog_lake.home import Home
from lifelog_lake.lake import parse_url
from lifelog_lake.lake.store import blob_key
from lifelog_lake.recall.lake import open_lake
from lifelog_lake.ship import Shipper
from lifelog_lake.ship.refusals import MOST
from lifelog_lake.ship.retry import retry
from lifelog_lake.spool import Spool
from tests.fixtures.oracle import assert_whole, big, produce, some
from tests.fixtures.proxy import Fault, Proxy, Request
from tests.fixtures.s3 import S3Server
from tests.helpers import lifecycle, make_home, rows, ship, verified

ROOT = Path(__file__).resolve().parents[2]
LONG_S = 120


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[Proxy]:
    with Proxy(s3_server.port) as proxy:
        yield proxy


@pytest.fixture
def home(tmp_path: Path, s3_url: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    return make_home(tmp_path / "home", lake=s3_url)


@pytest.fixture
def child(home: Home) -> Iterator[subprocess.Popen[bytes]]:
    """The process as the supervisor starts it: beats on stdout, its life on stdin."""
    (home.path / "config.toml").write_text(
        f'[lake]\nurl = "{home.lake_url}"\n[ship]\nevery_s = 1\n'
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "lifelog_lake.ship.child", "--home", str(home.path)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, "LOG_LEVEL": "error"},
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for end in (process.stdin, process.stdout):
            if end is not None:
                end.close()


def beats(process: subprocess.Popen[bytes]) -> Iterator[dict[str, object]]:
    assert process.stdout is not None
    deadline_s = time.monotonic() + LONG_S
    for line in process.stdout:
        assert time.monotonic() < deadline_s
        yield orjson.loads(line)


def test_the_process_tries_for_ever_with_pauses_and_goes_on_by_itself(
    home: Home, proxy: Proxy, child: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    said = beats(child)
    next(beat for beat in said if beat["state"] == "running")
    proxy.plan(lambda _: Fault(answer=403))
    produce(home, ledger, *some(1))
    began_s = time.monotonic()
    first = next(beat for beat in said if beat["state"] == "error")
    assert "refuses" in str(first["reason"])
    next(beat for beat in said if beat["state"] == "error" and int(str(beat["errors"])) >= 3)
    assert proxy.faults < 20 + 4 * (time.monotonic() - began_s)  # no hot loop
    proxy.plan(None)
    next(beat for beat in said if beat["state"] == "running")
    child.stdin.close()  # type: ignore[union-attr]
    child.wait(LONG_S)
    ship(home)
    assert_whole(home, ledger=ledger)


def test_a_long_upload_is_in_the_beats(
    home: Home, proxy: Proxy, child: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    proxy.plan(lambda request: Fault(slow=0.02) if is_part(request) else None)
    produce(home, tmp_path / "ledger", big(5 * 8 * 2**20))
    seen = next(beat for beat in beats(child) if beat["share"])
    assert 0 < float(str(seen["share"])) <= 1
    assert "of 40 MiB" in str(seen["doing"])
    assert "MiB/s" in str(seen["doing"])


def is_part(request: Request) -> bool:
    return request.method == "PUT" and "partNumber" in request.path and "/blobs/" in request.path


@pytest.mark.parametrize("status", [400, 413])
def test_content_that_is_refused_five_times_is_set_aside_and_can_be_offered_again(
    home: Home, proxy: Proxy, tmp_path: Path, status: int
) -> None:
    produce(home, tmp_path / "ledger", big(1000), *some(1))
    (content,) = home.spool.glob("attachment/*/blobs/*")
    sha256 = content.name.split("-")[1]
    proxy.plan(
        lambda request: (
            Fault(answer=status) if request.method == "PUT" and sha256 in request.path else None
        )
    )
    for number in range(MOST - 1):
        done = Shipper.of(home).run_once()  # as after restarts
        assert set(done.errors) == {"attachment"}, number
        assert "refuses put_object" in str(done.errors["attachment"])
        assert content.exists()
    assert rows(home, "window").height == 4  # others aren't held up
    done = Shipper.of(home).run_once()
    assert not done.errors
    assert any("blob-refused" in finding for finding in done.findings)
    assert lifecycle(home, "blob-refused") == [("attachment", 0, 0)]
    (row,) = rows(home, "attachment").to_dicts()
    assert row["blob"] is None
    assert orjson.loads(row["extra"]) == {"_blob_missing": sha256}
    assert len(verified(home).recorded) == 1
    assert len(list(home.spool.glob("attachment/quarantine/*"))) == 1

    tried = retry(home)
    assert (len(tried.brought), len(tried.kept)) == (0, 1)
    proxy.plan(None)
    assert len(retry(home).brought) == 1
    assert not list(home.spool.glob("attachment/quarantine/*"))
    ship(home)
    assert lifecycle(home, "blob-brought") == [("attachment", 0, 0)]
    assert parse_url(home.lake_url, home).stat(blob_key(sha256)).size_bytes == 1000


def test_content_that_the_lake_cant_find_isnt_lost_while_the_spool_has_it(
    home: Home, proxy: Proxy, tmp_path: Path
) -> None:
    produce(home, tmp_path / "ledger", big(9 * 2**20))
    proxy.plan(
        lambda request: (
            Fault(answer=404) if request.method == "HEAD" and "/blobs/" in request.path else None
        )
    )
    assert set(Shipper.of(home).run_once().errors) == {"attachment"}
    proxy.plan(None)
    ship(home)
    assert_whole(home, ledger=tmp_path / "ledger")


class WrongClock(SystemClock):
    """An hour ahead of everybody."""

    def wall_us(self) -> int:
        return super().wall_us() + 3600 * US_PER_S


def test_times_of_a_wrong_clock_are_corrected_by_the_servers(home: Home) -> None:
    clock = WrongClock()
    spool = Spool.of(home, clock)
    spool.append([new_event("sensor", at=clock.wall_us(), data={"name": "n", "value": 1.0})])
    given = new_event("journal", at=clock.wall_us(), data={"entry_id": "e", "title": "t"})
    spool.append([given])
    Shipper(home, spool, parse_url(home.lake_url, home), clock, batch_rows=100).run_once()
    reading = rows(home, "sensor").row(0, named=True)
    assert abs(to_us(reading["at"]) - SystemClock().wall_us()) < 600 * US_PER_S
    assert abs(reading["skew_us"] + 3600 * US_PER_S) < 60 * US_PER_S
    entry = rows(home, "journal").row(0, named=True)
    assert (to_us(entry["at"]), entry["skew_us"]) == (given.at, None)
    said = open_lake(home.lake_url).timeline(utc(given.at - 7200 * US_PER_S), utc(given.at + 1))
    told = dict(said.select("stream", "time_quality").iter_rows())
    assert told == {"sensor": "corrected", "journal": "unknown"}
    known = clock_check.read(home.run)
    assert known is not None
    assert abs(known.ahead_us - 3600 * US_PER_S) < 60 * US_PER_S
    verified(home)
