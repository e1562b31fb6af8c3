"""Big content: interrupted anywhere, it goes on with what is missing and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from lifelog_lake.home import Home
from lifelog_lake.lake.s3 import upload
from lifelog_lake.lake.s3.upload import IN_FLIGHT, PART_BYTES
from lifelog_lake.ship import Shipper
from tests.fixtures.oracle import assert_whole, big, produce, ship_until_well, some
from tests.fixtures.proxy import Fault, Proxy, Request
from tests.fixtures.s3 import S3Server
from tests.helpers import make_home, ship
from tests.needs import require_linux

ROOT = Path(__file__).resolve().parents[2]
PARTS = 12
SHIP = """
import sys
from pathlib import Path
from tests.helpers import make_home
from lifelog_lake.ship import Shipper
from tests.fixtures.oracle import ship_until_well
ship_until_well(Shipper.of(make_home(Path(sys.argv[1]), lake=sys.argv[2], init=False)))
"""
#: Not ru_maxrss: that counts what the parent had before the program was loaded.
PEAK = """
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


def shipping(home: Home) -> subprocess.Popen[bytes]:
    """A process that ships."""
    command = [sys.executable, "-c", SHIP, str(home.path), home.lake_url]
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "LOG_LEVEL": "error"})


def is_part(request: Request) -> bool:
    return request.method == "PUT" and "partNumber" in request.path and "/blobs/" in request.path


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[Proxy]:
    with Proxy(s3_server.port) as proxy:
        yield proxy


