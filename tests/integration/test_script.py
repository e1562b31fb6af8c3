"""The script collector with real commands, good and bad, on a real spool."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest
from pydantic import ValidationError

from collectors.script import ScriptCollector, ScriptSettings
from lifelog_lake.clock import SystemClock
from lifelog_lake.collect import registry
from lifelog_lake.collect.rig import Held
from lifelog_lake.collect.runner import Runner
from lifelog_lake.config import CONFIG_NAME, load
from lifelog_lake.errors import UsageError
from lifelog_lake.pause import clear_pause, set_pause
from lifelog_lake.spool import Spool
from tests.fixtures.command import Run, a_command, a_home, said  # noqa: F401
from tests.fixtures.device import Device, a_device, gone, wait_for  # noqa: F401
from tests.helpers import make_home, pending, rows, ship, verified

ROWS = 'print(\'{"name": "load", "value": 0.5}\')'


def python(code: str, **more: object) -> dict[str, object]:
    """A command that runs some Python."""
    return {"run": [sys.executable, "-S", "-c", code], "stream": "sensor", **more}


class Script:
    """The collector's loop on a home, with commands by name."""

    def __init__(self, path: Path) -> None:
        self.home = make_home(path / "home")
        self.runner: Runner | None = None
        self.before = Held.now()

    def start(self, **commands: dict[str, object]) -> Runner:
        self.stop()
        settings = ScriptSettings(every_s=0.1, commands=commands)
        clock = SystemClock()
        self.spool = Spool.of(self.home)
        self.runner = Runner(
            ScriptCollector, settings, home=self.home.path, spool=self.spool, clock=clock
        )
        return self.runner

    def until(self, look: Callable[[], Any], what: str) -> None:
        def turn() -> Any:
            assert self.runner is not None
            self.runner.turn()
            return look()

        wait_for(turn, what)

    def rows(self, stream: str = "sensor") -> list[dict[str, Any]]:
        if stream not in self.spool.streams():
            return []
        return [{**one.fields, **one.fields["data"]} for one in pending(self.spool, stream)]

    @property
    def values(self) -> list[Any]:
        return [row.get("value") for row in self.rows()]

    @property
    def reason(self) -> str:
        assert self.runner is not None
        return self.runner.beat.reason if self.runner.beat.state == "error" else ""

    def quarantined(self) -> dict[bytes, str]:
        directory = self.home.spool / "sensor" / "quarantine"
        return {
            path.read_bytes(): orjson.loads(path.with_suffix(".json").read_bytes())["reason"]
            for path in directory.glob("*.payload")
        }

    def stop(self) -> None:
        if self.runner is not None:
            self.runner.stop()

    def left(self) -> set[psutil.Process]:
        """The processes that it began."""
        found = Held.now().processes_since(self.before)
        return {one for one in found if not gone(one.pid)}


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Script]:
    script = Script(tmp_path)
    yield script
    script.stop()


# --- rows ---------------------------------------------------------------------------------------


def test_lines_become_events_of_their_stream(script: Script) -> None:
    code = (
        'print(\'{"name": "t", "value": 1, "at": "2026-01-02T03:04:05+01:00",\''
        '\' "end": "2026-01-02T02:05:00Z", "room": "attic"}\')\n'
        "print()\n"
        'print(\'{"name": "t", "value": 2}\', end=\'\')'
    )
    page = python('print(\'{"url": "https://example.org/", "tab_count": 3}\')', stream="web")
    runner = script.start(thermo=python(code, every_s=3600), page=page)
    script.until(lambda: len(script.values) == 2 and script.rows("web"), "rows of both")
    first, second = script.rows()
    assert first["at"] == 1_767_319_445_000_000
    assert first["end"] == 1_767_319_500_000_000
    assert (first["name"], first["value"], first["extra"]) == ("t", 1.0, {"room": "attic"})
    assert abs(second["at"] / 1e6 - time.time()) < 300
    assert script.rows("web")[0]["tab_count"] == 3
    script.until(lambda: set(runner.beat.observed) == {"sensor", "web"}, "both observed")
    assert runner.beat.state == "running"
    assert runner.beat.every_s == 3630  # stale is what gives nothing for five times as long
    assert not script.left()


def test_a_command_runs_again_and_again(script: Script) -> None:
    script.start(load=python(ROWS, every_s=1))
    script.until(lambda: len(script.values) >= 3, "three runs")


