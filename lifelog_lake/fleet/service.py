"""A service of the operating system: what is wanted, which files say so, and what happened.

A :class:`Manager` knows one operating system. It changes nothing by itself: it says which files
there should be and which commands start and end the service, so that a dry run shows just what a
real one does. Files are compared with what is there; what is as it should be is left alone.
"""

from __future__ import annotations

import difflib
import os
import re
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from lifelog_lake import fsio
from lifelog_lake.errors import Transient, UsageError
from lifelog_lake.places import shipped

Role = Literal["device", "hub"]

WHAT = {"device": "records this device", "hub": "records, keeps the lake, serves the pages"}
ARGUMENTS = {"device": ("collect",), "hub": ("up", "--no-browser")}
COMMAND_S = 60.0
MODE = 0o644
_PLACE = re.compile(r"@([a-z_]+)@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the service should be. ``home`` and ``python`` are absolute.

    ``headless``: it begins with the machine or the login, not with the graphical session.
    ``activitywatch``: the program to keep alive beside it, None for none; ``activitywatch_url`` is
    where its API is asked.
    """

    role: Role
    home: Path
    python: Path
    headless: bool = False
    activitywatch: Path | None = None
    activitywatch_url: str = "http://127.0.0.1:5600"

    def argv(self) -> tuple[str, ...]:
        """The command line of the service."""
        program = (str(self.python), "-m", "lifelog_lake", "--home", str(self.home))
        return (*program, *ARGUMENTS[self.role])


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFile:
    """A file as it should be: its content, or the relative target of a symbolic link."""

    path: Path
    content: bytes = b""
    link: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program to run. ``may_fail``: it undoes what may not be there. ``again_s``: tried again for
    so long, as what was ended before may take a while."""

    argv: tuple[str, ...]
    may_fail: bool = False
    again_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceState:
    """How the service is. ``active`` is None if the manager can't be asked; ``detail`` is for a
    person; ``hint`` says what to do, empty if there is nothing."""

    name: str
    installed: bool
    active: bool | None = None
    detail: str = ""
    hint: str = ""

    @property
    def words(self) -> str:
        """In a line."""
        if not self.installed:
            return self.hint or "not installed; from each login on: lifelog install"
        return f"{self.name}: {self.detail}" + (f". {self.hint}" if self.hint else "")


class Manager(Protocol):
    """One operating system's way to keep a program running."""

    name: str

    def files(self, wanted: Wanted) -> list[ServiceFile]:
        """Every file that says what is wanted."""

    def owned(self) -> list[Path]:
        """Every path that may be ours, whatever was wanted before."""

    def serves(self) -> Path | None:
        """The home that the service which is installed records into; None without one."""

    def unreachable(self) -> str:
        """Why it can't start anything here and now; empty if it can."""

    def register(self) -> list[Command]:
        """Let the system know of files that have changed."""

    def start(self, *, again: bool) -> list[Command]:
        """Begin; with ``again`` what runs is ended first."""

    def stop(self) -> list[Command]:
        """End, and forget, before the files are removed."""

    def forget(self) -> list[Command]:
        """What is left to do after the files are removed."""

    def state(self) -> ServiceState:
        """How it is now. Never raises for a manager that isn't there."""


# --- files ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One path: what is there (None = nothing) and what should be."""

    before: ServiceFile | None
    after: ServiceFile | None

    @property
    def path(self) -> Path:
        """Where."""
        one = self.after or self.before
        assert one is not None
        return one.path

    def diff(self) -> str:
        """A unified diff; a link is shown as the line ``-> target``."""
        lines = difflib.unified_diff(
            _lines(self.before),
            _lines(self.after),
            str(self.path) if self.before else os.devnull,
            str(self.path) if self.after else os.devnull,
            lineterm="",
        )
        return "\n".join(lines)


def _lines(file: ServiceFile | None) -> list[str]:
    if file is None:
        return []
    if file.link is not None:
        return [f"-> {file.link}"]
    wide = file.content.startswith((b"\xff\xfe", b"\xfe\xff"))
    return file.content.decode("utf-16" if wide else "utf-8", "replace").splitlines()


def changes(manager: Manager, wanted: Wanted | None) -> list[Change]:
    """What differs from what is wanted (None: nothing of ours); removals come last."""
    files = [] if wanted is None else manager.files(wanted)
    paths = {file.path for file in files}
    found = [Change(before=_there(file.path), after=file) for file in files]
    stale = (_there(path) for path in manager.owned() if path not in paths)
    return [change for change in found if change.before != change.after] + [
        Change(before=file, after=None) for file in stale if file is not None
    ]


def _there(path: Path) -> ServiceFile | None:
    try:
        if path.is_symlink():
            return ServiceFile(path=path, link=str(path.readlink()))
        return ServiceFile(path=path, content=path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):  # the latter is told when it is written
        return None
    except IsADirectoryError:
        raise UsageError(
            f"{path} is a directory.", hint="Move it away: the service's file goes there."
        ) from None


def apply(wanted_changes: Iterable[Change]) -> None:
    """Write and remove; each file is whole at any time, and durable on return."""
    for change in wanted_changes:
        try:
            _apply(change.path, change.after)
        except OSError as error:
            raise UsageError(
                f"{error.filename or change.path} can't be changed: {error.strerror or error}.",
                hint="The service's file goes there: see whose it is, and whether it may be "
                "written; then once more.",
            ) from None


def _apply(path: Path, after: ServiceFile | None) -> None:
    if after is None:
        fsio.unlink(path, at="service")
    else:
        fsio.make_dirs(path.parent, at="service", mode=0o755)
        if after.link is not None:
            new = fsio.temporary_beside(path)  # so that two at once don't meet
            new.symlink_to(after.link)
            fsio.rename(new, path, at="service")
        else:
            if path.is_symlink():
                fsio.unlink(path, at="service")
            fsio.write_atomic(path, after.content, at="service", mode=MODE)
    fsio.sync_dir(path.parent, at="service")


def fill(name: str, values: Mapping[str, str]) -> str:
    """A shipped template with its ``@places@`` filled; the values are escaped already."""
    text = (shipped("deploy") / name).read_text("utf-8")
    return _PLACE.sub(lambda match: values[match[1]], text)


def check_path(path: Path) -> None:
    """Refuse what no service file can hold."""
    if any(ord(sign) < 32 for sign in str(path)):
        raise UsageError(
            f"The path {str(path)!r} has a control character in it.",
            hint="Use a directory without one: a service file can't name it.",
        )
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"The path {str(path)!r} isn't UTF-8.",
            hint="Use a directory whose name is: a service file can't name it.",
        ) from None


# --- commands ---------------------------------------------------------------------------------


def run(commands: Sequence[Command]) -> None:
    """Run them one after the other; raises :class:`Transient` with what the first failing says."""
    for command in commands:
        deadline_s = time.monotonic() + command.again_s
        while (said := ask(command.argv)).code and time.monotonic() < deadline_s:
            time.sleep(1.0)
        if said.code and not command.may_fail:
            raise Transient(
                f"`{' '.join(command.argv)}` failed: {said.line}",
                hint="The service's files are written; it begins with the next login.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A command's exit code (127: there is no such program, 124: it took too long) and words."""

    code: int
    text: str

    @property
    def line(self) -> str:
        """The first line, or the code if there are no words."""
        return self.text.partition("\n")[0][:200] or f"exit code {self.code}"


def ask(argv: Sequence[str]) -> Said:
    """Run a short command and take what it says; never raises."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_S,
            check=False,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError as error:
        return Said(code=127, text=f"{argv[0]}: {error.strerror}")
    except subprocess.TimeoutExpired:
        return Said(code=124, text=f"no answer within {COMMAND_S:.0f} s")
    return Said(code=done.returncode, text=done.stdout.decode("utf-8", "replace").strip())
