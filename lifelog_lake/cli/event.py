"""``lifelog event …``: entries that a person writes."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Literal, cast

import orjson
import typer
import tzlocal

from lifelog_lake.cli.options import HomeOption, JsonOption, extra, here
from lifelog_lake.cli.output import err, local, number, say, say_json, size
from lifelog_lake.clock import utc
from lifelog_lake.errors import FileRefused, UsageError

if TYPE_CHECKING:
    from lifelog_lake.recall.journal.journal import Journal, Upload
    from lifelog_lake.recall.journal.model import Entry

app = typer.Typer(no_args_is_help=True, help="Entries that you write: moments, receipts, notes.")

#: What a text from stdin is cut at: more than an entry may have.
MOST_STDIN_BYTES = 4 * 1024 * 1024

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The entry's id.")]
DescOption = Annotated[str | None, typer.Option("--desc", help="The text; - reads it from stdin.")]
TagsOption = Annotated[str | None, typer.Option("--tags", help="Labels, commas between.")]
AtOption = Annotated[
    str | None,
    typer.Option(
        "--at", metavar="TIME", help="When it was or will be, e.g. 2026-05-31T18:30; default: now."
    ),
]
MetaOption = Annotated[
    str | None, typer.Option("--meta", metavar="JSON", help="Your own fields; - reads from stdin.")
]
RevisionOption = Annotated[
    str | None,
    typer.Option("--if-revision", metavar="REVISION", help="Only if this is still the newest."),
]


@contextlib.contextmanager
def opened_journal(
    context: typer.Context, home: Path | None, *, reads: bool = True
) -> Iterator[Journal]:
    """The journal of the home; one that ``reads`` needs the extra that reads tables."""
    opened = here(context, home)
    if reads:
        with extra("Reading entries", "hub"):
            import polars  # noqa: F401, ICN001 - only whether it is there
    from lifelog_lake.recall.journal.spooled import open_journal

    with contextlib.closing(open_journal(opened)) as journal:
        yield journal
        if journal.away is not None:
            err().print(f"The lake can't be reached: {journal.away.message}", style="yellow")
            err().print("Shown is what this home knows; what you write is kept and goes there.")


@app.command("create")
def create(
    context: typer.Context,
    title: Annotated[str, typer.Option("--title", help="One line; - reads it from stdin.")],
    desc: DescOption = None,
    tags: TagsOption = None,
    at: AtOption = None,
    meta: MetaOption = None,
    attach: Annotated[
        list[Path] | None,
        typer.Option("--attach", metavar="FILE", help="A file to attach; any number of times."),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write an entry. It is kept at once, also without a lake in reach.

    \b
    Examples:
      lifelog event create --title "Dinner with Ada" --tags family,food
      lifelog event create --title Receipt --meta '{"total": 12.5}' --attach receipt.pdf
      pbpaste | lifelog event create --title Clipping --desc -
    """
    from lifelog_lake.recall.journal.model import NewEntry, parse

    if [title, desc, meta, *map(str, attach or ())].count("-") > 1:
        raise UsageError("Only one of them can come from stdin.")
    given = {"title": title} | _fields(desc, tags, at, meta)
    if title == "-":
        given["title"] = _stdin_text().strip()
    entry_given = parse(NewEntry, given)
    with opened_journal(context, home, reads=False) as journal, contextlib.ExitStack() as held:
        opened = [_opened(path, held) for path in attach or ()]
        for path, file in zip(attach or (), opened, strict=True):  # all are fine, or none is kept
            _check(path, file, journal)
        uploads = [_upload(path, file) for path, file in zip(attach or (), opened, strict=True)]
        entry = journal.create(entry_given, uploads)
    _say_entry(entry, as_json=as_json)


