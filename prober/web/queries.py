"""Queries that pages and API have in common, and the documents that they return.

Queries of the history run in a thread. Raises NotFoundError for unknown tenants, probes and
failures. Durations are in seconds, times in epoch seconds; what is unknown is null.
"""

import asyncio
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches

from prober.metrics.self_health import SelfHealth
from prober.outcomes import Culprit, TokenState
from prober.references import ReferenceStatus
from prober.render.checks import ValueSeries
from prober.render.documents import (
    BUCKETS_PER_DAY,
    FailureRecord,
    IncidentDocument,
    TenantStatusDocument,
    TimeBucketDocument,
    TokenEventRecord,
    VerdictChange,
    day_buckets,
    incident_document,
    result_document,
    sort_by_severity,
    tenant_document,
)
from prober.render.overview import OverviewFilter, TenantState, tenant_state
from prober.render.svg import RANGES, TimeSeries, series, span
from prober.stats.aggregates import BUCKET_SECONDS, bucket_from_aggregate, bucket_start
from prober.stats.incidents import FailureStreak, Incident, IncidentKey
from prober.status_page import SupplierStatus, confirmation
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
class OutsideDocument:
    """What is known of the world outside: the supplier's status page, and the references.

    `supplier` is null without a status page. `confirmation` is a sentence while the supplier
    reports an incident, else null. Texts of incidents are the supplier's own.
    """

    supplier: SupplierStatus | None
    confirmation: str | None
    references: tuple[ReferenceStatus, ...]


@dataclass(frozen=True, slots=True)
class TenantSummary:
    """One tenant in short; the fields are as of the tenant's own document."""

    name: str
    environment: str
    labels: Mapping[str, str]
    state: TenantState
    culprit: Culprit
    verdict: str
    since: float | None
    maintenance_ends_at: float | None
    server_p95_seconds: float | None
    network_p95_seconds: float | None
    platform_month_ratio: float | None
    token: TokenState
    token_expires_at: float | None
    certificate_expires_at: float | None


@dataclass(frozen=True, slots=True)
class TenantsDocument:
    """Tenants by name; `total` counts all that match, on all pages.

    `next_cursor` is the parameter for the following ones; it is null when there are no more.
    """

    total: int
    tenants: tuple[TenantSummary, ...]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class SeriesDocument:
    """A time series for each of a tenant's probes."""

    generated_at: float
    probes: Mapping[str, TimeSeries]


@dataclass(frozen=True, slots=True)
class ValuesDocument:
    """What the checks of a tenant's probes found over time."""

    since: float
    until: float
    step_seconds: int
    series: tuple[ValueSeries, ...]


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
    """The last failures of a tenant, the newest first.

    `next_cursor` is the parameter for the following ones; it is null when there are no more.
    """

    failures: tuple[FailureRecord, ...]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class EventsDocument:
    """The last events of a tenant's token and changes of verdicts, the newest first."""

    token_events: tuple[TokenEventRecord, ...]
    verdict_changes: tuple[VerdictChange, ...]


@dataclass(frozen=True, slots=True)
class IncidentFilter:
    """Which incidents are wanted; an empty set allows all."""

    tenants: frozenset[str] = frozenset()
    culprits: frozenset[Culprit] = frozenset()
    environments: frozenset[str] = frozenset()

    def matches(self, streak: FailureStreak, environments: Mapping[str, str]) -> bool:
        """Return whether a streak is part of a wanted incident; `environments` are by tenant."""
        return (
            (not self.tenants or streak.tenant in self.tenants)
            and (not self.culprits or streak.culprit in self.culprits)
            and (not self.environments or environments.get(streak.tenant) in self.environments)
        )


ALL_INCIDENTS = IncidentFilter()


@dataclass(frozen=True, slots=True)
class ErrorDocument:
    """An error message."""

    error: str


DEFAULT_RANGE = "24h"
MAX_FAILURES = 200
MAX_INCIDENTS = 200
MAX_EVENTS = 100


class NotFoundError(Exception):
    """There is no such tenant, probe or failure; the message says which there are."""


async def overview(
    site: WebContext,
    wanted: OverviewFilter = OverviewFilter(),  # noqa: B008 -- it is frozen
) -> OverviewDocument:
    """Return the status of the tenants that a filter matches."""
    documents = await _matching(site, wanted)
    return OverviewDocument(site.now(), sort_by_severity(documents), self_health(site))


async def tenants_page(
    site: WebContext, wanted: OverviewFilter, limit: int, cursor: str | None
) -> TenantsDocument:
    """Return the tenants that a filter matches in short, by name; `cursor` is the last known."""
    found = sorted(await _matching(site, wanted), key=lambda each: each.name)
    following = [each for each in found if cursor is None or each.name > cursor]
    shown = following[:limit]
    return TenantsDocument(
        len(found),
        tuple(map(_summary, shown)),
        shown[-1].name if len(following) > limit else None,
    )


