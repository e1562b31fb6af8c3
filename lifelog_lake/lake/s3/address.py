"""Where a bucket is: ``s3://bucket/prefix``, and the endpoint, region and CA bundle beside it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from lifelog_lake.config import LakeSettings
from lifelog_lake.errors import UsageError

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
#: What Delta's engine, polars and every server take alike.
_PREFIX = re.compile(r"[A-Za-z0-9!_.*'()/-]*")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
REGION = "us-east-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A bucket and a prefix in it (empty, or with a slash at its end) on a server."""

    bucket: str
    prefix: str
    endpoint: str | None
    region: str
    ca_bundle: str | None

    @property
    def url(self) -> str:
        """As a person gives it."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def server(self) -> str:
        """What to call the server in a message."""
        return self.endpoint or f"AWS ({self.region})"

    def key(self, key: str) -> str:
        """The object's key in the bucket."""
        return self.prefix + key


def parse(url: str, settings: LakeSettings) -> Address:
    """The address in a URL, with the rest from the settings or ``AWS_*``.

    Raises :class:`UsageError`, also for an endpoint that would send keys over an open network.
    """
    parts = urlsplit(url)
    prefix = parts.path.strip("/")
    if parts.query or parts.fragment or {"@", ":"} & set(parts.netloc):  # keys perhaps: not shown
        raise UsageError(
            "The lake's address holds more than a bucket and a prefix.",
            hint="Write s3://bucket/prefix; see docs/s3.md for where the keys belong.",
        )
    if not _BUCKET.fullmatch(parts.netloc):
        raise UsageError(
            f"'{parts.netloc}' can't be the name of a bucket.", hint="Write s3://bucket/prefix."
        )
    if not _PREFIX.fullmatch(prefix) or "//" in prefix or {".", ".."} & set(prefix.split("/")):
        raise UsageError(
            f"'{prefix}' can't be a lake's prefix in a bucket.",
            hint="Use letters, digits, slashes and - _ . only.",
        )
    return Address(
        bucket=parts.netloc,
        prefix=f"{prefix}/" if prefix else "",
        # The one for S3 alone comes first, as for all programs that know both.
        endpoint=_endpoint(
            settings.endpoint
            or os.environ.get("AWS_ENDPOINT_URL_S3")
            or os.environ.get("AWS_ENDPOINT_URL", ""),
            plain_http=settings.plain_http,
        ),
        region=settings.region
        or os.environ.get("AWS_REGION")
        or os.environ.get("AWS_DEFAULT_REGION")
        or REGION,
        ca_bundle=_ca_bundle(settings.ca_bundle or os.environ.get("AWS_CA_BUNDLE", "")),
    )


def _endpoint(text: str, *, plain_http: bool) -> str | None:
    if not text:
        return None
    hint = "Write it as https://host:port in [lake] endpoint."
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"The endpoint can't be read: {error}.", hint=hint) from None
    if parts.username or parts.password:
        raise UsageError(
            "The endpoint holds a user or a password.",
            hint="See docs/s3.md for where the keys belong.",
        )
    if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment:
        raise UsageError(f"'{text}' is no endpoint.", hint=hint)
    if parts.scheme == "http" and host not in _LOOPBACK and not plain_http:
        raise UsageError(
            f"The endpoint {text} is plain http: everybody on the way could read the lake.",
            hint="Use https (with [lake] ca_bundle for a certificate of your own); http is for "
            "this machine only, or with [lake] plain_http where nobody else listens.",
        )
    return text.rstrip("/")


def _ca_bundle(text: str) -> str | None:
    if not text:
        return None
    path = Path(text).expanduser()
    if not path.is_file():
        raise UsageError(
            f"There is no CA bundle at {path}.", hint="Set [lake] ca_bundle to a PEM file."
        )
    return str(path)
