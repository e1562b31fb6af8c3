"""Cuts the power at one fault point after the other: ``python -m tests.crash.power DIR``.

One run of the work is followed by a :class:`~tests.crash.disk.ForgetfulDisk`; at the chosen points
it writes down the trees that may be found afterwards. Each is then started again, as after a kill.
"""

from __future__ import annotations

import logging
import shutil
import sys
from collections import Counter
from pathlib import Path

import orjson
import structlog

from lifelog_lake import fsio
from tests.crash import workload
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


def main(directory: Path) -> None:
    """Follow one run, then restart from each of its trees."""
    base, images, stash = (directory / name for name in ("base", "images", "stash"))
    for path in (base, images, stash):
        path.mkdir()

    def prepare() -> None:
        home = workload.make_home(base / "disk")
        workload.produce(home, base / "ledger", 2)
        workload.ship(home)
        workload.produce(home, base / "ledger", 1)

    run(prepare)
    names = follow(base, directory, set())
    print(orjson.dumps({"points": Counter(names)}).decode(), flush=True)
    follow(base, directory, set(chosen(names, "plain")))
    for image in sorted(images.iterdir()):
        for way in WAYS:
            found = restart(directory, image, way)
            line = {"point": image.name.rsplit("-", 1)[0], "way": way, "problems": found}
            print(orjson.dumps(line).decode(), flush=True)


def follow(base: Path, directory: Path, points: set[Point]) -> list[str]:
    """Run the work once on a forgetful disk; the names of its points."""
    root = place(base, directory)
    out = directory / "points.json"
    stash = directory / "stash" / str(len(points))
    stash.mkdir()

    def followed() -> None:
        disk = Photographer(root / "disk", stash, directory / "images", points)
        fsio.install_hook(disk)
        workload.work(root / "disk", root / "ledger")
        out.write_bytes(orjson.dumps(disk.names))

    run(followed)
    names: list[str] = orjson.loads(out.read_bytes())
    return names


def restart(directory: Path, image: Path, way: str) -> list[str]:
    """Start again from a tree and say what is wrong."""
    root = directory / "run"
    shutil.rmtree(root)
    root.mkdir()
    shutil.copytree(image / way, root / "disk")
    ledger = root / "ledger"
    shutil.copy(image / "ledger", ledger)
    try:
        run(lambda: workload.recover(root / "disk", ledger))
    except RuntimeError as error:
        return [str(error)]
    return out_of_process(
        directory,
        lambda: workload.problems(root / "disk", ledger, required=workload.acknowledged(ledger)),
    )


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    main(Path(sys.argv[1]))
