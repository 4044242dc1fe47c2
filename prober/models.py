"""The values that all packages share. They are frozen, and contain no decisions.

A run of a probe goes through them in this order: Tenant + Probe -> Request -> HttpExchange ->
Verdict -> ProbeResult. No value contains a token, except a Request: elsewhere a token is known by
its fingerprint. Durations are in seconds, times in seconds since the epoch (UTC).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from pydantic import SecretStr

from prober.maintenance import MaintenanceWindow
from prober.outcomes import (
    Culprit,
    Endpoint,
    FailureKind,
    Outcome,
    Reason,
    RejectionCause,
    Responder,
    ServerTimingAnomaly,
    SkipCause,
    TimingFallback,
    TokenEventKind,
    TokenState,
)
from prober.permissions import Need
from prober.redaction import NO_SECRETS, Redactor


class TokenSourceKind(StrEnum):
    """Where a token comes from; a label value of `prober_token_info`."""

    ENVIRONMENT = "env"
    FILE = "file"
    OAUTH = "oauth"


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """An OAuth client (RFC 6749, 4.4), and where its secret is.

    `secret` names a variable or a file, in the form of a token's source.
    """

    client_id: str
    secret: "TokenSource"
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class TokenSource:
    """Where a tenant's token is: an environment variable, an absolute path, or a token URL.

    `expires_at` and `max_age_seconds` are from the settings; only a token URL has a `client`.
    """

    kind: TokenSourceKind
    location: str
    expires_at: float | None = None
    max_age_seconds: float | None = None
    client: OAuthClient | None = None

    @property
    def origin(self) -> tuple[str, ...]:
        """What identifies the token: two sources with the same origin have the same token."""
        client = () if self.client is None else (self.client.client_id,)
        return (self.kind.value, self.location, *client)

    def __str__(self) -> str:
        return f"{self.kind.value} {self.location}"


@dataclass(frozen=True, slots=True)
class TokenRef:
    """Which token a request was sent with, without the token itself."""

    fingerprint: str
    source: TokenSource


@dataclass(frozen=True, slots=True)
class TokenStatus:
    """The current state of a tenant's token, without the token itself.

    `problem` says why there is no token. `expires_at` is None if no expiry is known. `loaded_at`
    and the times of acceptance are those of the current token.
    """

    tenant: str
    source: TokenSource
    state: TokenState = TokenState.MISSING
    fingerprint: str | None = None
    problem: str | None = None
    cause: RejectionCause | None = None
    loaded_at: float | None = None
    first_accepted_at: float | None = None
    last_accepted_at: float | None = None
    rejected_since: float | None = None
    next_canary_at: float | None = None
    expires_at: float | None = None
    rotations: int = 0


@dataclass(frozen=True, slots=True)
class SkippedRun:
    """A run that was due and was not started; `at` is when that was decided, in epoch seconds."""

    tenant: str
    probe: str
    at: float
    cause: SkipCause


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """A change of a token's state; `status` is the state after it.

    `shared_with` names the other tenants that have the same token.
    """

    kind: TokenEventKind
    at: float
    status: TokenStatus
    shared_with: tuple[str, ...] = ()


def shared_with(statuses: Mapping[str, TokenStatus], tenant: str) -> tuple[str, ...]:
    """Return the other tenants that have the same token."""
    fingerprint = statuses[tenant].fingerprint
    if fingerprint is None:
        return ()
    return tuple(
        name
        for name, status in statuses.items()
        if name != tenant and status.fingerprint == fingerprint
    )


def shared_groups(statuses: Mapping[str, TokenStatus]) -> tuple[tuple[str, ...], ...]:
    """Return the tenants of each token that more than one tenant has."""
    holders: dict[str, list[str]] = {}
    for name, status in statuses.items():
        if status.fingerprint is not None:
            holders.setdefault(status.fingerprint, []).append(name)
    return tuple(tuple(sorted(names)) for names in holders.values() if len(names) > 1)


def shared_token_rejected_for(statuses: Mapping[str, TokenStatus], tenant: str) -> str | None:
    """Return a tenant for which the same token is already rejected, if it is not for this one."""
    if statuses[tenant].state is TokenState.REJECTED:
        return None
    return next(
        (
            name
            for name in shared_with(statuses, tenant)
            if statuses[name].state is TokenState.REJECTED
        ),
        None,
    )


MAX_SHARDS = 1000
_NO_PAIRS: Mapping[str, str] = MappingProxyType({})


class AlertSeverity(StrEnum):
    """How urgent an alert about one probe alone is."""

    PAGE = "page"
    TICKET = "ticket"


class ConnectionPolicy(StrEnum):
    """Whether every request opens a connection of its own, or may reuse an open one."""

    FRESH = "fresh"
    REUSE = "reuse"


@dataclass(frozen=True, slots=True)
class TransportOptions:
    """How to reach a tenant. `proxy_url` None and `proxy_from_environment` False: directly."""

    proxy_url: str | None = field(repr=False)
    proxy_from_environment: bool
    ca_file: Path | None = None
    client_certificate_file: Path | None = None
    client_key_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Expectations:
    """What a response must look like for a run to succeed.

    `status` None means any 2xx with an `ok` envelope; a 4xx means that status with an `error`
    envelope (a negative check). `jmespath` is an expression on the body that must be true.
    `culprit` is responsible where an expectation fails. None: the tenant for status and body, which
    are its own data, and the platform for its server time.
    """

    status: int | None = None
    jmespath: str | None = None
    max_server_seconds: float | None = None
    culprit: Culprit | None = None

    @property
    def data_culprit(self) -> Culprit:
        """Who is responsible where the status or the body is not as expected."""
        return self.culprit or Culprit.TENANT

    @property
    def time_culprit(self) -> Culprit:
        """Who is responsible where the server takes too long."""
        return self.culprit or Culprit.PLATFORM

    @property
    def culprits(self) -> frozenset[Culprit]:
        """Who may be responsible where one of these expectations fails."""
        if self.culprit is not None:
            return frozenset({self.culprit})
        on_data = self.status is not None or self.jmespath is not None
        on_time = self.max_server_seconds is not None
        return frozenset(
            culprit
            for culprit, is_expected in ((self.data_culprit, on_data), (self.time_culprit, on_time))
            if is_expected
        )


MAX_ITEMS = 50
"""How many values of a probe's checks are kept in one run: of more, the worst."""


