"""A running hub on a real lake, for tests of the server and of its pages."""

from __future__ import annotations

import dataclasses
import io
import json
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import requests
from PIL import Image, ImageDraw

from lifelog_lake.clock import SystemClock, to_us
from lifelog_lake.events import BlobSource, Event, new_event
from lifelog_lake.home import Home, open_home
from lifelog_lake.lake import init_lake, parse_url
from lifelog_lake.server.launch import address, prepare
from lifelog_lake.server.secret import read_token
from lifelog_lake.ship.shipper import Shipper
from lifelog_lake.spool.queue import Spool

START_S = 120.0
#: A device's name is data from elsewhere: markup, an RTL override, a quote.
HOSTILE = '<img src=x onerror="window.hurt=1"><script>window.hurt=1</script>\u202egnp.exe\''


@dataclass(kw_only=True)
class Hub:
    """A server and the home it serves."""

    home: Home
    process: subprocess.Popen[bytes]
    stderr: Path
    url: str = ""

    @property
    def token(self) -> str:
        """What opens it."""
        return read_token(self.home.path)

    @property
    def entrance(self) -> str:
        """The address that `lifelog up` prints."""
        return address(self.home.path)

    def client(self) -> requests.Session:
        """A program with the token."""
        session = requests.Session()
        session.headers["Authorization"] = f"token {self.token}"
        return session

    def person(self) -> requests.Session:
        """A browser that has logged in: it has the cookie."""
        session = requests.Session()
        assert session.get(f"{self.url}api/me", params={"token": self.token}).status_code == 200
        return session

    def await_pages(self) -> None:
        """Wait until the warm kernels' server answers."""
        address = f"{self.url}lifelog/app/voila/static/voila.js"
        wait_until(
            "The pages' server doesn't answer.",
            START_S,
            lambda: self.client().head(address, timeout=START_S).status_code == 200,
        )

    def stop(self) -> float:
        """End it as `lifelog up` does; the seconds it took."""
        began_s = time.monotonic()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
        return time.monotonic() - began_s


def start_hub(home: Home, *, port: int = 0, environment: dict[str, str] | None = None) -> Hub:
    """Start the server of a home and wait until it listens."""
    launch = prepare(home, port=port)
    stderr = home.path / "stderr.txt"
    with stderr.open("wb") as file:
        process = subprocess.Popen(
            launch.argv, env={**launch.env, **(environment or {})}, stderr=file
        )
    hub = Hub(home=home, process=process, stderr=stderr)
    deadline_s = time.monotonic() + START_S
    written = home.run / "server.json"  # one of a server that was killed may lie there
    while not written.exists() or json.loads(written.read_bytes())["pid"] != process.pid:
        assert process.poll() is None, stderr.read_text()
        if time.monotonic() > deadline_s:
            process.send_signal(signal.SIGKILL)
            raise AssertionError(f"The server didn't start: {stderr.read_text()}")
        time.sleep(0.05)
    hub.url = hub.entrance.split("lifelog/", 1)[0]
    return hub


def new_home(path: Path) -> Home:
    """A home with an empty lake."""
    home = open_home(path)
    init_lake(home)
    return home


def picture(text: str, size: tuple[int, int] = (640, 360), kind: str = "WEBP") -> bytes:
    """A real picture; equal text gives equal bytes."""
    image = Image.new("RGB", size, (40 + hash_of(text) % 150, 90, 110))
    ImageDraw.Draw(image).text((24, 24), text, fill="white", font_size=40)
    content = io.BytesIO()
    image.save(content, kind)
    return content.getvalue()


def hash_of(text: str) -> int:
    """A small number that is the same in each run, unlike ``hash``."""
    return sum(text.encode()) * 7


def ship_frames(
    home: Home, times: Sequence[datetime], *, device: str | None = None, name: str = "Frame"
) -> None:
    """Record frames through spool and shipper, half of them WebP, half PNG; each lasts 10 s."""
    events = []
    for number, at in enumerate(times):
        kind = "PNG" if number % 2 else "WEBP"
        content = picture(f"{name} {number}", kind=kind)
        events.append(
            new_event(
                "screen",
                at=to_us(at),
                end=to_us(at + timedelta(seconds=10)),
                tz="Europe/Berlin",
                data={"monitor": 1, "left": 0, "top": 0, "width": 640, "height": 360},
                source=BlobSource.of_bytes(content, f"image/{kind.lower()}"),
            )
        )
    ship_events(home, events, device=device)


def ship_events(home: Home, events: Sequence[Event], *, device: str | None = None) -> None:
    """Record events through spool and shipper, as this home's device or as another."""
    as_device = home if device is None else dataclasses.replace(home, device=device)
    spool = home.spool if device is None else home.path / f"spool-{hash_of(device)}"
    queue = Spool(spool, as_device.device, home.settings.spool, SystemClock())
    for stream in dict.fromkeys(event.stream for event in events):
        queue.append([event for event in events if event.stream == stream])
    assert ship(as_device, queue) >= len(events)


def ship(home: Home, queue: Spool) -> int:
    """Bring what waits in a spool into the lake; how many rows."""
    url, clock = parse_url(home.lake_url), SystemClock()
    shipped = Shipper(home, queue, url, clock, batch_rows=10_000).run_once()
    assert not shipped.errors, shipped.errors
    return shipped.rows


def lasting(stream: str, start: datetime, end: datetime, **data: object) -> Event:
    """An event of some length, as a collector makes it."""
    return new_event(stream, at=to_us(start), end=to_us(end), tz="Europe/Berlin", data=data)


def minutes_ago(minutes: float) -> datetime:
    """A time before now."""
    return datetime.now(UTC) - timedelta(minutes=minutes)


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie doesn't)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


def family(pid: int) -> list[int]:
    """Every process below one, children and their children."""
    import psutil

    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def wait_until(what: str, seconds: float, true: object) -> None:
    """Poll a callable; fail with `what` if it doesn't come true."""
    assert callable(true)
    deadline_s = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline_s, what
        time.sleep(0.05)
