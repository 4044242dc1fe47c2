"""The JSON API: one table of operations, from which routes and OpenAPI description are made.

Schemas are those of the types that the operations return.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from aiohttp import web
from pydantic import TypeAdapter

from prober.outcomes import Culprit
from prober.render.documents import FailureRecord, TenantStatusDocument
from prober.render.overview import OverviewFilter, TenantState
from prober.render.svg import badge_svg
from prober.stats.incidents import IncidentId, IncidentKey
from prober.web import parameters, queries
from prober.web.annotate import WRITES
from prober.web.compression import packed_response
from prober.web.context import SITE, WebContext
from prober.web.incident import IncidentDetail
from prober.web.incident import incident as read_incident
from prober.web.openapi import OperationSpec, description
from prober.web.queries import (
    ChartPeriod,
    ErrorDocument,
    EventsDocument,
    FailuresDocument,
    IncidentFilter,
    IncidentsDocument,
    NotFoundError,
    OutsideDocument,
    OverviewDocument,
    ProberDocument,
    SeriesDocument,
    TenantsDocument,
    ValuesDocument,
)


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
    return await queries.values_of(site, tenant, ChartPeriod(range))


async def _failures(
    site: WebContext,
    tenant: str,
    probe: str | None,
    since: float,
    limit: int,
    cursor: tuple[float, int] | None,
) -> FailuresDocument:
    return await queries.failures_of(site, tenant, since, limit, probe=probe, cursor=cursor)


async def _failure(site: WebContext, number: int) -> FailureRecord:
    return await queries.failure(site, number)


async def _events(site: WebContext, tenant: str, since: float) -> EventsDocument:
    return await queries.events_of(site, tenant, since)


async def _tenant_incidents(
    site: WebContext,
    tenant: str,
    since: float,
    limit: int,
    cursor: IncidentKey | None,
    culprit: tuple[Culprit, ...],
) -> IncidentsDocument:
    queries.probe_names(site, tenant)
    wanted = IncidentFilter(frozenset({tenant}), frozenset(culprit))
    return await queries.incidents_since(site, since, wanted, limit=limit, cursor=cursor)


async def _incidents(  # noqa: PLR0913 -- one argument for each parameter
    site: WebContext,
    *,
    since: float,
    limit: int,
    cursor: IncidentKey | None,
    culprit: tuple[Culprit, ...],
    tenant: tuple[str, ...],
    environment: tuple[str, ...],
) -> IncidentsDocument:
    for each in tenant:
        queries.probe_names(site, each)
    wanted = IncidentFilter(frozenset(tenant), frozenset(culprit), frozenset(environment))
    return await queries.incidents_since(site, since, wanted, limit=limit, cursor=cursor)


async def _tenants(
    site: WebContext,
    limit: int,
    cursor: str | None,
    **wanted: Any,  # noqa: ANN401
) -> TenantsDocument:
    return await queries.tenants_page(site, _filter(**wanted), limit, cursor)


async def _overview(site: WebContext, **wanted: Any) -> OverviewDocument:  # noqa: ANN401
    return await queries.overview(site, _filter(**wanted))


def _filter(
    q: tuple[str, ...] | None,
    state: tuple[TenantState, ...],
    culprit: tuple[Culprit, ...],
    environment: tuple[str, ...],
    label: tuple[tuple[str, str], ...],
) -> OverviewFilter:
    return OverviewFilter(
        q or (), frozenset(state), frozenset(culprit), frozenset(environment), label
    )


async def _incident(site: WebContext, incident: IncidentId) -> IncidentDetail:
    return await read_incident(site, incident)


_TENANT, _SINCE = parameters.TENANT, parameters.SINCE
_FILTER = (
    parameters.SEARCH,
    parameters.STATES,
    parameters.CULPRITS,
    parameters.ENVIRONMENTS,
    parameters.LABELS,
)
_PAGE = (_SINCE, parameters.INCIDENTS_LIMIT, parameters.CURSOR, parameters.CULPRITS)
OPERATIONS = (
    Operation(
        "overview", "/api/v1/overview", "Status of all tenants, in full.", _FILTER,
        OverviewDocument, _overview,
    ),
    Operation(
        "tenants", "/api/v1/tenants", "All tenants in short, by name.",
        (*_FILTER, parameters.INCIDENTS_LIMIT, parameters.NAME_CURSOR), TenantsDocument, _tenants,
    ),
    Operation(
        "tenant", "/api/v1/tenants/{tenant}", "Status of one tenant.", (_TENANT,),
        TenantStatusDocument, _tenant,
    ),
    Operation(
        "series", "/api/v1/tenants/{tenant}/series", "Time series of its probes.",
        (_TENANT, parameters.RANGE), SeriesDocument, _series,
    ),
    Operation(
        "values", "/api/v1/tenants/{tenant}/values", "What its probes' checks found over time.",
        (_TENANT, parameters.RANGE), ValuesDocument, _values,
    ),
    Operation(
        "tenant_incidents", "/api/v1/tenants/{tenant}/incidents", "A tenant's incidents.",
        (_TENANT, *_PAGE), IncidentsDocument, _tenant_incidents,
    ),
    Operation(
        "failures", "/api/v1/tenants/{tenant}/failures", "A tenant's last failures, with evidence.",
        (
            _TENANT, parameters.OF_PROBE, _SINCE, parameters.LIMIT, parameters.FAILURE_CURSOR,
        ), FailuresDocument, _failures,
    ),
    Operation(
        "events", "/api/v1/tenants/{tenant}/events", "Events of its token, and verdict changes.",
        (_TENANT, _SINCE), EventsDocument, _events,
    ),
    Operation(
        "failure", "/api/v1/failures/{number}", "One failure, with evidence.",
        (parameters.NUMBER,), FailureRecord, _failure,
    ),
    Operation(
        "incidents", "/api/v1/incidents", "All tenants' incidents.",
        (*_PAGE, parameters.TENANTS, parameters.ENVIRONMENTS), IncidentsDocument, _incidents,
    ),
    Operation(
        "incident", "/api/v1/incidents/{incident}", "One incident, with all that belongs to it.",
        (parameters.INCIDENT,), IncidentDetail, _incident,
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
    return web.Response(
        status=status,
        body=_adapter(ErrorDocument).dump_json(ErrorDocument(text)),
        content_type="application/json",
    )


def wants_json(request: web.Request) -> bool:
    """Return whether the response should be JSON."""
    site = request.app.get(SITE)
    prefix = "" if site is None else site.route_prefix
    return request.path.startswith(f"{prefix}/api/")


def _handler(operation: Operation) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        values: dict[str, Any] = parameters.read(
            operation.parameters, request.match_info, request.query
        )
        document = await operation.handler(request.app[SITE], **values)
        # Encoding a long document takes longer than a measurement may wait.
        return await packed_response(
            request,
            lambda: _adapter(operation.response_schema).dump_json(document),
            "application/json",
        )

    return handle


@cache
def _adapter(schema: Any) -> TypeAdapter[Any]:  # noqa: ANN401 -- any type
    """Return what encodes a type. Made at its first use: all of them delay the start."""
    return TypeAdapter(schema)


async def _openapi(request: web.Request) -> web.Response:
    version = request.app[SITE].self_health().version
    prefix = request.app[SITE].route_prefix
    # The schemas of all documents take longer to make than a measurement may wait.
    body = await asyncio.to_thread(_description, version, prefix)
    return web.Response(body=body, content_type="application/json")


@lru_cache(maxsize=1)
def _description(version: str, prefix: str) -> bytes:
    return json.dumps(description(OPERATIONS, ErrorDocument, version, prefix, WRITES)).encode()


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