def test_a_command_that_stays_gives_rows_as_they_come(script: Script) -> None:
    code = (
        "import time\nfor n in range(100):\n    print('{\"value\": %d}' % n, flush=True)\n"
        "    time.sleep(0.2)"
    )
    runner = script.start(ticks=python(code, keep_running=True, timeout_s=0.1))
    script.until(lambda: len(script.values) >= 5, "rows while it runs")
    assert runner.beat.state == "running"
    assert "sensor" in runner.beat.observed
    script.stop()
    assert script.values == list(range(len(script.values)))
    assert not script.left()


def test_a_row_with_an_id_is_one_row_however_often_it_is_read(script: Script) -> None:
    """The same history printed at each run, over a restart and a wiped spool, into the lake."""
    code = (
        'for n in range(3): print(\'{"id": "c%d", "at": "2026-01-02T03:04:0%dZ",'
        ' "value": %d}\' % (n, n, n))'
    )
    for _ in range(2):
        runner = script.start(log=python(code, every_s=1))
        script.until(lambda: len(script.values) == 3, "the rows")
        again = runner.beat.observed.get("sensor", 0)
        script.until(lambda: runner.beat.observed.get("sensor", 0) > again, "another run")  # noqa: B023
        assert script.values == [0, 1, 2]
        script.stop()
        ship(script.home)
    assert sorted(rows(script.home, "sensor")["value"].to_list()) == [0, 1, 2]
    verified(script.home)


def test_a_file_is_attached_only_if_that_is_allowed(script: Script, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"content")
    line = orjson.dumps({"value": 1, "file": str(picture), "media_type": "image/png"}).decode()
    runner = script.start(
        free=python(f"print({line!r})", files=True), shut=python(f"print({line!r})")
    )
    script.until(lambda: len(script.values) == 2, "both rows")
    free, shut = sorted(script.rows(), key=lambda row: "blob" not in row)
    assert free["blob_bytes"] == 7
    assert free["media_type"] == "image/png"
    assert "blob" not in shut
    assert shut["extra"]["file"] == str(picture)
    assert runner.beat.state == "running"


# --- what goes wrong ----------------------------------------------------------------------------


def test_bad_lines_go_to_quarantine_and_the_rest_goes_on(script: Script) -> None:
    bad = {
        b"secret words": "isn't JSON",
        b'["secret"]': "isn't a JSON object",
        b'{"at": "2026-01-02"}': "'at' isn't a time",
        b'{"at": "0001-01-01T00:00:00+14:00"}': "1900 to 2200",
        b'{"end": "1999-01-01T00:00:00Z"}': "ends before",
        b'{"id": "x"}': "no 'at'",
        b'{"id": 7, "at": "2026-01-02T03:04:05Z"}': "'id' isn't a text",
        b'{"name": "\\ud800"}': "isn't JSON",
        b'{"value": NaN}': "isn't JSON",
        b'{"x": ' + b"[" * 3000 + b"]" * 3000 + b"}": "isn't JSON",
        b'{"file": "/nowhere/at/all", "media_type": "a/b"}': "can't be read",
        b'{"file": "/dev/zero", "media_type": "a/b"}': "isn't a plain file",
        b'{"file": "relative", "media_type": "a/b"}': "absolute",
        b"\xff\x00\xfe": "isn't JSON",
    }
    lines = b"\n".join([*bad, b'{"value": 7}'])
    code = f"import sys; sys.stdout.buffer.write({lines!r})"
    runner = script.start(mixed=python(code, files=True, every_s=1))
    script.until(lambda: script.values, "the good row")
    script.until(lambda: "14 lines" in script.reason, "the trouble")
    kept = script.quarantined()
    assert set(kept) == set(bad)
    for line, why in bad.items():
        assert why in kept[line]
        assert "secret" not in kept[line]
    script.until(lambda: len(script.values) >= 2, "the next run")
    assert len(script.quarantined()) == len(bad)  # a line that is known isn't kept again
    assert runner.beat.errors >= 14


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (python("import sys; sys.exit('secret')"), "'bad' ended with exit code 1."),
        (python("import os; os.kill(os.getpid(), 9)"), "'bad' ended with exit code 137."),
        (python("import time; time.sleep(600)", timeout_s=0.5), "took longer than 0.5 s"),
        ({"run": ["no-such-program-here"], "stream": "sensor"}, "'bad' isn't there."),
        ({"run": ["/etc"], "stream": "sensor"}, "'bad' isn't there."),
        ({"run": ["/etc/passwd"], "stream": "sensor"}, "its file isn't executable. chmod +x it"),
        (python("print('words\\n' * 100000)"), "prints no JSON lines and was ended."),
        (python("", keep_running=True), "'bad' ended with exit code 0."),
    ],
)
def test_a_bad_command_is_told_and_does_not_stop_the_others(
    script: Script, command: dict[str, object], said: str
) -> None:
    script.start(bad=command, good=python(ROWS, every_s=1))
    script.until(lambda: said in script.reason, said)
    assert "[collectors.script.commands.bad] run." in script.reason
    assert "secret" not in script.reason
    before = len(script.values)
    script.until(lambda: len(script.values) > before, "more rows of the other")
    assert len(script.quarantined()) <= 20


