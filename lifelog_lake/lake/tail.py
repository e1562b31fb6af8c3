"""The end of a table's log: what came after a version, and the next entry, written by ourselves.

Delta's engine only appends and optimises in its own way, so what care commits (files in place of
others, the fence of a vacuum) is an entry of ours: the conditional put of the next version.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import unquote

import orjson

from lifelog_lake import __version__
from lifelog_lake.lake.entries import read_entry
from lifelog_lake.lake.store import Store, entry_key

Action = dict[str, dict[str, object]]
#: What a vacuum writes before it deletes, as other programs do. Whoever decided something on a
#: version before it must not commit after it: the files it counts on may be gone.
FENCE = "VACUUM START"
MOST_CONFLICTS = 50


class Tail:
    """Follows a log from a version on. ``added`` and ``removed`` are paths, unescaped."""

    def __init__(self, store: Store, stream: str, version: int) -> None:
        self.version = version
        self.added: set[str] = set()
        self.removed: set[str] = set()
        #: Whether what was decided on the first version may be wrong by now: columns or rules of
        #: the table changed, or a vacuum began.
        self.closed = False
        self._store = store
        self._stream = stream
        self._log = store.log(stream)

    def follow(self) -> None:
        """Read the entries that came since; they are durable on return."""
        first = self.version + 1
        while (actions := self._read(self.version + 1)) is not None:
            self.version += 1
            self._note(actions)
        self._log.keep(first, self.version)

    def commit(
        self,
        operation: str,
        parameters: Mapping[str, str],
        make: Callable[[], Sequence[Action]],
        *,
        at: str,
        fits: Callable[[], bool],
    ) -> bool:
        """Write the next entry if it ``fits`` what came before it; durable and in force on return.

        Its actions are made just before, so that the times in them are those of the commit. False
        if it doesn't fit, or others were quicker again and again: nothing was changed.
        """
        for _ in range(MOST_CONFLICTS):
            self.follow()
            if not fits():
                return False
            actions = [_info(operation, parameters), *make()]
            content = b"\n".join(orjson.dumps(action) for action in actions)
            key = entry_key(self._stream, self.version + 1)
            if self._store.write_new(key, content, at=at):
                if not is_in_force(self._store, self._stream, self.version + 1):
                    return False
                self.version += 1
                self._note(actions)
                return True
        return False

    def _read(self, version: int) -> list[Action] | None:
        key = entry_key(self._stream, version)
        try:
            return read_entry(self._store.read(key), self._store.place(key))
        except FileNotFoundError:
            return None

    def _note(self, actions: Sequence[Action]) -> None:
        for action in actions:
            for kind, paths in (("add", self.added), ("remove", self.removed)):
                if kind in action:
                    paths.add(unquote(str(action[kind]["path"])))
            fenced = action.get("commitInfo", {}).get("operation") == FENCE
            self.closed |= fenced or "metaData" in action or "protocol" in action


def _info(operation: str, parameters: Mapping[str, str]) -> Action:
    """Who wrote an entry; its id makes the content this writer's own."""
    return {
        "commitInfo": {
            "timestamp": time.time_ns() // 1_000_000,
            "operation": operation,
            "operationParameters": dict(parameters),
            "engineInfo": f"lifelog_lake/{__version__}",
            "txnId": str(uuid.uuid4()),
        }
    }


def is_in_force(store: Store, stream: str, version: int) -> bool:
    """Whether an entry that was just written counts.

    A writer that slept for a week may write a version whose place became free because the log was
    cleaned up: nobody reads an entry behind a checkpoint. The entry before it is gone then, too:
    what it was decided on, so it is older still.
    """
    try:
        store.stat(entry_key(stream, version - 1))
    except FileNotFoundError:
        return False
    return True