@app.command("attach")
def attach(
    context: typer.Context,
    entry_id: IdArgument,
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE]...", help="Files; - is stdin.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="What to call what comes from stdin.")
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option("--remove", metavar="KEY", help="Take an attached file away, by its key."),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Attach files to an entry, or take them away.

    What a file is, is judged by its content; [journal] says how many, how large, of which types.

    \b
    Examples:
      lifelog event attach ID photo.jpg receipt.pdf
      scan | lifelog event attach ID - --name scan.pdf
      lifelog event attach ID --remove KEY
    """
    if not files and not remove:
        raise UsageError("Nothing to attach.", hint="Name a file, or - for stdin.")
    with opened_journal(context, home) as journal, contextlib.ExitStack() as held:
        with extra("Attaching files", "device"):
            import puremagic  # noqa: F401
        there = {file.key for file in journal.get(entry_id).attachments}
        for key in remove or ():
            if key not in there:
                raise UsageError(f"The entry has no attachment {key[:60]!r}.")
            journal.detach(key)
        for path in files or ():
            journal.attach(entry_id, _upload(path, _opened(path, held), name))
        entry = journal.get(entry_id)
    _say_entry(entry, as_json=as_json)


@app.command("show")
def show(
    context: typer.Context,
    entry_id: IdArgument,
    history: Annotated[
        bool, typer.Option("--history", help="All revisions, the oldest first.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show an entry, or with --history how it came to be; also of a deleted one.

    \b
    Examples:
      lifelog event show ID
      lifelog event show ID --history --json
    """
    with opened_journal(context, home) as journal:
        if not history:
            entry = journal.get(entry_id)
        else:
            found = journal.history(entry_id)
            if as_json:
                say_json({"id": entry_id, "revisions": [one.as_json() for one in found]})
                return
            for one in found:
                what = "deleted" if one.deleted else one.title
                say(f"{local(one.written_at)}  {one.device}  {one.id}  {what}")
            return
    _say_entry(entry, as_json=as_json)