def test_a_command_that_gets_well_is_well(script: Script, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    code = f"import os, sys; sys.exit(not os.path.exists({str(mark)!r}))"
    runner = script.start(shy=python(code, every_s=1))
    script.until(lambda: script.reason, "the trouble")
    assert "sensor" not in runner.beat.observed
    mark.touch()
    script.until(lambda: runner.beat.state == "running", "its end")
    assert "sensor" in runner.beat.observed


def test_megabytes_without_a_line_are_bounded(script: Script) -> None:
    code = (
        "import sys\nfor _ in range(64): sys.stdout.write('x' * 1048576)\n"
        "print()\nprint('{\"value\": 1}')"
    )
    before = psutil.Process().memory_info().rss
    script.start(flood=python(code, timeout_s=300))
    script.until(lambda: script.values, "the row behind it")
    assert psutil.Process().memory_info().rss - before < 32 * 2**20
    (payload,) = script.quarantined()
    assert len(payload) == 4096


def test_many_rows_come_in_order(script: Script) -> None:
    script.start(many=python("for n in range(50000): print('{\"value\": %d}' % n)", timeout_s=300))
    script.until(lambda: script.runner.beat.observed, "its end")  # type: ignore[union-attr]
    assert script.values == list(range(50000))


# --- processes ----------------------------------------------------------------------------------

FAMILY = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
other = subprocess.Popen([sys.executable, "-S", "-c", child])
print('{"value": %d}' % os.getpid())
print('{"value": %d}' % other.pid, flush=True)
"""


def test_what_a_command_leaves_behind_ends_with_it(script: Script) -> None:
    script.start(family=python(FAMILY))
    script.until(lambda: script.runner.beat.observed, "its end")  # type: ignore[union-attr]
    assert len(script.values) == 2
    assert all(gone(int(pid)) for pid in script.values)


@pytest.mark.parametrize(
    "does",
    ["import time; time.sleep(600)", "import os\nwhile True: os.write(1, b'{}' + b' ' * 4000)"],
)
def test_a_daemon_that_keeps_the_pipe_does_not_hold_up_its_command(
    script: Script, does: str
) -> None:
    code = (
        "import subprocess, sys\n"
        f"argv = [sys.executable, '-S', '-c', {does!r}]\n"
        "daemon = subprocess.Popen(argv, start_new_session=True)\n"
        "print('{\"value\": %d}' % daemon.pid, flush=True)"
    )
    script.start(daemon=python(code, every_s=1, timeout_s=300))
    try:
        script.until(lambda: len(script.values) >= 2, "a second run")
        script.stop()
    finally:
        for pid in script.values:
            os.kill(int(pid), signal.SIGKILL)


def test_a_time_out_ends_the_whole_family(script: Script) -> None:
    script.start(family=python(FAMILY + "time.sleep(600)", timeout_s=6, every_s=3600))
    script.until(lambda: "took longer" in script.reason, "the time-out")
    wait_for(lambda: all(gone(int(pid)) for pid in script.values), "the end of all")
    assert len(script.values) == 2


def test_a_pause_ends_commands_and_resuming_starts_them(script: Script) -> None:
    runner = script.start(family=python(FAMILY + "time.sleep(600)", keep_running=True))
    script.until(lambda: len(script.values) == 2, "its rows")
    set_pause(script.home.path, SystemClock())
    script.until(lambda: runner.beat.state == "paused", "the pause")
    wait_for(lambda: all(gone(int(pid)) for pid in script.values), "the end of all")
    clear_pause(script.home.path, SystemClock())
    script.until(lambda: len(script.values) == 4, "rows after it")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_no_orphan_is_left_by_the_collector(device: Device, tmp_path: Path, how: int) -> None:
    program = tmp_path / "family.py"
    program.write_text(FAMILY + "time.sleep(600)\n", "utf-8")
    device.configure(
        "[collectors.screen]\nenabled = false\n[collectors.script]\nevery_s = 0.1\n"
        "[collectors.script.commands.family]\nkeep_running = true\nstream = 'sensor'\n"
        f"run = ['{sys.executable}', '{program}']\n"
    )
    supervisor = device.supervise()
    wait_for(lambda: len(device.rows("sensor")) == 2, "its rows")
    pids = [int(str(row["value"])[:-2]) for row in device.rows("sensor")]
    assert not any(gone(pid) for pid in pids)
    if how == signal.SIGKILL:
        os.kill(device.pid("script"), signal.SIGKILL)
    else:
        supervisor.terminate()
        assert supervisor.wait(timeout=60) == 0
    wait_for(lambda: all(gone(pid) for pid in pids), "the end of all")


# --- settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"stream": "sensor"}, "Field required"),
        ({"run": [], "stream": "sensor"}, "at least 1 item"),
        ({"run": ["a/b"], "stream": "sensor"}, "whole path"),
        ({"run": [""], "stream": "sensor"}, "whole path"),
        ({"run": ["a\0b"], "stream": "sensor"}, "NUL"),
        ({"run": "df -h", "stream": "sensor"}, "write a list"),
        ({"run": ["~no-such-user/x"], "stream": "sensor"}, "home directory"),
        ({"run": ["df"], "stream": "pulse"}, "must be one of screen, audio"),
        ({"run": ["df"], "stream": "sensor", "shell": True}, "Extra inputs"),
    ],
)
def test_a_wrong_command_is_refused(wrong: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        ScriptSettings(commands={"one": wrong})


def test_a_wrong_key_names_the_nearest(tmp_path: Path) -> None:
    where = tmp_path / CONFIG_NAME
    where.write_text("[collectors.script.commands.a]\nrun = ['df']\nstream = 'web'\nevry_s = 3\n")
    with pytest.raises(UsageError, match=r"commands\.a\.evry_s.*Did you mean 'every_s'"):
        registry.enabled(load(tmp_path), where)


def test_the_environment_sets_commands_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "LIFELOG_COLLECTORS__SCRIPT__COMMANDS"
    monkeypatch.setenv(f"{name}__DISK__RUN", '["df", "-k"]')
    monkeypatch.setenv(f"{name}__DISK__STREAM", "sensor")
    where = tmp_path / CONFIG_NAME
    assert registry.streams("script", load(tmp_path), where) == ("sensor",)
    monkeypatch.delenv(f"{name}__DISK__RUN")
    monkeypatch.delenv(f"{name}__DISK__STREAM")
    monkeypatch.setenv(name, '{"page": {"run": ["curl"], "stream": "web"}}')
    assert registry.streams("script", load(tmp_path), where) == ("web",)


def test_without_commands_there_is_no_process_and_no_trouble(device: Device) -> None:
    device.use("ticker")
    device.supervise()
    device.pid("ticker")
    assert set(device.status()) == {"ticker"}
    wait_for(lambda: device.rows("pulse"), "a pulse")
    assert "script" not in str(device.rows("pulse"))


def test_the_command_line_shows_commands(lifelog: Run, home: Path) -> None:
    home.mkdir()
    (home / CONFIG_NAME).write_text(
        "[collectors.screen]\nenabled = false\n"
        "[collectors.script.commands.gone]\nrun = ['no-such-program-here']\nstream = 'sensor'\n"
    )
    doctor = lifelog("doctor")
    assert "warn script The command 'gone' isn't there." in said(doctor)
    assert re.search(r"records [\w, ]*script", said(doctor))
    shown = lifelog("config", "show")
    assert shown.returncode == 0, shown.stderr
    assert 'gone = {run = ["no-such-program-here"], stream = "sensor"' in shown.stdout
