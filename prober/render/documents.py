"""JSON documents: what the API, `--json` and reports contain, and what pages are drawn from. Pure.

Durations are in seconds, times in epoch seconds (UTC); what is unknown is null. Every key is always
present.

A result's document (`result_document`) can be classified again by `prober explain`. It leaves out
on purpose what may be confidential: of a platform's body it has only the envelope (`status`,
`message`, `path`), since everything else is customers' data; of any other body, the excerpt among
the facts. Cookies are dropped, and a token is only ever shown as its fingerprint.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType
from typing import Any, Self
from urllib.parse import urlsplit

from prober.classifier.messages import REQUEST_ID_FACTS
from prober.classifier.oauth_rules import IDENTITY_RULES
from prober.classifier.observation import read_body
from prober.classifier.rules import RuleDescription, describe_rule, describe_rules
from prober.formatting import one_line
from prober.models import (
    PHASE_NAMES,
    Expectations,
    Failure,
    HttpExchange,
    Phases,
    ProbeResult,
    Response,
    TokenRef,
    TokenStatus,
    Verdict,
    shared_with,
)
from prober.outcomes import (
    CLASSIFICATION,
    Culprit,
    Endpoint,
    LatencyComponent,
    Outcome,
    Reason,
    RejectionCause,
    Responder,
    SkipCause,
    TokenEventKind,
    TokenState,
)
from prober.redaction import Redactor
from prober.render.checks import CheckDocument, check_document, check_results
from prober.render.text import maintenance_text, status_text
from prober.stats.aggregates import BUCKET_SECONDS, TimeBucket, bucket_start, sum_buckets
from prober.stats.incidents import Incident, incident_id
from prober.stats.slo import Availability, availability_from_bucket, budget_left
from prober.stats.status import ProbeStatus, TenantStatus

BUCKETS_PER_DAY = 86_400 // BUCKET_SECONDS
_MAX_FACT_CHARACTERS = 500
_MAX_HEADERS = 40
_P95 = 0.95


def _rule_texts(rules: Iterable[RuleDescription]) -> Mapping[tuple[str, Reason], str]:
    """Return the texts of rules by number and reason; two rules may share both."""
    texts: dict[tuple[str, Reason], str] = {}
    for rule in rules:
        key = (rule.number, rule.reason)
        texts[key] = f"{texts[key]}; or {rule.when}" if key in texts else rule.when
    return texts


_RULE_TEXTS: Mapping[Endpoint, Mapping[tuple[str, Reason], str]] = MappingProxyType(
    {
        Endpoint.API: _rule_texts(describe_rules()),
        Endpoint.IDENTITY: _rule_texts(map(describe_rule, IDENTITY_RULES)),
    }
)


@dataclass(frozen=True, slots=True)
class LastRun:
    """A probe's last run: its verdict, the rule that matched, and its latency."""

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
    own_seconds: float
    slow: tuple[LatencyComponent, ...]
    in_maintenance: bool


@dataclass(frozen=True, slots=True)
class ProbeDocument:
    """One probe. `failing_since` and `failures` are of the ongoing failure streak.

    `checks` are from the last response that was checked, which started at `checked_at`.
    """

    name: str
    method: str
    path: str
    interval_seconds: float
    is_paused: bool
    skipped: SkipCause | None
    failing_since: float | None
    failures: int
    last_run: LastRun | None
    checked_at: float | None
    checks: tuple[CheckDocument, ...]


@dataclass(frozen=True, slots=True)
class TokenDocument:
    """A tenant's token; `rejected_for` is another tenant for which it is already rejected."""

    state: TokenState
    source: str
    fingerprint: str | None
    cause: RejectionCause | None
    problem: str | None
    loaded_at: float | None
    rejected_since: float | None
    first_accepted_at: float | None
    last_accepted_at: float | None
    expires_at: float | None
    rotations: int
    shared_with: tuple[str, ...]
    rejected_for: str | None


@dataclass(frozen=True, slots=True)
class TimeBucketDocument:
    """The runs of a quarter of an hour or more, by culprit (`none`: successful).

    `server_seconds`, `network_seconds` and `own_seconds` are means over the responses with a known
    server time; `own_seconds` is null in what was recorded before it was kept.
    """

    start: float
    runs: int
    by_culprit: Mapping[Culprit, int]
    paused: int
    in_maintenance: int
    server_seconds: float | None
    network_seconds: float | None
    own_seconds: float | None


