"""What every collector promises, as tests: a collector of yours runs them in 20 lines.

Subclass :class:`CollectorContract` in a test file under a name that begins with ``Test``, name the
collector, and say how its source gives an event and goes away::

    class TestBattery(CollectorContract):
        collector = Battery

        def give(self): ...           # make the source give one more event
        def take_away(self): ...      # optional: the source is gone …
        def bring_back(self): ...     # … and there again

pytest makes a new object for each test; fixtures of the class (``autouse=True``) prepare the
source. Each test has a home of its own with a real spool and drives the collector by the same loop
that its process has. ``docs/collectors.md`` shows a whole example. This module doesn't import
pytest.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import requires
from pathlib import Path
from typing import Any, ClassVar
from unittest import SkipTest

from pydantic import ValidationError

from lifelog_lake import config
from lifelog_lake.beats import State
from lifelog_lake.clock import SystemClock
from lifelog_lake.collect import registry
from lifelog_lake.collect.protocol import CollectorSettings, streams_of
from lifelog_lake.collect.rig import Held, Rig, logging_of, until_let_go
from lifelog_lake.events import STREAMS, Event, is_pulled, new_event
from lifelog_lake.pause import clear_pause, set_pause
from lifelog_lake.spool import Record
from lifelog_lake.validate import REPAIRED

#: Shorter words may be in a log by chance.
LEAST_WORD = 5
LATEST_US = 86_400 * 1_000_000


class CollectorContract:
    """See the module."""

    #: The class under test. It must be importable by its module's name.
    collector: ClassVar[type[Any]]
    #: Its settings, as in ``[collectors.NAME]``. A fixture may set them on the object.
    settings: Mapping[str, object] = {}
    #: Its state while the source is gone: "error" for one that tells ``trouble`` and goes on.
    gone: State = "unavailable"
    #: Packages that its module may import although they aren't of the base installation.
    imports: frozenset[str] = frozenset()
    #: Words of what it captures that must not be in a log, beyond text columns.
    content: Sequence[str] = ()
    #: How long a wait may take.
    within_s = 60.0

    # What only the collector's author can say. `give` is always needed; `bring_back` only beside
    # `take_away`, without which the tests of an absent source are skipped by name.

    def give(self) -> None:
        """Make the source give at least one more event."""
        # For the author of a collector: no test can do without it, and none can guess it.
        raise NotImplementedError("say how the source gives an event: def give(self)")

    def take_away(self) -> None:
        """Make the source unavailable."""
        raise SkipTest("no take_away: how the source goes away isn't said")

    def bring_back(self) -> None:
        """Make the source available again."""
        # Reached only by who says how the source goes away, and must say the other half.
        raise NotImplementedError("say how the source comes back: def bring_back(self)")

    # --- what it is ---------------------------------------------------------------------------

    def test_it_says_what_it_is(self) -> None:
        """Name and streams can be used."""
        cls = self.collector
        assert re.fullmatch(r"[a-z][a-z0-9_]{0,39}", cls.name), "name: small letters, digits, _"
        streams = streams_of(cls, self._checked())
        assert streams, "streams: name at least one"
        for stream in streams:
            assert stream in STREAMS, f"there is no stream {stream!r}: {', '.join(STREAMS)}"
            assert stream not in {"pulse", "lifecycle", "alert"}, f"{stream} isn't a collector's"

    def test_its_entry_point_gives_it(self) -> None:
        """Its distribution is installed and names it."""
        name = self.collector.name
        assert name in registry.names(), f"no entry point {name!r} in the group {registry.GROUP}"
        assert registry.load(name) is self.collector, "the entry point gives another class"

    def test_its_settings_are_strict_and_described(self) -> None:
        """Defaults that work, nothing unknown taken, each with its meaning."""
        model = self.collector.Settings
        assert issubclass(model, CollectorSettings), "Settings: subclass CollectorSettings"
        assert model() == model(), "Settings() must work: give each setting a default"
        for name, field in model.model_fields.items():
            assert field.description, f"the setting {name} has no description"
        assert f"[collectors.{self.collector.name}]" in config.default_toml(
            {self.collector.name: model}
        )
        _refuses(lambda: model(no_such_setting=1), "an unknown setting is taken")
        _refuses(lambda: setattr(model(), "every_s", 1.0), "settings can be changed")

    def test_importing_it_is_cheap(self) -> None:
        """The supervisor imports each collector; heavy libraries come when one is made."""
        module = self.collector.__module__
        code = (
            "import json, sys, lifelog_lake.collect.child\nbefore = set(sys.modules)\n"
            f"import {module}\nprint(json.dumps(sorted(set(sys.modules) - before)))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{module} can't be imported alone: {done.stderr[-500:]}"
        roots = {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}
        own = {module.partition(".")[0], "lifelog_lake"}
        heavy = roots - set(sys.stdlib_module_names) - _base() - own - self.imports
        assert not heavy, f"import in __init__, not at the top: {', '.join(sorted(heavy))}"

    # --- what it gives ------------------------------------------------------------------------

    def test_its_events_are_valid_and_durable(self, tmp_path: Path) -> None:
        """Rows of its own streams only, readable from the disk as they were given."""
        with self._running(tmp_path) as rig:
            self.give()
            rig.until_rows()
            rig.until_observed()
            assert set(rig.runner.beat.observed) <= set(rig.streams), "observed() of a foreign one"
            assert rig.runner.beat.errors == 0, "an error was counted"
            rig.runner.stop()
            known: set[str] = set()
            records = rig.records()
            assert len(records) == len(rig.spool.events), "not all rows are on the disk"
            for stream, record in records:
                assert stream in rig.streams, f"a row of {stream}, which isn't among its streams"
                self._check_row(stream, record, known)
            ids = [record.fields["id"] for _, record in records]
            assert len(ids) == len(set(ids)), "an id was given twice"
            for event in rig.spool.events:
                if event.source is not None:
                    with event.source.open() as content:
                        digest = hashlib.sha256(content.read()).hexdigest()
                    assert list(rig.home.spool.glob(f"{event.stream}/*/blobs/*-{digest}"))

    def test_a_look_fits_into_its_interval(self, tmp_path: Path) -> None:
        """``poll`` mustn't hold up the loop, whose beats say that it lives."""
        with self._running(tmp_path) as rig:
            rig.until_observed()
            collector = rig.make()
            took_s = []
            for _ in range(3):
                begin_s = time.monotonic()
                collector.poll()
                took_s.append(time.monotonic() - begin_s)
            _stop(collector)
            every_s = self._checked().every_s
            assert min(took_s) < every_s, f"{min(took_s):.2f} s of {every_s:g} s, at best"

    def test_nothing_is_doubled_by_a_restart(self, tmp_path: Path) -> None:
        """Neither in order nor after a kill; a cursor commits with the rows it belongs to."""
        with self._running(tmp_path) as rig:
            self.give()
            rig.until_rows()
            rig.runner.stop()
            for end in (rig.kill, rig.runner.stop):
                rig.start()
                rig.until_observed()
                rig.until_observed()
                end()
            with_cursor = {
                one.events[0].stream for one in rig.spool.appends if one.cursor is not None
            }
            seen: set[str] = set()
            places: dict[str, str] = {}
            for one in rig.spool.appends:
                for event in one.events:
                    if not is_pulled(event.id):
                        assert event.id not in seen, "an id was given twice"
                    elif event.stream in with_cursor:
                        assert one.cursor is not None, "pulled rows without the cursor's move"
                        assert event.id not in seen, "a row was pulled twice in spite of a cursor"
                    seen.add(event.id)
                    if is_pulled(event.id):
                        place = repr((event.stream, event.at, event.data))
                        assert places.setdefault(place, event.id) == event.id, "two ids of one row"

    def test_a_source_read_again_gives_the_same_ids(self, tmp_path: Path) -> None:
        """A wiped spool: the lake leaves out what it has, by the ids."""
        self.give()
        with self._running(tmp_path / "first") as rig:
            rig.until_rows()
            rig.runner.stop()
            pulled = {event.id for event in rig.spool.events if is_pulled(event.id)}
        if not pulled:  # its rows are made here: each has an id of its own
            return
        with self._running(tmp_path / "second") as rig:
            rig.until(lambda: pulled <= {event.id for event in rig.spool.events}, "the same ids")

    # --- when the source goes -----------------------------------------------------------------

    def test_a_source_that_goes_is_told_and_found_again(self, tmp_path: Path) -> None:
        """By ``Unavailable`` (or ``trouble``) with a remedy; any other exception fails here."""
        with self._running(tmp_path) as rig:
            rig.until_observed()
            self.take_away()
            reason = rig.until_state(self.gone)
            assert reason.count(".") > 1, f"no remedy: give a hint. It says: {reason}"
            self.bring_back()
            rig.until_state("running")
            rig.until_observed()
            self.give()
            rig.until_rows()

    def test_it_starts_without_its_source(self, tmp_path: Path) -> None:
        """The source isn't there yet, and comes later."""
        self.take_away()
        with self._running(tmp_path) as rig:
            rig.until_state(self.gone)
            rig.until(lambda: True, "another try")
            assert rig.runner.beat.state == self.gone
            self.bring_back()
            rig.until_state("running")
            self.give()
            rig.until_rows()

    # --- when it ends -------------------------------------------------------------------------

    def test_stop_lets_everything_go(self, tmp_path: Path) -> None:
        """Threads, files, sockets and processes don't add up over its lives."""
        with self._running(tmp_path) as rig:
            self.give()
            rig.until_rows()  # libraries are loaded, the spool is open
            rig.runner.stop()
            before = Held.now()
            for _ in range(2):
                rig.start()
                rig.until_observed()
                rig.runner.stop()
            until_let_go(before)

    def test_it_can_be_stopped_twice(self, tmp_path: Path) -> None:
        """And at once after it was made."""
        with self._running(tmp_path) as rig:
            for looks in (0, 1):
                collector = rig.make()
                for _ in range(looks):
                    collector.poll()
                _stop(collector)
                _stop(collector)

    def test_a_pause_lets_go_and_it_goes_on(self, tmp_path: Path) -> None:
        """Nothing is captured in a pause, and the source is found again after it."""
        with self._running(tmp_path) as rig:
            self.give()
            rig.until_rows()
            rig.runner.stop()
            before = Held.now()
            rig.start()
            rig.until_observed()
            set_pause(rig.home.path, SystemClock())
            rig.until_state("paused")
            until_let_go(before)
            rows = len(rig.spool.events)
            for _ in range(3):
                rig.until(lambda: True, "a turn")
            assert len(rig.spool.events) == rows, "rows of a pause"
            clear_pause(rig.home.path, SystemClock())
            rig.until_observed()
            self.give()
            rig.until_rows()

    def test_its_logs_hold_nothing_captured(self, tmp_path: Path) -> None:
        """Neither logs, nor what it prints, nor reasons quote the source."""
        printed = io.StringIO()
        with self._running(tmp_path) as rig, logging_of(rig.home, self.collector.name, printed):
            rig.start()  # its logger is made anew
            self.give()
            rig.until_rows()
            reasons = [rig.runner.beat.reason]
            with contextlib.suppress(SkipTest):
                self.take_away()
                reasons.append(rig.until_state(self.gone))
                self.bring_back()
                rig.until_state("running")
            rig.runner.stop()
            words = {word for event in rig.spool.events for word in _words(event)} | {*self.content}
            logs = [path.read_text("utf-8") for path in rig.home.logs.iterdir()]
        told = "\n".join([*logs, printed.getvalue(), *reasons])
        if not words:
            raise SkipTest("it captures no text; name words that it must not log in `content`")
        assert not [word for word in words if word in told], "what was captured is in the logs"

    # --- inside -------------------------------------------------------------------------------

    def _checked(self) -> CollectorSettings:
        checked: CollectorSettings = self.collector.Settings(**self.settings)
        return checked

    @contextlib.contextmanager
    def _running(self, path: Path) -> Iterator[Rig]:
        rig = Rig(self.collector, self._checked(), path, self.within_s)
        try:
            yield rig
        finally:
            rig.runner.stop()

    @staticmethod
    def _check_row(stream: str, record: Record, known: set[str]) -> None:
        fields = dict(record.fields)
        data, extra = fields.pop("data"), fields.pop("extra", None)
        again = new_event(stream, data=data, extra=extra, **fields)
        assert again.data == data, f"a row of {stream} isn't clean"
        assert REPAIRED not in (extra or {}), f"a row of {stream} was repaired: {extra[REPAIRED]}"
        assert fields["at"] <= SystemClock().wall_us() + LATEST_US, "a row of the future"
        assert "cont" not in fields or fields["cont"] in known, "a slice before its first"
        known.add(fields["id"])


def _refuses(action: Callable[[], object], otherwise: str) -> None:
    try:
        action()
    except ValidationError:
        return
    raise AssertionError(otherwise)


def _stop(collector: Any) -> None:
    """``stop`` is optional."""
    if (stop := getattr(collector, "stop", None)) is not None:
        stop()


def _base() -> set[str]:
    """Import names of the base installation."""
    lines = [line for line in requires("lifelog-lake") or [] if "extra ==" not in line]
    names = (re.match(r"[\w.-]+", line) for line in lines)
    return {name.group().replace("-", "_") for name in names if name}


def _words(event: Event) -> Iterator[str]:
    """Free text of an event: its text columns, and all text of ``extra``."""
    for column in STREAMS[event.stream].columns:
        value = event.data.get(column.name)
        if column.text and isinstance(value, str) and len(value) >= LEAST_WORD:
            yield value
    for value in (event.extra or {}).values():
        if isinstance(value, str) and len(value) >= LEAST_WORD:
            yield value
