"""The pages: rendered on the server, usable without JavaScript, with the same data as the API."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import groupby
from typing import cast

from aiohttp import web

from prober.render.documents import TenantStatusDocument
from prober.stats.incidents import IncidentKey
from prober.web import actions, api, queries
from prober.web.api import BadParameterError
from prober.web.context import SITE
from prober.web.queries import NotFoundError
from prober.web.rendering import CARDS, render_page

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_SHOWN_FAILURES = 20
_SHOWN_INCIDENTS = 50
_WEEK_SECONDS = 7 * 86_400.0
_NEW_TENANT_SECONDS = 2 * 3600.0
_FIRST_ENVIRONMENT = "production"


def add_routes(app: web.Application) -> None:
    """Add the pages."""
    app.router.add_get("/", _overview)
    app.router.add_get("/tenants/{tenant}", _tenant)
    app.router.add_get("/incidents", _incidents)
    app.router.add_get("/failures/{number}", _failure)


@web.middleware
async def errors_as_pages(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Return errors as JSON for the API, and as a page for everything else."""
    try:
        return await handler(request)
    except BadParameterError as error:
        status, text = 400, str(error)
    except NotFoundError as error:
        status, text = 404, str(error)
    except web.HTTPError as error:
        status, text = error.status, error.text or error.reason
    except OSError as error:
        status, text = 503, f"cannot read the history: {error.strerror or error}"
    if api.wants_json(request):
        return api.error_response(status, text)
    return await render_page(request, "error.html", status, status=status, text=text)


async def _overview(request: web.Request) -> web.Response:
    cards = await request.app[CARDS].all()
    by_environment = sorted(cards, key=lambda card: _environment_order(card.document))
    groups = [
        (environment, list(group))
        for environment, group in groupby(by_environment, lambda card: card.document.environment)
    ]
    return await render_page(request, "overview.html", cards=cards, groups=groups)


async def _tenant(request: web.Request) -> web.Response:
    wanted = (api.TENANT, api.RANGE)
    values = api.read(wanted, request.match_info, request.query)
    name, range_name = str(values["tenant"]), str(values["range"])
    site = request.app[SITE]
    document = queries.tenant(site, name)
    if "range" not in request.query and site.now() - document.known_since < _NEW_TENANT_SECONDS:
        range_name = "1h"  # a chart of a day would be nearly empty
    series, failures, incidents, events = await asyncio.gather(
        queries.series_of(site, name, range_name),
        queries.failures_of(site, name, _WEEK_SECONDS, _SHOWN_FAILURES),
        queries.incidents_since(site, _WEEK_SECONDS, name, limit=_SHOWN_INCIDENTS),
        queries.events_of(site, name, _WEEK_SECONDS),
    )
    return await render_page(
        request,
        "tenant.html",
        tenant=document,
        last=queries.last_runs(site, name),
        range=range_name,
        series=series,
        failures=failures.failures,
        incidents=incidents.incidents,
        events=events,
        csrf_token=actions.csrf_token(request.app),
    )


def _environment_order(tenant: TenantStatusDocument) -> tuple[bool, str]:
    return tenant.environment != _FIRST_ENVIRONMENT, tenant.environment


async def _incidents(request: web.Request) -> web.Response:
    values = api.read((api.SINCE, api.CURSOR), {}, request.query)
    seconds, cursor = values["since"], values["cursor"]
    assert isinstance(seconds, float)  # noqa: S101 -- as its parameter reads it
    found = await queries.incidents_since(
        request.app[SITE], seconds, cursor=cast("IncidentKey | None", cursor)
    )
    since = request.query.get("since", api.SINCE.default)
    return await render_page(request, "incidents.html", found=found, since=since)


async def _failure(request: web.Request) -> web.Response:
    number = api.read((api.NUMBER,), request.match_info, {})["number"]
    assert isinstance(number, int)  # noqa: S101 -- as its parameter reads it
    failure = await queries.failure(request.app[SITE], number)
    return await render_page(request, "failure.html", failure=failure, document=failure.document)
