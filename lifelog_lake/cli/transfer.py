"""``lifelog export`` and ``lifelog import``: the journal as a file, and back."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from lifelog_lake.cli.entries import Fields, File, audit, opened_journal
from lifelog_lake.cli.event import HubOption, one_line
from lifelog_lake.cli.options import HomeOption, JsonOption, extra, home_path
from lifelog_lake.cli.output import err, number, say, say_json
from lifelog_lake.cli.progress import Shown, bar
from lifelog_lake.errors import UsageError

if TYPE_CHECKING:
    from lifelog_lake.cli.hub import Hub
    from lifelog_lake.recall.journal.journal import Journal


def add_to(app: typer.Typer) -> None:
    """Put the commands into the tree."""
    app.command("export")(export)
    app.command("import")(import_)


def export(
    context: typer.Context,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="Where to; - is standard output.")
    ],
    format_: Annotated[
        str | None,
        typer.Option("--format", help="json, jsonl or zip (with files); default: by FILE's name."),
    ] = None,
    history: Annotated[
        bool, typer.Option("--history", help="With the earlier revisions of each entry.")
    ] = False,
    hub: HubOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write all entries into a file: all of them or, if anything fails, none.

    \b
    Examples:
      lifelog export --out journal.zip
      lifelog export --out - --format jsonl | jq .title
    """
    if str(out) == "-" and as_json:
        raise UsageError("--json has no place beside an export to standard output.")
    from lifelog_lake.recall.journal import exporting

    named = "" if format_ or str(out) == "-" else exporting.format_of(out)
    kind = cast("exporting.Format", _format(format_ or named, ("json", "jsonl", "zip")))
    done = exporting.Exported(lost=[])
    with contextlib.ExitStack() as held:
        shown = held.enter_context(bar("Exporting", "entries" if hub is None else "bytes"))
        if hub is not None:
            from lifelog_lake.cli.hub import Hub

            pieces = _from_hub(Hub.at(hub, home_path(context, home)), kind, shown, history=history)
        else:
            journal, opened = held.enter_context(opened_journal(context, home))
            audit(opened, "export", format=kind, history=history)
            pieces = exporting.stream(journal, kind, done, history=history, progress=shown)
        _write(pieces, out)
    if as_json:
        say_json({"out": str(out), **({} if hub is not None else dataclasses.asdict(done))})
    elif str(out) != "-" and hub is not None:
        say(f"Exported to {out}")
    elif str(out) != "-":
        files = f", {number(done.files, 'file')}" if kind == "zip" else ""
        say(f"Exported {number(done.entries, 'entry', 'entries')}{files} to {out}")
    for lost in done.lost:
        err().print(f"Finding: The content of the attachment {lost} is lost.", style="yellow")
    if done.lost:
        raise typer.Exit(1)


def _from_hub(hub: Hub, kind: str, shown: Shown | None, *, history: bool) -> Iterator[bytes]:
    done = 0
    for piece in hub.export(kind, history=history):
        yield piece
        done += len(piece)
        if shown is not None:
            shown(done, None)


def _write(pieces: Iterator[bytes], out: Path) -> None:
    from lifelog_lake.recall.journal.exporting import whole_file

    if out.is_fifo() or out.is_char_device():  # >(gzip), /dev/stdout: nothing to put in its place
        with out.open("wb") as file:
            file.writelines(pieces)
        return
    if str(out) != "-":
        with whole_file(out) as file:
            file.writelines(pieces)
        return
    try:
        sys.stdout.buffer.writelines(pieces)
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # who reads it has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None


def import_(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An export, CSV or JSON Lines.")],
    format_: Annotated[
        str | None,
        typer.Option("--format", help="json, jsonl, zip or csv; default: by FILE's name."),
    ] = None,
    columns: Annotated[
        str,
        typer.Option(
            "--map", metavar="FIELD=COLUMN,…", help="Which column is which field, if named so."
        ),
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would come, and write nothing.")
    ] = False,
    hub: HubOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring entries in; what is there already is left as it is, so it may be repeated.

    All of the file is checked first: if anything in it is wrong, nothing is written.

    \b
    Examples:
      lifelog import journal.zip
      lifelog import notes.csv --map title=Summary,at=When --dry-run
      lifelog import - --format jsonl < notes.jsonl
    """
    by_name = file.suffix.lower().removeprefix(".").replace("ndjson", "jsonl")
    kind = _format(format_ or by_name, ("json", "jsonl", "zip", "csv"))
    if hub is not None:
        from lifelog_lake.cli.hub import Hub

        with File.opened(file) as opened:
            where = Hub.at(hub, home_path(context, home))
            done = where.bring(opened, kind, columns, dry_run=dry_run)
    else:
        with (
            opened_journal(context, home) as (journal, there),
            bar("Importing", "bytes") as progress,
            _seekable(file) as path,
        ):
            done = _brought(journal, path, kind, columns, progress, dry_run=dry_run)
            if not dry_run:
                audit(there, "import", entries=done["entries"], changes=done["changes"])
    if as_json:
        say_json(done)
        return
    said = (
        f"{number(done['entries'], 'new entry', 'new entries')}, "
        f"{number(done['changes'], 'change')}, {number(done['files'], 'file')}; "
        f"{done['present']} there already"
    )
    say(f"Would bring in {said}" if dry_run else f"Brought in {said}")
    if dry_run:
        for title in done["first"]:
            say(f"  {one_line(title)}")
        if done["entries"] > len(done["first"]):
            say("  …")
    if done["without_content"]:
        files = number(done["without_content"], "attachment")
        say(f"Left out {files}: the file only names them. A zip has their content.")


def _brought(
    journal: Journal,
    path: Path,
    kind: str,
    columns: str,
    progress: Shown | None,
    *,
    dry_run: bool,
) -> Fields:
    with extra("Importing", "hub"):
        from lifelog_lake.recall.journal import importing
        from lifelog_lake.recall.journal.foreign import Columns

    done = importing.import_file(
        journal,
        path,
        cast("importing.Format", kind),
        columns=Columns.parse(columns),
        dry_run=dry_run,
        progress=progress,
    )
    return {"dry_run": dry_run, **dataclasses.asdict(done)}


def _format(given: str, known: tuple[str, ...]) -> str:
    if given.lower() in known:
        return given.lower()
    raise UsageError(
        f"There is no format {given[:20]!r} here." if given else "Which format is it?",
        hint=f"Say --format {', '.join(known)}.",
    )


@contextlib.contextmanager
def _seekable(path: Path) -> Iterator[Path]:
    """A file that can be read twice: what comes from stdin or a pipe is kept meanwhile."""
    if str(path) != "-" and not path.is_fifo():
        yield path
        return
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as held:
        copy = Path(directory) / "stdin"
        given = sys.stdin.buffer if str(path) == "-" else held.enter_context(path.open("rb"))
        with copy.open("wb") as file:
            shutil.copyfileobj(given, file)
        yield copy
