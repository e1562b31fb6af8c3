"""Reads an ActivityWatch server over HTTP. What it says is untrusted: it has no authentication.

ActivityWatch's own client isn't used: its requests have no time-outs, its queue drops events, a
second client of the same name ends the process (see docs/adr/006-activitywatch.md).

Every answer has a limit of time and size and is checked before it is used. Two kinds of failure are
told apart: :class:`~lifelog_lake.errors.Unavailable` (nobody answers, or not in time) and
:class:`BadAnswer` (somebody answers, but with something else: an error, HTML, half a JSON).

Times are ms since 1970 UTC, which is as fine as the server keeps the starts of events.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import requests
import urllib3

from lifelog_lake.clock import Clock
from lifelog_lake.errors import Transient, Unavailable
from lifelog_lake.validate import clean_text

MAX_ANSWER_BYTES = 32 * 2**20
#: A whole answer may take so many time-outs of a single read.
WHOLE_ANSWER = 3
MAX_NAME = 200
CHUNK_BYTES = 64 * 1024
#: Longer integers are kept as text: Python refuses to read those of more than 4300 digits at all.
MAX_DIGITS = 300

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class BadAnswer(Transient):
    """The server answered, but not with what was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A bucket as the server lists it. ``updated`` is its word for the end of the last event."""

    id: str
    type: str
    host: str
    updated: str | None


def iso_ms(ms: int) -> str:
    """A time as the server reads it: ``2026-01-02T03:04:05.123Z``."""
    text = (EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


class Server:
    """One ActivityWatch server. Each call is one request; none is repeated."""

    def __init__(self, url: str, timeout_s: float, clock: Clock) -> None:
        self._base = url.rstrip("/")
        #: As it may be told: without a name and a password, which a proxy before it may want.
        self.url = self._base.replace(f"{urlsplit(url).netloc.rpartition('@')[0]}@", "", 1)
        self._timeout_s = timeout_s
        self._clock = clock

    def buckets(self) -> list[Bucket]:
        """All buckets whose names and types can be used."""
        listing = self._get("buckets/")
        if not isinstance(listing, dict):
            raise self._bad("a list of buckets that is none")
        found = []
        for name, about in listing.items():
            if not isinstance(about, dict):
                continue
            type_, host, updated = (about.get(n) for n in ("type", "hostname", "last_updated"))
            if isinstance(type_, str) and _usable(name) and _usable(type_):
                known = isinstance(host, str) and _usable(host)
                found.append(
                    Bucket(
                        id=name, type=type_, host=str(host) if known else "unknown",
                        updated=updated if isinstance(updated, str) else None,
                    )
                )  # fmt: skip
        return sorted(found, key=lambda bucket: bucket.id)

    def events(
        self, bucket: str, *, limit: int, start: int | None = None, end: int | None = None
    ) -> list[object]:
        """At most ``limit`` events that overlap a range, newest first; more are left out at the
        *old* end. The server cuts them to the range: see :mod:`collectors.aw_bucket`."""
        asked: dict[str, str | int] = {"limit": limit}
        if start is not None:
            asked["start"] = iso_ms(start)
        if end is not None:
            asked["end"] = iso_ms(end)
        found = self._get(f"buckets/{quote(bucket, safe='')}/events", asked)
        if not isinstance(found, list) or len(found) > limit:
            raise self._bad("a list of events that is none, or too long")
        return found

    def event(self, bucket: str, id: int) -> object:
        """One event, whole; None if it is gone."""
        try:
            return self._get(f"buckets/{quote(bucket, safe='')}/events/{id}")
        except BadAnswer as error:
            if error.fields.get("status") == 404:
                return None
            raise

    def count(self, bucket: str, *, end: int) -> int:
        """The number of events that start until ``end``; of all, if the server knows no ranges."""
        found = self._get(f"buckets/{quote(bucket, safe='')}/events/count", {"end": iso_ms(end)})
        if isinstance(found, bool) or not isinstance(found, int):
            raise self._bad("a number of events that is none")
        return found

    # --- inside -------------------------------------------------------------------------------

    def _get(self, path: str, asked: dict[str, str | int] | None = None) -> Any:
        until_s = self._clock.monotonic_s() + WHOLE_ANSWER * self._timeout_s
        try:
            with (
                _session() as session,
                session.get(
                    f"{self._base}/api/0/{path}",
                    params=asked,
                    timeout=self._timeout_s,
                    stream=True,
                    allow_redirects=False,  # it must not send us elsewhere
                ) as response,
            ):
                status = response.status_code
                body = self._body(response, until_s)
                kind = response.headers.get("Content-Type", "")
        except (requests.Timeout, urllib3.exceptions.TimeoutError):
            raise self._slow() from None
        except (requests.ConnectionError, urllib3.exceptions.NewConnectionError):
            raise Unavailable(
                f"No ActivityWatch server answers at {self.url}.",
                hint="Start ActivityWatch, set [collectors.activitywatch] url, "
                "or enabled = false there.",
            ) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise self._bad(f"an answer that breaks off ({type(error).__name__})") from None
        if status != 200:
            raise self._bad(f"HTTP {status}", status=status)
        try:
            return json.loads(body, parse_int=_integer)
        except (ValueError, RecursionError):
            what = "HTML" if "html" in kind or body.lstrip()[:1] == b"<" else "what is no JSON"
            raise self._bad(what) from None

    def _body(self, response: requests.Response, until_s: float) -> bytes:
        """The whole body. ``read1`` gives what has come: a server that sends a byte a second
        doesn't hold us longer than the deadline."""
        parts: list[bytes] = []
        size = 0
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise self._bad("packed data, which wasn't asked for")  # may unpack to anything
        while part := response.raw.read1(CHUNK_BYTES, decode_content=False):
            size += len(part)
            if size > MAX_ANSWER_BYTES:
                raise self._bad(f"more than {MAX_ANSWER_BYTES // 2**20} MiB")
            if self._clock.monotonic_s() > until_s:
                raise self._bad(f"more than comes in {WHOLE_ANSWER * self._timeout_s:g} s")
            parts.append(part)
        return b"".join(parts)

    def _slow(self) -> Unavailable:
        return Unavailable(
            f"The ActivityWatch server at {self.url} doesn't answer in time.",
            hint="Look whether it hangs; a slow machine needs a higher "
            "[collectors.activitywatch] timeout_s.",
        )

    def _bad(self, what: str, **fields: object) -> BadAnswer:
        return BadAnswer(
            f"{self.url} answers with {what}.",
            hint="Look whether [collectors.activitywatch] url is ActivityWatch's, and at its log.",
            **fields,
        )


def _session() -> requests.Session:
    """For one request: a connection that was kept may be closed by the other side just when it is
    used again (seen in one of 200), and the server at hand closes each anyway."""
    session = requests.Session()
    session.trust_env = False  # no proxy and no netrc between us and our own machine
    session.headers.update(
        {"Accept": "application/json", "Accept-Encoding": "identity", "Connection": "close"}
    )
    return session


def _usable(word: str) -> bool:
    return 0 < len(word) <= MAX_NAME and clean_text(word)[1] is None


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= MAX_DIGITS else digits
