"""The service files of each platform, held against that platform's own rules."""

from __future__ import annotations

import os
import plistlib
import subprocess
import sys
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lifelog_lake.errors import UsageError
from lifelog_lake.fleet.launchd import LaunchAgent
from lifelog_lake.fleet.service import Wanted, apply, changes
from lifelog_lake.fleet.systemd import HUB_HOME, MachineSystemd, UserSystemd
from lifelog_lake.fleet.tasks import TaskScheduler
from tests.needs import require_linux, require_program

XSD = Path(__file__).resolve().parents[1] / "data" / "taskscheduler.xsd"
#: launchd.plist(5). launchd passes over keys that it doesn't know without a word.
PLIST_KEYS = {
    *("Label", "Disabled", "UserName", "GroupName", "Program", "ProgramArguments", "KeepAlive"),
    *("RunAtLoad", "WorkingDirectory", "EnvironmentVariables", "Umask", "TimeOut", "ExitTimeOut"),
    *("ThrottleInterval", "StandardInPath", "StandardOutPath", "StandardErrorPath", "Nice"),
    *("SoftResourceLimits", "HardResourceLimits", "ProcessType", "LowPriorityIO"),
    *("LimitLoadToSessionType", "AbandonProcessGroup", "LegacyTimers", "SessionCreate"),
}
PROCESS_TYPES = {"Background", "Standard", "Adaptive", "Interactive"}
TASK = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"
ODD = "o dd 100% $HOME \"quoted\" 'x' \\ é & <home>"


def wanted(home: Path, **more: object) -> Wanted:
    """A device."""
    values: dict[str, object] = {"role": "device", "home": home, "python": Path(sys.executable)}
    return Wanted(**{**values, **more})  # type: ignore[arg-type]


# --- Linux --------------------------------------------------------------------------------------


def verified(unit: Path, *options: str, runtime: Path) -> str:
    """What systemd says against a unit: it returns 0 for keys that it doesn't know."""
    program = require_program("systemd-analyze", package="systemd")
    done = subprocess.run(
        [program, *options, "verify", str(unit)],
        env=os.environ | {"XDG_RUNTIME_DIR": str(runtime), "HOME": str(runtime)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stdout + done.stderr + (f"exit code {done.returncode}" if done.returncode else "")


def write(files: list[tuple[Path, bytes, str | None]]) -> None:
    """Put the files where they say."""
    for path, content, link in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        if link is None:
            path.write_bytes(content)
        else:
            path.symlink_to(link)


@pytest.mark.parametrize("role", ["device", "hub"])
@pytest.mark.parametrize("headless", [False, True])
def test_systemd_finds_nothing_to_say_against_the_units(
    tmp_path: Path, role: str, headless: bool
) -> None:
    require_linux("systemd")
    home = tmp_path / ODD
    home.mkdir()
    keeper = wanted(home, role=role, headless=headless, activitywatch=Path("/bin/sleep"))
    files = UserSystemd(tmp_path / "user").files(keeper)
    write([(file.path, file.content, file.link) for file in files])
    assert UserSystemd(tmp_path / "user").serves() == home
    target = "default.target" if headless else "graphical-session.target"
    for name in ("lifelog", "lifelog-activitywatch"):
        unit = tmp_path / "user" / f"{name}.service"
        text = unit.read_text("utf-8")
        assert verified(unit, "--user", runtime=tmp_path) == ""
        for line in ("Restart=always", "Environment=PYTHONSAFEPATH=1", "Type=notify"):
            assert line in text.splitlines()
        assert f"WantedBy={target}" in text
        link = tmp_path / "user" / f"{target}.wants" / f"{name}.service"
        assert link.resolve() == unit.resolve()


def test_a_wrong_key_is_seen(tmp_path: Path) -> None:
    """What the test above rests on."""
    require_linux("systemd")
    unit = tmp_path / "wrong.service"
    unit.write_text("[Service]\nExecStart=/bin/sleep 1\nWatchdogSecs=3\n")
    assert "WatchdogSecs" in verified(unit, "--user", runtime=tmp_path)


def test_the_hub_of_a_machine(tmp_path: Path) -> None:
    require_linux("systemd")
    python = Path("/usr/bin/env")  # one that is there and isn't in somebody's home
    hub = wanted(HUB_HOME, role="hub", python=python)
    files = MachineSystemd(tmp_path).files(hub)
    write([(file.path, file.content, file.link) for file in files])
    unit = tmp_path / "etc" / "systemd" / "system" / "lifelog-hub.service"
    assert verified(unit, runtime=tmp_path) == ""
    text = unit.read_text("utf-8")
    for line in (
        *("User=lifelog", "StateDirectory=lifelog", "Environment=PYTHONSAFEPATH=1"),
        *(f"Environment=LIFELOG_HOME={HUB_HOME}", "ProtectSystem=strict", "NoNewPrivileges=yes"),
        f"ExecStart={python} -m lifelog_lake --home {HUB_HOME} up --no-browser",
    ):
        assert line in text.splitlines(), line
    users = tmp_path / "etc" / "sysusers.d" / "lifelog.conf"
    (tmp_path / "root").mkdir()
    program = require_program("systemd-sysusers", package="systemd")
    lines = [line for line in users.read_text("utf-8").splitlines() if line[0] != "#"]
    done = subprocess.run(
        [program, "--dry-run", f"--root={tmp_path / 'root'}", "--inline", *lines],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "lifelog" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"role": "device"}, "no screen"),
        ({"home": Path("/srv/lifelog")}, "/var/lib/lifelog, not /srv/lifelog"),
        ({"python": Path("/home/ada/.local/bin/python")}, "own user can't run"),
        ({"python": Path("/root", "bin", "python")}, "own user can't run"),
    ],
)
def test_a_machine_takes_only_what_can_work(more: dict[str, object], said: str) -> None:
    base = {"role": "hub", "home": HUB_HOME, "python": Path("/opt/lifelog/bin/python")}
    with pytest.raises(UsageError, match=said):
        MachineSystemd().files(Wanted(**{**base, **more}))  # type: ignore[arg-type]


