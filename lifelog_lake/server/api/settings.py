"""``settings``, ``settings/lake`` and ``audit``: what a person sees of the hub itself."""

from __future__ import annotations

from urllib.parse import urlsplit

from lifelog_lake.config import CONFIG_NAME
from lifelog_lake.errors import LifelogError
from lifelog_lake.home import Home
from lifelog_lake.lake.identity import known_lake, require_known
from lifelog_lake.server.api.limits import limits_json
from lifelog_lake.server.api.operation import Answer, ApiHandler, operation
from lifelog_lake.server.api.settings_models import (
    AuditOut,
    AuditQuery,
    LakeInUseOut,
    SettingsOut,
)
from lifelog_lake.server.api.work import Work
from lifelog_lake.server.secret import read_password


class SettingsHandler(ApiHandler):
    """``settings``."""

    @operation(
        "getSettings", "The limits in use, and what opens the login.", scopes=(),
        answers={200: Answer(doc="Never a secret.", schema=SettingsOut)},
    )  # fmt: skip
    async def get(self) -> None:
        """Where each limit comes from, and what config.toml says for the next start."""
        home = self.work.home
        found = await self.work.run(limits_json, home, self.work.limits)
        _ = self.xsrf_token  # sets its cookie, which a browser needs to change anything
        self.answer({**found, "file": str(home.path / CONFIG_NAME), "login": _login(home)})


class LakeInUseHandler(ApiHandler):
    """``settings/lake``."""

    @operation(
        "getLakeInUse", "The lake in use, and whether it can be reached now.", scopes=(),
        answers={200: Answer(doc="Never a secret.", schema=LakeInUseOut)},
    )  # fmt: skip
    async def get(self) -> None:
        """It is looked at anew; what its server doesn't answer takes a while."""
        self.answer(await self.reader.run(_look, self.work))


class AuditHandler(ApiHandler):
    """``audit``."""

    @operation(
        "listAudit", "Who changed, exported or opened what, newest first.", scopes=(),
        query=AuditQuery, answers={200: Answer(doc="The newest lines.", schema=AuditOut)},
    )  # fmt: skip
    async def get(self) -> None:
        """Ids and counts, never content; all of it is in audit.jsonl of the home."""
        asked: AuditQuery = self.arguments
        self.answer({"lines": await self.work.run(self.work.audited, asked.limit)})


def _login(home: Home) -> str:
    """What opens it: ``settings`` (a hash there), ``password``, or else the ``token``."""
    if home.settings.server.password_hash:
        return "settings"
    return "password" if read_password(home.path) else "token"


def _look(work: Work) -> dict[str, object]:
    names = ("url", "place", "bucket", "prefix", "lake_id", "generation", "format", "created_at")
    found: dict[str, object] = dict.fromkeys((*names, "error", "hint"))
    try:
        found |= {"lake_id": known_lake(work.home)}
        store = work.store
        found |= {"url": store.url}
        if store.disk is None:
            parts = urlsplit(store.url)
            found |= {"bucket": parts.netloc, "prefix": parts.path.strip("/")}
        identity = require_known(work.home, store)
        found |= {"place": store.describe()}
    except LifelogError as error:
        return found | {"reachable": False, "error": error.message, "hint": error.hint}
    return found | {
        "reachable": True,
        "lake_id": identity.lake_id,
        "generation": identity.generation,
        "format": identity.format,
        "created_at": identity.created_at,
    }
