"""The JSON API: one table of operations, from which routes and OpenAPI description are made.

Parameters are defined once, for parsing and for the description (OpenAPI 3.1). Schemas are those of
the types that the operations return.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from aiohttp import web
from pydantic import TypeAdapter

from prober.formatting import duration_seconds
from prober.render.documents import FailureRecord, TenantStatusDocument
from prober.render.svg import RANGES, badge_svg
from prober.stats.incidents import IncidentKey
from prober.web import queries
from prober.web.context import SITE, WebContext
from prober.web.queries import (
    DEFAULT_RANGE,
    ChartPeriod,
    ErrorDocument,
    EventsDocument,
    FailuresDocument,
    IncidentsDocument,
    NotFoundError,
    OutsideDocument,
    OverviewDocument,
    ProberDocument,
    SeriesDocument,
    ValuesDocument,
)

_SINCE_PATTERN = "^[1-9][0-9]{0,3}(s|m|h|d)$"
_CURSOR = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)~([a-z]{1,16})~([01])~([a-z0-9_-]{1,63})")
_MAX_ITEMS = 200
_MAX_NUMBER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Parameter:
    """`read` parses its text, and raises ValueError with a hint at what is valid."""

    name: str
    where: Literal["path", "query"]
    description: str
    schema: Mapping[str, object]
    read: Callable[[str], object]
    default: str | None = None

    @property
    def is_required(self) -> bool:
        """Whether it must be given."""
        return self.where == "path"


def _range(text: str) -> str:
    if text not in RANGES:
        raise ValueError(f"must be one of {', '.join(RANGES)}")
    return text


def _since(text: str) -> float:
    if not re.fullmatch(_SINCE_PATTERN, text):
        raise ValueError("write how long ago, such as 90m, 24h or 30d")
    return duration_seconds(text)


def _limit(text: str) -> int:
    if not re.fullmatch("[0-9]{1,3}", text) or not 0 < int(text) <= _MAX_ITEMS:
        raise ValueError(f"write a number from 1 to {_MAX_ITEMS}")
    return int(text)


def _number(text: str) -> int:
    if not re.fullmatch("[0-9]{1,19}", text) or int(text) > _MAX_NUMBER:
        raise ValueError("write a number")
    return int(text)


def _cursor(text: str) -> IncidentKey:
    found = _CURSOR.fullmatch(text)
    if found is None:
        raise ValueError("write the 'next_cursor' of a response")
    return float(found[1]), found[4], found[2], found[3] == "1"


TENANT = Parameter("tenant", "path", "The tenant's name.", {"type": "string"}, str)
PROBE = Parameter("probe", "path", "The probe's name.", {"type": "string"}, str)
OF_PROBE = Parameter("probe", "query", "This probe only.", {"type": "string"}, str)
NUMBER = Parameter(
    "number",
    "path",
    "The failure's number.",
    {"type": "integer", "minimum": 0, "maximum": _MAX_NUMBER},
    _number,
)
RANGE = Parameter(
    "range",
    "query",
    "How far back.",
    {"type": "string", "enum": list(RANGES), "default": DEFAULT_RANGE},
    _range,
    DEFAULT_RANGE,
)
SINCE = Parameter(
    "since",
    "query",
    "How long ago.",
    {"type": "string", "pattern": _SINCE_PATTERN, "default": "7d", "examples": ["24h", "30d"]},
    _since,
    "7d",
)
LIMIT = Parameter(
    "limit",
    "query",
    "How many at most.",
    {"type": "integer", "minimum": 1, "maximum": _MAX_ITEMS, "default": 50},
    _limit,
    "50",
)


CURSOR = Parameter(
    "cursor",
    "query",
    "The `next_cursor` of a response: returns what follows it.",
    {"type": "string", "pattern": f"^{_CURSOR.pattern}$"},
    _cursor,
)
INCIDENTS_LIMIT = replace(
    LIMIT, schema={**LIMIT.schema, "default": _MAX_ITEMS}, default=str(_MAX_ITEMS)
)


class BadParameterError(ValueError):
    """A parameter is invalid; the message says what is valid."""


def read(
    parameters: tuple[Parameter, ...], path: Mapping[str, str], query: Mapping[str, str]
) -> dict[str, object]:
    """Return the value of each parameter; raises BadParameterError."""
    values: dict[str, object] = {}
    for each in parameters:
        text = (path if each.where == "path" else query).get(each.name, each.default)
        try:
            values[each.name] = None if text is None else each.read(text)
        except ValueError as error:
            raise BadParameterError(f"{each.name}: {error}") from error
    return values


_API_DESCRIPTION = (
    "The prober's data, read-only. Durations are in seconds, times in seconds since the epoch"
    " (UTC), what is unknown is null. Within v1, fields and enumeration values may be added, and"
    " none is removed or renamed."
)


@dataclass(frozen=True, slots=True)
class OperationSpec:
    """One operation and the type of its response."""

    name: str
    path: str
    description: str
    parameters: tuple[Parameter, ...]
    response_schema: type


def description(
    operations: Sequence[OperationSpec], error: type, version: str
) -> dict[str, object]:
    """Return the description of operations that may all respond with an `error`."""
    types = dict.fromkeys([*(operation.response_schema for operation in operations), error])
    schemas, definitions = TypeAdapter.json_schemas(
        [(each, "serialization", TypeAdapter(each)) for each in types],
        ref_template="#/components/schemas/{model}",
    )
    by_type = {each: schemas[(each, "serialization")] for each in types}
    return {
        "openapi": "3.1.0",
        "info": {"title": "prober", "version": version, "description": _API_DESCRIPTION},
        "paths": {each.path: {"get": _operation(each, by_type, error)} for each in operations},
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
        "404": "Not found." if _has_path(operation) else None,
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


def _has_path(operation: OperationSpec) -> bool:
    return any(each.where == "path" for each in operation.parameters)


def _parameter(each: Parameter) -> dict[str, object]:
    return {
        "name": each.name,
        "in": each.where,
        "description": each.description,
        "required": each.is_required,
        "schema": dict(each.schema),
    }


def _response(text: str, schema: object) -> dict[str, object]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


_ERROR = TypeAdapter(ErrorDocument)


@dataclass(frozen=True, slots=True)
class Operation(OperationSpec):
    """One operation and its handler."""

    handler: Callable[..., Awaitable[object]]


async def _tenant(site: WebContext, tenant: str) -> TenantStatusDocument:
    return queries.tenant(site, tenant)


async def _prober(site: WebContext) -> ProberDocument:
    return queries.self_health(site)


async def _outside(site: WebContext) -> OutsideDocument:
    return queries.outside(site)


async def _series(site: WebContext, tenant: str, range: str) -> SeriesDocument:  # noqa: A002
    return await queries.series_of(site, tenant, ChartPeriod(range))


async def _values(site: WebContext, tenant: str, range: str) -> ValuesDocument:  # noqa: A002 -- the parameter's name
    return await queries.values_of(site, tenant, range)


async def _failures(
    site: WebContext, tenant: str, probe: str | None, since: float, limit: int
) -> FailuresDocument:
    return await queries.failures_of(site, tenant, since, limit, probe)


async def _failure(site: WebContext, number: int) -> FailureRecord:
    return await queries.failure(site, number)


async def _events(site: WebContext, tenant: str, since: float) -> EventsDocument:
    return await queries.events_of(site, tenant, since)


async def _incidents(
    site: WebContext,
    since: float,
    limit: int,
    cursor: IncidentKey | None,
    tenant: str | None = None,
) -> IncidentsDocument:
    return await queries.incidents_since(site, since, tenant, limit=limit, cursor=cursor)


_TENANT, _SINCE = TENANT, SINCE
_PAGE = (_SINCE, INCIDENTS_LIMIT, CURSOR)
OPERATIONS = (
    Operation(
        "overview", "/api/v1/overview", "Status of all tenants.", (), OverviewDocument,
        queries.overview,
    ),
    Operation(
        "tenant", "/api/v1/tenants/{tenant}", "Status of one tenant.", (_TENANT,),
        TenantStatusDocument, _tenant,
    ),
    Operation(
        "series", "/api/v1/tenants/{tenant}/series", "Time series of its probes.",
        (_TENANT, RANGE), SeriesDocument, _series,
    ),
    Operation(
        "values", "/api/v1/tenants/{tenant}/values", "What its probes' checks found over time.",
        (_TENANT, RANGE), ValuesDocument, _values,
    ),
    Operation(
        "tenant_incidents", "/api/v1/tenants/{tenant}/incidents", "A tenant's incidents.",
        (_TENANT, *_PAGE), IncidentsDocument, _incidents,
    ),
    Operation(
        "failures", "/api/v1/tenants/{tenant}/failures", "A tenant's last failures, with evidence.",
        (_TENANT, OF_PROBE, _SINCE, LIMIT), FailuresDocument, _failures,
    ),
    Operation(
        "events", "/api/v1/tenants/{tenant}/events", "Events of its token, and verdict changes.",
        (_TENANT, _SINCE), EventsDocument, _events,
    ),
    Operation(
        "failure", "/api/v1/failures/{number}", "One failure, with evidence.",
        (NUMBER,), FailureRecord, _failure,
    ),
    Operation(
        "incidents", "/api/v1/incidents", "All tenants' incidents.", _PAGE,
        IncidentsDocument, _incidents,
    ),
    Operation(
        "outside", "/api/v1/outside",
        "Open incidents on the supplier's status page, and whether the references are reachable.",
        (), OutsideDocument, _outside,
    ),
    Operation(
        "prober", "/api/v1/prober", "Health of the prober.", (), ProberDocument, _prober,
    ),
)  # fmt: skip


def add_routes(app: web.Application) -> None:
    """Add all operations, the badge, and the description of the operations."""
    for operation in OPERATIONS:
        app.router.add_get(operation.path, _handler(operation))
    app.router.add_get("/api/v1/openapi.json", _openapi)
    app.router.add_get("/badge/{tenant}.svg", _badge)


def error_response(status: int, text: str) -> web.Response:
    """Return an error in the API's form."""
    return _json(_ERROR, ErrorDocument(text), status)


