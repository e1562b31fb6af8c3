"""What an S3 server is able to do, and what this key may do, tried and not believed.

Writes below ``control/probe/``, one object a device. A key that may not delete leaves it there; the
next probe then expects both conditional puts to be refused.
"""

from __future__ import annotations

import contextlib
import secrets
from concurrent.futures import ThreadPoolExecutor

from lifelog_lake.errors import ContentRefused, LakeDenied
from lifelog_lake.lake.s3.client import Client, Taken
from lifelog_lake.lake.store import CONTROL, Property

#: Properties without which several writers would lose or double rows.
NEEDED = frozenset({"conditional put", "read after write", "list", "parts"})


def probe(client: Client, device: str) -> list[Property]:
    """Try everything; raises :class:`~lifelog_lake.errors.LakeUnreachable` if it doesn't answer."""
    key = f"{CONTROL}/probe/{device}"
    return [
        _conditional(client, key),
        _read_back(client, key),
        _list(client, key),
        _parts(client, f"{key}.parts"),
        _delete(client, key),
    ]


def _conditional(client: Client, key: str) -> Property:
    """Exactly one of two conditional puts of one key wins; none if there is an object already."""
    name, promise = "conditional put", "exactly one of two conditional puts of a key wins"
    try:
        before = _content(client, key)
        mine = [secrets.token_bytes(16) for _ in range(2)]
        with ThreadPoolExecutor(2) as threads:
            won = list(threads.map(lambda content: put_new(client, key, content), mine))
        after = _content(client, key)
    except (ContentRefused, LakeDenied) as error:
        return Property(name=name, ok=False, detail=error.message)
    if sum(won) > 1:
        return Property(name=name, ok=False, detail="both of two conditional puts of a key won")
    if before is not None and (sum(won) or after != before):
        return Property(name=name, ok=False, detail="a conditional put replaced an object")
    if before is None and after in mine and not won[mine.index(after)]:
        return Property(name=name, ok=False, detail="a put that was refused took effect")
    if before is None and not any(won) and after is None:
        return Property(name=name, ok=False, detail="both of two conditional puts were refused")
    if any(won) and after != mine[won.index(True)]:
        return Property(name=name, ok=False, detail="a put that won isn't there")
    return Property(name=name, ok=True, detail=promise)


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


def _read_back(client: Client, key: str) -> Property:
    name, promise = "read after write", "a written object is read back whole"
    try:
        content = secrets.token_bytes(16)
        client.call("put_object", f"{key}.read", Body=content)
        same = _content(client, f"{key}.read") == content
    except (ContentRefused, LakeDenied) as error:
        return Property(name=name, ok=False, detail=error.message)
    return Property(name=name, ok=same, detail=promise if same else "another content came back")


def _list(client: Client, key: str) -> Property:
    name, promise = "list", "a written object is in the list at once"
    try:
        prefix = client.address.key(f"{key}.read")
        listed = client.call("list_objects_v2", Prefix=prefix).get("Contents", [])
    except (ContentRefused, LakeDenied) as error:
        return Property(name=name, ok=False, detail=error.message)
    there = any(item["Key"] == prefix for item in listed)
    return Property(name=name, ok=there, detail=promise if there else "it wasn't listed")


def _parts(client: Client, key: str) -> Property:
    """An upload's parts are listed, so that an interrupted one can go on."""
    name, promise = "parts", "the parts of an upload can be listed, so it goes on after a break"
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
    except (ContentRefused, LakeDenied) as error:
        return Property(name=name, ok=False, detail=error.message)
    except FileNotFoundError:
        return Property(name=name, ok=False, detail="an upload that was begun isn't known")
    there = any((p["PartNumber"], p["ETag"]) == (1, part["ETag"]) for p in listed)
    return Property(name=name, ok=there, detail=promise if there else "a part wasn't listed")


def _delete(client: Client, key: str) -> Property:
    """For information: a device's key need not and should not be allowed to."""
    try:
        client.call("delete_object", f"{key}.read")
        client.call("delete_object", key)
    except (LakeDenied, ContentRefused):
        return Property(name="delete", ok=True, detail="this key may not, as a device's should")
    return Property(name="delete", ok=True, detail="this key may: the hub needs it, a device not")
