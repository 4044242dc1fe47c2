"""What the API answers beside how things stand, as documents; pages are drawn from them too. Pure.

Durations are in seconds, points in time in epoch seconds; what is unknown is null.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from prober.history.archive import PastFailure, PastTokenEvent, VerdictChange
from prober.outcomes import Culprit, Reason
from prober.recorders.own_health import OwnHealth
from prober.timeline.spells import Incident
from prober.views.chart import Series
from prober.views.standing import TenantDocument


@dataclass(frozen=True, slots=True)
class ProberDocument:
    """The prober's own health; without a history pages know only what happened since the start."""

    health: OwnHealth
    has_history: bool


@dataclass(frozen=True, slots=True)
class OverviewDocument:
    """All tenants, those in trouble first, and the prober itself."""

    generated_at: float
    tenants: tuple[TenantDocument, ...]
    prober: ProberDocument


@dataclass(frozen=True, slots=True)
class SeriesDocument:
    """What a tenant's probes did over time, by probe."""

    generated_at: float
    probes: Mapping[str, Series]


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

    failures: tuple[PastFailure, ...]


@dataclass(frozen=True, slots=True)
class EventsDocument:
    """What last happened to a tenant's token and verdicts, the newest first."""

    token_events: tuple[PastTokenEvent, ...]
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
