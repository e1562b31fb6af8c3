"""A watcher of ActivityWatch that died while its server is well is noticed; nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from lifelog_lake.clock import iso
from lifelog_lake.health_settings import HealthSettings
from tests.fixtures.aw import AFK, T0_MS, WEB, WINDOW, AwServer, an_aw, shared_aw  # noqa: F401
from tests.fixtures.aw_device import AwDevice

US = 1000
MINUTE_S = 60


class Life:
    """A device whose watchers beat as long as they live."""

    def __init__(self, path: Path, aw: AwServer, health: HealthSettings) -> None:
        self.aw = aw
        self.now_ms = T0_MS
        self.device = AwDevice(path, aw, now=T0_MS * US)
        self.device.runner._health = health
        # Names of their own: the server remembers the events of buckets that are gone.
        self.live = {
            "window": aw.bucket(f"aw-watcher-window_{path.name}", WINDOW),
            "afk": aw.bucket(f"aw-watcher-afk_{path.name}", AFK),
        }
        self.status = "not-afk"
        self.go(1)

    def go(self, minutes: float, *beating: str) -> None:
        """Let time pass: the named watchers (none = all) beat each minute, and we look."""
        for _ in range(round(minutes)):
            for stream in beating or tuple(self.live):
                data = {"status": self.status} if stream == "afk" else {"app": "a", "title": "t"}
                if stream == "web":
                    data = {"url": "https://example.org", "title": "t"}
                self.aw.heartbeat(self.live[stream], self.now_ms, 90.0, **data)
            self.now_ms += MINUTE_S * 1000
            self.device.clock.pass_s(MINUTE_S)
            self.device.read()

    @property
    def unseen(self) -> dict[str, str]:
        """What the supervisor hears."""
        return dict(self.device.beat.unseen)

    def observed(self, stream: str) -> int:
        """When it says that a stream was observed."""
        return self.device.beat.observed[stream]


@pytest.fixture
def life(aw: AwServer, tmp_path: Path) -> Life:
    return Life(tmp_path, aw, HealthSettings())


def test_an_unchanged_window_is_no_silence(life: Life) -> None:
    life.go(25)  # the same window all the time: only its event grows
    assert set(life.unseen) == {"web"}
    assert life.observed("window") == life.device.clock.now_us


def test_a_dead_watcher_is_told_with_what_to_do_and_mends_itself(life: Life) -> None:
    last_ms = life.now_ms - MINUTE_S * 1000
    life.go(9, "afk")
    assert set(life.unseen) == {"web"}
    life.go(2, "afk")
    assert life.unseen["window"] == (
        f"aw-watcher-window has sent nothing since {iso(last_ms * US)} although ActivityWatch's "
        "server is well: start it again (in ActivityWatch's menu: Modules)"
    )
    seen = life.observed("window")
    life.go(3, "afk")
    assert life.observed("window") == seen, "what is silent isn't observed"
    assert life.observed("afk") == life.device.clock.now_us
    assert life.device.beat.state == "running"
    life.go(1)
    assert set(life.unseen) == {"web"}
    assert life.observed("window") == life.device.clock.now_us


def test_who_is_away_makes_no_window(life: Life) -> None:
    life.status = "afk"
    life.go(1)
    life.go(40, "afk")
    assert set(life.unseen) == {"web"}
    life.status = "not-afk"
    life.go(9, "afk")  # back: it has its full time again
    assert set(life.unseen) == {"web"}
    life.go(3, "afk")
    assert set(life.unseen) == {"web", "window"}


def test_a_dead_watcher_of_presence_is_told_also_of_who_was_away(life: Life) -> None:
    life.status = "afk"
    life.go(2)
    life.go(12, "window")
    assert set(life.unseen) == {"web", "afk"}
    assert life.unseen["afk"].startswith("aw-watcher-afk has sent nothing")
    # What it said last says nothing any more: a window that stands still now is told.
    for _ in range(12):
        life.now_ms += MINUTE_S * 1000
        life.device.clock.pass_s(MINUTE_S)
        life.device.read()
    assert set(life.unseen) == {"web", "afk", "window"}


def test_a_sleep_is_no_silence(life: Life) -> None:
    life.device.clock.now_us += 8 * 3600 * 1_000_000  # the monotonic clock stands still
    life.now_ms += 8 * 3600 * 1000
    life.device.read()
    assert set(life.unseen) == {"web"}


def test_a_clock_that_is_set_is_no_silence(life: Life) -> None:
    for step_us in (3600 * 1_000_000, -7200 * 1_000_000):
        life.device.clock.now_us += step_us
        life.device.read()
        assert set(life.unseen) == {"web"}


def test_a_browser_may_be_closed_unless_the_person_says_otherwise(
    aw: AwServer,
    tmp_path: Path,
) -> None:
    life = Life(tmp_path, aw, HealthSettings())
    life.live["web"] = aw.bucket("aw-watcher-web-firefox", WEB)
    life.go(1)
    life.go(15, "window", "afk")
    assert life.unseen == {}
    life.device.runner._health = HealthSettings(stale_after_minutes_by_stream={"web": 5})
    life.go(6, "window", "afk")
    assert set(life.unseen) == {"web"}
    assert "extension in the browser" in life.unseen["web"]


def test_one_bucket_of_several_is_enough(life: Life, aw: AwServer) -> None:
    old = aw.bucket("aw-watcher-window_old-host", WINDOW)
    aw.heartbeat(old, T0_MS - 10**9, 1.0, app="a", title="t")
    life.go(30)
    assert set(life.unseen) == {"web"}


def test_a_pause_begins_anew(life: Life) -> None:
    life.go(9, "afk")
    life.device.runner._let_go()  # as a pause does
    life.go(9, "afk")
    assert set(life.unseen) == {"web"}
    life.go(3, "afk")
    assert set(life.unseen) == {"web", "window"}
