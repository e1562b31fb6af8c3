"""No packet leaves: the flows in a network of their own, whose only way out counts what goes by."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import needs
from tests.browser.hub import new_home
from tests.fixtures.device import wait_for
from tests.fixtures.flows import environment

pytestmark = [pytest.mark.slow]

#: A way to everywhere that leads nowhere. IPv6 would speak by itself.
NETWORK = """
set -e
ip link set lo up
ip link add out type dummy
sysctl -q -w net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
ip addr add 192.0.2.1/24 dev out
ip link set out up
ip route add default via 192.0.2.2 dev out
sent() { cat /sys/class/net/out/statistics/tx_packets; }
"""
COUNT = 'echo "$(sent)" > "$COUNTED"'


def unshared(script: str, env: dict[str, str], *words: str) -> subprocess.Popen[bytes]:
    """Run a shell script in a network of its own."""
    unshare = needs.require_program("unshare", package="util-linux")
    needs.require_program("ip", package="iproute2")
    as_user = [] if os.geteuid() == 0 else ["-r"]
    return subprocess.Popen(
        [unshare, *as_user, "-nm", "bash", "-c",
         f"mount -t sysfs sysfs /sys\n{NETWORK}\n{script}", "bash", *words],
        env=env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def counted(path: Path) -> int:
    return int(path.read_text())


def test_no_packet_leaves(tmp_path: Path) -> None:
    needs.require_linux("network namespaces")
    home = new_home(tmp_path / "home")
    env = environment(home.path, FLOWS__SUMMARIES__CRON="", FLOWS__SUMMARIES__EVERY_S="1") | {
        "COUNTED": str(tmp_path / "sent")
    }
    # First that it would be seen: one try to reach somebody.
    probe = unshared(
        f'"$1" -c "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); '
        f"s.sendto(b'x', ('198.51.100.1', 53))\"\n{COUNT}",
        env,
        sys.executable,
    )
    _, said = probe.communicate(timeout=60)
    if probe.returncode:
        needs.lacking(f"needs network namespaces: {said.decode().strip()}")
    assert counted(tmp_path / "sent") > 0

    (tmp_path / "sent").unlink()
    flows = unshared(f'"$1" -m flows --home "$2" <&0; {COUNT}', env, sys.executable, str(home.path))
    try:
        log = home.logs / "lifelog-flows.jsonl"

        def ran() -> bool:
            assert flows.poll() is None, flows.communicate()[1].decode()
            lines = log.read_text().splitlines() if log.exists() else []
            ended = [line for line in map(json.loads, lines) if line["event"] == "flow_ended"]
            return any(line["state"] == "Completed" for line in ended)

        wait_for(ran, "A run")
        assert flows.stdin is not None
        flows.stdin.close()
        flows.wait(60)
        assert counted(tmp_path / "sent") == 0
    finally:
        flows.kill()
        flows.wait(30)
