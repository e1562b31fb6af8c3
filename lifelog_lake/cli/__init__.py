"""The command ``lifelog``: one module a command group, heavy imports only where they are used."""

from __future__ import annotations

import sys


def main() -> int:
    """Entry point of the command; returns its exit code."""
    if sys.argv[1:] == ["--version"]:  # asked by installers and scripts: answered without parsing
        from lifelog_lake import __version__

        sys.stdout.write(f"lifelog {__version__}\n")
        return 0
    from lifelog_lake.cli.app import run

    return run()
