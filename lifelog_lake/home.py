"""One device's home directory: where its state lies, and who the device is.

``config.toml`` settings · ``device.json`` identity · ``lake.json`` the lake this home knows ·
``service.json`` what was installed · ``pauses.json`` when the person paused · ``token``,
``password`` and ``tokens.json`` who may use the hub · ``audit.jsonl`` who did · ``spool/`` ·
``index/`` · ``logs/`` · ``run/`` locks and what the processes tell each other.
"""

from __future__ import annotations

import platform
import re
import secrets
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from lifelog_lake import fsio
from lifelog_lake.clock import Clock, SystemClock, iso
from lifelog_lake.config import Settings, default_home, load
from lifelog_lake.errors import SpoolError, UsageError
from lifelog_lake.locks import FileLock

#: What a device id may be: it is part of file names and of the lake's transaction ids.
DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """A home with its settings and device id, as every process of the device opens it."""

    path: Path
    settings: Settings
    device: str

    @property
    def spool(self) -> Path:
        """The durable queue."""
        return self.path / "spool"

    @property
    def logs(self) -> Path:
        """Where logs go unless told otherwise."""
        return self.path / "logs"

    @property
    def run(self) -> Path:
        """Locks and status files."""
        return self.path / "run"

    @property
    def lake_url(self) -> str:
        """Address of the lake: the setting, or ``HOME/lake``."""
        return self.settings.lake.url or str(self.path / "lake")


def open_home(
    path: Path | None = None,
    *,
    flags: dict[str, object] | None = None,
    clock: Clock | None = None,
) -> Home:
    """Open a home, create its directories and give the device its id on first use. Idempotent.

    Raises :class:`UsageError` if the settings are wrong or the directory can't be used.
    """
    root = (path or default_home()).expanduser().absolute()
    if root.exists() and not root.is_dir():
        raise UsageError(
            f"The home {root} is a file, not a directory.",
            hint="Name another one with --home or LIFELOG_HOME.",
            path=str(root),
        )
    settings = load(root, flags)
    try:
        for directory in (root, root / "spool", root / "logs", root / "run"):
            fsio.make_dirs(directory, at="home")
        device = _device_id(root, settings, clock or SystemClock())
    except OSError as error:
        raise UsageError(
            f"The home {root} can't be used: {error.strerror} ({error.filename or root}).",
            hint="Make it writable for you, or name another one with --home or LIFELOG_HOME.",
            path=str(root),
        ) from error
    return Home(path=root, settings=settings, device=device)


def renew_device(home: Home, clock: Clock) -> Home:
    """Give the device of a copied home an id of its own; the home with it. Durable on return.

    Nothing may record on it meanwhile. What waits in its spool is the new device's to ship; see
    :meth:`lifelog_lake.spool.Spool.start_over`.
    """
    lock = FileLock(home.run / "home.lock")
    try:
        with lock:
            _new_device(home.path / "device.json", home.settings, clock, was=home.device)
    finally:
        lock.close()
    return replace(home, device=_device_id(home.path, home.settings, clock))


def _device_id(root: Path, settings: Settings, clock: Clock) -> str:
    path = root / "device.json"
    if not path.exists():
        lock = FileLock(root / "run" / "home.lock")
        try:
            with lock:  # two first processes must agree on one id
                if not path.exists():
                    _new_device(path, settings, clock)
        finally:
            lock.close()
    try:
        device = orjson.loads(path.read_bytes())["device"]
    except (ValueError, KeyError, TypeError) as error:
        raise _broken_id(path, type(error).__name__) from None
    if not isinstance(device, str) or not DEVICE.fullmatch(device):
        raise _broken_id(path, "no usable id in it")
    return device


def _broken_id(path: Path, why: str) -> SpoolError:
    return SpoolError(
        f"{path} doesn't say which device this is: {why}.",
        hint="Restore it from a copy; the id is also the column 'device' of every row in the lake.",
        path=str(path),
    )


def _new_device(path: Path, settings: Settings, clock: Clock, was: str | None = None) -> None:
    name = settings.device.name or platform.node().split(".")[0] or "device"
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "device"
    device = f"{slug}-{secrets.token_hex(3)}"
    content = {"device": device, "created_at": iso(clock.wall_us())}
    if was is not None:
        content["copied_from"] = was
    fsio.write_atomic(path, orjson.dumps(content), at="home")
