"""The command ``lifelog``: usage, homes and settings; words, exit codes, files."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from lifelog_lake import __version__
from lifelog_lake.cli import app as cli_app
from lifelog_lake.cli.pause import duration_s
from lifelog_lake.errors import UsageError
from tests.fixtures.command import LIFELOG, Done, Run, a_command, a_home, recorded, said  # noqa: F401 - fixtures
from tests.needs import require_linux

COMMANDS = (
    ["up"], ["collect"], ["init"], ["ship"], ["status"], ["doctor"], ["verify"], ["pause"],
    ["resume"], ["spool", "check"], ["config", "show"], ["config", "check"],
)  # fmt: skip
SECRET = "Geheimnis"


# --- usage --------------------------------------------------------------------------------------


def test_the_version(lifelog: Run) -> None:
    for words in (["--version"], ["--home", "x", "--version"]):
        done = lifelog(*words)
        assert (done.returncode, done.stdout) == (0, f"lifelog {__version__}\n")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_each_command_has_help_with_examples_and_the_home(
    lifelog: Run, home: Path, command: list[str]
) -> None:
    done = lifelog(*command, "--help")
    assert done.returncode == 0
    assert "Example" in done.stdout
    assert f"lifelog {' '.join(command)}" in done.stdout
    assert "--home" in done.stdout
    assert not home.exists(), "help does nothing"


@pytest.mark.parametrize(
    "words",
    [["nonsense"], ["up", "--nonsense"], ["up", "--port", "70000"], ["pause", "5x"],
     ["pause", "0m"], ["spool", "check", "nowhere"], ["verify", "extra"],
     ["init", "--lake", "gopher://x"]],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage_is_exit_code_2(lifelog: Run, words: list[str]) -> None:
    done = lifelog(*words)
    assert done.returncode == 2
    assert done.stderr.strip()


def test_the_home_may_stand_before_or_after_the_command(lifelog: Run, tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    for words in (
        ["--home", str(a), "status", "--json"],
        ["status", "--home", str(a), "--json"],
        ["--home", str(b), "status", "--home", str(a), "--json"],
    ):
        assert json.loads(lifelog(*words).stdout)["home"] == str(a)
    for words in (
        ["--home", str(a), "config", "check"],
        ["config", "--home", str(a), "check"],
        ["config", "check", "--home", str(a)],
        ["--home", str(b), "config", "check", "--home", str(a)],
    ):
        assert str(a / "config.toml") in said(lifelog(*words))
    assert not b.exists()


def test_completion_offers_the_commands(lifelog: Run) -> None:
    env = {"_LIFELOG_COMPLETE": "complete_bash", "COMP_WORDS": "lifelog st", "COMP_CWORD": "1"}
    assert lifelog(**env).stdout.split() == ["status"]


HEAVY = {"pyarrow", "polars", "deltalake", "jupyter_server", "jupyterlab", "voila", "numpy", "mss"}


@pytest.mark.parametrize(
    ("words", "absent"),
    [
        (["--version"], {*HEAVY, "typer", "rich", "pydantic"}),
        (["--help"], {*HEAVY, "pydantic", "structlog"}),
        (["status"], HEAVY),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_nothing_heavy_is_imported_without_need(
    home: Path, words: list[str], absent: set[str]
) -> None:
    code = (
        "import json, sys; from lifelog_lake.cli import main\n"
        f"sys.argv = ['lifelog', *{words!r}]\n"
        "main()\n"
        "print('MODULES', json.dumps([name for name in sys.modules if '.' not in name]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"LIFELOG_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    modules = set(json.loads(done.stdout.partition("MODULES ")[2]))
    assert "lifelog_lake" in modules
    assert not modules & absent


WITHOUT = """
import importlib.abc, importlib.machinery, sys
class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Block())
import importlib.util
find = importlib.util.find_spec
def find_spec(name, package=None):
    return None if name.partition(".")[0] in {blocked!r} else find(name, package)
