"""One call to an S3 server: its time limit, its retries, its errors in words of ours.

A call has 60 s, counted anew while bytes move, so that a slow line isn't taken for a dead one. What
may pass is tried again a few times at once; a caller that has all day (the shipper) begins again
later. Keys that are refused are read anew, once a call: they may have been rotated.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    InvalidConfigError,
    InvalidRegionError,
    NoCredentialsError,
    ParamValidationError,
    ProfileNotFound,
)
from fsspec.asyn import sync
from s3fs import S3FileSystem
from tenacity import (
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_after_delay,
    wait_exponential_jitter,
)

from lifelog_lake.errors import (
    ContentRefused,
    LakeDenied,
    LakeRefused,
    LakeUnreachable,
    LifelogError,
)
from lifelog_lake.lake.s3 import credentials
from lifelog_lake.lake.s3.address import Address
from lifelog_lake.lake.s3.credentials import Credentials
from lifelog_lake.lake.s3.session import Elsewhere, Straight

CALL_S = 60.0
CONNECT_S = 10.0
ATTEMPTS = 4
FIRST_WAIT_S = 0.5
#: A call that fails later than this isn't begun again at once.
PATIENCE_S = 30.0
PIECE_BYTES = 64 * 1024
#: Calls of something that may be missing. To the others a 404 only says that this is no place.
_LOOKS = frozenset({
    "abort_multipart_upload", "complete_multipart_upload", "copy_object", "delete_object",
    "get_object",
    "head_bucket", "head_object", "list_parts", "upload_part",
})  # fmt: skip
#: What an answer holds if an S3 server gave it, and not a web page with status 200.
_HOLDS = {
    "create_multipart_upload": {"UploadId"},
    "head_object": {"ContentLength", "ETag", "LastModified"},
    "list_multipart_uploads": {"IsTruncated"},
    "list_objects_v2": {"IsTruncated"},
    "list_parts": {"IsTruncated"},
    "put_object": {"ETag"},
    "upload_part": {"ETag"},
}

_MISSING = frozenset({"NoSuchKey", "NotFound", "NoSuchUpload", "404"})
_TAKEN = frozenset({"PreconditionFailed", "412"})
#: Of the keys, whatever the status: AWS says 400 to a session that has expired.
_KEYS = frozenset({
    "ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch",
    "TokenRefreshRequired",
})  # fmt: skip
_REGION = frozenset({"AuthorizationHeaderMalformed", "IllegalLocationConstraintException"})
_SKEW = frozenset({"RequestTimeTooSkewed"})
_FULL = frozenset({"QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "InsufficientStorage"})
_PASSING = frozenset({
    "BadDigest", "ConditionalRequestConflict", "IncompleteBody", "InternalError",
    "OperationAborted", "RequestTimeout", "RequestTimeoutException", "ServiceUnavailable",
    "SlowDown", "Throttling", "ThrottlingException", "XAmzContentSHA256Mismatch",
})  # fmt: skip


class Unanswered(LakeUnreachable):
    """A call that may succeed at once when it is made again; whether it took effect is unknown."""


class Taken(Exception):
    """A conditional put met an object that is there."""


class Client:
    """Calls one server for one bucket; safe in threads."""

    def __init__(self, address: Address, home: Path) -> None:
        self.address = address
        #: Told of each piece of a body before it goes out; may wait.
        self.spend: Callable[[int], None] | None = None
        self._home = home
        self._lock = threading.Lock()
        self._keys: Credentials | None = None
        self._files: S3FileSystem | None = None

    @property
    def keys(self) -> Credentials:
        """The keys in use."""
        with self._lock:
            if self._keys is None:
                self._keys = credentials.read(self._home, self.address.url)
            return self._keys

    def call(self, method: str, key: str | None = None, **words: Any) -> dict[str, Any]:
        """Call a method of the S3 interface, for an object of the lake or for the bucket.

        ``Body`` is bytes, sent with its MD5: a server that got less refuses it. That of the answer
        is bytes. Raises :class:`FileNotFoundError`, :class:`Taken`, :class:`LakeUnreachable` or
        :class:`ContentRefused`.
        """
        if key is not None:
            words["Key"] = self.address.key(key)
        if "Body" in words and "ContentMD5" not in words:
            digest = hashlib.md5(words["Body"], usedforsecurity=False).digest()
            words["ContentMD5"] = base64.b64encode(digest).decode()
        retrying = Retrying(
            retry=retry_if_exception_type(Unanswered),
            stop=stop_after_attempt(ATTEMPTS) | stop_after_delay(PATIENCE_S),
            wait=wait_exponential_jitter(multiplier=FIRST_WAIT_S, jitter=FIRST_WAIT_S),
            reraise=True,
        )
        answer: dict[str, Any] = retrying(self._call, method, words)
        return answer

    def link(self, key: str, seconds: int, **words: str) -> str:
        """An address that lets anybody get an object for so long, made with the keys in use."""
        keys, address = self.keys, self.address
        style = {} if address.endpoint is None else {"s3": {"addressing_style": "path"}}
        # The file system's own would be of the old kind, which not every server takes.
        signer = botocore.session.Session().create_client(
            "s3",
            region_name=address.region,
            endpoint_url=address.endpoint,
            aws_access_key_id=keys.key_id,
            aws_secret_access_key=keys.secret,
            aws_session_token=keys.token,
            config=Config(signature_version="s3v4", ignore_configured_endpoint_urls=True, **style),
        )
        target = {"Bucket": address.bucket, "Key": address.key(key), **words}
        made: str = signer.generate_presigned_url("get_object", Params=target, ExpiresIn=seconds)
        return made

    def _call(self, method: str, words: dict[str, Any]) -> dict[str, Any]:
        keys = self.keys
        try:
            return self._once(method, words)
        except LakeDenied:
            if not self._have_changed(keys):
                raise
        return self._once(method, words)

    def _have_changed(self, refused: Credentials) -> bool:
        """Read the keys anew; whether there are others now."""
        with self._lock:
            if self._keys == refused:
                self._keys = credentials.read(self._home, self.address.url)
                if self._keys != refused:
                    self._files = None
            return self._keys != refused

    def _once(self, method: str, words: dict[str, Any]) -> dict[str, Any]:
        files = self._opened()
        try:
            answer: dict[str, Any] = sync(
                files.loop, _limited, files, method, self.address, words, self.spend
            )
        except FileNotFoundError as error:
            raise self._translated(method, words, error) from error
        except (OSError, ValueError, BotoCoreError, aiohttp.ClientError, TimeoutError) as error:
            raise self._translated(method, words, error) from None
        if lacking := _HOLDS.get(method, set()) - answer.keys():
            raise LakeRefused(
                f"{self._where} doesn't answer as an S3 server does ({method} without "
                f"{', '.join(sorted(lacking))}).",
                hint=_ENDPOINT,
            )
        return answer

    def _opened(self) -> S3FileSystem:
        keys = self.keys
        with self._lock:
            if self._files is None:
                self._files = _connect(self.address, keys)
            return self._files

    @property
    def _where(self) -> str:
        return f"{self.address.server}, bucket {self.address.bucket}"

    def _translated(
        self, method: str, words: dict[str, Any], error: BaseException
    ) -> BaseException:
        """What went wrong, as one of our errors. The words of a server never go into it."""
        where = self._where
        answered = _answer(error)
        if isinstance(error, Elsewhere):
            return LakeRefused(f"{where} sends us elsewhere ({error}).", hint=_ENDPOINT)
        if answered is None:
            if isinstance(error, _WRONG):
                return LakeRefused(
                    f"A call to {where} can't be made: {type(error).__name__}.",
                    hint="Check [lake] endpoint, region and ca_bundle.",
                )
            return Unanswered(f"{where} doesn't answer: {_reason(error)}.", hint=_WAITS)
        code, status = answered
        if code == "NoSuchBucket":
            return LakeUnreachable(
                f"There is no bucket '{self.address.bucket}' at {self.address.server}.",
                hint="Check [lake] url and endpoint. A new bucket: lifelog init --make-bucket",
            )
        if (code in _MISSING or status == 404) and method in _LOOKS:
            return FileNotFoundError(code)
        if status == 404:
            return LakeUnreachable(f"{where} has no place for {method} ({code}).", hint=_ENDPOINT)
        if (code in _TAKEN or status == 412) and words.keys() & {"IfMatch", "IfNoneMatch"}:
            return Taken(code)
        if code in _REGION:
            return LakeRefused(
                f"{where} isn't in the region '{self.address.region}' ({code}).",
                hint="Set [lake] region to the bucket's.",
            )
        if code in _SKEW:
            return LakeDenied(f"{where} says that this clock is wrong.", hint="Set the clock.")
        if code in _FULL or status == 507 or "Quota" in code:
            return LakeUnreachable(f"{where} is full ({code}).", hint=f"Make room there. {_WAITS}")
        if code in _PASSING or status in {408, 409, 429} or (status >= 500 and status != 501):
            return Unanswered(f"{where} has trouble ({code}, {status}).", hint=_WAITS)
        if code in _KEYS or status in {401, 403}:
            return LakeDenied(
                f"{where} refuses {'this key' if code in _KEYS else method} ({code}).",
                hint="Check the keys and what they may do: docs/s3.md. They are read anew.",
            )
        return ContentRefused(f"{where} refuses {method} ({code}, {status}).", hint=_REFUSED)


#: What is wrong before anything was sent.
_WRONG = (
    ParamValidationError,
    InvalidConfigError,
    InvalidRegionError,
    NoCredentialsError,
    ProfileNotFound,
    ValueError,
)
_WAITS = "It is tried again; the spool keeps everything until then."
_REFUSED = "See the server's log for the reason."
_ENDPOINT = "Check [lake] url, endpoint and region: a web page or another service may answer there."


def _connect(address: Address, keys: Credentials) -> S3FileSystem:
    config: dict[str, Any] = {
        "connect_timeout": CONNECT_S,
        "read_timeout": CALL_S,
        "retries": {"total_max_attempts": 1},
        "max_pool_connections": 16,
        "http_session_cls": Straight,
        # Of endpoints only the one that was looked at in address.py, not one in ~/.aws/config.
        "ignore_configured_endpoint_urls": True,
        # Content-MD5 and the ETag prove what arrived, on every server.
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
    }
    if address.endpoint is not None:
        # The MD5 is signed; a sha256 of the payload as well would only cost time.
        config["s3"] = {"addressing_style": "path", "payload_signing_enabled": False}
    client: dict[str, Any] = {"region_name": address.region}
    if address.ca_bundle is not None:
        client["verify"] = address.ca_bundle
    files = S3FileSystem(
        key=keys.key_id,
        secret=keys.secret,
        token=keys.token,
        endpoint_url=address.endpoint,
        client_kwargs=client,
        config_kwargs=config,
        skip_instance_cache=True,
        use_listings_cache=False,
    )
    files.retries = 1  # tenacity's work, above
    return files


async def _limited(
    files: S3FileSystem,
    method: str,
    address: Address,
    words: dict[str, Any],
    spend: Callable[[int], None] | None,
) -> dict[str, Any]:
    """Call, and read the answer's body; each within its time, as long as nothing moves."""
    content = words.get("Body")
    body = _Moving(content) if content else None
    if body is not None:
        body.spend = spend
    if body is not None:
        words = {**words, "Body": body}
    task = asyncio.ensure_future(files._call_s3(method, Bucket=address.bucket, **words))
    moved = -1
    while not (await asyncio.wait({task}, timeout=CALL_S))[0]:
        if body is None or body.reads == moved:
            task.cancel()
            raise TimeoutError(f"no answer in {CALL_S:g} s")
        moved = body.reads
    answer: dict[str, Any] = task.result()
    if "Body" in answer:
        stream = answer["Body"]
        pieces = []
        while piece := await asyncio.wait_for(stream.read(PIECE_BYTES), CALL_S):
            pieces.append(piece)
        stream.close()
        answer["Body"] = b"".join(pieces)
        if len(answer["Body"]) != answer.get("ContentLength", len(answer["Body"])):
            raise TimeoutError("the answer was cut short")
    return answer