async def _matching(site: WebContext, wanted: OverviewFilter) -> list[TenantStatusDocument]:
    every = [tenant_status async for tenant_status in iter_tenant_status(site, site.tenants)]
    now = site.now()

    def documents() -> list[TenantStatusDocument]:
        found = (tenant_document(each, now) for each in every)
        return [each for each in found if wanted.matches(each)]

    return await asyncio.to_thread(documents)


def _summary(document: TenantStatusDocument) -> TenantSummary:
    return TenantSummary(
        name=document.name,
        environment=document.environment,
        labels=document.labels,
        state=tenant_state(document),
        culprit=document.culprit,
        verdict=document.verdict,
        since=document.since,
        maintenance_ends_at=document.maintenance_ends_at,
        server_p95_seconds=document.server_p95_seconds,
        network_p95_seconds=document.network_p95_seconds,
        platform_month_ratio=document.availability.month.platform_ratio,
        token=document.token.state,
        token_expires_at=document.token.expires_at,
        certificate_expires_at=document.certificate_expires_at,
    )


def outside(site: WebContext) -> OutsideDocument:
    """Return what the supplier's status page and the references say."""
    supplier = site.supplier()
    return OutsideDocument(supplier, confirmation(supplier), site.references())


def self_health(site: WebContext) -> ProberDocument:
    """Return the health of the prober."""
    return ProberDocument(site.self_health(), site.history is not None)


def tenant(site: WebContext, name: str) -> TenantStatusDocument:
    """Return the status of one tenant."""
    probe_names(site, name)
    return tenant_document(site.status(name), site.now())


@dataclass(frozen=True, slots=True)
class ChartPeriod:
    """The period of charts: the last hours or days (`name`), or from `since` to `until`."""

    name: str | None
    since: float = 0.0
    until: float = 0.0

    @property
    def query(self) -> str:
        """The query of an address that has this period."""
        if self.name is not None:
            return f"range={self.name}"
        return f"from={self.since:.0f}&until={self.until:.0f}"

    def span(self, now: float) -> tuple[float, float, int]:
        """Return (since, until, step) in whole steps."""
        if self.name is not None:
            return span(self.name, now)
        seconds = self.until - self.since
        step = next(each for each in _STEPS_SECONDS if seconds / each <= _MAX_STEPS)
        return (
            math.floor(self.since / step) * step,
            math.ceil(self.until / step) * step,
            step,
        )


_STEPS_SECONDS = (60, 300, 900, 3600, 4 * 3600, 86_400, 7 * 86_400)
_MAX_STEPS = 200
_MIN_PERIOD_SECONDS = 300.0
_MAX_PERIOD_SECONDS = 1000 * 86_400.0
_TIMESTAMP = re.compile("[0-9]{1,11}")


PERIOD_PARAMETERS = ("range", "from", "until")


def chart_period(query: Mapping[str, str]) -> ChartPeriod:
    """Return the period that a query asks for; raises ValueError, with the parameter's name."""
    texts = [query.get(name) for name in ("from", "until")]
    if texts == [None, None]:
        name = query.get("range", DEFAULT_RANGE)
        if name not in RANGES:
            raise ValueError(f"range: must be one of {', '.join(RANGES)}")
        return ChartPeriod(name)
    if not all(text is not None and _TIMESTAMP.fullmatch(text) for text in texts):
        raise ValueError("from, until: write both, in seconds since the epoch")
    since, until = (float(text or 0) for text in texts)
    if not _MIN_PERIOD_SECONDS <= until - since <= _MAX_PERIOD_SECONDS:
        raise ValueError("from, until: write a period of 5 minutes to 1000 days")
    return ChartPeriod(None, since, until)


async def series_of(site: WebContext, name: str, period: ChartPeriod) -> SeriesDocument:
    """Return a time series for each of a tenant's probes."""
    probes = probe_names(site, name)
    now = site.now()
    since, until, step = period.span(now)
    found: dict[str, TimeSeries] = {}
    history = site.history
    if history is not None:
        aggregates = await site.in_thread(lambda: history.aggregates(name, since, until, step))
        found = await asyncio.to_thread(
            lambda: {probe: series(each, since, until, step) for probe, each in aggregates.items()}
        )
    empty = TimeSeries(since, until, step, ())
    return SeriesDocument(now, {probe: found.get(probe, empty) for probe in probes})


async def strips_of(site: WebContext, name: str) -> Mapping[str, tuple[TimeBucketDocument, ...]]:
    """Return the last day of each of a tenant's probes, in quarters of an hour."""
    probes, now, history = probe_names(site, name), site.now(), site.history
    if history is None:
        return {probe: day_buckets({}, now) for probe in probes}
    since = bucket_start(now) - (BUCKETS_PER_DAY - 1) * BUCKET_SECONDS

    def read() -> dict[str, tuple[TimeBucketDocument, ...]]:
        aggregates = history.aggregates(name, since, now, BUCKET_SECONDS)
        return {
            probe: day_buckets(
                {int(at): bucket_from_aggregate(each) for at, each in steps.items()}, now
            )
            for probe in probes
            for steps in (aggregates.get(probe, {}),)
        }

    return await site.in_thread(read)


