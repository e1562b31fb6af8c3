"""Settings: file, environment, flags, and errors that name what is wrong and where."""

from __future__ import annotations

import concurrent.futures
import os
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from lifelog_lake import config
from lifelog_lake import home as home_module
from lifelog_lake.collect import registry
from lifelog_lake.errors import SpoolError, UsageError
from lifelog_lake.home import open_home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.upper().startswith(("LIFELOG_", "LOG_")):
            monkeypatch.delenv(name)
    return tmp_path


def without_collectors(settings: config.Settings) -> dict[str, Any]:
    return settings.model_dump(exclude={"collectors"})


def write(home: Path, text: str | bytes) -> None:
    (home / "config.toml").write_bytes(text.encode() if isinstance(text, str) else text)


# --- where a value comes from -------------------------------------------------------------------


def test_without_a_file_the_defaults_hold(home: Path) -> None:
    settings = config.load(home)
    assert settings.ship.every_s == 60
    assert settings.log.file is None
    assert settings.collectors == {}


def test_flags_win_over_the_environment_and_that_over_the_file(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home, "[ship]\nevery_s = 1\nbatch_rows = 11\n[server]\nport = 1\n")
    monkeypatch.setenv("LIFELOG_SHIP__EVERY_S", "2")
    monkeypatch.setenv("LIFELOG_SERVER__PORT", "2")
    settings = config.load(home, {"server": {"port": 3}})
    assert settings.ship.batch_rows == 11
    assert settings.ship.every_s == 2
    assert settings.server.port == 3


def test_a_collectors_setting_comes_from_a_nested_variable(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home, "[collectors.screen]\nevery_s = 9\nquality = 50\n")
    monkeypatch.setenv("LIFELOG_COLLECTORS__SCREEN__EVERY_S", "1.5")
    screen = registry.settings_of("screen", config.load(home), home / "config.toml")
    assert screen.every_s == 1.5
    assert screen.model_dump()["quality"] == 50


def test_a_variable_may_be_written_in_small_letters(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("lifelog_ship__every_s", "7")
    assert config.load(home).ship.every_s == 7


def test_a_byte_order_mark_is_no_error(home: Path) -> None:
    write(home, b"\xef\xbb\xbf[ship]\nevery_s = 5\n")
    assert config.load(home).ship.every_s == 5


def test_settings_are_frozen(home: Path) -> None:
    settings = config.load(home)
    with pytest.raises(ValidationError):
        settings.ship = config.ShipSettings()
    with pytest.raises(ValidationError):
        settings.ship.every_s = 1.0


def test_the_environment_is_read_by_load_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFELOG_SHIP__EVERY_S", "2")
    assert config.Settings().ship.every_s == 60
    assert config.load(home).ship.every_s == 2


# --- LOG_LEVEL and LOG_FILE ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "level"),
    [
        ("debug", "debug"),
        ("INFO", "info"),
        ("WARN", "warning"),
        ("CRITICAL", "error"),
        ("", "info"),
    ],
)
def test_log_level(home: Path, monkeypatch: pytest.MonkeyPatch, said: str, level: str) -> None:
    monkeypatch.setenv("LOG_LEVEL", said)
    assert config.load(home).log.level == level


@pytest.mark.parametrize(
    ("variable", "setting"),
    [
        ("AW_WINDOW_BUCKET_ID", "window_bucket"),
        ("AW_AFK_BUCKET_ID", "afk_bucket"),
        ("AW_WEB_BROWSER_BUCKET_ID", "web_bucket"),
    ],
)
def test_activitywatch_names_of_buckets(
    home: Path, monkeypatch: pytest.MonkeyPatch, variable: str, setting: str
) -> None:
    write(home, f"[collectors.activitywatch]\n{setting} = 'file'\n")
    where = ("collectors", "activitywatch", setting)
    monkeypatch.setenv(variable, "")
    assert config.load(home).collectors["activitywatch"][setting] == "file"
    assert config.source_of(where, home / config.CONFIG_NAME) == config.CONFIG_NAME
    monkeypatch.setenv(variable, "theirs")
    assert config.load(home).collectors["activitywatch"][setting] == "theirs"
    assert config.source_of(where, home / config.CONFIG_NAME) == f"environment {variable}"
    monkeypatch.setenv(config.environment_name(where), "ours")
    assert config.load(home).collectors["activitywatch"][setting] == "ours"
    assert config.variable_of(where) == config.environment_name(where)


def test_log_level_wins_over_the_file_and_the_own_name_over_both(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home, "[log]\nlevel = 'error'\nfile = '/c'\n")
    monkeypatch.setenv("LOG_LEVEL", "debug")
    monkeypatch.setenv("LOG_FILE", "/a")
    assert (config.load(home).log.level, config.load(home).log.file) == ("debug", "/a")
    monkeypatch.setenv("LIFELOG_LOG__LEVEL", "warning")
    monkeypatch.setenv("LIFELOG_LOG__FILE", "/b")
    assert (config.load(home).log.level, config.load(home).log.file) == ("warning", "/b")


