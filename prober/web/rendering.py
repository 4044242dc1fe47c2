"""Templates, their filters, and the cache of rendered cards.

Templates are rendered in a thread, so that no measurement waits for it.
"""

import asyncio
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import aiohttp_jinja2
import jinja2
from aiohttp import web

from prober import formatting
from prober.outcomes import Culprit, TokenState
from prober.render import svg
from prober.render.documents import (
    TenantStatusDocument,
    rule_text,
    sort_by_severity,
    tenant_document,
)
from prober.render.text import CAUSES, CULPRIT_LABELS, REASONS, SKIPS, symbol, token_symbol
from prober.stats.status import TenantStatus
from prober.web import queries
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


def _register_filters(environment: jinja2.Environment) -> None:
    environment.filters.update(
        {
            "duration": formatting.format_duration,
            "ago": formatting.format_ago,
            "budget": formatting.format_budget,
            "latency": formatting.format_latency,
            "timestamp": formatting.format_timestamp,
            "percent": formatting.format_percent,
            "size": formatting.format_size,
            "strip": svg.strip_svg,
            "latencies": svg.latency_svg,
            "max_latency": svg.max_latency,
            "latency_label": svg.latency_label,
            "chart": svg.chart_svg,
        }
    )
    globals_: Mapping[str, object] = {
        "CAUSES": CAUSES,
        "REASONS": REASONS,
        "SKIPS": SKIPS,
        "CULPRIT_LABELS": CULPRIT_LABELS,
        "RANGES": tuple(svg.RANGES),
        "CULPRITS": tuple(Culprit),
        "symbol": lambda culprit: symbol(Culprit(culprit)),
        "token_symbol": lambda state: token_symbol(TokenState(state)),
        "rule_text": rule_text,
        "waterfall": svg.waterfall_svg,
    }
    environment.globals.update(globals_)


async def render_page(
    request: web.Request, template: str, http_status: int = 200, **context: object
) -> web.Response:
    """Render a page in a thread."""
    site = request.app[SITE]
    shared = {"now": site.now(), "prober": queries.self_health(site), "path": request.path}
    text = await asyncio.to_thread(
        aiohttp_jinja2.render_string, template, request, {**context, **shared}
    )
    response = web.Response(text=text, status=http_status, content_type="text/html")
    response.enable_compression()
    return response


_MAX_AGE_SECONDS = 30.0  # "14 min ago" may be this late
_MIN_AGE_SECONDS = 1.0  # a tenant with many probes changes many times a second


@dataclass(frozen=True, slots=True)
class RenderedCard:
    """One tenant's card on the overview, rendered."""

    document: TenantStatusDocument
    changes: int
    rendered_at: float
    html: str


class CardCache:
    """The cards of all tenants, rendered again when they have changed or are too old."""

    def __init__(self, site: WebContext, environment: jinja2.Environment) -> None:
        self._site = site
        self._template = environment.get_template("card.html")
        self._cards: dict[str, RenderedCard] = {}
        self._lock = asyncio.Lock()

    async def all(self) -> Sequence[RenderedCard]:
        """Return the cards of all tenants, failing ones first."""
        await self._render(tuple(self._site.tenants))
        for name in self._cards.keys() - self._site.tenants.keys():
            del self._cards[name]
        order = sort_by_severity([card.document for card in self._cards.values()])
        return [self._cards[document.name] for document in order]

    async def _render(self, names: Iterable[str]) -> None:
        """Render the cards that are stale."""
        async with self._lock:
            now = self._site.now()
            wanted = [name for name in names if self._is_stale(name, now)]
            stale = [
                (standing, self._site.changes(standing.tenant.name))
                async for standing in iter_tenant_status(self._site, wanted)
            ]
            if stale:
                rendered = await asyncio.to_thread(self._render_cards, stale, now)
                self._cards.update({card.document.name: card for card in rendered})

    def _is_stale(self, name: str, now: float) -> bool:
        card = self._cards.get(name)
        age = math.inf if card is None else abs(now - card.rendered_at)
        if card is None or age >= _MAX_AGE_SECONDS:
            return True
        return age >= _MIN_AGE_SECONDS and card.changes != self._site.changes(name)

    def _render_cards(
        self, standings: list[tuple[TenantStatus, int]], now: float
    ) -> list[RenderedCard]:
        cards = []
        for standing, changes in standings:
            document = tenant_document(standing, now)
            html = self._template.render(tenant=document, now=now)
            cards.append(RenderedCard(document, changes, now, html))
        return cards


CARDS: web.AppKey[CardCache] = web.AppKey("cards", CardCache)


def add_card_cache(app: web.Application) -> None:
    """Add the cache that pages and live updates share."""
    app[CARDS] = CardCache(app[SITE], aiohttp_jinja2.get_env(app))
