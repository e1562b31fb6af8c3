"""The times of a schedule, as settings take them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lifelog_lake import config, cron
from lifelog_lake.errors import UsageError


@pytest.mark.parametrize(
    "text",
    [
        "30 3 * * *",
        "*/5 * * * *",
        "0 0-6/2 1,15 jan-MAR 7",
        "59 23 31 12 sun",
        "1,2-4,*/9 * * * *",
        "0 0 29 2 *",
        "0 0 31 2/2 *",
    ],
)
def test_five_fields_are_taken(text: str) -> None:
    assert cron.check(text) == text


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("3 * * *", "4 fields"),
        ("* * * * * *", "6 fields"),
        ("@daily", "1 fields"),
        ("60 * * * *", "'60' is no minute"),
        ("* 24 * * *", "'24' is no hour"),
        ("* * 0 * *", "'0' is no day of the month"),
        ("* * * jam *", "'jam' is no month"),
        ("* * * * 8", "'8' is no weekday"),
        ("9-3 * * * *", "'9-3' is no minute"),
        ("*/0 * * * *", "'*/0' is no minute"),
        ("1,,2 * * * *", "'' is no minute"),
        ("² * * * *", "'²' is no minute"),
        ("*/٣ * * * *", "'*/٣' is no minute"),
        ("0 0 31 2 *", "no month 2 has a day 31"),
        ("0 0 31 apr,6-6 *", "no month apr,6-6 has a day 31"),
    ],
)
def test_an_error_names_the_field(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=r"field|is no|never") as caught:
        cron.check(text)
    assert named in str(caught.value)


def test_prefect_takes_what_we_take(tmp_path: Path) -> None:
    """In a process of its own: Prefect reads its surroundings when it is imported."""
    import subprocess
    import sys

    code = (
        "from prefect.client.schemas.schedules import CronSchedule\n"
        "for text in ['30 3 * * *', '*/5 * * * *', '0 0-6/2 1,15 jan-MAR 7', '59 23 31 12 sun']:\n"
        "    CronSchedule(cron=text, timezone='Europe/Berlin')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PREFECT_HOME": str(tmp_path), "DO_NOT_TRACK": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_a_wrong_schedule_is_an_error_that_says_where(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[flows.tidy]\ncron = "61 3 * * *"\n')
    with pytest.raises(UsageError, match=r"flows\.tidy\.cron is wrong: '61' is no minute"):
        config.load(tmp_path)


@pytest.mark.parametrize(
    "text",
    ["[flows.tidy]\nevery_s = 1e300", "[flows.tidy]\ngrace_s = 1e12", "[flows]\nkeep_days = 1e9",
     "[care]\nkeep_days = 1e300"],
)  # fmt: skip
def test_a_time_beyond_every_calendar_is_an_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(text + "\n")
    with pytest.raises(UsageError, match="less than or equal"):
        config.load(tmp_path)


def test_a_flow_that_there_isnt_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[flows.compakt]\nevery_s = 60\n")
    with pytest.raises(UsageError, match="Did you mean 'compact'"):
        config.load(tmp_path)


def test_each_flow_has_defaults_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFELOG_FLOWS__TIDY__TIMEOUT_S", "5")
    flows = config.load(tmp_path).flows
    assert (flows.tidy.cron, flows.tidy.timeout_s) == ("30 3 * * *", 5)
    assert [flows.of(name).every_s for name in ("compact", "thumbnails", "summaries")] == [
        3600,
        300,
        900,
    ]
    with pytest.raises(KeyError):
        flows.of("enabled")


def test_the_written_default_has_a_table_for_each_flow() -> None:
    text = config.default_toml({})
    for name in ("flows", "flows.compact", "flows.tidy", "flows.thumbnails", "flows.summaries"):
        assert f"\n[{name}]\n" in text
    assert '\n# cron = "30 3 * * *"\n' in text
