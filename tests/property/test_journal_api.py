"""Any entry through the API, the spool, the lake, an export and an import: the same to the byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings

from lifelog_lake.recall.journal.importing import import_file
from tests.fixtures.api import served_api
from tests.fixtures.journal import home_of, journal_of
from tests.helpers import ship, verified
from tests.property.test_journal import ENTRIES


def test_any_entry_goes_through_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFELOG_HOME", str(tmp_path / "hub"))
    made: dict[str, dict[str, Any]] = {}
    with served_api(tmp_path / "hub") as served:
        api = served.api("read", "write", name="program")

        @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
        @given(entry=ENTRIES)
        def write(entry: dict[str, Any]) -> None:
            said = {**entry, **({"at": entry["at"].isoformat()} if "at" in entry else {})}
            answer = api.post("events", data=orjson.dumps(said))
            assert answer.status_code == 201, answer.text
            one = orjson.loads(answer.content)
            for name in ("title", "description", "metadata"):
                assert repr(one[name]) == repr(entry.get(name, one[name]))
            assert orjson.loads(api.get(f"events/{one['id']}").content) == one
            made[one["id"]] = one

        write()
        ship(served.home)
        lines = api.get("export", params={"format": "jsonl"}).content
        assert {line["id"]: {"stream": "journal", **line} for line in told(lines)} == made
        out = tmp_path / "out.jsonl"
        out.write_bytes(lines)
        other = home_of(tmp_path / "other")
        with journal_of(other) as journal:
            assert import_file(journal, out, "jsonl").entries == len(made)
        ship(other)
        verified(other)
        again = api.post("import", params={"format": "jsonl"}, data=lines).json()
        assert (again["entries"], again["changes"], again["present"]) == (0, 0, len(made))
    with served_api(tmp_path / "other") as served:
        api = served.api("read", name="program")
        assert api.get("export", params={"format": "jsonl"}).content == lines


def told(lines: bytes) -> list[dict[str, Any]]:
    """JSON Lines; a text may hold what Python takes for an end of line."""
    return [orjson.loads(line) for line in lines.split(b"\n") if line]
