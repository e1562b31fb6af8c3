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
from tests.crash.sweep import out_of_process, place, run


class Photographer(ForgetfulDisk):
    """Writes the trees and the ledger down at the points with the given numbers."""

    def __init__(self, root: Path, stash: Path, images: Path, numbers: set[int]) -> None:
        super().__init__(root, stash)
        self._ledger = root.parent / "ledger"
        self._images = images
        self._numbers = numbers

    def after(self, op: fsio.Op) -> None:
        super().after(op)
        number = len(self.names) - 1
        if number in self._numbers:
            image = self._images / str(number)
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
    first = {name: number for number, name in reversed(list(enumerate(names)))}
    last = {name: number for number, name in enumerate(names)}
    numbers = {*first.values(), *last.values()}
    print(orjson.dumps({"points": Counter(names)}).decode(), flush=True)
    follow(base, directory, numbers)
    for number in sorted(numbers):
        for way in WAYS:
            found = restart(base, directory, images / str(number), way)
            line = {"point": names[number], "way": way, "problems": found}
            print(orjson.dumps(line).decode(), flush=True)


def follow(base: Path, directory: Path, numbers: set[int]) -> list[str]:
    """Run the work once on a forgetful disk; the names of its points."""
    root = place(base, directory)
    out = directory / "points.json"
    stash = directory / "stash" / str(len(numbers))
    stash.mkdir()

    def followed() -> None:
        disk = Photographer(root / "disk", stash, directory / "images", numbers)
        fsio.install_hook(disk)
        workload.work(root / "disk", root / "ledger")
        out.write_bytes(orjson.dumps(disk.names))

    run(followed)
    names: list[str] = orjson.loads(out.read_bytes())
    return names


def restart(base: Path, directory: Path, image: Path, way: str) -> list[str]:
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
