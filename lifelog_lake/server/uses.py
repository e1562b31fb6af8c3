"""When each token was last used: ``HOME/run/token-uses.json``, ids and µs since 1970 UTC.

The hub alone writes it, at most once a minute and beside its work; so after a crash a time may be
a minute old. It tells a person which token nobody needs any more, and nothing rests on it.
"""

from __future__ import annotations

import threading
from pathlib import Path

import orjson
import structlog

from lifelog_lake import fsio
from lifelog_lake.clock import US_PER_S, Clock, SystemClock

log = structlog.get_logger(__name__)

NAME = "token-uses.json"
EVERY_US = 60 * US_PER_S


class Uses:
    """The uses of a home's tokens. Threads may share one."""

    def __init__(self, home: Path, clock: Clock | None = None) -> None:
        self._path = home / "run" / NAME
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._used = read_uses(home)
        self._kept_at: int | None = None

    def note(self, token_id: str) -> None:
        """A token is used now. Quick; it is kept in a thread of its own, once a minute."""
        now = self._clock.wall_us()
        with self._lock:
            self._used[token_id] = now
            if self._kept_at is not None and abs(now - self._kept_at) < EVERY_US:
                return
            self._kept_at = now
        threading.Thread(target=self._keep, name="token-uses").start()

    def all(self) -> dict[str, int]:
        """The last use of each token that was used, by its id."""
        with self._lock:
            return dict(self._used)

    def _keep(self) -> None:
        try:
            fsio.make_dirs(self._path.parent, at="tokens")
            fsio.write_atomic(self._path, orjson.dumps(self.all()), at="tokens")
        except OSError as error:  # a full disk: requests go on, and it is tried again
            log.warning("token_uses_not_kept", error=error)


def read_uses(home: Path) -> dict[str, int]:
    """What the hub has kept; empty if it kept nothing, or what isn't that."""
    try:
        kept = orjson.loads((home / "run" / NAME).read_bytes())
        return {str(token): int(at) for token, at in kept.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        # It is a help for the eye; a hub that doesn't start for it would be worse.
        log.warning("token_uses_not_read", error=error)
        return {}
