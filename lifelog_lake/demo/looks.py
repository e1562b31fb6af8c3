"""How each kind of program looks: one function a kind, drawing a scene's window."""

from __future__ import annotations

from collections.abc import Callable

from lifelog_lake.demo.canvas import HEIGHT, INK, LINE, MUTED, PAPER, WIDTH, Canvas, Colour, mix
from lifelog_lake.demo.chance import Chance
from lifelog_lake.demo.scenes import (
    BROWSER,
    CALL,
    CHAT,
    EDITOR,
    MAIL,
    MUSIC,
    SHEET,
    TERMINAL,
    VIDEO,
    WRITER,
    Scene,
)
from lifelog_lake.demo.texts import (
    CODE,
    HEADS,
    KEYWORDS,
    PEOPLE,
    PLACES,
    QUERIES,
    REPLIES,
    SENTENCES,
    SHELL,
)

TOP = 34
NIGHT: Colour = (30, 33, 41)
SKIES: tuple[tuple[Colour, Colour, Colour], ...] = (
    ((250, 214, 165), (120, 150, 190), (52, 73, 94)),
    ((176, 212, 241), (238, 246, 250), (78, 126, 104)),
    ((24, 32, 68), (92, 84, 140), (18, 28, 40)),
    ((255, 196, 160), (206, 120, 130), (70, 52, 84)),
    ((200, 226, 220), (245, 240, 220), (96, 138, 92)),
)
TINTS: tuple[Colour, ...] = (
    (79, 124, 172), (192, 108, 88), (104, 142, 92), (150, 110, 168), (196, 152, 66), (80, 146, 148),
)  # fmt: skip
Look = Callable[[Canvas, Scene, int, Chance, Chance], None]


