"""Drawn parts of pages, kept until what they show has changed, or the words are too old.

Drawing happens in a thread, so that no measurement waits for it.
"""

import asyncio
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import aiohttp_jinja2
import jinja2
from aiohttp import web

from prober.timeline.standing import TenantStanding
from prober.views.standing import TenantDocument, tenant_document, worst_first
from prober.web.site import SITE, Site, standings

_FRESH_SECONDS = 30.0  # "14 min ago" may be so late
_QUIET_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Card:
    """One tenant as drawn for the overview."""

    document: TenantDocument
    changes: int
    drawn_at: float
    html: str


class Cards:
    """All tenants' cards."""

    def __init__(self, site: Site, environment: jinja2.Environment) -> None:
        self._site = site
        self._template = environment.get_template("card.html")
        self._cards: dict[str, Card] = {}
        self._drawing = asyncio.Lock()

    async def all(self) -> Sequence[Card]:
        """Return every tenant's card, those in trouble first."""
        await self._draw(tuple(self._site.tenants))
        for name in self._cards.keys() - self._site.tenants.keys():
            del self._cards[name]
        order = worst_first([card.document for card in self._cards.values()])
        return [self._cards[document.name] for document in order]

    async def _draw(self, names: Iterable[str]) -> None:
        """Draw the cards that are out of date."""
        async with self._drawing:
            now = self._site.now()
            wanted = [name for name in names if self._is_stale(name, now)]
            stale = [
                (standing, self._site.changes(standing.tenant.name))
                async for standing in standings(self._site, wanted)
            ]
            if stale:
                drawn = await asyncio.to_thread(self._drawn, stale, now)
                self._cards.update({card.document.name: card for card in drawn})

    def _is_stale(self, name: str, now: float) -> bool:
        card = self._cards.get(name)
        age = math.inf if card is None else abs(now - card.drawn_at)
        if card is None or age >= _FRESH_SECONDS:
            return True
        return age >= _QUIET_SECONDS and card.changes != self._site.changes(name)

    def _drawn(self, standings: list[tuple[TenantStanding, int]], now: float) -> list[Card]:
        cards = []
        for standing, changes in standings:
            document = tenant_document(standing, now)
            html = self._template.render(tenant=document, now=now)
            cards.append(Card(document, changes, now, html))
        return cards


CARDS: web.AppKey[Cards] = web.AppKey("cards", Cards)


def add_cards(app: web.Application) -> None:
    """Let pages and live feeds share them."""
    app[CARDS] = Cards(app[SITE], aiohttp_jinja2.get_env(app))
