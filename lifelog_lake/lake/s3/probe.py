"""What an S3 server is able to do, and what this key may do, tried and not believed.

Writes below ``control/probe/``, and leaves two small objects a device there: a device may not
delete, and two processes of one device may probe at the same time, so none takes away what another
looks for. Where there is an object already, both conditional puts must be refused.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from lifelog_lake.errors import ContentRefused, LakeDenied
from lifelog_lake.lake.s3.client import Client, Taken
from lifelog_lake.lake.store import CONTROL, Property

READS = 5
#: Properties without which several writers would lose or double rows.
NEEDED = frozenset({"conditional put", "read after write", "list", "parts"})


def probe(client: Client, device: str, *, denials: bool) -> list[Property]:
    """Try everything. A denied call is a lacking property, or without ``denials`` raised: it may
    be granted any time. Raises :class:`~lifelog_lake.errors.LakeUnreachable` for no answer."""
    key = f"{CONTROL}/probe/{device}"
    tolerated = (ContentRefused, LakeDenied) if denials else (ContentRefused,)

    def tried(name: str, promise: str, attempt: Callable[[Client, str], str | None]) -> Property:
        try:
            lack = attempt(client, key)
        except tolerated as error:
            lack = error.message.rstrip(".")
        return Property(name=name, ok=lack is None, detail=lack or promise)

    found = [
        tried("conditional put", "exactly one of two conditional puts of a key wins", _conditional),
        tried("read after write", "a written object is read back whole", _read_back),
        tried("list", "a written object is in the list at once", _list),
        tried("parts", "the parts of an upload can be listed, so it goes on after a break", _parts),
    ]
    return [*found, _delete(client, key)] if denials else found


def _conditional(client: Client, key: str) -> str | None:
    """Exactly one of two conditional puts of one key wins; none if there is an object already."""
    before = _content(client, key)
    mine = [secrets.token_bytes(16) for _ in range(2)]
    with ThreadPoolExecutor(2) as threads:
        won = list(threads.map(lambda content: put_new(client, key, content), mine))
    after = _content(client, key)
    if sum(won) > 1:
        return "both of two conditional puts of a key won"
    if before is not None and (any(won) or after != before):
        return "a conditional put replaced an object"
    if before is None and after in mine and not won[mine.index(after)]:
        return "a put that was refused took effect"
    if before is None and not any(won) and after is None:
        return "both of two conditional puts were refused"
    if any(won) and after != mine[won.index(True)]:
        return "a put that won isn't there"
    return None


def put_new(client: Client, key: str, content: bytes) -> bool:
    """A conditional put; a repetition that meets its own earlier success counts as one."""
    try:
        client.call("put_object", key, Body=content, IfNoneMatch="*")
    except Taken:
        return _content(client, key) == content
    return True


def _content(client: Client, key: str) -> bytes | None:
    try:
        found: bytes = client.call("get_object", key)["Body"]
    except FileNotFoundError:
        return None
    return found


def _read_back(client: Client, key: str) -> str | None:
    for _ in range(READS):  # another process of this device may write between
        content = secrets.token_bytes(16)
        client.call("put_object", f"{key}.read", Body=content)
        if _content(client, f"{key}.read") == content:
            return None
    return "another content came back"


def _list(client: Client, key: str) -> str | None:
    wanted = client.address.key(f"{key}.read")
    listed = client.call("list_objects_v2", Prefix=wanted).get("Contents", [])
    return None if any(item["Key"] == wanted for item in listed) else "it wasn't listed"


def _parts(client: Client, key: str) -> str | None:
    """An upload's parts are listed, so that an interrupted one can go on."""
    key = f"{key}.parts"
    try:
        upload_id = client.call("create_multipart_upload", key)["UploadId"]
        try:
            part = client.call(
                "upload_part", key, UploadId=upload_id, PartNumber=1, Body=b"lifelog"
            )
            listed = client.call("list_parts", key, UploadId=upload_id).get("Parts", [])
        finally:
            with contextlib.suppress(FileNotFoundError, LakeDenied):
                client.call("abort_multipart_upload", key, UploadId=upload_id)
    except FileNotFoundError:
        return "an upload that was begun isn't known"
    there = any((item["PartNumber"], item["ETag"]) == (1, part["ETag"]) for item in listed)
    return None if there else "a part wasn't listed"


def _delete(client: Client, key: str) -> Property:
    """For information: a device's key need not and should not be allowed to."""
    try:
        client.call("put_object", f"{key}.delete", Body=b"")
        client.call("delete_object", f"{key}.delete")
    except (LakeDenied, ContentRefused):
        return Property(name="delete", ok=True, detail="this key may not, as a device's should")
    return Property(name="delete", ok=True, detail="this key may: the hub needs it, a device not")
