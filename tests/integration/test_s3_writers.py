"""Several writers of one lake on S3: two shippers of a device, eight devices, compaction beside."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from lifelog_lake.errors import LakeDenied, LakeRefused, LakeUnreachable
from lifelog_lake.home import Home
from lifelog_lake.lake import parse_url
from lifelog_lake.lake.s3 import open_s3
from lifelog_lake.lake.verify import verify
from lifelog_lake.ship import Shipper
from tests.fixtures.device import wait_for
from tests.fixtures.oracle import assert_whole, big, produce, ship_until_well, some
from tests.fixtures.proxy import Fault, Proxy
from tests.fixtures.s3 import BUCKET, DEVICE, DEVICE_POLICY, HUB, S3Server, weed
from tests.helpers import make_home, ship, window

ROOT = Path(__file__).resolve().parents[2]
DEVICES = 8
ROUNDS = 3
#: One window event and a frame a round, shipped at once; the ledger is this device's own.
WORK = """
import sys
from pathlib import Path
from tests.helpers import make_home, window
from lifelog_lake.ship import Shipper
from tests.fixtures.oracle import produce, ship_until_well, some
root, url, rounds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
home = make_home(root / "home", lake=url)
shipper = Shipper.of(home)
for n in range(rounds):
    produce(home, root / "ledger", *some(1))
    ship_until_well(shipper)
print(home.device)
"""
COMPACT = """
import sys, time
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from lifelog_lake.lake import parse_url
store = parse_url(sys.argv[1])
done = 0
while done < 2:
    try:
        handle = DeltaTable(store.table_url("window"), storage_options=store.table_options)
        done += bool(handle.optimize.compact()["numFilesRemoved"])
    except (DeltaError, OSError):
        time.sleep(0.1)
