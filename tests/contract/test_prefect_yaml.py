"""``prefect.yaml`` as Prefect's own loader reads it, and the settings' defaults in it.

In a process of its own: Prefect reads its surroundings when it is imported.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import fastapi
import httpx
import pytest

from flows.jobs import JOBS, settings_of
from lifelog_lake.config import Settings
from tests.helpers import run_async

ROOT = Path(__file__).resolve().parents[2]
READ = """
import json, sys
from pathlib import Path
from rich.console import Console
from prefect.cli.deploy._config import _load_deploy_configs_and_actions
from prefect.cli.deploy._schedules import _construct_schedules
from prefect.flows import load_flow_from_entrypoint
said = Console(file=sys.stderr)
deployments, actions = _load_deploy_configs_and_actions(Path(sys.argv[1]), console=said)
for one in deployments:
    flow = load_flow_from_entrypoint(one["entrypoint"], use_placeholder_flow=False)
    one["flow"] = flow.name
    made = _construct_schedules(one, "", console=said, is_interactive=lambda: False)
    one["made"] = [str(each["schedule"]) for each in made]
json.dump({"deployments": deployments, "actions": actions}, sys.stdout)
"""


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    directory = tmp_path_factory.mktemp("prefect")
    done = subprocess.run(
        [sys.executable, "-c", READ, str(ROOT / "prefect.yaml")],
        env={"PREFECT_HOME": str(directory), "DO_NOT_TRACK": "1", "PYTHONPATH": str(ROOT)},
        cwd=directory,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "validation" not in done.stderr  # Prefect skips what it can't read, and goes on
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_each_flow_is_there(read: dict[str, Any]) -> None:
    assert [one["flow"] for one in read["deployments"]] == list(JOBS)
    assert read["actions"] == {"build": [], "push": [], "pull": []}


def test_never_two_of_one_flow(read: dict[str, Any]) -> None:
    for one in read["deployments"]:
        assert one["concurrency_limit"] == {"limit": 1, "collision_strategy": "CANCEL_NEW"}


def test_the_schedules_are_the_settings_defaults(read: dict[str, Any]) -> None:
    for one in read["deployments"]:
        settings = settings_of(Settings(), one["flow"])
        (schedule,) = one["schedules"]
        (made,) = one["made"]
        if settings.cron:
            assert schedule["cron"] == settings.cron
            assert settings.cron in made
        else:
            assert "cron" not in schedule
            assert f"seconds={settings.every_s:.0f}" in made


def test_the_version_is_the_pinned_one() -> None:
    assert f"prefect-version: {version('prefect')}\n" in (ROOT / "prefect.yaml").read_text()


def test_a_server_takes_null_for_a_default() -> None:
    """``prefect deploy`` sends ``"limit": null``; from 0.151 on FastAPI refuses that (422)."""
    app = fastapi.FastAPI()

    @app.post("/")
    def page(limit: int = fastapi.Body(5), offset: int = fastapi.Body(0)) -> list[int]:
        return [limit, offset]

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.post("/", json={"limit": None, "offset": None})

    answer = run_async(ask())
    assert answer.status_code == 200
    assert answer.json() == [5, 0]
