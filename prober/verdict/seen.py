"""An exchange, read once: what the rules look at, as one frozen value. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import urlsplit

from prober.model import Exchange, Expectations, Failure, Latency, Response, TcpEvidence
from prober.outcomes import FailureKind, Reason, ServerTimingAnomaly
from prober.verdict.envelope import NO_BODY, Body, read_body
from prober.verdict.expectations import unmet
from prober.verdict.foreign import OVER_LIMIT
from prober.verdict.header_fields import asks_for_bearer
from prober.verdict.latency import split
from prober.verdict.one_line import one_line
from prober.verdict.server_timing import server_total_seconds
from prober.verdict.silence import attribute_silence

_HOST_CHARACTERS = 100
_ADDRESS_CHARACTERS = 60
_NO_HEADERS: Mapping[str, tuple[str, ...]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Seen:
    """What one exchange showed.

    With a `failure`, a `response` is partial: its status is a fact, and nothing else of it counts.
    `headers` are the answer's, by name in lower case.
    `unmet` is set only where the answer has the form that the probe asks for. `silence` is what a
    wait without a whole response means, None where there was none. `far_end` names who holds the
    other end of our connection.
    """

    host: str
    latency: Latency
    failure: Failure | None = None
    response: Response | None = None
    body: Body = NO_BODY
    server: float | ServerTimingAnomaly = ServerTimingAnomaly.MISSING
    expected_status: int | None = None
    unmet: str | None = None
    silence: Reason | None = None
    tcp: TcpEvidence | None = None
    far_end: str = "the far end"
    headers: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _NO_HEADERS)

    @property
    def status(self) -> int:
        """The HTTP status; 0 when there was no answer."""
        return 0 if self.response is None else self.response.status

    @property
    def has_server_time(self) -> bool:
        """Whether Server-Timing held a readable `total`: an unreadable one proves nothing."""
        return not isinstance(self.server, ServerTimingAnomaly)

    @property
    def by_platform(self) -> bool:
        """Whether the answer is the platform's: it has an envelope or a server time."""
        return self.body.status is not None or self.has_server_time

    @property
    def is_ok(self) -> bool:
        """Whether this is a 2xx with an `ok` envelope."""
        return self.body.status == "ok" and self.has_class(2)

    @property
    def is_expected_error(self) -> bool:
        """Whether this is the 4xx, with an `error` envelope, that a negative check asks for."""
        return (
            self.body.status == "error"
            and self.has_class(4)
            and self.status == self.expected_status
        )

    @property
    def is_over_limit(self) -> bool:
        """Whether the body was longer than the probe allows."""
        return self.response is not None and self.response.body_over_limit

    @property
    def asks_for_bearer(self) -> bool:
        """Whether the answer challenges for a bearer token."""
        return asks_for_bearer(self.header_values("www-authenticate"))

    def has_class(self, hundreds: int) -> bool:
        """Tell whether the status is of a class: 2 for 2xx, and so on."""
        return self.status // 100 == hundreds

    def header_values(self, name: str) -> tuple[str, ...]:
        """Return all values of a header of the answer; `name` in lower case."""
        return self.headers.get(name, ())


def see(exchange: Exchange, expectations: Expectations) -> Seen:
    """Read an exchange; never raises."""
    seen = _seen(exchange, expectations)
    if exchange.tcp is None and exchange.failure is None:
        return seen
    return replace(seen, silence=_silence(exchange), tcp=exchange.tcp, far_end=_far_end(exchange))


def _silence(exchange: Exchange) -> Reason | None:
    failure, phases = exchange.failure, exchange.phases
    if failure is None or failure.kind is not FailureKind.RESPONSE_TIMEOUT:
        return None
    waited_seconds = sum(each or 0.0 for each in (phases.send, phases.wait, phases.transfer))
    return attribute_silence(
        exchange.tcp,
        waited_seconds,
        response_begun=phases.transfer is not None,
        via_proxy=exchange.via_proxy,
    )


def _far_end(exchange: Exchange) -> str:
    whose = "the proxy" if exchange.via_proxy else "the far end"
    if exchange.remote_address is None:
        return f"{whose} of the connection"
    return f"{whose} ({one_line(exchange.remote_address, _ADDRESS_CHARACTERS)})"


def _seen(exchange: Exchange, expectations: Expectations) -> Seen:
    host, latency = _host(exchange.url), _unsplit(exchange)
    response = exchange.response
    if response is None:
        return Seen(host, latency, failure=exchange.failure)
    headers = _by_name(response)
    if exchange.failure is not None:
        return Seen(host, latency, exchange.failure, response, headers=headers)
    server = server_total_seconds(headers.get("server-timing", ()))
    # A body that was cut may by chance still be JSON; it is not read.
    over_limit = response.body_over_limit
    body = Body(None, foreign=OVER_LIMIT) if over_limit else read_body(response.body)
    seen = Seen(
        host,
        latency,
        response=response,
        body=body,
        server=server,
        expected_status=expectations.status,
        headers=headers,
    )
    return _weighed(seen, expectations) if seen.by_platform else seen


def _unsplit(exchange: Exchange) -> Latency:
    return Latency(exchange.total_seconds, own_seconds=exchange.phases.own or 0.0)


def _weighed(seen: Seen, expectations: Expectations) -> Seen:
    """Add what only a platform's answer has: the latency split, and expectations to meet."""
    latency = split(seen.latency.total_seconds, seen.latency.own_seconds, seen.server)
    sentence = None
    if seen.is_ok or seen.is_expected_error:
        sentence = unmet(expectations, seen.status, seen.body.document, latency.server_seconds)
    return Seen(
        seen.host,
        latency,
        response=seen.response,
        body=seen.body,
        server=seen.server,
        expected_status=seen.expected_status,
        unmet=sentence,
        headers=seen.headers,
    )


def _by_name(response: Response) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, value in response.headers:
        key = name.lower()
        found[key] = (*found.get(key, ()), value)
    return found


@lru_cache(maxsize=4096)
def _host(url: str) -> str:
    try:
        host = urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        host = ""
    return one_line(host, _HOST_CHARACTERS) or "the host"
