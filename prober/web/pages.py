"""The pages: rendered on the server, usable without JavaScript, with the same data as the API."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from aiohttp import web

from prober.models import Tenant
from prober.outcomes import Culprit
from prober.render.overview import overview
from prober.render.svg import favicon_svg
from prober.web import (
    actions,
    annotate,
    api,
    incident,
    incident_list,
    live_views,
    overview_query,
    parameters,
    queries,
)
from prober.web.compression import packed_response
from prober.web.context import SITE
from prober.web.parameters import BadParameterError
from prober.web.queries import ChartPeriod, NotFoundError
from prober.web.rendering import TENANTS, render_page

REPORT_RANGES: Mapping[str, float] = {"24h": 86_400.0, "7d": 7 * 86_400.0, "30d": 30 * 86_400.0}
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_NEW_TENANT_SECONDS = 2 * 3600.0


def add_routes(app: web.Application) -> None:
    """Add the pages."""
    app.router.add_get("/", _overview)
    app.router.add_get("/tenants/{tenant}", _tenant)
    app.router.add_get("/tenants/{tenant}/report", _report)
    app.router.add_get("/incidents", _incidents)
    app.router.add_get("/incidents/{incident}", _incident)
    app.router.add_get("/failures/{number}", _failure)
    app.router.add_get("/favicon.svg", _favicon)


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
    parameters.check_once(request.query, ("sort",))
    try:
        wanted = overview_query.parse_filter(_known(request.query.items()))
    except ValueError as error:
        raise BadParameterError(str(error)) from error
    tenants = await request.app[TENANTS].all()
    found = await asyncio.to_thread(overview, [each.document for each in tenants.values()], wanted)
    return await render_page(
        request,
        "overview.html",
        overview=found,
        html=live_views.overview_html(found, tenants),
        query=overview_query.filter_query(wanted),
    )


def _known(pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for name, value in pairs:
        if name not in overview_query.NAMES and not name.startswith(overview_query.LABEL_PREFIX):
            names = (*overview_query.NAMES, f"{overview_query.LABEL_PREFIX}NAME")
            raise BadParameterError(f"{name}: is not a filter; there are {', '.join(names)}")
        yield name, value


async def _tenant(request: web.Request) -> web.Response:
    name, query, site = request.match_info["tenant"], request.query, request.app[SITE]
    document = queries.tenant(site, name)
    parameters.check_once(query, queries.PERIOD_PARAMETERS)
    try:
        period = queries.chart_period(query)
    except ValueError as error:
        raise BadParameterError(str(error)) from error
    is_new = site.now() - document.known_since < _NEW_TENANT_SECONDS
    if is_new and not {"range", "from"} & query.keys():
        period = ChartPeriod("1h")  # a chart of a day would be nearly empty
    page = await queries.tenant_page(site, name, period)
    return await render_page(
        request,
        "tenant.html",
        tenant=page.tenant,
        page=page,
        links=_links(site.links, site.tenants[name]),
        reports=() if site.report is None else tuple(REPORT_RANGES),
        form_token=annotate.form_token(request.app),
        csrf_token=actions.csrf_token(request.app),
    )


def _links(templates: Mapping[str, str], tenant: Tenant) -> dict[str, str]:
    values = {"tenant": tenant.name, "environment": tenant.environment}
    quoted = {name: quote(value, safe="") for name, value in values.items()}
    return {name: template.format_map(quoted) for name, template in templates.items()}


async def _report(request: web.Request) -> web.Response:
    site, tenant = request.app[SITE], request.match_info["tenant"]
    queries.probe_names(site, tenant)
    parameters.check_once(request.query, ("range",))
    range_name = request.query.get("range", queries.DEFAULT_RANGE)
    if range_name not in REPORT_RANGES:
        raise BadParameterError(f"range: must be one of {', '.join(REPORT_RANGES)}")
    make = site.report
    if make is None:
        raise NotFoundError("there is no report: the history is disabled (history.enabled)")
    seconds = REPORT_RANGES[range_name]
    html = await site.in_thread(lambda: make(tenant, seconds).encode())
    response = await packed_response(request, lambda: html, "text/html")
    # A file, and no page: the policy of pages would forbid its style.
    name = f"{tenant}-{range_name}.html"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


async def _favicon(request: web.Request) -> web.Response:
    count, culprit = request.query.get("count", "0"), request.query.get("culprit", "none")
    if not re.fullmatch("[0-9]{1,6}", count) or culprit not in tuple(Culprit):
        raise BadParameterError("count, culprit: write a number and a culprit")
    return web.Response(
        text=favicon_svg(int(count), Culprit(culprit)), content_type="image/svg+xml"
    )


async def _incidents(request: web.Request) -> web.Response:
    site, shown = request.app[SITE], incident_list.parse_list(request.query)
    return await render_page(
        request,
        "incidents.html",
        shown=shown,
        found=await incident_list.read_list(site, shown),
        tenants=sorted(site.tenants),
    )


async def _incident(request: web.Request) -> web.Response:
    site = request.app[SITE]
    values: dict[str, Any] = parameters.read((parameters.INCIDENT,), request.match_info, {})
    detail = await incident.incident(site, values["incident"])
    if detail.incident.id != str(values["incident"]):
        # The start was not known when this id was made: it is older than what was listed.
        raise web.HTTPPermanentRedirect(f"{site.route_prefix}/incidents/{detail.incident.id}")
    tenant = site.tenants.get(detail.incident.tenant)
    return await render_page(
        request,
        "incident.html",
        detail=detail,
        timeline=incident.timeline(detail),
        links={} if tenant is None else _links(site.links, tenant),
        form_token=annotate.form_token(request.app),
    )


async def _failure(request: web.Request) -> web.Response:
    number = parameters.read((parameters.NUMBER,), request.match_info, {})["number"]
    assert isinstance(number, int)  # noqa: S101 -- as its parameter reads it
    failure = await queries.failure(request.app[SITE], number)
    return await render_page(request, "failure.html", failure=failure, document=failure.document)
