"""Logs: JSON lines that say what the program did, and never what it captured.

``setup_logging(home, "ship")`` sends the records of this process to
``HOME/logs/lifelog-ship.jsonl`` (or where ``[log] file`` says; empty = readable lines on stderr).
Each line has ``at`` (RFC 3339, UTC), ``level``, ``event``, ``device``, ``process`` and the fields
that the caller gave.

Captured content and secrets can't get through by mistake, because only known shapes pass:

- ``event`` is a name such as ``not_shipped``, not a sentence; anything else becomes ``unnamed``.
- Fields must be on :data:`NAMES` (one word each), :data:`TEXTS` (our own sentences, short) or
  numbers; all others are dropped, and ``dropped`` counts them.
- An exception of ours gives its message, hint and fields. Of a foreign one only its type passes,
  with the errno of an OSError: its text may quote what was captured. Tracebacks are places in the
  source, without lines of code or values.
- A record of a foreign library gives its logger and place; its text may hold anything.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import stat
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import orjson
import structlog

from lifelog_lake import fsio
from lifelog_lake.errors import LifelogError, UsageError
from lifelog_lake.home import Home
from lifelog_lake.locks import FileLock

MAX_FILE_BYTES = 5 * 2**20
KEPT_FILES = 3
MAX_NAME = 120
MAX_TEXT = 500
MAX_LIST = 32

#: Fields that hold one word: a name, an id, a hash, a time, a version.
NAMES = frozenset(
    {
        *("about_epoch", "blob", "child", "children", "collector", "command", "config_hash"),
        *("device", "epoch", "error_type", "extra", "format", "generation", "id", "kind"),
        *("lake_id", "media_type", "name", "row_id", "setting", "sha256", "signal", "state"),
        *("step", "stream", "streams", "table", "tz", "version"),
    }
)
#: Fields that hold a sentence of ours or a place; secrets in them are blanked.
TEXTS = frozenset({"hint", "home", "message", "path", "reason", "target", "url", "where"})
#: Our own packages: their records pass at the level that was set, others from warning up.
OURS = ("lifelog_lake", "collectors", "flows", "__main__")

_EVENT = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")
_NAME = re.compile(r"[^\s\x00-\x1f\x7f]+")
_KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029\ud800-\udfff]+")
_SECRETS = (
    (re.compile(r"//[^/@\s]+@"), "//…@"),
    (
        re.compile(
            r"(?i)\b([\w-]*(?:token|password|passwd|secret|access_?key|signature))=[^\s&;]+"
        ),
        r"\1=…",
    ),
    (re.compile(r"(?i)\b(authorization:?\s*(?:bearer|token|basic)?)\s+\S+"), r"\1 …"),
)


def setup_logging(home: Home, process: str) -> None:
    """Send this process's logs where the settings say. Call it once; a second call replaces.

    Raises :class:`UsageError` if the file can't be written.
    """
    settings = home.settings.log
    handler: logging.Handler
    if settings.file == "":
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(Lines(home.device, process, console=True))
    else:
        path = home.logs / f"lifelog-{process}.jsonl"
        if settings.file is not None:
            path = Path(settings.file).expanduser().absolute()
        handler = _open_file(path)
        handler.setFormatter(Lines(home.device, process, console=False))
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old.formatter, Lines)]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(max(level, logging.WARNING))
    for name in OURS:
        logging.getLogger(name).setLevel(level)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            _hand_over,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(ignore_frame_names=["lifelog_lake.logs"]),
        cache_logger_on_first_use=False,
    )


def describe(error: BaseException) -> str:
    """An exception in words that may be logged and shown anywhere: never a foreign text."""
    if isinstance(error, LifelogError):
        return _text(str(error))
    if isinstance(error, OSError) and error.errno is not None:
        return f"{type(error).__name__} {errno.errorcode.get(error.errno, error.errno)}"
    return type(error).__name__


def safe(fields: Mapping[str, object]) -> dict[str, object]:
    """The fields that may be logged, and in ``dropped`` how many may not."""
    kept: dict[str, object] = {}
    dropped = 0
    for key, value in fields.items():
        if value is None:
            continue
        passed = _passed(key, value)
        if passed is _NOTHING:
            dropped += 1
        else:
            kept[key] = passed
    if dropped:
        kept["dropped"] = dropped
    return kept


_NOTHING = object()


def _passed(key: str, value: object) -> object:
    if isinstance(value, bool | int | float):
        return value if _KEY.fullmatch(key) else _NOTHING
    if key in TEXTS and isinstance(value, str | Path):
        return _text(str(value))
    if key not in NAMES:
        return _NOTHING
    if isinstance(value, list | tuple | set | frozenset) and len(value) <= MAX_LIST:
        items = [_passed(key, item) for item in value]
        return _NOTHING if _NOTHING in items else items
    if isinstance(value, str) and len(value) <= MAX_NAME and _NAME.fullmatch(value):
        return value
    return _NOTHING


def _text(value: str) -> str:
    value = _CONTROL.sub(" ", value)
    for pattern, replacement in _SECRETS:
        value = pattern.sub(replacement, value)
    return value if len(value) <= MAX_TEXT else f"{value[: MAX_TEXT - 1]}…"


def _error_fields(error: BaseException) -> dict[str, object]:
    """What may be said about an exception and what caused it."""
    fields: dict[str, object] = {"error": type(error).__name__}
    if isinstance(error, LifelogError):
        fields = {**safe(error.fields), **fields, "message": _text(error.message)}
        if error.hint:
            fields["hint"] = _text(error.hint)
    else:
        fields["error"] = describe(error)
    if places := trace(error):
        fields["trace"] = places
    causes: list[str] = []
    cause = error.__cause__ or error.__context__
    while cause is not None and len(causes) < MAX_LIST:
        causes.append(describe(cause))
        cause = cause.__cause__ or cause.__context__
    if causes:
        fields["caused_by"] = causes
    return fields


def trace(error: BaseException) -> list[str]:
    """Where an exception came from, innermost last: places in the source, without values."""
    frames = traceback.extract_tb(error.__traceback__)[-MAX_LIST:]
    return [f"{_source(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]


def _source(filename: str) -> str:
    """A source file without the machine's directories."""
    parts = Path(filename).parts
    for package in OURS:
        if package in parts:
            return "/".join(parts[parts.index(package) :])
    return "/".join(parts[-2:])