class CheckKind(StrEnum):
    """What the value of a check is.

    `count` is the length of a list, or a whole number. `timestamp` is an ISO 8601 text, or seconds
    since the epoch.
    """

    NUMBER = "number"
    TIMESTAMP = "timestamp"
    BOOLEAN = "boolean"
    TEXT = "text"
    COUNT = "count"


@dataclass(frozen=True, slots=True)
class Check:
    """A value in the body of a successful response, and its limits; without limits it is exported.

    `value` is a JMESPath expression on the body, or, with `each`, on every element of the list that
    `each` returns; `item` names an element. With `divided_by`, the value is a ratio. `below` is an
    exclusive limit, `min` and `max` are inclusive; a timestamp may be `max_age_seconds` old. The
    check fails when its limits are broken in `for_runs` runs in a row. An absent value breaks them,
    unless it `is_optional`.

    A message begins with `item_words`, one for each part of the item's name, and `phrase`: "mailbox
    a@b, folder Inbox: last synced 3 h ago". It never quotes a text, except one of `known_texts`.
    """

    name: str
    kind: CheckKind
    value: str
    each: str | None = None
    item: str | None = None
    divided_by: str | None = None
    min: float | None = None
    max: float | None = None
    below: float | None = None
    max_age_seconds: float | None = None
    equals: bool | float | str | None = None
    one_of: tuple[str, ...] = ()
    for_runs: int = 1
    culprit: Culprit = Culprit.TENANT
    severity: AlertSeverity | None = None
    is_optional: bool = False
    phrase: str = ""
    item_words: tuple[str, ...] = ()
    known_texts: tuple[str, ...] = ()

    @property
    def has_limits(self) -> bool:
        """Whether the check can fail."""
        bounds = (self.min, self.max, self.below, self.max_age_seconds, self.equals)
        return bool(self.one_of) or any(bound is not None for bound in bounds)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The value of a check in one response; `item` is empty for a check without `each`.

    `value` is a number, whatever the kind: epoch seconds of a timestamp, 1 or 0 of a boolean. Of a
    text with limits it is 1 if they hold, else 0; of one without, a number that changes with it.
    None: there is no such value. `message` says the value and the limit.
    """

    check: Check
    item: str
    value: float | None
    failed: bool
    message: str


CANARY_STAGES = ("readable", "predicted", "streamed")
"""What a canary waits for, in order; also the names of its checks."""


@dataclass(frozen=True, slots=True)
class CanaryTarget:
    """Where a canary looks for what it has written: paths that follow the tenant's `base_url`."""

    comment_path: str
    predict_path: str
    stream_path: str | None = None


