"""Logs: lines that machines and people can read, and no way in for what was captured."""

from __future__ import annotations

import ast
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import structlog

from lifelog_lake import logs
from lifelog_lake.config import Settings
from lifelog_lake.errors import LakeUnreachable, UsageError
from lifelog_lake.home import Home
from tests.needs import require_linux

ROOT = Path(__file__).resolve().parents[2]
SECRET = "Geheimnis"

Read = Callable[[], list[dict[str, Any]]]


def home_at(path: Path, **log: object) -> Home:
    for name in ("logs", "run"):
        (path / name).mkdir(parents=True, exist_ok=True)
    return Home(path=path, settings=Settings(log=log), device="pc-1")  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def undo() -> Iterator[None]:
    yield
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one.formatter, logs.Lines)]:
        root.removeHandler(handler)
        handler.close()
    structlog.reset_defaults()


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Logging is set up; the function gives the lines so far."""
    logs.setup_logging(home_at(tmp_path, level="debug"), "ship")
    path = tmp_path / "logs" / "lifelog-ship.jsonl"
    return lambda: [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def logger() -> Any:
    return structlog.get_logger("lifelog_lake.test")


# --- what a line says ---------------------------------------------------------------------------


def test_a_line_names_time_device_process_and_what_was_said(read: Read) -> None:
    logger().bind(stream="screen").info("shipped", seq=3, count=7, epoch="e-1")
    (line,) = read()
    at = datetime.fromisoformat(line.pop("at"))
    assert at.utcoffset() is not None
    assert at.utcoffset().total_seconds() == 0  # type: ignore[union-attr]
    assert line == {
        "level": "info",
        "event": "shipped",
        "stream": "screen",
        "seq": 3,
        "count": 7,
        "epoch": "e-1",
        "device": "pc-1",
        "process": "ship",
    }


def test_an_error_of_ours_gives_message_hint_and_fields(read: Read) -> None:
    error = LakeUnreachable("The lake is away.", hint="Mount it.", path="/lake", seq=4)
    logger().warning("not_shipped", error=error, stream="screen")
    (line,) = read()
    assert line["error"] == "LakeUnreachable"
    assert line["message"] == "The lake is away."
    assert line["hint"] == "Mount it."
    assert (line["path"], line["seq"], line["stream"]) == ("/lake", 4, "screen")


def test_an_exception_gives_places_in_the_source_and_its_causes(read: Read) -> None:
    try:
        try:
            raise OSError(28, "No space left", f"/home/{SECRET}")
        except OSError as error:
            raise LakeUnreachable("The lake is away.") from error
    except LakeUnreachable:
        logger().exception("not_shipped")
    (line,) = read()
    assert line["caused_by"] == ["OSError ENOSPC"]
    assert line["trace"][-1].endswith("test_an_exception_gives_places_in_the_source_and_its_causes")
    assert SECRET not in json.dumps(line)


def test_the_level_decides_what_is_written(tmp_path: Path) -> None:
    logs.setup_logging(home_at(tmp_path, level="warning"), "ship")
    logger().info("quiet")
    logger().warning("loud")
    lines = (tmp_path / "logs" / "lifelog-ship.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["loud"]


# --- what never gets through --------------------------------------------------------------------


def _raise(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


def _as_field(key: str) -> None:
    logger().info("seen", **{key: f"a {SECRET}"})


LEAKS: dict[str, Callable[[], None]] = {
    "unknown field": lambda: _as_field("title"),
    "text column": lambda: _as_field("text"),
    "a name that is a sentence": lambda: _as_field("stream"),
    "bound": lambda: logger().bind(window=SECRET).info("seen"),
    "a row": lambda: logger().info("seen", row={"title": SECRET}),
    "a row under a known name": lambda: logger().info("seen", stream={"title": SECRET}),
    "a list": lambda: logger().info("seen", children=[f"a {SECRET}"]),
    "bytes": lambda: logger().info("seen", path=SECRET.encode()),
    "a key": lambda: logger().info("seen", **{f"{SECRET} x": 1}),
    "the event": lambda: logger().info(f"seen {SECRET}"),
    "positional": lambda: logger().info("seen %s", SECRET),
    "error as text": lambda: logger().info("seen", error=f"a {SECRET}"),
    "foreign exception": lambda: logger().error("bad", error=_raise(ValueError(SECRET))),
    "exc_info": lambda: logger().error("bad", exc_info=_raise(KeyError(SECRET))),
    "its cause": lambda: logger().error(
        "bad", exc_info=_raise(_caused(LakeUnreachable("Away."), ValueError(SECRET)))
    ),
    "a file name": lambda: logger().error("bad", error=_raise(FileNotFoundError(2, "x", SECRET))),
    "field of an error": lambda: logger().error("bad", error=LakeUnreachable("A.", title=SECRET)),
    "foreign logger": lambda: logging.getLogger("urllib3").error("GET %s", SECRET),
    "foreign f-string": lambda: logging.getLogger("urllib3").error(f"GET {SECRET}"),  # noqa: G004
    "foreign exc_info": lambda: logging.getLogger("x").error("y", exc_info=_raise(OSError(SECRET))),
    "password in an address": lambda: logger().info("seen", url=f"s3://me:{SECRET}@host/b"),
    "token in an address": lambda: logger().info("seen", url=f"http://h/?token={SECRET}&a=1"),
    "key in a reason": lambda: logger().info("seen", reason=f"AWS_SECRET_ACCESS_KEY={SECRET}"),
    "header": lambda: logger().info("seen", reason=f"Authorization: Bearer {SECRET}"),
}


def _caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize("leak", LEAKS)
@pytest.mark.parametrize("to_console", [False, True])
def test_content_never_reaches_a_log(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], leak: str, to_console: bool
) -> None:
    home = home_at(tmp_path, level="debug", **({"file": ""} if to_console else {}))
    logs.setup_logging(home, "ship")
    LEAKS[leak]()
    file = tmp_path / "logs" / "lifelog-ship.jsonl"
    written = capfd.readouterr().err if to_console else file.read_text("utf-8")
    assert written.count("\n") == 1, "the record itself is there"
    assert SECRET not in written


def test_what_was_dropped_is_counted(read: Read) -> None:
    logger().info("seen", title="a", text="b", seq=1)
    assert read()[0]["dropped"] == 2


def test_a_long_reason_is_cut_and_stays_one_line(read: Read) -> None:
    logger().info("seen", reason="a\nb\r\u2028" + "x" * 10_000)
    (line,) = read()
    assert line["reason"].startswith("a b x")
    assert len(line["reason"]) == logs.MAX_TEXT


def test_another_handler_sees_only_what_is_safe(
    read: Read, caplog: pytest.LogCaptureFixture
) -> None:
    logger().warning("seen", title=SECRET, seq=2)
    assert SECRET not in caplog.text
    assert '"seq":2' in caplog.text


def test_each_field_that_our_code_logs_passes(read: Read) -> None:
    """A field that isn't on the list would be dropped without a word: found here."""
    wrong = []
    for package in ("lifelog_lake", "collectors", "flows"):
        for path in (ROOT / package).rglob("*.py"):
            for call in ast.walk(ast.parse(path.read_text("utf-8"))):
                if not _is_log_call(call):
                    continue
                assert isinstance(call, ast.Call)
                name = call.args[0] if call.args else None
                where = f"{path.relative_to(ROOT)}:{call.lineno}"
                if isinstance(name, ast.Constant):
                    logger().error(name.value)
                    if read()[-1]["event"] != name.value:
                        wrong.append(f"{where}: event {name.value!r} isn't a name")
                else:
                    wrong.append(f"{where}: the event isn't a constant")
                wrong += [
                    f"{where}: {word.arg}"
                    for word in call.keywords
                    if word.arg not in {"error", "exc_info", None, *logs.NAMES, *logs.TEXTS}
                    and not _counts(str(word.arg))
                ]
    assert not wrong, "\n".join(wrong)


