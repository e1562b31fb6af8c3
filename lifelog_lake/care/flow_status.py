"""What the flows' process tells of itself: ``run/flows-status.json`` of the home.

It is told through a file because whoever wants to know, a job or a page, should need neither
Prefect nor its server. Whole at any time but not synced: it is no data, and after a power loss the
process writes it anew.
"""

from __future__ import annotations

from pathlib import Path

import orjson

from lifelog_lake.care.facts import FlowFacts, FlowsFacts
from lifelog_lake.fsio import temporary_beside

NAME = "flows-status.json"


def write(run: Path, facts: FlowsFacts) -> None:
    """Replace the file. Raises OSError."""
    temporary = temporary_beside(run / NAME)
    try:
        temporary.write_bytes(orjson.dumps(facts))
        temporary.replace(run / NAME)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def read(run: Path) -> FlowsFacts | None:
    """What it last told; None if it never did, or in another form."""
    try:
        content = orjson.loads((run / NAME).read_bytes())
        flows = tuple(FlowFacts(**flow) for flow in content.pop("flows"))
        return FlowsFacts(**content, flows=flows)
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return None
