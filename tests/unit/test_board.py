"""What the board says of a status."""

from __future__ import annotations

from lifelog_lake.cli.board import Board, make_board

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
    assert made.findings == (
        "Sensors (script) is error: The command 'x' isn't there.",
        "Web is error: The command 'x' isn't there.",
    )


def test_one_collector_of_a_stream_goes_without_its_name() -> None:
    assert [row.label for row in board(battery=child("running", "sensor")).rows] == ["Sensors"]