def _hand_over(
    logger: logging.Logger, method: str, event: MutableMapping[str, Any]
) -> tuple[tuple[object, ...], dict[str, object]]:
    """End of structlog's chain: the record holds only safe fields, whoever formats it."""
    del logger, method
    name = event.pop("event", "")
    event.pop("positional_args", None)
    error = _exception(event.pop("exc_info", None)) or _exception(event.get("error"))
    if error is not None or isinstance(event.get("error"), BaseException):
        event.pop("error", None)
    fields = safe(event)
    if error is not None:
        fields = {**_error_fields(error), **fields}
    if not (isinstance(name, str) and len(name) <= MAX_NAME and _EVENT.fullmatch(name)):
        name = "unnamed"
    return (Said({"event": name, **fields}),), {}


def _exception(value: object) -> BaseException | None:
    if isinstance(value, BaseException):
        return value
    if isinstance(value, tuple) and len(value) == 3 and isinstance(value[1], BaseException):
        return value[1]
    return sys.exc_info()[1] if value is True else None


class Said(dict[str, object]):
    """The safe fields of one of our records; reads as JSON for any other handler."""

    def __str__(self) -> str:
        return orjson.dumps(self, default=str).decode()


class Lines(logging.Formatter):
    """Writes a record as one line: JSON, or for the console ``time level event key=value``."""

    def __init__(self, device: str, process: str, *, console: bool) -> None:
        super().__init__()
        self._who = {"device": device, "process": process}
        self._console = console

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        at = datetime.fromtimestamp(record.created, UTC)
        fields = dict(record.msg) if isinstance(record.msg, Said) else _foreign(record)
        event = fields.pop("event")
        level = record.levelname.lower()
        if self._console:
            clock = at.astimezone().strftime("%H:%M:%S")
            rest = " ".join(f"{key}={_shown(value)}" for key, value in fields.items())
            return f"{clock} {level:<7} {self._who['process']} {event} {rest}".rstrip()
        stamp = at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        line = {"at": stamp, "level": level, "event": event, **fields, **self._who}
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _foreign(record: logging.LogRecord) -> dict[str, object]:
    fields: dict[str, object] = {
        "event": "foreign",
        "logger": record.name[:MAX_NAME],
        "place": f"{_source(record.pathname)}:{record.lineno}",
    }
    error = _exception(record.exc_info)
    return {**fields, **_error_fields(error)} if error is not None else fields