@pytest.fixture
def home(tmp_path: Path, s3_url: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    return make_home(tmp_path / "home", lake=s3_url)


def uploads(server: S3Server, url: str) -> list[str]:
    """Ids of the uploads that the server keeps below a lake's address."""
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    found = server.files().call_s3("list_multipart_uploads", Bucket=bucket, Prefix=prefix)
    return [item["UploadId"] for item in found.get("Uploads", [])]


def killed_after(home: Home, proxy: Proxy, parts: int) -> int:
    """Ship in a process that is killed when so many parts were asked for; how many there were."""
    process: subprocess.Popen[bytes] | None = None
    seen = 0

    def plan(request: Request) -> Fault | None:
        nonlocal seen
        seen += is_part(request)
        if seen >= parts and process is not None:
            process.kill()
        return None

    proxy.plan(plan)
    process = shipping(home)
    assert process.wait(120) == -signal.SIGKILL
    return seen


@pytest.mark.parametrize("parts", [2, PARTS - 1])
def test_after_a_kill_only_the_parts_in_flight_are_sent_again(
    home: Home, proxy: Proxy, s3_server: S3Server, tmp_path: Path, parts: int
) -> None:
    ledger = tmp_path / "ledger"
    produce(home, ledger, big(PARTS * PART_BYTES - 5))
    sent = killed_after(home, proxy, parts)
    assert len(uploads(s3_server, home.lake_url)) == 1
    proxy.plan(None)
    ship(home)
    again = sum(is_part(request) for request in proxy.seen)
    assert again <= PARTS - sent + IN_FLIGHT
    assert uploads(s3_server, home.lake_url) == []
    assert not list((home.run / "uploads").glob("*"))
    assert_whole(home, ledger=ledger)


def test_an_upload_that_was_aborted_behind_us_starts_over(
    home: Home, proxy: Proxy, s3_server: S3Server, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    produce(home, ledger, big(3 * PART_BYTES))
    proxy.plan(lambda request: Fault(answer=403) if is_part(request) else None)
    assert Shipper.of(home).run_once().errors
    (memory,) = (home.run / "uploads").glob("*.json")
    begun = orjson.loads(memory.read_bytes())
    bucket, _, prefix = home.lake_url.removeprefix("s3://").partition("/")
    s3_server.files().call_s3(
        "abort_multipart_upload",
        Bucket=bucket,
        Key=f"{prefix}/{begun['key']}",
        UploadId=begun["upload_id"],
    )
    proxy.plan(None)
    ship(home)
    assert_whole(home, ledger=ledger)


def test_a_part_that_isnt_ours_is_sent_again(
    home: Home, proxy: Proxy, s3_server: S3Server, tmp_path: Path
) -> None:
    """The server's list is compared by hash: a part of the right size may have other bytes."""
    ledger = tmp_path / "ledger"
    produce(home, ledger, big(3 * PART_BYTES))
    proxy.plan(lambda request: Fault(answer=403) if is_part(request) else None)
    assert Shipper.of(home).run_once().errors
    (memory,) = (home.run / "uploads").glob("*.json")
    begun = orjson.loads(memory.read_bytes())
    bucket, _, prefix = home.lake_url.removeprefix("s3://").partition("/")
    s3_server.files().call_s3(
        "upload_part",
        Bucket=bucket,
        Key=f"{prefix}/{begun['key']}",
        UploadId=begun["upload_id"],
        PartNumber=2,
        Body=os.urandom(PART_BYTES),
    )
    proxy.plan(None)
    ship(home)
    assert_whole(home, ledger=ledger)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"url": 5}', b"\xff"])
def test_a_damaged_memory_of_an_upload_only_costs_a_new_start(
    home: Home, proxy: Proxy, tmp_path: Path, content: bytes
) -> None:
    ledger = tmp_path / "ledger"
    produce(home, ledger, big(PART_BYTES + 1))
    proxy.plan(lambda request: Fault(answer=403) if is_part(request) else None)
    assert Shipper.of(home).run_once().errors
    (memory,) = (home.run / "uploads").glob("*.json")
    memory.write_bytes(content)
    proxy.plan(None)
    ship(home)
    assert_whole(home, ledger=ledger)


def test_uploads_that_nothing_needs_are_given_up(
    home: Home, proxy: Proxy, s3_server: S3Server, tmp_path: Path
) -> None:
    produce(home, tmp_path / "ledger", big(2 * PART_BYTES))
    proxy.plan(lambda request: Fault(answer=403) if is_part(request) else None)
    assert Shipper.of(home).run_once().errors
    assert len(uploads(s3_server, home.lake_url)) == 1
    (content,) = home.spool.glob("attachment/*/blobs/*")
    content.unlink()  # dropped, say
    (memory,) = (home.run / "uploads").glob("*.json")
    os.utime(memory, (0, 0))
    proxy.plan(None)
    ship(home)
    assert uploads(s3_server, home.lake_url) == []
    assert not memory.exists()


def test_uploads_that_nobody_remembers_are_reaped_after_a_week(
    home: Home, s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket, _, prefix = home.lake_url.removeprefix("s3://").partition("/")
    other = f"s3://{bucket}/other-{prefix}"
    for root in (prefix, f"other-{prefix}"):
        key = f"{root}/blobs/sha256/aa/aa/{'a' * 64}"
        s3_server.files().call_s3("create_multipart_upload", Bucket=bucket, Key=key)
    produce(home, tmp_path / "ledger", *some(1))
    ship(home)
    assert len(uploads(s3_server, home.lake_url)) == 1  # its home may still go on with it
    monkeypatch.setattr("lifelog_lake.ship.shipper.ORPHAN_UPLOAD_S", -1.0)
    ship(home)
    assert uploads(s3_server, home.lake_url) == []
    assert len(uploads(s3_server, other)) == 1
    assert_whole(home, ledger=tmp_path / "ledger")


def test_the_server_is_killed_during_an_upload_and_during_a_commit(
    home: Home, proxy: Proxy, s3_server: S3Server, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    produce(home, ledger, big(4 * PART_BYTES))
    shipper = Shipper.of(home)
    killed = []

    def plan(request: Request) -> Fault | None:
        wanted = is_part if not killed else is_commit
        if wanted(request) and request.number > 2:
            killed.append(request)
            s3_server.kill()
            proxy.plan(None)
        return None

    for _ in range(2):
        proxy.plan(plan)
        with pytest.raises(AssertionError, match="still failing"):
            ship_until_well(shipper, tries=2)
        s3_server.start()
        ship_until_well(shipper)
        produce(home, ledger, big(100, n=len(killed)))
    ship_until_well(shipper)
    assert len(killed) == 2
    assert_whole(home, ledger=ledger)


def is_commit(request: Request) -> bool:
    return request.method == "PUT" and "_delta_log" in request.path


def test_memory_doesnt_grow_with_the_size(home: Home, tmp_path: Path) -> None:
    require_linux("it tells a process's peak in /proc")
    peaks = []
    for n, parts in enumerate((5, 5 + PARTS)):
        produce(home, tmp_path / "ledger", big(parts * PART_BYTES, n=n))
        done = subprocess.run(
            [sys.executable, "-c", SHIP + PEAK, str(home.path), home.lake_url],
            cwd=ROOT, env={**os.environ, "LOG_LEVEL": "error"}, check=True, stdout=subprocess.PIPE,
        )  # fmt: skip
        peaks.append(int(done.stdout.splitlines()[-1]) * 1024)
    print(peaks)
    assert peaks[1] - peaks[0] < PARTS * PART_BYTES / 3


def test_parts_grow_so_that_ten_thousand_hold_it() -> None:
    assert upload.part_bytes(20 * 2**30) == 8 * 2**20
    for size in (80 * 2**30, 5 * 2**40):
        part = upload.part_bytes(size)
        assert -(-size // part) <= upload.MOST_PARTS
        assert part % 2**20 == 0
