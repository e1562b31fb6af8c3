"""Settings of the health checks: names that are honoured, addresses that are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from lifelog_lake.config import load
from lifelog_lake.errors import UsageError
from lifelog_lake.health_settings import HealthSettings


def test_the_short_name_of_the_threshold_is_honoured_and_the_long_one_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHER_TIMESTAMP_THRESHOLD_MINUTES", "7")
    assert load(tmp_path).health.stale_after_s("screen") == 420
    monkeypatch.setenv("LIFELOG_HEALTH__STALE_AFTER_MINUTES", "3")
    assert load(tmp_path).health.stale_after_s("screen") == 180
    monkeypatch.delenv("LIFELOG_HEALTH__STALE_AFTER_MINUTES")
    monkeypatch.setenv("WATCHER_TIMESTAMP_THRESHOLD_MINUTES", "soon")
    with pytest.raises(UsageError, match="WATCHER_TIMESTAMP_THRESHOLD_MINUTES"):
        load(tmp_path)


def test_a_stream_may_have_its_own_threshold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.toml").write_text(
        "[health]\nstale_after_minutes = 5\nstale_after_minutes_by_stream = {audio = 0, web = 2}\n"
    )
    health = load(tmp_path).health
    assert [health.stale_after_s(name) for name in ("window", "audio", "web")] == [300, None, 120]
    monkeypatch.setenv("LIFELOG_HEALTH__STALE_AFTER_MINUTES_BY_STREAM", '{"screen": 1}')
    health = load(tmp_path).health
    assert health.stale_after_s("screen") == 60


def test_a_closed_browser_is_no_fault() -> None:
    assert HealthSettings().stale_after_s("web") is None


@pytest.mark.parametrize("name", ["scren", ""])
def test_an_unknown_stream_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "config.toml").write_text(
        f'[health]\nstale_after_minutes_by_stream = {{"{name}" = 1}}\n'
    )
    with pytest.raises(UsageError, match=r"there is no stream .* screen"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("127.0.0.1:8770", ("127.0.0.1", 8770)),
        ("localhost:0", ("127.0.0.1", 0)),
        ("[::1]:99", ("::1", 99)),
        ("127.9.9.9:1", ("127.9.9.9", 1)),
        ("", None),
        ("  ", None),
    ],
)
def test_where_to_listen(listen: str, address: tuple[str, int] | None) -> None:
    assert HealthSettings(listen=listen).address == address


@pytest.mark.parametrize(
    "listen", ["0.0.0.0:8770", "[::]:8770", ":8770", "192.168.1.2:8770", "example.org:80"]
)
def test_an_address_that_others_reach_is_refused(tmp_path: Path, listen: str) -> None:
    (tmp_path / "config.toml").write_text(f'[health]\nlisten = "{listen}"\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("LIFELOG_HEALTH__LISTEN", raising=False)
        with pytest.raises(UsageError, match=r"health\.listen .*reached from elsewhere"):
            load(tmp_path)


@pytest.mark.parametrize("listen", ["127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", "8770"])
def test_an_address_without_a_port_is_refused(listen: str) -> None:
    with pytest.raises(ValueError, match="address and a port"):
        HealthSettings(listen=listen)