class _Moving(io.BytesIO):
    """Bytes that count how often they were read, and tell how much goes out."""

    reads = 0
    spend: Callable[[int], None] | None = None

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        piece = super().read(size)
        if piece and self.spend is not None:
            self.spend(len(piece))
        return piece


def _causes(error: BaseException, *, context: bool) -> Iterator[BaseException]:
    """An error and what it was made of.

    Its context is an error that was being handled, perhaps of another call: it may give words, but
    never decides what this call has met.
    """
    here: BaseException | None = error
    while here is not None and not isinstance(here, (Taken, LifelogError)):
        yield here
        here = here.__cause__ or (here.__context__ if context else None)


def _answer(error: BaseException) -> tuple[str, int] | None:
    """Code and status, if the server answered at all."""
    for each in _causes(error, context=False):
        if isinstance(each, ClientError):
            code = str(each.response.get("Error", {}).get("Code", ""))
            status = int(each.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            return code, status
    return None


def _reason(error: BaseException) -> str:
    """What broke, without what a server or a proxy said."""
    chain = list(_causes(error, context=True))
    if any(isinstance(each, ssl.SSLCertVerificationError) for each in chain):
        return "its certificate isn't trusted; set [lake] ca_bundle"
    if any(isinstance(each, ssl.SSLError) for each in chain):
        return "it doesn't speak https as it should; check [lake] endpoint and ca_bundle"
    last = next((each for each in chain if isinstance(each, OSError) and each.strerror), chain[-1])
    return (last.strerror if isinstance(last, OSError) else None) or type(last).__name__
