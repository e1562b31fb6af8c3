"""``lifelog install``, upgrade, dry run and ``uninstall`` in a scratch HOME, as a person does it.

A ``systemctl`` of the test's own stands where systemd's would be: it writes down what it is asked.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from lifelog_lake import __version__
from lifelog_lake.collect.health import write_status
from tests.fixtures.command import Done, Run, a_command, a_home, recorded, said  # noqa: F401
from tests.needs import require_linux

SYSTEMCTL = """#!/bin/sh
echo "$(basename "$0") $*" >> "$CALLS"
case "$*" in
*show-environment*) [ -e "$CALLS.down" ] && { echo "Failed to connect to bus" >&2; exit 1; } ;;
*" show "*) [ -e "$CALLS.down" ] && { echo "Failed to connect to bus" >&2; exit 1; }
    if [ -e "$CALLS.fails" ]; then echo ActiveState=activating; echo SubState=auto-restart
        echo Result=exit-code; echo NRestarts=3
    elif [ -e "$CALLS.active" ]; then echo ActiveState=active; echo SubState=running
    else echo ActiveState=inactive; echo SubState=dead; fi ;;
*start*) touch "$CALLS.active" ;;
*stop*) rm -f "$CALLS.active" ;;
esac
exit 0
"""


class Person:
    """A login with a scratch HOME."""

    def __init__(self, lifelog: Run, home: Path, scratch: Path) -> None:
        self._lifelog = lifelog
        self.home = home
        self.scratch = scratch
        self.calls_file = scratch / "calls"
        programs = scratch / "bin"
        programs.mkdir(parents=True)
        for name in ("systemctl", "loginctl"):
            (programs / name).write_text(SYSTEMCTL)
            (programs / name).chmod(0o755)
        self.env: Mapping[str, str] = {
            "HOME": str(scratch),
            "XDG_CONFIG_HOME": "",
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "CALLS": str(self.calls_file),
        }

    def types(self, *words: str, code: int = 0) -> Done:
        """Run the command; it must end with ``code``."""
        done = self._lifelog(*words, **self.env)
        assert done.returncode == code, said(done)
        return done

    def calls(self) -> list[str]:
        """What systemd was told to do since the last time."""
        if not self.calls_file.exists():
            return []
        lines = self.calls_file.read_text("utf-8").splitlines()
        self.calls_file.unlink()
        questions = (" show ", "show-environment", "is-active", "show-user")
        return [line for line in lines if not any(word in f"{line} " for word in questions)]

    def systemd_is_down(self) -> None:
        """From now on nobody answers."""
        Path(f"{self.calls_file}.down").touch()

    def tree(self) -> dict[str, tuple[bytes | str, int]]:
        """Each file below .config with its content and its time."""
        config = self.scratch / ".config"
        return {
            str(path.relative_to(config)): (
                str(path.readlink()) if path.is_symlink() else path.read_bytes(),
                path.lstat().st_mtime_ns,
            )
            for path in sorted(config.rglob("*"))
            if not path.is_dir()
        }

    @property
    def unit(self) -> Path:
        """The service's file."""
        return self.scratch / ".config" / "systemd" / "user" / "lifelog.service"


@pytest.fixture
def person(lifelog: Run, home: Path, tmp_path: Path) -> Person:
    require_linux("systemd")
    return Person(lifelog, home, tmp_path / "a person")


LINK = "systemd/user/graphical-session.target.wants/lifelog.service"
RESTART = [
    "systemctl --user daemon-reload",
    "systemctl --user restart --no-block lifelog.service",
]


