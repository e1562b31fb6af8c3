"""``python -m lifelog_lake`` is the command ``lifelog``."""

from __future__ import annotations

from lifelog_lake.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
