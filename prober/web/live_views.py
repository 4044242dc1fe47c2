"""What live pages consist of: small parts by the id of the element that each replaces.

A page's own request renders the same templates, so that both always show the same.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import aiohttp_jinja2
from aiohttp import web
from markupsafe import Markup
from multidict import MultiDict

from prober.render.overview import Overview, OverviewFilter, overview
from prober.stats.incidents import IncidentId, read_incident_id
from prober.web import actions, overview_query, queries
from prober.web.context import SITE, WebContext
from prober.web.incident import IncidentDetail, existing_id, incident, timeline, with_notes
from prober.web.incident_list import IncidentList, parse_list, read_list
from prober.web.parameters import BadParameterError, check_once
from prober.web.queries import ChartPeriod, IncidentsDocument, TenantPage
from prober.web.rendering import TENANTS, RenderedTenant, element_id

_PAST_SECONDS = 5.0
"""How often the history is read for a tenant's page that somebody watches."""
_CHARTS_SECONDS = 60.0  # the shortest step of a chart
_MAX_READING_SHARE = 0.05  # of the time, for one page: a list of thousands takes long to read


@dataclass(frozen=True, slots=True)
class LiveView:
    """HTML by the id of its element, and the ids in each list that may change its order."""

    parts: Mapping[str, str]
    order: Mapping[str, tuple[str, ...]]

    def __bool__(self) -> bool:
        return bool(self.parts or self.order)

    def since(self, before: "LiveView") -> "LiveView":
        """Return what differs from an earlier version."""
        return LiveView(
            {id_: html for id_, html in self.parts.items() if before.parts.get(id_) != html},
            {id_: ids for id_, ids in self.order.items() if before.order.get(id_) != ids},
        )

    def updated(self, later: "LiveView") -> "LiveView":
        """Return this with what a later version changes."""
        return LiveView({**self.parts, **later.parts}, {**self.order, **later.order})


@dataclass(frozen=True, slots=True)
class TenantSubject:
    """A tenant's page and the period of its charts."""

    tenant: str
    period: ChartPeriod


Subject = OverviewFilter | TenantSubject | IncidentId | IncidentList
"""What a client watches: the overview with a filter, the page of a tenant or of an incident, or the
list of incidents."""
_Page = TenantPage | IncidentDetail | IncidentsDocument


async def read_subject(request: web.Request) -> Subject:
    """Return what a request for live updates is about.

    Raises BadParameterError, and NotFoundError for a tenant or an incident.
    """
    query, site = request.query, request.app[SITE]
    check_once(query, ("page",))
    if query.get("page") == "incidents":
        return parse_list(MultiDict((k, v) for k, v in query.items() if k != "page"))
    check_once(query, ("tenant", "incident", "sort", *queries.PERIOD_PARAMETERS))
    name = query.get("tenant")
    try:
        if "incident" in query:
            return await _existing_incident(site, query["incident"])
        if name is None:
            return overview_query.parse_filter(query.items())
        queries.probe_names(site, name)
        return TenantSubject(name, queries.chart_period(query))
    except ValueError as error:
        raise BadParameterError(str(error)) from error


async def _existing_incident(site: WebContext, text: str) -> IncidentId:
    """Return the id of an incident; raises ValueError, and NotFoundError if there is none."""
    wanted = read_incident_id(text)
    await existing_id(site, wanted)
    return wanted


@dataclass(frozen=True, slots=True)
class _ReadPage:
    """What was read of the history for a page, when, after how many changes, and in what time.

    `read_at` is in epoch seconds.
    """

    read_at: float
    changes: int
    seconds: float
    page: _Page

    def is_stale(self, now: float, changes: int) -> bool:
        """Return whether to read again: soon after a change, but not all the time."""
        age = abs(now - self.read_at)
        pause_seconds = max(_PAST_SECONDS, self.seconds / _MAX_READING_SHARE)
        return age >= _CHARTS_SECONDS or (age >= pause_seconds and changes != self.changes)


