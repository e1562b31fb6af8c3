"""Messages on their way: what they say, and Apprise that carries them."""

from __future__ import annotations

import http.client
import logging
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass

from lifelog_lake.care.health import addresses
from lifelog_lake.care.health.addresses import Address
from lifelog_lake.care.health.model import SEVERITIES, Severity
from lifelog_lake.clock import utc
from lifelog_lake.errors import MissingExtra
from lifelog_lake.events import new_id
from lifelog_lake.home import Home

#: A header that a repeated message shares with the first, where the service has headers.
HEADER = "X-Lifelog-Message"
#: Longest title, and longest sentence of one alert: what a device says of an error may be a page.
MOST_TITLE, MOST_SAID = 150, 500
_TYPES = {"info": "info", "warning": "warning", "critical": "failure"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What a message says of one alert: the row that it tells of. Times in µs since 1970 UTC."""

    id: str
    key: str
    at: int
    state: str
    severity: Severity
    says: str
    hint: str
    since: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message; ``id`` stays the same when it is sent again."""

    id: str
    title: str
    body: str
    type: str = "info"


def compose(id: str, lines: Sequence[Line]) -> Message:
    """One message of all lines: what is open first, the worst before all else."""
    newest: dict[str, Line] = {}
    opened: dict[str, int] = {}
    for line in sorted(lines, key=lambda line: (line.at, line.id)):
        newest[line.key] = line
        if line.state != "resolved":
            opened.setdefault(line.key, line.at)
    open_ = [line for line in newest.values() if line.state != "resolved"]
    over = [line for line in newest.values() if line.state == "resolved"]
    open_.sort(key=lambda line: -SEVERITIES.index(line.severity))
    said = []
    for line in open_:
        since = f" Since {_local(line.since)}." if line.since else ""
        since = "" if line.since and _local(line.since) in line.says else since
        says, hint = _short(line.says, MOST_SAID), _short(line.hint, MOST_SAID)
        said.append(f"[{line.severity}] {says}{since}\n{hint}".rstrip())
    for line in over:
        began = opened.get(line.key)
        when = f"{_local(began)} to {_local(line.at)}" if began else _local(line.at)
        said.append(f"[resolved] {_short(line.says, MOST_SAID)} ({when})")
    said.append(f"lifelog, message {id[-12:]}")
    worst = max((SEVERITIES.index(line.severity) for line in open_), default=0)
    return Message(
        id=id,
        title=_short(_title(open_, over), MOST_TITLE),
        body="\n\n".join(said),
        type=_TYPES[SEVERITIES[worst]] if open_ else "success",
    )


def send(address: Address, message: Message, timeout_s: float) -> str:
    """Send it now. "" if the service took it, else why not, without secrets of the address."""
    try:
        import apprise
    except ModuleNotFoundError as error:
        raise MissingExtra("Sending alerts", "hub") from error
    service = apprise.Apprise.instantiate(address.url, suppress_exceptions=True)
    if service is None:
        return "Apprise doesn't understand this address."
    service.socket_connect_timeout = service.socket_read_timeout = timeout_s
    if isinstance(headers := getattr(service, "headers", None), dict):
        headers[HEADER] = message.id
    heard = _Last()
    logger = logging.getLogger("apprise")
    propagate, logger.propagate = logger.propagate, False  # its words may hold the address
    logger.addHandler(heard)
    try:
        done = service.notify(
            body=_fitting(message, service.body_maxlen, service.title_maxlen),
            title=message.title,
            notify_type=apprise.NotifyType(message.type),
            body_format=apprise.NotifyFormat.TEXT,
        )
    except Exception as error:  # noqa: BLE001 - a plugin of another project: told, and tried again
        return f"Apprise met {type(error).__name__}."
    finally:
        logger.removeHandler(heard)
        logger.propagate = propagate
    return "" if done else address.hide_in(heard.text) or "The service didn't take it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What became of a test message; ``error`` is "" if the address took it."""

    shown: str
    error: str


def try_addresses(home: Home) -> list[Tried]:
    """Send a test message to each address, now and past the outbox.

    Raises :class:`~lifelog_lake.errors.UsageError` if the addresses can't be read.
    """
    message = Message(
        id=new_id(),
        title="lifelog: a test",
        body=f"This is a test by {home.device}. Alerts of lifelog reach you here.",
    )
    timeout_s = home.settings.alerts.timeout_s
    return [
        Tried(shown=address.shown, error=send(address, message, timeout_s))
        for address in addresses.read(home).addresses
    ]


def ping(url: str, timeout_s: float) -> str:
    """Ask a dead man's switch. "" if it answered well, else why not; nothing of the address."""
    request = urllib.request.Request(url, headers={"User-Agent": "lifelog"})  # noqa: S310 - http(s)
    try:
        with urllib.request.urlopen(request, timeout=timeout_s):  # noqa: S310 - checked as a setting
            return ""
    except urllib.error.HTTPError as error:
        error.close()
        return f"it answers {error.code}"
    except (OSError, ValueError, http.client.HTTPException) as error:
        return f"it doesn't answer ({type(error).__name__})"


def _title(open_: Sequence[Line], over: Sequence[Line]) -> str:
    if len(open_) == 1 and not over:
        return f"lifelog: {open_[0].says}"
    if len(over) == 1 and not open_:
        return f"lifelog: resolved: {over[0].says}"
    parts = [f"{len(open_)} open"] if open_ else []
    parts += [f"{len(over)} resolved"] if over else []
    return f"lifelog: {', '.join(parts)}"


def _short(text: str, most: int) -> str:
    """One line of so many characters at most: a line end could begin another header."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _fitting(message: Message, most: int, most_title: int) -> str:
    """As many of the message's parts, the worst first, as a service takes: one that is too long is
    refused for ever, and holds up what comes after it."""
    room = most - (0 if most_title else len(message.title) + 4)  # it stands in the text then
    if len(message.body) <= room:
        return message.body
    *parts, last = message.body.split("\n\n")
    kept: list[str] = []
    room -= len(last) + 64
    while parts and len(parts[0]) + 2 <= room:
        kept.append(parts.pop(0))
        room -= len(kept[-1]) + 2
    return "\n\n".join([*kept, f"… and {len(parts)} more: lifelog alerts list", last])


def _local(us: int) -> str:
    return utc(us).astimezone().strftime("%Y-%m-%d %H:%M")


class _Last(logging.Handler):
    """The last thing that a plugin complained of."""

    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            self.text = record.getMessage()
