"""Messages to real receivers: each change once, whatever is down, killed or asked to be quiet."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from lifelog_lake import fsio, open_lake
from lifelog_lake.care.health import addresses
from lifelog_lake.care.health.alerts import Book, acknowledge, snooze
from lifelog_lake.care.health.model import Finding
from lifelog_lake.care.health.notify import HEADER, Line, compose, send
from lifelog_lake.care.health.outbox import Outbox
from lifelog_lake.clock import US_PER_S
from lifelog_lake.home import Home, open_home
from lifelog_lake.lake import init_lake
from lifelog_lake.ship import Shipper
from tests.fixtures.device import gone, wait_for
from tests.fixtures.fleet import Fleet, a_fleet
from tests.fixtures.receivers import SECRET, Hook, Mail
from tests.helpers import T0, FixedClock, hooked

__all__ = ["a_fleet"]

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def mail() -> Iterator[Mail]:
    server = Mail()
    server.start()
    yield server
    with suppress(RuntimeError):
        server.stop()


@pytest.fixture
def hook() -> Iterator[Hook]:
    server = Hook()
    yield server
    server.stop()


class Sender:
    """A hub without a fleet: what is found is in the test's hand."""

    def __init__(self, path: Path, **alerts: Any) -> None:
        self.path, self.alerts = path, alerts
        self.clock = FixedClock(T0)
        init_lake(self.home)

    @property
    def home(self) -> Home:
        flags = {"spool": {"min_free_bytes": 0}, "alerts": {"resolve_after_s": 0, **self.alerts}}
        return open_home(self.path, flags=flags)

    def find(self, *names: str, seconds: float = 60.0, severity: Any = "warning") -> int:
        """One run in which these are found; how many messages it sent."""
        self.clock.now_us += int(seconds * US_PER_S)
        findings = [
            Finding(rule="capture", device=name, severity=severity, says=f"{name} is ill.", hint="")
            for name in names
        ]
        routes = addresses.read(self.home)
        with Outbox(self.home, self.clock) as outbox:
            with Book(self.home, self.clock) as book:
                outbox.begin(book.rows)
                book.settle([*findings, *outbox.findings()])
                rows = book.rows
            outbox.take_in(rows, routes)
            return outbox.deliver(routes, send)

    def states(self) -> list[str]:
        """Of the rows in the lake."""
        Shipper.of(self.home, self.clock).run_once()
        found = open_lake(self.home.lake_url).scan("alert").sort("at", "seq").collect()
        return list(found["state"])


def test_mail_and_webhook_get_each_change_once(fleet: Fleet, mail: Mail, hook: Hook) -> None:
    """End to end: a pulse without a frame, the rule, the row, two messages, and the end of it."""
    fleet.configure(notify=[mail.address, hook.address], resolve_after_s=60)
    fleet.until_open(captured=False)
    fleet.turn(captured=False)
    assert (len(mail.got), len(hook.got)) == (1, 1)
    assert "screen" not in str(mail.got[0]["From"])
    assert "Screen of" in mail.bodies[0]
    assert "lifelog doctor" in hook.bodies[0]
    assert mail.got[0][HEADER] == hook.headers[0][HEADER] or mail.got[0][HEADER]
    fleet.turn()
    fleet.turn()
    fleet.turn()
    assert (len(mail.got), len(hook.got)) == (2, 2)
    assert hook.bodies[1].startswith("[resolved]")
    assert fleet.states() == ["open", "resolved"]


def test_what_opens_together_is_one_message(tmp_path: Path, hook: Hook) -> None:
    sender = Sender(tmp_path / "home", notify=[hook.address])
    assert sender.find("d1", "d2", "d3") == 1
    assert sender.find("d1", "d2", "d3") == 0
    (body,) = hook.bodies
    assert all(f"{name} is ill." in body for name in ("d1", "d2", "d3"))
    assert hook.got[0]["title"] == "lifelog: 3 open"


def test_an_hour_of_flapping_is_a_handful_of_messages(tmp_path: Path, hook: Hook) -> None:
    """Two minutes ill, three minutes well; then well."""
    sender = Sender(tmp_path / "home", notify=[hook.address], resolve_after_s=60)
    for minute in range(60):
        sender.find(*(["d1"] if minute % 5 < 2 else []))
    assert 1 <= len(hook.got) <= 6
    for _ in range(10):
        sender.find(seconds=1800)
    states = sender.states()
    assert states[-1] == "resolved"
    assert len(hook.got) == len(states) <= 8