def test_install_again_upgrade_and_uninstall(person: Person, home: Path) -> None:
    recorded(home)
    dry = person.types("install", "--dry-run")
    assert f"+++ {person.unit}" in dry.stdout
    assert "+Restart=always" in dry.stdout.splitlines()
    assert "Would run: systemctl --user daemon-reload" in dry.stdout
    assert not person.tree()
    assert not (home / "service.json").exists()
    assert person.calls() == []

    first = person.types("install")
    assert f"Wrote     {person.unit}" in first.stdout
    tree = person.tree()
    assert set(tree) == {"systemd/user/lifelog.service", LINK}
    assert tree[LINK][0] == "../lifelog.service"
    assert f"ExecStart={sys.executable} -m lifelog_lake --home {home} collect" in (
        person.unit.read_text("utf-8").splitlines()
    )
    assert person.calls() == RESTART

    # A second time nothing changes: no file is written, nothing is started again.
    assert "Nothing to change." in person.types("install").stdout
    assert person.tree() == tree
    assert person.calls() == []
    assert person.types("install", "--dry-run").stdout.strip() == "Nothing would change."

    # A newer version: the file that an older one wrote is replaced, and what runs is restarted.
    person.unit.write_text(person.unit.read_text("utf-8").replace("RestartSec=10", "RestartSec=5"))
    shown = person.types("install", "--dry-run")
    assert "-RestartSec=5" in shown.stdout.splitlines()
    assert "+RestartSec=10" in shown.stdout.splitlines()
    assert "RestartSec=5" in person.unit.read_text("utf-8")
    upgraded = person.types("install")
    assert "+RestartSec=10" in upgraded.stdout.splitlines()
    assert person.unit.read_bytes() == tree["systemd/user/lifelog.service"][0]
    assert person.calls() == RESTART

    # … also when only the program is newer than what runs.
    write_status(home / "run", {"state": "running", "version": "0.0.1"})
    person.types("install")
    assert person.calls() == ["systemctl --user restart --no-block lifelog.service"]
    write_status(home / "run", {"state": "running", "version": __version__})
    person.types("install")
    assert person.calls() == []

    gone = person.types("uninstall", "--dry-run")
    assert "-Restart=always" in gone.stdout.splitlines()
    assert set(person.tree()) == set(tree)
    spool = sorted((home / "spool").rglob("*"))
    removed = person.types("uninstall")
    assert person.tree() == {}
    assert "systemctl --user stop lifelog.service" in person.calls()
    assert str(home) in said(removed), "where the data is"
    assert str(home / "lake") in said(removed)
    assert sorted((home / "spool").rglob("*")) == spool, "data stays"
    assert "no service to remove" in said(person.types("uninstall"))


def test_what_was_wanted_is_remembered(person: Person) -> None:
    person.types("install", "--role", "hub", "--headless", "--activitywatch", "sleep")
    wants = "systemd/user/default.target.wants"
    names = {"systemd/user/lifelog.service", "systemd/user/lifelog-activitywatch.service"}
    names |= {f"{wants}/lifelog.service", f"{wants}/lifelog-activitywatch.service"}
    assert set(person.tree()) == names
    assert " up --no-browser" in person.unit.read_text("utf-8")
    assert "Nothing to change." in person.types("install").stdout
    person.types("install", "--activitywatch", "")
    assert set(person.tree()) == {name for name in names if "activitywatch" not in name}
    person.types("install", "--role", "device")
    assert set(person.tree()) == {"systemd/user/lifelog.service", LINK}


def test_no_systemd_here(person: Person) -> None:
    """In an image, or over a bare ssh: the files are written, and it is said that nothing began."""
    person.systemd_is_down()
    done = person.types("install")
    assert "It begins with the next login" in said(done)
    assert set(person.tree()) == {"systemd/user/lifelog.service", LINK}
    assert person.calls() == []
    person.types("uninstall")
    assert person.tree() == {}


def test_no_start(person: Person) -> None:
    person.types("install", "--no-start")
    assert person.calls() == ["systemctl --user daemon-reload"]
    assert set(person.tree()) == {"systemd/user/lifelog.service", LINK}