@dataclass(frozen=True, slots=True)
class AvailabilityDocument:
    """Availability over the last day and the last 30 days, and the error budget that is left.

    `budget_left_ratio` is below 0 when the budget is overspent.
    """

    day: Availability
    month: Availability
    budget_left_ratio: float


@dataclass(frozen=True, slots=True)
class TenantStatusDocument:
    """One tenant. `verdict` is a sentence, culprit first; programs should read `is_ok`.

    `server_p95_seconds` and `network_p95_seconds` are of the responses of the last hour or a
    little more, of all probes.
    """

    name: str
    environment: str
    labels: Mapping[str, str]
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
    server_p95_seconds: float | None
    network_p95_seconds: float | None
    token: TokenDocument
    availability: AvailabilityDocument
    probes: tuple[ProbeDocument, ...]
    strip: tuple[TimeBucketDocument, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentDocument(Incident):
    """One incident. Its duration is up to now, or up to a report's end, while it is ongoing.

    `id` identifies it for good: its page is `/incidents/ID`. `number` is its number in a report,
    and null elsewhere.
    """

    id: str
    environment: str | None
    duration_seconds: float
    number: int | None = None


@dataclass(frozen=True, slots=True)
class FailureSummary:
    """One failed run in the history. `number` identifies it; `at` is when the run started."""

    number: int
    tenant: str
    probe: str
    at: float
    reason: Reason
    culprit: Culprit


@dataclass(frozen=True, slots=True)
class FailureRecord(FailureSummary):
    """One failed run with its document, in the form of `prober probe --json`."""

    document: Mapping[str, Any]

    @classmethod
    def of(cls, summary: FailureSummary, document: Mapping[str, Any]) -> Self:
        """Return a failed run with its document."""
        return cls(
            summary.number,
            summary.tenant,
            summary.probe,
            summary.at,
            summary.reason,
            summary.culprit,
            document,
        )


@dataclass(frozen=True, slots=True)
class FailedRequest:
    """A failed request as evidence for its recipient: texts are bounded, each in one line.

    `incident` is the number of the incident in the report that it belongs to.
    """

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
    own_seconds: float | None
    response_headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class SlowRequest:
    """One of the slowest requests of a day by server time."""

    at: float
    probe: str
    reason: Reason
    server_seconds: float
    network_seconds: float | None
    own_seconds: float | None
    http_status: str | None
    request_ids: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TokenEventRecord:
    """An event of a tenant's token in the history."""

    tenant: str
    at: float
    kind: TokenEventKind
    fingerprint: str | None
    cause: RejectionCause | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class VerdictChange:
    """A probe's verdict changed; `before` is null for the first run after a start."""

    probe: str
    at: float
    before: Reason | None
    reason: Reason


def tenant_document(tenant_status: TenantStatus, now: float) -> TenantStatusDocument:
    """Return one tenant's status; `now` is in epoch seconds."""
    text = status_text(tenant_status, now)
    tenant = tenant_status.tenant
    return TenantStatusDocument(
        name=tenant.name,
        environment=tenant.environment,
        labels=dict(tenant.labels),
        base_url=tenant.base_url,
        verdict=text.text,
        culprit=text.culprit,
        is_ok=text.is_ok,
        is_known=text.is_known,
        is_slow=text.is_slow,
        since=text.since,
        maintenance=maintenance_text(tenant_status),
        maintenance_ends_at=tenant_status.maintenance.ends_at,
        certificate_expires_at=tenant_status.certificate_expiry,
        known_since=tenant_status.known_since,
        server_p95_seconds=tenant_status.recent_latency.server.quantile(_P95),
        network_p95_seconds=tenant_status.recent_latency.network.quantile(_P95),
        token=_token(tenant_status),
        availability=_availability(tenant_status),
        probes=tuple(_probe(tenant_status, each) for each in tenant_status.probes),
        strip=day_buckets(tenant_status.buckets, now),
    )


def day_buckets(buckets: Mapping[int, TimeBucket], now: float) -> tuple[TimeBucketDocument, ...]:
    """Return the last day in quarters of an hour, including those without any data."""
    last = bucket_start(now)
    starts = range(last - (BUCKETS_PER_DAY - 1) * BUCKET_SECONDS, last + 1, BUCKET_SECONDS)
    return tuple(bucket_document(start, buckets.get(start, TimeBucket())) for start in starts)


def _probe(tenant_status: TenantStatus, each: ProbeStatus) -> ProbeDocument:
    streak = each.streak
    return ProbeDocument(
        name=each.probe.name,
        method=each.probe.method,
        path=each.probe.shown_path,
        interval_seconds=each.probe.interval_seconds,
        is_paused=tenant_status.is_paused(each),
        skipped=each.skipped,
        failing_since=None if streak is None else streak.started_at,
        failures=0 if streak is None else streak.failures,
        last_run=_last_run(each),
        checked_at=each.checked_at,
        checks=tuple(map(check_document, each.checks)),
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
        own_seconds=verdict.latency.own_seconds,
        slow=each.slow,
        in_maintenance=result.in_maintenance,
    )


def rule_text(rule: str, reason: Reason, endpoint: Endpoint = Endpoint.API) -> str:
    """Return the text of a rule of the outcome table, or of the identity server's table."""
    return _RULE_TEXTS[endpoint].get((rule, reason), "")


def _token(tenant_status: TenantStatus) -> TokenDocument:
    token = tenant_status.token
    return TokenDocument(
        state=token.state,
        source=str(token.source),
        fingerprint=token.fingerprint,
        cause=token.cause,
        problem=token.problem,
        loaded_at=token.loaded_at,
        rejected_since=token.rejected_since,
        first_accepted_at=token.first_accepted_at,
        last_accepted_at=token.last_accepted_at,
        expires_at=token.expires_at,
        rotations=token.rotations,
        shared_with=tenant_status.shared_with,
        rejected_for=tenant_status.token_rejected_for,
    )


def _availability(tenant_status: TenantStatus) -> AvailabilityDocument:
    tenant = tenant_status.tenant
    objective = tenant.availability_objective_ratio
    month = availability_from_bucket(tenant_status.month, objective)
    runs_per_second = sum(1 / probe.interval_seconds for probe in tenant.probes)
    return AvailabilityDocument(
        day=availability_from_bucket(sum_buckets(tenant_status.buckets.values()), objective),
        month=month,
        budget_left_ratio=budget_left(month.platform_failures, runs_per_second, objective),
    )


def bucket_document(start: int, bucket: TimeBucket) -> TimeBucketDocument:
    """Return the document of a time bucket, or of a sum of them; `start` is in epoch seconds."""
    splits = bucket.splits
    return TimeBucketDocument(
        start=start,
        runs=bucket.runs,
        by_culprit={
            culprit: bucket.count_of(culprit) for culprit in Culprit if bucket.count_of(culprit)
        },
        paused=bucket.paused,
        in_maintenance=bucket.in_maintenance,
        server_seconds=bucket.server_seconds / splits if splits else None,
        network_seconds=bucket.network_seconds / splits if splits else None,
        own_seconds=bucket.own_seconds / splits if splits and bucket.own_seconds else None,
    )


def sort_by_severity(tenants: Sequence[TenantStatusDocument]) -> tuple[TenantStatusDocument, ...]:
    """Return failing tenants first, then slow ones, then the rest; each group by name."""
    return tuple(sorted(tenants, key=lambda each: (each.is_ok, each.is_slow, each.name)))


def incident_document(
    incident: Incident, environment: str | None, until: float, number: int | None = None
) -> IncidentDocument:
    """Return an incident's document; an ongoing one has lasted up to `until` (epoch seconds)."""
    return IncidentDocument(
        **{each.name: getattr(incident, each.name) for each in fields(Incident)},
        id=incident_id(incident),
        environment=environment,
        duration_seconds=incident.seconds(until),
        number=number,
    )


def failed_request(failure: FailureRecord, incident: int | None) -> FailedRequest:
    """Return a failure as evidence; `incident` is the number of its incident in the report."""
    document = failure.document
    verdict, latency, facts = document["verdict"], document["latency"], document["facts"]
    response = document["response"] or {}
    envelope = response.get("envelope") or {}
    return FailedRequest(
        at=failure.at,
        probe=failure.probe,
        outcome=CLASSIFICATION[failure.reason].outcome,
        reason=failure.reason,
        culprit=failure.culprit,
        incident=incident,
        method=_bounded_line(document["request"]["method"]),
        url=_bounded_line(document["request"]["url"]),
        http_status=response.get("status"),
        request_ids=request_ids(facts),
        envelope_status=envelope.get("status"),
        message=_bounded_line(envelope["message"]) if envelope.get("message") else None,
        evidence=_bounded_line(verdict["evidence"]),
        rule=verdict["rule"],
        rule_text=rule_text(verdict["rule"], failure.reason, Endpoint(document["endpoint"])),
        total_seconds=latency["total_seconds"],
        server_seconds=latency["server_seconds"],
        network_seconds=latency["network_seconds"],
        own_seconds=latency.get("own_seconds"),
        response_headers=tuple(
            (_bounded_line(name), _bounded_line(value))
            for name, value in (response.get("headers") or ())[:_MAX_HEADERS]
        ),
    )


_REQUEST_IDS = (*REQUEST_ID_FACTS, "request_context")


def request_ids(facts: Mapping[str, str]) -> dict[str, str]:
    """Return the ids by which the supplier finds a request, by the name of their header."""
    return {
        name.replace("_", "-"): _bounded_line(facts[name]) for name in _REQUEST_IDS if name in facts
    }


def _bounded_line(value: str) -> str:
    return one_line(value, _MAX_FACT_CHARACTERS)


def token_document(statuses: Mapping[str, TokenStatus], tenant: str) -> dict[str, object]:
    """Return a tenant's token in the form of `prober tokens --json`; times in epoch seconds."""
    status = statuses[tenant]
    return {
        "schema_version": SCHEMA_VERSION,
        "tenant": tenant,
        "source": str(status.source),
        "fingerprint": status.fingerprint,
        "state": status.state.value,
        "cause": None if status.cause is None else status.cause.value,
        "problem": status.problem,
        "loaded_at_timestamp_seconds": status.loaded_at,
        "first_accepted_at_timestamp_seconds": status.first_accepted_at,
        "last_accepted_at_timestamp_seconds": status.last_accepted_at,
        "rejected_since_timestamp_seconds": status.rejected_since,
        "expires_at_timestamp_seconds": status.expires_at,
        "rotations": status.rotations,
        "shared_with": list(shared_with(statuses, tenant)),
    }


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
        "steps": [asdict(step) for step in result.steps],
        **_classified(result.exchange, result.verdict, expectations),
    }


