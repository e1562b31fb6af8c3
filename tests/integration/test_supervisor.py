"""The supervisor with real child processes: it starts, watches, restarts and ends them."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time

import pytest

from lifelog_lake.beats import read_beat
from lifelog_lake.clock import SystemClock
from lifelog_lake.collect.supervisor import Supervisor
from lifelog_lake.errors import Locked, UsageError
from lifelog_lake.events import BlobSource, new_event
from lifelog_lake.locks import FileLock
from lifelog_lake.pause import clear_pause, set_pause
from lifelog_lake.spool import Spool
from tests.fixtures.device import SOON_S, Device, a_device, gone, stop, wait_for  # noqa: F401
from tests.needs import require_linux

# A child must have its first beat within alive_s, on a loaded machine too.
QUICK = "tick_s=0.1, status_s=0.1, backoff=Backoff(first_s=0.1, most_s=1.0)"


def test_it_runs_collectors_and_ends_them(device: Device) -> None:
    device.use("ticker", "second", "keeper")
    supervisor = device.supervise()
    pids = [device.pid(name) for name in ("ticker", "second", "keeper")]
    wait_for(lambda: len(device.rows("sensor")) >= 5, "rows")
    assert len(set(pids)) == 3
    assert stop(supervisor) == 0
    assert all(gone(pid) for pid in pids)
    rows = device.rows("sensor")
    ticks = [row["value"] for row in rows if row["name"] == "ticker"]
    assert ticks == list(range(1, len(ticks) + 1))
    # What a collector hadn't written yet was written when it was asked to stop.
    assert [row["value"] for row in rows if row["name"] == "keeper"] == [-1.0]
    for name in ("ticker", "second", "keeper"):
        assert device.lifecycle("started", name)
        assert device.lifecycle("stopped", name)
        assert not device.lifecycle("restarted", name)
    kinds = [row["kind"] for row in device.rows("lifecycle") if row.get("collector") is None]
    assert kinds == ["started", "stopped"]
    assert {row["tz"] for row in rows} != {None}


def test_one_instance_a_home(device: Device) -> None:
    device.use("ticker")
    device.supervise()
    device.pid("ticker")
    device.use()  # this process doesn't know the fakes
    with pytest.raises(Locked, match="running already"):
        Supervisor(device.home, ship=False).run()


def test_a_killed_child_is_started_again(device: Device) -> None:
    device.use("ticker", "second")
    device.supervise()
    first, other = device.pid("ticker"), device.pid("second")
    os.kill(first, signal.SIGKILL)
    row = device.told("restarted", "ticker")
    assert "SIGKILL" in str(row["reason"])
    assert row["stream"] == "sensor"
    wait_for(lambda: device.pid("ticker") != first, "a new process")
    assert device.pid("second") == other
    assert device.child("ticker")["restarts"] == 1


def test_a_killed_supervisor_is_told_by_the_next(device: Device) -> None:
    device.use("ticker")
    first = device.supervise()
    device.pid("ticker")
    first.kill()
    first.wait()
    killed_us = SystemClock().wall_us()
    assert not device.lifecycle("crashed")
    device.supervise()
    row = device.told("crashed")
    assert "killed" in str(row["reason"])
    assert row["at"] <= killed_us < row["end"]  # type: ignore[operator]
    assert row["extra"] == {"down": False}
    kinds = [row["kind"] for row in device.rows("lifecycle") if row.get("collector") is None]
    assert kinds == ["started", "crashed", "started"]


def test_a_crashing_child_is_started_again_later_each_time(device: Device) -> None:
    device.use("crasher")
    device.supervise(timing="tick_s=0.05, status_s=0.1, backoff=Backoff(first_s=0.2, most_s=0.8)")
    wait_for(lambda: len(device.lifecycle("restarted", "crasher")) >= 4, "four restarts")
    rows = device.lifecycle("restarted", "crasher")
    at = [row["at"] for row in rows]
    waits_s = [(b - a) / 1e6 for a, b in itertools.pairwise(at)]  # type: ignore[operator]
    assert waits_s[0] >= 0.2
    assert waits_s[1] >= 0.4
    assert waits_s[2] >= 0.8
    assert "ValueError at fakes.py" in str(rows[0]["reason"])
    device.mark("healed")
    wait_for(lambda: len(device.rows("sensor")) > 20, "rows after it was mended")
    logs = "".join(path.read_text("utf-8") for path in (device.path / "logs").iterdir())
    assert "collector_failed" in logs
    told = logs + str(device.rows("lifecycle")) + str(device.rows("pulse"))
    assert "must not be told" not in told


def test_a_frozen_child_is_killed_and_started_again(device: Device) -> None:
    device.use("ticker")
    device.supervise(timing=f"alive_s=20, missed_s=10, {QUICK}")
    pid = device.pid("ticker")
    wait_for(lambda: device.rows("sensor"), "a row")
    os.kill(pid, signal.SIGSTOP)
    assert "no beat" in str(device.told("restarted", "ticker")["reason"])
    assert gone(pid)
    before = len(device.rows("sensor"))
    wait_for(lambda: len(device.rows("sensor")) > before, "rows of the new process")
    missed = device.told("missed", "ticker")
    assert "no beat" in str(missed["reason"])
    assert missed["end"] - missed["at"] > 15e6  # type: ignore[operator]


def test_one_that_is_frozen_while_it_appends_is_killed_too(device: Device) -> None:
    device.use("ticker")
    device.supervise(timing=f"alive_s=20, pulse_s=0.5, {QUICK}")
    pid = device.pid("ticker")
    wait_for(lambda: device.rows("sensor"), "a row")
    lock = FileLock(device.path / "spool" / "sensor" / "lock")
    try:
        with lock:  # as it would hold it itself
            os.kill(pid, signal.SIGSTOP)
            assert "no beat" in str(device.told("restarted", "ticker")["reason"])
    finally:
        lock.close()
    assert gone(pid)


def test_a_child_that_hangs_in_foreign_code_is_killed(device: Device) -> None:
    device.use("hanger")
    device.supervise(timing=f"alive_s=20, {QUICK}")
    wait_for((device.fakes / "hangs").exists, "the hang")
    assert "no beat" in str(device.told("restarted", "hanger")["reason"])


def test_a_stale_source_is_told_apart_from_a_dead_one(device: Device) -> None:
    device.use("blind")
    device.supervise(timing=f"fresh_s=3, pulse_s=0.5, {QUICK}")
    pid = device.pid("blind")
    assert device.told("stale", "blind")["stream"] == "sensor"
    assert device.child("blind", "stale")["pid"] == pid
    wait_for(lambda: _in_pulse(device, "blind", "state") == "stale", "a stale pulse")
    device.mark("sees")
    device.told("fresh", "blind")
    assert device.pid("blind") == pid


def test_an_unavailable_source_is_told_with_its_remedy(device: Device) -> None:
    device.use("flaky", "ticker")
    supervisor = device.supervise(timing=f"pulse_s=0.5, {QUICK}")
    row = device.told("unavailable", "flaky")
    assert row["reason"] == "There is no sensor. Plug it in."
    assert device.child("flaky", "unavailable")["reason"] == row["reason"]
    device.child("ticker")
    wait_for(lambda: _in_pulse(device, "flaky", "state") == "unavailable", "the pulse")
    assert not device.lifecycle("restarted", "flaky")
    stop(supervisor)


def test_a_source_that_comes_back_in_a_new_process_is_told(device: Device) -> None:
    device.use("flaky")
    device.supervise()
    device.told("unavailable", "flaky")
    device.mark("plugged")
    os.kill(device.pid("flaky", "unavailable"), signal.SIGKILL)
    device.told("available", "flaky")
    assert len(device.lifecycle("unavailable", "flaky")) == 1
    kinds = [row["kind"] for row in device.rows("lifecycle") if row.get("collector") == "flaky"]
    assert kinds == ["started", "unavailable", "restarted", "available"]


def test_an_unavailable_source_is_tried_again(device: Device) -> None:
    device.use("flaky")
    device.home  # noqa: B018 - creates the home
    argv = [sys.executable, "-m", "lifelog_lake.collect.child", "flaky"]
    child = subprocess.Popen(
        [*argv, "--home", str(device.path), "--retry-s", "0.2"],
        env=device.env(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    device.started.append(child)
    assert child.stdout is not None
    assert child.stdin is not None
    states = []
    for line in child.stdout:
        beat = read_beat(line)
        assert beat is not None
        states.append(beat.state)
        if beat.state == "unavailable":
            device.mark("plugged")
        if beat.state == "running":
            break
    assert states == ["starting", "unavailable", "running"]
    child.stdin.close()  # its supervisor is gone
    assert child.wait(timeout=SOON_S) == 0


def test_sigkill_of_the_supervisor_leaves_no_orphan(device: Device) -> None:
    device.use("ticker", "keeper")
    extra = 'foreign("sleeper", (sys.executable, "-c", "import time; time.sleep(600)"))'
    supervisor = device.supervise(extra=extra)
    pids = [device.pid(name) for name in ("ticker", "keeper", "sleeper")]
    supervisor.kill()
    supervisor.wait(timeout=30)
    wait_for(lambda: all(gone(pid) for pid in pids), "the end of all children", 10)
    # Even then a collector writes what it holds: it is asked to stop by the kernel.
    assert [row["value"] for row in device.rows("sensor") if row["name"] == "keeper"] == [-1.0]


def test_a_frozen_child_is_no_orphan_either(device: Device) -> None:
    require_linux("the kernel wakes a stopped child when its parent dies")
    device.use("ticker")
    supervisor = device.supervise()
    pid = device.pid("ticker")
    os.kill(pid, signal.SIGSTOP)
    supervisor.kill()
    supervisor.wait(timeout=30)
    wait_for(lambda: gone(pid), "the end of the frozen child", 10)


def test_a_child_that_hangs_without_a_supervisor_ends_itself(device: Device) -> None:
    device.use("hanger")
    device.home  # noqa: B018 - creates the home
    argv = [sys.executable, "-m", "lifelog_lake.collect.child", "hanger", "--hang-s", "3"]
    child = subprocess.Popen(
        [*argv, "--home", str(device.path)],
        env=device.env(),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    device.started.append(child)
    assert child.wait(timeout=SOON_S) == -signal.SIGALRM


def test_a_child_that_does_not_end_is_ended(device: Device) -> None:
    device.use("stubborn", "keeper")
    supervisor = device.supervise()
    pid = device.pid("stubborn")
    device.pid("keeper")
    wait_for(lambda: device.rows("sensor"), "a row")
    assert stop(supervisor) == 0
    assert gone(pid)
    assert device.lifecycle("stopped", "stubborn")[0]["reason"] == "SIGALRM"
    assert [row["value"] for row in device.rows("sensor") if row["name"] == "keeper"] == [-1.0]


def test_a_frozen_child_does_not_hold_up_the_end(device: Device) -> None:
    device.use("ticker")
    supervisor = device.supervise()
    pid = device.pid("ticker")
    os.kill(pid, signal.SIGSTOP)
    assert stop(supervisor) == 0
    assert gone(pid)
    assert device.lifecycle("stopped", "ticker")[0]["reason"] == "SIGKILL"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_other_signals_end_it_in_order_too(device: Device, number: signal.Signals) -> None:
    device.use("keeper")
    supervisor = device.supervise()
    device.pid("keeper")
    supervisor.send_signal(number)
    assert supervisor.wait(timeout=60) == 0
    assert device.rows("sensor")
    assert device.lifecycle("stopped")


def test_a_frozen_supervisor_does_not_stop_capture_nor_kill_its_children(device: Device) -> None:
    device.use("ticker")
    supervisor = device.supervise(timing=f"alive_s=20, {QUICK}")
    pid = device.pid("ticker")
    supervisor.send_signal(signal.SIGSTOP)
    before = len(device.rows("sensor"))
    time.sleep(22)
    during = len(device.rows("sensor"))
    supervisor.send_signal(signal.SIGCONT)
    assert during > before
    wait_for(lambda: len(device.rows("sensor")) > during, "more rows")
    assert device.pid("ticker") == pid
    assert not device.lifecycle("restarted", "ticker")


def test_a_pause_is_honoured_and_told(device: Device) -> None:
    device.use("ticker", "keeper")
    device.supervise(timing=f"pulse_s=0.5, {QUICK}")
    device.pid("ticker")
    device.pid("keeper")
    pause = set_pause(device.path, SystemClock())
    device.child("ticker", "paused")
    device.child("keeper", "paused")
    rows = device.rows("sensor")
    assert [row["value"] for row in rows if row["name"] == "keeper"] == [-1.0]
    time.sleep(1)
    assert len(device.rows("sensor")) == len(rows)
    assert device.told("paused")["at"] == pause.since_us
    wait_for(lambda: _in_pulse(device, "ticker", "state") == "paused", "a paused pulse")
    assert clear_pause(device.path, SystemClock())
    device.told("resumed")
    wait_for(lambda: len(device.rows("sensor")) > len(rows), "rows after the pause")


def test_a_pause_that_runs_out_ends(device: Device) -> None:
    device.use("ticker")
    set_pause(device.path, SystemClock(), 600)
    device.supervise()
    device.child("ticker", "paused")
    assert not device.rows("sensor")
    set_pause(device.path, SystemClock(), 2)  # only now: a start may take longer than that
    resumed = device.told("resumed")
    wait_for(lambda: device.rows("sensor"), "rows after the pause")
    assert device.rows("sensor")[0]["at"] >= resumed["at"]  # type: ignore[operator]


def test_a_full_spool_is_told_and_capture_goes_on_when_there_is_room(device: Device) -> None:
    device.use("ticker")
    config = (device.path / "config.toml").read_text("utf-8")
    device.configure(config + "[spool]\nmax_bytes = 16777216\nmin_free_bytes = 0\n")
    spool = Spool.of(device.home)
    content = BlobSource.of_bytes(bytes(20 * 1024 * 1024), "audio/flac")
    (seq,) = spool.append([new_event("audio", at=SystemClock().wall_us(), data={}, source=content)])
    device.supervise(timing=f"pulse_s=0.5, {QUICK}")
    device.told("full", "ticker")
    device.child("ticker", "full")
    wait_for(lambda: _in_pulse(device, "ticker", "state") == "full", "a pulse that says it")
    outlet = spool.outlet("audio")
    outlet.ack(outlet.state().epoch, seq, "generation")  # the lake has it: there is room
    device.told("room", "ticker")
    wait_for(lambda: len(device.rows("sensor")) > 5, "rows")
    ticks = [row["value"] for row in device.rows("sensor")]
    assert ticks == [float(value) for value in range(1, len(ticks) + 1)]  # the held one too


def test_what_is_no_row_goes_to_quarantine_and_is_counted(device: Device) -> None:
    device.use("refuser")
    device.supervise(timing=f"pulse_s=0.5, {QUICK}")
    directory = device.path / "spool" / "sensor" / "quarantine"
    wait_for(lambda: len(list(directory.glob("*.payload"))) >= 4, "quarantined payloads")
    assert b"bad payload" in {path.read_bytes() for path in directory.glob("*.payload")}
    wait_for(lambda: device.child("refuser")["errors"], "a count")
    assert device.child("refuser")["restarts"] == 0
    wait_for(lambda: _in_pulse(device, "refuser", "errors"), "the count in the pulse")


def test_pulses_say_how_each_stream_is(device: Device) -> None:
    device.use("ticker")
    device.supervise(timing=f"pulse_s=0.5, {QUICK}")
    wait_for(lambda: _in_pulse(device, "ticker", "state") == "running", "a running pulse")
    wait_for(lambda: _in_pulse(device, "ticker", "cpu_percent"), "a pulse with usage")
    pulse = device.rows("pulse")[-1]
    streams = pulse["streams"]
    assert isinstance(streams, list)
    by_name = {entry["collector"]: entry for entry in streams}
    ticker = by_name["ticker"]
    assert ticker["stream"] == "sensor"
    assert ticker["state"] == "running"
    assert ticker["last_capture_at"] > 0
    assert ticker["spool_bytes"] > 0
    assert ticker["spool_newest_at"] >= ticker["spool_oldest_at"]
    assert ticker["memory_bytes"] > 1_000_000
    assert by_name["screen"] == {**dict.fromkeys(by_name["screen"]),
        "stream": "screen", "collector": "screen", "state": "disabled"}  # fmt: skip
    assert pulse["config_hash"] == device.home.settings.sha256()
    assert pulse["disk_free_bytes"] > 0  # type: ignore[operator]


def test_a_foreign_program_is_kept_running(device: Device) -> None:
    device.use()
    code = "print('words on stdout', flush=True); import time; time.sleep(600)"
    device.supervise(
        extra=f'foreign("page", (sys.executable, "-c", "{code}"), stderr=home.logs / "page.log")'
    )
    pid = device.pid("page")
    output = device.path / "logs" / "page.log"
    wait_for(lambda: "words" in output.read_text("utf-8"), "its output")
    os.kill(pid, signal.SIGKILL)
    device.told("restarted", "page")
    wait_for(lambda: device.pid("page") != pid, "a new process")
    wait_for(lambda: output.read_text("utf-8").count("words") == 2, "output of both")


def test_a_program_that_is_not_there_does_not_stop_the_rest(device: Device) -> None:
    device.use("ticker")
    device.supervise(extra='ChildSpec(name="absent", argv=("/nowhere/at/all",))')
    assert "No such file" in str(device.told("failed", "absent")["reason"])
    wait_for(lambda: device.rows("sensor"), "rows of the others")


def test_wrong_settings_are_refused_at_once(device: Device) -> None:
    device.configure("[collectors.scren]\nenabled = true\n")
    with pytest.raises(UsageError, match=r"no section collectors\.scren.*Did you mean 'screen'"):
        Supervisor(device.home, ship=False)
    device.configure("[collectors.screen]\nevry_s = 3\n")
    with pytest.raises(UsageError, match=r"collectors\.screen\.evry_s.*Did you mean 'every_s'"):
        Supervisor(device.home, ship=False)
    device.configure("[collectors.screen]\nevery_s = 0\n")
    with pytest.raises(UsageError, match=r"collectors\.screen\.every_s is wrong"):
        Supervisor(device.home, ship=False)


def test_a_device_process_has_no_heavy_imports(device: Device) -> None:
    code = (
        "import sys, lifelog_lake.collect.child, lifelog_lake.collect.supervisor\n"
        "from lifelog_lake.collect import registry\n"
        "registry.load('screen')\n"
        "heavy = {'numpy', 'PIL', 'mss', 'pyarrow', 'polars', 'deltalake', 'xxhash'}\n"
        "print(heavy & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=device.env(), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def _in_pulse(device: Device, collector: str, key: str) -> object:
    """A value of the newest pulse about a collector."""
    pulses = device.rows("pulse")
    entries = pulses[-1]["streams"] if pulses else []
    assert isinstance(entries, list)
    return next((entry.get(key) for entry in entries if entry["collector"] == collector), None)


def test_a_child_may_start_later_than_the_others(device: Device) -> None:
    """As the flows do, so that the pages come first; until then it needs nobody."""
    device.use("ticker")
    late = 'ChildSpec(name="late", argv=("sleep", "600"), beats=False, after_s=1.5)'
    process = device.supervise(extra=late)
    first, second = device.told("started", "ticker"), device.told("started", "late")
    assert second["at"] - first["at"] >= 1_400_000  # type: ignore[operator]
    assert device.lifecycle("restarted", "late") == []
    device.child("late")
    assert stop(process) == 0
