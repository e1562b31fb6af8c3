"""Cuts the power at one fault point after the other: ``-m tests.crash.power DIR SCENE WHICH``.

One run of the work is followed by a :class:`~tests.crash.disk.ForgetfulDisk`; at the chosen points
it writes down the trees that may be found afterwards. Each is then started again, as after a kill.
"""

from __future__ import annotations

import logging
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Protocol

import orjson
import structlog

from lifelog_lake import fsio
from tests.crash import care, workload
from tests.crash.disk import WAYS, ForgetfulDisk
from tests.crash.sweep import Point, chosen, out_of_process, place, run


class Photographer(ForgetfulDisk):
    """Writes the trees and the ledger down at the points with the given numbers."""

    def __init__(self, root: Path, stash: Path, images: Path, points: set[Point]) -> None:
        super().__init__(root, stash)
        self._ledger = root.parent / "ledger"
        self._images = images
        self._points = points
        self._seen: Counter[str] = Counter()

    def after(self, op: fsio.Op) -> None:
        super().after(op)
        point = (op.name, self._seen[op.name])
        self._seen[op.name] += 1
        if point in self._points:
            image = self._images / f"{point[0]}-{point[1]}"
            image.mkdir()
            shutil.copy(self._ledger, image / "ledger")
            for way in WAYS:
                self.build(way, image / way)


class Scene(Protocol):
    """What is cut, on a disk, with a ledger beside it that no power loss touches."""

    def prepare(self, disk: Path, ledger: Path) -> None:
        """Make what is there before."""

    def work(self, disk: Path, ledger: Path) -> None:
        """The run that is cut."""

    def problems(self, disk: Path, ledger: Path) -> list[str]:
        """Start again, and say what is wrong."""


class Shipping:
    """Capture and ship."""

    def prepare(self, disk: Path, ledger: Path) -> None:
        home = workload.make_home(disk)
        workload.produce(home, ledger, 2)
        workload.ship(home)
        workload.produce(home, ledger, 1)

    def work(self, disk: Path, ledger: Path) -> None:
        workload.work(disk, ledger)

    def problems(self, disk: Path, ledger: Path) -> list[str]:
        workload.recover(disk, ledger)
        return workload.problems(disk, ledger, required=workload.acknowledged(ledger))


class Caring:
    """Compact and tidy; the ledger has what the rows were."""

    def prepare(self, disk: Path, ledger: Path) -> None:
        care.prepare(disk, None)
        ledger.write_text(care.rows(disk))

    def work(self, disk: Path, ledger: Path) -> None:
        del ledger
        care.work(disk)

    def problems(self, disk: Path, ledger: Path) -> list[str]:
        return care.after(disk, ledger.read_text())


def main(directory: Path, scene: Scene, which: str) -> None:
    """Follow one run, then restart from each of its trees; ``which`` as in ``chosen``."""
    base, images, stash = (directory / name for name in ("base", "images", "stash"))
    for path in (base, images, stash):
        path.mkdir()
    run(lambda: scene.prepare(base / "disk", base / "ledger"))
    names = follow(scene, base, directory, set())
    print(orjson.dumps({"points": Counter(names)}).decode(), flush=True)
    follow(scene, base, directory, set(chosen(names, which)))
    for image in sorted(images.iterdir()):
        for way in WAYS:
            found = restart(scene, directory, image, way)
            line = {"point": image.name.rsplit("-", 1)[0], "way": way, "problems": found}
            print(orjson.dumps(line).decode(), flush=True)


def follow(scene: Scene, base: Path, directory: Path, points: set[Point]) -> list[str]:
    """Run the work once on a forgetful disk; the names of its points."""
    root = place(base, directory)
    out = directory / "points.json"
    stash = directory / "stash" / str(len(points))
    stash.mkdir()

    def followed() -> None:
        disk = Photographer(root / "disk", stash, directory / "images", points)
        fsio.install_hook(disk)
        scene.work(root / "disk", root / "ledger")
        out.write_bytes(orjson.dumps(disk.names))

    run(followed)
    names: list[str] = orjson.loads(out.read_bytes())
    return names


def restart(scene: Scene, directory: Path, image: Path, way: str) -> list[str]:
    """Start again from a tree and say what is wrong."""
    root = directory / "run"
    shutil.rmtree(root)
    root.mkdir()
    shutil.copytree(image / way, root / "disk")
    ledger = root / "ledger"
    shutil.copy(image / "ledger", ledger)
    try:
        return out_of_process(directory, lambda: scene.problems(root / "disk", ledger))
    except RuntimeError as error:
        return [str(error)]


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    main(Path(sys.argv[1]), {"ship": Shipping, "care": Caring}[sys.argv[2]](), sys.argv[3])