importlib.util.find_spec = find_spec
sys.argv = ["lifelog", *{words!r}]
from lifelog_lake.cli import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("words", "blocked", "extra"),
    [
        (["ship"], {"deltalake"}, "device"),
        (["verify"], {"pyarrow"}, "device"),
        (["up", "--no-browser"], {"jupyter_server"}, "hub"),
        (["up", "--no-browser"], {"voila"}, "hub"),
    ],
)
def test_a_missing_extra_names_the_install_line(
    home: Path, words: list[str], blocked: set[str], extra: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(blocked=blocked, words=words)],
        env=os.environ | {"LIFELOG_HOME": str(home)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    assert f'pip install "lifelog-lake[{extra}]"' in said(done)
    assert "Traceback" not in done.stderr


# --- a home or settings that can't be used ------------------------------------------------------


@pytest.mark.parametrize("words", [["status"], ["collect"], ["config", "show"], ["init"]])
def test_a_home_that_is_a_file_is_said(lifelog: Run, home: Path, words: list[str]) -> None:
    home.write_text("")
    done = lifelog(*words)
    assert done.returncode == 2
    assert str(home) in said(done)
    assert "--home" in said(done)


def test_a_home_that_cant_be_made_is_said(lifelog: Run) -> None:
    require_linux("nobody, root neither, can make a directory in /proc")
    done = lifelog("status", "--home", "/proc/lifelog")
    assert done.returncode == 2
    assert "/proc/lifelog can't be used" in said(done)


def test_a_home_of_somebody_else_is_said(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def closed(*args: object, **more: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/home/other/lifelog")

    monkeypatch.setattr("lifelog_lake.home.open_home", closed)
    assert cli_app.run(["status", "--home", "/home/other/lifelog"]) == 2
    assert "/home/other/lifelog can't be used: Permission denied." in " ".join(
        capfd.readouterr().err.split()
    )


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[ship", "isn't valid TOML"),
        ("[ship]\nevery = 3", "Did you mean 'every_s'?"),
        ("[collectors.screeen]\nevery_s = 3", "Did you mean 'screen'?"),
        ("[collectors.screen]\nevery_s = 'soon'", "collectors.screen.every_s"),
    ],
)
def test_a_wrong_setting_is_named(lifelog: Run, home: Path, toml: str, words: str) -> None:
    home.mkdir()
    (home / "config.toml").write_text(toml)
    for command in (["config", "check"], ["collect"]):
        done = lifelog(*command)
        assert done.returncode == 2
        assert words in said(done)
    assert lifelog("doctor").returncode == 1


def test_a_mistake_in_the_program_is_a_short_line_and_a_trace_in_the_log(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(run: Path) -> None:
        raise ValueError(SECRET)

    monkeypatch.setattr("lifelog_lake.collect.health.read_status", broken)
    assert cli_app.run(["--home", str(home), "status"]) == 70
    shown = capfd.readouterr()
    assert "ValueError" in shown.err
    assert "Traceback" not in shown.err
    log = home / "logs" / "lifelog-cli.jsonl"
    assert str(log) in "".join(shown.err.split("\n"))
    line = json.loads(log.read_text().splitlines()[-1])
    assert line["event"] == "program_mistake"
    assert line["trace"][-1].endswith(" broken")
    assert SECRET not in shown.err + log.read_text()


# --- pause, settings ----------------------------------------------------------------------------


def test_pause_and_resume(lifelog: Run, home: Path) -> None:
    assert "There was no pause" in lifelog("resume").stdout
    for words in (["pause"], ["pause", "until", "resumed"]):
        assert lifelog(*words).returncode == 0
        pause = json.loads((home / "run" / "pause.json").read_text())
        assert pause["until_us"] is None
    assert json.loads(lifelog("status", "--json").stdout)["pause"]["until"] is None
    done = lifelog("pause", "2h30m")
    assert "2 h 30 min" in done.stdout
    pause = json.loads((home / "run" / "pause.json").read_text())
    assert pause["until_us"] - pause["since_us"] == 9_000_000_000
    assert "Recording goes on" in lifelog("resume").stdout
    assert not (home / "run" / "pause.json").exists()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30m", 1800), ("1h", 3600), ("2h30m", 9000), ("2h 30m", 9000), ("90s", 90), ("1D", 86_400),
     ("1.5h", 5400), ("", None), ("until resumed", None)],
)  # fmt: skip
def test_durations(text: str, seconds: float | None) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["5", "5x", "h", "-5m", "0m", "1h x", "400d", "m5", "1h-5m"])
def test_no_durations(text: str) -> None:
    with pytest.raises(UsageError):
        duration_s(text)


def test_config_show_tells_each_source_and_no_secret(lifelog: Run, home: Path) -> None:
    home.mkdir()
    (home / "config.toml").write_text(
        f"[ship]\nevery_s = 5\n[server]\npassword_hash = 'argon2:{SECRET}'\n"
    )
    env = {"LIFELOG_COLLECTORS__SCREEN__EVERY_S": "9", "LOG_LEVEL": "debug"}
    done = lifelog("config", "show", "--json", **env)
    settings = json.loads(done.stdout)["settings"]
    assert settings["ship.every_s"] == {"value": 5.0, "from": "config.toml"}
    assert settings["ship.batch_rows"] == {"value": 10_000, "from": "default"}
    assert settings["collectors.screen.every_s"] == {
        "value": 9.0,
        "from": "environment LIFELOG_COLLECTORS__SCREEN__EVERY_S",
    }
    assert settings["log.level"]["from"] == "environment LOG_LEVEL"
    plain = lifelog("config", "show", **env)
    assert "ship.every_s = 5.0" in plain.stdout
    assert SECRET not in done.stdout + plain.stdout
    assert settings["server.password_hash"]["value"]


def test_what_the_command_logs_is_json_or_the_console(lifelog: Run, home: Path) -> None:
    lifelog("pause", "5x")
    line = json.loads((home / "logs" / "lifelog-cli.jsonl").read_text()) if _logged(home) else None
    assert line is None or line["error"] == "UsageError"
    lifelog("init")
    (home / "lake").rename(home / "unmounted")
    lifelog("verify")
    log = (home / "logs" / "lifelog-cli.jsonl").read_text().splitlines()
    assert json.loads(log[-1])["error"] == "LakeUnreachable"
    done = lifelog("verify", LOG_FILE="")
    assert "command_failed" in done.stderr
    assert (home / "logs" / "lifelog-cli.jsonl").read_text().splitlines() == log


def _logged(home: Path) -> bool:
    log = home / "logs" / "lifelog-cli.jsonl"
    return log.exists() and bool(log.read_text())


def test_python_m_is_the_same_command(home: Path) -> None:
    words: Sequence[str] = [sys.executable, "-m", "lifelog_lake", "--home", str(home), "resume"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "There was no pause" in done.stdout