def test_nothing_is_lost_or_doubled_while_both_are_down(
    tmp_path: Path, mail: Mail, hook: Hook
) -> None:
    sender = Sender(tmp_path / "home", notify=[mail.address, hook.address], retry_after_s=60)
    mail.stop()
    hook.stop()
    sender.find("d1")
    sender.find("d1", "d2")
    sender.find("d2")
    for _ in range(12):
        sender.find("d2")
    assert (mail.got, hook.got) == ([], [])
    with Outbox(sender.home, sender.clock) as outbox:
        findings = outbox.findings()
        queues = list(outbox.queues.values())
    assert {one.rule for one in findings} == {"delivery"}
    assert len(findings) == 2
    assert all(queue.failures < 12 for queue in queues)  # the waits grow
    with Book(sender.home, sender.clock) as book:
        assert sum(one.rule == "delivery" for one in book.alerts()) == 2
    mail.start()
    hook.start()
    sender.find("d2", seconds=7200)
    assert (len(mail.got), len(hook.got)) == (1, 1)
    for body in (*mail.bodies, *hook.bodies):
        assert body.count("d1 is ill.") == body.count("d2 is ill.") == 1
        assert "[resolved] d1 is ill." in body
        assert "[warning] d2 is ill." in body
    sender.find("d2", seconds=7200)
    sender.find("d2", seconds=7200)
    for body in (*mail.bodies[1:], *hook.bodies[1:]):
        assert "can't be sent" in body  # that delivery works again is said, and nothing else
        assert "is ill" not in body


@pytest.mark.parametrize("content", [b"\x00" * 64, b'{"told": {"a": null}, "queues": {}}'])
def test_a_broken_outbox_stops_no_alert(tmp_path: Path, hook: Hook, content: bytes) -> None:
    """It is told with the next one, and what was sent isn't sent again."""
    sender = Sender(tmp_path / "home", notify=[hook.address])
    assert sender.find("d1") == 1
    path = sender.path / "alerts" / "outbox.json"
    path.write_bytes(content)
    with Outbox(sender.home, sender.clock) as outbox:  # as somebody looks what waits
        assert outbox.queues == {}
    assert sender.find("d1", "d2") == 1
    assert "d2 is ill." in hook.bodies[-1]
    assert "d1 is ill." not in hook.bodies[-1]
    assert "was not sent" in hook.bodies[-1]
    broken = path.with_suffix(".broken")
    assert broken.read_bytes() == content
    broken.unlink()
    assert sender.find("d1", "d2") == 1
    assert "[resolved]" in hook.bodies[-1]


def test_a_server_that_refuses_is_tried_again(tmp_path: Path, hook: Hook) -> None:
    hook.answer = 500
    sender = Sender(tmp_path / "home", notify=[hook.address])
    assert sender.find("d1") == 0
    hook.answer = 200
    assert sender.find("d1", seconds=10) == 0  # not before its time
    assert sender.find("d1") == 1
    assert len(hook.got) == 1


def test_one_address_down_does_not_hold_the_other(tmp_path: Path, mail: Mail, hook: Hook) -> None:
    sender = Sender(tmp_path / "home", notify=[mail.address, hook.address])
    mail.stop()
    assert sender.find("d1") == 1
    mail.start()
    assert sender.find("d1") == 1
    assert (len(mail.got), len(hook.got)) == (1, 1)


class Killed(BaseException):
    """As SIGKILL: nothing that follows is done."""


class Killer:
    """Ends a run at one of its file operations: an exception, or a real kill."""

    def __init__(self, at: int, *, real: bool) -> None:
        self.at, self.seen, self.real = at, 0, real

    def before(self, op: fsio.Op) -> None:
        if op.name.startswith(("outbox.", "append.", "alerts.")):
            if self.seen == self.at:
                if self.real:
                    os.kill(os.getpid(), signal.SIGKILL)
                raise Killed
            self.seen += 1

    def after(self, op: fsio.Op) -> None:
        self.before(op)


def killed_run(path: Path, address: str, at: int, now_us: int) -> None:
    """A run in a process of its own that is killed at its ``at``-th operation."""
    sender = Sender.__new__(Sender)
    sender.path, sender.alerts, sender.clock = path, {"notify": [address]}, FixedClock(now_us)
    fsio.install_hook(Killer(at, real=True))
    sender.find("d1", seconds=0)
    raise SystemExit(0)


def really_killed(sender: Sender, hook: Hook, at: int) -> bool:
    """Whether the run got that far."""
    arguments = (sender.path, hook.address, at, sender.clock.now_us + US_PER_S)
    process = SPAWN.Process(target=killed_run, args=arguments)
    process.start()
    process.join(120)
    sender.clock.now_us += US_PER_S
    return process.exitcode != 0


def cut_off(sender: Sender, hook: Hook, at: int) -> bool:
    """The same in this process, a hundred times as quick."""
    with hooked(Killer(at, real=False)):
        try:
            sender.find("d1", seconds=1)
        except Killed:
            return True
    return False


