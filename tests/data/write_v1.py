"""How ``v1/`` was made, by release 0.1.0: a home half of whose rows are shipped, and its lake.

Not run by the tests, whose point is that these are an older release's files. ``python -m
tests.data.write_v1 DIRECTORY`` writes the like with the code that is there now.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from lifelog_lake.lake import init_lake
from lifelog_lake.spool import Spool
from tests.helpers import frame, make_home, ship, window

DEVICE = "old-laptop-1a2b3c"


def main(where: Path) -> None:
    """Write it."""
    home_path = where / "home"
    (home_path / "run").mkdir(parents=True)
    (home_path / "device.json").write_text(
        json.dumps({"device": DEVICE, "created_at": "2026-01-02T03:04:05Z"})
    )
    home = make_home(home_path, lake=where / "lake", init=False)
    init_lake(home)
    spool = Spool.of(home)
    spool.append([window(n) for n in range(6)], cursor={"until": 6})
    spool.append([frame(n) for n in range(2)])
    ship(home)
    spool.append([window(n) for n in range(6, 10)], cursor={"until": 10})
    spool.append([frame(2), frame(3, content=b"frame 0")])
    memory = json.loads((home_path / "lake.json").read_text())
    (home_path / "lake.json").write_text(json.dumps(memory | {"url": "lake"}))
    for name in ("logs", "run"):
        for path in (home_path / name).iterdir():
            path.unlink()
        (home_path / name).rmdir()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
