"""``lifelog event …``: entries that a person writes."""

from __future__ import annotations

import contextlib
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import orjson
import typer
import tzlocal

from lifelog_lake.cli.entries import JOURNAL, Fields, File, opened_entries
from lifelog_lake.cli.options import HomeOption, JsonOption
from lifelog_lake.cli.output import number, say, say_json
from lifelog_lake.cli.when import bound, when
from lifelog_lake.errors import UsageError
from lifelog_lake.units import size

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
HubOption = Annotated[
    str | None,
    typer.Option(
        "--hub",
        metavar="URL",
        envvar="LIFELOG_HUB",
        help="Through this hub's API; the token is never an option.",
    ),
]
RevisionOption = Annotated[
    str | None,
    typer.Option("--if-revision", metavar="REVISION", help="Only if this is still the newest."),
]


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
    hub: HubOption = None,
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
    with (
        opened_entries(context, home, hub, reads=False) as entries,
        contextlib.ExitStack() as held,
    ):
        files = [held.enter_context(File.opened(path)) for path in attach or ()]
        entry = entries.create(entry_given, files)
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
    hub: HubOption = None,
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
    if name is not None and "-" not in map(str, files or ()):
        raise UsageError("--name is for what comes from stdin.", hint="Give - as the file.")
    with opened_entries(context, home, hub) as entries:
        there = {file["key"] for file in entries.get(entry_id)["attachments"]}
        for key in remove or ():
            if key not in there:
                raise UsageError(f"The entry has no attachment {key[:60]!r}.")
            entries.detach(key)
        for path in files or ():
            with File.opened(path, name if str(path) == "-" else None) as file:
                entries.attach(entry_id, file)
        entry = entries.get(entry_id)
    _say_entry(entry, as_json=as_json)


@app.command("show")
def show(
    context: typer.Context,
    entry_id: IdArgument,
    history: Annotated[
        bool, typer.Option("--history", help="All revisions, the oldest first.")
    ] = False,
    hub: HubOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show an entry, or with --history how it came to be; also of a deleted one.

    \b
    Examples:
      lifelog event show ID
      lifelog event show ID --history --json
    """
    with opened_entries(context, home, hub) as entries:
        if not history:
            entry = entries.get(entry_id)
        else:
            found = entries.history(entry_id)
            if as_json:
                say_json({"id": entry_id, "revisions": found})
                return
            for one in found:
                what = "deleted" if one["deleted"] else one_line(one["title"])
                at = _shown(one["updated_at"]).isoformat(sep=" ", timespec="seconds")
                say(f"{at}  {one['device']}  {one['revision']}  {what}")
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
    hub: HubOption = None,
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
    with opened_entries(context, home, hub) as entries:
        entry = entries.edit(entry_id, change, if_revision)
    _say_entry(entry, as_json=as_json)


@app.command("delete")
def delete(
    context: typer.Context,
    entry_id: IdArgument,
    if_revision: RevisionOption = None,
    hub: HubOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete an entry. Its revisions stay in the lake, and undelete brings it back.

    \b
    Examples:
      lifelog event delete ID
    """
    with opened_entries(context, home, hub) as entries:
        entries.delete(entry_id, if_revision)
    if as_json:
        say_json({"id": entry_id, "deleted": True})
    else:
        say(f"Deleted {entry_id}")


@app.command("undelete")
def undelete(
    context: typer.Context,
    entry_id: IdArgument,
    hub: HubOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring a deleted entry back as it was last, with its files.

    \b
    Examples:
      lifelog event undelete ID
    """
    with opened_entries(context, home, hub) as entries:
        entry = entries.undelete(entry_id)
    _say_entry(entry, as_json=as_json)


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
    stream: Annotated[
        str, typer.Option("--stream", help="What another stream holds: window, sensor …")
    ] = JOURNAL,
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
    hub: HubOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List entries, the newest first; with --stream what another stream holds.

    \b
    Examples:
      lifelog event list
      lifelog event list --tag family --start 2026-01-01 --end 2026-02-01
      lifelog event list --stream window --start "today 9:00"
    """
    from lifelog_lake.recall.journal.pages import Query

    query = Query(
        sort="created_at" if sort == "created_at" else _only_at(sort),
        newest_first=not oldest,
        tags=tuple(tag or ()),
        match="any" if any_ else "all",
        devices=tuple(device or ()),
        start=None if start is None else bound(start),
        end=None if end is None else bound(end),
    )
    with opened_entries(context, home, hub) as entries:
        found, more = entries.page(query, limit, cursor, stream)
    if as_json:
        say_json({"entries": found, "cursor": more})
        return
    for entry in found:
        at = _shown(entry["at"]).strftime("%Y-%m-%d %H:%M")
        if stream != JOURNAL:
            what = "  ".join(filter(None, (entry["name"], entry["detail"], entry["url"])))
            say(f"{at}  {entry['device']}  {one_line(what)[:200]}".rstrip())
            continue
        tags = f"  [{', '.join(entry['tags'])}]" if entry["tags"] else ""
        count = len(entry["attachments"])
        files = f"  ({number(count, 'file')})" if count else ""
        say(f"{entry['id']}  {at}  {one_line(entry['title'])[:100]}{tags}{files}")
    if not found:
        say("No entries.")
    if more is not None:
        say(f"More: --cursor {more}")


# -- parts -------------------------------------------------------------------------------------


def _fields(
    desc: str | None, tags: str | None, at: str | None, meta: str | None
) -> dict[str, object]:
    """What the options say, as an entry's fields."""
    from lifelog_lake.recall.journal.model import parse_json

    if [desc, meta].count("-") > 1:
        raise UsageError("Only one of them can come from stdin.")
    given: dict[str, object] = {}
    if desc is not None:
        given["description"] = _stdin_text() if desc == "-" else desc
    if tags is not None:
        given["tags"] = [tag for tag in tags.split(",") if tag.strip()]
    if at is not None:
        given["at"] = when(at)
    if meta is not None:
        given["metadata"] = parse_json(_stdin_text() if meta == "-" else meta, "--meta")
    return given


def _stdin_text() -> str:
    try:
        return sys.stdin.buffer.read(MOST_STDIN_BYTES).decode()
    except UnicodeDecodeError:
        raise UsageError("What comes from stdin isn't UTF-8 text.") from None


def _only_at(sort: str) -> Literal["at"]:
    if sort != "at":
        raise UsageError(f"Entries can't be sorted by {sort[:40]!r}.", hint="By at or created_at.")
    return "at"


def _say_entry(entry: Fields, *, as_json: bool) -> None:
    if as_json:
        say_json(entry)
        return
    say(one_line(entry["title"]), style="bold")
    say(f"Id        {entry['id']}")
    say(f"At        {_shown(entry['at']).isoformat(sep=' ', timespec='seconds')}")
    if entry["tags"]:
        say(f"Tags      {', '.join(entry['tags'])}")
    if entry["metadata"]:
        say(f"Fields    {orjson.dumps(entry['metadata']).decode()}")
    for file in entry["attachments"]:
        what = f"{size(file['size_bytes'])}, {file['media_type']}, key {file['key']}"
        say(f"File      {file['name']} ({what})")
    if entry["description"]:
        say("")
        say("\n".join(one_line(line) for line in entry["description"].splitlines()))


def _shown(at: str) -> datetime:
    """A time by this machine's clock; the system's own reckoning ends before 1970 on Windows."""
    return datetime.fromisoformat(at).astimezone(tzlocal.get_localzone())


def one_line(text: str) -> str:
    """A title for a terminal: control characters would move its cursor."""
    return "".join(c if c.isprintable() else " " for c in text)
