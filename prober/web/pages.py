"""The pages: drawn on the server, readable without a script, and the same facts as the API's."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import groupby
from typing import cast

from aiohttp import web

from prober.timeline.spells import IncidentKey
from prober.views.standing import TenantDocument
from prober.web import ad_hoc, api, parameters, questions
from prober.web.cards import CARDS
from prober.web.parameters import BadParameter
from prober.web.questions import NotFound
from prober.web.rendering import page
from prober.web.site import SITE

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_SHOWN_FAILURES = 20
_SHOWN_INCIDENTS = 50
_WEEK_SECONDS = 7 * 86_400.0
_YOUNG_SECONDS = 2 * 3600.0
_FIRST_ENVIRONMENT = "production"


def add_routes(app: web.Application) -> None:
    """Add the pages."""
    app.router.add_get("/", _overview)
    app.router.add_get("/tenants/{tenant}", _tenant)
    app.router.add_get("/incidents", _incidents)
    app.router.add_get("/failures/{number}", _failure)


@web.middleware
async def errors_as_pages(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Let errors be read by whom they are for: as a page, or as JSON."""
    try:
        return await handler(request)
    except BadParameter as error:
        status, text = 400, str(error)
    except NotFound as error:
        status, text = 404, str(error)
    except web.HTTPError as error:
        status, text = error.status, error.text or error.reason
    except OSError as error:
        status, text = 503, f"the history cannot be read: {error.strerror or error}"
    if api.is_for_programs(request):
        return api.error_answer(status, text)
    return await page(request, "error.html", status, status=status, text=text)


async def _overview(request: web.Request) -> web.Response:
    cards = await request.app[CARDS].all()
    by_environment = sorted(cards, key=lambda card: _environment_order(card.document))
    groups = [
        (environment, list(group))
        for environment, group in groupby(by_environment, lambda card: card.document.environment)
    ]
    return await page(request, "overview.html", cards=cards, groups=groups)


async def _tenant(request: web.Request) -> web.Response:
    wanted = (parameters.TENANT, parameters.RANGE)
    values = parameters.read(wanted, request.match_info, request.query)
    name, range_name = str(values["tenant"]), str(values["range"])
    site = request.app[SITE]
    document = questions.tenant(site, name)
    if "range" not in request.query and site.now() - document.known_since < _YOUNG_SECONDS:
        range_name = "1h"  # of a day there would be nothing to see
    series, failures, incidents, events = await asyncio.gather(
        questions.series_of(site, name, range_name),
        questions.failures_of(site, name, _WEEK_SECONDS, _SHOWN_FAILURES),
        questions.incidents_since(site, _WEEK_SECONDS, name, limit=_SHOWN_INCIDENTS),
        questions.events_of(site, name, _WEEK_SECONDS),
    )
    return await page(
        request,
        "tenant.html",
        tenant=document,
        last=questions.last_runs(site, name),
        range=range_name,
        series=series,
        failures=failures.failures,
        incidents=incidents.incidents,
        events=events,
        word=ad_hoc.word(request.app),
    )


def _environment_order(tenant: TenantDocument) -> tuple[bool, str]:
    return tenant.environment != _FIRST_ENVIRONMENT, tenant.environment


async def _incidents(request: web.Request) -> web.Response:
    values = parameters.read((parameters.SINCE, parameters.CURSOR), {}, request.query)
    seconds, cursor = values["since"], values["cursor"]
    assert isinstance(seconds, float)  # noqa: S101 -- as its parameter reads it
    found = await questions.incidents_since(
        request.app[SITE], seconds, cursor=cast("IncidentKey | None", cursor)
    )
    since = request.query.get("since", parameters.SINCE.default)
    return await page(request, "incidents.html", found=found, since=since)


async def _failure(request: web.Request) -> web.Response:
    number = parameters.read((parameters.NUMBER,), request.match_info, {})["number"]
    assert isinstance(number, int)  # noqa: S101 -- as its parameter reads it
    failure = await questions.failure(request.app[SITE], number)
    return await page(request, "failure.html", failure=failure, document=failure.document)