def _counts(name: str) -> bool:
    """Names of numbers: they pass under any name."""
    return name in {"bytes", "code", "count", "lines", "pid", "port", "rows"} or name.endswith(
        ("seq", "_s", "_us", "_bytes", "_rows", "_count")
    )


def _is_log_call(node: ast.AST) -> bool:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    if node.func.attr not in {"debug", "info", "warning", "error", "exception", "critical"}:
        return False
    called = ast.unparse(node.func.value)
    return called in {"log", "self._log", "self.log", "_log"} or "get_logger" in called


# --- where it goes ------------------------------------------------------------------------------


def test_an_empty_file_is_the_console(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    logs.setup_logging(home_at(tmp_path, file=""), "ship")
    logger().info("shipped", seq=3)
    said = capfd.readouterr()
    assert "info" in said.err
    assert "shipped seq=3" in said.err
    assert not said.out
    assert not list((tmp_path / "logs").iterdir())


def test_a_named_file_is_used_and_private(tmp_path: Path) -> None:
    path = tmp_path / "elsewhere" / "my.log"
    logs.setup_logging(home_at(tmp_path, file=str(path)), "ship")
    logger().info("shipped")
    assert json.loads(path.read_text())["event"] == "shipped"
    if os.name != "nt":
        assert path.stat().st_mode & 0o077 == 0


def test_a_file_that_cant_be_written_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="can't be written"):
        logs.setup_logging(home_at(tmp_path, file=str(tmp_path / "file" / "x")), "ship")


