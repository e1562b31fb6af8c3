"""What may be uploaded a second, an hour, a day; by a clock set by hand and a real shipper."""

from __future__ import annotations

from pathlib import Path

import pytest

from lifelog_lake.budget_settings import BudgetSettings
from lifelog_lake.home import Home
from lifelog_lake.lake import parse_url
from lifelog_lake.ship import Shipper, allowance
from lifelog_lake.ship.allowance import Allowance, Held
from lifelog_lake.spool import Spool
from tests.fixtures.day import DayClock
from tests.helpers import frame, make_home, pulse, rows, verified


def of(tmp_path: Path, clock: DayClock, **settings: object) -> Allowance:
    return Allowance(BudgetSettings.model_validate(settings), clock, tmp_path)


def test_a_rate_holds_over_pieces_of_any_size(tmp_path: Path) -> None:
    clock = DayClock()
    found = of(tmp_path, clock, upload_bytes_per_s=1000)
    for count in (64, 900, 5000, 36, 4000):
        found.spend(count)
    assert clock.s == pytest.approx(10.0, abs=0.6)
    clock.s += 100  # what wasn't used isn't saved for long
    before = clock.s
    found.spend(2000)
    assert clock.s - before >= 1.4


def test_an_hour_and_a_day_are_used_up_and_begin_anew(tmp_path: Path) -> None:
    clock = DayClock()
    limits = {"upload_bytes_per_hour": 100, "upload_bytes_per_day": 250}
    found = of(tmp_path, clock, **limits)
    found.require()
    found.spend(100)
    with pytest.raises(Held, match=r"this hour.*01:00:00"):
        found.require()
    found.keep()
    again = of(tmp_path, clock, **limits)  # after a restart
    with pytest.raises(Held):
        again.require()
    clock.s += 3600
    again.require()
    again.spend(150)
    clock.s += 3600
    with pytest.raises(Held, match=r"this day.*2026-03-03T00:00:00"):
        again.require()
    clock.s += 22 * 3600
    again.require()


def test_a_metered_network_is_left_to_what_ships_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nmcli"
    program.write_text("#!/bin/sh\necho no\necho 'yes (guessed)'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert allowance.is_metered()
    with pytest.raises(Held, match="metered"):
        of(tmp_path, DayClock(), on_metered="first").require()
    of(tmp_path, DayClock()).require()
    program.write_text("#!/bin/sh\necho no\n")
    assert not allowance.is_metered()
    program.unlink()
    assert not allowance.is_metered()


def test_what_is_over_the_budget_waits_and_pulses_go_on(tmp_path: Path) -> None:
    clock = DayClock()
    home: Home = make_home(tmp_path / "home")
    settings = home.settings.model_copy(
        update={"budgets": BudgetSettings(upload_bytes_per_hour=1000)}
    )
    home = Home(path=home.path, settings=settings, device=home.device)
    spool = Spool.of(home, clock)
    spool.append([frame(n) for n in range(3)])
    spool.append([pulse(0)])
    shipper = Shipper(home, spool, parse_url(home.lake_url, home), clock, batch_rows=100)
    shipper._allowance.spend(1000)
    done = shipper.run_once()
    assert "the budget is 1000" in done.held
    assert not done.errors
    assert rows(home, "pulse").height == 1
    assert rows(home, "screen").is_empty()
    clock.s += 3600
    assert shipper.run_once().held == ""
    assert rows(home, "screen").height == 3
    verified(home)
