"""How things stand, as documents: what the JSON API answers and pages are drawn from. Pure.

Durations are in seconds, points in time in epoch seconds; what is unknown is null.

A result as JSON: for other programs, and to be judged again by `prober explain`. Pure.

Durations are seconds, points in time are epoch seconds, what is unknown is null; every key is
always there. What is lost, by intent: a platform's body is reduced to its envelope (`status`,
`message`, `path`), since all else in it is customers' data, and of any other body the excerpt
among the facts is kept. Cookies are dropped. The token is known by its fingerprint alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from urllib.parse import urlsplit

from prober.classifier.oauth_rules import IDENTITY_RULES
from prober.classifier.observation import read_body
from prober.classifier.rules import RULES, RuleDescription, rule_number
from prober.models import (
    PHASE_NAMES,
    Expectations,
    Failure,
    HttpExchange,
    Phases,
    ProbeResult,
    Response,
    TokenRef,
    Verdict,
)
from prober.outcomes import (
    Culprit,
    Endpoint,
    LatencyComponent,
    Outcome,
    Reason,
    RejectionCause,
    Responder,
    SkipCause,
    TokenState,
)
from prober.redaction import Redactor
from prober.render.text import maintenance_text, status_text
from prober.stats.aggregates import BUCKET_SECONDS, TimeBucket, bucket_start, sum_buckets
from prober.stats.slo import availability_from_bucket, budget_left
from prober.stats.status import ProbeStatus, TenantStatus

SLOTS_A_DAY = 86_400 // BUCKET_SECONDS


def _texts(rows: Iterable[RuleDescription]) -> Mapping[tuple[str, Reason], str]:
    """Return what rows say, by number and reason; of two that share both, either."""
    texts: dict[tuple[str, Reason], str] = {}
    for each in rows:
        key = (each.row, each.reason)
        texts[key] = f"{texts[key]}; or {each.when}" if key in texts else each.when
    return texts


_WHEN: Mapping[Endpoint, Mapping[tuple[str, Reason], str]] = MappingProxyType(
    {
        Endpoint.API: _texts(map(rule_number, RULES)),
        Endpoint.IDENTITY: _texts(map(rule_number, IDENTITY_RULES)),
    }
)


@dataclass(frozen=True, slots=True)
class LastRun:
    """What a probe's last run came to, and which row of the outcome table decided."""

    started_at: float
    outcome: Outcome
    reason: Reason
    culprit: Culprit
    rule: str
    rule_text: str
    evidence: str
    total_seconds: float
    server_seconds: float | None
    network_seconds: float | None
    slow: tuple[LatencyComponent, ...]
    in_maintenance: bool


@dataclass(frozen=True, slots=True)
class ProbeDocument:
    """One probe. `failing_since` and `failures` are of the failures in a row that go on."""

    name: str
    method: str
    path: str
    interval_seconds: float
    is_paused: bool
    skipped: SkipCause | None
    failing_since: float | None
    failures: int
    last_run: LastRun | None


@dataclass(frozen=True, slots=True)
class TokenDocument:
    """One token; `foretold_by` is a tenant that it is already rejected for."""

    state: TokenState
    source: str
    fingerprint: str | None
    cause: RejectionCause | None
    problem: str | None
    rejected_since: float | None
    first_accepted_at: float | None
    last_accepted_at: float | None
    expires_at: float | None
    rotations: int
    shared_with: tuple[str, ...]
    rejected_for: str | None


@dataclass(frozen=True, slots=True)
class TimeBucketDocument:
    """A quarter of an hour: runs by culprit (`none`: good), and the mean time of answers."""

    start: float
    runs: int
    by_culprit: Mapping[Culprit, int]
    paused: int
    in_maintenance: int
    server_seconds: float | None
    network_seconds: float | None


@dataclass(frozen=True, slots=True)
class AvailabilityDocument:
    """Two indicators over a day and 30 days, the promise, and what is left of its budget."""

    objective_ratio: float
    platform_day_ratio: float | None
    end_to_end_day_ratio: float | None
    platform_month_ratio: float | None
    end_to_end_month_ratio: float | None
    budget_left_ratio: float


@dataclass(frozen=True, slots=True)
class TenantStatusDocument:
    """One tenant. `verdict` is in words, the culprit first; programs better read `is_well`."""

    name: str
    environment: str
    base_url: str
    verdict: str
    culprit: Culprit
    is_ok: bool
    is_known: bool
    is_slow: bool
    since: float | None
    maintenance: str | None
    maintenance_ends_at: float | None
    certificate_expires_at: float | None
    known_since: float
    token: TokenDocument
    availability: AvailabilityDocument
    probes: tuple[ProbeDocument, ...]
    strip: tuple[TimeBucketDocument, ...]