def test_an_empty_log_file_is_the_console_and_not_unset(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home, "[log]\nfile = '/c'\n")
    monkeypatch.setenv("LOG_FILE", "")
    assert config.load(home).log.file == ""


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[ship]\nevery = 5", ["'ship.every'", "Did you mean 'every_s'?", "config.toml"]),
        ("[shp]\nevery_s = 5", ["'shp'", "Did you mean 'ship'?"]),
        ("[server]\npassword_hash = 'open sesame'", ["server.password_hash", "must be a hash"]),
        ("[server]\nurl = 'https://a.example/below'", ["server.url", "a name of its own"]),
        (
            "[server]\nxyzzy = 5",
            ["'server.xyzzy'", "Known here: ip, names, origins, password_hash, port"],
        ),
        ("[ship]\nevery_s = -5", ["ship.every_s", "greater than 0"]),
        ("[ship]\nevery_s = 'x'", ["ship.every_s", "valid number"]),
        ("[ship]\nevery_s = nan", ["ship.every_s", "finite"]),
        ("[server]\nport = 70000", ["server.port", "65535"]),
        ("[lake]\nurl = 5", ["lake.url", "string"]),
        ("ship = 5", ["The setting ship"]),
        ("collectors = 5", ["The setting collectors"]),
        ("[collectors]\nscreen = 5", ["collectors.screen", "dictionary"]),
        ("[ship", ["isn't valid TOML", "Mend the line"]),
        ("a = 1\na = 2", ["isn't valid TOML"]),
        (b"\xff\xfe[", ["isn't valid TOML"]),
        ("x = " + "[" * 100_000, ["isn't valid TOML"]),
    ],
)
def test_a_wrong_file_is_an_error_in_words(home: Path, text: str | bytes, said: list[str]) -> None:
    write(home, text)
    with pytest.raises(UsageError) as caught:
        config.load(home)
    for words in said:
        assert words in str(caught.value)
    assert caught.value.hint
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("LIFELOG_SHIP__EVRY_S", "5", ["'ship.evry_s'", "'every_s'", "LIFELOG_SHIP__EVRY_S"]),
        ("LIFELOG_SHPI__EVERY_S", "5", ["LIFELOG_SHPI__EVERY_S", "LIFELOG_SHIP__…"]),
        ("LIFELOG_QQQ__X", "5", ["LIFELOG_QQQ__X", "lifelog config show"]),
        ("LIFELOG_SHIP__EVERY_S", "", ["ship.every_s", "LIFELOG_SHIP__EVERY_S"]),
        ("LIFELOG_SHIP", "nope", ["environment", "LIFELOG_SHIP__EVERY_S=60"]),
        ("LOG_LEVEL", "loud", ["log.level", "variable LOG_LEVEL"]),
    ],
)
def test_a_wrong_variable_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: list[str]
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError) as caught:
        config.load(home)
    for words in said:
        assert words in str(caught.value)


def test_a_collectors_unknown_setting_names_the_nearest(home: Path) -> None:
    write(home, "[collectors.screen]\nevery = 5\n")
    with pytest.raises(UsageError, match=r"'collectors\.screen\.every'.*'every_s'"):
        registry.enabled(config.load(home), home / "config.toml")


def test_a_collectors_wrong_variable_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFELOG_COLLECTORS__SCREEN__EVERY_S", "soon")
    with pytest.raises(UsageError, match="variable LIFELOG_COLLECTORS__SCREEN__EVERY_S"):
        registry.enabled(config.load(home), home / "config.toml")


def test_a_directory_in_the_place_of_the_file_is_an_error_in_words(home: Path) -> None:
    (home / "config.toml").mkdir()
    with pytest.raises(UsageError, match=r"config\.toml can't be read"):
        config.load(home)


# --- the file that is written -------------------------------------------------------------------


def test_the_default_file_changes_nothing_and_names_every_setting(home: Path) -> None:
    models = registry.models()
    assert config.write_default(home, models)
    text = (home / "config.toml").read_text("utf-8")
    assert without_collectors(config.load(home)) == without_collectors(config.Settings())
    for section, field in config.Settings.model_fields.items():
        if section != "collectors":
            assert f"[{section}]" in text
            assert isinstance(field.annotation, type)
            assert issubclass(field.annotation, BaseModel)
            for key, within in field.annotation.model_fields.items():
                if isinstance(within.annotation, type) and issubclass(within.annotation, BaseModel):
                    assert f"[{section}.{key}]" in text
                else:
                    assert f"# {key} = " in text
    assert "[collectors.screen]" in text


