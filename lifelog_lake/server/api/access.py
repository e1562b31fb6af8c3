"""``auth/…``: tokens and the password."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from lifelog_lake.errors import UsageError
from lifelog_lake.server.api.models import (
    NewPassword,
    NewToken,
    RotateBody,
    SecretOut,
    TokenOut,
    TokensOut,
)
from lifelog_lake.server.api.operation import Answer, ApiHandler, Body, operation
from lifelog_lake.server.identity import HubIdentity
from lifelog_lake.server.problem import Problem
from lifelog_lake.server.tokens import SCOPES, Made, Token, Tokens

T = TypeVar("T")


class AccessHandler(ApiHandler):
    """What these routes share."""

    @property
    def identity(self) -> HubIdentity:
        """Who knows who is who."""
        identity = self.identity_provider
        assert isinstance(identity, HubIdentity)
        return identity

    @property
    def tokens(self) -> Tokens:
        """The home's tokens."""
        return self.identity.tokens

    def give_secret(self, made: Made, status: int) -> None:
        """Tell it this once."""
        self.answer(made.token.as_json() | {"token": made.secret}, status)


class RotateHandler(AccessHandler):
    """``auth/token/rotate``."""

    @operation(
        "rotateToken", "Get a new token in the place of one, which ends at once.", scopes=SCOPES,
        body=Body(doc="Which one, if a person asks.", schema=RotateBody, required=False,
                  examples={"person": {"id": "3f9c01aa"}}),
        answers={200: Answer(doc="The new token, shown this once.", schema=SecretOut)},
        problems=(404, 413, 415, 422),
    )  # fmt: skip
    async def post(self) -> None:
        """A program changes its own, and no other one."""
        asked = self.parsed(RotateBody, self.json() or {}, "The body")
        own = self.caller.token
        if own is None and asked.id is None:
            raise UsageError("Which token?", hint='Send {"id": …}; auth/tokens lists them.')
        if own is not None and asked.id not in (None, own.id):
            raise Problem(status=403, detail="A token can rotate itself alone.")
        which = own.id if own is not None else str(asked.id)

        def rotate() -> Made:
            made = self.tokens.rotate(which)
            self.audit("token.rotate", token=made.token.id, name=made.token.name, before=which)()
            return made

        self.give_secret(await self.work.run(_found, rotate), 200)


class TokensHandler(AccessHandler):
    """``auth/tokens``."""

    @operation(
        "listTokens", "List the tokens that open something.", scopes=(),
        answers={200: Answer(doc="Never what they are.", schema=TokensOut)},
    )  # fmt: skip
    async def get(self) -> None:
        """In the order of their making."""
        found = await self.work.run(self.tokens.all)
        used = self.identity.uses.all()
        self.answer({"tokens": [t.as_json(used.get(t.id)) for t in found if t.is_active]})

    @operation(
        "createToken", "Make a token.", scopes=(),
        body=Body(doc="Its name and what it may do.", schema=NewToken,
                  examples={"phone": {"name": "phone", "scopes": ["ingest"]}}),
        answers={201: Answer(doc="The token, shown this once.", schema=SecretOut)},
        problems=(413, 415, 422),
    )  # fmt: skip
    async def post(self) -> None:
        """``read`` sees everything, ``write`` changes everything, ``ingest`` creates alone."""
        asked = self.parsed(NewToken, self.json(), "The token")

        def create() -> Made:
            made = self.tokens.create(asked.name, asked.scopes)
            told = made.token
            self.audit("token.create", token=told.id, name=told.name, scopes=list(told.scopes))()
            return made

        self.give_secret(await self.work.run(create), 201)


class TokenHandler(AccessHandler):
    """``auth/tokens/{token_id}``."""

    @operation(
        "revokeToken", "End a token, at once and for good.", scopes=(),
        answers={200: Answer(doc="What it was.", schema=TokenOut)}, problems=(404,),
    )  # fmt: skip
    async def delete(self, token_id: str) -> None:
        """By its id."""

        def revoke() -> Token:
            token = self.tokens.revoke(token_id)
            self.audit("token.revoke", token=token.id, name=token.name)()
            return token

        token = await self.work.run(_found, revoke)
        self.answer(token.as_json(self.identity.uses.all().get(token.id)))


class PasswordHandler(AccessHandler):
    """``auth/password``."""

    @operation(
        "changePassword", "Change the login's password. Every login ends.", scopes=(),
        body=Body(doc="The one that is, or the login's token, and the one to be.",
                  schema=NewPassword),
        answers={204: Answer(doc="It is changed.", media=())}, problems=(409, 413, 415, 422),
    )  # fmt: skip
    async def post(self) -> None:
        """Only its hash is kept."""
        from lifelog_lake.server.secret import set_password

        asked = self.parsed(NewPassword, self.json(), "The password")
        if self.work.home.settings.server.password_hash:
            raise Problem(
                status=409,
                detail="The password is set in the settings.",
                hint="Take [server] password_hash out of config.toml and the environment first.",
            )
        if not await self.identity.prove(self, asked.current):
            raise Problem(
                status=403,
                detail="The current password is wrong.",
                hint="Without a password, it is the token of the address that lifelog up prints.",
            )

        def change() -> None:
            set_password(self.work.home.path, asked.new)
            self.audit("password.change")()

        await self.work.run(change)
        self.identity.refresh(at_once=True)
        self.set_status(204)
        self.finish()


def _found(call: Callable[[], T]) -> T:
    """404 for a token that there isn't."""
    try:
        return call()
    except UsageError as error:
        raise Problem(status=404, detail=error.message, hint=error.hint) from None
