"""The person's folder of notebooks over installations: nothing of theirs is ever overwritten."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from lifelog_lake import __version__
from lifelog_lake.errors import UsageError
from lifelog_lake.server import workspace

BESIDE = f"tour-{__version__}.ipynb"


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    folder = tmp_path / "shipped"
    folder.mkdir()
    (folder / "tour.ipynb").write_text("first")
    (folder / "README.md").write_text("not a notebook")
    return folder


@pytest.fixture
def mine(tmp_path: Path, shipped: Path) -> Path:
    folder = tmp_path / "home" / "notebooks"
    workspace.fill(folder, shipped)
    return folder


def books(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.glob("*.ipynb")}


def test_the_first_start_copies_and_later_ones_leave_alone(mine: Path, shipped: Path) -> None:
    assert books(mine) == {"tour.ipynb": "first"}
    assert not (mine / "README.md").exists()
    (mine / "own.ipynb").write_text("own")
    (mine / "tour.ipynb").write_text("changed by me")
    workspace.fill(mine, shipped)
    assert books(mine) == {"tour.ipynb": "changed by me", "own.ipynb": "own"}


def test_a_newer_version_replaces_one_that_nobody_changed(mine: Path, shipped: Path) -> None:
    (shipped / "tour.ipynb").write_text("second")
    (shipped / "week.ipynb").write_text("new")
    workspace.fill(mine, shipped)
    assert books(mine) == {"tour.ipynb": "second", "week.ipynb": "new"}


def test_a_newer_version_is_put_beside_one_that_was_changed(mine: Path, shipped: Path) -> None:
    (mine / "tour.ipynb").write_text("changed by me")
    (shipped / "tour.ipynb").write_text("second")
    for _ in range(2):  # once only
        workspace.fill(mine, shipped)
    assert books(mine) == {"tour.ipynb": "changed by me", BESIDE: "second"}
    (mine / BESIDE).write_text("changed as well")
    (shipped / "tour.ipynb").write_text("third")
    workspace.fill(mine, shipped)
    numbered = BESIDE.replace(".ipynb", "-2.ipynb")
    assert books(mine) == {
        "tour.ipynb": "changed by me", BESIDE: "changed as well", numbered: "third",
    }  # fmt: skip


def test_a_forgotten_record_overwrites_nothing(mine: Path, shipped: Path) -> None:
    (mine / workspace.GIVEN).unlink()
    workspace.fill(mine, shipped)
    assert books(mine) == {"tour.ipynb": "first"}
    (mine / workspace.GIVEN).unlink()
    (mine / "tour.ipynb").write_text("changed by me")
    workspace.fill(mine, shipped)
    assert books(mine) == {"tour.ipynb": "changed by me", BESIDE: "first"}


@pytest.mark.parametrize("content", [b"", b"[]", b'{"tour', b"\xff\x00"])
def test_a_damaged_record_overwrites_nothing(mine: Path, shipped: Path, content: bytes) -> None:
    (mine / workspace.GIVEN).write_bytes(content)
    (mine / "tour.ipynb").write_text("changed by me")
    for _ in range(2):
        workspace.fill(mine, shipped)
    assert books(mine) == {"tour.ipynb": "changed by me", BESIDE: "first"}


def test_what_is_in_the_way_is_named(mine: Path, shipped: Path) -> None:
    (mine / "tour.ipynb").unlink()
    (mine / "tour.ipynb").mkdir()
    with pytest.raises(UsageError, match=r"tour\.ipynb") as raised:
        workspace.fill(mine, shipped)
    assert raised.value.hint


def test_a_deleted_tour_comes_back(mine: Path, shipped: Path) -> None:
    (mine / "tour.ipynb").unlink()
    workspace.fill(mine, shipped)
    assert books(mine) == {"tour.ipynb": "first"}


def test_a_layout_that_is_there_stays(tmp_path: Path) -> None:
    workspace.greet(tmp_path / "lab")
    layout = tmp_path / "lab" / workspace.LAYOUT
    content = orjson.loads(layout.read_bytes())
    assert content["data"]["notebook:tour.ipynb"]["data"]["path"] == workspace.FIRST
    layout.write_text("mine")
    workspace.greet(tmp_path / "lab")
    assert layout.read_text() == "mine"
