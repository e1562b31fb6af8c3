"""``lifelog token …`` and ``lifelog password``: who may use the hub."""

from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from lifelog_lake.cli.entries import audit
from lifelog_lake.cli.options import HomeOption, JsonOption, extra, here
from lifelog_lake.cli.output import local, say, say_json
from lifelog_lake.errors import UsageError

if TYPE_CHECKING:
    from lifelog_lake.server.tokens import Made

app = typer.Typer(no_args_is_help=True, help="Tokens by which programs use the hub's API.")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The token's name or id.")]


def add_to(tree: typer.Typer) -> None:
    """Put the commands into the tree."""
    tree.add_typer(app, name="token")
    tree.command("password")(password)


@app.command("create")
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for: phone, say.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            metavar="read|write|ingest",
            help="What it may do; any number of times. Default: read and write.",
        ),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token. It is shown this once; only its hash is kept.

    read: see everything. write: create, change and delete. ingest: create alone, see nothing.

    \b
    Examples:
      lifelog token create phone --scope ingest
      lifelog token create backup --scope read --json
    """
    from lifelog_lake.server.tokens import Tokens

    opened = here(context, home)
    made = Tokens(opened.path).create(name, scope or ("read", "write"))
    told = made.token
    audit(opened, "token.create", token=told.id, name=told.name, scopes=list(told.scopes))
    _say_made(made, as_json=as_json)


@app.command("list")
def list_(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Revoked ones too.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the tokens; never what they are.

    \b
    Example:
      lifelog token list
    """
    from lifelog_lake.server.tokens import Tokens
    from lifelog_lake.server.uses import read_uses

    opened = here(context, home)
    found = [token for token in Tokens(opened.path).all() if every or token.is_active]
    used = read_uses(opened.path)
    if as_json:
        say_json({"tokens": [token.as_json(used.get(token.id)) for token in found]})
        return
    for token in found:
        ended = "" if token.revoked_at is None else f"  revoked {local(token.revoked_at)}"
        given = "  (from the environment)" if token.given else ""
        scopes = ",".join(token.scopes)
        last = f"used {local(used[token.id])}" if token.id in used else "never used"
        made = local(token.created_at)
        say(f"{token.id}  {token.name}  {scopes}  {made}  {last}{ended}{given}")
    if not found:
        say("No tokens.")


@app.command("revoke")
def revoke(context: typer.Context, name: NameArgument, home: HomeOption = None) -> None:
    """End a token, at once and for good.

    \b
    Example:
      lifelog token revoke phone
    """
    from lifelog_lake.server.tokens import Tokens

    opened = here(context, home)
    token = Tokens(opened.path).revoke(name)
    audit(opened, "token.revoke", token=token.id, name=token.name)
    say(f"Revoked {token.name} ({token.id}).")


@app.command("rotate")
def rotate(
    context: typer.Context,
    name: NameArgument,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a new secret for a token; the old one ends at once.

    \b
    Example:
      lifelog token rotate phone
    """
    from lifelog_lake.server.tokens import Tokens

    opened = here(context, home)
    made = Tokens(opened.path).rotate(name)
    audit(opened, "token.rotate", token=made.token.id, name=made.token.name)
    _say_made(made, as_json=as_json)


def password(context: typer.Context, home: HomeOption = None) -> None:
    """Set or change the password of the pages. Whoever is logged in has to log in again.

    It is asked for, or read from the first line of stdin; only its hash is kept.

    \b
    Examples:
      lifelog password
      pass show lifelog | lifelog password
    """
    opened = here(context, home)
    if opened.settings.server.password_hash:
        raise UsageError(
            "The password is set in the settings.",
            hint="Take [server] password_hash out of config.toml and the environment first.",
        )
    with extra("Setting a password", "hub"):
        from lifelog_lake.server.secret import set_password
    set_password(opened.path, _typed())
    audit(opened, "password.change")
    say("The password is set. It takes the token's place.")


# -- parts -------------------------------------------------------------------------------------


def _typed() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    typed = getpass.getpass("New password: ")
    if getpass.getpass("Once more: ") != typed:
        raise UsageError("The two aren't the same.", hint="Begin again.")
    return typed


def _say_made(made: Made, *, as_json: bool) -> None:
    if as_json:
        say_json(made.token.as_json() | {"token": made.secret})
        return
    say(f"Token     {made.secret}")
    say(f"Name      {made.token.name} ({made.token.id})")
    say(f"Scopes    {', '.join(made.token.scopes)}")
    say("It is shown this once. Keep it where nobody else reads it.")