class LiveViews:
    """Renders live pages; the history is read every few seconds, and only if something changed."""

    def __init__(self, app: web.Application) -> None:
        self._app = app
        self._pages: dict[Subject, _ReadPage] = {}

    async def render(self, subject: Subject) -> LiveView:
        """Return the current version of a page; raises NotFoundError and OSError."""
        site = self._app[SITE]
        match subject:
            case OverviewFilter():
                tenants = await self._app[TENANTS].all()
                return await asyncio.to_thread(self._overview, subject, tenants)
            case TenantSubject():
                queries.probe_names(site, subject.tenant)
                page = await self._read(subject, [subject.tenant])
                assert isinstance(page, TenantPage)  # noqa: S101 -- as `_read_page` reads it
                page = queries.with_current_status(site, page)
                return await asyncio.to_thread(self._tenant_parts, page)
            case IncidentId():
                detail = await self._read(subject, [subject.tenant])
                assert isinstance(detail, IncidentDetail)  # noqa: S101 -- as above
                return await asyncio.to_thread(self._incident_parts, with_notes(site, detail))
            case IncidentList():
                found = await self._read(subject, site.tenants)
                part = {"incident-list": ("incident_list.html", {"found": found, "shown": subject})}
                return LiveView(
                    {**await asyncio.to_thread(self._render_all, part), **self._shared_parts()}, {}
                )

    def forget(self, subject: Subject) -> None:
        """Forget what was read for a page that is no longer watched."""
        self._pages.pop(subject, None)

    async def _read(self, subject: Subject, tenants: Iterable[str]) -> _Page:
        """Return what the history has for a page; `tenants` are those that it is about."""
        site, loop = self._app[SITE], asyncio.get_running_loop()
        now = site.now()
        changes = sum(site.changes(name) for name in tenants if name in site.tenants)
        known = self._pages.get(subject)
        if known is not None and not known.is_stale(now, changes):
            return known.page
        started_at = loop.time()
        page = await self._read_page(subject)
        self._pages[subject] = _ReadPage(now, changes, loop.time() - started_at, page)
        return page

    async def _read_page(self, subject: Subject) -> _Page:
        site = self._app[SITE]
        match subject:
            case TenantSubject():
                return await queries.tenant_page(site, subject.tenant, subject.period)
            case IncidentId():
                return await incident(site, subject)
            case IncidentList():
                return await read_list(site, subject)
            case OverviewFilter():
                raise AssertionError("the overview is not read of the history")

    def _overview(self, wanted: OverviewFilter, tenants: Mapping[str, RenderedTenant]) -> LiveView:
        found = overview((each.document for each in tenants.values()), wanted)
        parts = {element_id(each): tenants[each.name].html for each in found.tenants}
        parts |= self._render_all(
            {
                "title": ("overview_title.html", {}),
                "favicon": ("favicon.html", {}),
                "bar": ("overview_bar.html", {}),
                "attention-heading": ("overview_attention.html", {}),
                **{
                    f"heading-{group.environment}": ("overview_group.html", {"group": group})
                    for group in found.groups
                },
            },
            overview=found,
        )
        return LiveView({**parts, **self._shared_parts()}, overview_order(found))

    def _tenant_parts(self, page: TenantPage) -> LiveView:
        probes = page.tenant.probes
        templates: dict[str, tuple[str, Mapping[str, object]]] = {
            "title": ("tenant_title.html", {}),
            "favicon": ("tenant_favicon.html", {}),
            "now": ("tenant_now.html", {}),
            "incident-list": ("tenant_incidents.html", {}),
            "failure-list": ("tenant_failures.html", {}),
            "token-facts": ("tenant_token.html", {}),
        }
        if any(probe.checks for probe in probes):
            templates["check-list"] = ("tenant_checks.html", {})
        for probe in probes:
            context = {"probe": probe}
            templates[f"probe-{probe.name}"] = ("probe_row.html", context)
            templates[f"run-{probe.name}"] = ("probe_run.html", context)
            templates[f"chart-{probe.name}"] = ("probe_chart.html", context)
        parts = self._render_all(
            templates,
            tenant=page.tenant,
            page=page,
            csrf_token=actions.csrf_token(self._app),
        )
        return LiveView({**parts, **self._shared_parts()}, {})

    def _incident_parts(self, detail: IncidentDetail) -> LiveView:
        templates: dict[str, tuple[str, Mapping[str, object]]] = {
            "title": ("incident_title.html", {}),
            "incident-now": ("incident_now.html", {}),
            "supplier-account": ("incident_supplier.html", {}),
            "note-list": ("incident_notes.html", {}),
            "incident-timeline": ("incident_timeline.html", {}),
            "incident-failures": ("incident_failures.html", {}),
            "incident-alerts": ("incident_alerts.html", {}),
        }
        parts = self._render_all(templates, detail=detail, timeline=timeline(detail))
        return LiveView({**parts, **self._shared_parts()}, {})

    def _render_all(
        self, templates: Mapping[str, tuple[str, Mapping[str, object]]], **context: object
    ) -> dict[str, str]:
        environment, site = aiohttp_jinja2.get_env(self._app), self._app[SITE]
        shared = {
            "now": site.now(),
            "prober": queries.self_health(site),
            "outside": queries.outside(site),
            **context,
        }
        return {
            id_: environment.get_template(template).render(**shared, **own)
            for id_, (template, own) in templates.items()
        }

    def _shared_parts(self) -> dict[str, str]:
        """Return the parts that each page has."""
        return self._render_all(
            {"own-health": ("own_health.html", {}), "outside": ("outside.html", {})}
        )


def overview_order(found: Overview) -> dict[str, tuple[str, ...]]:
    """Return the ids of the elements in each list of the overview."""
    return {
        "trouble": tuple(map(element_id, found.trouble)),
        **{
            f"rows-{group.environment}": tuple(map(element_id, group.tenants))
            for group in found.groups
        },
    }


def overview_html(found: Overview, tenants: Mapping[str, RenderedTenant]) -> dict[str, Markup]:
    """Return the HTML of the tenants that an overview shows, by name."""
    return {
        each.name: Markup(tenants[each.name].html)  # noqa: S704 -- rendered
        for each in found.tenants
    }