@pytest.mark.parametrize(
    "end",
    [cut_off, pytest.param(really_killed, marks=[pytest.mark.soak, pytest.mark.timeout(900)])],
)
def test_ended_at_any_operation_it_is_told_once(
    tmp_path: Path, hook: Hook, end: Callable[[Sender, Hook, int], bool]
) -> None:
    """At most the message that was on its way comes twice, under one id."""
    doubled = []
    for at in range(200):
        sender = Sender(tmp_path / f"home-{at}", notify=[hook.address])
        sender.find()
        hook.got.clear()
        hook.headers.clear()
        ended = end(sender, hook, at)
        sender.find("d1")
        sender.find("d1")
        assert {"d1 is ill." in body for body in hook.bodies} == {True}, at
        assert sender.states() == ["open"], at
        assert len({one[HEADER] for one in hook.headers}) == 1, at
        assert len(hook.got) <= 2, at
        doubled += [at] if len(hook.got) == 2 else []
        if not ended:
            break
    else:
        pytest.fail("it never ends")
    assert at > 10
    assert len(doubled) <= 9  # from the answer to the note that replaces the file


def test_killed_while_it_sends(tmp_path: Path, hook: Hook) -> None:
    """The receiver has it, and the sender never heard so."""
    sender = Sender(tmp_path / "home", notify=[hook.address])
    sender.find()
    sent: list[Any] = []

    def kill() -> None:
        while sent:  # once: the test goes on before this thread does
            process = sent.pop()
            os.kill(process.pid, signal.SIGKILL)
            # Not join(): of two threads that wait for one process, one learns nothing.
            wait_for(lambda pid=process.pid: gone(pid), "The end of who was killed")

    hook.before = kill
    arguments = (sender.path, hook.address, 10**9, sender.clock.now_us + US_PER_S)
    process = SPAWN.Process(target=killed_run, args=arguments)
    sent.append(process)
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    wait_for(lambda: hook.headers, "What the receiver has")
    sender.find("d1", "d2")
    sender.find("d1", "d2")
    assert hook.headers[0][HEADER] == hook.headers[1][HEADER]
    assert not re.search(r"\bd2\b", hook.bodies[1])  # the very same message
    assert hook.bodies[0] == hook.bodies[1]
    assert "d1" not in hook.bodies[2]
    assert len(hook.got) == 3


# --- whom, and when ---------------------------------------------------------------------------


def test_severities_have_their_routes(tmp_path: Path, hook: Hook, mail: Mail) -> None:
    sender = Sender(tmp_path / "home", notify=[mail.address], notify_critical=[hook.address])
    sender.find("d0", severity="info")
    sender.find("d1")
    sender.find("d1", severity="critical")
    sender.find()
    assert "d0" not in "".join(mail.bodies)
    assert [body.splitlines()[0][:10] for body in hook.bodies] == ["[critical]", "[resolved]"]
    assert len(mail.got) == 3  # who heard of it hears what becomes of it