def frame(canvas: Canvas, title: str, *, dark: bool = False) -> None:
    """The window's own bar with its title."""
    bar, ink = ((43, 47, 58), (206, 210, 220)) if dark else ((236, 238, 242), (62, 68, 80))
    canvas.box(0, 0, WIDTH, TOP, bar)
    canvas.middle(WIDTH // 2, TOP // 2, title, 14, ink)
    for place, colour in enumerate(((126, 190, 118), (226, 186, 92), (220, 108, 98))):
        canvas.dot(WIDTH - 70 + place * 24, TOP // 2, 6, colour)


def editor(canvas: Canvas, scene: Scene, variant: int, own: Chance, now: Chance) -> None:
    """Files at the left, code with line numbers, a status line."""
    canvas.box(0, TOP, 210, HEIGHT, (37, 41, 51))
    project = scene.title.split(" - ")[1]
    canvas.text(18, TOP + 14, project.upper(), 12, (146, 152, 166))
    files = ("docs", "src", "tests", scene.subject, "pyproject.toml", "LICENSE")
    for row, name in enumerate(files):
        y = TOP + 42 + row * 26
        if name == scene.subject:
            canvas.box(0, y - 4, 210, 26, (54, 60, 74))
        canvas.text(30, y, name, 14, (214, 218, 226))
    canvas.box(210, TOP, WIDTH - 210, 30, (43, 47, 58))
    canvas.box(210, TOP, 190, 30, NIGHT)
    canvas.text(226, TOP + 7, scene.subject, 14, (232, 234, 240))
    lines = [line.replace("{topic}", project) for line in _lines(scene.subject)]
    begin = (own.one(0, 12) + variant * 3) % (len(lines) - 12)
    cursor = now.one(4, 24)
    for row in range(31):
        line, y = begin + row, TOP + 42 + row * 22
        if row == cursor:
            canvas.box(212, y - 3, WIDTH - 212, 22, (40, 44, 55))
        canvas.code(224, y, f"{line + 1:3}", (92, 98, 112), size=14)
        if line < len(lines):
            _code(canvas, 276, y, lines[line])
    canvas.box(0, HEIGHT - 26, WIDTH, 26, (62, 96, 140))
    canvas.text(14, HEIGHT - 22, "main", 13, (236, 240, 246))
    canvas.text(WIDTH - 190, HEIGHT - 22, f"Ln {begin + cursor + 1}, UTF-8", 13, PAPER)


def _lines(file: str) -> tuple[str, ...]:
    if file.endswith(".md"):
        return ("# {topic}", "", *(line for text in SENTENCES for line in (f"- {text}", "")))
    return QUERIES if file.endswith(".sql") else CODE


def _code(canvas: Canvas, x: int, y: int, line: str) -> None:
    bare = line.lstrip()
    if bare.startswith(("#", '"""')):
        canvas.code(x, y, line, (126, 156, 118))
        return
    if bare.startswith("- "):
        canvas.code(x, y, line, (214, 218, 226))
        return
    for index, word in enumerate(line.split(" ")):
        plain: Colour = (214, 218, 226)
        colour = (198, 146, 214) if word.strip(":,()") in KEYWORDS else plain
        if "'" in word:
            colour = (222, 176, 116)
        elif word[:1].isupper() or word[:1] == "@":
            colour = (128, 186, 214)
        x = canvas.code(x if index == 0 else x + 9, y, word, colour)


def terminal(canvas: Canvas, scene: Scene, variant: int, own: Chance, now: Chance) -> None:
    """A prompt, the command, what it says; again with each variant."""
    place = scene.title.partition(":")[0]
    lines = SHELL[scene.subject]
    y = TOP + 18
    for turn in range(1 + (variant + own.one(0, 2)) % 4):
        command = scene.subject if turn % 2 == 0 else now.pick(("ls", "git status", "clear; date"))
        x = canvas.code(20, y, f"ada@desk {place} $ ", (124, 190, 130), size=16)
        canvas.code(x, y, command, (236, 238, 244), size=16)
        y += 26
        for line in lines if turn % 2 == 0 else ("nothing to commit, working tree clean",):
            added, removed = line.startswith("+"), line.startswith("-")
            ink: Colour = (204, 208, 216)
            ink = (126, 196, 134) if added else ((224, 124, 116) if removed else ink)
            canvas.code(20, y, line, ink, size=16)
            y += 24
    x = canvas.code(20, y, f"ada@desk {place} $ ", (124, 190, 130), size=16)
    canvas.box(x, y, 9, 19, (206, 210, 220))


def browser(canvas: Canvas, scene: Scene, variant: int, own: Chance, now: Chance) -> None:
    """Tab, address, and a page with a picture, a heading, paragraphs and a side column."""
    del now
    _address(canvas, scene, own)
    canvas.box(0, TOP + 74, WIDTH, HEIGHT, PAPER)
    tint = own.pick(TINTS)
    offset = variant * 150 % 620
    y = TOP + 108 - offset
    site = (scene.url or "").split("/")[2]
    canvas.box(0, TOP + 74, WIDTH, 44, mix(tint, PAPER, 84))
    y += 30
    if y > TOP + 110:
        canvas.text(150, y, scene.subject, 32, INK, most=700)
    y += 56
    for part in range(9):
        if y > TOP + 118:
            if part in (2, 6):
                landscape(canvas, 150, y, 640, 240, own)
            else:
                words = " ".join(own.pick(SENTENCES) for _ in range(4))
                canvas.paragraph(150, y, words, 640)
        else:
            own.many(9, 2)
        y += 262 if part in (2, 6) else 122
        if y > HEIGHT:
            break
    canvas.box(0, TOP + 74, WIDTH, 44, mix(tint, PAPER, 84))
    canvas.text(150, TOP + 86, site, 16, mix(tint, INK, 40))
    canvas.box(860, TOP + 150, 270, 250, mix(tint, PAPER, 90), round_px=8)
    canvas.text(880, TOP + 168, "On this page", 15, mix(tint, INK, 40))
    for row in range(7):
        canvas.text(880, TOP + 200 + row * 26, own.pick(SENTENCES), 13, MUTED, most=230)


def _address(canvas: Canvas, scene: Scene, own: Chance) -> None:
    canvas.box(0, TOP, WIDTH, 36, (224, 227, 233))
    canvas.box(10, TOP + 5, 280, 31, PAPER, round_px=7)
    canvas.dot(28, TOP + 20, 7, own.pick(TINTS))
    canvas.text(44, TOP + 13, scene.subject, 13, INK, most=230)
    for tab in range(3):
        canvas.box(298 + tab * 190, TOP + 7, 184, 27, (211, 215, 223), round_px=7)
        canvas.text(314 + tab * 190, TOP + 13, own.pick(SENTENCES), 12, MUTED, most=150)
    canvas.box(0, TOP + 36, WIDTH, 38, PAPER)
    canvas.box(0, TOP + 73, WIDTH, 1, LINE)
    canvas.box(96, TOP + 41, 1010, 28, (240, 242, 245), round_px=14)
    canvas.text(116, TOP + 47, scene.url or "", 14, (70, 76, 88), most=960)


def landscape(canvas: Canvas, x: int, y: int, width: int, height: int, chance: Chance) -> None:
    """Sky, sun and hills in flat colours."""
    high, low, land = chance.pick(SKIES)
    for band in range(12):
        top = y + height * band // 12
        canvas.box(x, top, width, height // 12 + 1, mix(high, low, band * 9))
    canvas.dot(
        x + chance.one(width // 5, width * 4 // 5), y + height // 3, height // 10, (255, 240, 206)
    )
    for hill in range(3):
        base = y + height * (6 + hill) // 9
        ridge = [(x + width * step // 8, base + chance.near(0, height // 9)) for step in range(9)]
        outline = [(x, y + height), *ridge, (x + width, y + height)]
        canvas.area(outline, mix(land, low, 60 - hill * 28))
    canvas.box(x, y + height, width, height // 3 + 20, PAPER)


def sheet(canvas: Canvas, scene: Scene, variant: int, own: Chance, now: Chance) -> None:
    """A table of figures, a chosen cell and a small chart."""
    canvas.box(0, TOP, WIDTH, 64, (246, 247, 249))
    names = ("File", "Edit", "View", "Insert", "Format", "Data", "Help")
    for index, word in enumerate(names):
        canvas.text(16 + index * 62, TOP + 8, word, 13, (70, 76, 88))
    canvas.box(0, TOP + 64, WIDTH, 26, (232, 235, 240))
    for column, head in enumerate(HEADS):
        canvas.text(60 + column * 118, TOP + 70, head, 13, MUTED)
    chosen = (now.one(0, 13), now.one(1, 5))
    for row, place in enumerate(PLACES):
        y = TOP + 90 + row * 30
        canvas.box(0, y, 48, 30, (240, 242, 245))
        canvas.middle(24, y + 15, str(row + 1), 12, MUTED)
        canvas.text(60, y + 7, place, 14)
        values = own.many(5, 900) + 100
        for column, value in enumerate(values.tolist()):
            x = 60 + (column + 1) * 118
            if (row, column + 1) == chosen:
                canvas.box(x - 8, y, 116, 30, (208, 224, 244))
            if row * 5 + column < 20 + variant * 6:
                canvas.text(x, y + 7, f"{value / 10:.1f}", 14)
        canvas.text(60 + 6 * 118, y + 7, f"{int(values.sum()) / 10:.1f}", 14, (62, 96, 140))
        canvas.box(0, y + 29, 900, 1, LINE)
    canvas.text(116, TOP + 38, f"={scene.subject.rpartition('.')[0]}", 14, (70, 76, 88))
    canvas.box(920, TOP + 120, 330, 260, PAPER, round_px=8)
    heights = own.many(8, 150) + 40
    for bar, height in enumerate(heights.tolist()):
        canvas.box(948 + bar * 36, TOP + 350 - height, 24, height, own.pick(TINTS), round_px=3)
    canvas.text(948, TOP + 132, scene.subject.rpartition(".")[0], 15, INK, most=280)
    canvas.box(0, HEIGHT - 28, WIDTH, 28, (232, 235, 240))
    canvas.text(60, HEIGHT - 22, "Sheet 1", 13, (70, 76, 88))


def mail(canvas: Canvas, scene: Scene, variant: int, own: Chance, now: Chance) -> None:
    """Folders, the list of letters, the one that is read."""
    canvas.box(0, TOP, 180, HEIGHT, (238, 241, 245))
    for row, name in enumerate(("Inbox", "Drafts", "Sent", "Archive", "Lists")):
        canvas.text(24, TOP + 20 + row * 34, name, 15, (62, 68, 80))
    canvas.box(180, TOP, 1, HEIGHT, LINE)
    chosen = now.one(0, 3) if variant % 3 else 0
    for row in range(10):
        y = TOP + row * 76
        if row == chosen:
            canvas.box(181, y, 379, 75, (222, 233, 247))
        canvas.dot(206, y + 26, 5, TINTS[0] if row < 3 else (214, 218, 224))
        canvas.text(224, y + 12, own.pick(PEOPLE), 15)
        subject = scene.subject if row == chosen else own.pick(SENTENCES)
        canvas.text(224, y + 36, subject, 14, (70, 76, 88), most=320)
        canvas.box(181, y + 75, 379, 1, LINE)
    canvas.box(560, TOP, WIDTH, HEIGHT, PAPER)
    canvas.text(596, TOP + 30, scene.subject, 24, INK, most=640)
    canvas.dot(614, TOP + 92, 18, own.pick(TINTS))
    sender = own.pick(PEOPLE)
    canvas.middle(614, TOP + 92, sender[0], 16, PAPER)
    canvas.text(644, TOP + 76, sender, 15)
    canvas.text(644, TOP + 96, "to Ada", 13, MUTED)
    y = TOP + 140
    canvas.text(596, y, "Hello Ada,", 15)
    for _ in range(3):
        y = canvas.paragraph(596, y + 36, " ".join(now.pick(SENTENCES) for _ in range(3)), 620)
    canvas.text(596, y + 30, f"Best wishes, {sender.split()[0]}", 15)


def chat(canvas: Canvas, scene: Scene, variant: int, own: Chance, now: Chance) -> None:
    """Rooms at the left, messages with faces, the line to write in."""
    del now
    canvas.box(0, TOP, 240, HEIGHT, (40, 45, 58))
    for row, name in enumerate((scene.subject, "General", *PEOPLE[:5])):
        y = TOP + 18 + row * 40
        if row == 0:
            canvas.box(10, y - 8, 220, 34, (62, 70, 90), round_px=8)
        canvas.text(28, y, name, 15, (222, 226, 234), most=190)
    canvas.box(240, TOP, WIDTH, HEIGHT, PAPER)
    canvas.text(272, TOP + 18, scene.subject, 20)
    canvas.box(240, TOP + 54, WIDTH, 1, LINE)
    first = own.one(0, 8) + variant
    for row in range(9):
        y = TOP + 76 + row * 68
        person = PEOPLE[(first + row) * 5 % len(PEOPLE)]
        canvas.dot(296, y + 20, 18, TINTS[PEOPLE.index(person)])
        canvas.middle(296, y + 20, person[0], 16, PAPER)
        end = canvas.text(328, y, person, 15)
        minute = (first + row) * 7
        canvas.text(end + 12, y + 2, f"{9 + minute // 60}:{minute % 60:02}", 12, MUTED)
        canvas.text(328, y + 22, REPLIES[(first + row) % len(REPLIES)], 15, (62, 68, 80))
    canvas.box(268, HEIGHT - 58, 980, 40, (242, 244, 247), round_px=10)
    canvas.text(288, HEIGHT - 46, f"Message {scene.subject}", 15, MUTED)


def call(canvas: Canvas, scene: Scene, variant: int, own: Chance, now: Chance) -> None:
    """Faces in tiles; who speaks has a frame. The clock of the call goes on."""
    canvas.box(0, TOP, WIDTH, HEIGHT, (26, 29, 36))
    speaker = now.one(0, 5)
    for tile in range(6):
        x, y = 40 + tile % 3 * 406, TOP + 30 + tile // 3 * 330
        if tile == speaker:
            canvas.box(x - 4, y - 4, 396, 318, (120, 186, 128), round_px=14)
        tint = TINTS[(tile + own.one(0, 5)) % 6]
        canvas.box(x, y, 388, 310, mix(tint, NIGHT, 62), round_px=12)
        canvas.dot(x + 194 + now.near(0, 5), y + 128, 58, mix(tint, PAPER, 55))
        canvas.box(x + 104, y + 206, 180, 104, mix(tint, PAPER, 30), round_px=50)
        canvas.text(x + 16, y + 282, PEOPLE[tile], 15, (236, 238, 244))
    canvas.box(440, HEIGHT - 66, 400, 50, (44, 48, 60), round_px=24)
    minutes = 3 + variant * 4 % 55
    canvas.middle(
        640, HEIGHT - 41, f"{scene.subject}   {minutes:02}:{now.one(0, 59):02}", 15, PAPER
    )


def writer(canvas: Canvas, scene: Scene, variant: int, own: Chance, now: Chance) -> None:
    """A page that grows from variant to variant."""
    del now
    canvas.box(0, TOP, WIDTH, HEIGHT, (226, 229, 234))
    canvas.box(0, TOP, WIDTH, 40, (246, 247, 249))
    for index, word in enumerate(("File", "Edit", "View", "Insert", "Styles", "Tools")):
        canvas.text(16 + index * 66, TOP + 12, word, 13, (70, 76, 88))
    canvas.box(270, TOP + 62, 740, HEIGHT, PAPER)
    canvas.text(340, TOP + 118, scene.subject.rpartition(".")[0], 30, INK, most=600)
    y = TOP + 178
    for _ in range(min(2 + variant, 6)):
        words = " ".join(own.pick(SENTENCES) for _ in range(own.one(2, 4)))
        y = canvas.paragraph(340, y, words, 600, 16) + 16
    canvas.box(340, min(y, HEIGHT - 30), 2, 20, INK)


def video(canvas: Canvas, scene: Scene, variant: int, own: Chance, now: Chance) -> None:
    """A film: its picture changes, the bar below moves on."""
    _address(canvas, scene, own)
    canvas.box(0, TOP + 74, WIDTH, HEIGHT, (20, 22, 27))
    landscape(canvas, 120, TOP + 100, 1040, 520, now)
    canvas.box(120, TOP + 620, 1040, 200, (20, 22, 27))
    played = 40 + variant * 61 % 960
    canvas.box(120, TOP + 626, 1040, 5, (70, 74, 84))
    canvas.box(120, TOP + 626, played, 5, (214, 92, 84))
    canvas.dot(120 + played, TOP + 628, 7, (232, 122, 112))
    canvas.text(120, TOP + 656, scene.subject, 26, (238, 240, 245), most=1000)
    canvas.text(120, TOP + 700, own.pick(SENTENCES), 15, (150, 156, 168))


def music(canvas: Canvas, scene: Scene, variant: int, own: Chance, now: Chance) -> None:
    """A cover, the piece's name and the list of what follows."""
    del now
    canvas.box(0, TOP, WIDTH, HEIGHT, (246, 243, 238))
    landscape(canvas, 80, TOP + 70, 380, 380, own)
    canvas.box(80, TOP + 450, 380, 180, (246, 243, 238))
    canvas.text(80, TOP + 474, scene.subject, 24, INK, most=400)
    canvas.text(80, TOP + 512, own.pick(PEOPLE), 16, MUTED)
    for row in range(11):
        y = TOP + 70 + row * 54
        if row == variant % 11:
            canvas.box(520, y - 8, 700, 46, (234, 226, 214), round_px=8)
        canvas.text(544, y + 4, f"{row + 1}", 16, MUTED)
        canvas.text(590, y + 4, own.pick(SENTENCES).split(",")[0], 16, INK, most=540)
        canvas.text(1160, y + 4, f"{own.one(2, 6)}:{own.one(0, 59):02}", 16, MUTED)


LOOKS: dict[str, Look] = {
    EDITOR: editor,
    TERMINAL: terminal,
    BROWSER: browser,
    SHEET: sheet,
    MAIL: mail,
    CHAT: chat,
    CALL: call,
    WRITER: writer,
    VIDEO: video,
    MUSIC: music,
}
DARK = frozenset({EDITOR, TERMINAL, CALL, VIDEO})
