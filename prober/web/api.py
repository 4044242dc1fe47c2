"""The JSON API: one table of operations, which makes the routes and the OpenAPI description."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from pydantic import TypeAdapter

from prober.history.archive import PastFailure
from prober.timeline.spells import IncidentKey
from prober.views.badge import badge_svg
from prober.views.standing import TenantDocument
from prober.web import parameters, questions
from prober.web.documents import (
    ErrorDocument,
    EventsDocument,
    FailuresDocument,
    IncidentsDocument,
    OverviewDocument,
    ProberDocument,
    SeriesDocument,
)
from prober.web.openapi import Described, description
from prober.web.parameters import BadParameter, Parameter
from prober.web.questions import NotFound
from prober.web.site import SITE, Site

_ERROR = TypeAdapter(ErrorDocument)


@dataclass(frozen=True, slots=True)
class Operation(Described):
    """One question, and who answers it."""

    answer: Callable[..., Awaitable[object]]


async def _tenant(site: Site, tenant: str) -> TenantDocument:
    return questions.tenant(site, tenant)


async def _prober(site: Site) -> ProberDocument:
    return questions.prober(site)


async def _series(site: Site, tenant: str, range: str) -> SeriesDocument:  # noqa: A002
    return await questions.series_of(site, tenant, range)


async def _failures(
    site: Site, tenant: str, probe: str | None, since: float, limit: int
) -> FailuresDocument:
    return await questions.failures_of(site, tenant, since, limit, probe)


async def _failure(site: Site, number: int) -> PastFailure:
    return await questions.failure(site, number)


async def _events(site: Site, tenant: str, since: float) -> EventsDocument:
    return await questions.events_of(site, tenant, since)


async def _incidents(
    site: Site, since: float, limit: int, cursor: IncidentKey | None, tenant: str | None = None
) -> IncidentsDocument:
    return await questions.incidents_since(site, since, tenant, limit=limit, cursor=cursor)


_TENANT, _SINCE = parameters.TENANT, parameters.SINCE
_PAGE = (_SINCE, parameters.INCIDENTS_LIMIT, parameters.CURSOR)
OPERATIONS = (
    Operation(
        "overview", "/api/v1/overview", "How everything stands.", (), OverviewDocument,
        questions.overview,
    ),
    Operation(
        "tenant", "/api/v1/tenants/{tenant}", "How one tenant stands.", (_TENANT,),
        TenantDocument, _tenant,
    ),
    Operation(
        "series", "/api/v1/tenants/{tenant}/series", "What its probes did over time.",
        (_TENANT, parameters.RANGE), SeriesDocument, _series,
    ),
    Operation(
        "tenant_incidents", "/api/v1/tenants/{tenant}/incidents", "A tenant's incidents.",
        (_TENANT, *_PAGE), IncidentsDocument, _incidents,
    ),
    Operation(
        "failures", "/api/v1/tenants/{tenant}/failures", "Its last failures, with evidence.",
        (_TENANT, parameters.OF_PROBE, _SINCE, parameters.LIMIT), FailuresDocument, _failures,
    ),
    Operation(
        "events", "/api/v1/tenants/{tenant}/events", "What happened to its token and verdicts.",
        (_TENANT, _SINCE), EventsDocument, _events,
    ),
    Operation(
        "failure", "/api/v1/failures/{number}", "One failure, with evidence.",
        (parameters.NUMBER,), PastFailure, _failure,
    ),
    Operation(
        "incidents", "/api/v1/incidents", "All tenants' incidents.", _PAGE,
        IncidentsDocument, _incidents,
    ),
    Operation(
        "prober", "/api/v1/prober", "The prober's own health.", (), ProberDocument, _prober,
    ),
)  # fmt: skip


def add_routes(app: web.Application) -> None:
    """Add all operations, the badge, and the description of the operations."""
    for operation in OPERATIONS:
        app.router.add_get(operation.path, _handler(operation))
    app.router.add_get("/api/v1/openapi.json", _openapi)
    app.router.add_get("/badge/{tenant}.svg", _badge)


def error_answer(status: int, text: str) -> web.Response:
    """Return an error in the API's form."""
    return _json(_ERROR, ErrorDocument(text), status)


def is_for_programs(request: web.Request) -> bool:
    """Tell whether an answer is to be read by a program."""
    return request.path.startswith("/api/")


def _handler(operation: Operation) -> Callable[[web.Request], Awaitable[web.Response]]:
    adapter: TypeAdapter[Any] = TypeAdapter(operation.answers)

    async def handle(request: web.Request) -> web.Response:
        try:
            values = _read(operation.parameters, request)
            document = await operation.answer(request.app[SITE], **values)
        except BadParameter as error:
            return error_answer(400, str(error))
        except NotFound as error:
            return error_answer(404, str(error))
        except OSError as error:
            return error_answer(503, f"the history cannot be read: {error.strerror or error}")
        # A long document takes longer to write than a measurement may wait.
        body = await asyncio.to_thread(adapter.dump_json, document)
        return web.Response(body=body, content_type="application/json")

    return handle


def _read(wanted: tuple[Parameter, ...], request: web.Request) -> dict[str, object]:
    return parameters.read(wanted, request.match_info, request.query)


def _json(adapter: TypeAdapter[Any], document: object, status: int = 200) -> web.Response:
    return web.Response(
        status=status, body=adapter.dump_json(document), content_type="application/json"
    )


async def _openapi(request: web.Request) -> web.Response:
    version = request.app[SITE].own_health().version
    return web.json_response(description(OPERATIONS, ErrorDocument, version))


async def _badge(request: web.Request) -> web.Response:
    try:
        tenant = questions.tenant(request.app[SITE], request.match_info["tenant"])
    except NotFound as error:
        return error_answer(404, str(error))
    return web.Response(
        text=badge_svg(tenant),
        content_type="image/svg+xml",
        headers={"Cross-Origin-Resource-Policy": "cross-origin"},
    )
