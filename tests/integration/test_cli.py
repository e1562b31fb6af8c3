"""The command ``lifelog``, run as a person runs it: words, exit codes, files."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from lifelog_lake import __version__
from lifelog_lake.cli import app as cli_app
from lifelog_lake.cli.pause import duration_s
from lifelog_lake.errors import UsageError
from lifelog_lake.home import open_home
from lifelog_lake.locks import FileLock
from lifelog_lake.spool import Spool
from tests.helpers import frame, window

LIFELOG = Path(sys.executable).with_name("lifelog.exe" if os.name == "nt" else "lifelog")
COMMANDS = (
    ["up"], ["collect"], ["init"], ["ship"], ["status"], ["doctor"], ["verify"], ["pause"],
    ["resume"], ["spool", "check"], ["config", "show"], ["config", "check"],
)  # fmt: skip
SECRET = "Geheimnis"

Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def lifelog(home: Path) -> Run:
    """``lifelog("status", "--json", ENV="x")`` with this test's home."""

    def run(*words: str, **env: str) -> Done:
        keep = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("LIFELOG_", "LOG_", "DISPLAY", "WAYLAND"))
        }
        surroundings = keep | {"LIFELOG_HOME": str(home), "COLUMNS": "200", "NO_COLOR": "1"} | env
        done = subprocess.run(
            [str(LIFELOG), *words], env=surroundings, capture_output=True, text=True, timeout=120
        )
        assert "Traceback" not in done.stdout + done.stderr
        return done

    return run


def recorded(home: Path, rows: int = 3) -> None:
    """Put rows into the spool of a home, as capture does."""
    spool = Spool.of(open_home(home, flags={"spool": {"min_free_bytes": 0}}))
    spool.append([window(n) for n in range(rows)])
    spool.append([frame(n) for n in range(rows)])


def said(done: Done) -> str:
    """All it said, on one line."""
    return " ".join((done.stdout + done.stderr).split())


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


@pytest.mark.skipif(sys.platform != "linux", reason="nobody can make a directory in /proc")
def test_a_home_that_cant_be_made_is_said(lifelog: Run) -> None:
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


# --- the lake -----------------------------------------------------------------------------------


def test_init_makes_home_and_lake_and_can_be_repeated(lifelog: Run, home: Path) -> None:
    done = lifelog("init")
    assert done.returncode == 0, done.stderr
    assert (home / "config.toml").is_file()
    identity = (home / "lake" / "lake.json").read_bytes()
    assert lifelog("init").returncode == 0
    assert (home / "lake" / "lake.json").read_bytes() == identity


def test_init_at_another_place_writes_the_setting(lifelog: Run, home: Path, tmp_path: Path) -> None:
    lake = tmp_path / "my lake"
    assert lifelog("init", "--lake", str(lake)).returncode == 0
    assert (lake / "lake.json").is_file()
    assert not (home / "lake").exists()
    recorded(home)
    assert lifelog("ship").returncode == 0
    assert (lake / "tables" / "window").is_dir()
    assert json.loads(lifelog("status", "--json").stdout)["lake"] == str(lake)


def test_init_turns_to_no_other_lake_while_lifelog_runs(
    lifelog: Run, home: Path, tmp_path: Path
) -> None:
    assert lifelog("init").returncode == 0
    lock = FileLock(home / "run" / "supervisor.lock")
    try:
        lock.acquire_now("lifelog")
        done = lifelog("init", "--lake", str(tmp_path / "other"))
        assert done.returncode == 1
        assert f"running already (process {os.getpid()})" in said(done)
        assert not (tmp_path / "other").exists()
        assert lifelog("init").returncode == 0
    finally:
        lock.close()


def test_init_refuses_what_the_environment_contradicts(lifelog: Run, tmp_path: Path) -> None:
    done = lifelog("init", "--lake", str(tmp_path / "a"), LIFELOG_LAKE__URL=str(tmp_path / "b"))
    assert done.returncode == 2
    assert "LIFELOG_LAKE__URL" in said(done)
    assert not (tmp_path / "a").exists()


