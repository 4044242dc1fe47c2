"""What live pages consist of: small parts by the id of the element that each replaces.

A page's own request renders the same templates, so that both always show the same.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp_jinja2
from aiohttp import web
from markupsafe import Markup

from prober.render.overview import Overview, OverviewFilter, overview
from prober.web import actions, overview_query, queries
from prober.web.context import SITE
from prober.web.parameters import BadParameterError
from prober.web.queries import ChartPeriod, TenantPage
from prober.web.rendering import TENANTS, RenderedTenant, element_id

_PAST_SECONDS = 5.0
"""How often the history is read for a tenant's page that somebody watches."""
_CHARTS_SECONDS = 60.0  # the shortest step of a chart


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


Subject = OverviewFilter | TenantSubject
"""What a client watches: the overview with a filter, or a tenant's page."""


def read_subject(request: web.Request) -> Subject:
    """Return what a request for live updates is about; raises NotFoundError for a tenant."""
    query = request.query
    name = query.get("tenant")
    try:
        if name is None:
            return overview_query.parse_filter(query.items())
        queries.probe_names(request.app[SITE], name)
        return TenantSubject(name, queries.chart_period(query))
    except ValueError as error:
        raise BadParameterError(str(error)) from error


class LiveViews:
    """Renders live pages; the history is read every few seconds, and only if something changed."""

    def __init__(self, app: web.Application) -> None:
        self._app = app
        self._pages: dict[TenantSubject, tuple[float, int, TenantPage]] = {}

    async def render(self, subject: Subject) -> LiveView:
        """Return the current version of a page; raises NotFoundError and OSError."""
        if isinstance(subject, TenantSubject):
            return await self._tenant(subject)
        tenants = await self._app[TENANTS].all()
        return await asyncio.to_thread(self._overview, subject, tenants)

    def forget(self, subject: Subject) -> None:
        """Forget what was read for a page that is no longer watched."""
        if isinstance(subject, TenantSubject):
            self._pages.pop(subject, None)

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
        return LiveView({**parts, **self._own_health()}, overview_order(found))

    async def _tenant(self, subject: TenantSubject) -> LiveView:
        site = self._app[SITE]
        queries.probe_names(site, subject.tenant)
        now, changes = site.now(), site.changes(subject.tenant)
        read_at, read_changes, page = self._pages.get(subject, (0.0, -1, None))
        age = abs(now - read_at)
        if (
            page is None
            or age >= _CHARTS_SECONDS
            or (age >= _PAST_SECONDS and changes != read_changes)
        ):
            page = await queries.tenant_page(site, subject.tenant, subject.period)
            self._pages[subject] = (now, changes, page)
        else:
            page = queries.with_current_status(site, page)
        return await asyncio.to_thread(self._tenant_parts, page)

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
        return LiveView({**parts, **self._own_health()}, {})

    def _render_all(
        self, templates: Mapping[str, tuple[str, Mapping[str, object]]], **context: object
    ) -> dict[str, str]:
        environment, site = aiohttp_jinja2.get_env(self._app), self._app[SITE]
        shared = {"now": site.now(), "prober": queries.self_health(site), **context}
        return {
            id_: environment.get_template(template).render(**shared, **own)
            for id_, (template, own) in templates.items()
        }

    def _own_health(self) -> dict[str, str]:
        return self._render_all({"own-health": ("own_health.html", {})})


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
