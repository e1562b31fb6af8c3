"""What the supervisor tells of a child that it starts again and again."""

from __future__ import annotations

import queue
import sys

from lifelog_lake.collect.process import Backoff, Child, ChildSpec, Message
from tests.fixtures.device import wait_for

SAYS = """
import sys
print('{"beat": 1, "state": "starting"}', flush=True)
for line in sys.stdin:
    print('{"beat": 1, "state": "running"}', flush=True)
"""


def test_one_that_fails_at_each_start_is_down_until_it_runs() -> None:
    inbox: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
    spec = ChildSpec(name="looping", argv=(sys.executable, "-c", SAYS), streams=())
    child = Child(spec, inbox, Backoff())
    lives: list[list[str]] = []
    for _ in range(3):
        child.start(0.0)
        seen = [child.state]
        take(child, inbox)
        seen.append(child.state)
        if len(lives) == 2:
            assert child._process is not None
            assert child._process.stdin is not None
            child._process.stdin.write(b"go\n")
            child._process.stdin.flush()
            take(child, inbox)
            seen.append(child.state)
        child.kill()
        wait_for(lambda: child.ended() is not None, "its end")
        child.bury(1.0)
        assert child.state == "down"
        lives.append(seen)
    assert lives == [["starting"] * 2, ["starting"] * 2, ["down", "down", "running"]]


def take(child: Child, inbox: queue.SimpleQueue[Message | None]) -> None:
    """The next beat; what an earlier life still said is passed over."""
    while True:
        message = inbox.get(timeout=60)
        assert message is not None
        _, life, line = message
        if line is not None and child.take(life, line, 0.0, 0) is not None:
            return
