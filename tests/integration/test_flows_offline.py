"""No connection leaves this machine: each address that the flows turn to is looked at."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import needs
from tests.browser.hub import new_home
from tests.fixtures.device import wait_for
from tests.fixtures.flows import environment

pytestmark = [pytest.mark.slow]

ADDRESS = re.compile(r'inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"')
OWN = {"127.0.0.1", "::1"}


def traced(out: Path, env: dict[str, str], *argv: str) -> subprocess.Popen[bytes]:
    """Run a program, with all that it starts, and write down what it sends to whom."""
    strace = needs.require_program("strace", package="strace")
    return subprocess.Popen(
        [strace, "-f", "-qq", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-s", "0",
         "-o", str(out), *argv],
        env=env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def addresses(out: Path) -> set[str]:
    """Every internet address in a trace."""
    return {v4 or v6 for v4, v6 in ADDRESS.findall(out.read_text(errors="replace"))}


def test_no_connection_leaves(tmp_path: Path) -> None:
    needs.require_linux("strace")
    home = new_home(tmp_path / "home")
    env = environment(home.path, FLOWS__SUMMARIES__CRON="", FLOWS__SUMMARIES__EVERY_S="1")
    # First that it would be seen: a try to reach somebody, of the kind that asks for a name.
    asks = "import socket; socket.socket(2, 2).sendto(b'x', ('192.0.2.1', 53))"
    probe = traced(tmp_path / "probe", env, sys.executable, "-c", asks)
    _, said = probe.communicate(timeout=60)
    if b"ptrace" in said:
        needs.lacking(f"needs leave to trace: {said.decode().strip()}")
    assert addresses(tmp_path / "probe") == {"192.0.2.1"}

    argv = (sys.executable, "-m", "flows", "--home", str(home.path))
    flows = traced(tmp_path / "flows", env, *argv)
    log = home.logs / "lifelog-flows.jsonl"

    def ran() -> bool:
        assert flows.poll() is None, flows.communicate()[1].decode()
        lines = log.read_text().splitlines() if log.exists() else []
        ended = [line for line in map(json.loads, lines) if line["event"] == "flow_ended"]
        return any(line["state"] == "Completed" for line in ended)

    try:
        wait_for(ran, "A run")
        assert flows.stdin is not None
        flows.stdin.close()  # as when the supervisor goes
        flows.wait(60)
    finally:
        flows.kill()
        flows.wait(30)
    seen = addresses(tmp_path / "flows")
    assert "127.0.0.1" in seen
    assert seen <= OWN