def tenant_document(standing: TenantStatus, now: float) -> TenantStatusDocument:
    """Return one tenant at a moment."""
    saying = status_text(standing, now)
    tenant = standing.tenant
    return TenantStatusDocument(
        name=tenant.name,
        environment=tenant.environment,
        base_url=tenant.base_url,
        verdict=saying.text,
        culprit=saying.culprit,
        is_ok=saying.is_ok,
        is_known=saying.is_known,
        is_slow=saying.is_slow,
        since=saying.since,
        maintenance=maintenance_text(standing),
        maintenance_ends_at=standing.maintenance.ends_at,
        certificate_expires_at=standing.certificate_expiry,
        known_since=standing.known_since,
        token=_token(standing),
        availability=_availability(standing),
        probes=tuple(_probe(standing, each) for each in standing.probes),
        strip=day_buckets(standing.buckets, now),
    )


def day_buckets(slots: Mapping[int, TimeBucket], now: float) -> tuple[TimeBucketDocument, ...]:
    """Return the last day in quarters of an hour, also those of which nothing is known."""
    last = bucket_start(now)
    starts = range(last - (SLOTS_A_DAY - 1) * BUCKET_SECONDS, last + 1, BUCKET_SECONDS)
    return tuple(bucket_document(start, slots.get(start, TimeBucket())) for start in starts)


def _probe(standing: TenantStatus, each: ProbeStatus) -> ProbeDocument:
    spell = each.streak
    return ProbeDocument(
        name=each.probe.name,
        method=each.probe.method,
        path=each.probe.path,
        interval_seconds=each.probe.interval_seconds,
        is_paused=standing.is_paused(each),
        skipped=each.skipped,
        failing_since=None if spell is None else spell.started_at,
        failures=0 if spell is None else spell.failures,
        last_run=_last_run(each),
    )


def _last_run(each: ProbeStatus) -> LastRun | None:
    result = each.result
    if result is None:
        return None
    verdict = result.verdict
    return LastRun(
        started_at=result.started_at,
        outcome=verdict.outcome,
        reason=verdict.reason,
        culprit=verdict.culprit,
        rule=verdict.rule,
        rule_text=rule_text(verdict.rule, verdict.reason, result.endpoint),
        evidence=verdict.evidence,
        total_seconds=result.exchange.total_seconds,
        server_seconds=verdict.latency.server_seconds,
        network_seconds=verdict.latency.network_seconds,
        slow=each.slow,
        in_maintenance=result.in_maintenance,
    )


def rule_text(row: str, reason: Reason, endpoint: Endpoint = Endpoint.API) -> str:
    """Return what a row of the outcome table (or of the identity server's) says, in words."""
    return _WHEN[endpoint].get((row, reason), "")


def _token(standing: TenantStatus) -> TokenDocument:
    status = standing.token
    return TokenDocument(
        state=status.state,
        source=str(status.source),
        fingerprint=status.fingerprint,
        cause=status.cause,
        problem=status.problem,
        rejected_since=status.rejected_since,
        first_accepted_at=status.first_accepted_at,
        last_accepted_at=status.last_accepted_at,
        expires_at=status.expires_at,
        rotations=status.rotations,
        shared_with=standing.shared_with,
        rejected_for=standing.token_rejected_for,
    )


def _availability(standing: TenantStatus) -> AvailabilityDocument:
    tenant = standing.tenant
    day, month = (
        availability_from_bucket(sum_buckets(standing.buckets.values())),
        availability_from_bucket(standing.month),
    )
    runs_per_second = sum(1 / probe.interval_seconds for probe in tenant.probes)
    objective = tenant.availability_objective_ratio
    return AvailabilityDocument(
        objective_ratio=objective,
        platform_day_ratio=day.platform,
        end_to_end_day_ratio=day.end_to_end,
        platform_month_ratio=month.platform,
        end_to_end_month_ratio=month.end_to_end,
        budget_left_ratio=budget_left(month.platform_failures, runs_per_second, objective),
    )


def bucket_document(start: int, slot: TimeBucket) -> TimeBucketDocument:
    """Return what happened from a moment on: in a quarter of an hour, or longer."""
    splits = slot.splits
    return TimeBucketDocument(
        start=start,
        runs=slot.runs,
        by_culprit={
            culprit: slot.count_of(culprit) for culprit in Culprit if slot.count_of(culprit)
        },
        paused=slot.paused,
        in_maintenance=slot.in_maintenance,
        server_seconds=slot.server_seconds / splits if splits else None,
        network_seconds=slot.network_seconds / splits if splits else None,
    )


def sort_by_severity(tenants: Sequence[TenantStatusDocument]) -> tuple[TenantStatusDocument, ...]:
    """Return tenants so that who looks first sees what is wrong first; else by name."""
    return tuple(sorted(tenants, key=lambda each: (each.is_ok, each.is_slow, each.name)))


