"""``lifelog search``: find events by what was written in them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.text import Text

from lifelog_lake.cli.options import HomeOption, JsonOption, extra, here
from lifelog_lake.cli.output import err, local, number, out, plain, say, say_json

if TYPE_CHECKING:
    from lifelog_lake.recall.search.find import Found, Hit

#: Of an address that is longer only the beginning is shown.
MOST_ADDRESS = 100


def add_to(app: typer.Typer) -> None:
    """Put the command into the tree."""
    app.command("search")(search)


def search(
    context: typer.Context,
    query: Annotated[
        list[str] | None, typer.Argument(help="Words, as in the box of the search page.")
    ] = None,
    stream: Annotated[
        list[str] | None, typer.Option("--stream", help="Only of this stream; several times: any.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", help="Only with this tag.")] = None,
    any_tag: Annotated[
        bool, typer.Option("--any", help="Of several --tag one is enough; else all must be there.")
    ] = False,
    device: Annotated[
        list[str] | None, typer.Option("--device", help="Only of this device; several times: any.")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--start", metavar="TIME", help="A day or a time, or today.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--end", metavar="TIME", help="Until then, itself excluded.")
    ] = None,
    newest: Annotated[
        bool, typer.Option("--newest", help="The newest first, not the best.")
    ] = False,
    recency: Annotated[
        float, typer.Option("--recency", metavar="DAYS", help="Let a rank fall with age.")
    ] = 0.0,
    semantic: Annotated[
        bool, typer.Option("--semantic", help="Also what is near in meaning (docs/search.md).")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", help="Most hits.")] = 20,
    cursor: Annotated[
        str | None, typer.Option("--cursor", help="The next page, as the last one names it.")
    ] = None,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Make the index anew, then search if asked to.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find notes, titles, pages and words that stood on the screen.

    Exit code 2 for a query that can't be read, 3 if the lake can't be reached.

    \b
    Examples:
      lifelog search budget report
      lifelog search '"annual report" OR budg* NOT draft' --newest
      lifelog search 'tag:work after:2026-01 site:example.org' --json
      lifelog search --rebuild
    """
    with extra("Searching the lake", "hub"):
        from lifelog_lake.lake import parse_url, require_known
        from lifelog_lake.recall.meaning.nearest import meaning_of
        from lifelog_lake.recall.pending import pending
        from lifelog_lake.recall.search.find import Finder
        from lifelog_lake.recall.search.request import request
    words = " ".join(query or ())
    order: Literal["best", "newest"] = "newest" if newest else "best"
    asked = request(
        words,
        stream,
        device,
        tag,
        "any" if any_tag else "all",
        start,
        end,
        order,
        recency,
        limit,
        semantic,
    )
    narrowed = bool(words.strip() or stream or tag or device or start or end)
    if narrowed or not rebuild:
        asked.node()  # what is wrong is said before anything is made
    opened = here(context, home)
    store = parse_url(opened.lake_url, opened)
    require_known(opened, store)
    finder = Finder(
        opened.path, store, meaning=meaning_of(opened, store), outlet=partial(pending, opened)
    )
    with _progress() as told:
        filled = finder.index.rebuild(told=told) if rebuild else finder.refresh(told=told)
    for trouble in filled.unreadable if filled is not None else ():
        err().print(plain(trouble), markup=False, highlight=False)
    if rebuild and not narrowed:
        added = 0 if filled is None else filled.added
        say(f"The index of {store.url} is made anew: {number(added, 'document')}.")
        return
    found = finder.find(asked, cursor=cursor, total=True, facets=as_json)
    if as_json:
        say_json({"lake": opened.lake_url, **answer(found)})
    else:
        _show(found)


def answer(found: Found) -> dict[str, object]:
    """For programs, as the REST API gives it too."""
    from lifelog_lake.recall.search.answer import as_json

    return as_json(found)


def _show(found: Found) -> None:
    for _, alike in groupby(found.hits, _says):
        _show_hit(*alike)
    total = found.total or 0
    shown = f" (the first {len(found.hits)} shown)" if total > len(found.hits) else ""
    say(f"{number(total, 'hit')}{shown}", style="dim")
    if found.cursor is not None:
        say(f"The next ones: --cursor {found.cursor}", style="dim")


def _says(hit: Hit) -> tuple[object, ...]:
    """What a hit says; those that say the same one after the other are one line."""
    of = hit.document
    return of.stream, of.device, of.title, of.app, of.url, hit.snippet.text


def _show_hit(hit: Hit, *alike: Hit) -> None:
    of = hit.document
    line = Text(f"{local(of.at)}  {of.stream:<10} ", style="dim")
    piece = Text(plain(hit.snippet.text), style="not dim")
    for first, last in hit.snippet.marks:
        piece.stylize("bold yellow", first, last)
    line.append_text(piece)
    title = of.title if of.title and of.title not in hit.snippet.text else None
    beside = [title, of.app, (of.url or "")[:MOST_ADDRESS], *(f"#{tag}" for tag in of.tags)]
    if told := " · ".join(plain(text) for text in beside if text):
        line.append(f"  {told}")
    if alike:
        line.append(f"  and {len(alike)} more like it, the last {local(alike[-1].document.at)}")
    out().print(line)


@contextmanager
def _progress() -> Iterator[Callable[[int], None] | None]:
    if not sys.stderr.isatty():
        yield None
        return
    with err().status("Looking what is new …") as status:
        yield lambda count: status.update(f"Indexing … {count:,} documents")
