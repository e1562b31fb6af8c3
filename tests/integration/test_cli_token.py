"""``lifelog token`` and ``lifelog password``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jupyter_server.auth.security import passwd_check

from lifelog_lake.server.audit import NAME as AUDIT
from lifelog_lake.server.secret import read_password
from lifelog_lake.server.tokens import Tokens
from tests.fixtures.command import Run, said
from tests.fixtures.within import a_command_within, js

__all__ = ["a_command_within"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_a_token_is_made_listed_rotated_and_revoked(lifelog: Run, home: Path) -> None:
    made = js(lifelog("token", "create", "phone", "--scope", "ingest", "--json"))
    assert made["scopes"] == ["ingest"]
    assert Tokens(home).find(made["token"]) is not None
    shown = said(lifelog("token", "create", "backup"))
    listed = lifelog("token", "list")
    assert "phone  ingest" in listed.stdout
    assert "backup  read,write" in listed.stdout
    rotated = js(lifelog("token", "rotate", "phone", "--json"))
    assert Tokens(home).find(made["token"]) is None
    assert Tokens(home).find(rotated["token"]) is not None
    assert "Revoked phone" in said(lifelog("token", "revoke", rotated["id"]))
    assert Tokens(home).find(rotated["token"]) is None
    names = [one["name"] for one in js(lifelog("token", "list", "--json"))["tokens"]]
    assert names == ["backup"]
    assert len(js(lifelog("token", "list", "--all", "--json"))["tokens"]) == 3
    for wrong in (["create", "backup"], ["create", "x", "--scope", "all"], ["revoke", "phone"]):
        assert lifelog("token", *wrong).returncode == 2
    written = "".join(path.read_text() for path in home.rglob("*") if path.suffix == ".jsonl")
    secret = next(word for word in shown.split() if word.startswith("lifelog_"))
    for token in (made["token"], rotated["token"], secret):
        assert token not in written
        assert token not in listed.stdout
    actions = [json.loads(line)["action"] for line in (home / AUDIT).read_text().splitlines()]
    assert actions == ["token.create", "token.create", "token.rotate", "token.revoke"]


def test_the_password_comes_from_stdin(lifelog: Run, home: Path) -> None:
    assert "is set" in said(lifelog("password", stdin=b"open sesame, please\nrest\n"))
    assert passwd_check(read_password(home), "open sesame, please")
    assert "sesame" not in (home / "password").read_text()
    short = lifelog("password", stdin=b"short\n")
    assert short.returncode == 2
    fixed = {"LIFELOG_SERVER__PASSWORD_HASH": read_password(home)}
    assert lifelog("password", stdin=b"another secret\n", **fixed).returncode == 2
