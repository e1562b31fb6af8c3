"""Big content in parts: begun once, gone on with after any end of the process, proven at the end.

The upload's id is kept in the home's ``run/uploads``. After a restart the server's list of parts
decides what is finished: a part counts if its size and its ETag, the MD5 that the server made of
what it received, are those of the bytes here. An id that the server no longer knows starts over.

At most four parts are in memory. The content is hashed on its way, so an object is completed only
if the whole is what its name says.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import orjson

from lifelog_lake import fsio
from lifelog_lake.errors import LakeDamaged, LakeUnreachable
from lifelog_lake.lake.blobs import not_what_it_was
from lifelog_lake.lake.s3.client import Client
from lifelog_lake.lake.s3.reader import open_reader
from lifelog_lake.lake.store import BLOBS, Moved, blob_key

PART_BYTES = 8 * 2**20
IN_FLIGHT = 4
MOST_PARTS = 10_000
MIB = 2**20
#: A progress call at least this often, so that a supervisor sees life.
TELL_S = 1.0
#: An id that vanishes while parts are sent is replaced so often within one run.
MOST_STARTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """An upload that the server knows under an id."""

    key: str
    upload_id: str
    part_bytes: int


class Memory:
    """What this home began and hasn't finished: a file an upload, durable."""

    def __init__(self, directory: Path, url: str) -> None:
        self._directory = directory
        self._url = url

    def recall(self, sha256: str) -> Begun | None:
        """The upload of this content into this lake, if one was begun."""
        return self._read(self._directory / f"{sha256}.json")

    def old(self, age_s: float) -> Iterator[tuple[str, Begun]]:
        """Uploads into this lake that were begun so long ago, by their content's hash."""
        for path in sorted(self._directory.glob("*.json")):
            begun = self._read(path)
            if begun is not None and time.time() - path.stat().st_mtime >= age_s:
                yield path.stem, begun

    def remember(self, sha256: str, begun: Begun) -> None:
        """Durable on return."""
        fsio.make_dirs(self._directory, at="blob.copy")
        content = {
            "url": self._url,
            "key": begun.key,
            "upload_id": begun.upload_id,
            "part_bytes": begun.part_bytes,
        }
        fsio.write_atomic(self._directory / f"{sha256}.json", orjson.dumps(content), at="blob.copy")

    def forget(self, sha256: str) -> None:
        """It is finished or given up."""
        fsio.unlink(self._directory / f"{sha256}.json", at="blob.copy")

    def _read(self, path: Path) -> Begun | None:
        try:
            content = orjson.loads(path.read_bytes())
            if content["url"] != self._url:
                return None
            return Begun(
                key=str(content["key"]),
                upload_id=str(content["upload_id"]),
                part_bytes=int(content["part_bytes"]),
            )
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None  # without it the upload starts over, and the server's rules reap the old


