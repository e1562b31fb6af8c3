"""What can be on a screen: each scene is a program with a title, and a page if it is a browser.

The window's title, the page's title and address and the picture of a scene say the same, so what
is found by its words is seen in its frame too. Names and firms are invented; addresses of things
that aren't public end in ``.example``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

#: What a picture is drawn as.
EDITOR, TERMINAL, BROWSER, SHEET, MAIL, CHAT, CALL, WRITER, VIDEO, MUSIC, APP = (
    *("editor", "terminal", "browser", "sheet", "mail", "chat", "call", "writer"),
    *("video", "music", "app"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """``group`` is what an activity draws from, ``kind`` how its picture looks.

    ``subject`` is what the content is about. A scene of the phone (``APP``) has no picture.
    """

    group: str
    kind: str
    app: str
    title: str
    subject: str
    url: str | None = None

    @property
    def page(self) -> str:
        """Title of the page in a browser."""
        return self.subject

    @property
    def pictured(self) -> bool:
        """Whether it has frames."""
        return self.kind != APP


_PROJECTS = {
    "tideline": ("stations.py", "harmonics.py", "forecast.py", "test_harmonics.py", "README.md"),
    "orchard-api": ("routes.py", "models.py", "billing.py", "test_routes.py", "schema.sql"),
    "fieldnotes": ("parser.py", "index.py", "export.py", "CHANGELOG.md"),
}
_HOBBY = {"star-atlas": ("catalogue.py", "projection.py", "plot_sky.py")}
_TERMINALS = (
    ("tideline", "pytest -q"),
    ("tideline", "git log --oneline"),
    ("orchard-api", "make test"),
    ("orchard-api", "docker compose logs"),
    ("fieldnotes", "git diff"),
    ("fieldnotes", "htop"),
    ("star-atlas", "python plot_sky.py"),
)
_SHEETS = (
    "Budget 2026.ods", "Tide gauge readings.ods", "Orders by region.ods", "Holiday planning.ods",
    "Project hours.ods", "Household.ods",
)  # fmt: skip
_LETTERS = (
    "Tideline proposal.odt", "Minutes of the weekly meeting.odt", "Orchard API guide.odt",
    "Release notes draft.odt", "Letter to the housing cooperative.odt", "Talk on tides.odt",
)  # fmt: skip
_MAILS = (
    "Inbox", "Re: Forecast for the harbour", "Invoice 2291 from Birch & Moss",
    "Re: Review of the billing changes", "Train tickets to Lisbon", "Minutes of Tuesday",
    "Re: Dinner on Saturday?", "Newsletter: Open data weekly", "Fwd: Sensor replacement",
)  # fmt: skip
_CHATS = (
    "#tideline", "#orchard-release", "#random", "Mara Lindqvist", "Jonas Okafor", "#support",
    "Priya Raman",
)  # fmt: skip
_FAMILY_CHATS = ("Family", "Climbing on Thursdays", "Elena")
_CALLS = (
    "Weekly planning", "Tideline stand-up", "Review with Mara", "Orchard retrospective",
    "Interview: data engineer", "Customer call: Harbour office",
)  # fmt: skip
_WIKI = "https://en.wikipedia.org/wiki/"
_WEB_WORK = (
    ("asyncio: Coroutines and Tasks", "https://docs.python.org/3/library/asyncio-task.html"),
    ("datetime: Basic date and time types", "https://docs.python.org/3/library/datetime.html"),
    ("Lazy API - Polars user guide", "https://docs.pola.rs/user-guide/lazy/"),
    (
        "Delta Lake transaction protocol",
        "https://github.com/delta-io/delta/blob/master/PROTOCOL.md",
    ),
    ("Parquet file format", "https://parquet.apache.org/docs/file-format/"),
    ("Pull request 418: Faster harmonics", "https://git.example/tideline/pulls/418"),
    ("Pull request 92: Refunds in billing", "https://git.example/orchard-api/pulls/92"),
    ("Issue 77: Gauge 14 reports feet", "https://git.example/tideline/issues/77"),
    ("Theory of tides - Wikipedia", _WIKI + "Theory_of_tides"),
    ("Least squares - Wikipedia", _WIKI + "Least_squares"),
    ("How to fit a sine curve in numpy?", "https://answers.example/q/16716302"),
    ("SQL window functions explained", "https://answers.example/q/9120453"),
    ("Board - Orchard sprint 31", "https://boards.example/orchard/31"),
    ("Calendar - this week", "https://calendar.example/week"),
    ("Grafana: Gauge ingestion", "https://metrics.example/d/gauges"),
)
_WEB_FREE = (
    ("Aurora - Wikipedia", _WIKI + "Aurora"),
    ("Sourdough - Wikipedia", _WIKI + "Sourdough"),
    ("Messier 31 - Wikipedia", _WIKI + "Andromeda_Galaxy"),
    ("Front page - The Harbour Times", "https://harbourtimes.example/"),
    ("Ferry timetable changes in spring", "https://harbourtimes.example/ferries"),
    ("Weather for the week", "https://weather.example/7-days"),
    ("Lisbon in four days - Slow Trains", "https://slowtrains.example/lisbon"),
    ("Night trains across Europe - Slow Trains", "https://slowtrains.example/night"),
    ("Used telescopes - Marketplace", "https://market.example/telescopes"),
    ("Road bikes, size 54 - Marketplace", "https://market.example/bikes"),
    ("Lentil soup with lemon", "https://kitchen.example/lentil-soup"),
    ("Sunday rye bread", "https://kitchen.example/rye-bread"),
    ("Library: my loans", "https://library.example/loans"),
    ("Chess puzzle of the day", "https://chess.example/puzzle"),
)
_VIDEOS = (
    ("Building a cedar canoe, part 4", "https://video.example/watch/canoe4"),
    ("Why tides are late - lecture 7", "https://video.example/watch/tides7"),
    ("Night sky in November", "https://video.example/watch/sky11"),
    ("A week on the Faroe Islands", "https://video.example/watch/faroe"),
    ("How bridges are tuned", "https://video.example/watch/bridges"),
)
_MUSIC = ("Evening strings - Radio", "North Wind Ensemble - Fjords", "Late piano - Playlist")
_PHONE = (
    ("Messages", "Family"), ("Messages", "Elena"), ("Maps", "Route to the office"),
    ("Maps", "Ferry pier"), ("Camera", "Camera"), ("Podcasts", "The Data Harbour, episode 81"),
    ("Podcasts", "Slow Trains: Night to Vienna"), ("Bank", "Account overview"),
    ("Weather", "Next hours"), ("Trains", "Departures"), ("Notes", "Shopping list"),
    ("Clock", "Alarm"), ("Browser", "Front page - The Harbour Times"), ("Fitness", "Morning walk"),
)  # fmt: skip


def _plain(
    group: str, kind: str, app: str, names: Iterable[str], title: str = "{}"
) -> Iterator[Scene]:
    """A scene a name; ``title`` says how the window shows it."""
    for name in names:
        yield Scene(group=group, kind=kind, app=app, title=title.format(name), subject=name)


def _code(group: str, projects: Mapping[str, Iterable[str]]) -> Iterator[Scene]:
    for project, files in projects.items():
        yield from _plain(group, EDITOR, "Code", files, "{} - " + project + " - Code")


def _shells() -> Iterator[Scene]:
    for project, command in _TERMINALS:
        group = "tinker" if project in _HOBBY else "terminal"
        yield from _plain(group, TERMINAL, "Terminal", (command,), f"~/src/{project}: {{}}")


def _pages(group: str, kind: str, pages: Iterable[tuple[str, str]]) -> Iterator[Scene]:
    for name, url in pages:
        title = f"{name} - Mozilla Firefox"
        yield Scene(group=group, kind=kind, app="Firefox", title=title, subject=name, url=url)


SCENES: tuple[Scene, ...] = (
    *_code("editor", _PROJECTS),
    *_code("tinker", _HOBBY),
    *_shells(),
    *_plain("sheet", SHEET, "LibreOffice", _SHEETS, "{} - LibreOffice Calc"),
    *_plain("writer", WRITER, "LibreOffice", _LETTERS, "{} - LibreOffice Writer"),
    *_plain("mail", MAIL, "Thunderbird", _MAILS, "{} - Mozilla Thunderbird"),
    *_plain("chat", CHAT, "Element", _CHATS, "{} | Element"),
    *_plain("family", CHAT, "Element", _FAMILY_CHATS, "{} | Element"),
    *_plain("call", CALL, "Jitsi", _CALLS, "{} - Jitsi"),
    *_plain("music", MUSIC, "Rhythmbox", _MUSIC),
    *_pages("web-work", BROWSER, _WEB_WORK),
    *_pages("web-free", BROWSER, _WEB_FREE),
    *_pages("video", VIDEO, _VIDEOS),
    *(scene for app, name in _PHONE for scene in _plain("phone", APP, app, (name,))),
)
PICTURED: tuple[int, ...] = tuple(i for i, scene in enumerate(SCENES) if scene.pictured)
GROUPS: dict[str, tuple[int, ...]] = {
    group: tuple(i for i, scene in enumerate(SCENES) if scene.group == group)
    for group in dict.fromkeys(scene.group for scene in SCENES)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What a block is made of: how often each group comes, and how quick it goes.

    ``windows`` and ``frames`` are per mille of the plan's own pace.
    """

    groups: tuple[tuple[str, int], ...]
    windows: int = 1000
    frames: int = 1000
    sound: bool = False


ACTIVITIES: dict[str, Activity] = {
    "mail": Activity(groups=(("mail", 8), ("chat", 4), ("web-work", 3), ("writer", 1))),
    "code": Activity(groups=(("editor", 8), ("terminal", 4), ("web-work", 3), ("chat", 1))),
    "documents": Activity(
        groups=(("writer", 5), ("sheet", 5), ("web-work", 3), ("mail", 2), ("chat", 1)), windows=800
    ),
    "meeting": Activity(
        groups=(("call", 11), ("sheet", 2), ("writer", 2), ("chat", 1)),
        windows=300,
        frames=800,
        sound=True,
    ),
    "leisure": Activity(
        groups=(("web-free", 10), ("video", 3), ("family", 2), ("music", 1)), windows=900
    ),
    "hobby": Activity(groups=(("tinker", 9), ("web-free", 4), ("music", 2), ("video", 1))),
    "notes": Activity(
        groups=(("writer", 6), ("web-free", 6), ("music", 3), ("family", 1)),
        windows=700,
        sound=True,
    ),
    "phone": Activity(groups=(("phone", 16),), windows=900, frames=0),
}
