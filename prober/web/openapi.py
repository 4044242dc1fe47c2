"""The description of everything that is served to programs (OpenAPI 3.1). Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from pydantic import BaseModel, TypeAdapter

from prober.web.parameters import TENANTS, Parameter

_API_DESCRIPTION = (
    "The prober's data. Durations are in seconds, times in seconds since the epoch (UTC), what is"
    " unknown is null. Within v1, fields and enumeration values may be added, and none is removed"
    " or renamed. Operations that write are disabled by default and need authentication."
)


@dataclass(frozen=True, slots=True)
class OperationSpec:
    """One operation and the type of its response."""

    name: str
    path: str
    description: str
    parameters: tuple[Parameter, ...]
    response_schema: type


@dataclass(frozen=True, slots=True)
class WriteSpec:
    """One operation that writes: its JSON body, and the status and type of its response."""

    name: str
    path: str
    description: str
    parameters: tuple[Parameter, ...]
    body_schema: type[BaseModel]
    response_schema: type
    status: int


def description(
    operations: Sequence[OperationSpec],
    error: type,
    version: str,
    route_prefix: str = "",
    writes: Sequence[WriteSpec] = (),
) -> dict[str, object]:
    """Return the description of operations that may all respond with an `error`."""
    read = [operation.response_schema for operation in operations]
    types = dict.fromkeys([*read, *(each.response_schema for each in writes), error])
    schemas, definitions = TypeAdapter.json_schemas(
        [(each, "serialization", TypeAdapter(each)) for each in types],
        ref_template="#/components/schemas/{model}",
    )
    by_type = {each: schemas[(each, "serialization")] for each in types}
    return {
        "openapi": "3.1.0",
        "info": {"title": "prober", "version": version, "description": _API_DESCRIPTION},
        "servers": [{"url": route_prefix or "/"}],
        "paths": {
            **{each.path: {"get": _operation(each, by_type, error)} for each in operations},
            **{each.path: {"post": _write(each, by_type, error)} for each in writes},
            **_other_paths(by_type[error]),
        },
        "security": [{}, {"password": []}],  # as web.config_file has it
        "components": {
            "schemas": definitions.get("$defs", {}),
            "securitySchemes": {"password": {"type": "http", "scheme": "basic"}},
        },
    }


def _operation(
    operation: OperationSpec, schemas: Mapping[type, object], error: type
) -> dict[str, object]:
    failures = {
        "401": "User and password are missing or wrong.",
        "429": "Too many failed logins, or over the rate limit.",
        "400": "A parameter is invalid." if operation.parameters else None,
        "404": "Not found." if _names_something(operation) else None,
        "503": "The history cannot be read.",
    }
    return {
        "operationId": operation.name,
        "summary": operation.description,
        "parameters": [_parameter(each) for each in operation.parameters],
        "responses": {
            "200": _response("The response.", schemas[operation.response_schema]),
            **{code: _response(text, schemas[error]) for code, text in failures.items() if text},
        },
    }


def _write(operation: WriteSpec, schemas: Mapping[type, object], error: type) -> dict[str, object]:
    body = {"application/json": {"schema": operation.body_schema.model_json_schema()}}
    done = _response("The response.", schemas[operation.response_schema])
    failed = {code: _response(text, schemas[error]) for code, text in _FAILURES}
    return {
        "operationId": operation.name,
        "summary": operation.description,
        "parameters": [_parameter(each) for each in operation.parameters],
        "requestBody": {"required": True, "content": body},
        "responses": {str(operation.status): done, **failed},
    }


def _names_something(operation: OperationSpec) -> bool:
    return any(each.where == "path" or each is TENANTS for each in operation.parameters)


def _parameter(each: Parameter) -> dict[str, object]:
    return {
        "name": each.name,
        "in": each.where,
        "description": each.description,
        "required": each.is_required,
        "schema": dict(each.schema),
    }


def _plain(text: str, media_type: str = "text/plain") -> dict[str, object]:
    return {"description": text, "content": {media_type: {"schema": {"type": "string"}}}}


_NO_FAILURES: Mapping[str, object] = MappingProxyType({})
_FAILURES = (
    ("400", "A parameter is invalid."),
    ("401", "User and password are missing or wrong."),
    ("403", "It is disabled, or not allowed for this client."),
    ("404", "Not found."),
    ("415", "The content type is not application/json."),
    ("429", "Another run is in progress, or over the rate limit."),
    ("503", "The prober is starting, or the history cannot be read or written."),
)


def _other_paths(error: object) -> dict[str, object]:
    """Return the description of what is served besides the operations, apart from pages."""
    failed = {code: _response(text, error) for code, text in _FAILURES}
    return {
        "/api/v1/openapi.json": _get("openapi", "This description.", _response("It.", {})),
        "/api/v1/tenants/{tenant}/probes/{probe}/run": _run(failed),
        "/-/healthy": _get("healthy", "Whether the process works.", _plain("It does.")),
        "/-/ready": _get(
            "ready", "Whether it probes.", _plain("It does."), (), {"503": _plain("Not yet.")}
        ),
        "/-/reload": _reload(),
        "/metrics": _get("metrics", "The metrics for Prometheus.", _plain("In its format.")),
        "/live": _get(
            "live",
            "Live updates of a page as server-sent events; takes the page's parameters.",
            _plain("Events `parts`, `tick` and `gone`.", "text/event-stream"),
            (),
            failed,
        ),
        **_pictures_and_feeds(failed),
    }


def _run(failed: Mapping[str, object]) -> dict[str, object]:
    document = _response("The result, as of `prober probe --json`.", {"type": "object"})
    body = {"application/json": {"schema": {"type": "object"}}}
    responses: dict[str, object] = {"200": document, **failed}
    return {
        "post": {
            "operationId": "run",
            "summary": "Run a probe now (web.enable_run_now); the result is not recorded.",
            "parameters": [_path_parameter("tenant"), _path_parameter("probe")],
            "requestBody": {"required": True, "content": body},
            "responses": responses,
        }
    }


def _reload() -> dict[str, object]:
    return {
        "post": {
            "operationId": "reload",
            "summary": "Reload the configuration (web.enable_reload), as SIGHUP does.",
            "responses": {
                "200": _plain("Reloaded."),
                "400": _plain("Not reloaded: it is invalid."),
                "403": _plain("It is disabled, or not allowed for this client."),
            },
        }
    }


def _pictures_and_feeds(failed: Mapping[str, object]) -> dict[str, object]:
    badge, icon = _plain("SVG.", "image/svg+xml"), _plain("SVG.", "image/svg+xml")
    feed = _response("JSON Feed 1.1.", {"type": "object"}, "application/feed+json")
    return {
        "/badge/{tenant}.svg": _get(
            "badge", "A tenant's badge.", badge, [_path_parameter("tenant")], failed
        ),
        "/favicon.svg": _get("favicon", "An icon.", icon, (), failed),
        "/incidents.atom": _get(
            "incidents_atom",
            "The incidents of the last 30 days as an Atom feed.",
            _plain("RFC 4287.", "application/atom+xml"),
            (),
            failed,
        ),
        "/incidents.json": _get(
            "incidents_feed",
            "The incidents of the last 30 days as a JSON feed.",
            feed,
            (),
            failed,
        ),
    }


def _path_parameter(name: str) -> dict[str, object]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _get(
    name: str,
    summary: str,
    response: object,
    parameters: Sequence[object] = (),
    failures: Mapping[str, object] = _NO_FAILURES,
) -> dict[str, object]:
    responses: dict[str, object] = {"200": response, **failures}
    return {
        "get": {
            "operationId": name,
            "summary": summary,
            "parameters": list(parameters),
            "responses": responses,
        }
    }


def _response(text: str, schema: object, media_type: str = "application/json") -> dict[str, object]:
    return {"description": text, "content": {media_type: {"schema": schema}}}
