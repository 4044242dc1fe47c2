"""The API's description (OpenAPI 3.1), made from the table of operations and their types. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter

from prober.web.parameters import Parameter

_SAYS = (
    "What the prober knows, read-only. Durations are in seconds, points in time in seconds since"
    " the epoch (UTC), what is unknown is null. Within v1, fields and values of enumerations may"
    " be added, and none is removed or renamed."
)


@dataclass(frozen=True, slots=True)
class Described:
    """One question that can be asked, and the type of what is answered."""

    name: str
    path: str
    says: str
    parameters: tuple[Parameter, ...]
    answers: type


def description(operations: Sequence[Described], error: type, version: str) -> dict[str, object]:
    """Return the description of operations that may all answer with an `error`."""
    types = dict.fromkeys([*(operation.answers for operation in operations), error])
    schemas, definitions = TypeAdapter.json_schemas(
        [(each, "serialization", TypeAdapter(each)) for each in types],
        ref_template="#/components/schemas/{model}",
    )
    by_type = {each: schemas[(each, "serialization")] for each in types}
    return {
        "openapi": "3.1.0",
        "info": {"title": "prober", "version": version, "description": _SAYS},
        "paths": {each.path: {"get": _operation(each, by_type, error)} for each in operations},
        "security": [{}, {"password": []}],  # as web.config_file has it
        "components": {
            "schemas": definitions.get("$defs", {}),
            "securitySchemes": {"password": {"type": "http", "scheme": "basic"}},
        },
    }


def _operation(
    operation: Described, schemas: Mapping[type, object], error: type
) -> dict[str, object]:
    failures = {
        "401": "A user and a password are needed, or do not fit.",
        "429": "Too many wrong passwords, or over the rate limit.",
        "400": "Something in the address cannot be read." if operation.parameters else None,
        "404": "There is no such thing." if _has_path(operation) else None,
        "503": "The history cannot be read.",
    }
    return {
        "operationId": operation.name,
        "summary": operation.says,
        "parameters": [_parameter(each) for each in operation.parameters],
        "responses": {
            "200": _response("The answer.", schemas[operation.answers]),
            **{code: _response(says, schemas[error]) for code, says in failures.items() if says},
        },
    }


def _has_path(operation: Described) -> bool:
    return any(each.where == "path" for each in operation.parameters)


def _parameter(each: Parameter) -> dict[str, object]:
    return {
        "name": each.name,
        "in": each.where,
        "description": each.says,
        "required": each.is_required,
        "schema": dict(each.schema),
    }


def _response(says: str, schema: object) -> dict[str, object]:
    return {"description": says, "content": {"application/json": {"schema": schema}}}