def test_status_and_doctor_tell_of_the_service(person: Person) -> None:
    none = json.loads(person.types("status", "--json", code=1).stdout)["service"]
    assert none["installed"] is False
    person.types("install")
    state = json.loads(person.types("status", "--json", code=1).stdout)["service"]
    assert (state["installed"], state["active"]) == (True, True)
    assert "lifelog.service: active (running)" in said(person.types("status", code=1))
    checks = json.loads(person._lifelog("doctor", "--json", **person.env).stdout)["checks"]
    (check,) = [check for check in checks if check["name"] == "service"]
    assert check["state"] == "ok"
    Path(f"{person.calls_file}.active").unlink()
    assert "systemctl --user start lifelog" in said(person.types("status", code=1))
    checks = json.loads(person._lifelog("doctor", "--json", **person.env).stdout)["checks"]
    (check,) = [check for check in checks if check["name"] == "service"]
    assert check["state"] == "warn"
    Path(f"{person.calls_file}.fails").touch()
    words = said(person.types("status", code=1))
    assert "started again 3 times by systemd, last result exit-code" in words
    assert "journalctl --user -u lifelog" in words


def test_a_unit_that_a_package_brought_is_seen_when_it_runs(person: Person) -> None:
    Path(f"{person.calls_file}.active").touch()
    state = json.loads(person.types("status", "--json", code=1).stdout)["service"]
    assert (state["installed"], state["active"]) == (True, True)


def test_what_would_end_it_at_each_start_is_told_at_once(person: Person, home: Path) -> None:
    home.mkdir()
    (home / "config.toml").write_text("[collectors.screen]\nevry_s = 3\n")
    assert "Did you mean 'every_s'" in said(person.types("install", code=2))
    (home / "config.toml").write_text(f'[lake]\nurl = "{home}/100%"\n')
    assert "can't hold '%'" in said(person.types("install", code=2))
    assert person.tree() == {}


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--role", "server"), "no role 'server'"),
        (("--activitywatch", "no-such-program"), "no program 'no-such-program'"),
        (("--system", "--role", "device", "--dry-run"), "no screen, no sound"),
    ],
)
def test_what_cannot_be(person: Person, words: tuple[str, ...], what: str) -> None:
    assert what in said(person.types("install", *words, code=2))
    assert person.tree() == {}


def test_a_login_has_one_service(person: Person, home: Path) -> None:
    """Nobody takes another home's service away, or over, without a word."""
    person.types("install", "--no-start")
    other = home.parent / "another one"
    tree = person.tree()
    words = said(person.types("--home", str(other), "uninstall", code=2))
    assert f"records into {home}, not into {other}" in words
    assert f"lifelog --home {home} uninstall" in words
    assert person.tree() == tree
    state = json.loads(person.types("--home", str(other), "status", "--json", code=1).stdout)
    assert state["service"]["installed"] is False
    assert str(home) in state["service"]["hint"]
    words = said(person.types("--home", str(other), "install", "--no-start"))
    assert f"recorded into {home} until now" in words
    words = said(person.types("uninstall", code=2))
    assert f"records into {other}, not into {home}" in words
    person.types("--home", str(other), "uninstall")
    assert person.tree() == {}


@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_sudo_is_refused(
    person: Person, home: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """Root's files in a person's home would keep that person out of it."""
    from lifelog_lake.cli import app

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_UID", "1000")
    monkeypatch.setenv("LIFELOG_HOME", str(home))
    assert app.run([command]) == 2
    assert not home.exists()
    assert person.tree() == {}


@pytest.mark.parametrize(
    ("path", "short"),
    [
        ("~/.cache/uv/archive-v0/x1/bin/python", True),  # uvx
        ("~/AppData/Local/uv/cache/archive-v0/x1/Scripts/python.exe", True),
        (f"{tempfile.gettempdir()}/venv/bin/python", True),
        ("~/.local/share/uv/tools/lifelog-lake/bin/python", False),
        ("/opt/lifelog/bin/python", False),
    ],
)
def test_a_program_that_will_be_cleared_away(path: str, short: bool) -> None:
    from lifelog_lake.cli.service import _is_short_lived

    assert _is_short_lived(Path(path)) is short


def test_a_terminal_keeps_the_home(person: Person, home: Path) -> None:
    """Somebody's `lifelog up` holds it; the service waits for its end, and this is said."""
    from lifelog_lake.locks import FileLock

    recorded(home)
    lock = FileLock(home / "run" / "supervisor.lock")
    lock.acquire_now("a test")
    try:
        assert "takes over when that one ends" in said(person.types("install"))
    finally:
        lock.close()
