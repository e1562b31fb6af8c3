"""All operations at their addresses below ``/lifelog/api``, and their description."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import orjson

from lifelog_lake.server.api import openapi
from lifelog_lake.server.api.access import (
    PasswordHandler,
    RotateHandler,
    TokenHandler,
    TokensHandler,
)
from lifelog_lake.server.api.entries import EventHandler, EventsHandler
from lifelog_lake.server.api.export import ExportHandler
from lifelog_lake.server.api.files import (
    AttachmentHandler,
    AttachmentsHandler,
    AttachmentUploadHandler,
)
from lifelog_lake.server.api.imports import ImportHandler
from lifelog_lake.server.api.ingest import OverlandHandler, OwnTracksHandler, ReadingsHandler
from lifelog_lake.server.api.operation import Answer, ApiHandler, operation
from lifelog_lake.server.api.revisions import HistoryHandler, UndeleteHandler
from lifelog_lake.server.api.settings import AuditHandler, LakeInUseHandler, SettingsHandler
from lifelog_lake.server.blobs import BlobHandler
from lifelog_lake.server.coverage import CoverageHandler
from lifelog_lake.server.health import AlertsHandler, HealthHandler, MetricsHandler
from lifelog_lake.server.search import SearchHandler
from lifelog_lake.server.thumbnails import ThumbnailHandler
from lifelog_lake.server.timeline import LakeHandler, SummaryHandler, TimelineHandler


class OpenApiHandler(ApiHandler):
    """``openapi.json``."""

    @operation(
        "getDescription", "This description.", scopes=("read", "write", "ingest"),
        answers={200: Answer(doc="OpenAPI 3.1.", schema={"type": "object"})},
    )  # fmt: skip
    async def get(self) -> None:
        """Made of what the server checks requests by."""
        self.set_header("Cache-Control", "no-store")
        self.finish(_described())


ROUTES: tuple[tuple[str, type[ApiHandler]], ...] = (
    ("/events", EventsHandler),
    ("/events/{entry_id}", EventHandler),
    ("/events/{entry_id}/history", HistoryHandler),
    ("/events/{entry_id}/undelete", UndeleteHandler),
    ("/events/{entry_id}/attachments", AttachmentsHandler),
    ("/events/{entry_id}/attachments/{name}", AttachmentUploadHandler),
    ("/attachments/{key}", AttachmentHandler),
    ("/blobs/{sha256}", BlobHandler),
    ("/search", SearchHandler),
    ("/export", ExportHandler),
    ("/import", ImportHandler),
    ("/ingest/readings", ReadingsHandler),
    ("/ingest/owntracks", OwnTracksHandler),
    ("/ingest/overland", OverlandHandler),
    ("/auth/token/rotate", RotateHandler),
    ("/auth/tokens", TokensHandler),
    ("/auth/tokens/{token_id}", TokenHandler),
    ("/auth/password", PasswordHandler),
    ("/settings", SettingsHandler),
    ("/settings/lake", LakeInUseHandler),
    ("/audit", AuditHandler),
    ("/timeline", TimelineHandler),
    ("/summary", SummaryHandler),
    ("/coverage", CoverageHandler),
    ("/thumbnails/{sha256}", ThumbnailHandler),
    ("/lake", LakeHandler),
    ("/alerts", AlertsHandler),
    ("/health", HealthHandler),
    ("/metrics", MetricsHandler),
    ("/openapi.json", OpenApiHandler),
)


def handlers() -> list[tuple[Any, ...]]:
    """For the server."""
    return [(_pattern(path), handler) for path, handler in ROUTES]


def _pattern(path: str) -> str:
    parts = re.split(r"\{\w+\}", path)
    return openapi.BASE + "([^/]+)".join(re.escape(part) for part in parts)


@cache
def _described() -> bytes:
    return orjson.dumps(openapi.document(ROUTES))
