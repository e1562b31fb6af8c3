"""What the command says: nothing that comes from elsewhere gives a terminal orders."""

from __future__ import annotations

import pytest

from lifelog_lake.cli import output
from lifelog_lake.errors import UsageError

ORDERS = "\x1b]0;mine\x07 \x1b[2J \x9b31m \r \x7f"


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    output.out.cache_clear()
    output.err.cache_clear()


def test_no_escape_of_a_title_reaches_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    output.say(f"a title {ORDERS}\tand\nmore [bold]")
    output.say_error(UsageError(f"what {ORDERS}", hint=f"how {ORDERS}"))
    said, wrong = capsys.readouterr()
    assert said.startswith("a title \ufffd]0;mine")
    assert said.endswith("and\nmore [bold]\n")
    assert wrong.startswith("Error: what \ufffd")
    assert "how \ufffd" in wrong
    assert not {"\x1b", "\x9b", "\r", "\x07", "\x7f"} & set(said + wrong)
