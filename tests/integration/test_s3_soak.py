"""Random faults, kills of the shipper and of the server, for a while; the seed is printed."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lifelog_lake.ship import Shipper
from tests.fixtures.oracle import assert_whole, big, produce, ship_until_well, some
from tests.fixtures.proxy import Fault, Proxy, Request
from tests.fixtures.s3 import S3Server
from tests.helpers import make_home

ROOT = Path(__file__).resolve().parents[2]
SHIP = """
import sys
from pathlib import Path
from lifelog_lake.lake.s3 import client, target
from lifelog_lake.errors import LifelogError
from lifelog_lake.ship import Shipper
from tests.helpers import make_home
client.CALL_S, client.FIRST_WAIT_S = 2.0, 0.05
target.ENGINE |= {"timeout": "2s", "max_retries": "1"}
shipper = Shipper.of(make_home(Path(sys.argv[1]), lake=sys.argv[2], init=False))
while True:
    try:
        shipper.run_once()
    except LifelogError:
        pass
"""
#: How often one request in a thousand meets which fault.
OFTEN = [
    (15, Fault(answer=500)),
    (15, Fault(answer=503)),
    (5, Fault(answer=403)),
    (15, Fault(reset=True)),
    (10, Fault(cut=0)),
    (15, Fault(cut=200)),
    (15, Fault(swallow=True)),
    (3, Fault(half_open=4)),
    (15, Fault(slow=0.05)),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    "seconds", [60, pytest.param(600, marks=[pytest.mark.soak, pytest.mark.timeout(1500)])]
)
def test_whatever_happens_each_row_is_in_the_lake_once(
    seconds: int,
    tmp_path: Path,
    s3_server: S3Server,
    s3_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seed = int(os.environ.get("LIFELOG_TEST_SEED") or random.SystemRandom().randrange(2**32))
    print(f"seed {seed}: LIFELOG_TEST_SEED={seed} repeats it")
    dice = random.Random(seed)
    ledger = tmp_path / "ledger"

    def plan(_: Request) -> Fault | None:
        at = dice.randrange(1000)
        for often, fault in OFTEN:
            at -= often
            if at < 0:
                return fault
        return None

    with Proxy(s3_server.port) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        home = make_home(tmp_path / "home", lake=s3_url)
        proxy.plan(plan)
        faults = kills = 0
        ends_s = time.monotonic() + seconds
        next_server_kill_s = time.monotonic() + 90
        while time.monotonic() < ends_s:
            process = subprocess.Popen(
                [sys.executable, "-c", SHIP, str(home.path), home.lake_url],
                cwd=ROOT, env={**os.environ, "LOG_LEVEL": "error"},
            )  # fmt: skip
            until_s = time.monotonic() + dice.uniform(5, 14)
            while time.monotonic() < until_s:
                produce(home, ledger, *some(1))
                if dice.random() < 0.1:
                    produce(home, ledger, big(dice.randrange(8, 20) * 2**20, n=len(proxy.seen)))
                assert process.poll() is None, "the shipper ended by itself"
                time.sleep(dice.uniform(0.05, 0.5))
            process.kill()
            process.wait()
            kills += 1
            if time.monotonic() > next_server_kill_s:
                s3_server.kill()
                s3_server.start()
                next_server_kill_s = time.monotonic() + 90
        faults = proxy.faults
        proxy.plan(None)
        ship_until_well(Shipper.of(home))
        print(f"{faults} faults, {kills} kills, {len(ledger.read_bytes().splitlines())} rows")
        assert faults > 0
        assert_whole(home, ledger=ledger)