def test_a_second_set_up_replaces_the_first(tmp_path: Path) -> None:
    home = home_at(tmp_path)
    logs.setup_logging(home, "ship")
    logs.setup_logging(home, "screen")
    logger().info("shipped")
    assert (tmp_path / "logs" / "lifelog-ship.jsonl").read_text() == ""
    assert (tmp_path / "logs" / "lifelog-screen.jsonl").read_text().count("\n") == 1


def test_it_is_rotated_and_the_oldest_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_FILE_BYTES", 1000)
    logs.setup_logging(home_at(tmp_path), "ship")
    for seq in range(200):
        logger().info("shipped", seq=seq)
    files = sorted((tmp_path / "logs").glob("lifelog-ship.jsonl*"))
    assert len(files) == 1 + logs.KEPT_FILES
    assert all(file.stat().st_size <= 1000 for file in files)
    newest = (tmp_path / "logs" / "lifelog-ship.jsonl").read_text().splitlines()
    assert json.loads(newest[-1])["seq"] == 199


WRITER = """
import sys
from pathlib import Path
import structlog
from lifelog_lake import logs
from lifelog_lake.home import open_home
logs.MAX_FILE_BYTES, logs.KEPT_FILES = 20_000, 50
logs.setup_logging(open_home(Path(sys.argv[1])), "ship")
sys.stdout.write("ready\\n")
sys.stdout.flush()
sys.stdin.readline()
for seq in range(1000):
    structlog.get_logger("lifelog_lake.test").info("shipped", seq=seq, stream=sys.argv[2])
"""


def test_processes_that_share_a_file_lose_and_tear_no_line(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("LOG_")}
    env["LIFELOG_LOG__FILE"] = str(tmp_path / "shared.jsonl")
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "home"), f"s{n}"],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(4)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:  # all at once
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=120)
        assert writer.returncode == 0
    seen: dict[str, set[int]] = {}
    files = list(tmp_path.glob("shared.jsonl*"))
    for file in files:
        for line in file.read_text("utf-8").splitlines():
            said = json.loads(line)
            seen.setdefault(said["stream"], set()).add(said["seq"])
    assert seen == {f"s{n}": set(range(1000)) for n in range(4)}
    rotated = [file for file in files if file.name != "shared.jsonl"]
    assert len(rotated) > 5
    assert all(15_000 < file.stat().st_size < 25_000 for file in rotated), "one rotates, once"


def test_a_file_that_somebody_moved_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "lifelog-ship.jsonl"
    logs.setup_logging(home_at(tmp_path), "ship")
    logger().info("shipped", seq=1)
    path.rename(tmp_path / "moved.jsonl")
    logger().info("shipped", seq=2)
    assert json.loads(path.read_text())["seq"] == 2
    assert json.loads((tmp_path / "moved.jsonl").read_text())["seq"] == 1


def test_a_full_disk_is_said_once_and_stops_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    require_linux("/dev/full is a disk that is always full")
    logs.setup_logging(home_at(tmp_path, file="/dev/full"), "ship")
    for _ in range(3):
        logger().info("shipped", title=SECRET)
    said = capfd.readouterr().err
    assert said.count("can't be written") == 1
    assert "ENOSPC" in said
    assert SECRET not in said
