"""The values that flow through the house, left to right: see the README's map.

Tenant + Probe -> Request -> Exchange -> Verdict -> Result.
All are frozen; what is decided from them is decided elsewhere. Durations are seconds, points in
time are seconds since the epoch (UTC).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from pydantic import SecretStr

from prober.credential import TokenSource, TokenView
from prober.maintenance import Window
from prober.outcomes import (
    Counterpart,
    Culprit,
    FailureKind,
    Outcome,
    Provenance,
    Reason,
    ServerTimingAnomaly,
    TimingFallback,
)

MOST_SHARDS = 1000
_NO_PAIRS: Mapping[str, str] = MappingProxyType({})


class ConnectionPolicy(StrEnum):
    """Whether every attempt opens its own connection, or may find one open."""

    FRESH = "fresh"
    REUSE = "reuse"


@dataclass(frozen=True, slots=True)
class TransportOptions:
    """How to reach a tenant. `proxy_url` None and `proxy_from_environment` False: directly."""

    proxy_url: str | None = None
    proxy_from_environment: bool = True
    ca_file: Path | None = None
    client_certificate_file: Path | None = None
    client_key_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Expectations:
    """What a good answer looks like.

    `status` None means any 2xx with an `ok` envelope; a 4xx asks for that status with an `error`
    envelope (the negative check). `jmespath` is an expression on the body that must be true.
    """

    status: int | None = None
    jmespath: str | None = None
    max_server_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """One request against a tenant, when to make it, and what a good answer looks like.

    `path` is percent-encoded, begins with `/`, and follows the tenant's `base_url`.
    """

    name: str
    path: str
    method: str = "GET"
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()
    expectations: Expectations = Expectations()
    interval_seconds: float = 60.0
    timeout_seconds: float = 10.0
    connect_timeout_seconds: float = 5.0
    connection: ConnectionPolicy = ConnectionPolicy.FRESH
    body_limit_bytes: int = 1024 * 1024
    server_objective_seconds: float = 2.5
    network_objective_seconds: float = 0.5


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
    transport: TransportOptions = TransportOptions()
    labels: Mapping[str, str] = field(default_factory=lambda: _NO_PAIRS)
    availability_objective_ratio: float = 0.995
    concurrency: int = 10
    maintenance: tuple[Window, ...] = ()


@dataclass(frozen=True, slots=True)
class Shard:
    """The part of all tenants that one daemon probes: `index` of `count`, from 0.

    Raises ValueError for a shard that cannot be.
    """

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MOST_SHARDS:
            raise ValueError(f"the number of shards is from 1 to {MOST_SHARDS}")
        if not 0 <= self.index < self.count:
            raise ValueError(
                f"of {self.count} shards the last is {self.count - 1}: they begin at 0"
            )

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


WHOLE = Shard()


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent. `authorization` is the whole header value and travels apart, secret.

    `secrets` are to be taken out of whatever comes back; `body` may hold them and is never shown.
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
    """An HTTP answer. `body` is decompressed and cut at the probe's limit.

    The client has already replaced the token, should a hostile server echo it.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    body_over_limit: bool = False

    def header_values(self, name: str) -> tuple[str, ...]:
        """Return all values of a header; `name` in any case."""
        wanted = name.lower()
        return tuple(value for key, value in self.headers if key.lower() == wanted)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there was no whole answer; `detail` is for people, `kind` decides."""

    kind: FailureKind
    detail: str


@dataclass(frozen=True, slots=True)
class TcpEvidence:
    """What the kernel says of one attempt's connection when the attempt ends. Seconds.

    `retransmissions` are those of this attempt. `acknowledged`: every byte that was sent has been
    acknowledged. `since_heard_seconds`: how long ago the last segment of any kind came, an empty
    acknowledgement included; `since_data_seconds` of one with data in it.
    `lost_addresses` are those that were tried before, or beside, the one that connected first.
    """

    rtt_seconds: float
    retransmissions: int
    acknowledged: bool
    since_heard_seconds: float
    since_data_seconds: float
    lost_addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Exchange:
    """What one request brought: phases, and a response or a failure (then `response` is partial).

    `timing_bound_seconds` is the greatest error of the phases' sum, `own` left out, and of `own`
    itself. With a `timing_fallback` an arrival was not timed by the kernel, and the event loop's
    greatest delay during the attempt, `loop_lag_seconds`, is the doubt instead.
    `tcp` is what the kernel knew of the connection at the end; None where it does not say.
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

    def __post_init__(self) -> None:
        if self.response is None and self.failure is None:
            raise ValueError("an exchange holds a response or a failure")


@dataclass(frozen=True, slots=True)
class Latency:
    """The parts of one exchange: `total` = `server` + `network` + `own`.

    `own` is what the prober itself took. `server` and `network` are None where nothing tells them
    apart: then they are together `total` - `own`.
    """

    total_seconds: float
    server_seconds: float | None = None
    network_seconds: float | None = None
    own_seconds: float = 0.0
    anomaly: ServerTimingAnomaly | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of an exchange, and what it rests on.

    `rule` is the row of the outcome table that matched; `evidence` says in one sentence what
    decided; `facts` are named details worth showing (ids, locations, a bounded excerpt).
    """

    outcome: Outcome
    reason: Reason
    culprit: Culprit
    provenance: Provenance
    rule: str
    evidence: str
    latency: Latency
    facts: Mapping[str, str] = field(default_factory=lambda: _NO_PAIRS)

    @property
    def succeeded(self) -> bool:
        """Whether the attempt was a success."""
        return self.outcome is Outcome.SUCCESS


@dataclass(frozen=True, slots=True)
class Result:
    """One attempt: the only thing that recorders see. `started_at` is in epoch seconds.

    With the identity server as `counterpart` there was no token to ask the API with: the exchange
    tells why, and nothing of it is a measurement of the API. `in_maintenance`: it counts for no
    objective.
    """

    tenant: str
    probe: str
    started_at: float
    exchange: Exchange
    verdict: Verdict
    token: TokenView | None = None
    counterpart: Counterpart = Counterpart.API
    in_maintenance: bool = False