def explanation_document(
    exchange: HttpExchange,
    verdict: Verdict,
    expectations: Expectations,
    tenant: str | None = None,
    probe: str | None = None,
) -> dict[str, object]:
    """Return a recorded exchange that was classified again, in the same form."""
    return {
        "schema_version": SCHEMA_VERSION,
        "tenant": tenant,
        "probe": probe,
        "started_at_timestamp_seconds": None,
        "token": None,
        "endpoint": Endpoint.API.value,
        "steps": [],
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
        "checks": check_results(verdict),
        "latency": _latency(exchange, verdict),
        "phase_seconds": _phases(exchange.phases),
        "facts": dict(verdict.facts),
        "request": {"method": exchange.method, "url": _without_credentials(exchange.url)},
        "response": _response(exchange, verdict),
        "failure": _failure(exchange.failure),
        "connection": {
            "reused": exchange.connection_reused,
            "stale_retries": exchange.stale_connection_retries,
            "remote_address": exchange.remote_address,
            "certificate_expiry_timestamp_seconds": exchange.certificate_expiry_timestamp_seconds,
            "presented_certificate": None
            if exchange.presented_certificate is None
            else asdict(exchange.presented_certificate),
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
    """Return the excerpt, unless it reads as an envelope.

    The whole body was none; `prober explain` would take the excerpt for one.
    """
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
        "culprit": None if expectations.culprit is None else expectations.culprit.value,
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
