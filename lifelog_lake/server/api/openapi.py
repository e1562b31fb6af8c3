"""``openapi.json`` (3.1), made of the operations themselves: what is checked is what is written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel, TypeAdapter

from lifelog_lake import __version__
from lifelog_lake.recall.journal.model import ANY_JSON, ID
from lifelog_lake.server import problem
from lifelog_lake.server.api.models import ProblemOut
from lifelog_lake.server.api.operation import ApiHandler, Body, Operation
from lifelog_lake.server.base import METHODS
from lifelog_lake.validate import MAX_INT64, MIN_INT64

BASE = "/lifelog/api"
_REF = "#/components/schemas/{model}"
_PLAIN = {"pattern": r"^[^\u0000]*$"}
#: What the journal's metadata may hold.
_ANY: dict[str, Any] = {
    "JsonValue": {
        "anyOf": [
            {"type": "null"},
            {"type": "boolean"},
            {"type": "string", **_PLAIN},
            {"type": "integer", "minimum": MIN_INT64, "maximum": MAX_INT64},
            {"type": "number", "not": {"type": "integer"}},
            # Kept as a double; between the two, nobody could tell what was meant.
            {"type": "integer", "minimum": 2.0**64, "maximum": 1e300},
            {"type": "integer", "minimum": -1e300, "exclusiveMaximum": float(MIN_INT64)},
            {"type": "array", "items": {"$ref": _REF.format(model="JsonValue")}},
            {"$ref": _REF.format(model="JsonObject")},
        ]
    },
    "JsonObject": {
        "type": "object",
        "propertyNames": _PLAIN,
        "additionalProperties": {"$ref": _REF.format(model="JsonValue")},
    },
}
#: Parts of addresses.
_PARTS: dict[str, dict[str, Any]] = {
    "entry_id": {"type": "string", "pattern": f"^{ID.pattern}$"},
    "key": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,100}$"},
    "name": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[^\u0000/]+$"},
    "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    "token_id": {"type": "string", "pattern": "^[0-9a-f]{8}$"},
}
#: What any operation may answer, without saying so.
_ALWAYS = (400, 401, 403, 429)

Route = tuple[str, type[ApiHandler]]


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """The whole document, for routes such as ``("/events/{entry_id}", handler)``."""
    schemas: dict[str, Any] = dict(_ANY)
    _schema(ProblemOut, schemas)
    paths: dict[str, Any] = {}
    for path, handler in routes:
        parts = [_parameter("path", name, _PARTS[name]) for name in re.findall(r"\{(\w+)\}", path)]
        item: dict[str, Any] = {"parameters": parts} if parts else {}
        for method, said, doc in _operations(handler):
            item[method] = _described(said, doc, schemas)
        paths[BASE + path] = item
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "lifelog_lake",
            "version": __version__,
            "summary": "One person, many devices, one lake of open files.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}, {"basic": []}],
        "paths": paths,
        "components": {
            "schemas": _mended(schemas),
            "responses": {str(status): _problem(status) for status in _statuses(routes)},
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Make one with: lifelog token create NAME",
                },
                "basic": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "For programs without headers of their own: any name, and the "
                    "token as the password.",
                },
            },
        },
    }


def _operations(handler: type[ApiHandler]) -> Iterator[tuple[str, Operation, str]]:
    for method in METHODS:
        function = getattr(handler, method)
        said = getattr(function, "operation", None)
        if said is not None:
            yield method, said, " ".join((function.__doc__ or "").split())


def _statuses(routes: Sequence[Route]) -> list[int]:
    found = set(_ALWAYS)
    for _, handler in routes:
        for _, said, _ in _operations(handler):
            found.update(said.problems)
    return sorted(found)


def _described(said: Operation, doc: str, schemas: dict[str, Any]) -> dict[str, Any]:
    scopes = " or ".join(f"`{scope}`" for scope in said.scopes)
    may = f"Scope: {scopes}." if scopes else "For people alone, who are logged in."
    answers: dict[str, Any] = {}
    for status, answer in said.answers.items():
        content: dict[str, Any] = {"schema": _schema(answer.schema, schemas)}
        if answer.example is not None:
            content["example"] = answer.example
        entry: dict[str, Any] = {"description": answer.doc}
        if answer.media:
            entry["content"] = dict.fromkeys(answer.media, content)
        if answer.headers:
            entry["headers"] = {
                name: {"description": about, "schema": {"type": "string"}}
                for name, about in answer.headers.items()
            }
        answers[str(status)] = entry
    for status in sorted({*said.problems, *_ALWAYS}):
        answers[str(status)] = {"$ref": f"#/components/responses/{status}"}
    found: dict[str, Any] = {
        "operationId": said.id,
        "summary": said.summary,
        "description": f"{doc} {may}".strip(),
        "responses": answers,
    }
    parameters = [*_arguments("query", said.query, schemas)]
    parameters += _arguments("header", said.headers, schemas)
    if parameters:
        found["parameters"] = parameters
    if said.body is not None:
        found["requestBody"] = _body(said.body, schemas)
    return found


def _body(body: Body, schemas: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": _schema(body.schema, schemas)}
    if body.examples:
        content["examples"] = {name: {"value": value} for name, value in body.examples.items()}
    return {
        "description": body.doc,
        "required": body.required,
        "content": dict.fromkeys(body.media, content),
    }


def _arguments(
    place: str, model: type[BaseModel] | None, schemas: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    if model is None:
        return
    shape = model.model_json_schema(by_alias=True, ref_template=_REF)
    schemas.update(shape.pop("$defs", {}))
    for name, field in shape["properties"].items():
        about = field.pop("description", "")
        field.pop("title", None)
        schema = _without_null(field) if field.get("default", "") is None else field
        yield _parameter(place, name, schema, about, required=name in shape.get("required", ()))


def _without_null(field: dict[str, Any]) -> dict[str, Any]:
    """An argument is left out, not null."""
    rest = {name: value for name, value in field.items() if name not in ("anyOf", "default")}
    kinds = [kind for kind in field.get("anyOf", ()) if kind.get("type") != "null"]
    return rest | (kinds[0] if len(kinds) == 1 else {"anyOf": kinds})


def _parameter(
    place: str, name: str, schema: dict[str, Any], about: str = "", *, required: bool = True
) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "in": place, "required": required, "schema": schema}
    return found | ({"description": about} if about else {})


def _problem(status: int) -> dict[str, Any]:
    example = {
        "type": "about:blank",
        "title": problem.title(status),
        "status": status,
        "detail": "What is wrong.",
        "hint": "What to do about it.",
    }
    content = {"schema": {"$ref": _REF.format(model="ProblemOut")}, "example": example}
    return {"description": problem.title(status), "content": {problem.MEDIA_TYPE: content}}


def _schema(kind: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    """A model as a schema; what it names goes to the others. None: any bytes."""
    if kind is None:
        return {}
    if isinstance(kind, dict):
        return kind
    shape = TypeAdapter(kind).json_schema(by_alias=True, ref_template=_REF)
    schemas.update(shape.pop("$defs", {}))
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        schemas[kind.__name__] = shape
        return {"$ref": _REF.format(model=kind.__name__)}
    return shape


def _mended(value: Any) -> Any:
    """Objects of any JSON as what they are; pydantic knows no schemas beside its own."""
    if isinstance(value, list):
        return [_mended(one) for one in value]
    if not isinstance(value, dict):
        return value
    found = {name: _mended(one) for name, one in value.items()}
    if found.pop(ANY_JSON, False):
        found["allOf"] = [{"$ref": _REF.format(model="JsonObject")}]
    return found
