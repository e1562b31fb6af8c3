"""ActivityWatch: windows, presence and web pages, with all of its history, over HTTP.

Buckets are found by their type, whatever their host or browser; a setting names one instead. How a
bucket is read is told in :mod:`collectors.aw_bucket`, how an event becomes rows in
:mod:`collectors.aw_events`, how the server is asked in :mod:`collectors.aw_client`.

The buckets of a stream share the stream's cursor. It goes into the same append as their rows, so a
kill at any moment leaves rows and cursor together, or neither.
"""

from __future__ import annotations

import socket
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from lifelog_lake.clock import US_PER_S
from lifelog_lake.collect.protocol import CollectorSettings, Context
from lifelog_lake.errors import MissingExtra, Transient, Unavailable
from lifelog_lake.events import STREAMS, Event
from lifelog_lake.validate import JSON

if TYPE_CHECKING:  # imported when a collector is made: the supervisor only reads the settings
    from collectors.aw_bucket import BucketReader
    from collectors.aw_client import Bucket

TYPES = {"window": "currentwindow", "afk": "afkstatus", "web": "web.tab.current"}
WATCHERS = {
    "window": "start aw-watcher-window",
    "afk": "start aw-watcher-afk",
    "web": "install ActivityWatch's extension in the browser",
}
#: How long a look reads on while there is history left; beats and stops wait so long.
BUDGET_S = 1.0
#: A server that was there may be silent for so many looks before it counts as gone.
SILENT_LOOKS = 3
MOST_BUCKETS = 100
#: Cursors of a stream, of buckets that are gone too; without one all of a bucket is read again.
MOST_CURSORS = 1_000
#: What coverage says of the time of a page that was left out.
PRIVATE = "a private window of the browser"
#: Separates host and bucket in a cursor; neither can hold it.
BETWEEN = "\x00"

#: Stream and bucket.
Key = tuple[str, str]


