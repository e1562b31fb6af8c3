"""Where a lake lies: from an address to its store."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from lifelog_lake.errors import MissingExtra, UsageError
from lifelog_lake.home import Home
from lifelog_lake.lake.local import LocalTarget
from lifelog_lake.lake.store import Store

#: delta-rs takes paths for URLs: tried with 1.6.3, these fail or name another directory.
_UNUSABLE = re.compile(r"[%\[\]^|\\\x00-\x1f\x7f]")
_HINT = "Give a directory, file:///path or s3://bucket/prefix."


def parse_url(url: str, home: Home | None = None) -> Store:
    """The store that an address means. Nothing is opened yet. Raises :class:`UsageError`.

    What an S3 address needs beside itself (endpoint, region, credentials) comes from ``home``, or
    else from the default home's settings and the environment.
    """
    if re.match(r"s3:/(?!/)", url, re.IGNORECASE):  # else a directory named "s3:", in silence
        raise UsageError(f"{url} lacks a slash.", hint=_HINT)
    if "://" not in url and not url.startswith("file:"):
        if not url.strip():
            raise UsageError("The lake's address is empty.", hint=_HINT)
        return _local(url)
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise UsageError(f"The lake's address can't be read: {error}.", hint=_HINT) from None
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost"):
            raise UsageError(
                f"{url} names another machine.", hint="Write file:///path, with three slashes."
            )
        return _local(url2pathname(parts.path))
    if parts.scheme == "s3":
        try:
            from lifelog_lake.lake.s3 import open_s3
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("lifelog_lake"):
                raise
            raise MissingExtra("A lake on S3", "device") from error
        return open_s3(url, home)
    raise UsageError(f"A lake at {parts.scheme}:// isn't offered by this version.", hint=_HINT)


def _local(path: str) -> LocalTarget:
    root = Path(path).expanduser().absolute()
    if found := _UNUSABLE.search(root.as_posix()):
        raise UsageError(
            f"A lake's path can't hold {found[0]!r}.",
            hint="Delta's engine reads such a path as another one; choose a plainer name.",
        )
    return LocalTarget(root)
