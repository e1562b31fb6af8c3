"""All routes of the hub's server, and an address for each; run as a program in a hub's home."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator

try:
    from re import _constants as sre
    from re import _parser as parser
except ImportError:  # Python 3.10 and older
    raise SystemExit("needs Python 3.11") from None

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def example(pattern: str) -> str:
    """A short text that the pattern matches."""
    text = "".join(_write(parser.parse(pattern)))
    assert re.fullmatch(pattern.removesuffix("$"), text) or re.match(pattern, text), (pattern, text)
    return text


def _write(tree: object) -> Iterator[str]:
    for kind, value in tree:  # type: ignore[attr-defined]
        if kind is sre.LITERAL:
            yield chr(value)
        elif kind is sre.ANY or kind is sre.NOT_LITERAL:
            yield "x"
        elif kind is sre.IN:
            yield _member(value)
        elif kind in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            least, most, inner = value
            yield "".join(_write(inner)) * max(least, min(1, most))
        elif kind is sre.SUBPATTERN:
            yield from _write(value[-1])
        elif kind is sre.BRANCH:
            yield from _write(value[1][0])
        elif kind not in (sre.AT, sre.ASSERT, sre.ASSERT_NOT):
            # A route in a form that no route has had: left out in silence it would go untested.
            raise NotImplementedError(f"write an address for {kind} here")


def _member(members: list[tuple[object, object]]) -> str:
    excluded = members[0][0] is sre.NEGATE
    if excluded:
        return "x"
    kind, value = members[0]
    if kind is sre.LITERAL:
        return chr(value)  # type: ignore[arg-type]
    if kind is sre.RANGE:
        return chr(value[0])  # type: ignore[index]
    return {sre.CATEGORY_DIGIT: "1", sre.CATEGORY_WORD: "x"}[value]


def walk(router: object) -> Iterator[tuple[str, type]]:
    """Every pattern below a router with its handler."""
    for rule in router.rules:  # type: ignore[attr-defined]
        target = rule.target
        if hasattr(target, "rules"):
            yield from walk(target)
        elif hasattr(rule.matcher, "regex"):
            yield rule.matcher.regex.pattern, target


def main() -> None:
    """Print the routes as JSON: pattern, address, class, methods, whether it is a websocket."""
    from tornado.web import RequestHandler
    from tornado.websocket import WebSocketHandler

    from lifelog_lake.home import open_home
    from lifelog_lake.server.hub import HubServer

    HubServer.home = open_home()
    server = HubServer.instance()
    server.wanted_port = 0
    server.initialize([], new_httpserver=False)
    routes = []
    for pattern, handler in walk(server.web_app.default_router):
        own = [
            name
            for name in METHODS
            if getattr(handler, name.lower()) is not getattr(RequestHandler, name.lower())
        ]
        routes.append(
            {
                "pattern": pattern,
                "path": example(pattern),
                "handler": f"{handler.__module__}.{handler.__qualname__}",
                "methods": own,
                "websocket": issubclass(handler, WebSocketHandler),
            }
        )
    json.dump(routes, sys.stdout)


if __name__ == "__main__":
    main()
