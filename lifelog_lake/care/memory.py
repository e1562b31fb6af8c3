"""What a job has seen of each table, so that it needn't look again before something is new.

``control/care/<job>.json``, an index like any other: without it a job looks at every table.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import orjson

from lifelog_lake.lake.store import CONTROL, Store, entry_key, table_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The version up to which nothing is left to do, and when time alone makes that untrue (µs).

    ``unfit`` is why files of it are left out: path -> the tag of their writing, and a sentence.
    """

    version: int
    again_us: int | None = None
    unfit: dict[str, tuple[str, str]] = field(default_factory=dict)


class Memory:
    """The memory of one job of a lake; ``mark`` is the lake's, so a restored one is new."""

    def __init__(self, store: Store, job: str, mark: str) -> None:
        self._store = store
        self._key = f"{CONTROL}/care/{job}.json"
        self._mark = mark
        self._tables = self._read()
        self._kept = dict(self._tables)

    def is_due(self, stream: str, now_us: int) -> bool:
        """Whether there may be something to do; two looks at the store."""
        seen = self._tables.get(stream)
        if seen is None or (seen.again_us is not None and now_us >= seen.again_us):
            return True
        if not self._has(stream, seen.version) or self._has(stream, seen.version + 1):
            return True
        return self.unfit(stream) != seen.unfit

    def unfit(self, stream: str) -> dict[str, tuple[str, str]]:
        """The files that are left out and haven't been written anew since."""
        seen = self._tables.get(stream)
        found = {} if seen is None else seen.unfit
        return {path: why for path, why in found.items() if self.tag(stream, path) == why[0]}

    def tag(self, stream: str, path: str) -> str:
        """The tag of a data file's writing; empty if it is missing."""
        return self._tag(f"{table_key(stream)}/{path}") or ""

    def note(self, stream: str, seen: Seen) -> None:
        """Remember, once it is saved."""
        self._tables[stream] = seen

    def forget(self, stream: str) -> None:
        """Look at a table again the next time."""
        self._tables.pop(stream, None)

    def save(self) -> None:
        """Write it if anything changed; durable."""
        if self._tables == self._kept:
            return
        content = {
            "lake": self._mark,
            "tables": {stream: asdict(seen) for stream, seen in sorted(self._tables.items())},
        }
        self._store.write(self._key, orjson.dumps(content), at="care")
        self._kept = dict(self._tables)

    @property
    def findings(self) -> list[str]:
        """A sentence for each file that is left out."""
        return [
            f"{stream}/{path}: {why}. It is kept as it is and left out of compaction; "
            "restore it from a backup."
            for stream, seen in sorted(self._tables.items())
            for path, (_, why) in sorted(seen.unfit.items())
        ]

    def _has(self, stream: str, version: int) -> bool:
        return self._tag(entry_key(stream, version)) is not None

    def _tag(self, key: str) -> str | None:
        try:
            return self._store.stat(key).tag
        except FileNotFoundError:
            return None

    def _read(self) -> dict[str, Seen]:
        try:
            content = orjson.loads(self._store.read(self._key))
            if content["lake"] != self._mark:
                return {}
            return {
                stream: Seen(
                    version=int(seen["version"]),
                    again_us=None if seen["again_us"] is None else int(seen["again_us"]),
                    unfit={
                        path: (str(tag), str(why)) for path, (tag, why) in seen["unfit"].items()
                    },
                )
                for stream, seen in content["tables"].items()
            }
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            return {}
