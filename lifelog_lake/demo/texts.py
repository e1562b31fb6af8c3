"""What stands in the pictures: sentences, code and figures about a scene's subject."""

from __future__ import annotations

SENTENCES = (
    "The tide comes twice a day, and never quite when the table says.",
    "Gauge 14 has been moved to the inner harbour since Monday.",
    "A forecast is a promise with an error bar; we print both.",
    "Please have a look at the second table before we send it.",
    "The train leaves at 7:42, so we meet under the clock at half past.",
    "Readings arrive every ten minutes and are kept as they came.",
    "We agreed to ship the small version first and learn from it.",
    "The light lasted until nine, and nobody wanted to go home.",
    "Harmonics with a period above a year can't be told from drift.",
    "Two of the three tests were slow because they asked the network.",
    "Add the lemon at the end, off the heat, or it turns bitter.",
    "Four days are enough for the hills, the river and one good museum.",
    "The cooperative answers within two weeks, says the letter.",
    "What is measured twice and differs is worth a third look.",
    "An open format outlives the program that wrote it.",
    "The night train has new coaches; the window seats go first.",
    "Refunds below ten crowns are booked at once, larger ones by hand.",
    "Jonas takes the interview on Thursday, Priya writes the summary.",
    "From the pier one sees the old lighthouse and, at night, the galaxy.",
    "The index is rebuilt from the files, so it can be thrown away.",
    "Wind from the north-west, fresh, with showers by the evening.",
    "It rose overnight in a cold kitchen and baked for fifty minutes.",
    "Version 2 reads what version 1 wrote; the other way round it refuses.",
    "Nobody misses the meeting that became a page of notes.",
)

CODE = (
    '"""{topic}: readings in, levels out."""',
    "",
    "from __future__ import annotations",
    "",
    "import math",
    "from dataclasses import dataclass",
    "from datetime import datetime, timedelta",
    "",
    "STEP = timedelta(minutes=10)",
    "SPEEDS = {'M2': 28.984104, 'S2': 30.0, 'K1': 15.041069, 'O1': 13.943036}",
    "",
    "",
    "@dataclass(frozen=True, slots=True)",
    "class Reading:",
    '    """One level, in metres above the datum."""',
    "",
    "    station: str",
    "    at: datetime",
    "    level_m: float",
    "",
    "",
    "def level(parts: dict[str, tuple[float, float]], hours: float) -> float:",
    '    """The sum of the parts: amplitude and phase each."""',
    "    total = 0.0",
    "    for name, (amplitude, phase) in parts.items():",
    "        angle = math.radians(SPEEDS[name] * hours - phase)",
    "        total += amplitude * math.cos(angle)",
    "    return total",
    "",
    "",
    "def gaps(rows: list[Reading]) -> list[tuple[datetime, datetime]]:",
    '    """Where more than one step is missing."""',
    "    found = []",
    "    for before, after in zip(rows, rows[1:]):",
    "        if after.at - before.at > STEP:",
    "            found.append((before.at, after.at))",
    "    return found",
    "",
    "",
    "def fit(rows: list[Reading], names: list[str]) -> dict[str, float]:",
    "    # least squares, one column a harmonic",
    "    start = rows[0].at",
    "    hours = [(row.at - start).total_seconds() / 3600 for row in rows]",
    "    design = [[math.cos(SPEEDS[n] * h) for n in names] for h in hours]",
    "    return solve(design, [row.level_m for row in rows])",
    "",
    "",
    "def describe(found: dict[str, float]) -> str:",
    "    lines = [f'{name:4} {value:8.3f} m' for name, value in found.items()]",
    "    return '\\n'.join(lines)",
)
QUERIES = tuple(
    line
    for table, columns in (
        ("orders", ("placed_at timestamp", "region text", "total numeric")),
        ("refunds", ("order_id bigint", "booked_at timestamp", "amount numeric")),
        ("customers", ("name text", "since date", "city text")),
        ("invoices", ("order_id bigint", "number text", "due date")),
        ("shipments", ("order_id bigint", "carrier text", "left_at timestamp")),
    )
    for line in (
        f"create table {table} (",
        "    id bigint primary key,",
        *(f"    {column}," for column in columns),
        ");",
        "",
    )
)
KEYWORDS = frozenset(
    {"from", "import", "def", "class", "return", "for", "in", "if", "else", "create", "table"}
    | {"None", "True", "False", "dict", "list", "tuple", "str", "float"}
)

SHELL = {
    "pytest -q": (
        "........................................................ [ 41%]",
        "........................................................ [ 82%]",
        "........................                                 [100%]",
        "136 passed in 8.42s",
    ),
    "git log --oneline": (
        "9c1f2ab Take the datum from the station, not from the table",
        "41d07ee Say which gauge is silent, and since when",
        "e0a9933 Fit four harmonics by default",
        "77bd51c Keep readings that come twice once",
        "2f60d18 Let a gap be a gap",
        "b8871f0 First forecast for the inner harbour",
    ),
    "make test": (
        "ruff format --check . && ruff check .",
        "84 files already formatted",
        "All checks passed!",
        "mypy: Success: no issues found in 61 source files",
        "pytest: 412 passed, 3 skipped in 31.07s",
    ),
    "docker compose logs": (
        "api-1     | GET /orders?region=north 200 12ms",
        "api-1     | POST /refunds 201 31ms",
        "worker-1  | booked refund 8841",
        "db-1      | checkpoint complete: wrote 212 buffers",
        "api-1     | GET /orders/55120 200 7ms",
    ),
    "git diff": (
        "diff --git a/index.py b/index.py",
        "@@ -41,7 +41,9 @@ def add(self, note):",
        "-        self._words.append(note.text)",
        "+        for word in note.words():",
        "+            self._words[word].add(note.id)",
        "         self._dirty = True",
    ),
    "htop": (
        "  1[||||||||||            31.2%]   Tasks: 141, 512 thr",
        "  2[|||||                 14.9%]   Load average: 0.61 0.48",
        "Mem[||||||||||||    6.1G/15.5G]   Uptime: 3 days, 04:12",
        "  PID USER      CPU% MEM%  Command",
        " 4121 ada       12.0  3.1  python -m fieldnotes",
        " 2210 ada        6.6  7.9  firefox",
    ),
    "python plot_sky.py": (
        "reading catalogue.csv: 9110 stars",
        "projecting for 54.1 N 10.8 E, 22:30",
        "brighter than magnitude 5: 1612",
        "written: sky-november.svg",
    ),
}
PEOPLE = ("Mara Lindqvist", "Jonas Okafor", "Priya Raman", "Elena Costa", "Tomas Berg", "Ada")
REPLIES = (
    "Morning! The readings of the night look fine.",
    "Could you look at the second station? It is flat since four.",
    "On it. The battery was low, they swapped it.",
    "Great, then I'll run the forecast again.",
    "The release is tagged, notes follow after lunch.",
    "Do we meet at ten or at half past?",
    "Half past. I'll bring the figures.",
    "Thanks, that helped a lot.",
    "I pushed a fix for the refunds, please review.",
    "Looks good to me, one small remark in the tests.",
    "Who is coming on Thursday?",
    "Count me in, I'm there from six.",
)
HEADS = ("Station", "Mon", "Tue", "Wed", "Thu", "Fri", "Sum")
PLACES = (
    "North pier", "Inner harbour", "Old lock", "Lighthouse", "Sandbank", "Ferry dock", "East mole",
    "Boat yard", "Fish market", "Customs quay", "West basin", "Slipway", "Canal mouth", "Bridge",
)  # fmt: skip
