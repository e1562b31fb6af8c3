"""What the tree promises: pins without addresses, notebooks without outputs, small files."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import lifelog_lake

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
REQUIREMENT_FILES = sorted((ROOT / "requirements").glob("*.txt"))
LINES_AT_MOST = 500

# Options that point an installer somewhere, any URL, and any absolute path.
ADDRESS = re.compile(
    r"^\s*(-i|-f|--(extra-)?index-url|--find-links|--trusted-host|--default-index)\b"
    r"|\w+://|(^|[\s@=])/\w|[A-Za-z]:\\",
    re.MULTILINE,
)


def pins(name: str) -> dict[str, list[Version]]:
    """What a requirement file pins; a package may have several lines, told apart by markers."""
    found: dict[str, list[Version]] = {}
    for line in (ROOT / "requirements" / f"{name}.txt").read_text("utf-8").splitlines():
        if match := re.match(r"([\w.-]+)==([\w.!+-]+)", line):
            found.setdefault(canonicalize_name(match[1]), []).append(Version(match[2]))
    return found


def wanted(extra: str) -> Iterator[Requirement]:
    """What pyproject.toml asks for, of the base or of one extra; not of the extras within."""
    lines = PROJECT["dependencies"] if extra == "base" else PROJECT["optional-dependencies"][extra]
    for requirement in map(Requirement, lines):
        if canonicalize_name(requirement.name) != canonicalize_name(PROJECT["name"]):
            yield requirement


@pytest.mark.parametrize("path", REQUIREMENT_FILES, ids=lambda path: path.name)
def test_requirements_name_no_address(path: Path) -> None:
    assert not ADDRESS.search(path.read_text("utf-8"))


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://example.org/simple",
        "-f wheels",
        "six @ file:///tmp/six.whl",
        "/tmp/six.whl",
        "# from http://mirror",
    ],
)
def test_an_address_is_seen(line: str) -> None:
    assert ADDRESS.search(f"six==1.17.0 \\\n    --hash=sha256:00\n{line}\n")


@pytest.mark.parametrize("path", REQUIREMENT_FILES, ids=lambda path: path.name)
def test_every_pin_has_hashes(path: Path) -> None:
    entries = re.split(r"\n(?=\S)", path.read_text("utf-8"))
    bare = [entry for entry in entries if entry[0] != "#" and "--hash=sha256:" not in entry]
    assert not bare


@pytest.mark.parametrize("extra", ["base", "device", "hub", "dev"])
def test_pins_are_what_pyproject_asks_for(extra: str) -> None:
    """A change of pyproject.toml without `make lock` is seen here."""
    pinned = pins(extra)
    for requirement in wanted(extra):
        versions = pinned[canonicalize_name(requirement.name)]
        assert all(requirement.specifier.contains(version) for version in versions), requirement


def test_all_requirement_files_pin_the_same() -> None:
    everything = pins("dev")
    for extra in ("base", "build", "device", "hub"):
        for name, versions in pins(extra).items():
            assert set(versions) <= set(everything[name]), (extra, name)


def test_a_package_has_one_specifier_in_all_extras() -> None:
    seen: dict[str, Requirement] = {}
    for extra in ("base", "device", "hub", "dev"):
        for requirement in wanted(extra):
            first = seen.setdefault(canonicalize_name(requirement.name), requirement)
            assert requirement.specifier == first.specifier, extra


def test_the_version_is_told_once() -> None:
    assert lifelog_lake.__version__ == PROJECT["version"]


def test_notebooks_have_no_outputs() -> None:
    found = []
    for path in notebooks():
        for number, cell in enumerate(json.loads(path.read_text("utf-8"))["cells"]):
            if cell.get("outputs") or cell.get("execution_count") is not None:
                found.append(f"{path.relative_to(ROOT)}, cell {number}")
    assert not found


def test_files_stay_small() -> None:
    found = []
    for package in ("lifelog_lake", "collectors", "flows"):
        for path in (ROOT / package).rglob("*.py"):
            lines = path.read_text("utf-8").count("\n")
            if lines > LINES_AT_MOST:
                found.append(f"{path.relative_to(ROOT)}: {lines} lines")
    assert not found, f"split at {LINES_AT_MOST} lines: {found}"


def notebooks() -> Iterator[Path]:
    """Every notebook of the tree, but not an editor's own copies."""
    for top in ("dashboards", "docs", "lifelog_lake", "notebooks", "tests"):
        for path in (ROOT / top).rglob("*.ipynb"):
            if ".ipynb_checkpoints" not in path.parts:
                yield path