SCHEMA_VERSION = 1
_SECRET_HEADERS = frozenset({"set-cookie", "set-cookie2", "authorization", "proxy-authorization"})


def result_document(
    result: ProbeResult, expectations: Expectations | None = None
) -> dict[str, object]:
    """Return a result in the form of `prober probe --json`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "tenant": result.tenant,
        "probe": result.probe,
        "started_at_timestamp_seconds": result.started_at,
        "token": _token_ref(result.token),
        "endpoint": result.endpoint.value,
        **_classified(result.exchange, result.verdict, expectations),
    }


def explanation_document(
    exchange: HttpExchange,
    verdict: Verdict,
    expectations: Expectations,
    tenant: str | None = None,
    probe: str | None = None,
) -> dict[str, object]:
    """Return a saved exchange, judged again, in the same form."""
    return {
        "schema_version": SCHEMA_VERSION,
        "tenant": tenant,
        "probe": probe,
        "started_at_timestamp_seconds": None,
        "token": None,
        "endpoint": Endpoint.API.value,
        **_classified(exchange, verdict, expectations),
    }


def _classified(
    exchange: HttpExchange, verdict: Verdict, expectations: Expectations | None
) -> dict[str, object]:
    return {
        "verdict": {
            "outcome": verdict.outcome.value,
            "reason": verdict.reason.value,
            "culprit": verdict.culprit.value,
            "responder": verdict.responder.value,
            "rule": verdict.rule,
            "evidence": verdict.evidence,
        },
        "latency": _latency(exchange, verdict),
        "phase_seconds": _phases(exchange.phases),
        "facts": dict(verdict.facts),
        "request": {"method": exchange.method, "url": _without_credentials(exchange.url)},
        "response": _response(exchange, verdict),
        "failure": _failure(exchange.failure),
        "connection": {
            "reused": exchange.connection_reused,
            "remote_address": exchange.remote_address,
            "certificate_expiry_timestamp_seconds": exchange.certificate_expiry_timestamp_seconds,
            "via_proxy": exchange.via_proxy,
            "tcp": None if exchange.tcp is None else asdict(exchange.tcp),
        },
        "expectations": _expectations(expectations),
    }


def _latency(exchange: HttpExchange, verdict: Verdict) -> dict[str, object]:
    latency = verdict.latency
    return {
        "total_seconds": exchange.total_seconds or None,
        "server_seconds": latency.server_seconds,
        "network_seconds": latency.network_seconds,
        "anomaly": None if latency.anomaly is None else latency.anomaly.value,
        "own_seconds": latency.own_seconds,
        "bound_seconds": exchange.timing_bound_seconds,
        "timing_fallback": None
        if exchange.timing_fallback is None
        else exchange.timing_fallback.value,
        "loop_lag_seconds": exchange.loop_lag_seconds,
    }


def _phases(phases: Phases) -> dict[str, float | None]:
    known = dict(phases.as_pairs())
    return {name: known.get(name) for name in PHASE_NAMES}


def _response(exchange: HttpExchange, verdict: Verdict) -> dict[str, object] | None:
    response = exchange.response
    if response is None:
        return None
    by_platform = verdict.responder is Responder.PLATFORM
    return {
        "status": response.status,
        "headers": [
            [name, value] for name, value in response.headers if name.lower() not in _SECRET_HEADERS
        ],
        "body_over_limit": response.body_over_limit,
        "envelope": _envelope(response, exchange.redactor) if by_platform else None,
        "excerpt": None if by_platform else _excerpt(verdict),
    }


def _envelope(response: Response, redactor: Redactor) -> dict[str, str] | None:
    body = read_body(b"" if response.body_over_limit else response.body, redactor)
    if body.status is None:
        return None
    optional = {"message": body.message, "path": body.path}
    return {"status": body.status, **{name: value for name, value in optional.items() if value}}


def _excerpt(verdict: Verdict) -> str | None:
    """Return the excerpt, unless it would be taken for an envelope, which its whole was not."""
    excerpt = verdict.facts.get("excerpt")
    if excerpt is None or read_body(excerpt.encode()).status is not None:
        return None
    return excerpt


def _failure(failure: Failure | None) -> dict[str, str] | None:
    return None if failure is None else {"kind": failure.kind.value, "detail": failure.detail}


def _expectations(expectations: Expectations | None) -> dict[str, object] | None:
    if expectations is None:
        return None
    return {
        "status": expectations.status,
        "jmespath": expectations.jmespath,
        "max_server_seconds": expectations.max_server_seconds,
    }


def _token_ref(token: TokenRef | None) -> dict[str, str] | None:
    if token is None:
        return None
    return {"fingerprint": token.fingerprint, "source": str(token.source)}


def _without_credentials(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
