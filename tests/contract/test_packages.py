"""The files of package managers and of the CI: the version, the pins, and what a linter says.

A linter that isn't installed is left out, also in CI: docs/platforms.md names who checked what.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from lifelog_lake import __version__

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ROOT / "deploy" / "packages"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCHEMA = json.loads((ROOT / "tests" / "data" / "github-workflow.schema.json").read_text("utf-8"))
LINTERS = {
    "lifelog-lake.rb": ("ruby", "-c"),
    "lifelog-lake.spec": ("rpmspec", "-P"),
    "flake.nix": ("nix-instantiate", "--parse"),
    "debian/hub.postinst": ("sh", "-n"),
    "debian/hub.postrm": ("sh", "-n"),
    "debian/hub.prerm": ("sh", "-n"),
    "debian/lifelog.1": ("man", "--warnings", "-l"),
}
#: Their versions: all files of a release say the same.
VERSIONED = {
    "lifelog-lake.rb": r"lifelog_lake-([\d.]+)\.tar\.gz",
    "lifelog-lake.spec": r"Version: +([\d.]+)",
    "lifelog.winget": r"lifelog_lake-([\d.]+)-py3",
}


@pytest.mark.parametrize("name", LINTERS)
def test_a_linter_finds_nothing(name: str) -> None:
    program, *options = LINTERS[name]
    if shutil.which(program) is None:
        # Also in CI: Ruby, RPM and Nix are much to install for the form of one file each;
        # docs/platforms.md says which of them were run.
        pytest.skip(f"{program} isn't here")
    done = subprocess.run([program, *options, str(PACKAGES / name)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert program == "nix-instantiate" or not done.stderr


@pytest.mark.parametrize("name", VERSIONED)
def test_the_version_is_ours(name: str) -> None:
    found = re.findall(VERSIONED[name], (PACKAGES / name).read_text("utf-8"))
    assert found
    assert set(found) == {__version__}


@pytest.mark.parametrize(
    ("script", "words", "told"),
    [
        ("postinst", ("configure", ""), "daemon-reload"),
        ("postinst", ("configure", "0.0.9-1"), "daemon-reload; try-restart lifelog-hub.service"),
        ("prerm", ("upgrade", "0.2.0-1"), ""),
        ("prerm", ("remove",), "stop lifelog-hub.service"),
        ("postrm", ("remove",), "daemon-reload"),
        ("postrm", ("purge",), ""),
    ],
)
def test_what_the_hubs_package_tells_systemd(
    tmp_path: Path, script: str, words: tuple[str, ...], told: str
) -> None:
    """Started again by an upgrade if it runs, ended before its files go."""
    text = (PACKAGES / "debian" / f"hub.{script}").read_text("utf-8")
    for place in ("/run/systemd/system", "/etc/systemd/system"):
        text = text.replace(place, str(tmp_path))
    (tmp_path / script).write_text(text)
    link = tmp_path / "multi-user.target.wants" / "lifelog-hub.service"
    link.parent.mkdir()
    link.symlink_to("/usr/lib/systemd/system/lifelog-hub.service")
    for name in ("systemctl", "deb-systemd-invoke", "systemd-sysusers"):
        told_to = "users" if name == "systemd-sysusers" else "calls"
        (tmp_path / name).write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/{told_to}\n')
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:/usr/bin:/bin"
    subprocess.run(["sh", str(tmp_path / script), *words], env={"PATH": path}, check=True)
    calls = tmp_path / "calls"
    assert (calls.read_text().splitlines() if calls.exists() else []) == [
        *filter(None, told.split("; "))
    ]
    assert link.is_symlink() is (words[0] != "purge")
    build = (ROOT / "tools" / "build-deb.sh").read_text("utf-8")
    (scripts,) = re.findall(r"for script in (.+); do", build)
    assert script in scripts.split()


def test_what_is_installed_is_pinned_by_hash() -> None:
    for name in ("lifelog-lake.rb", "lifelog-lake.spec"):
        text = (PACKAGES / name).read_text("utf-8")
        assert "--require-hashes" in text
        for file in re.findall(r"requirements/\w+\.txt", text):
            assert (ROOT / file).exists()
    assert "--require-hashes" in (ROOT / "tools" / "build-deb.sh").read_text("utf-8")


def test_the_winget_file_is_yaml_with_both_steps() -> None:
    read = yaml.safe_load((PACKAGES / "lifelog.winget").read_text("utf-8"))
    assert [one["id"] for one in read["properties"]["resources"]] == ["uv", "lifelog"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_is_as_github_wants_it(path: Path) -> None:
    read = yaml.safe_load(path.read_text("utf-8"))
    read["on"] = read.pop(True)  # YAML 1.1 reads "on" so; GitHub doesn't
    jsonschema.validators.validator_for(SCHEMA)(SCHEMA).validate(read)


def steps(path: Path) -> list[dict[str, Any]]:
    read = yaml.safe_load(path.read_text("utf-8"))
    return [step for job in read["jobs"].values() for step in job["steps"]]


def test_actions_are_pinned_and_few_rights_are_given() -> None:
    assert {path.name for path in WORKFLOWS} == {"release.yml", "test.yml"}
    for path in WORKFLOWS:
        read = yaml.safe_load(path.read_text("utf-8"))
        assert read["permissions"] in ({}, {"contents": "read"})
        for job in read["jobs"].values():
            assert job["timeout-minutes"]
        for step in steps(path):
            if "uses" in step:
                assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"]), step
            # What a stranger may name (a branch, a title) never becomes part of a script.
            assert "${{ github." not in step.get("run", "")


def test_each_system_is_tested_and_a_release_is_signed() -> None:
    read = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text("utf-8"))
    systems = read["jobs"]["elsewhere"]["strategy"]["matrix"]["system"]
    assert [system.split("-")[0] for system in systems] == ["macos", "windows"]
    assert read["jobs"]["linux"]["runs-on"].startswith("ubuntu")
    release = (ROOT / ".github" / "workflows" / "release.yml").read_text("utf-8")
    jobs = yaml.safe_load(release)["jobs"]
    assert set(jobs) == {"wheel", "deb", "image", "release"}
    assert set(jobs["release"]["needs"]) == {"wheel", "deb", "image"}
    assert release.count("actions/attest-build-provenance@") == 2
    assert "sha256sum" in release


def test_a_workflow_installs_what_its_scripts_ask_for() -> None:
    """A runner's Ubuntu has neither lintian nor debootstrap, and isn't root."""
    tools = {"deb": {"dpkg-dev", "fakeroot", "lintian"}, "prove-deb": {"debootstrap"}}
    called = set()
    for path in WORKFLOWS:
        for job in yaml.safe_load(path.read_text("utf-8"))["jobs"].values():
            scripts = "\n".join(step.get("run", "") for step in job["steps"])
            for target, packages in tools.items():
                if re.search(rf"^make .*\b(?<!-){target}\b", scripts, re.MULTILINE):
                    called.add(target)
                    assert job["container"], "as root, on Debian"
                    assert packages <= set(re.findall(r"[\w.-]+", scripts)), target
    assert called == set(tools)


def test_every_target_of_make_that_a_workflow_calls_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for path in WORKFLOWS:
        for step in steps(path):
            for words in re.findall(r"(?m)^make ([a-z -]+)", step.get("run", "")):
                for target in words.split():
                    assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