@dataclass(frozen=True, slots=True)
class TenantPage:
    """Everything on a tenant's page: its status, and what the history has of it.

    `last` are the last results by probe, in the form of `prober probe --json`. `values` are drawn
    over `period_span`: its start, its end, and the length of a step.
    """

    period: ChartPeriod
    tenant: TenantStatusDocument
    last: Mapping[str, Mapping[str, object]]
    series: Mapping[str, TimeSeries]
    strips: Mapping[str, tuple[TimeBucketDocument, ...]]
    failures: tuple[FailureRecord, ...]
    incidents: tuple[IncidentDocument, ...]
    events: EventsDocument
    values: tuple[ValueSeries, ...]
    period_span: tuple[float, float, int]


_PAGE_SECONDS = 7 * 86_400.0
_PAGE_FAILURES = 20
_PAGE_INCIDENTS = 50


async def tenant_page(site: WebContext, name: str, period: ChartPeriod) -> TenantPage:
    """Return everything on a tenant's page."""
    document, last = tenant(site, name), last_runs(site, name)
    series, strips, failures, incidents, events, values = await asyncio.gather(
        series_of(site, name, period),
        strips_of(site, name),
        failures_of(site, name, _PAGE_SECONDS, _PAGE_FAILURES),
        incidents_since(
            site, _PAGE_SECONDS, IncidentFilter(frozenset({name})), limit=_PAGE_INCIDENTS
        ),
        events_of(site, name, _PAGE_SECONDS),
        values_of(site, name, period),
    )
    return TenantPage(
        period,
        document,
        last,
        series.probes,
        strips,
        failures.failures,
        incidents.incidents,
        events,
        values.series,
        (values.since, values.until, values.step_seconds),
    )


def with_current_status(site: WebContext, page: TenantPage) -> TenantPage:
    """Return a page with the current status, and what was read of the history before."""
    name = page.tenant.name
    return replace(page, tenant=tenant(site, name), last=last_runs(site, name))


async def values_of(site: WebContext, name: str, period: ChartPeriod) -> ValuesDocument:
    """Return what the checks of a tenant's probes found over time."""
    probes = probe_names(site, name)
    since, until, step = period.span(site.now())
    # The history keeps one value of each quarter of an hour.
    step = max(step, BUCKET_SECONDS)
    found: tuple[ValueSeries, ...] = ()
    history = site.history
    if history is not None:
        found = await site.in_thread(lambda: history.values(name, since, until, step))
    return ValuesDocument(since, until, step, tuple(each for each in found if each.probe in probes))


async def incidents_since(
    site: WebContext,
    seconds: float,
    wanted: IncidentFilter = ALL_INCIDENTS,
    *,
    limit: int = MAX_INCIDENTS,
    cursor: IncidentKey | None = None,
) -> IncidentsDocument:
    """Return the newest incidents that a filter matches; `cursor` is the last known one."""
    now = site.now()
    found: tuple[Incident, ...] = ()
    limit = min(limit, MAX_INCIDENTS)
    environments = {each.name: each.environment for each in site.tenants.values()}
    only = next(iter(wanted.tenants)) if len(wanted.tenants) == 1 else None
    history = site.history
    if history is not None:
        # One more than asked for shows whether there is a next page.
        found = await site.in_thread(
            lambda: history.incidents(
                now - seconds,
                now,
                only,
                limit=limit + 1,
                before=cursor,
                wanted=lambda streak: wanted.matches(streak, environments),
            )
        )
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
    site: WebContext,
    name: str,
    seconds: float,
    limit: int,
    *,
    probe: str | None = None,
    cursor: tuple[float, int] | None = None,
) -> FailuresDocument:
    """Return a tenant's last failures, or those of one probe; `cursor` is the last known one."""
    probes = probe_names(site, name)
    if probe is not None and probe not in probes:
        raise NotFoundError(f"{name} has no probe '{probe}'; there are {', '.join(probes)}")
    if site.history is None:
        return FailuresDocument(())
    since = site.now() - seconds
    history, limit = site.history, min(limit, MAX_FAILURES)
    found = await site.in_thread(
        lambda: history.failures(name, since, limit=limit + 1, probe=probe, before=cursor)
    )
    shown = found[:limit]
    last = f"{shown[-1].at!r}~{shown[-1].number}" if len(found) > limit else None
    return FailuresDocument(shown, last)


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
            history.token_events(name, limit=MAX_EVENTS),
            history.verdict_changes(name, since, limit=MAX_EVENTS),
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
        raise NotFoundError(f"there is no tenant '{name}'; {_known_tenants(site, name)}")
    return tuple(probe.name for probe in found.probes)


_LISTED_TENANTS = 10


def _known_tenants(site: WebContext, name: str) -> str:
    """Return which tenants there are: all if they are few, else those with a similar name."""
    if len(site.tenants) <= _LISTED_TENANTS:
        return f"there are {', '.join(site.tenants)}"
    similar = get_close_matches(name, site.tenants, n=3)
    hint = f"did you mean {' or '.join(similar)}? " if similar else ""
    return f"{hint}/api/v1/tenants lists all {len(site.tenants)}"
