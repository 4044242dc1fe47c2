"""Queries that pages and API have in common, and the documents that they return.

Queries of the history run in a thread. Raises NotFoundError for unknown tenants, probes and
failures. Durations are in seconds, times in epoch seconds; what is unknown is null.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from prober.metrics.sink import SelfHealth
from prober.render.documents import (
    FailureRecord,
    IncidentDocument,
    TenantStatusDocument,
    TokenEventRecord,
    VerdictChange,
    incident_document,
    result_document,
    sort_by_severity,
    tenant_document,
)
from prober.render.svg import TimeSeries, series, span
from prober.stats.incidents import Incident, IncidentKey
from prober.stats.status import TenantStatus
from prober.web.context import WebContext, iter_tenant_status


@dataclass(frozen=True, slots=True)
class ProberDocument:
    """The health of the prober; without a history, there is data since the start only."""

    health: SelfHealth
    has_history: bool


@dataclass(frozen=True, slots=True)
class OverviewDocument:
    """All tenants, failing ones first, and the prober itself."""

    generated_at: float
    tenants: tuple[TenantStatusDocument, ...]
    prober: ProberDocument


@dataclass(frozen=True, slots=True)
class SeriesDocument:
    """A time series for each of a tenant's probes."""

    generated_at: float
    probes: Mapping[str, TimeSeries]


@dataclass(frozen=True, slots=True)
class IncidentsDocument:
    """The incidents that were ongoing at some time in a period, the newest first.

    `next_cursor` is the parameter for the following ones; it is null when there are no more.
    """

    since: float
    until: float
    incidents: tuple[IncidentDocument, ...]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class FailuresDocument:
    """The last failures of a tenant, the newest first."""

    failures: tuple[FailureRecord, ...]


@dataclass(frozen=True, slots=True)
class EventsDocument:
    """The last events of a tenant's token and changes of verdicts, the newest first."""

    token_events: tuple[TokenEventRecord, ...]
    verdict_changes: tuple[VerdictChange, ...]


@dataclass(frozen=True, slots=True)
class ErrorDocument:
    """An error message."""

    error: str


MAX_FAILURES = 200
MAX_INCIDENTS = 200
_MAX_EVENTS = 100


class NotFoundError(Exception):
    """There is no such tenant, probe or failure; the message says which there are."""


async def overview(site: WebContext) -> OverviewDocument:
    """Return the status of all tenants."""
    every = [tenant_status async for tenant_status in iter_tenant_status(site, site.tenants)]
    now = site.now()
    documents = await asyncio.to_thread(_documents, every, now)
    return OverviewDocument(now, documents, self_health(site))


def self_health(site: WebContext) -> ProberDocument:
    """Return the health of the prober."""
    return ProberDocument(site.self_health(), site.history is not None)


def tenant(site: WebContext, name: str) -> TenantStatusDocument:
    """Return the status of one tenant."""
    probe_names(site, name)
    return tenant_document(site.status(name), site.now())


async def series_of(site: WebContext, name: str, range_name: str) -> SeriesDocument:
    """Return a time series for each of a tenant's probes."""
    probes = probe_names(site, name)
    now = site.now()
    since, until, step = span(range_name, now)
    found: dict[str, TimeSeries] = {}
    history = site.history
    if history is not None:
        aggregates = await site.in_thread(lambda: history.aggregates(name, since, until, step))
        found = await asyncio.to_thread(
            lambda: {probe: series(each, since, until, step) for probe, each in aggregates.items()}
        )
    empty = TimeSeries(since, until, step, ())
    return SeriesDocument(now, {probe: found.get(probe, empty) for probe in probes})


async def incidents_since(
    site: WebContext,
    seconds: float,
    name: str | None = None,
    *,
    limit: int = MAX_INCIDENTS,
    cursor: IncidentKey | None = None,
) -> IncidentsDocument:
    """Return the newest incidents of one tenant, or of all; `cursor` is the last known one."""
    if name is not None:
        probe_names(site, name)
    now = site.now()
    found: tuple[Incident, ...] = ()
    limit = min(limit, MAX_INCIDENTS)
    history = site.history
    if history is not None:
        # One more than asked for shows whether there is a next page.
        found = await site.in_thread(
            lambda: history.incidents(now - seconds, now, name, limit=limit + 1, before=cursor)
        )
    environments = {each.name: each.environment for each in site.tenants.values()}
    shown = found[:limit]
    return IncidentsDocument(
        now - seconds,
        now,
        tuple(incident_document(each, environments.get(each.tenant), now) for each in shown),
        cursor_text(shown[-1].key) if len(found) > limit else None,
    )


def cursor_text(key: IncidentKey) -> str:
    """Return the cursor for the incidents after one."""
    started_at, tenant, culprit, in_maintenance = key
    return f"{started_at!r}~{culprit}~{int(in_maintenance)}~{tenant}"


async def failures_of(
    site: WebContext, name: str, seconds: float, limit: int, probe: str | None = None
) -> FailuresDocument:
    """Return a tenant's last failures, or those of one probe."""
    probes = probe_names(site, name)
    if probe is not None and probe not in probes:
        raise NotFoundError(f"{name} has no probe '{probe}'; there are {', '.join(probes)}")
    if site.history is None:
        return FailuresDocument(())
    since = site.now() - seconds
    history = site.history
    found = await site.in_thread(
        lambda: history.failures(name, since, limit=min(limit, MAX_FAILURES), probe=probe)
    )
    return FailuresDocument(found)


async def failure(site: WebContext, number: int) -> FailureRecord:
    """Return one failure."""
    found = None
    history = site.history
    if history is not None:
        found = await site.in_thread(lambda: history.failure(number))
    if found is None:
        raise NotFoundError(f"there is no failure {number}, or it was deleted")
    return found


async def events_of(site: WebContext, name: str, seconds: float) -> EventsDocument:
    """Return events of a tenant's token, and changes of verdicts."""
    probe_names(site, name)
    if site.history is None:
        return EventsDocument((), ())
    history, since = site.history, site.now() - seconds
    return await site.in_thread(
        lambda: EventsDocument(
            history.token_events(name, limit=_MAX_EVENTS),
            history.verdict_changes(name, since, limit=_MAX_EVENTS),
        )
    )


def last_runs(site: WebContext, name: str) -> dict[str, dict[str, object]]:
    """Return the last result of each probe that ran, in the form of `prober probe --json`."""
    return {
        each.probe.name: result_document(each.result)
        for each in site.status(name).probes
        if each.result is not None
    }


def probe_names(site: WebContext, name: str) -> tuple[str, ...]:
    """Return the names of a tenant's probes; raises NotFoundError."""
    found = site.tenants.get(name)
    if found is None:
        raise NotFoundError(f"there is no tenant '{name}'; there are {', '.join(site.tenants)}")
    return tuple(probe.name for probe in found.probes)


def _documents(statuses: list[TenantStatus], now: float) -> tuple[TenantStatusDocument, ...]:
    return sort_by_severity([tenant_document(each, now) for each in statuses])
