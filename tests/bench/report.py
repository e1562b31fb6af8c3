"""The tables: printed, and kept in docs/benchmarks.md, each group's between its two marks."""

from __future__ import annotations

import os
import platform
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from lifelog_lake.lake.local import file_system
from tests.bench.pairs import Row

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
PACKAGES = ("deltalake", "pyarrow", "orjson", "numpy", "mss")


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    lines = [
        "| ours / baseline | ours | baseline | result | goal | |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.name} | {row.ours} | {row.base} | {row.value} | {row.goal or ''} | {row.verdict} |"
        for row in rows
    ]
    return "\n".join(lines)


def machine(directory: Path) -> str:
    """What it was measured on; ``directory`` is where the files were written."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC: {_cpu()}, {os.cpu_count()} cores, "
        f"{platform.system()} {platform.release()}, {file_system(directory)}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {packages}. "
        f"Load average at the start: {load}."
    )


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def write(group: str, rows: Sequence[Row], about: str) -> None:
    """Put a group's table between its marks; the text around it stays."""
    begin, end = (f"<!-- bench {group}: {which} -->" for which in ("begin", "end"))
    head, found, rest = PAGE.read_text("utf-8").partition(begin)
    _, ended, tail = rest.partition(end)
    if not found or not ended:
        raise SystemExit(f"{PAGE.name} lacks the marks {begin} and {end}.")
    PAGE.write_text(f"{head}{begin}\n{about}\n\n{table(rows)}\n{end}{tail}", "utf-8")
