"""The questions that pages and API have in common. What takes long is done in a thread.

Raises NotFound for what there is not.

What the API answers beside how things stand, as documents; pages are drawn from them too. Pure.

Durations are in seconds, points in time in epoch seconds; what is unknown is null.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from prober.history.reader import FailureRecord, TokenEventRecord, VerdictChange
from prober.metrics.sink import SelfHealth
from prober.outcomes import Culprit, Reason
from prober.render.documents import (
    TenantStatusDocument,
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
    """The prober's own health; without a history pages know only what happened since the start."""

    health: SelfHealth
    has_history: bool


@dataclass(frozen=True, slots=True)
class OverviewDocument:
    """All tenants, those in trouble first, and the prober itself."""

    generated_at: float
    tenants: tuple[TenantStatusDocument, ...]
    prober: ProberDocument


@dataclass(frozen=True, slots=True)
class SeriesDocument:
    """What a tenant's probes did over time, by probe."""

    generated_at: float
    probes: Mapping[str, TimeSeries]


@dataclass(frozen=True, slots=True)
class IncidentDocument:
    """One incident; it goes on while `ended_at` is null."""

    tenant: str
    environment: str | None
    culprit: Culprit
    started_at: float
    ended_at: float | None
    duration_seconds: float
    failures: int
    probes: tuple[str, ...]
    reasons: tuple[Reason, ...]
    evidence: str
    in_maintenance: bool


@dataclass(frozen=True, slots=True)
class IncidentsDocument:
    """The incidents that were going on at some time since a moment, the newest first.

    `next_cursor` asks for the ones that follow; it is null when there are no more.
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
    """What last happened to a tenant's token and verdicts, the newest first."""

    token_events: tuple[TokenEventRecord, ...]
    verdict_changes: tuple[VerdictChange, ...]


@dataclass(frozen=True, slots=True)
class ErrorDocument:
    """Why there is no answer."""

    error: str


def incident_document(incident: Incident, environment: str | None, now: float) -> IncidentDocument:
    """Return one incident at a moment."""
    return IncidentDocument(
        tenant=incident.tenant,
        environment=environment,
        culprit=incident.culprit,
        started_at=incident.started_at,
        ended_at=incident.ended_at,
        duration_seconds=incident.seconds(now),
        failures=incident.failures,
        probes=incident.probes,
        reasons=incident.reasons,
        evidence=incident.evidence,
        in_maintenance=incident.in_maintenance,
    )


MOST_FAILURES = 200
MOST_INCIDENTS = 200
_MOST_EVENTS = 100


class NotFoundError(Exception):
    """There is no such thing; the message says which there are."""


async def overview(site: WebContext) -> OverviewDocument:
    """Return how everything stands."""
    every = [standing async for standing in iter_tenant_status(site, site.tenants)]
    now = site.now()
    documents = await asyncio.to_thread(_documents, every, now)
    return OverviewDocument(now, documents, self_health(site))


def self_health(site: WebContext) -> ProberDocument:
    """Return how the prober itself does."""
    return ProberDocument(site.self_health(), site.history is not None)


def tenant(site: WebContext, name: str) -> TenantStatusDocument:
    """Return how one tenant stands."""
    probe_names(site, name)
    return tenant_document(site.status(name), site.now())


async def series_of(site: WebContext, name: str, range_name: str) -> SeriesDocument:
    """Return what a tenant's probes did over time."""
    probes = probe_names(site, name)
    now = site.now()
    since, until, step = span(range_name, now)
    found: dict[str, TimeSeries] = {}
    archive = site.history
    if archive is not None:
        tallies = await site.in_thread(lambda: archive.aggregates(name, since, until, step))
        found = await asyncio.to_thread(
            lambda: {probe: series(each, since, until, step) for probe, each in tallies.items()}
        )
    empty = TimeSeries(since, until, step, ())
    return SeriesDocument(now, {probe: found.get(probe, empty) for probe in probes})


async def incidents_since(
    site: WebContext,
    seconds: float,
    name: str | None = None,
    *,
    limit: int = MOST_INCIDENTS,
    cursor: IncidentKey | None = None,
) -> IncidentsDocument:
    """Return the newest incidents of one tenant, or of all; `cursor` is the last one before."""
    if name is not None:
        probe_names(site, name)
    now = site.now()
    found: tuple[Incident, ...] = ()
    limit = min(limit, MOST_INCIDENTS)
    archive = site.history
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


def cursor_text(key: IncidentKey) -> str:
    """Return what asks for the incidents after one."""
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
    archive = site.history
    found = await site.in_thread(
        lambda: archive.failures(name, since, limit=min(limit, MOST_FAILURES), probe=probe)
    )
    return FailuresDocument(found)


async def failure(site: WebContext, number: int) -> FailureRecord:
    """Return one failure."""
    found = None
    archive = site.history
    if archive is not None:
        found = await site.in_thread(lambda: archive.failure(number))
    if found is None:
        raise NotFoundError(f"there is no failure {number}, or no longer")
    return found


async def events_of(site: WebContext, name: str, seconds: float) -> EventsDocument:
    """Return what happened to a tenant's token and verdicts."""
    probe_names(site, name)
    if site.history is None:
        return EventsDocument((), ())
    archive, since = site.history, site.now() - seconds
    return await site.in_thread(
        lambda: EventsDocument(
            archive.token_events(name, limit=_MOST_EVENTS),
            archive.verdict_changes(name, since, limit=_MOST_EVENTS),
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
    """Return the names of a tenant's probes; raises NotFound."""
    found = site.tenants.get(name)
    if found is None:
        raise NotFoundError(f"there is no tenant '{name}'; there are {', '.join(site.tenants)}")
    return tuple(probe.name for probe in found.probes)


def _documents(standings: list[TenantStatus], now: float) -> tuple[TenantStatusDocument, ...]:
    return sort_by_severity([tenant_document(standing, now) for standing in standings])