@dataclass(frozen=True, slots=True)
class CanaryStep:
    """One step of a canary's run: the write, or a stage that was awaited.

    `started_after_seconds` is counted from the end of the write, in which the first step is.
    """

    name: str
    started_after_seconds: float
    seconds: float
    requests: int
    succeeded: bool


@dataclass(frozen=True, slots=True)
class Probe:
    """One request to a tenant, how often it is sent, and what its response must look like.

    `sent_path` is percent-encoded, begins with `/`, and follows the tenant's `base_url`. It and
    `sent_headers` may contain `secrets`: show `shown_path` in its place. `environment` is
    that of the probe's `project`, None for the tenant's own; `needs` are the permissions for the
    request, None if they are not known. Defaults are in `prober.config.schema` alone.
    """

    name: str
    sent_path: str = field(repr=False)
    method: str
    interval_seconds: float
    timeout_seconds: float
    connect_timeout_seconds: float
    connection: ConnectionPolicy
    max_response_bytes: int
    server_objective_seconds: float
    network_objective_seconds: float
    severity: AlertSeverity
    body: bytes | None = None
    sent_headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    secrets: tuple[SecretStr, ...] = ()
    expectations: Expectations = Expectations()
    project: str | None = None
    environment: str | None = None
    needs: tuple[Need, ...] | None = None
    checks: tuple[Check, ...] = ()
    canary: CanaryTarget | None = None

    @property
    def check_culprits(self) -> frozenset[Culprit]:
        """Who may be responsible where a check fails."""
        return frozenset(check.culprit for check in self.checks if check.has_limits)

    @property
    def shown_path(self) -> str:
        """The path without secrets, for everything that people or programs read."""
        return Redactor(self.secrets).text(self.sent_path) if self.secrets else self.sent_path


@dataclass(frozen=True, slots=True)
class Tenant:
    """One API base, one token, one environment, and the probes that run against it.

    `base_url` has no trailing slash; `<base_url>/api/...` is the API.
    """

    name: str
    environment: str
    base_url: str
    token: TokenSource
    probes: tuple[Probe, ...]
    transport: TransportOptions
    availability_objective_ratio: float
    concurrency: int
    labels: Mapping[str, str] = field(default_factory=lambda: _NO_PAIRS)
    maintenance: tuple[MaintenanceWindow, ...] = ()


@dataclass(frozen=True, slots=True)
class Shard:
    """The part of all tenants that one daemon probes: `index` of `count`, from 0.

    Raises ValueError if `index` is not below `count`, or `count` is out of range.
    """

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MAX_SHARDS:
            raise ValueError(f"the number of shards is from 1 to {MAX_SHARDS}")
        if not 0 <= self.index < self.count:
            raise ValueError(
                f"of {self.count} shards the last is {self.count - 1}: they begin at 0"
            )

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


SINGLE_SHARD = Shard()


@dataclass(frozen=True, slots=True)
class Request:
    """A request. `authorization` is the header's whole value, kept apart since it is secret.

    `secrets` are removed from whatever comes back; `body` may contain them and is never shown.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None = field(repr=False)
    authorization: SecretStr | None
    secrets: tuple[SecretStr, ...] = ()


@dataclass(frozen=True, slots=True)
class Phases:
    """How long each part took, in seconds; None where there was no such part.

    A reused connection has no `resolve`, `connect`, `tls`; plain HTTP has no `tls`; a failure ends
    with the phase in which it happened. The phases hold time on the wire (and at the server) alone;
    `own` is what the prober itself took, in between and until it noticed the end.
    """

    resolve: float | None = None
    connect: float | None = None
    tls: float | None = None
    send: float | None = None
    wait: float | None = None
    transfer: float | None = None
    own: float | None = None

    def as_pairs(self) -> tuple[tuple[str, float], ...]:
        """Return (name, seconds) of the phases that took place, in order."""
        every = (
            ("resolve", self.resolve),
            ("connect", self.connect),
            ("tls", self.tls),
            ("send", self.send),
            ("wait", self.wait),
            ("transfer", self.transfer),
            ("own", self.own),
        )
        return tuple((name, seconds) for name, seconds in every if seconds is not None)


PHASE_NAMES = ("resolve", "connect", "tls", "send", "wait", "transfer", "own")


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response. `body` is decompressed and cut at the probe's limit.

    `unreadable_coding` names a content coding that was not requested and is not supported; `body`
    is then as it came. Secrets that a server echoes have been removed from the headers; what is
    decoded from the body goes through `HttpExchange.redactor`.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)
    body_over_limit: bool = False
    unreadable_coding: str = ""

    def header_values(self, name: str) -> tuple[str, ...]:
        """Return all values of a header; `name` in any case."""
        wanted = name.lower()
        return tuple(value for key, value in self.headers if key.lower() == wanted)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there was no complete response; `detail` is for people, `kind` is for decisions."""

    kind: FailureKind
    detail: str


