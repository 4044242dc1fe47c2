"""The document itself: every fact that any format tells. Pure.

Durations are in seconds, points in time in epoch seconds; what is unknown is null. As JSON it is
this very value.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from prober.outcomes import Culprit, Outcome, Reason, RejectionCause, SkipCause, TokenEventKind
from prober.render.documents import TimeBucketDocument
from prober.render.svg import TimeSeries

SCHEMA_VERSION = 1


class GapCause(StrEnum):
    """Why nothing is known of a stretch of time."""

    BEFORE_HISTORY = "before_history"
    TOO_OLD = "too_old"
    NO_ROOM = "no_room"
    NOT_RUNNING = "not_running"
    NOT_WATCHED = "not_watched"


@dataclass(frozen=True, slots=True)
class AvailabilityReport:
    """Both indicators; `allowed_failures` of the platform would just have kept the objective.

    Runs that were held back count among `asked`; those in maintenance, and those that failed by
    the prober's own fault, do not. Where nothing was asked, ratios are null, and so is `is_kept`:
    whether the platform kept its objective.
    """

    objective_ratio: float
    runs: int
    allowed_failures: float
    platform_failures: int
    platform_ratio: float | None
    end_to_end_failures: int
    end_to_end_ratio: float | None
    paused: int
    in_maintenance: int
    prober_faults: int
    objective_met: bool | None


@dataclass(frozen=True, slots=True)
class CulpritShare:
    """What one culprit had to do with it; seconds are those within the report's span."""

    culprit: Culprit
    incidents: int
    seconds: float
    failures: int


@dataclass(frozen=True, slots=True)
class ReportedIncident:
    """One incident, whole, also where it reaches beyond the span; `number` is within the report.

    It goes on while `ended_at` is null, and then lasted until the end of the span.
    """

    number: int
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
class OutcomeCount:
    """How many runs outside maintenance came to one reason."""

    outcome: Outcome
    reason: Reason
    culprit: Culprit
    runs: int
    ratio: float


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Durations that so many of a hundred answers did not exceed, right to one per cent."""

    p50_seconds: float
    p90_seconds: float
    p95_seconds: float
    p99_seconds: float


@dataclass(frozen=True, slots=True)
class ProbeFigures:
    """What one probe came to, all of them where `probe` is null; `answers` could be split."""

    probe: str | None
    runs: int
    platform_ratio: float | None
    end_to_end_ratio: float | None
    responses: int
    server: Percentiles | None
    network: Percentiles | None


@dataclass(frozen=True, slots=True)
class FailedRequest:
    """One failure with what proves it; `incident` is the number of the incident that it is of."""

    at: float
    probe: str
    outcome: Outcome
    reason: Reason
    culprit: Culprit
    incident: int | None
    method: str
    url: str
    http_status: int | None
    request_ids: Mapping[str, str]
    envelope_status: str | None
    message: str | None
    evidence: str
    rule: str
    rule_text: str
    total_seconds: float | None
    server_seconds: float | None
    network_seconds: float | None


@dataclass(frozen=True, slots=True)
class SlowRequest:
    """One of the slowest answers by the platform's own time."""

    at: float
    probe: str
    reason: Reason
    server_seconds: float
    network_seconds: float | None
    http_status: str | None
    request_ids: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of which nothing is known."""

    started_at: float
    ended_at: float
    cause: GapCause


@dataclass(frozen=True, slots=True)
class ReportedTokenEvent:
    """Something happened to the tenant's token."""

    at: float
    kind: TokenEventKind
    cause: RejectionCause | None
    fingerprint: str | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """See the module. `incident_count` and `failure_count` also count what is not listed.

    `failures_known_since` is the moment before which single failures had to make room.
    """

    schema_version: int
    tenant: str
    environment: str
    base_url: str
    since: float
    until: float
    time_zone: str
    generated_at: float
    prober_version: str
    summary: tuple[str, ...]
    availability: AvailabilityReport
    shares: tuple[CulpritShare, ...]
    incident_count: int
    incidents: tuple[ReportedIncident, ...]
    outcomes: tuple[OutcomeCount, ...]
    skipped: Mapping[SkipCause, int]
    figures: tuple[ProbeFigures, ...]
    failure_count: int
    failures_known_since: float | None
    failed_requests: tuple[FailedRequest, ...]
    slow_requests: tuple[SlowRequest, ...]
    gaps: tuple[Gap, ...]
    token_events: tuple[ReportedTokenEvent, ...]
    method: tuple[str, ...]
    strip_step_seconds: int
    strip: tuple[TimeBucketDocument, ...]
    series: TimeSeries
    series_by_probe: Mapping[str, TimeSeries]
