"""``lifelog doctor``: is this device fit to record, and what to do where it isn't."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from lifelog_lake.cli.options import HomeOption, JsonOption, home_path
from lifelog_lake.cli.output import out, say_json
from lifelog_lake.errors import LakeUnreachable, LifelogError, MissingExtra, Unavailable
from lifelog_lake.units import size

if TYPE_CHECKING:
    from lifelog_lake.home import Home

State = Literal["ok", "warn", "fail"]
STYLE = {"ok": "green", "warn": "yellow", "fail": "red"}
#: The program is younger than this: a clock before it is wrong.
BUILT = datetime(2026, 11, 1, tzinfo=UTC)
AHEAD_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing looked at. ``remedy`` is empty if there is nothing to do."""

    name: str
    state: State
    message: str
    remedy: str = ""


def add_to(app: typer.Typer) -> None:
    """Put the command into the tree."""
    app.command("doctor")(doctor)


def doctor(context: typer.Context, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Check home, settings, lake, collectors, disk, permissions and clock.

    Each line is ok, warn or fail, with a remedy. Exit code 1 if anything fails.

    \b
    Examples:
      lifelog doctor
      lifelog doctor --json
    """
    checks = list(examine(home_path(context, home)))
    failed = [check for check in checks if check.state == "fail"]
    if as_json:
        say_json({"ok": not failed, "checks": [dataclasses.asdict(check) for check in checks]})
    else:
        for check in checks:
            out().print(f"[{STYLE[check.state]}]{check.state:<4}[/] ", end="")
            out().print(f"{check.name:<22} {check.message}", markup=False)
            if check.remedy:
                out().print(f"{'':<27} {check.remedy}", markup=False)
    if failed:
        raise typer.Exit(1)


def examine(path: Path | None) -> Iterator[Check]:
    """All checks; without a usable home only the first."""
    from lifelog_lake.home import open_home

    try:
        home = open_home(path)
    except LifelogError as error:
        yield _failed("home", error)
        return
    yield _home(home)
    yield from _guarded("settings", lambda: [_settings(home)])
    yield from _guarded("token", lambda: _token(home))
    yield from _guarded("disk", lambda: [_disk("disk of the spool", home.spool, home)])
    yield from _guarded("spool", lambda: [_spool(home)])
    yield from _guarded("lake", lambda: _lake(home))
    yield from _guarded("collectors", lambda: _collectors(home))
    yield from _guarded("clock", lambda: [_clock(home)])
    if home.settings.search.semantic:
        yield from _guarded("search by meaning", lambda: [_meaning(home)])
    yield _service(home)
    yield _parts()


def _guarded(name: str, look: Callable[[], list[Check]]) -> Iterator[Check]:
    try:
        yield from look()
    except LifelogError as error:
        yield _failed(name, error)
    except OSError as error:
        yield Check(
            name=name,
            state="fail",
            message=f"{error.filename or 'It'}: {error.strerror}.",
            remedy="Check the disk and the permissions.",
        )


def _failed(name: str, error: LifelogError) -> Check:
    return Check(name=name, state="fail", message=error.message, remedy=error.hint)


def _home(home: Home) -> Check:
    open_to = home.path.stat().st_mode & 0o077 if os.name != "nt" else 0
    if open_to:
        return Check(
            name="home",
            state="warn",
            message=f"Other users of this machine may look into {home.path}.",
            remedy=f"Make it yours alone: chmod 700 {home.path}",
        )
    if not os.access(home.path, os.W_OK):
        return Check(
            name="home",
            state="fail",
            message=f"{home.path} can't be written.",
            remedy="Make it writable for you, or name another one with --home.",
        )
    return Check(name="home", state="ok", message=f"{home.path} (device {home.device})")


def _settings(home: Home) -> Check:
    from lifelog_lake.collect import registry
    from lifelog_lake.config import CONFIG_NAME

    where = home.path / CONFIG_NAME
    names = registry.enabled(home.settings, where)
    if not names:
        return Check(
            name="settings",
            state="warn",
            message="No collector is enabled: nothing would be recorded.",
            remedy=f"Set enabled = true for one in {where}.",
        )
    written = str(where) if where.exists() else "the defaults (no config.toml yet)"
    return Check(name="settings", state="ok", message=f"{written}; records {', '.join(names)}")


def _token(home: Home) -> list[Check]:
    from lifelog_lake.server.secret import NAME, read_token

    if not (home.path / NAME).exists():
        return []
    read_token(home.path)
    return [Check(name="token", state="ok", message="Only you may read it.")]


def _disk(name: str, path: Path, home: Home) -> Check:
    free = shutil.disk_usage(path).free
    least = home.settings.spool.min_free_bytes
    message = f"{size(free)} free at {path}"
    if free < least:
        return Check(
            name=name,
            state="fail",
            message=f"{message}: capture stops below {size(least)}.",
            remedy="Make room, or lower [spool] min_free_bytes.",
        )
    if free < 2 * least:
        return Check(
            name=name,
            state="warn",
            message=f"{message}, little more than the {size(least)} that capture leaves alone.",
            remedy="Make room soon.",
        )
    return Check(name=name, state="ok", message=message)


def _spool(home: Home) -> Check:
    from lifelog_lake.spool import Spool, check

    Spool.of(home)
    report = check(home.spool)
    if report.findings:
        return Check(
            name="spool",
            state="warn",
            message=f"{len(report.findings)} findings, the first: {report.findings[0]}",
            remedy="See all: lifelog spool check",
        )
    waiting = sum(stream.records for stream in report.streams)
    return Check(name="spool", state="ok", message=f"{waiting} records in {home.spool}")


def _lake(home: Home) -> list[Check]:
    from lifelog_lake.lake import parse_url, require_known
    from lifelog_lake.lake.identity import known_lake

    target = parse_url(home.lake_url, home)
    if known_lake(home) is None:
        return [
            Check(
                name="lake",
                state="warn",
                message=f"There is none yet; the first start makes it at {target.url}.",
                remedy="Make it now: lifelog init (elsewhere: lifelog init --lake DIRECTORY)",
            )
        ]
    try:
        identity = require_known(home, target)
    except LakeUnreachable as error:
        return [_failed("lake", error)]
    properties = target.probe()
    lacking = [item for item in properties if not item.ok]
    if lacking:
        return [
            Check(
                name="lake",
                state="fail",
                message=f"{target.describe()} at {target.url} lacks: "
                + ", ".join(f"{item.name} ({item.detail})" for item in lacking),
                remedy="Put the lake on a local file system such as ext4, xfs, APFS or NTFS."
                if target.disk is not None
                else "docs/s3.md names servers that are fit, and what a key must be allowed to do.",
            )
        ]
    message = f"{target.url} on {target.describe()}, generation {identity.generation}"
    checks = [Check(name="lake", state="ok", message=message)]
    if target.disk is not None:
        return [*checks, _disk("disk of the lake", target.disk, home)]
    return checks + [
        Check(name=f"lake: {item.name}", state="ok", message=item.detail) for item in properties
    ]


def _collectors(home: Home) -> list[Check]:
    from lifelog_lake.cli.trial import Trial
    from lifelog_lake.collect import registry
    from lifelog_lake.config import CONFIG_NAME

    checks = []
    where = home.path / CONFIG_NAME
    for name, collector in registry.enabled(home.settings, where).items():
        settings = registry.settings_of(name, home.settings, where)
        try:
            trial = Trial()
            made = collector(settings, trial)
            if stop := getattr(made, "stop", None):
                stop()
        except (Unavailable, MissingExtra) as error:
            state: State = "fail" if isinstance(error, MissingExtra) else "warn"
            checks.append(dataclasses.replace(_failed(name, error), state=state))
        else:
            fine = Check(name=name, state="ok", message="It can be recorded here.")
            trouble = Check(name=name, state="warn", message=trial.said)
            checks.append(trouble if trial.said else fine)
    return checks


def _clock(home: Home) -> Check:
    from lifelog_lake.clock import SystemClock, iso, utc
    from lifelog_lake.spool import Spool

    clock = SystemClock()
    now_us = clock.wall_us()
    newest = [stat.newest_at for stat in Spool.of(home).stats().values() if stat.newest_at]
    remedy = "Set the clock, and let it be kept by NTP."
    if utc(now_us) < BUILT:
        return Check(
            name="clock", state="fail", message=f"It says {iso(now_us)}, long ago.", remedy=remedy
        )
    if newest and max(newest) > now_us + AHEAD_S * 1_000_000:
        return Check(
            name="clock",
            state="warn",
            message=f"It says {iso(now_us)}, but rows of {iso(max(newest))} are recorded.",
            remedy=remedy,
        )
    return Check(name="clock", state="ok", message=f"{iso(now_us)}, zone {clock.tz()}")


def _service(home: Home) -> Check:
    from lifelog_lake.fleet.install import service_state

    state = service_state(home.path)
    if not state.installed:
        remedy = state.hint or "To record from each login on: lifelog install"
        return Check(name="service", state="ok", message="Not installed.", remedy=remedy)
    return Check(
        name="service",
        state="warn" if state.hint else "ok",
        message=f"{state.name}: {state.detail}",
        remedy=state.hint,
    )


def _meaning(home: Home) -> Check:
    from lifelog_lake.recall.meaning.model import model_directory

    place = model_directory(home.settings.search.model)
    return Check(name="search by meaning", state="ok", message=f"The model is in {place}.")


def _parts() -> Check:
    version = f"Python {sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
    for extra, module in (("device", "deltalake"), ("hub", "jupyter_server")):
        if importlib.util.find_spec(module) is None:
            return Check(
                name="installation",
                state="warn",
                message=f"{version}; the extra '{extra}' isn't installed.",
                remedy=f'If this device should have it: pip install "lifelog-lake[{extra}]"',
            )
    return Check(name="installation", state="ok", message=f"{version}, with device and hub")
