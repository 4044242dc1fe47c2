"""The report as one value: every fact that any of its formats shows. Its JSON is this value.

Durations are in seconds, times in epoch seconds (UTC); what is unknown is null.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from prober.history.annotations import IncidentNote
from prober.outcomes import Culprit, Outcome, Reason, SkipCause
from prober.render.checks import ValueRange
from prober.render.documents import (
    FailedRequest,
    IncidentDocument,
    SlowRequest,
    TimeBucketDocument,
    TokenEventRecord,
)
from prober.render.svg import TimeSeries
from prober.stats.slo import Availability
from prober.status_page import SupplierAccount

SCHEMA_VERSION = 1


class GapCause(StrEnum):
    """Why there is no data for a period."""

    BEFORE_HISTORY = "before_history"
    TOO_OLD = "too_old"
    NO_ROOM = "no_room"
    NOT_RUNNING = "not_running"
    NOT_WATCHED = "not_watched"
    NO_RUN = "no_run"


@dataclass(frozen=True, slots=True)
class CulpritShare:
    """The incidents and failed runs of one culprit; seconds are those within the report's range."""

    culprit: Culprit
    incidents: int
    seconds: float
    failures: int


@dataclass(frozen=True, slots=True)
class OutcomeCount:
    """How many runs outside maintenance had one reason."""

    outcome: Outcome
    reason: Reason
    culprit: Culprit
    runs: int
    ratio: float


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Percentiles of durations, accurate to 1 %, and to 5 % where they are of own time."""

    p50_seconds: float
    p90_seconds: float
    p95_seconds: float
    p99_seconds: float


@dataclass(frozen=True, slots=True)
class ProbeFigures:
    """The figures of one probe, or of all probes where `probe` is null.

    `responses` is the number of responses with a known server time.
    """

    probe: str | None
    runs: int
    platform_ratio: float | None
    end_to_end_ratio: float | None
    responses: int
    server: Percentiles | None
    network: Percentiles | None
    own: Percentiles | None


@dataclass(frozen=True, slots=True)
class Gap:
    """A period without data."""

    started_at: float
    ended_at: float
    cause: GapCause

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.ended_at - self.started_at


class ClockState(StrEnum):
    """What the kernel says of the clock when the report is made."""

    SYNCHRONIZED = "synchronized"
    UNSYNCHRONIZED = "unsynchronized"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Vantage:
    """Where the report was made, and by which build.

    `location` is as the author of the report describes it. `clock_error_seconds` is the
    kernel's bound on the error of the clock.
    """

    host: str
    location: str | None
    clock: ClockState
    clock_error_seconds: float | None
    version: str
    revision: str


@dataclass(frozen=True, slots=True)
class Cadence:
    """What a probe requests, and how often."""

    probe: str
    method: str
    path: str
    interval_seconds: float
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class PeriodFigures:
    """The main figures of a period, to compare it with another."""

    since: float
    until: float
    runs: int
    platform_ratio: float | None
    end_to_end_ratio: float | None
    incidents: int
    server_p95_seconds: float | None
    network_p95_seconds: float | None


@dataclass(frozen=True, slots=True)
class SupplierFinding:
    """What the supplier's status page said during one listed incident, by its number.

    `published_after_seconds` is when it first had an incident, null if it had none;
    `is_known_whole` if it could be read all the time.
    """

    incident: int
    finding: str
    published_after_seconds: float | None
    is_known_whole: bool


@dataclass(frozen=True, slots=True)
class Report:
    """A tenant's report from `since` to before `until`.

    Incidents are listed whole, even where they began before the range. `incident_count` and
    `failure_count` include what is not listed, as do `gap_count` and `unknown_seconds`; shorter
    gaps than `min_gap_seconds` are none. Failures from before `failures_known_since` were deleted
    for lack of room; it is null where none were. `supplier` is what the supplier's status page
    said, null if it was not read; its texts are the supplier's own. `supplier_findings` are of
    incidents for which the supplier may be responsible. `values` are what checks found in
    responses.
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
    vantage: Vantage
    cadence: tuple[Cadence, ...]
    current: PeriodFigures
    previous: PeriodFigures | None
    summary: tuple[str, ...]
    availability: Availability
    shares: tuple[CulpritShare, ...]
    incident_count: int
    incidents: tuple[IncidentDocument, ...]
    notes: tuple[IncidentNote, ...]
    outcomes: tuple[OutcomeCount, ...]
    skipped: Mapping[SkipCause, int]
    figures: tuple[ProbeFigures, ...]
    failure_count: int
    failures_known_since: float | None
    failed_requests: tuple[FailedRequest, ...]
    slow_requests: tuple[SlowRequest, ...]
    gaps: tuple[Gap, ...]
    gap_count: int
    min_gap_seconds: float
    unknown_seconds: float
    token_events: tuple[TokenEventRecord, ...]
    supplier: SupplierAccount | None
    supplier_findings: tuple[SupplierFinding, ...]
    values: tuple[ValueRange, ...]
    method: tuple[str, ...]
    strip_step_seconds: int
    strip: tuple[TimeBucketDocument, ...]
    series: TimeSeries
    series_by_probe: Mapping[str, TimeSeries]
    data_sha256: str = ""