def test_ship_drains_the_spool_and_verify_proves_it(lifelog: Run, home: Path) -> None:
    lifelog("init")
    recorded(home)
    done = lifelog("ship")
    assert done.returncode == 0, done.stderr
    assert "Shipped 6 rows, 3 blobs" in said(done)
    report = json.loads(lifelog("spool", "check", "--json").stdout)
    assert [stream["records"] for stream in report["streams"]] == [0] * len(report["streams"])
    assert "Shipped 0 rows" in said(lifelog("ship"))
    checked = lifelog("verify", "--read-data", "--json")
    assert checked.returncode == 0
    found = json.loads(checked.stdout)
    assert (found["rows"], found["blobs"], found["findings"]) == (6, 3, [])
    assert found["bytes_read"] > 0


def test_verify_tells_what_is_missing_and_what_is_damaged(lifelog: Run, home: Path) -> None:
    lifelog("init")
    recorded(home)
    lifelog("ship")
    blob = next(path for path in (home / "lake" / "blobs").rglob("*") if path.is_file())
    blob.chmod(0o600)
    content = blob.read_bytes()
    blob.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    assert lifelog("verify").returncode == 0, "its size is right"
    done = lifelog("verify", "--read-data")
    assert done.returncode == 1
    assert blob.name in done.stdout
    blob.unlink()
    done = lifelog("verify", "--json")
    assert done.returncode == 1
    (finding,) = json.loads(done.stdout)["findings"]
    assert finding["kind"] == "blob-missing"
    assert finding["hint"]


@pytest.mark.parametrize("words", [["ship"], ["verify"]])
def test_a_lake_that_is_away_is_exit_code_3(lifelog: Run, home: Path, words: list[str]) -> None:
    lifelog("init")
    recorded(home)
    (home / "lake").rename(home / "unmounted")
    done = lifelog(*words)
    assert done.returncode == 3
    assert "Mount its disk" in said(done)
    assert not (home / "lake").exists(), "no new lake in its place"
    (home / "unmounted").rename(home / "lake")
    assert lifelog(*words).returncode == 0


# --- status, doctor, spool ----------------------------------------------------------------------


def test_status_works_while_nothing_runs(lifelog: Run, home: Path) -> None:
    recorded(home)
    done = lifelog("status", "--json")
    assert done.returncode == 1
    status = json.loads(done.stdout)
    assert status["running"] is False
    waiting = {row["name"]: row["waiting_rows"] for row in status["rows"]}
    assert waiting == {"screen": 3, "window": 3}
    assert "lifelog up" in status["findings"][0]
    plain = lifelog("status")
    assert plain.returncode == 1
    assert "3 rows" in plain.stdout
    assert "lifelog up" in plain.stdout


def status_file(home: Path, **more: object) -> None:
    from lifelog_lake.clock import SystemClock

    now = SystemClock().wall_us()
    child = {"state": "running", "streams": ["screen"], "reason": "", "last_error": None}
    status = {"state": "running", "pid": os.getpid(), "at": now, "started_at": now - 5_000_000}
    open_home(home)
    content = {**status, "children": {"screen": {**child, **more.pop("child", {})}}, **more}  # type: ignore[dict-item]
    (home / "run" / "status.json").write_text(json.dumps(content))


def test_status_is_well_while_all_runs(lifelog: Run, home: Path) -> None:
    status_file(home)
    done = lifelog("status")
    assert done.returncode == 0
    assert "Running for" in done.stdout


@pytest.mark.parametrize("state", ["unavailable", "error", "full", "stale", "down"])
def test_status_tells_what_isnt_well_with_its_remedy(lifelog: Run, home: Path, state: str) -> None:
    status_file(home, child={"state": state, "reason": "It is [bold]away[/]. Plug it in."})
    done = lifelog("status")
    assert done.returncode == 1
    assert f"Screen is {state}: It is [bold]away[/]. Plug it in." in done.stdout


