"""The lake on S3, against a real SeaweedFS on this machine: uploads, kills, commits, requests.

Uploads are compared with s3fs and with those of ``aws``, ``rclone`` and ``s5cmd`` that are on the
path; each sends the same file to the same server by turns.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
from deltalake import DeltaTable

from lifelog_lake.home import Home
from lifelog_lake.lake import parse_url
from lifelog_lake.lake.s3 import S3Target, open_s3
from lifelog_lake.lake.store import entry_key
from lifelog_lake.ship import Shipper
from lifelog_lake.spool import Spool
from tests.bench.pairs import Row, Turn, compare
from tests.fixtures.oracle import big
from tests.fixtures.proxy import Fault, Proxy, Request
from tests.fixtures.s3 import BUCKET, S3Server
from tests.helpers import frame, make_home, window

ROOT = Path(__file__).resolve().parents[2]
MIB = 2**20
GOAL_OF_THE_BETTER = 0.9
SHIP = """
import sys
from pathlib import Path
from lifelog_lake.ship import Shipper
from tests.helpers import make_home
done = Shipper.of(make_home(Path(sys.argv[1]), lake=sys.argv[2], init=False)).run_once()
assert not done.errors, done.errors
"""


def run(directory: Path, *, quick: bool) -> Iterator[Row]:
    """All of it on one server."""
    server = S3Server(directory / "server", volumes=200)
    server.start()
    before = dict(os.environ)
    os.environ.update(server.environment())
    try:
        yield from _uploads(directory, server, 128 if quick else 512, 3 if quick else 5)
        yield from _after_a_kill(directory, server, 256 if quick else 1024)
        yield from _commits(directory, 1_000 if quick else 10_000, 11 if quick else 41)
        yield from _requests(directory, server)
    finally:
        os.environ.clear()
        os.environ.update(before)
        server.stop()


def _uploads(directory: Path, server: S3Server, size_mib: int, rounds: int) -> Iterator[Row]:
    source = directory / "source"
    with source.open("wb") as file:
        for _ in range(size_mib):
            file.write(os.urandom(MIB))
    with source.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()

    # Each upload goes to a lake of its own, so that none finds the content there.
    def ours() -> float:
        store = _new_store()
        began_s = time.perf_counter()
        assert store.put_blob(source, sha256)
        took_s = time.perf_counter() - began_s
        server.files().rm(store.url.removeprefix("s3://"), recursive=True)
        return took_s

    for name, upload in _others(server, source):
        yield compare(
            f"upload of {size_mib} MiB / {name}", ours=ours, base=_timed(server, upload),
            units=size_mib, unit="MiB", rounds=rounds, goal=GOAL_OF_THE_BETTER, warm_up=1,
        )  # fmt: skip


def _others(server: S3Server, source: Path) -> Iterator[tuple[str, Callable[[str], None]]]:
    """Programs that upload, by name: each is given the bucket and key."""
    yield "s3fs put", lambda target: server.files().put_file(str(source), target)
    end = ["--endpoint-url", server.endpoint]
    if aws := shutil.which("aws"):
        yield (
            "aws s3 cp",
            lambda target: _quietly(
                [aws, *end, "s3", "cp", "--only-show-errors", str(source), f"s3://{target}"]
            ),
        )
    if s5cmd := shutil.which("s5cmd"):
        yield (
            "s5cmd cp",
            lambda target: _quietly([s5cmd, *end, "cp", str(source), f"s3://{target}"]),
        )
    if rclone := shutil.which("rclone"):
        remote = f":s3,provider=Other,env_auth=true,endpoint='{server.endpoint}':"
        yield (
            "rclone copyto",
            lambda target: _quietly([rclone, "copyto", str(source), f"{remote}{target}"]),
        )


def _quietly(command: list[str]) -> None:
    # rclone doesn't start with a CA bundle in the environment, and plain http needs none.
    env = {name: value for name, value in os.environ.items() if name != "AWS_CA_BUNDLE"}
    subprocess.run(command, check=True, capture_output=True, env=env)


def _timed(server: S3Server, upload: Callable[[str], None]) -> Turn:
    def turn() -> float:
        target = f"{BUCKET}/{uuid.uuid4().hex}"
        began_s = time.perf_counter()
        upload(target)
        took_s = time.perf_counter() - began_s
        server.files().rm_file(target)
        return took_s

    return turn


def _new_store() -> S3Target:
    return open_s3(f"s3://{BUCKET}/{uuid.uuid4().hex[:12]}")


def _new_home(directory: Path) -> Home:
    name = uuid.uuid4().hex[:12]
    return make_home(directory / f"home-{name}", lake=f"s3://{BUCKET}/{name}")


def _after_a_kill(directory: Path, server: S3Server, size_mib: int) -> Iterator[Row]:
    """Bytes of parts that are sent a second time after a kill at nine tenths."""
    with Proxy(server.port) as proxy:
        os.environ["AWS_ENDPOINT_URL"] = proxy.endpoint
        home = _new_home(directory)
        Spool.of(home).append(big(size_mib * MIB))
        process: subprocess.Popen[bytes] | None = None
        sent = 0

        def plan(request: Request) -> Fault | None:
            nonlocal sent
            sent += request.length if "partNumber" in request.path else 0
            if process is not None and sent > size_mib * MIB * 0.9:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            return None

        proxy.plan(plan)
        command = [sys.executable, "-c", SHIP, str(home.path), home.lake_url]
        process = subprocess.Popen(command, cwd=ROOT)
        assert process.wait() == -signal.SIGKILL
        process = None
        subprocess.run(command, cwd=ROOT, check=True)
        again = sent - size_mib * MIB
        os.environ["AWS_ENDPOINT_URL"] = server.endpoint
    yield Row(
        name=f"bytes sent again after a kill at 90 % of {size_mib} MiB (aws, rclone, s3fs: all)",
        ours=f"{again / MIB:.0f} MiB", base=f"{size_mib} MiB", value=f"{again / MIB:.0f} MiB",
        goal="at most 32 MiB", met=again <= 33 * MIB,
    )  # fmt: skip


def _commits(directory: Path, versions: int, rounds: int) -> Iterator[Row]:
    """A shipped batch of 100 rows to a table of few and one of many versions."""
    young, old = _aged(directory, 100), _aged(directory, versions)
    took: dict[str, list[float]] = {"young": [], "old": []}
    for number in range(rounds):
        for name, (spool, shipper) in (("young", young), ("old", old)):
            spool.append([window(1000 + number * 100 + n) for n in range(100)])
            began_s = time.perf_counter()
            done = shipper.run_once()
            took[name].append(time.perf_counter() - began_s)
            assert not done.errors, done.errors
    few, many = (statistics.median(took[name]) for name in ("young", "old"))
    yield Row(
        name=f"a batch of 100 rows at version {versions:,} / at version 100",
        ours=f"{many * 1000:.0f} ms", base=f"{few * 1000:.0f} ms", value=f"{many / few:.2f}",
        goal="at most 1.5", met=many / few <= 1.5, rounds=rounds,
    )  # fmt: skip


def _aged(directory: Path, versions: int) -> tuple[Spool, Shipper]:
    """A home whose window table has so many versions: entries that only set a table property."""
    home = _new_home(directory)
    spool, shipper = Spool.of(home), Shipper.of(home)
    spool.append([window(n) for n in range(100)])
    assert not shipper.run_once().errors
    store = parse_url(home.lake_url, home)
    files = [
        store.place(entry_key("window", version)).as_posix() for version in range(2, versions + 1)
    ]
    entry = orjson.dumps({"commitInfo": {"timestamp": 0, "operation": "WRITE"}})
    system = _files()
    for start in range(0, len(files), 500):
        system.pipe(dict.fromkeys(files[start : start + 500], entry))
    handle = DeltaTable(store.table_url("window"), storage_options=store.table_options)
    assert handle.version() == versions
    handle.create_checkpoint()
    return spool, Shipper.of(home)


def _files() -> object:
    import s3fs

    return s3fs.S3FileSystem(endpoint_url=os.environ["AWS_ENDPOINT_URL"])


def _requests(directory: Path, server: S3Server) -> Iterator[Row]:
    """What one run with one batch asks of the server, on a table with a few versions."""
    with Proxy(server.port) as proxy:
        os.environ["AWS_ENDPOINT_URL"] = proxy.endpoint
        for words, batch in (
            ("100 rows", [window(n) for n in range(100)]),
            ("10 frames with content", [frame(n) for n in range(10)]),
        ):
            home = _new_home(directory)
            spool, shipper = Spool.of(home), Shipper.of(home)
            spool.append([batch[0]])
            assert not shipper.run_once().errors
            proxy.plan(None)
            spool.append(batch[1:])
            assert not shipper.run_once().errors
            kinds = [request.method for request in proxy.seen]
            yield Row(
                name=f"requests of a run with one batch of {words}",
                ours=str(len(kinds)), base="-",
                value=", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds))),
            )  # fmt: skip
        os.environ["AWS_ENDPOINT_URL"] = server.endpoint
