"""What the board says of a status."""

from __future__ import annotations

import io

from rich.console import Console

from lifelog_lake.cli.board import Board, bars_of, make_board

NOW = 1_767_323_045_000_000


def board(**children: dict[str, object]) -> Board:
    status = {"state": "running", "at": NOW, "pid": 1, "started_at": NOW, "children": children}
    return make_board(status, {}, now_us=NOW, alive=True, pause=None)


def child(state: str, *streams: str, reason: str = "") -> dict[str, object]:
    return {"state": state, "streams": list(streams), "reason": reason}


def test_collectors_of_one_stream_are_told_apart() -> None:
    made = board(
        battery=child("running", "sensor"),
        script=child("error", "sensor", "web", reason="The command 'x' isn't there."),
    )
    assert [row.label for row in made.rows] == ["Sensors (battery)", "Sensors (script)", "Web"]
    assert made.findings == ("Sensors (script), Web are error: The command 'x' isn't there.",)


def test_one_collector_of_a_stream_goes_without_its_name() -> None:
    assert [row.label for row in board(battery=child("running", "sensor")).rows] == ["Sensors"]


def test_a_stream_that_cannot_be_seen_says_why_and_the_others_are_well() -> None:
    aw = child("running", "window", "web") | {"stale": ["web"], "unseen": {"web": "No extension."}}
    made = board(activitywatch=aw)
    assert [row.state for row in made.rows] == ["running", "stale"]
    assert made.findings == ("Web is stale: No extension.",)


def test_what_a_source_that_is_well_remarks_is_told_and_no_finding() -> None:
    made = board(audio=child("running", "audio", reason="The microphone is muted."))
    assert made.remarks == ("The microphone is muted.",)
    assert made.findings == ()


def test_a_history_that_is_read_has_a_bar() -> None:
    history = {"share": 0.25, "doing": "Windows of 2026-01-02"}
    made = board(activitywatch=child("running", "window") | {"history": history})
    assert made.findings == ()
    console = Console(width=80, record=True, file=io.StringIO())
    bars = bars_of(made)
    assert bars is not None
    console.print(bars)
    said = console.export_text()
    assert "25% Windows of 2026-01-02" in said
    assert "━" in said
    assert bars_of(board(activitywatch=child("running", "window"))) is None


def test_a_source_with_several_streams_tells_its_trouble_once() -> None:
    made = board(activitywatch=child("unavailable", "window", "afk", reason="No server answers."))
    assert made.findings == ("Windows, Presence are unavailable: No server answers.",)
