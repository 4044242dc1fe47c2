"""The questions that pages and API have in common. What takes long is done in a thread.

Raises NotFound for what there is not.
"""

import asyncio

from prober.history.archive import PastFailure
from prober.timeline.spells import Incident, IncidentKey
from prober.timeline.standing import TenantStanding
from prober.views.chart import Series, series, span
from prober.views.document import result_document
from prober.views.standing import TenantDocument, tenant_document, worst_first
from prober.web.documents import (
    EventsDocument,
    FailuresDocument,
    IncidentsDocument,
    OverviewDocument,
    ProberDocument,
    SeriesDocument,
    incident_document,
)
from prober.web.parameters import cursor_text
from prober.web.site import Site, standings

MOST_FAILURES = 200
MOST_INCIDENTS = 200
_MOST_EVENTS = 100


class NotFound(Exception):  # noqa: N818 -- named for what it says
    """There is no such thing; the message says which there are."""


async def overview(site: Site) -> OverviewDocument:
    """Return how everything stands."""
    every = [standing async for standing in standings(site, site.tenants)]
    now = site.now()
    documents = await asyncio.to_thread(_documents, every, now)
    return OverviewDocument(now, documents, prober(site))


def prober(site: Site) -> ProberDocument:
    """Return how the prober itself does."""
    return ProberDocument(site.own_health(), site.archive is not None)


def tenant(site: Site, name: str) -> TenantDocument:
    """Return how one tenant stands."""
    known(site, name)
    return tenant_document(site.standing(name), site.now())


async def series_of(site: Site, name: str, range_name: str) -> SeriesDocument:
    """Return what a tenant's probes did over time."""
    probes = known(site, name)
    now = site.now()
    since, until, step = span(range_name, now)
    found: dict[str, Series] = {}
    archive = site.archive
    if archive is not None:
        tallies = await site.in_thread(lambda: archive.tallies(name, since, until, step))
        found = await asyncio.to_thread(
            lambda: {probe: series(each, since, until, step) for probe, each in tallies.items()}
        )
    empty = Series(since, until, step, ())
    return SeriesDocument(now, {probe: found.get(probe, empty) for probe in probes})


async def incidents_since(
    site: Site,
    seconds: float,
    name: str | None = None,
    *,
    limit: int = MOST_INCIDENTS,
    cursor: IncidentKey | None = None,
) -> IncidentsDocument:
    """Return the newest incidents of one tenant, or of all; `cursor` is the last one before."""
    if name is not None:
        known(site, name)
    now = site.now()
    found: tuple[Incident, ...] = ()
    limit = min(limit, MOST_INCIDENTS)
    archive = site.archive
    if archive is not None:
        found = await site.in_thread(
            lambda: archive.incidents(now - seconds, now, name, limit=limit + 1, before=cursor)
        )
    environments = {each.name: each.environment for each in site.tenants.values()}
    shown = found[:limit]
    return IncidentsDocument(
        now - seconds,
        now,
        tuple(incident_document(each, environments.get(each.tenant), now) for each in shown),
        cursor_text(shown[-1].key) if len(found) > limit else None,
    )


async def failures_of(
    site: Site, name: str, seconds: float, limit: int, probe: str | None = None
) -> FailuresDocument:
    """Return a tenant's last failures, or those of one probe."""
    probes = known(site, name)
    if probe is not None and probe not in probes:
        raise NotFound(f"{name} has no probe '{probe}'; there are {', '.join(probes)}")
    if site.archive is None:
        return FailuresDocument(())
    since = site.now() - seconds
    archive = site.archive
    found = await site.in_thread(
        lambda: archive.failures(name, since, limit=min(limit, MOST_FAILURES), probe=probe)
    )
    return FailuresDocument(found)


async def failure(site: Site, number: int) -> PastFailure:
    """Return one failure."""
    found = None
    archive = site.archive
    if archive is not None:
        found = await site.in_thread(lambda: archive.failure(number))
    if found is None:
        raise NotFound(f"there is no failure {number}, or no longer")
    return found


async def events_of(site: Site, name: str, seconds: float) -> EventsDocument:
    """Return what happened to a tenant's token and verdicts."""
    known(site, name)
    if site.archive is None:
        return EventsDocument((), ())
    archive, since = site.archive, site.now() - seconds
    return await site.in_thread(
        lambda: EventsDocument(
            archive.token_events(name, limit=_MOST_EVENTS),
            archive.changes(name, since, limit=_MOST_EVENTS),
        )
    )


def last_runs(site: Site, name: str) -> dict[str, dict[str, object]]:
    """Return the last result of each probe that ran, in the form of `prober probe --json`."""
    return {
        each.probe.name: result_document(each.result)
        for each in site.standing(name).probes
        if each.result is not None
    }


def known(site: Site, name: str) -> tuple[str, ...]:
    """Return the names of a tenant's probes; raises NotFound."""
    found = site.tenants.get(name)
    if found is None:
        raise NotFound(f"there is no tenant '{name}'; there are {', '.join(site.tenants)}")
    return tuple(probe.name for probe in found.probes)


def _documents(standings: list[TenantStanding], now: float) -> tuple[TenantDocument, ...]:
    return worst_first([tenant_document(standing, now) for standing in standings])