def wants_json(request: web.Request) -> bool:
    """Return whether the response should be JSON."""
    return request.path.startswith("/api/")


def _handler(operation: Operation) -> Callable[[web.Request], Awaitable[web.Response]]:
    adapter: TypeAdapter[Any] = TypeAdapter(operation.response_schema)

    async def handle(request: web.Request) -> web.Response:
        try:
            values = _read(operation.parameters, request)
            document = await operation.handler(request.app[SITE], **values)
        except BadParameterError as error:
            return error_response(400, str(error))
        except NotFoundError as error:
            return error_response(404, str(error))
        except OSError as error:
            return error_response(503, f"cannot read the history: {error.strerror or error}")
        # Encoding a long document takes longer than a measurement may wait.
        body = await asyncio.to_thread(adapter.dump_json, document)
        return web.Response(body=body, content_type="application/json")

    return handle


def _read(wanted: tuple[Parameter, ...], request: web.Request) -> dict[str, object]:
    return read(wanted, request.match_info, request.query)


def _json(adapter: TypeAdapter[Any], document: object, status: int = 200) -> web.Response:
    return web.Response(
        status=status, body=adapter.dump_json(document), content_type="application/json"
    )


async def _openapi(request: web.Request) -> web.Response:
    version = request.app[SITE].self_health().version
    return web.json_response(description(OPERATIONS, ErrorDocument, version))


async def _badge(request: web.Request) -> web.Response:
    try:
        tenant = queries.tenant(request.app[SITE], request.match_info["tenant"])
    except NotFoundError as error:
        return error_response(404, str(error))
    return web.Response(
        text=badge_svg(tenant),
        content_type="image/svg+xml",
        headers={"Cross-Origin-Resource-Policy": "cross-origin"},
    )