def test_the_words_of_a_unit_are_quoted(tmp_path: Path) -> None:
    home = tmp_path / ODD
    home.mkdir()
    (unit, _) = UserSystemd(tmp_path).files(wanted(home))
    (line,) = [line for line in unit.content.decode().splitlines() if line.startswith("ExecStart=")]
    assert unquoted(line.partition("=")[2]) == [
        sys.executable, "-m", "lifelog_lake", "--home", str(home), "collect",
    ]  # fmt: skip


def unquoted(line: str) -> list[str]:
    """The words of an ExecStart line, after systemd.service(5): C escapes within double quotes,
    then ``%%`` and ``$$``."""
    import shlex

    return [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(line)]


def test_a_program_with_a_dollar_is_found(tmp_path: Path) -> None:
    """systemd puts variables into the arguments, not into the program: ``$$`` would stay there."""
    require_linux("systemd")
    odd = tmp_path / "of $HOME at 100%"
    odd.mkdir()
    (odd / "python").symlink_to("/bin/sleep")
    more = wanted(odd, python=odd / "python", activitywatch=odd / "python")
    files = UserSystemd(tmp_path / "user").files(more)
    write([(file.path, file.content, file.link) for file in files])
    for name in ("lifelog", "lifelog-activitywatch"):
        unit = tmp_path / "user" / f"{name}.service"
        assert verified(unit, "--user", runtime=tmp_path) == ""


@pytest.mark.parametrize(
    ("name", "what"),
    [("two\nlines", "control character"), (os.fsdecode(b"caf\xe9"), "isn't UTF-8")],
)
def test_a_path_that_no_file_can_hold_is_refused(tmp_path: Path, name: str, what: str) -> None:
    for manager in (UserSystemd(tmp_path), LaunchAgent(tmp_path), TaskScheduler(tmp_path)):
        with pytest.raises(UsageError, match=what):
            manager.files(wanted(tmp_path / name))


@pytest.mark.parametrize("name", ["blank ", "back\\"])
def test_a_home_that_a_unit_would_read_as_another_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="blank or a backslash"):
        UserSystemd(tmp_path).files(wanted(tmp_path / name))


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("a file, where a directory should be")
    manager = UserSystemd(tmp_path / "config" / "user")
    with pytest.raises(UsageError, match=r"config.* can't be changed"):
        apply(changes(manager, wanted(tmp_path)))


def test_two_at_once_write_the_same(tmp_path: Path) -> None:
    """A second terminal, or an upgrade's hook: what one plans, the other may have done."""
    manager = UserSystemd(tmp_path)
    planned = changes(manager, wanted(tmp_path))
    with ThreadPoolExecutor(8) as terminals:
        for one in [terminals.submit(apply, planned) for _ in range(100)]:
            one.result()
    assert changes(manager, wanted(tmp_path)) == []
    assert not list(tmp_path.rglob(".tmp-*"))


