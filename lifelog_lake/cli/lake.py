"""``lifelog init`` and ``lifelog verify``: the lake itself."""

from __future__ import annotations

import dataclasses
import sys
from typing import Annotated

import typer

from lifelog_lake.cli.options import HomeOption, JsonOption, extra, here, refuse_second
from lifelog_lake.cli.output import err, number, say, say_json
from lifelog_lake.errors import LifelogError, UsageError
from lifelog_lake.units import size


def add_to(app: typer.Typer) -> None:
    """Put the commands into the tree."""
    app.command("init")(init)
    app.command("verify")(verify)


def init(
    context: typer.Context,
    lake: Annotated[
        str | None,
        typer.Option("--lake", metavar="URL", help="A directory or s3://bucket/prefix."),
    ] = None,
    make_bucket: Annotated[
        bool, typer.Option("--make-bucket", help="Make the bucket first if it isn't there.")
    ] = False,
    home: HomeOption = None,
) -> None:
    """Make this device's home and its lake, or join a lake that is there. Safe to repeat.

    With --lake the address is written into config.toml.

    \b
    Examples:
      lifelog init
      lifelog init --lake /mnt/nas/lake
      lifelog init --lake s3://bucket/prefix
      lifelog init --lake s3://bucket/prefix --make-bucket
    """
    from lifelog_lake import config
    from lifelog_lake.collect import registry
    from lifelog_lake.lake import init_lake, parse_url
    from lifelog_lake.lake.identity import known_lake

    opened = here(context, home)
    if config.write_default(opened.path, registry.models()):
        say(f"Wrote the settings {opened.path / config.CONFIG_NAME}")
    url = None if lake is None else parse_url(lake, opened).url
    variable = config.variable_of(("lake", "url"))
    if url is not None and variable is not None and parse_url(opened.lake_url, opened).url != url:
        raise UsageError(
            f"The environment variable {variable} names another lake: {opened.lake_url}.",
            hint=f"Unset it, or give it to --lake: lifelog init --lake {opened.lake_url}",
        )
    if url is not None and parse_url(opened.lake_url, opened).url != url:
        refuse_second(opened)  # its shipper would go on with the lake of before
    if make_bucket:
        with extra("A lake on S3", "device"):
            from lifelog_lake.lake.s3.bucket import make_bucket as make
        address = url or opened.lake_url
        if make(address, opened):
            say(f"Made the bucket of {address}")
    before = known_lake(opened) if url is None else None
    identity = init_lake(opened, url)
    if url is not None:
        config.write_setting(opened.path, "lake", "url", url)
    say(f"Device {opened.device}")
    word = "Knows" if before == identity.lake_id else "Uses"
    say(f"{word} the lake {url or opened.lake_url} ({identity.lake_id})")


def verify(
    context: typer.Context,
    read_data: Annotated[
        bool, typer.Option("--read-data", help="Read every byte and compare it with its hash.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prove that the lake has every row once and every file as it was written.

    Exit code 1 if there are findings, 3 if the lake can't be reached.

    \b
    Examples:
      lifelog verify
      lifelog verify --read-data
    """
    from lifelog_lake.clock import SystemClock

    with extra("Verifying the lake", "device"):
        from lifelog_lake.care import verified
        from lifelog_lake.lake import parse_url, require_known
        from lifelog_lake.lake.verify import verify as verify_lake
    opened = here(context, home)
    store = parse_url(opened.lake_url, opened)
    require_known(opened, store)
    if sys.stderr.isatty():
        with err().status("Verifying …") as line:
            report = verify_lake(
                store,
                read_data=read_data,
                progress=lambda where: line.update(f"Verifying {where} …"),
            )
    else:
        report = verify_lake(store, read_data=read_data)
    try:
        verified.keep(
            store, report, at=SystemClock().wall_us(), device=opened.device, read_data=read_data
        )
    except LifelogError as error:
        told = f"The hub's health page won't know of this result: {error}"
        err().print(told, markup=False, highlight=False)
    if as_json:
        say_json({"lake": opened.lake_url, "read_data": read_data, **dataclasses.asdict(report)})
    else:
        for loss in report.recorded:
            say(f"Recorded when it happened: {loss}")
        for finding in report.findings:
            say(f"Finding: {finding.where}: {finding.message}", style="yellow")
            say(f"         {finding.hint}")
        looked = ", ".join(
            (
                number(report.tables, "table"),
                number(report.rows, "row"),
                number(report.files, "file"),
                number(report.blobs, "blob"),
            )
        )
        read = f", {size(report.bytes_read)} read" if read_data else ""
        found = number(len(report.findings), "finding") if report.findings else "No findings"
        say(f"{found} in {looked}{read}: {opened.lake_url}")
    if report.findings:
        raise typer.Exit(1)
