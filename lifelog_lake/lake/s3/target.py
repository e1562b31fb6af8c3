"""A lake in a bucket: a :class:`~lifelog_lake.lake.store.Store`.

An object is whole and durable once its put is answered, so there is nothing to sync or to mend.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, cast

import structlog

from lifelog_lake import config, fsio
from lifelog_lake.beats import while_beating
from lifelog_lake.errors import LakeDenied, LakeRefused, LifelogError
from lifelog_lake.home import Home
from lifelog_lake.lake.blobs import not_what_it_was
from lifelog_lake.lake.s3 import address, probe, upload
from lifelog_lake.lake.s3.client import Client, Taken
from lifelog_lake.lake.s3.reader import open_reader
from lifelog_lake.lake.s3.upload import Memory, Upload
from lifelog_lake.lake.store import LOG, TABLES, Log, Moved, Property, Stat, blob_key, table_key

#: Limits of Delta's engine for its own calls: as ours, see the client. The checksum is what keeps a
#: server from taking a put that was cut behind its head for an empty object (SeaweedFS does), which
#: as a log entry would close the table.
ENGINE = {
    "timeout": "60s",
    "connect_timeout": "10s",
    "max_retries": "4",
    "retry_timeout": "30s",
    "aws_checksum_algorithm": "SHA256",
    "aws_conditional_put": "etag",  # the default, but for a variable in the environment
}

#: Calls of one bulk.
AT_ONCE = 8
#: Uploads that nobody remembers are looked for so often.
REAP_EVERY_S = 86_400.0


def open_s3(url: str, home: Home | None = None) -> S3Target:
    """The lake at an address; nothing is asked of the server yet. Raises :class:`UsageError`."""
    path = config.default_home() if home is None else home.path
    settings = config.load(path) if home is None else home.settings
    where = address.parse(url, settings.lake)
    if where.ca_bundle is not None:
        os.environ["SSL_CERT_FILE"] = where.ca_bundle  # what Delta's engine and polars look at
    return S3Target(
        Client(where, path),
        Memory(path / "run" / "uploads", where.url),
        "anonymous" if home is None else home.device,
    )


class WholeLog:
    """A log of whole and durable objects: nothing is left to do."""

    def mend(self) -> None:
        """A put is there or not, never torn."""

    def keep(self, first: int, last: int) -> None:
        """An answered put is durable."""

    def keep_checkpoint(self, version: int) -> None:
        """An answered put is durable."""


class S3Target:
    """A lake below a prefix of a bucket."""

    def __init__(self, client: Client, memory: Memory, device: str) -> None:
        self._client = client
        self._memory = memory
        self._device = device
        self._address = client.address
        self._streams: set[str] = set()
        self._next_reaping_s = 0.0

    def __repr__(self) -> str:
        return f"S3Target({self.url!r})"

    @property
    def url(self) -> str:
        """``s3://bucket/prefix``."""
        return self._address.url

    @property
    def table_options(self) -> dict[str, str]:
        """For Delta's engine; its puts of log entries are conditional by default."""
        return self.scan_options | ENGINE

    @property
    def scan_options(self) -> dict[str, str]:
        """For polars."""
        keys = self._client.keys
        options = {
            "AWS_ACCESS_KEY_ID": keys.key_id,
            "AWS_SECRET_ACCESS_KEY": keys.secret,
            "AWS_REGION": self._address.region,
        }
        if keys.token is not None:
            options["AWS_SESSION_TOKEN"] = keys.token
        if self._address.endpoint is not None:
            # Both names: a variable of the second would send the log to another server than ours.
            options["AWS_ENDPOINT_URL"] = self._address.endpoint
            options["AWS_ENDPOINT_URL_S3"] = self._address.endpoint
            if self._address.endpoint.startswith("http:"):
                options["AWS_ALLOW_HTTP"] = "true"
        return options

    @property
    def disk(self) -> None:
        """The server's own matter."""

    @property
    def checkpoint_every(self) -> int:
        """Delta's engine asks for each entry since the last one three times when it opens."""
        return 25

    def describe(self) -> str:
        """The server."""
        return self._address.server

    def place(self, key: str) -> Path:
        """Bucket and key."""
        return Path(self._address.bucket, self._address.key(key))

    def table_url(self, stream: str) -> str:
        """The table's address."""
        return f"s3://{self._address.bucket}/{self._address.key(table_key(stream))}"

    def log(self, stream: str) -> Log:
        """Nothing to keep."""
        del stream
        return WholeLog()

    def streams(self) -> list[str]:
        """Tables that have a log; one that was seen is not looked for again."""
        prefix = self._address.key(f"{TABLES}/")
        for page in self._pages(Prefix=prefix, Delimiter="/"):
            for item in page.get("CommonPrefixes", ()):
                stream = item["Prefix"][len(prefix) :].rstrip("/")
                if stream.startswith("_") or stream in self._streams:
                    continue
                if self._has_log(stream):
                    self._streams.add(stream)
        return sorted(self._streams)

    def _has_log(self, stream: str) -> bool:
        prefix = self._address.key(f"{table_key(stream)}/{LOG}/")
        return bool(self._client.call("list_objects_v2", Prefix=prefix, MaxKeys=1).get("Contents"))

    def read(self, key: str) -> bytes:
        """A small object."""
        content: bytes = self._client.call("get_object", key)["Body"]
        return content

    def open(self, key: str) -> BinaryIO:
        """An object, read by ranges."""
        return cast("BinaryIO", open_reader(self._client, key))

    def link(self, key: str, seconds: int, *, media_type: str, disposition: str) -> str | None:
        """An address at which anybody may download an object for a while; None if it isn't there.

        ``disposition`` is what the server answers as Content-Disposition.
        """
        try:
            self.stat(key)
        except FileNotFoundError:
            return None
        return self._client.link(
            key,
            seconds,
            ResponseContentType=media_type,
            ResponseContentDisposition=disposition,
        )

    def stat(self, key: str) -> Stat:
        """Its headers."""
        found = self._client.call("head_object", key)
        return Stat(
            size_bytes=found["ContentLength"],
            modified_s=found["LastModified"].timestamp(),
            tag=f"{found['ETag']} {found['LastModified']}",
            server_date=found.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date"),
        )

    def keys(self, prefix: str) -> Iterator[str]:
        """Page by page, in the order of the server."""
        start = len(self._address.prefix)
        for page in self._pages(Prefix=self._address.key(f"{prefix}/")):
            for item in page.get("Contents", ()):
                yield item["Key"][start:]

    def _pages(self, **words: str) -> Iterator[dict[str, Any]]:
        more: dict[str, str] = {}
        while True:
            page = self._client.call("list_objects_v2", **words, **more)
            yield page
            if not page["IsTruncated"]:
                return
            token = page.get("NextContinuationToken")
            if not token or more.get("ContinuationToken") == token:
                raise LakeRefused(
                    f"{self._address.server} lists without an end.", hint="The server is failing."
                )
            more = {"ContinuationToken": token}

    def write(self, key: str, content: bytes, *, at: str) -> None:
        """One put, proven by its checksum."""
        with fsio.operation(at, "put", self.place(key)):
            self._put(key, content)

    def write_new(self, key: str, content: bytes, *, at: str) -> bool:
        """A conditional put."""
        with fsio.operation(at, "put", self.place(key)):
            return probe.put_new(self._client, key, content)

    def _put(self, key: str, content: bytes, **words: str) -> None:
        answer = self._client.call("put_object", key, Body=content, **words)
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if answer["ETag"].strip('"') != digest and self.read(key) != content:
            raise LakeRefused(
                f"{self._address.server} has other bytes for {key} than it was sent.",
                hint="The server or its disk is failing.",
            )

    def delete(self, key: str, *, at: str) -> None:
        """The hub's right alone."""
        with fsio.operation(at, "delete", self.place(key)):
            self._client.call("delete_object", key)

    def delete_many(self, keys: Sequence[str], *, at: str) -> None:
        """One call each, several at once: not every server takes many keys in one."""
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="delete") as threads:
            list(threads.map(lambda key: self.delete(key, at=at), keys))

    def set_aside(self, key: str, aside: str, *, at: str) -> None:
        """Have the server copy it, then delete it."""
        source = {"Bucket": self._address.bucket, "Key": self._address.key(key)}
        self._client.call("copy_object", aside, CopySource=source)
        self.delete(key, at=at)

    def pace(self, spend: Callable[[int], None]) -> None:
        """For all bodies of calls; what Delta's engine writes itself is little."""
        self._client.spend = spend

    def put_blob(self, source: Path, sha256: str, moved: Moved | None = None) -> bool:
        """One put up to the size of a part, parts beyond it."""
        size_bytes = source.stat().st_size
        if size_bytes <= upload.PART_BYTES:
            content = source.read_bytes()
            if moved is None:
                return self._put_small(content, source, sha256)
            return while_beating(
                lambda: self._put_small(content, source, sha256), lambda: moved(0, size_bytes)
            )
        # One that is remembered was completed perhaps, but never proven: its size says too little.
        if self._memory.recall(sha256) is None:
            try:
                if self.stat(blob_key(sha256)).size_bytes == size_bytes:
                    return False
            except FileNotFoundError:
                pass
        Upload(self._client, self._memory, source, sha256, moved).run()
        return True

    def _put_small(self, content: bytes, source: Path, sha256: str) -> bool:
        if hashlib.sha256(content).hexdigest() != sha256:
            raise not_what_it_was(sha256, source)
        key = blob_key(sha256)
        with fsio.operation("blob.copy", "put", self.place(key)):
            try:
                self._put(key, content, IfNoneMatch="*")
            except Taken:
                found = self._client.call("head_object", key)
                etag = hashlib.md5(content, usedforsecurity=False).hexdigest()
                if found["ContentLength"] == len(content) and (
                    found["ETag"].strip('"') == etag or self.read(key) == content
                ):
                    return False
                self._put(key, content)  # what is there isn't what its name says
        return True

    def give_up_uploads(self, age_s: float, orphan_age_s: float) -> int:
        """Abort them, so that the server needn't keep their parts."""
        old = list(self._memory.old(age_s))
        for sha256, begun in old:
            upload.give_up(self._client, self._memory, sha256, begun)
        if time.monotonic() < self._next_reaping_s:
            return len(old)
        self._next_reaping_s = time.monotonic() + REAP_EVERY_S
        try:
            return len(old) + upload.reap(self._client, orphan_age_s)
        except LakeDenied:  # a device's key: the hub does it
            return len(old)
        except LifelogError as error:  # a server that has no such list; nothing depends on it
            structlog.get_logger().warning("reaping_failed", error=type(error).__name__)
            return len(old)

    def clear_leftovers(self, age_s: float) -> int:
        """A put leaves none; unfinished uploads are given up by themselves."""
        del age_s
        return 0

    def prepare(self) -> None:
        """Nothing else may lie below the prefix, and the server must be fit."""
        start = self._address.prefix
        for page in self._pages(Prefix=start):
            for item in page.get("Contents", ()):
                if not item["Key"].startswith(self._address.key("control/probe/")):
                    raise LakeRefused(
                        f"{self.url} isn't empty and isn't a lake (lake.json is missing).",
                        hint="Choose another prefix, or restore lake.json from a backup.",
                    )
        self.check_in()

    def check_in(self) -> None:
        """Probe; whoever can't keep several writers apart is refused, with the property's name."""
        found = probe.probe(self._client, self._device, denials=False)
        lacking = [item for item in found if item.name in probe.NEEDED and not item.ok]
        if lacking:
            raise LakeRefused(
                f"{self._address.server} isn't fit for several writers of a lake: "
                + "; ".join(f"{item.name}: {item.detail}" for item in lacking)
                + ".",
                hint="docs/s3.md names servers and policies that are; lifelog doctor looks again.",
            )

    def probe(self) -> list[Property]:
        """Try it on the server."""
        return probe.probe(self._client, self._device, denials=True)