def test_a_status_of_a_process_that_is_gone_doesnt_count(lifelog: Run, home: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    status_file(home, pid=gone.pid)
    assert json.loads(lifelog("status", "--json").stdout)["running"] is False


def test_an_old_status_of_a_living_process_is_a_finding(lifelog: Run, home: Path) -> None:
    status_file(home, at=1_767_323_045_000_000)
    done = lifelog("status")
    assert done.returncode == 1
    assert "hasn't reported" in done.stdout


def checks(done: Done) -> dict[str, dict[str, str]]:
    return {check["name"]: check for check in json.loads(done.stdout)["checks"]}


def test_doctor_looks_at_everything(lifelog: Run, home: Path) -> None:
    lifelog("init")
    env = {"LIFELOG_SPOOL__MIN_FREE_BYTES": "0"}
    done = lifelog("doctor", "--json", **env)
    found = checks(done)
    assert done.returncode == 0, done.stdout
    assert {"home", "settings", "disk of the spool", "spool", "lake", "clock"} <= set(found)
    assert {check["state"] for check in found.values()} <= {"ok", "warn"}
    if sys.platform == "linux":
        assert found["screen"]["state"] == "warn"
        assert "DISPLAY" in found["screen"]["message"]
        assert found["screen"]["remedy"]
    plain = lifelog("doctor", **env)
    assert plain.returncode == 0
    assert "ok   lake" in plain.stdout


def test_doctor_fails_with_a_remedy(lifelog: Run, home: Path) -> None:
    lifelog("init")
    (home / "lake").rename(home / "unmounted")
    done = lifelog("doctor", "--json", LIFELOG_SPOOL__MIN_FREE_BYTES=str(2**60))
    assert done.returncode == 1
    found = checks(done)
    assert found["lake"]["state"] == "fail"
    assert "Mount" in found["lake"]["remedy"]
    assert found["disk of the spool"]["state"] == "fail"
    assert "min_free_bytes" in found["disk of the spool"]["remedy"]


def test_doctor_names_what_the_lakes_file_system_lacks(
    lifelog: Run, home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from lifelog_lake import lake

    lifelog("init")
    lacking = lake.Property(name="hard link", ok=False, detail="not permitted")
    monkeypatch.setattr(lake, "probe", lambda _: [lacking])
    assert cli_app.run(["--home", str(home), "doctor", "--json"]) == 1
    found = {one["name"]: one for one in json.loads(capfd.readouterr().out)["checks"]}
    assert found["lake"]["state"] == "fail"
    assert "hard link (not permitted)" in found["lake"]["message"]


def test_doctor_sees_what_others_may_read_and_rows_of_the_future(lifelog: Run, home: Path) -> None:
    from lifelog_lake.clock import US_PER_S, SystemClock
    from lifelog_lake.events import new_event

    at = SystemClock().wall_us() + 3600 * US_PER_S
    spool = Spool.of(open_home(home, flags={"spool": {"min_free_bytes": 0}}))
    spool.append([new_event("window", at=at, data={})])
    (home / "token").write_text("x" * 40)
    if os.name != "nt":
        home.chmod(0o755)
        (home / "token").chmod(0o644)
    found = checks(lifelog("doctor", "--json"))
    assert found["clock"]["state"] == "warn"
    if os.name != "nt":
        assert found["home"]["state"] == "warn"
        assert "chmod 700" in found["home"]["remedy"]
        assert found["token"]["state"] == "fail"


def tree(path: Path) -> dict[str, tuple[int, str]]:
    return {
        str(file.relative_to(path)): (
            file.stat().st_mtime_ns,
            hashlib.sha256(file.read_bytes()).hexdigest(),
        )
        for file in path.rglob("*")
        if file.is_file()
    }


def test_spool_check_reads_a_copy_and_changes_nothing(
    lifelog: Run, home: Path, tmp_path: Path
) -> None:
    recorded(home)
    copy = tmp_path / "copy"
    shutil.copytree(home / "spool", copy / "spool")
    before = tree(copy)
    for where in (copy, copy / "spool"):
        done = lifelog("spool", "check", str(where), "--json")
        assert done.returncode == 0
        records = {one["stream"]: one["records"] for one in json.loads(done.stdout)["streams"]}
        assert records == {"screen": 3, "window": 3}
    assert tree(copy) == before
    shutil.rmtree(home)
    lifelog("spool", "check")
    assert not home.exists(), "not even a home is made"


def test_spool_check_finds_a_flipped_bit(lifelog: Run, home: Path) -> None:
    recorded(home)
    (segment,) = (home / "spool" / "window").glob("*/*.open")
    content = bytearray(segment.read_bytes())
    content[content.index(b"title 1")] ^= 1
    segment.write_bytes(content)
    done = lifelog("spool", "check")
    assert done.returncode == 1
    assert "Finding: window" in done.stdout


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
