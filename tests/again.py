"""Runs tests that failed beside others once more, alone: ``python -m tests.again EXIT_CODE``.

Beside two thousand others a browser, a sound server or a supervisor may wait for two cores longer
than any test should. So a few failures of tests with several processes are looked at again with the
machine to themselves; both results are in the output, and the second counts. A failure of what is
promised of data (crash, property) or of a single module (unit) is final. See docs/adr.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FAILED = ROOT / ".pytest_cache" / "v" / "cache" / "lastfailed"
SEVERAL_PROCESSES = ("tests/browser/", "tests/integration/", "tests/notebooks/", "tests/contract/")
MOST = 3
#: pytest's exit code for failed tests; any other one is of pytest itself.
TESTS_FAILED = 1


def why_final(code: int, failed: Collection[str]) -> str:
    """Why the first run's result stands; an empty string if its failures are looked at again."""
    if code != TESTS_FAILED or not failed:
        return f"pytest ended with {code}."
    if len(failed) > MOST:
        return f"{len(failed)} tests failed; at most {MOST} are looked at again."
    kept = [name for name in failed if not name.startswith(SEVERAL_PROCESSES)]
    return f"What failed isn't looked at again: {', '.join(kept)}." if kept else ""


def main(code: int) -> int:
    """The exit code that counts."""
    failed = sorted(json.loads(FAILED.read_bytes())) if FAILED.exists() else []
    if why := why_final(code, failed):
        print(why, file=sys.stderr)
        return code
    print(f"Failed beside others, now alone: {', '.join(failed)}", file=sys.stderr)
    return subprocess.run(
        [sys.executable, "-m", "pytest", *failed], cwd=ROOT, check=False
    ).returncode


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1])))
