"""``make bench``: measure against the baselines and write docs/benchmarks.md.

Each group's table is written as soon as the group is done. ``--quick`` prints only: its sizes are
too small to be compared with.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import structlog

from tests.bench import (
    activitywatch,
    care,
    coverage,
    demo,
    derive,
    health,
    hub,
    journal,
    meaning,
    page,
    recall,
    report,
    rest,
    s3,
    search,
    shipping,
    spooling,
)
from tests.bench.pairs import Row

BENCHES: dict[str, Callable[..., Iterator[Row]]] = {
    "spool": spooling.run,
    "ship": shipping.run,
    "rest": rest.run,
    "s3": s3.run,
    "care": care.run,
    "demo": demo.run,
    "derive": derive.run,
    "recall": recall.run,
    "page": page.run,
    "activitywatch": activitywatch.run,
    "hub": hub.run,
    "search": search.run,
    "meaning": meaning.run,
    "health": health.run,
    "journal": journal.run,
    "coverage": coverage.run,
}
#: A folder of the checkout: what is below /tmp may be in memory, where syncing costs nothing.
SCRATCH = Path(__file__).resolve().parents[2] / "build"


def main() -> None:
    """Run what was asked for; print each result as soon as it is there."""
    parser = argparse.ArgumentParser(prog="tests.bench", description=__doc__)
    parser.add_argument("--only", choices=BENCHES, action="append", help="one of the groups")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, smaller backlog")
    parser.add_argument("--dir", type=Path, default=SCRATCH, help="where to write; default: build")
    options = parser.parse_args()
    # As in the product: what is below the level isn't formatted, let alone printed.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    options.dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.dir) as scratch:
        for name in options.only or BENCHES:
            directory = Path(scratch) / name
            directory.mkdir()
            about = report.machine(directory)
            rows: list[Row] = []
            for row in BENCHES[name](directory, quick=options.quick):
                rows.append(row)
                print(f"{row.name}: {row.value} {row.goal or ''} {row.verdict}", flush=True)
            if not options.quick:
                report.write(name, rows, about)
                print(f"Written to docs/{report.PAGE.name}: {name}", flush=True)


if __name__ == "__main__":
    main()
