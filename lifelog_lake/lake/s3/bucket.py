"""Make the bucket of a lake, for a server that is new."""

from __future__ import annotations

from typing import Any

from lifelog_lake.errors import LifelogError, UsageError
from lifelog_lake.home import Home
from lifelog_lake.lake.s3 import address
from lifelog_lake.lake.s3.client import Client


def make_bucket(url: str, home: Home) -> bool:
    """Make the bucket of ``s3://bucket/prefix``; whether it wasn't there. Safe to repeat.

    Raises :class:`UsageError` for a lake that isn't in a bucket, and as :meth:`Client.call`.
    """
    if not url.lower().startswith("s3://"):
        raise UsageError(f"{url} has no bucket.", hint="Name one: --lake s3://bucket/prefix")
    where = address.parse(url, home.settings.lake)
    client = Client(where, home.path)
    if _is_there(client):
        return False
    words: dict[str, Any] = {}
    if where.region != address.REGION:
        words["CreateBucketConfiguration"] = {"LocationConstraint": where.region}
    try:
        client.call("create_bucket", **words)
    except LifelogError:
        if not _is_there(client):  # somebody else's making, or an answer that was lost
            raise
    return True


def _is_there(client: Client) -> bool:
    try:
        client.call("head_bucket")
    except FileNotFoundError:
        return False
    return True
