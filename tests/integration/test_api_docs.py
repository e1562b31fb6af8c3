"""What docs/api.md shows works: its shell session, and what phones and houses send."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import jinja2
import pytest
import yaml

from tests.fixtures.api import PNG, Api, Served, served_api
from tests.needs import require_program

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text("utf-8")
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n%%EOF\n"


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.+?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module", name="served")
def a_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("docs")
        patch.setenv("LIFELOG_HOME", str(home))
        with served_api(home) as served:
            yield served


@pytest.fixture(scope="module", name="phone")
def a_phone(served: Served) -> Api:
    return served.api("ingest", name="phone")


def test_the_shell_session_runs(served: Served, tmp_path: Path) -> None:
    bash, _ = require_program("bash", package="bash"), require_program("curl", package="curl")
    api = served.api("read", "write", name="shell")
    (tmp_path / "photo.jpg").write_bytes(PNG)  # judged by its content
    (tmp_path / "notes.md").write_text("# Notes\n")
    (tmp_path / "receipt.pdf").write_bytes(PDF)
    (script,) = blocks("sh")
    done = subprocess.run(
        [bash, "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "HUB": served.url.rstrip("/"), "TOKEN": api.token},
        capture_output=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
    assert (tmp_path / "copy").read_bytes() == PDF
    assert (tmp_path / "part").read_bytes() == PDF[:100]
    assert (tmp_path / "journal.zip").read_bytes().startswith(b"PK")
    titles = [event["title"] for event in api.get("events").json()["events"]]
    assert sorted(titles) == ["First frost", "Swim", "Walk"]
    would = json.loads((tmp_path / "would.json").read_bytes())
    assert (would["dry_run"], would["entries"], would["changes"]) == (True, 0, 0)


def test_a_shortcut_and_home_assistant_are_taken(served: Served, phone: Api) -> None:
    (shortcut,) = blocks("json")
    made = phone.post("events", data=shortcut, headers={"Content-Type": "application/json"})
    assert made.status_code == 201, made.text
    photo = phone.post(f"events/{made.json()['id']}/attachments", files={"file": ("a.png", PNG)})
    assert photo.status_code == 201, photo.text
    (configuration,) = blocks("yaml")
    loader = type("Loader", (yaml.SafeLoader,), {})
    loader.add_constructor("!secret", lambda *_: f"Bearer {phone.token}")
    commands = yaml.load(configuration, Loader=loader)["rest_command"]
    given = {"title": 'The "door" opened', "entity": "binary_sensor.door", "name": "temperature",
             "value": "21.5", "unit": "°C"}  # fmt: skip
    for command in commands.values():
        address = command["url"].replace("https://HUB/", served.url)
        payload = jinja2.Environment(autoescape=False).from_string(command["payload"])
        head = {**command["headers"], "Content-Type": command["content_type"]}
        answer = phone.post(address, data=payload.render(given).encode(), headers=head)
        assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("program", ["owntracks", "overland"])
def test_what_trackers_send_is_taken(phone: Api, program: str) -> None:
    (payload,) = blocks(f"json {program}")
    answer = phone.post(f"ingest/{program}", json=json.loads(payload))
    assert answer.status_code == 200, answer.text
    assert answer.json() == ([] if program == "owntracks" else {"result": "ok"})