@app.command("edit")
def edit(
    context: typer.Context,
    entry_id: IdArgument,
    title: Annotated[str | None, typer.Option("--title", help="One line.")] = None,
    desc: DescOption = None,
    tags: TagsOption = None,
    at: AtOption = None,
    meta: MetaOption = None,
    if_revision: RevisionOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change an entry; what isn't given stays. The text before stays in its history.

    \b
    Examples:
      lifelog event edit ID --title "Dinner with Ada and Tim"
      lifelog event edit ID --tags "" --at 2026-05-31
    """
    from lifelog_lake.recall.journal.model import Change, parse

    given = _fields(desc, tags, at, meta) | ({} if title is None else {"title": title})
    if not given:
        raise UsageError("Nothing to change.", hint="Give --title, --desc, --tags, --at or --meta.")
    change = parse(Change, given)
    with opened_journal(context, home) as journal:
        entry = journal.edit(entry_id, change, expected=if_revision)
    _say_entry(entry, as_json=as_json)


@app.command("delete")
def delete(
    context: typer.Context,
    entry_id: IdArgument,
    if_revision: RevisionOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete an entry. Its revisions stay in the lake: lifelog event show ID --history.

    \b
    Examples:
      lifelog event delete ID
    """
    with opened_journal(context, home) as journal:
        journal.delete(entry_id, expected=if_revision)
    if as_json:
        say_json({"id": entry_id, "deleted": True})
    else:
        say(f"Deleted {entry_id}")


@app.command("list")
def list_(
    context: typer.Context,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", help="Only with this tag; any number of times.")
    ] = None,
    any_: Annotated[
        bool, typer.Option("--any", help="One of the tags is enough, not all of them.")
    ] = False,
    device: Annotated[
        list[str] | None, typer.Option("--device", help="Only what was written there last.")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--start", metavar="TIME", help="From this time or day on.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--end", metavar="TIME", help="Before this time or day.")
    ] = None,
    sort: Annotated[str, typer.Option("--sort", help="By at or created_at.")] = "at",
    oldest: Annotated[bool, typer.Option("--oldest", help="The oldest first.")] = False,
    limit: Annotated[int, typer.Option("--limit", help="Entries a page, at most 500.")] = 20,
    cursor: Annotated[
        str | None, typer.Option("--cursor", help="The next page, as the one before names it.")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List entries, the newest first.

    \b
    Examples:
      lifelog event list
      lifelog event list --tag family --start 2026-01-01 --end 2026-02-01
    """
    from lifelog_lake.recall.journal.pages import Query

    query = Query(
        sort="created_at" if sort == "created_at" else _only_at(sort),
        newest_first=not oldest,
        tags=tuple(tag or ()),
        match="any" if any_ else "all",
        devices=tuple(device or ()),
        start=None if start is None else _bound(start),
        end=None if end is None else _bound(end),
    )
    with opened_journal(context, home) as journal:
        page = journal.page(query, limit=limit, cursor=cursor)
    if as_json:
        entries = [entry.as_json() for entry in page.entries]
        say_json({"entries": entries, "cursor": page.cursor})
        return
    for entry in page.entries:
        now = entry.current
        at = shown_time(now.at).strftime("%Y-%m-%d %H:%M")
        tags = f"  [{', '.join(now.tags)}]" if now.tags else ""
        files = f"  ({number(len(entry.attachments), 'file')})" if entry.attachments else ""
        say(f"{entry.id}  {at}  {one_line(now.title)[:100]}{tags}{files}")
    if not page.entries:
        say("No entries.")
    if page.cursor is not None:
        say(f"More: --cursor {page.cursor}")


# -- parts -------------------------------------------------------------------------------------


def _fields(
    desc: str | None, tags: str | None, at: str | None, meta: str | None
) -> dict[str, object]:
    """What the options say, as an entry's fields."""
    from lifelog_lake.recall.journal.foreign import local_time
    from lifelog_lake.recall.journal.model import parse_json

    if [desc, meta].count("-") > 1:
        raise UsageError("Only one of them can come from stdin.")
    given: dict[str, object] = {}
    if desc is not None:
        given["description"] = _stdin_text() if desc == "-" else desc
    if tags is not None:
        given["tags"] = [tag for tag in tags.split(",") if tag.strip()]
    if at is not None:
        given["at"] = local_time(at)
    if meta is not None:
        given["metadata"] = parse_json(_stdin_text() if meta == "-" else meta, "--meta")
    return given


def _stdin_text() -> str:
    try:
        return sys.stdin.buffer.read(MOST_STDIN_BYTES).decode()
    except UnicodeDecodeError:
        raise UsageError("What comes from stdin isn't UTF-8 text.") from None


def _bound(text: str) -> int:
    from lifelog_lake.recall.journal.foreign import local_time
    from lifelog_lake.recall.journal.model import time_us

    try:
        return time_us(local_time(text))
    except ValueError as error:
        raise UsageError(
            f"{text[:40]!r} isn't a time: {error}.", hint="Write 2026-01-02 or 2026-01-02T15:04."
        ) from None


def _only_at(sort: str) -> Literal["at"]:
    if sort != "at":
        raise UsageError(f"Entries can't be sorted by {sort[:40]!r}.", hint="By at or created_at.")
    return "at"


def _opened(path: Path, held: contextlib.ExitStack) -> BinaryIO:
    """A file to attach, or what comes from stdin, seekable."""
    try:
        if str(path) != "-":
            return held.enter_context(path.open("rb"))
        copy = tempfile.TemporaryFile()  # noqa: SIM115 - held by whoever asks
        held.callback(copy.close)
        shutil.copyfileobj(sys.stdin.buffer, copy)
        copy.seek(0)
        return cast("BinaryIO", copy)
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}.") from None


def _upload(path: Path, file: BinaryIO, name: str | None = None) -> Upload:
    from lifelog_lake.recall.journal.journal import Upload
    from lifelog_lake.recall.journal.outbox import chunks_of

    called = "stdin" if str(path) == "-" else path.name
    return Upload(chunks=chunks_of(file), name=name or called)


def _check(path: Path, file: BinaryIO, journal: Journal) -> None:
    """Read a file once to see whether it can be attached."""
    with extra("Attaching files", "device"):
        from lifelog_lake.recall.journal.content import check

    try:
        check(file, path.name, journal.settings)
    except FileRefused as error:
        raise UsageError(f"{path}: {error.message}", hint=error.hint) from None
    file.seek(0)


def _say_entry(entry: Entry, *, as_json: bool) -> None:
    if as_json:
        say_json(entry.as_json())
        return
    now = entry.current
    say(one_line(now.title), style="bold")
    say(f"Id        {entry.id}")
    say(f"At        {shown_time(now.at).isoformat(sep=' ', timespec='seconds')}")
    if now.tags:
        say(f"Tags      {', '.join(now.tags)}")
    if now.metadata:
        say(f"Fields    {orjson.dumps(now.metadata).decode()}")
    for file in entry.attachments:
        say(f"File      {file.name} ({size(file.size_bytes)}, {file.media_type}, key {file.key})")
    if now.description:
        say("")
        say("\n".join(one_line(line) for line in now.description.splitlines()))


def shown_time(at_us: int) -> datetime:
    """A time by this machine's clock; the system's own reckoning ends before 1970 on Windows."""
    return utc(at_us).astimezone(tzlocal.get_localzone())


def one_line(text: str) -> str:
    """A title for a terminal: control characters would move its cursor."""
    return "".join(c if c.isprintable() else " " for c in text)
