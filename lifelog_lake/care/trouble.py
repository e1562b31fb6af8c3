"""Trouble in words: one table's is a finding, so that the others get their care all the same; that
of the disk or the server ends a job, to be tried again."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

import pyarrow as pa
from deltalake.exceptions import DeltaError

from lifelog_lake.errors import LakeUnreachable, LifelogError, Locked, Transient
from lifelog_lake.lake.logcheck import first_line, is_panic

NOT_PLAIN = (
    "Another program gave the table features that aren't known here; its files are left as they "
    "are."
)
P = ParamSpec("P")
T = TypeVar("T")
#: As Delta's engine tells what the system said.
_SYSTEM = re.compile(r"\(os error (\d+)\)")


def number_of(error: OSError) -> int | None:
    """What the system said; None if it said nothing: a server's answer, or damaged content."""
    if error.errno is not None:
        return error.errno
    found = _SYSTEM.search(str(error))
    return int(found[1]) if found else None


def worded(run: Callable[P, T]) -> Callable[P, T]:
    """A job whose errors of disk and server are told in words, as those that may pass."""

    @functools.wraps(run)
    def told_run(*words: P.args, **more: P.kwargs) -> T:
        try:
            return run(*words, **more)
        except OSError as error:
            raise passing(error, "The lake") from error

    return told_run


def passing(error: OSError, what: str) -> Transient:
    """An error of the disk or the server in words; ``what`` is what it befell."""
    number = number_of(error)
    if number is None:
        return LakeUnreachable(
            f"{what} can't be reached: {first_line(error)}",
            hint="It is tried again; lifelog doctor looks closer.",
        )
    where = f" ({error.filename})" if error.filename else ""
    room = "Make room on it" if number == errno.ENOSPC else "Check it"
    return Transient(
        f"{what} can't be cared for, the disk says: {os.strerror(number)}{where}.",
        hint=f"{room}; nothing is lost, and it is tried again.",
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
        raise passing(error, f"The table '{stream}'") from error
    except (DeltaError, pa.ArrowException) as error:
        findings.append(_unreadable(stream, error))
    except BaseException as error:
        if not is_panic(error):
            raise
        findings.append(_unreadable(stream, error))


def _unreadable(stream: str, error: BaseException) -> str:
    return f"{stream}: The table can't be read: {first_line(error)}. lifelog verify looks closer."