def test_each_default_is_right_when_the_comment_is_taken_away(home: Path) -> None:
    models = registry.models()
    sections = [field.annotation for field in config.Settings.model_fields.values()]
    keys = {
        key
        for model in [*sections, *models.values()]
        if isinstance(model, type) and issubclass(model, BaseModel)
        for key in model.model_fields
    }
    uncommented = [
        line.removeprefix("# ")
        for line in config.default_toml(models).splitlines()
        if line.startswith("[") or line.partition(" = ")[0].removeprefix("# ") in keys
    ]
    assert len(uncommented) > 20
    write(home, "\n".join(line for line in uncommented if not line.endswith("(unset)")))
    settings = config.load(home)
    assert without_collectors(settings) == without_collectors(config.Settings())
    screen = registry.settings_of("screen", settings, home / "config.toml")
    assert screen == models["screen"]()


def test_an_existing_file_is_left_alone(home: Path) -> None:
    write(home, "# mine\n")
    assert not config.write_default(home, {})
    assert (home / "config.toml").read_text() == "# mine\n"


@pytest.mark.parametrize(
    "before",
    [
        "",
        "# mine\n[ship]\nevery_s = 5 # often\n",
        '[lake]\n# url = ""\n\n[ship]\nevery_s = 5 # often\n',
        '[lake] # here\nurl = "/old"\n[ship]\nevery_s = 5\n',
        '[lake]\n# url = "/older"\nurl = "/old"\n',
        '[ship]\nevery_s = 5\n# url = "no lake"\n[lake]\n',
    ],
)
def test_one_setting_is_written_and_all_else_kept(home: Path, before: str) -> None:
    write(home, before)
    config.write_setting(home, "lake", "url", 'C:\\my "lake"')
    after = (home / "config.toml").read_text("utf-8")
    assert config.load(home).lake.url == 'C:\\my "lake"'
    was = tomllib.loads(before)
    assert tomllib.loads(after).get("ship") == was.get("ship")
    for line in before.splitlines():
        if "url" not in line or "no lake" in line:
            assert line in after.splitlines()


def test_a_setting_that_cant_be_placed_is_refused_and_the_file_kept(home: Path) -> None:
    write(home, 'lake = { url = "/old" }\n')
    with pytest.raises(UsageError, match="Write it yourself"):
        config.write_setting(home, "lake", "url", "/new")
    assert (home / "config.toml").read_text() == 'lake = { url = "/old" }\n'


# --- the home -----------------------------------------------------------------------------------


def test_the_home_is_private_and_opening_it_again_changes_nothing(home: Path) -> None:
    first = open_home(home / "a" / "b")
    again = open_home(home / "a" / "b")
    assert first == again
    if os.name != "nt":
        assert first.path.stat().st_mode & 0o077 == 0
        assert (first.path / "device.json").stat().st_mode & 0o077 == 0


def test_the_device_is_named_as_the_settings_say(home: Path) -> None:
    write(home, "[device]\nname = 'Ada s Läptop!'\n")
    assert open_home(home).device.startswith("ada-s-l-ptop-")


def test_processes_that_start_together_agree_on_one_device(home: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from lifelog_lake.home import open_home\n"
        "print(open_home(Path(sys.argv[1])).device)"
    )

    def start(_: int) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code, str(home / "h")],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        devices = set(pool.map(start, range(8)))
    assert len(devices) == 1


def test_only_one_of_those_that_start_together_names_the_device(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, made = home_module._new_device, []

    def slowly(*arguments: Any) -> None:
        made.append(arguments)
        time.sleep(0.3)  # without the lock the others come in meanwhile
        make(*arguments)

    monkeypatch.setattr(home_module, "_new_device", slowly)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        devices = set(pool.map(lambda _: open_home(home / "h").device, range(4)))
    assert len(made) == len(devices) == 1


def test_a_home_that_is_a_file_is_an_error_in_words(home: Path) -> None:
    (home / "h").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        open_home(home / "h")
    with pytest.raises(UsageError, match=r"can't be (read|used)"):
        open_home(home / "h" / "below")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"device": 3}', b'{"device": "a/b"}', b"\xff"]
)
def test_a_broken_identity_is_an_error_that_keeps_the_file(home: Path, content: bytes) -> None:
    open_home(home)
    (home / "device.json").write_bytes(content)
    with pytest.raises(SpoolError, match="which device this is"):
        open_home(home)
    assert (home / "device.json").read_bytes() == content


def test_lifelog_home_names_the_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFELOG_HOME", str(home / "x"))
    assert config.default_home() == home / "x"
    monkeypatch.setenv("LIFELOG_HOME", "")
    assert config.default_home().name == "lifelog"