def test_quiet_hours_keep_all_but_the_critical(
    tmp_path: Path, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    import time

    time.tzset()
    sender = Sender(tmp_path / "home", notify=[hook.address], quiet_hours="03:00-04:00")
    sender.find("d1")  # T0 is at 03:04
    assert hook.got == []
    sender.find("d1", "d2", severity="critical")
    assert len(hook.got) == 1
    sender.find()
    sender.find(seconds=3600)
    assert len(hook.got) == 3 or "resolved" in hook.bodies[-1]
    monkeypatch.undo()
    time.tzset()


def test_what_a_person_answered_is_not_sent(tmp_path: Path, hook: Hook) -> None:
    sender = Sender(tmp_path / "home", notify=[hook.address])
    sender.find("d1")
    acknowledge(sender.home, "capture/d1/-", sender.clock)
    sender.find("d1")
    assert len(hook.got) == 1
    until = sender.clock.now_us + 150 * US_PER_S
    snooze(sender.home, "capture/d1/-", until, sender.clock)
    sender.find("d1")
    sender.find("d1")
    assert len(hook.got) == 1
    sender.find("d1")
    assert len(hook.got) == 2


def test_a_dead_mans_switch(fleet: Fleet, hook: Hook) -> None:
    fleet.configure(ping_url=hook.url)
    assert fleet.run().findings == ()
    assert hook.asked == [f"/ping/{SECRET}"]
    hook.answer = 500
    (finding,) = fleet.run().findings
    assert "it answers 500" in finding
    hook.answer = 200
    lake = Path(fleet.hub.lake_url)
    lake.rename(lake.with_name("away"))
    from lifelog_lake.care.health import job
    from lifelog_lake.lake import parse_url

    job.run(fleet.hub, parse_url(fleet.hub.lake_url, fleet.hub), fleet.clock)
    lake.with_name("away").rename(lake)
    assert len(hook.asked) == 2  # not while the lake is away


# --- what others wrote ------------------------------------------------------------------------


def line(key: str, says: str, severity: Any = "warning") -> Line:
    return Line(id=key, key=key, at=T0, state="open", severity=severity, says=says, hint="Look.")


def test_nothing_in_an_alert_becomes_a_header_or_a_page(mail: Mail, hook: Hook) -> None:
    evil = "ill\r\nBcc: eve@example.org\r\n\r\n<b>now</b> " + "x" * 100_000
    message = compose("m1", [line("a", evil)])
    for url in (mail.address, hook.address):
        assert send(addresses.Address(url=url), message, 20.0) == ""
    (got,) = mail.got
    assert got["Bcc"] is None
    assert got["To"] == "person@example.org"
    assert "ill Bcc: eve@example.org <b>now</b> x" in got["Subject"]
    (posted,) = hook.got
    assert "\n" not in posted["title"]
    assert len(posted["message"]) < 1000


def test_a_message_is_no_longer_than_its_service_takes(hook: Hook) -> None:
    """It would be refused for ever, and all that comes after it would wait."""
    lines = [line(f"k{n:03}", f"device {n} is ill. " + "y" * 300) for n in range(199)]
    message = compose("m2", [*lines, line("z", "The worst.", "critical")])
    assert send(addresses.Address(url=hook.address), message, 20.0) == ""
    (posted,) = hook.got
    text = posted["message"]
    assert len(text) <= 32_768
    assert text.startswith("[critical] The worst.")
    left = 200 - text.count("Look.")
    assert left > 0
    assert text.endswith(f"… and {left} more: lifelog alerts list\n\nlifelog, message m2")


# --- secrets ----------------------------------------------------------------------------------


def test_no_secret_lies_or_is_shown_anywhere(
    fleet: Fleet, mail: Mail, hook: Hook, capfd: pytest.CaptureFixture[str]
) -> None:
    from lifelog_lake.logs import setup_logging

    mail.stop()
    hook.answer = 403
    fleet.configure(notify=[mail.address, hook.address], ping_url=hook.url, resolve_after_s=60)
    setup_logging(fleet.hub, "care")
    fleet.until_open(captured=False)
    for _ in range(9):
        fleet.turn(600, captured=False)
    says = " ".join(one.says for one in fleet.open())
    assert f"mailto://…@127.0.0.1:{mail.port}" in says
    assert f"json://…@127.0.0.1:{hook.port}" in says
    kept = [path for path in fleet.hub.path.rglob("*") if path.is_file()]
    assert not [path for path in kept if SECRET.encode() in path.read_bytes()]
    printed = "".join(capfd.readouterr())
    assert SECRET not in printed
    mail.start()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mailtos://me:pw@mail.example.org?to=x@example.org", "mailtos://…@mail.example.org"),
        ("ntfys://ntfy.example.org/topic", "ntfys://ntfy.example.org"),
        ("json://user:pw@host:8080/path/token?+X-Token=t", "json://…@host:8080"),
    ],
)
def test_what_is_shown_of_an_address(url: str, shown: str) -> None:
    assert addresses.Address(url=url).shown == shown
    assert "pw" not in repr(addresses.Address(url=url))


@pytest.mark.parametrize(
    "url",
    [
        "tgram://secret:abcdefg_hijklmnop/12315544/",
        "pover://user@secret",
        "ntfys://secret",  # a topic of ntfy.sh: who knows it reads along
        "matrix://secret?mode=t2bot",
        "json://me:secret/word@host/path",  # of a password with a slash
        "mailto:secret",
    ],
)
def test_of_what_may_be_a_token_nothing_is_shown(url: str) -> None:
    shown = addresses.Address(url=url).shown
    assert "://… (" in shown
    assert "secret" not in shown


def test_addresses_of_a_private_file(tmp_path: Path, hook: Hook) -> None:
    sender = Sender(tmp_path / "home")
    path = sender.path / addresses.FILE
    path.write_text(f'notify = ["{hook.address}"]\nping_url = "{hook.url}"\n')
    path.chmod(0o644)
    with pytest.raises(Exception, match="chmod 600"):
        addresses.read(sender.home)
    path.chmod(0o600)
    assert addresses.read(sender.home).ping_url == hook.url
    assert sender.find("d1") == 1
    path.write_text(f'notify = ["{hook.address}')
    with pytest.raises(Exception, match="can't be used") as raised:
        addresses.read(sender.home)
    assert SECRET not in str(raised.value)
