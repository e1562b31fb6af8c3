"""Commands of the person whose JSON lines become events: a source without a line of Python.

What a line may hold is told in :mod:`collectors.lines`, how a command is run in
:mod:`collectors.commands`. A command that fails doesn't stop the others: the state says which one
and why, without a word of what it printed. Without commands there is nothing to do and no process.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints, field_validator

from collectors.commands import Command, Job, of_json
from lifelog_lake.collect.protocol import CollectorSettings, Context

#: Lower case, as the names of environment variables don't tell.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]

#: All commands must be gone, and what they printed taken, in less than a collector has to stop.
STOP_S = 1.5


class ScriptSettings(CollectorSettings):
    """``[collectors.script]``."""

    every_s: float = Field(
        1.0, ge=0.1, le=60, description="Seconds between two looks at what commands have printed."
    )
    commands: dict[Name, Command] = Field(
        default_factory=dict,
        description="A table a command, [collectors.script.commands.NAME]; see docs/collectors.md.",
    )

    @field_validator("commands", mode="before")
    @classmethod
    def _from_environment(cls, value: object) -> object:
        return of_json(value)

    @property
    def look_s(self) -> float:
        """From one end of the slowest command to the next."""
        return max(
            [self.every_s]
            + [
                one.every_s + one.timeout_s
                for one in self.commands.values()
                if not one.keep_running
            ]
        )


class ScriptCollector:
    """Runs the configured commands, each on its own."""

    name: ClassVar[str] = "script"
    streams: ClassVar[tuple[str, ...]] = ()
    Settings: ClassVar[type[CollectorSettings]] = ScriptSettings

    @classmethod
    def streams_for(cls, settings: ScriptSettings) -> tuple[str, ...]:
        """The streams of its commands."""
        return tuple(dict.fromkeys(one.stream for one in settings.commands.values()))

    def __init__(self, settings: ScriptSettings, context: Context) -> None:
        """Starts nothing yet, but says which programs aren't there."""
        self._context = context
        self._longest_s = 2 * settings.every_s
        self._last_s = context.clock.monotonic_s()
        self._jobs = [Job(name, one, context) for name, one in settings.commands.items()]
        self._tell()

    def poll(self) -> None:
        """Start what is due, take what has been printed, end what takes too long."""
        now_s = self._context.clock.monotonic_s()
        passed_s = min(now_s - self._last_s, self._longest_s)
        self._last_s = now_s
        for job in self._jobs:
            if job.look(now_s, passed_s):
                self._context.observed(job.command.stream)
        self._tell()

    def stop(self) -> None:
        """End every command with all that it started, and keep what was printed until then."""
        until_s = self._context.clock.monotonic_s() + STOP_S
        for job in self._jobs:
            job.end()
        for job in self._jobs:
            job.finish(max(0.0, until_s - self._context.clock.monotonic_s()))

    def _tell(self) -> None:
        problems = [job.problem for job in self._jobs if job.problem]
        more = f" And {len(problems) - 1} more." if len(problems) > 1 else ""
        self._context.trouble(problems[0] + more if problems else "")