# --- macOS --------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["device", "hub"])
def test_the_property_list(tmp_path: Path, role: str) -> None:
    home = tmp_path / ODD
    (file,) = LaunchAgent(tmp_path).files(wanted(home, role=role))
    content = plistlib.loads(file.content)
    assert set(content) <= PLIST_KEYS
    assert file.path.stem == content["Label"], "launchctl finds it by its label"
    words = ["collect"] if role == "device" else ["up", "--no-browser"]
    assert content["ProgramArguments"] == [
        sys.executable, "-m", "lifelog_lake", "--home", str(home), *words,
    ]  # fmt: skip
    assert content["EnvironmentVariables"] == {"PYTHONSAFEPATH": "1"}
    assert content["KeepAlive"] is True
    assert content["RunAtLoad"] is True
    assert content["ThrottleInterval"] == 10
    assert content["ProcessType"] in PROCESS_TYPES
    assert content["Umask"] == 0o077
    agent = LaunchAgent(tmp_path)
    assert agent.serves() is None
    apply(changes(agent, wanted(home, role=role)))
    assert agent.serves() == home
    assert content["StandardErrorPath"] == f"{home}/logs/service.stderr"
    assert content["StandardOutPath"] == os.devnull, "the address with its token isn't for a file"


# --- Windows ------------------------------------------------------------------------------------


def valid(path: Path) -> str:
    """What xmllint says against a task."""
    program = require_program("xmllint", package="libxml2-utils")
    done = subprocess.run(
        [program, "--noout", "--nonet", "--schema", str(XSD), str(path)],
        capture_output=True,
        text=True,
    )
    return "" if done.returncode == 0 else done.stderr


def test_the_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USERDOMAIN", "DESK & TOP")
    monkeypatch.setenv("USERNAME", "Ada Löve")
    home = Path(r"C:\Users\Ada Löve\App Data\lifelog & more")
    watch = Path(r"C:\Program Files\ActivityWatch\aw-qt.exe")
    files = TaskScheduler(tmp_path).files(wanted(home, activitywatch=watch))
    assert [file.path.name for file in files] == ["lifelog.xml", "lifelog-activitywatch.xml"]
    for file in files:
        file.path.parent.mkdir(exist_ok=True)
        file.path.write_bytes(file.content)
        assert valid(file.path) == ""
        root = ET.fromstring(file.content)  # the mark of UTF-16 and the declaration agree
        texts = {element.tag.removeprefix(TASK): element.text for element in root.iter()}
        assert texts["UserId"] == r"DESK & TOP\Ada Löve"
        assert texts["MultipleInstancesPolicy"] == "IgnoreNew"
        assert texts["Command"] == sys.executable
    root = ET.fromstring(files[0].content)
    texts = {element.tag.removeprefix(TASK): element.text for element in root.iter()}
    assert texts["Arguments"] == f'-P -m lifelog_lake --home "{home}" collect'
    assert texts["WorkingDirectory"] == str(home)
    assert texts["ExecutionTimeLimit"] == "PT0S", "the scheduler ends a task after three days else"
    assert root.find(f".//{TASK}RestartOnFailure/{TASK}Interval") is not None
    watched = ET.fromstring(files[1].content).find(f".//{TASK}Arguments")
    assert watched is not None
    assert f'-Program "{watch}"' in str(watched.text)


def test_a_task_out_of_order_is_seen(tmp_path: Path) -> None:
    """What the test above rests on."""
    (file,) = TaskScheduler(tmp_path).files(wanted(tmp_path))
    text = file.content.decode("utf-16")
    for old, new in (("IgnoreNew", "Ignore"), ("<Count>255", "<Count>999"), ("Hidden", "Hiden")):
        path = tmp_path / "wrong.xml"
        path.write_bytes(text.replace(old, new).encode("utf-16"))
        assert "lifelog" not in valid(path)
        assert valid(path) != ""


def test_the_window_is_hidden(tmp_path: Path) -> None:
    """``pythonw.exe`` where it lies beside ``python.exe``, as it does on Windows."""
    (tmp_path / "pythonw.exe").touch()
    (file,) = TaskScheduler(tmp_path).files(wanted(tmp_path, python=tmp_path / "python.exe"))
    assert f"<Command>{tmp_path / 'pythonw.exe'}</Command>" in file.content.decode("utf-16")
