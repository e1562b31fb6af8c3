"""Bad networks and servers: each fault, many times, and everything acknowledged is in once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lifelog_lake.errors import LakeDenied, LakeUnreachable
from lifelog_lake.home import Home
from lifelog_lake.lake.s3 import client, open_s3, target
from lifelog_lake.ship import Shipper
from tests.fixtures.oracle import assert_whole, big, produce, ship_until_well, some
from tests.fixtures.proxy import Fault, Proxy, Request
from tests.fixtures.s3 import S3Server
from tests.helpers import make_home

#: The first so many requests are hit, each third of them.
HIT = 40


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[Proxy]:
    with Proxy(s3_server.port) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits a minute for a test."""
    monkeypatch.setattr(client, "CALL_S", 1.0)
    monkeypatch.setattr(client, "FIRST_WAIT_S", 0.05)
    monkeypatch.setattr(target, "ENGINE", target.ENGINE | {"timeout": "1s", "max_retries": "1"})


@pytest.fixture
def home(tmp_path: Path, s3_url: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home whose lake is behind the proxy."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    return make_home(tmp_path / "home", lake=s3_url)


FAULTS = {
    "500": Fault(answer=500),
    "503": Fault(answer=503),
    "403": Fault(answer=403),
    "reset": Fault(reset=True),
    "cut in the head": Fault(cut=0),
    "cut in the body": Fault(cut=100),
    "swallowed": Fault(swallow=True),
    "half open": Fault(half_open=4),
    "slow": Fault(slow=0.2),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_at_each_third_request(name: str, home: Home, proxy: Proxy, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    fault = FAULTS[name]
    most = 10 if name in {"half open", "slow"} else HIT
    shipper = Shipper.of(home)
    produce(home, ledger, *some())
    proxy.plan(lambda request: fault if request.number % 3 == 1 and request.number < most else None)
    ship_until_well(shipper)
    assert proxy.faults > 2
    proxy.plan(None)
    assert_whole(home, ledger=ledger)


def is_commit(request: Request) -> bool:
    return request.method == "PUT" and "_delta_log" in request.path


def is_completion(request: Request) -> bool:
    return request.method == "POST" and "uploadId" in request.path


def is_part(request: Request) -> bool:
    return request.method == "PUT" and "partNumber" in request.path and "/blobs/" in request.path


def once(matches: Callable[[Request], bool], fault: Fault, times: int = 1) -> object:
    hit = 0

    def plan(request: Request) -> Fault | None:
        nonlocal hit
        if matches(request) and hit < times:
            hit += 1
            return fault
        return None

    return plan


@pytest.mark.parametrize(
    ("matches", "fault"),
    [
        (is_commit, "swallowed"),
        (is_commit, "cut in the head"),
        (is_commit, "cut in the body"),
        (is_completion, "swallowed"),
        (is_completion, "500"),
        (is_part, "swallowed"),
        (is_part, "cut in the body"),
    ],
)
def test_a_fault_just_there(
    matches: Callable[[Request], bool], fault: str, home: Home, proxy: Proxy, tmp_path: Path
) -> None:
    """Also without an answer: what took effect is recognised, and nothing is done twice."""
    ledger = tmp_path / "ledger"
    shipper = Shipper.of(home)
    produce(home, ledger, *some(1), big(9 * 2**20))
    proxy.plan(once(matches, FAULTS[fault], times=4))  # type: ignore[arg-type]
    ship_until_well(shipper)
    assert proxy.faults > 0
    proxy.plan(None)
    assert_whole(home, ledger=ledger)


def test_without_a_server_it_says_so_and_goes_on_later(
    home: Home, proxy: Proxy, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    produce(home, ledger, *some(1))
    shipper = Shipper.of(home)
    proxy.plan(lambda _: Fault(answer=503))
    with pytest.raises(LakeUnreachable, match="has trouble"):
        shipper.run_once()
    proxy.plan(lambda _: Fault(answer=403))
    with pytest.raises(LakeDenied, match="AccessDenied"):
        shipper.run_once()
    proxy.plan(lambda _: Fault(answer=507))
    with pytest.raises(LakeUnreachable, match="full"):
        shipper.run_once()
    proxy.plan(None)
    ship_until_well(shipper, tries=1)
    assert_whole(home, ledger=ledger)


def test_an_error_that_is_being_handled_decides_nothing_about_the_next_call(
    s3_url: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python chains errors: a lost connection after a "not there" was once taken for one."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    store = open_s3(s3_url)

    def look(fault: Fault) -> None:
        try:
            store.read("control/nothing")
        except FileNotFoundError:
            proxy.plan(lambda _: fault)
            store.stat("control/nothing")

    for name in ("reset", "swallowed", "503"):
        with pytest.raises(LakeUnreachable):
            look(FAULTS[name])
        proxy.plan(None)