@dataclass(frozen=True, slots=True)
class PresentedCertificate:
    """What a certificate that failed verification says of itself. Times in epoch seconds."""

    subject: str
    issuer: str
    not_before_timestamp_seconds: float
    not_after_timestamp_seconds: float


@dataclass(frozen=True, slots=True)
class TcpEvidence:
    """What the kernel knows of an attempt's connection at its end (TCP_INFO). Durations in seconds.

    `retransmissions` are those of this attempt. `acknowledged`: every byte that was sent has been
    acknowledged. `since_received_seconds`: how long ago the last segment of any kind came, an empty
    acknowledgement included; `since_data_seconds` of one with data in it.
    `lost_addresses` are those that were tried before, or beside, the one that connected first.
    """

    rtt_seconds: float
    retransmissions: int
    acknowledged: bool
    since_received_seconds: float
    since_data_seconds: float
    lost_addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HttpExchange:
    """What one request brought: phases, and a response or a failure (then `response` is partial).

    `timing_bound_seconds` is the greatest possible error of the phases' sum without `own`, and of
    `own`. With a `timing_fallback` an arrival was timed by the event loop, not by the kernel: then
    the loop's greatest delay during the attempt, `loop_lag_seconds`, bounds the error instead.
    `tcp` is None where the kernel does not provide it. `redactor` removes the request's secrets
    from what came back.
    `presented_certificate` is known only where it failed verification.
    `stale_connection_retries` is 1 if the server closed a kept connection without responding to the
    request, so that the request was sent again on a new connection, else 0. All other fields are
    those of the second attempt alone.
    """

    method: str
    url: str
    total_seconds: float
    phases: Phases = Phases()
    response: Response | None = None
    failure: Failure | None = None
    connection_reused: bool = False
    remote_address: str | None = None
    certificate_expiry_timestamp_seconds: float | None = None
    loop_lag_seconds: float = 0.0
    timing_bound_seconds: float = 0.0
    timing_fallback: TimingFallback | None = None
    tcp: TcpEvidence | None = None
    via_proxy: bool = False
    stale_connection_retries: int = 0
    presented_certificate: PresentedCertificate | None = None
    redactor: Redactor = field(default=NO_SECRETS, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.response is None and self.failure is None:
            raise ValueError("an exchange holds a response or a failure")


@dataclass(frozen=True, slots=True)
class Latency:
    """The parts of one exchange: `total` = `server` + `network` + `own`.

    `own` is the prober's own time. `server` and `network` are None if they cannot be separated:
    then their sum is `total` - `own`.
    """

    total_seconds: float
    server_seconds: float | None = None
    network_seconds: float | None = None
    own_seconds: float = 0.0
    anomaly: ServerTimingAnomaly | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The classification of an exchange, and its evidence.

    `rule` is the row of the outcome table that matched; `evidence` says in one sentence what
    decided; `facts` are named details worth showing (ids, locations, a bounded excerpt). `checks`
    are those of a successful response, None if the response was not checked.
    """

    outcome: Outcome
    reason: Reason
    culprit: Culprit
    responder: Responder
    rule: str
    evidence: str
    latency: Latency
    facts: Mapping[str, str] = field(default_factory=lambda: _NO_PAIRS)
    checks: tuple[CheckResult, ...] | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the attempt was a success."""
        return self.outcome is Outcome.SUCCESS


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One run of a probe: what event sinks get. `started_at` is in epoch seconds.

    With the identity server as `endpoint` there was no token for the API: `exchange` shows why, and
    is no measurement of the API. A run `in_maintenance` does not count for objectives. A canary has
    `steps`.
    """

    tenant: str
    probe: str
    started_at: float
    exchange: HttpExchange
    verdict: Verdict
    token: TokenRef | None = None
    endpoint: Endpoint = Endpoint.API
    in_maintenance: bool = False
    steps: tuple[CanaryStep, ...] = ()


KEPT_BODY_BYTES = 4096  # an error envelope is far shorter


def without_large_body(result: ProbeResult) -> ProbeResult:
    """Return a result that can be kept in memory, whatever the server sent."""
    response = result.exchange.response
    if response is None or len(response.body) <= KEPT_BODY_BYTES:
        return result
    emptied = replace(response, body=b"", body_over_limit=True)
    return replace(result, exchange=replace(result.exchange, response=emptied))
