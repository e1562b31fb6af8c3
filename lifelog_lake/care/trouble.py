"""One table's trouble: a finding, so that the other tables get their care all the same."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pyarrow as pa
from deltalake.exceptions import DeltaError

from lifelog_lake.errors import LakeUnreachable, LifelogError, Locked, Transient
from lifelog_lake.lake.logcheck import first_line, is_panic

NOT_PLAIN = (
    "Another program gave the table features that aren't known here; its files are left as they "
    "are."
)


@contextlib.contextmanager
def told(stream: str, findings: list[str]) -> Iterator[None]:
    """Put what is wrong with a table into ``findings``.

    Raises what concerns all of them: :class:`LakeUnreachable`, :class:`Locked` (a lease that was
    lost), and :class:`Transient` for a disk's error.
    """
    try:
        yield
    except (LakeUnreachable, Locked):
        raise
    except LifelogError as error:
        findings.append(f"{stream}: {error}")
    except OSError as error:
        if error.errno is None:  # Delta's engine, at a server
            raise LakeUnreachable(
                f"The table '{stream}' can't be reached: {first_line(error)}",
                hint="It is tried again; lifelog doctor looks closer.",
                stream=stream,
            ) from error
        raise Transient(
            f"Care for '{stream}' failed: {error.strerror} ({error.filename}).",
            hint="Check the lake's disk; nothing is lost, and it is tried again.",
            stream=stream,
        ) from error
    except (DeltaError, pa.ArrowException) as error:
        findings.append(_unreadable(stream, error))
    except BaseException as error:
        if not is_panic(error):
            raise
        findings.append(_unreadable(stream, error))


def _unreadable(stream: str, error: BaseException) -> str:
    return f"{stream}: The table can't be read: {first_line(error)}. lifelog verify looks closer."
