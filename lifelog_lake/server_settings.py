"""Settings of the hub's web server."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from lifelog_lake.section import Section


class ServerSettings(Section):
    """The hub's web server (`lifelog up`)."""

    ip: str = Field(
        "127.0.0.1",
        description="Address to listen on; loopback unless a proxy with HTTPS is before it.",
    )
    port: int = Field(
        8899, ge=0, le=65535, description="Port; the next free one is taken if it is in use."
    )
    password_hash: str = Field(
        "",
        description="From `jupyter server password`; empty = what `lifelog password` or "
        "ADMIN_PASSWORD set, or else the token in HOME/token.",
    )
    url: str = Field(
        "",
        description="Behind a reverse proxy: what people open, https://lifelog.example.org, say; "
        "other names are refused then, and the proxy's X-Forwarded headers believed.",
    )
    names: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Further names of this machine that a request's Host may have, e.g. "
        "nas.local; in the environment with commas between. Others are refused then.",
    )
    origins: str = Field(
        "",
        description="A regular expression for the whole origin of other sites whose pages may "
        r"read answers, https://[a-z]+\.example\.org, say; empty = none but with a token.",
    )
    presigned_links: bool = Field(
        False,
        description="Of a lake on S3, send who downloads an attachment to its server, by a link "
        "of 5 minutes; what downloads must reach that server.",
    )

    @field_validator("password_hash")
    @classmethod
    def _is_hash(cls, value: str) -> str:
        # A password written down as it is would open nothing, and the token is off then.
        if value and not re.fullmatch(r"(argon2|sha\d+):.+", value):
            raise ValueError("it must be a hash, as `jupyter server password` makes it")
        return value

    @field_validator("url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        # Below a path, Prefect's page and cookies of neighbours would need more than a prefix.
        if value and not re.fullmatch(r"https?://[\w.-]+(:\d+)?/?", value):
            raise ValueError("it must be a name of its own, such as https://lifelog.example.org")
        return value.rstrip("/").lower()

    @field_validator("names", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(name.strip() for name in value.split(",") if name.strip())

    @field_validator("names")
    @classmethod
    def _are_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not re.fullmatch(r"[\w-]+(\.[\w-]+)*", name, re.ASCII):
                raise ValueError(f"{name[:60]!r} isn't a name of a machine, without a port")
            if re.fullmatch(r"[\d.]+", name):
                raise ValueError("addresses of numbers aren't names; a page can't fake them")
        return tuple(name.lower() for name in value)

    @field_validator("origins")
    @classmethod
    def _is_pattern(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"it isn't a regular expression: {error}") from None
        return value