def part_bytes(size_bytes: int) -> int:
    """8 MiB, or so much that 10,000 parts hold the whole."""
    least = -(-size_bytes // MOST_PARTS)
    return max(PART_BYTES, -(-least // MIB) * MIB)


def give_up(client: Client, memory: Memory, sha256: str, begun: Begun) -> None:
    """Abort an upload and forget it."""
    try:
        with fsio.operation("blob.copy", "abort", Path(begun.key)):
            client.call("abort_multipart_upload", begun.key, UploadId=begun.upload_id)
    except FileNotFoundError:
        pass
    memory.forget(sha256)


def reap(client: Client, age_s: float) -> int:
    """Abort uploads of anybody's that began so long ago; how many.

    A home that crashed between the begin and its note, or is gone, leaves such. One that is still
    wanted starts over. Raises :class:`~lifelog_lake.errors.LakeDenied` for a key that may not.
    """
    start = len(client.address.prefix)
    reaped = 0
    marks: dict[str, str] = {}
    while True:
        page = client.call(
            "list_multipart_uploads", Prefix=client.address.key(f"{BLOBS}/"), **marks
        )
        for item in page.get("Uploads", ()):
            if time.time() - item["Initiated"].timestamp() < age_s:
                continue
            with contextlib.suppress(FileNotFoundError):
                key = item["Key"][start:]
                client.call("abort_multipart_upload", key, UploadId=item["UploadId"])
                reaped += 1
        before = marks
        marks = {
            mark: page[f"Next{mark}"]
            for mark in ("KeyMarker", "UploadIdMarker")
            if page.get(f"Next{mark}")
        }
        if not page["IsTruncated"] or marks == before:
            return reaped


@dataclass(slots=True)
class Upload:
    """Brings one file. Raises as :meth:`~lifelog_lake.lake.store.Store.put_blob` does."""

    client: Client
    memory: Memory
    source: Path
    sha256: str
    moved: Moved | None
    _key: str = field(init=False)
    _size_bytes: int = field(init=False)
    _there_bytes: int = field(init=False, default=0)

    def run(self) -> None:
        """Begin or go on, send what is missing, complete, prove."""
        self._key = blob_key(self.sha256)
        self._size_bytes = self.source.stat().st_size
        begun = self.memory.recall(self.sha256)
        for _ in range(MOST_STARTS):
            begun = begun or self._begin()
            try:
                parts = self._listed(begun)
                digests, etags = self._send(begun, parts)
                self._complete(begun, etags)
                completed = True
            except FileNotFoundError:
                if not self.source.exists():
                    raise
                # Aborted or expired behind us, or completed by a call whose answer was lost.
                digests, completed = self._digests(begun), False
            if self._is_proven(digests):
                self.memory.forget(self.sha256)
                return
            if completed:
                raise LakeUnreachable(
                    f"The server doesn't have {self._key} as it was sent.",
                    hint="It is sent again; if this repeats, the server or its disk is failing.",
                )
            begun = None  # the note stays until another takes its place: what is there isn't proven
        raise LakeUnreachable(
            f"The upload of {self._key} vanished {MOST_STARTS} times.",
            hint="Does the server abort uploads early? It is tried again.",
        )

    def _begin(self) -> Begun:
        with fsio.operation("blob.copy", "begin", Path(self._key)):
            answer = self.client.call("create_multipart_upload", self._key)
        begun = Begun(
            key=self._key,
            upload_id=answer["UploadId"],
            part_bytes=part_bytes(self._size_bytes),
        )
        self.memory.remember(self.sha256, begun)
        return begun

    def _listed(self, begun: Begun) -> dict[int, tuple[str, int]]:
        """ETag and size of the parts that the server has, by number."""
        found: dict[int, tuple[str, int]] = {}
        marker = 0
        while True:
            answer = self.client.call(
                "list_parts", self._key, UploadId=begun.upload_id, PartNumberMarker=marker
            )
            for part in answer.get("Parts", ()):
                found[part["PartNumber"]] = (part["ETag"].strip('"'), part["Size"])
            before, marker = marker, answer.get("NextPartNumberMarker", 0)
            if not answer["IsTruncated"] or marker <= before:
                return found

    def _send(
        self, begun: Begun, there: dict[int, tuple[str, int]]
    ) -> tuple[list[bytes], dict[int, str]]:
        """Send the parts that are missing; MD5 digests in order, and ETags by number."""
        whole = hashlib.sha256()
        digests: dict[int, bytes] = {}
        etags: dict[int, str] = {}
        on_the_way: dict[Future[tuple[bytes, str]], tuple[int, int]] = {}
        # What is there already counts from the first word on: it tells nothing of the line's speed.
        self._there_bytes = sum(size for _, size in there.values())
        self._tell()

        def collect(most: int) -> None:
            while len(on_the_way) > most:
                done, _ = wait(on_the_way, timeout=TELL_S, return_when=FIRST_COMPLETED)
                for future in done:
                    number, size = on_the_way.pop(future)
                    digests[number], etags[number] = future.result()
                    self._there_bytes += size - there.get(number, ("", 0))[1]
                self._tell()

        with ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="part") as threads:
            try:
                with self.source.open("rb") as file:
                    for number in count(1):
                        collect(IN_FLIGHT - 1)
                        piece = file.read(begun.part_bytes)
                        if not piece:
                            break
                        future = threads.submit(self._bring, begun, number, piece, there)
                        on_the_way[future] = (number, len(piece))
                        whole.update(piece)
                        del piece
                collect(0)
            except BaseException:
                for future in on_the_way:
                    future.cancel()
                raise
        if whole.hexdigest() != self.sha256:
            give_up(self.client, self.memory, self.sha256, begun)
            raise not_what_it_was(self.sha256, self.source)
        return [digests[number] for number in sorted(digests)], etags

    def _bring(
        self, begun: Begun, number: int, piece: bytes, there: dict[int, tuple[str, int]]
    ) -> tuple[bytes, str]:
        """Send a part unless the server has it; its MD5 and ETag."""
        digest = hashlib.md5(piece, usedforsecurity=False).digest()
        if there.get(number) == (digest.hex(), len(piece)):
            return digest, digest.hex()
        with fsio.operation("blob.copy", "part", Path(self._key)):
            answer = self.client.call(
                "upload_part",
                self._key,
                UploadId=begun.upload_id,
                PartNumber=number,
                Body=piece,
                ContentMD5=base64.b64encode(digest).decode(),
            )
        return digest, str(answer["ETag"]).strip('"')

    def _complete(self, begun: Begun, etags: dict[int, str]) -> None:
        parts = [{"PartNumber": n, "ETag": f'"{etags[n]}"'} for n in sorted(etags)]
        with fsio.operation("blob.copy", "complete", Path(self._key)):
            self.client.call(
                "complete_multipart_upload",
                self._key,
                UploadId=begun.upload_id,
                MultipartUpload={"Parts": parts},
            )

    def _digests(self, begun: Begun) -> list[bytes]:
        """MD5 digests of the parts as they are here; none if the whole isn't what its hash says."""
        whole = hashlib.sha256()
        digests = []
        with self.source.open("rb") as file:
            while piece := file.read(begun.part_bytes):
                whole.update(piece)
                digests.append(hashlib.md5(piece, usedforsecurity=False).digest())
                self._tell()
        return digests if whole.hexdigest() == self.sha256 else []

    def _is_proven(self, digests: list[bytes]) -> bool:
        """Whether the whole is there: by the server's own MD5 of the parts' MD5s, or read back."""
        try:
            found = self.client.call("head_object", self._key)
            if found["ContentLength"] != self._size_bytes:
                return False
            made = hashlib.md5(b"".join(digests), usedforsecurity=False).hexdigest()
            if found["ETag"].strip('"') == f"{made}-{len(digests)}":
                return True
            whole = hashlib.sha256()
            with open_reader(self.client, self._key) as file:
                while piece := file.read(PART_BYTES):
                    whole.update(piece)
                    self._tell()  # hours perhaps: a supervisor must see life
        except (FileNotFoundError, LakeDamaged):  # not there, or another shipper writes it just now
            return False
        return whole.hexdigest() == self.sha256

    def _tell(self) -> None:
        if self.moved is not None:
            self.moved(self._there_bytes, self._size_bytes)