"""


def python(code: str, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *words], cwd=ROOT, env={**os.environ, "LOG_LEVEL": "error"}
    )


def test_eight_devices_write_one_table_while_it_is_compacted(tmp_path: Path, s3_url: str) -> None:
    first = make_home(tmp_path / "device-0" / "home", lake=s3_url)
    produce(first, tmp_path / "device-0" / "ledger", *some(1))
    ship(first)
    started = [
        python(WORK, str(tmp_path / f"device-{n}"), s3_url, str(ROUNDS)) for n in range(DEVICES)
    ]
    compaction = python(COMPACT, s3_url)
    assert [process.wait(240) for process in started] == [0] * DEVICES
    compaction.terminate()
    compaction.wait(30)
    homes = [make_home(tmp_path / f"device-{n}" / "home", lake=s3_url) for n in range(DEVICES)]
    ledger = tmp_path / "ledger"
    ledger.write_bytes(
        b"".join((tmp_path / f"device-{n}" / "ledger").read_bytes() for n in range(DEVICES))
    )
    assert_whole(*homes, ledger=ledger)


def test_two_shippers_of_one_device_ship_each_row_once(tmp_path: Path, s3_url: str) -> None:
    home = make_home(tmp_path / "home", lake=s3_url, ship={"batch_rows": 4})
    for _ in range(4):
        produce(home, tmp_path / "ledger", *some(3))
    code = WORK.replace("lake=url)", "lake=url, ship={'batch_rows': 4})")
    started = [python(code, str(tmp_path), s3_url, "2") for _ in range(2)]
    assert [process.wait(120) for process in started] == [0, 0]
    assert_whole(home, ledger=tmp_path / "ledger")


def test_a_missing_bucket_is_said_and_nothing_is_made(
    tmp_path: Path, s3_server: S3Server, s3_url: str
) -> None:
    other = s3_url.replace(BUCKET, "nowhere")
    with pytest.raises(LakeUnreachable, match="no bucket 'nowhere'"):
        make_home(tmp_path / "home", lake=other)
    s3_server.make_bucket("gone")
    home = make_home(tmp_path / "home", lake=s3_url.replace(BUCKET, "gone"))
    produce(home, tmp_path / "ledger", *some(1))
    s3_server.files().rm(s3_url.removeprefix("s3://").replace(BUCKET, "gone"), recursive=True)
    s3_server.files().call_s3("delete_bucket", Bucket="gone")
    shipper = Shipper.of(home)
    with pytest.raises(LakeUnreachable, match="no bucket 'gone'"):
        shipper.run_once()
    s3_server.make_bucket("gone")
    with pytest.raises(LakeUnreachable, match="no lake"):  # an empty bucket isn't a new lake
        shipper.run_once()


def test_a_store_without_conditional_puts_is_refused_by_name(
    tmp_path: Path, s3_server: S3Server, s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy(s3_server.port) as proxy:
        # As a server that passes over the condition without a word: each put has won.
        proxy.plan(lambda request: Fault(answer=200) if request.conditional else None)
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        with pytest.raises(LakeRefused, match="conditional put: both of two"):
            make_home(tmp_path / "home", lake=s3_url)
        lacking = {item.name for item in open_s3(s3_url).probe() if not item.ok}
        assert lacking == {"conditional put"}
        proxy.plan(None)
        home = make_home(tmp_path / "home", lake=s3_url)
        produce(home, tmp_path / "ledger", *some(1))
        proxy.plan(lambda request: Fault(answer=200) if request.conditional else None)
        with pytest.raises(LakeRefused, match="conditional put"):  # it was replaced, say
            Shipper.of(home).run_once()


@pytest.mark.parametrize("keys", [HUB, DEVICE], ids=["hub", "device"])
def test_the_policies_are_enough(
    keys: tuple[str, str],
    tmp_path: Path,
    s3_server: S3Server,
    s3_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = make_home(tmp_path / "hub", lake=s3_url)
    for name, value in s3_server.environment(keys).items():
        monkeypatch.setenv(name, value)
    home = make_home(tmp_path / "home", lake=s3_url)
    assert home.device != made.device
    produce(home, tmp_path / "ledger", *some(2))
    ship(home)
    assert_whole(home, ledger=tmp_path / "ledger")
    assert all(item.ok for item in parse_url(s3_url, home).probe())


def test_a_devices_policy_has_no_delete_and_the_hubs_has() -> None:
    hub = DEVICE_POLICY.with_name("s3-policy-hub.json")
    granted = {
        path: {
            action
            for statement in orjson.loads(path.read_bytes())["Statement"]
            for action in statement["Action"]
        }
        for path in (DEVICE_POLICY, hub)
    }
    assert not [action for action in granted[DEVICE_POLICY] if "Delete" in action or "*" in action]
    assert granted[hub] > granted[DEVICE_POLICY]


def test_a_device_can_not_write_what_isnt_its_own(
    s3_server: S3Server, s3_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make_home(tmp_path / "hub", lake=s3_url)
    for name, value in s3_server.environment(DEVICE).items():
        monkeypatch.setenv(name, value)
    store = open_s3(s3_url)
    with pytest.raises(LakeDenied):
        store.write("lake.json", b"{}", at="lake")
    with pytest.raises(LakeDenied):
        store.delete("lake.json", at="lake")
    with pytest.raises(LakeDenied):
        store.write("control/lease", b"{}", at="lake")


def lake_key(url: str, key: str) -> str:
    return f"{url.removeprefix('s3://')}/{key}"


def deleted(server: S3Server, name: str) -> None:
    server.files().rm_file(name)


def truncated(server: S3Server, name: str) -> None:
    files = server.files()
    files.pipe_file(name, files.cat_file(name)[:-30])


def flipped(server: S3Server, name: str) -> None:
    files = server.files()
    content = bytearray(files.cat_file(name))
    content[len(content) // 2] ^= 4
    files.pipe_file(name, bytes(content))


@pytest.mark.parametrize("how", [deleted, truncated, flipped])
@pytest.mark.parametrize("what", ["data file", "log entry", "blob"])
def test_verify_names_what_is_damaged(
    how: Callable[[S3Server, str], None],
    what: str,
    tmp_path: Path,
    s3_server: S3Server,
    s3_url: str,
) -> None:
    home: Home = make_home(tmp_path / "home", lake=s3_url)
    for n in range(3):
        produce(home, tmp_path / "ledger", [window(n)], *some(1)[1:])
        ship_until_well(Shipper.of(home))
    store = parse_url(s3_url, home)
    below = {"data file": "tables/window/date=2026-01-02", "blob": "blobs/sha256",
             "log entry": "tables/window/_delta_log"}[what]  # fmt: skip
    key = sorted(store.keys(below))[1 if what != "log entry" else 2]
    how(s3_server, lake_key(s3_url, key))
    found = verify(store, read_data=True).findings
    assert found, f"{how.__name__} {key} went unnoticed"
    name = key.rpartition("/")[2]
    assert any(
        name in item.where or name in item.message or item.where.startswith(("window", "/window"))
        or "/window/" in item.where
        for item in found
    ), found  # fmt: skip


def shell(server: S3Server, command: str) -> str:
    """An administrator's command to the server."""
    master, filer = server.ports[1], server.ports[3]
    done = subprocess.run(
        [weed(), "shell", f"-master=127.0.0.1:{master}", f"-filer=127.0.0.1:{filer}"],
        input=f"{command}\n", capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return done.stdout + done.stderr


def enforced(server: S3Server, becomes: str) -> None:
    """Have the quotas looked at until a bucket becomes so: the server counts now and then."""
    command = "s3.bucket.quota.enforce -apply"
    wait_for(lambda: becomes in shell(server, command), f"A bucket that becomes {becomes}")


def test_a_bucket_over_its_quota_keeps_everything_waiting(
    tmp_path: Path, s3_server: S3Server, s3_url: str
) -> None:
    bucket = f"small-{s3_url[-6:]}"
    s3_server.make_bucket(bucket)
    home = make_home(tmp_path / "home", lake=f"s3://{bucket}/me")
    ledger = tmp_path / "ledger"
    produce(home, ledger, big(3 * 2**20))
    ship(home)
    shell(s3_server, f"s3.bucket.quota -name={bucket} -sizeMB=1 -op=set")
    enforced(s3_server, "read only")
    produce(home, ledger, big(100, n=1))
    with pytest.raises(LakeUnreachable, match=bucket):
        Shipper.of(home).run_once()
    shell(s3_server, f"s3.bucket.quota -name={bucket} -sizeMB=100 -op=set")
    enforced(s3_server, "writable")
    ship_until_well(Shipper.of(home))
    assert_whole(home, ledger=ledger)
