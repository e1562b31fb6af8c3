"""How often the lake refused a content for its own sake: five times, and it goes to quarantine.

Counted in ``run/refused.json``, so that restarts count on. Losing the file only means patience.
"""

from __future__ import annotations

from pathlib import Path

import orjson

from lifelog_lake import fsio

MOST = 5


class Refusals:
    """The counts of one home, by the content's hash."""

    def __init__(self, run: Path) -> None:
        self._path = run / "refused.json"

    def count(self, sha256: str) -> int:
        """Note one refusal more; how many there are now."""
        counts = self._read()
        counts[sha256] = counts.get(sha256, 0) + 1
        self._write(counts)
        return counts[sha256]

    def forget(self, sha256: str) -> None:
        """It was taken, or is in quarantine now."""
        counts = self._read()
        if counts.pop(sha256, None) is not None:
            self._write(counts)

    def _read(self) -> dict[str, int]:
        try:
            return dict(orjson.loads(self._path.read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):
            return {}

    def _write(self, counts: dict[str, int]) -> None:
        fsio.write_atomic(self._path, orjson.dumps(counts), at="refused")