def _shown(value: object) -> str:
    return orjson.dumps(value, default=str).decode() if not isinstance(value, int) else str(value)


def _open_file(path: Path) -> RotatingLog:
    try:
        fsio.make_dirs(path.parent, at="log")
        return RotatingLog(path)
    except OSError as error:
        raise UsageError(
            f"The log file {path} can't be written: {error.strerror}.",
            hint="Set [log] file (or LOG_FILE) to a writable path, or to nothing for the console.",
            path=str(path),
        ) from None


class RotatingLog(RotatingFileHandler):
    """A rotated log file that several processes may write.

    Each line is one write in append mode. Only one process rotates, under a lock; the others see
    that the name leads to another file and follow.
    """

    def __init__(self, path: Path) -> None:
        self._complained = False
        self._torn = False
        super().__init__(path, maxBytes=MAX_FILE_BYTES, backupCount=KEPT_FILES, encoding="utf-8")

    def _open(self) -> TextIOWrapper:
        fd = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, fsio.PRIVATE_FILE)
        return open(fd, "a", encoding="utf-8", errors="backslashreplace")  # noqa: PTH123 - a fd

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line to the file that has the name now, past all buffers."""
        try:
            self._follow()
            if self.shouldRollover(record):
                self.doRollover()
            line = f"{self.format(record)}\n".encode("utf-8", "backslashreplace")
            if self._torn:  # a full disk took only a part of the line before
                line = b"\n" + line
            assert self.stream is not None
            self._torn = os.write(self.stream.fileno(), line) < len(line)
        except Exception:  # noqa: BLE001 - as logging does: the caller goes on
            self.handleError(record)

    def doRollover(self) -> None:  # noqa: N802 - the name is logging's
        """Rotate, unless another process has just done so."""
        lock = FileLock(Path(self.baseFilename).with_suffix(".lock"))
        try:
            with lock:
                if not self._follow():
                    super().doRollover()
        finally:
            lock.close()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """A full disk must not stop capture: say it once, on stderr, without the record."""
        del record
        error = sys.exc_info()[1]
        if not self._complained and error is not None:
            self._complained = True
            sys.stderr.write(f"lifelog: the log {self.baseFilename} can't be written: ")
            sys.stderr.write(f"{describe(error)}\n")

    def _follow(self) -> bool:
        """Open the file anew if its name leads to another one now; whether it did."""
        if self.stream is None:
            self.stream = self._open()
            return False
        ours = os.fstat(self.stream.fileno())
        if not stat.S_ISREG(ours.st_mode):
            return False
        try:
            named = os.stat(self.baseFilename)
        except FileNotFoundError:
            named = None
        if named is not None and (named.st_dev, named.st_ino) == (ours.st_dev, ours.st_ino):
            return False
        self.stream.close()
        self.stream = self._open()
        return True
