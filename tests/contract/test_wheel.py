"""The built wheel, installed outside the checkout: bare, and with each extra.

Installs the pinned requirements with their hashes from the installer's cache, which `make setup`
has filled, then the wheel with its extra; the pins have to be all that the extra wants.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from uv import find_uv_bin

from tests.fixtures.device import wait_for
from tests.fixtures.xvfb import Display, an_xvfb

__all__ = ["an_xvfb"]

ROOT = Path(__file__).resolve().parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
PACKAGES = ("collectors", "flows", "lifelog_lake")
# Where each part of the tree lies in an installation.
DATA = {
    "notebooks": "share/lifelog_lake/notebooks",
    "dashboards": "share/lifelog_lake/dashboards",
    "deploy/systemd": "share/lifelog_lake/deploy/systemd",
    "deploy/launchd": "share/lifelog_lake/deploy/launchd",
    "deploy/windows": "share/lifelog_lake/deploy/windows",
    "lifelog_lake/server/voila_template": "share/jupyter/voila/templates/lifelog",
    "lifelog_lake/server/etc": "etc/jupyter/jupyter_server_config.d",
}
HEAVY = {"deltalake", "jupyterlab", "numpy", "pillow", "polars", "prefect", "pyarrow", "voila"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """A fresh virtual environment with the wheel in it, and nothing of the checkout."""

    venv: Path
    home: Path

    @property
    def bin(self) -> Path:
        return self.venv / ("Scripts" if sys.platform == "win32" else "bin")

    @property
    def env(self) -> dict[str, str]:
        """A stranger's: nothing of the checkout or of who runs the tests."""
        keep = {"SYSTEMROOT", "TEMP", "TMPDIR", "LANG"}
        env = {name: value for name, value in os.environ.items() if name in keep}
        env |= {
            "PATH": os.pathsep.join([str(self.bin), os.defpath]),
            "HOME": str(self.home),
            "LIFELOG_HOME": str(self.home / "lifelog"),
            "COLUMNS": "200",
            "NO_COLOR": "1",
            "PYTHONUTF8": "1",
            "LIFELOG_COLLECTORS__ACTIVITYWATCH__ENABLED": "false",
        }
        return env

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment in an empty directory."""
        return subprocess.run(
            [str(self.bin / words[0]), *words[1:]],
            cwd=self.home,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def packages(self) -> set[str]:
        """The names of what is installed."""
        frozen = uv("pip", "freeze", "--python", str(self.venv))
        return {line.partition("==")[0].partition(" ")[0] for line in frozen.splitlines()}


def uv(*words: str, **more: str) -> str:
    """Run uv, away from the checkout's own environment."""
    env = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"} | more
    done = subprocess.run(
        [find_uv_bin(), *words], cwd=ROOT.anchor, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    done = subprocess.run(
        [*command, "--directory", str(out)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = out.glob("*.whl")
    return path


def install(wheel: Path, where: Path, extra: str | None) -> Installation:
    """The wheel with `extra` in a new environment below `where`."""
    made = Installation(venv=where / "venv", home=where / "somewhere else")
    made.home.mkdir()
    uv("venv", "--quiet", "--python", sys.executable, str(made.venv))
    pip = ("pip", "install", "--quiet", "--link-mode", "hardlink", "--python", str(made.venv))
    uv(*pip, "--require-hashes", "-r", str(ROOT / "requirements" / f"{extra or 'base'}.txt"))
    pinned = made.packages()
    extras = f"[{extra}]" if extra else ""
    uv(*pip, f"lifelog-lake{extras} @ {wheel.as_uri()}")
    assert made.packages() - pinned == {"lifelog-lake"}, "the pins lack something"
    return made


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return install(wheel, tmp_path_factory.mktemp("bare"), None)


@pytest.fixture(scope="module")
def device(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return install(wheel, tmp_path_factory.mktemp("device"), "device")


@pytest.fixture(scope="module")
def hub(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return install(wheel, tmp_path_factory.mktemp("hub"), "hub")


@pytest.fixture(scope="module")
def dev(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return install(wheel, tmp_path_factory.mktemp("dev"), "dev")


@pytest.fixture(scope="module")
def tool(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """As docs/install.md has it, with the pins."""
    where = tmp_path_factory.mktemp("tool")
    made = Installation(venv=where / "tools" / "lifelog-lake", home=where / "somewhere else")
    made.home.mkdir()
    uv(
        *("tool", "install", "--quiet", "--link-mode", "hardlink", "--python", sys.executable),
        *("--constraints", str(ROOT / "requirements" / "device.txt")),
        f"lifelog-lake[device] @ {wheel.as_uri()}",
        UV_TOOL_DIR=str(where / "tools"),
        UV_TOOL_BIN_DIR=str(where / "bin"),
    )
    assert (where / "bin" / ("lifelog.exe" if os.name == "nt" else "lifelog")).exists()
    return made


@pytest.fixture
def installed(request: pytest.FixtureRequest) -> Installation:
    """The installation that the test's parameter names."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Installation)
    return found


every_installation = pytest.mark.parametrize(
    "installed", ["bare", "device", "hub", "dev"], indirect=True
)


def test_the_wheel_has_all_of_the_source_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    tops = {name.partition("/")[0] for name in names}
    info = f"lifelog_lake-{VERSION}"
    assert tops == {*PACKAGES, f"{info}.dist-info", f"{info}.data"}
    assert f"{info}.dist-info/licenses/LICENSE" in names
    missing = {path for path in source_files() if path not in names}
    assert not missing


def test_pages_and_notebooks_ride_in_the_wheel(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for source, target in DATA.items():
        for path in files_below(ROOT / source):
            inside = path.relative_to(ROOT / source).as_posix()
            assert f"lifelog_lake-{VERSION}.data/data/{target}/{inside}" in names


@every_installation
def test_the_command_starts(installed: Installation) -> None:
    version = installed.run("lifelog", "--version")
    assert version.returncode == 0, version.stderr
    assert VERSION in version.stdout
    usage = installed.run("lifelog", "--help")
    assert usage.returncode == 0, usage.stderr
    for command in ("up", "collect", "ship", "status", "verify"):
        assert command in usage.stdout.split()


def test_the_bare_installation_is_light(bare: Installation) -> None:
    assert not bare.packages() & HEAVY


@pytest.mark.parametrize(
    ("installed", "command", "extra"),
    [
        ("bare", ["verify"], "device"),
        ("bare", ["ship"], "device"),
        ("bare", ["up", "--no-browser"], "hub"),
        ("device", ["up", "--no-browser"], "hub"),
    ],
    indirect=["installed"],
)
def test_a_missing_extra_names_the_install_line(
    installed: Installation, command: list[str], extra: str
) -> None:
    done = installed.run("lifelog", *command)
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 2, said
    assert f'pip install "lifelog-lake[{extra}]"' in said
    assert "Traceback" not in said


@pytest.mark.parametrize("installed", ["bare", "device"], indirect=True)
def test_reading_without_the_hub_names_the_install_line(installed: Installation) -> None:
    done = installed.run("python", "-c", "import lifelog_lake; lifelog_lake.open_lake()")
    assert done.returncode != 0
    assert 'pip install "lifelog-lake[hub]"' in done.stderr


@pytest.mark.parametrize("installed", ["device", "dev"], indirect=True)
def test_collectors_are_found_by_their_entry_points(installed: Installation) -> None:
    code = (
        "from importlib.metadata import entry_points\n"
        "for one in entry_points(group='lifelog_lake.collectors'): print(one.name, one.load())"
    )
    done = installed.run("python", "-c", code)
    assert done.returncode == 0, done.stderr
    assert "screen" in done.stdout.split()


# What it asks for can't be installed elsewhere; there, the other tests of the wheel run.
@pytest.mark.skipif(sys.platform != "linux", reason="an X server and systemd's files")
def test_a_tool_installs_its_service_records_and_verifies(
    tool: Installation, xvfb: Display
) -> None:
    """All that a person does, outside the checkout: no file of it is needed."""
    install = tool.run("lifelog", "install", "--no-start")
    assert install.returncode == 0, install.stderr
    unit = tool.home / ".config" / "systemd" / "user" / "lifelog.service"
    assert f"{tool.bin}/python" in unit.read_text().replace("\\", "")
    log = tool.home / "collect.txt"
    with log.open("wb") as said:
        recording = subprocess.Popen(
            [str(tool.bin / "lifelog"), "collect"],
            cwd=tool.home,
            env=tool.env | {"DISPLAY": xvfb.name, "LIFELOG_SHIP__EVERY_S": "1"},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
    try:
        frames = tool.home / "lifelog" / "lake" / "tables" / "screen" / "_delta_log"
        wait_for(lambda: any(frames.glob("*.json")), "A frame in the lake")
        recording.terminate()
        assert recording.wait(30) == 0, log.read_text()
    finally:
        recording.kill()
        recording.wait()
    verified = tool.run("lifelog", "verify", "--read-data", "--json")
    assert verified.returncode == 0, verified.stdout
    report = json.loads(verified.stdout)
    assert not report["findings"]
    assert report["rows"]
    assert report["blobs"]
    removed = tool.run("lifelog", "uninstall")
    assert removed.returncode == 0, removed.stderr
    assert not unit.exists()
    assert frames.exists()


@pytest.mark.parametrize("installed", ["hub", "dev"], indirect=True)
def test_the_hub_enables_its_server_extension_by_itself(installed: Installation) -> None:
    done = installed.run("jupyter", "server", "extension", "list")
    said = (done.stdout + done.stderr).splitlines()
    (enabled,) = [line for line in said if "lifelog_lake.server" in line and "enabled" in line]
    assert enabled
    assert any("lifelog_lake.server" in line and "OK" in line for line in said), "\n".join(said)


def source_files() -> Iterator[str]:
    """Each file of the packages that has to be in the wheel as such, by its path in the tree."""
    for package in PACKAGES:
        for path in files_below(ROOT / package):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith(tuple(f"{source}/" for source in DATA)):
                yield name


def files_below(folder: Path) -> Iterator[Path]:
    """The files of a folder, without what Python and editors leave there."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(part.startswith((".", "__pycache__")) for part in parts):
            yield path
