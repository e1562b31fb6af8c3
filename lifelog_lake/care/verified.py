"""The result of the last ``lifelog verify``, kept in the lake for the health of its fleet."""

from __future__ import annotations

import orjson

from lifelog_lake.care.facts import VerifyFacts
from lifelog_lake.lake.store import CONTROL, Store
from lifelog_lake.lake.verify import Report

KEY = f"{CONTROL}/care/verify.json"
#: Findings that are kept in words; all are counted.
MOST = 20


def keep(store: Store, report: Report, *, at: int, device: str, read_data: bool) -> None:
    """Replace the result; durable on return.

    Raises :class:`~lifelog_lake.errors.LakeUnreachable` where this device may not write that.
    """
    result = VerifyFacts(
        at=at,
        device=device,
        read_data=read_data,
        count=len(report.findings),
        findings=tuple(f"{one.where}: {one.message}" for one in report.findings[:MOST]),
        rows=report.rows,
        files=report.files,
        blobs=report.blobs,
    )
    store.write(KEY, orjson.dumps(result), at="care")


def last(store: Store) -> VerifyFacts | None:
    """The last result; None if there never was one. Raises ValueError if it can't be read."""
    try:
        content = orjson.loads(store.read(KEY))
    except FileNotFoundError:
        return None
    try:
        return VerifyFacts(**{**content, "findings": tuple(content["findings"])})
    except (TypeError, KeyError) as error:
        raise ValueError(f"{KEY} has another form") from error