class ActivityWatchSettings(CollectorSettings):
    """``[collectors.activitywatch]``."""

    url: str = Field("http://127.0.0.1:5600", description="Where the ActivityWatch server listens.")
    timeout_s: float = Field(10.0, gt=0, le=30, description="Seconds to wait for an answer.")
    streams: tuple[Literal["window", "afk", "web"], ...] = Field(
        ("window", "afk", "web"), description="What is recorded of it."
    )
    min_duration_s: float = Field(
        0.0, ge=0, description="Events that end up shorter are left out; 0 keeps all."
    )
    private_windows: bool = Field(
        False, description="Whether pages seen in a browser's private windows are recorded."
    )
    window_bucket: str = Field(
        "",
        description="The one bucket of windows to read, e.g. aw-watcher-window_{hostname}; "
        "empty = all of their type.",
    )
    afk_bucket: str = Field(
        "",
        description="The one bucket of presence to read, e.g. aw-watcher-afk_{hostname}; "
        "empty = all of its type.",
    )
    web_bucket: str = Field(
        "",
        description="The one bucket of web pages to read, e.g. aw-watcher-web-firefox; "
        "empty = all of their type.",
    )

    @field_validator("url")
    @classmethod
    def _is_http(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("it must begin with http:// or https://")
        urlsplit(value)  # raises it too
        return value


class ActivityWatchCollector:
    """Reads one server. Made anew after a pause and after the server was away."""

    name: ClassVar[str] = "activitywatch"
    streams: ClassVar[tuple[str, ...]] = ("window", "afk", "web")
    Settings: ClassVar[type[CollectorSettings]] = ActivityWatchSettings

    def __init__(self, settings: ActivityWatchSettings, context: Context) -> None:
        """Raises :class:`Unavailable` if no server answers, :class:`MissingExtra` without the
        extra ``device``."""
        try:
            from collectors import aw_bucket, aw_client, aw_events, aw_silence
        except ImportError as error:
            raise MissingExtra("The activitywatch collector", "device") from error
        self._modules = aw_bucket
        self._bad_answer = aw_client.BadAnswer
        self._slicer = aw_events.Slicer
        self._rules = aw_events.Rules(
            min_duration_us=int(settings.min_duration_s * US_PER_S),
            private=settings.private_windows,
        )
        host = socket.gethostname()
        self._named = {
            stream: getattr(settings, f"{stream}_bucket").replace("{hostname}", host)
            for stream in settings.streams
        }
        self._context = context
        self._silence = aw_silence.Silence(context)
        self._silent_streams: set[str] = set()
        self._server = aw_client.Server(settings.url, settings.timeout_s, context.clock)
        #: What was durable of each bucket when this collector was made, then what its reader says.
        self._cursors: dict[str, dict[str, JSON]] = {}
        self._readers: dict[Key, BucketReader] = {}
        self._turns: deque[Key] = deque()
        self._silent = 0
        try:
            self._server.buckets()
        except Transient as error:
            raise _unavailable(error) from error
        for stream in settings.streams:
            cursor = context.cursor(stream)
            self._cursors[stream] = dict(cursor) if isinstance(cursor, dict) else {}

    @classmethod
    def streams_for(cls, settings: ActivityWatchSettings) -> tuple[str, ...]:
        """Those that the person wants."""
        return tuple(stream for stream in cls.streams if stream in settings.streams)

    def poll(self) -> None:
        """Read each bucket once, and on for a second where there is history."""
        troubles: list[str] = []
        try:
            troubles += self._follow(self._server.buckets())
            troubles += self._read()
        except (Unavailable, self._bad_answer) as error:
            self._silent += 1
            if self._silent >= SILENT_LOOKS:
                raise _unavailable(error) from error
            troubles.append(str(error))
        else:
            self._silent = 0
        self._context.trouble(" ".join(troubles))
        self._context.remark(" ".join(filter(None, (r.note for r in self._readers.values()))))
        self._context.progress(*self._history())

    # --- inside -------------------------------------------------------------------------------

    def _follow(self, listed: list[Bucket]) -> list[str]:
        """Make a reader for each bucket that is to be read; what a person should know."""
        notes = []
        readers: dict[Key, BucketReader] = {}
        for stream, named in self._named.items():
            found = [b for b in listed if (b.id == named if named else b.type == TYPES[stream])]
            self._say_if_unseen(stream, found, named)
            if len(found) > MOST_BUCKETS:
                notes.append(f"Of {len(found)} buckets of {stream}, {MOST_BUCKETS} are read.")
            for bucket in found[:MOST_BUCKETS]:
                reader = self._readers.get((stream, bucket.id))
                if reader is None or reader.bucket.host != bucket.host:
                    reader = self._reader(stream, bucket)
                reader.bucket = bucket
                readers[stream, bucket.id] = reader
        kept = [key for key in self._turns if key in readers]
        self._turns = deque([*kept, *(key for key in readers if key not in kept)])
        self._readers = readers
        return notes

    def _say_if_unseen(self, stream: str, found: list[Bucket], named: str) -> None:
        if not found:
            self._context.unseen(stream, _no_bucket(stream, named))
            return
        why = self._silence.of(stream, found, away=self._is_away())
        self._context.unseen(stream, why)
        (self._silent_streams.add if why else self._silent_streams.discard)(stream)

    def _is_away(self) -> bool:
        """Whether the person isn't there: by every bucket of presence that is read and lives."""
        told = [
            reader.newest.get("status")
            for (stream, _), reader in self._readers.items()
            if stream == "afk" and "afk" not in self._silent_streams
        ]
        return bool(told) and "not-afk" not in told

    def _reader(self, stream: str, bucket: Bucket) -> BucketReader:
        name = bucket.host + BETWEEN + bucket.id
        while len(self._cursors[stream]) >= MOST_CURSORS:  # the one that was kept longest
            del self._cursors[stream][next(iter(self._cursors[stream]))]

        def append(rows: list[Event], up_to_here: bool) -> None:
            cursors = self._cursors[stream]
            if up_to_here:
                cursors.pop(name, None)
                cursors[name] = reader.cursor
            if rows:
                self._context.append(rows, dict(cursors) if up_to_here else None)

        reader = self._modules.BucketReader(
            bucket,
            self._server,
            self._slicer(stream, bucket, self._rules),
            self._modules.Sink(
                append=append,
                refuse=lambda payload, error: self._context.refuse(stream, payload, error),
                exclude=lambda start, end: self._context.excluded(stream, start, end, PRIVATE),
            ),
            self._context.clock,
            self._cursors[stream].get(name),
        )
        return reader

    def _read(self) -> list[str]:
        """Give each reader a turn, those first that had none last time; then history by turns."""
        until_s = self._context.clock.monotonic_s() + BUDGET_S
        notes: dict[Key, str] = {}
        round_ = list(self._turns)
        while round_:
            for key in round_:
                self._turn(key, notes)
                self._turns.remove(key)
                self._turns.append(key)
                if self._context.clock.monotonic_s() >= until_s:
                    return list(notes.values())
            round_ = [key for key in self._turns if self._readers[key].behind and key not in notes]
        return list(notes.values())

    def _turn(self, key: Key, notes: dict[Key, str]) -> None:
        reader = self._readers[key]
        try:
            reader.turn()
        except self._bad_answer as error:
            notes[key] = f"The bucket {reader.bucket.id} can't be read now: {error}"
            return
        if key[0] not in self._silent_streams:
            self._context.observed(key[0])

    def _history(self) -> tuple[float | None, str]:
        """How much of the history is read, 0 to 1, and up to when; None when it is done."""
        shares, doing = [], ""
        for (stream, _), reader in self._readers.items():
            if (span := reader.span_ms) is None:
                shares.append(1.0)
                continue
            begin, now, end = span
            shares.append((now - begin) / max(end - begin, 1))
            doing = f"{STREAMS[stream].label} of {datetime.fromtimestamp(now / 1000, UTC):%Y-%m-%d}"
        return (sum(shares) / len(shares), doing) if doing else (None, "")


def _no_bucket(stream: str, named: str) -> str:
    off = "or take it out of [collectors.activitywatch] streams"
    if named:
        return f"ActivityWatch has no bucket '{named}': correct {stream}_bucket {off}"
    return f"ActivityWatch has no bucket of it: {WATCHERS[stream]}, {off}"


def _unavailable(error: Transient) -> Unavailable:
    return error if isinstance(error, Unavailable) else Unavailable(error.message, hint=error.hint)
