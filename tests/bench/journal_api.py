"""The journal through a hub's API: writing an entry, and a large file in constant memory."""

from __future__ import annotations

import http.client
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from lifelog_lake.server.tokens import Tokens
from tests.bench.pairs import Row

CREATES, QUICK_CREATES = 1_000, 50
UPLOAD_BYTES, QUICK_UPLOAD_BYTES = 2 * 1024**3, 64 * 1024**2
PIECE_BYTES = 1024**2
MOST_CREATE_MS, MOST_MEMORY_MIB = 30.0, 64.0

#: A server in a process of its own. Told to, it says what it had in memory at most.
SERVER = """
import sys
from pathlib import Path
from tests.fixtures.api import served_api
def peak_kib():
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmHWM")).split()[1])
with served_api(Path(sys.argv[1]), file_max_bytes=int(sys.argv[2])) as served:
    print(served.port, flush=True)
    for line in sys.stdin:
        print(peak_kib(), flush=True)
"""


class Server:
    """A hub's API on a port of this machine."""

    def __init__(self, process: subprocess.Popen[str], home: Path) -> None:
        assert process.stdout is not None
        self._process = process
        self._port = int(process.stdout.readline())
        secret = Tokens(home).create("bench", ("read", "write")).secret
        self._headers = {"Authorization": f"Bearer {secret}"}

    def connection(self) -> http.client.HTTPConnection:
        """A new one."""
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=600)

    def create(self, connection: http.client.HTTPConnection, title: str) -> str:
        """Write an entry; its id."""
        body = orjson.dumps({"title": title, "description": "words " * 50, "tags": ["a", "b"]})
        headers = {**self._headers, "Content-Type": "application/json"}
        connection.request("POST", "/lifelog/api/events", body, headers)
        answer = connection.getresponse()
        made = orjson.loads(answer.read())
        assert answer.status == 201, made
        return str(made["id"])

    def upload(self, entry_id: str, size: int) -> float:
        """Attach a file of text; seconds."""
        piece = b"some words of a long text\n" * (PIECE_BYTES // 26)
        left = size

        def pieces() -> Iterator[bytes]:
            nonlocal left
            while left:
                yield piece[:left]
                left -= min(left, len(piece))

        connection = self.connection()
        began_s = time.perf_counter()
        where = f"/lifelog/api/events/{entry_id}/attachments/large.txt"
        headers = {**self._headers, "Content-Type": "text/plain", "Content-Length": str(size)}
        connection.request("PUT", where, pieces(), headers)
        answer = connection.getresponse()
        made = orjson.loads(answer.read())
        assert answer.status == 201, made
        assert made["size_bytes"] == size
        connection.close()
        return time.perf_counter() - began_s

    def peak_mib(self) -> float:
        """The most memory that it had so far."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("peak\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline()) / 1024


@contextmanager
def server(home: Path, file_max_bytes: int) -> Iterator[Server]:
    """A server with a home of its own."""
    home.mkdir(parents=True)
    command = [sys.executable, "-c", SERVER, str(home), str(file_max_bytes)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Server(process, home)
        finally:
            process.communicate()


def run(directory: Path, *, quick: bool) -> Iterator[Row]:
    """Entries one by one; then a file of 2 GiB."""
    size = QUICK_UPLOAD_BYTES if quick else UPLOAD_BYTES
    with server(directory / "hub", size) as hub:
        connection = hub.connection()
        took = []
        for number in range(QUICK_CREATES if quick else CREATES):
            began_s = time.perf_counter()
            entry_id = hub.create(connection, f"entry {number}")
            took.append((time.perf_counter() - began_s) * 1000)
        connection.close()
        p95 = statistics.quantiles(took, n=20)[-1]
        yield Row(
            name="create an entry through the API, durable, p95 (p50)",
            ours=f"{p95:.2f} ms",
            base="",
            value=f"{p95:.2f} ms ({statistics.median(took):.2f} ms)",
            goal=f"at most {MOST_CREATE_MS:.0f} ms",
            met=None if quick else p95 <= MOST_CREATE_MS,
            rounds=len(took),
        )
        hub.upload(entry_id, 1024**2)  # what an upload needs at all is in memory now
        before = hub.peak_mib()
        took_s = hub.upload(entry_id, size)
        more_mib = hub.peak_mib() - before
        yield Row(
            name=f"upload of {size / 2**20:,.0f} MiB through the API: memory beyond one of 1 MiB",
            ours=f"{size / took_s / 2**20:,.0f} MiB/s",
            base="",
            value=f"{more_mib:.0f} MiB, {took_s:.1f} s",
            goal=f"at most {MOST_MEMORY_MIB:.0f} MiB",
            met=None if quick else more_mib <= MOST_MEMORY_MIB,
        )
