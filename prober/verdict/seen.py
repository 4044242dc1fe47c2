"""An exchange, read once: what the rules look at, as one frozen value. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import urlsplit

from prober.model import Exchange, Expectations, Failure, Latency, Response
from prober.outcomes import ServerTimingAnomaly
from prober.redaction import NO_SECRETS, Redactor
from prober.verdict.envelope import NO_BODY, Body, read_body
from prober.verdict.expectations import unmet
from prober.verdict.foreign import OVER_LIMIT, foreign_coding
from prober.verdict.header_fields import asks_for_bearer
from prober.verdict.latency import split
from prober.verdict.one_line import one_line
from prober.verdict.server_timing import server_total_seconds

_HOST_CHARACTERS = 100
_NO_HEADERS: Mapping[str, tuple[str, ...]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Seen:
    """What one exchange showed.

    With a `failure`, a `response` is partial: its status is a fact, and nothing else of it counts.
    `headers` are the answer's, by name in lower case.
    `unmet` is set only where the answer has the form that the probe asks for.
    """

    host: str
    latency: Latency
    failure: Failure | None = None
    response: Response | None = None
    body: Body = NO_BODY
    server: float | ServerTimingAnomaly = ServerTimingAnomaly.MISSING
    expected_status: int | None = None
    unmet: str | None = None
    headers: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _NO_HEADERS)
    redactor: Redactor = field(default=NO_SECRETS, repr=False, compare=False)

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
    host, latency = _host(exchange.url), Latency(exchange.total_seconds)
    response = exchange.response
    if response is None:
        return Seen(host, latency, failure=exchange.failure)
    headers = _by_name(response)
    if exchange.failure is not None:
        return Seen(host, latency, exchange.failure, response, headers=headers)
    server = server_total_seconds(headers.get("server-timing", ()))
    seen = Seen(
        host,
        latency,
        response=response,
        body=_body(response, exchange.redactor),
        redactor=exchange.redactor,
        server=server,
        expected_status=expectations.status,
        headers=headers,
    )
    return _weighed(seen, expectations) if seen.by_platform else seen


def _weighed(seen: Seen, expectations: Expectations) -> Seen:
    """Add what only a platform's answer has: the latency split, and expectations to meet."""
    latency = split(seen.latency.total_seconds, seen.server)
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
        redactor=seen.redactor,
    )


def _body(response: Response, redactor: Redactor) -> Body:
    if response.body_over_limit:  # what was cut may by chance still be JSON; it is not read
        return Body(None, foreign=OVER_LIMIT)
    body = read_body(response.body, redactor)
    # A server may name a coding, and not encode: an envelope that can be read is one.
    if response.unreadable_coding and body.status is None and response.body:
        return Body(None, foreign=foreign_coding(response.unreadable_coding))
    return body


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
