"""Tokens, the audit, and how often one may fail: without a server."""

from __future__ import annotations

import json
import os
import re
import threading
from pathlib import Path

import pytest

from lifelog_lake.errors import Terminal, UsageError
from lifelog_lake.server.audit import Audit
from lifelog_lake.server.secret import read_password, set_password
from lifelog_lake.server.throttle import BURST, EVERY_S, MOST_ADDRESSES, Throttle
from lifelog_lake.server.tokens import NAME, Tokens, of_environment
from lifelog_lake.server.uses import EVERY_US, Uses, read_uses
from tests.helpers import FixedClock
from tests.needs import require_linux

GIVEN = "a-token-of-my-own-choice"


def test_a_token_is_kept_as_a_hash_alone_and_opens_what_it_is_for(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    made = tokens.create("phone", ["ingest"])
    kept = (tmp_path / NAME).read_text()
    assert made.secret not in kept
    assert made.secret.removeprefix("lifelog_") not in kept
    found = Tokens(tmp_path).find(made.secret)
    assert found == made.token
    assert found.scopes == ("ingest",)
    for wrong in ("", made.secret[:-1], made.secret + "x", made.token.sha256, "ä\ud800"):
        assert tokens.find(wrong) is None
    if os.name != "nt":
        assert (tmp_path / NAME).stat().st_mode & 0o077 == 0


def test_a_revoked_or_rotated_token_opens_nothing_in_any_process(tmp_path: Path) -> None:
    server, command = Tokens(tmp_path), Tokens(tmp_path)
    first = command.create("phone", ["read"])
    assert server.find(first.secret) is not None
    second = command.rotate("phone")
    assert server.find(first.secret) is None
    assert server.find(second.secret) is not None
    assert second.token.scopes == ("read",)
    command.revoke(second.token.id)
    assert server.find(second.secret) is None
    assert [token.is_active for token in server.all()] == [False, False]
    assert command.create("phone", ["write"]).token.scopes == ("write",)


def test_what_isnt_a_token_is_refused_in_words(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    tokens.create("phone", ["read"])
    for name in ("phone", "", "a\nb", "x" * 61):
        with pytest.raises(UsageError):
            tokens.create(name, ["read"])
    for scopes in ([], ["admin"], ["read", "admin"]):
        with pytest.raises(UsageError):
            tokens.create("b", scopes)
    with pytest.raises(UsageError, match="no token 'tablet'"):
        tokens.rotate("tablet")


def test_a_first_token_is_made_once(tmp_path: Path) -> None:
    made = Tokens(tmp_path).first()
    assert made is not None
    assert made.token.scopes == ("read", "write")
    assert Tokens(tmp_path).first() is None
    Tokens(tmp_path).revoke("first")
    assert Tokens(tmp_path).first() is None


def test_the_environments_token_counts_while_it_is_named(tmp_path: Path) -> None:
    environment = {"API_TOKEN": "another-token-of-mine", "LIFELOG_API_TOKEN": GIVEN, "HOME": "/"}
    assert of_environment(environment) == (GIVEN, "LIFELOG_API_TOKEN")
    assert environment == {"HOME": "/"}
    assert of_environment({}) == (None, "LIFELOG_API_TOKEN")
    tokens = Tokens(tmp_path)
    given = tokens.give(GIVEN)
    assert given is not None
    assert given.given
    assert GIVEN not in (tmp_path / NAME).read_text()
    assert tokens.give(GIVEN) == given
    assert tokens.first() is None
    assert tokens.find(GIVEN) == given
    assert tokens.give(None) is None
    assert tokens.find(GIVEN) is None
    with pytest.raises(UsageError, match="less than 16"):
        tokens.give("short")


def test_an_environments_token_that_was_rotated_stays_dead(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    given = tokens.give(GIVEN)
    assert given is not None
    rotated = tokens.rotate(given.id)
    assert tokens.give(GIVEN) is None  # the next start
    assert tokens.find(GIVEN) is None
    assert tokens.find(rotated.secret) is not None


def test_two_processes_make_tokens_at_once(tmp_path: Path) -> None:
    def make(number: int) -> None:
        for one in range(5):
            Tokens(tmp_path).create(f"{number}-{one}", ["read"])

    threads = [threading.Thread(target=make, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({token.name for token in Tokens(tmp_path).all()}) == 20


def test_a_broken_or_open_file_is_said(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    tokens.create("phone", ["read"])
    (tmp_path / NAME).write_text("{")
    with pytest.raises(Terminal, match="isn't a list of tokens"):
        Tokens(tmp_path).all()
    require_linux("Windows has other rights")
    (tmp_path / NAME).chmod(0o644)
    with pytest.raises(Terminal, match="chmod 600"):
        Tokens(tmp_path).all()


@pytest.mark.parametrize("password", ["short", "a tab\tin it", "a line's end\n"])
def test_a_password_that_no_form_takes_is_refused(tmp_path: Path, password: str) -> None:
    with pytest.raises(UsageError):
        set_password(tmp_path, password)
    assert not read_password(tmp_path)


# --- the audit ------------------------------------------------------------------------------------


def test_the_audit_only_grows_and_outlives_a_torn_line(tmp_path: Path) -> None:
    audit = Audit(tmp_path)
    audit.record("create", who="person", address="127.0.0.1", entries=["a"])
    path = tmp_path / "audit.jsonl"
    before = path.read_bytes()
    path.write_bytes(before + b'{"at": "2026-')  # a crash within a write
    Audit(tmp_path).record("export", who="token 1 phone", format="zip")
    after = path.read_bytes()
    assert after.startswith(before)
    lines = after.decode().splitlines()
    assert json.loads(lines[0])["entries"] == ["a"]
    assert json.loads(lines[2]) | {"at": ""} == {
        "at": "", "who": "token 1 phone", "address": "", "action": "export", "format": "zip"
    }  # fmt: skip
    assert re.fullmatch(r"[\d:.TZ-]+", json.loads(lines[2])["at"])
    if os.name != "nt":
        assert path.stat().st_mode & 0o077 == 0


def test_the_newest_lines_are_read_from_the_end(tmp_path: Path) -> None:
    audit = Audit(tmp_path)
    assert audit.newest(5) == []
    path = tmp_path / "audit.jsonl"
    path.write_text("".join(f'{{"n": {n}, "long": "{"x" * 900}"}}\n' for n in range(300)))
    with path.open("a") as file:
        file.write('{"torn": ')
    assert [line["n"] for line in audit.newest(3)] == [299, 298, 297]
    assert [line["n"] for line in audit.newest(1000)] == [*range(299, -1, -1)]
    audit.record("export", who="person")
    assert [line.get("action") for line in audit.newest(2)] == ["export", None]


def test_a_tokens_last_use_is_known_to_other_processes_and_the_next_hub(tmp_path: Path) -> None:
    def kept() -> dict[str, int]:
        for thread in threading.enumerate():
            if thread.name == "token-uses":
                thread.join()
        return read_uses(tmp_path)

    clock = FixedClock()
    uses = Uses(tmp_path, clock)
    assert kept() == {}
    uses.note("0a")
    first = clock.wall_us()
    assert kept() == {"0a": first}
    clock.now_us += EVERY_US // 2
    uses.note("0a")  # known at once, written with a later one
    assert uses.all() == {"0a": clock.wall_us()}
    assert kept() == {"0a": first}
    clock.now_us += EVERY_US // 2
    uses.note("0b")
    assert kept() == uses.all() == Uses(tmp_path, clock).all()
    assert len(uses.all()) == 2
    (tmp_path / "run" / "token-uses.json").write_text("[1]")
    assert read_uses(tmp_path) == {}


# --- failures -------------------------------------------------------------------------------------


def test_who_fails_too_often_waits_and_others_dont() -> None:
    now = [0.0]
    throttle = Throttle(lambda: now[0])
    for _ in range(BURST):
        assert throttle.wait_s("bad") == 0
        throttle.fail("bad")
    assert 0 < throttle.wait_s("bad") <= EVERY_S
    assert throttle.wait_s("good") == 0
    now[0] += EVERY_S
    assert throttle.wait_s("bad") == 0
    throttle.fail("bad")
    assert throttle.wait_s("bad") > 0
    now[0] += BURST * EVERY_S
    for _ in range(BURST):
        assert throttle.wait_s("bad") == 0
        throttle.fail("bad")


def test_a_thousand_addresses_take_no_memory() -> None:
    throttle = Throttle(lambda: 0.0)
    for number in range(MOST_ADDRESSES + 100):
        throttle.fail(str(number))
    assert len(throttle._clear_at_s) == MOST_ADDRESSES
