"""``lifelog init`` and ``lifelog verify``: the lake itself."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from lifelog_lake.cli.options import HomeOption, JsonOption, extra, here, refuse_second
from lifelog_lake.cli.output import err, number, say, say_json
from lifelog_lake.clock import US_PER_S
from lifelog_lake.errors import LifelogError, UsageError
from lifelog_lake.units import size

if TYPE_CHECKING:
    from lifelog_lake.care.repair import Repaired
    from lifelog_lake.home import Home
    from lifelog_lake.lake.verify import Report

DAY_US = 86_400 * US_PER_S


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
    new_device: Annotated[
        bool,
        typer.Option(
            "--new-device", help="This home was copied from another device: give it its own id."
        ),
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
      lifelog init --new-device
    """
    from lifelog_lake import config
    from lifelog_lake.collect import registry
    from lifelog_lake.lake import init_lake, parse_url
    from lifelog_lake.lake.identity import known_lake

    opened = here(context, home)
    if config.write_default(opened.path, registry.models()):
        say(f"Wrote the settings {opened.path / config.CONFIG_NAME}")
    if new_device:
        opened = _renew_device(opened)
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


def _renew_device(opened: Home) -> Home:
    """Begin anew as another device; what waits is shipped as that one's."""
    from lifelog_lake import twin
    from lifelog_lake.clock import SystemClock
    from lifelog_lake.collect.health import write_status
    from lifelog_lake.home import renew_device
    from lifelog_lake.spool import Spool

    refuse_second(opened)
    clock = SystemClock()
    renewed = renew_device(opened, clock)
    Spool.of(renewed, clock).start_over()
    write_status(renewed.run, {"state": "stopped"})  # how the other one ended is none of ours
    twin.forget(renewed.run)
    say(f"This was {opened.device}; what it recorded until now stays that device's.")
    return renewed


def verify(
    context: typer.Context,
    read_data: Annotated[
        bool, typer.Option("--read-data", help="Read every byte and compare it with its hash.")
    ] = False,
    sample: Annotated[
        int | None,
        typer.Option(
            "--sample",
            metavar="DAYS",
            min=1,
            max=3660,
            help="Read today's share of the bytes; all of them in so many days.",
        ),
    ] = None,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="Mend what is found, or set it aside with a record; deletes nothing."
        ),
    ] = False,
    copy: Annotated[
        str | None,
        typer.Option("--from", metavar="URL", help="A copy of the lake to fetch from."),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prove that the lake has every row once and every file as it was written.

    Exit code 1 if there are findings (that are left, with --repair), 3 if the lake can't be
    reached.

    \b
    Examples:
      lifelog verify
      lifelog verify --read-data
      lifelog verify --sample 30
      lifelog verify --read-data --repair --from /mnt/backup/lake
    """
    from lifelog_lake.clock import SystemClock

    if copy is not None and not repair:
        raise UsageError("--from is for --repair.", hint="Add --repair.")
    with extra("Verifying the lake", "device"):
        from lifelog_lake.care import verified
        from lifelog_lake.care.repair import repair as repair_lake
        from lifelog_lake.lake import parse_url, require_known
        from lifelog_lake.lake.verify import Share
        from lifelog_lake.lake.verify import verify as verify_lake
    opened = here(context, home)
    store = parse_url(opened.lake_url, opened)
    require_known(opened, store)
    clock = SystemClock()
    share = None if sample is None else Share.of_day(sample, clock.wall_us() // DAY_US)

    def check() -> Report:
        if not sys.stderr.isatty():
            return verify_lake(store, read_data=read_data, share=share)
        with err().status("Verifying …") as line:
            return verify_lake(
                store,
                read_data=read_data,
                share=share,
                progress=lambda where: line.update(f"Verifying {where} …"),
            )

    report, repaired = check(), None
    if repair and report.findings:
        source = None if copy is None else parse_url(copy, opened)
        repaired = repair_lake(opened, store, source, report, check, clock)
        report = repaired.report
    try:
        verified.keep(store, report, at=clock.wall_us(), device=opened.device, read_data=read_data)
    except LifelogError as error:
        told = f"The hub's health page won't know of this result: {error}"
        err().print(told, markup=False, highlight=False)
    if as_json:
        told_repair = None if repaired is None else {
            "done": [dataclasses.asdict(one) for one in repaired.done],
            "offered": repaired.offered,
            "lost": repaired.lost,
        }  # fmt: skip
        say_json(
            {
                "lake": opened.lake_url,
                "read_data": read_data,
                "repair": told_repair,
                **dataclasses.asdict(report),
            }
        )
    else:
        if repaired is not None:
            _say_repaired(repaired)
        _say_report(report, opened.lake_url, reads=read_data or sample is not None)
    if report.findings:
        raise typer.Exit(1)


def _say_repaired(repaired: Repaired) -> None:
    words = {"mended": "Mended", "set-aside": "Set aside", "left": "Left"}
    for one in repaired.done:
        say(f"{words[one.outcome]}: {one.finding.where}: {one.finding.message}", style="yellow")
        say(f"  {one.message}")
    for stream in repaired.offered:
        say(f"Offered again what this device keeps of {stream}.")
    for what in repaired.lost:
        say(f"Lost, and on record: {what}", style="yellow")


def _say_report(report: Report, url: str, *, reads: bool) -> None:
    for loss in report.recorded:
        say(f"Recorded when it happened: {loss}")
    for finding in report.findings:
        say(f"Finding: {finding.where}: {finding.message}", style="yellow")
        if finding.depends:
            say(f"         {finding.depends} depend on it.")
        say(f"         {finding.hint}")
    looked = ", ".join(
        (
            number(report.tables, "table"),
            number(report.rows, "row"),
            number(report.files, "file"),
            number(report.blobs, "blob"),
        )
    )
    read = f", {size(report.bytes_read)} read" if reads else ""
    found = number(len(report.findings), "finding") if report.findings else "No findings"
    say(f"{found} in {looked}{read}: {url}")
