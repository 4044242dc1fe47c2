"""Templates, their filters, and the cache of rendered tenants.

Templates are rendered in a thread, so that runs start on time meanwhile.
"""

import asyncio
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import aiohttp_jinja2
import jinja2
from aiohttp import web

from prober import formatting
from prober.outcomes import Culprit, TokenState
from prober.render import elements, svg, value_lines
from prober.render.documents import TenantStatusDocument, rule_text, tenant_document
from prober.render.overview import TROUBLE, SortKey, TenantState, tenant_state
from prober.render.steps import steps_element
from prober.render.text import CAUSES, CULPRIT_LABELS, REASONS, SKIPS, symbol, token_symbol
from prober.stats.status import TenantStatus
from prober.web import overview_query, queries
from prober.web.compression import packed_response
from prober.web.context import SITE, WebContext, iter_tenant_status


def setup_templates(app: web.Application) -> None:
    """Register the templates; values are escaped unless they are Markup."""
    environment = aiohttp_jinja2.setup(
        app,
        loader=jinja2.PackageLoader("prober.web"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    _register_filters(environment)
    site = app[SITE]
    environment.globals |= {"root": site.route_prefix, "has_history": site.history is not None}


def _register_filters(environment: jinja2.Environment) -> None:
    environment.filters.update(
        {
            "duration": formatting.format_duration,
            "ago": formatting.format_ago,
            "exactly": formatting.format_exact_duration,
            "budget": formatting.format_budget,
            "latency": formatting.format_latency,
            "rounded_latency": formatting.format_rounded_latency,
            "timestamp": elements.time_element,
            "percent": formatting.format_percent,
            "size": formatting.format_size,
            "strip": svg.strip_svg,
            "row_strip": svg.row_strip_svg,
            "latencies": svg.latency_svg,
            "max_latency": svg.max_latency,
            "latency_label": svg.latency_label,
            "chart": elements.chart_element,
            "curl": elements.curl_command,
            "by_key": value_lines.by_key,
            "value_line": lambda series, span: value_lines.value_line_svg(series, *span),
            "state": tenant_state,
            "link": overview_query.link,
            "toggle_culprit": overview_query.toggle_culprit,
            "toggle_state": overview_query.toggle_state,
            "sorted_by": overview_query.sorted_by,
        }
    )
    globals_: Mapping[str, object] = {
        "CAUSES": CAUSES,
        "REASONS": REASONS,
        "SKIPS": SKIPS,
        "CULPRIT_LABELS": CULPRIT_LABELS,
        "RANGES": tuple(svg.RANGES),
        "CULPRITS": tuple(Culprit),
        "STATES": TenantState,
        "SORT": SortKey,
        "symbol": lambda culprit: symbol(Culprit(culprit)),
        "token_symbol": lambda state: token_symbol(TokenState(state)),
        "rule_text": rule_text,
        "waterfall": elements.waterfall_element,
        "steps": steps_element,
    }
    environment.globals.update(globals_)


async def render_page(
    request: web.Request, template: str, http_status: int = 200, **context: object
) -> web.Response:
    """Render a page in a thread."""
    site = request.app[SITE]
    shared = {
        "now": site.now(),
        "prober": queries.self_health(site),
        "outside": queries.outside(site),
        "path": request.path,
    }
    values = {**context, **shared}
    return await packed_response(
        request,
        lambda: aiohttp_jinja2.render_string(template, request, values).encode(),
        "text/html",
        http_status,
    )


_MAX_AGE_SECONDS = 30.0  # "14 min ago" may be this late
_MIN_AGE_SECONDS = 1.0  # a tenant with many probes changes many times a second
_CALM_SECONDS = 10.0  # the numbers of a tenant that is well need not change every second


@dataclass(frozen=True, slots=True)
class RenderedTenant:
    """One tenant on the overview: in full if it is in trouble, else as a row of a table.

    `changes` and `looked_at` are of `document`, and `rendered_at` is of `html`.
    """

    document: TenantStatusDocument
    changes: int
    looked_at: float
    rendered_at: float
    html: str

    @property
    def state(self) -> TenantState:
        """The state of the tenant."""
        return tenant_state(self.document)


def element_id(tenant: TenantStatusDocument) -> str:
    """Return the id of a tenant's element on the overview."""
    return f"{'trouble' if tenant_state(tenant) in TROUBLE else 'row'}-{tenant.name}"


class TenantCache:
    """All tenants as on the overview, rendered again when they have changed or are too old."""

    def __init__(self, site: WebContext, environment: jinja2.Environment) -> None:
        self._site = site
        self._row = environment.get_template("tenant_row.html")
        self._trouble = environment.get_template("tenant_trouble.html")
        self._rendered: dict[str, RenderedTenant] = {}
        self._lock = asyncio.Lock()

    async def all(self) -> Mapping[str, RenderedTenant]:
        """Return all tenants by name."""
        await self._update(tuple(self._site.tenants))
        for name in self._rendered.keys() - self._site.tenants.keys():
            del self._rendered[name]
        return dict(self._rendered)

    async def _update(self, names: Iterable[str]) -> None:
        """Render the tenants that are stale."""
        async with self._lock:
            now = self._site.now()
            wanted = [name for name in names if self._is_stale(name, now)]
            stale = [
                (status, self._site.changes(status.tenant.name))
                async for status in iter_tenant_status(self._site, wanted)
            ]
            if stale:
                rendered = await asyncio.to_thread(self._render, stale, now)
                self._rendered.update({each.document.name: each for each in rendered})

    def _is_stale(self, name: str, now: float) -> bool:
        found = self._rendered.get(name)
        age = math.inf if found is None else abs(now - found.looked_at)
        if found is None or age >= _MAX_AGE_SECONDS:
            return True
        return age >= _MIN_AGE_SECONDS and found.changes != self._site.changes(name)

    def _render(
        self, statuses: Sequence[tuple[TenantStatus, int]], now: float
    ) -> list[RenderedTenant]:
        rendered = []
        for status, changes in statuses:
            document = tenant_document(status, now)
            before = self._rendered.get(document.name)
            if before is not None and _is_calm(before, document, now):
                rendered.append(replace(before, document=document, changes=changes, looked_at=now))
                continue
            template = self._trouble if tenant_state(document) in TROUBLE else self._row
            html = template.render(tenant=document, now=now)
            rendered.append(RenderedTenant(document, changes, now, now, html))
        return rendered


def _is_calm(before: RenderedTenant, document: TenantStatusDocument, now: float) -> bool:
    """Return whether a tenant is as well as it was, and was rendered not long ago."""
    state = tenant_state(document)
    if state in TROUBLE or state is not before.state:
        return False
    return 0 <= now - before.rendered_at < _CALM_SECONDS


TENANTS: web.AppKey[TenantCache] = web.AppKey("tenants", TenantCache)


def add_tenant_cache(app: web.Application) -> None:
    """Add the cache that pages and live updates share."""
    app[TENANTS] = TenantCache(app[SITE], aiohttp_jinja2.get_env(app))
