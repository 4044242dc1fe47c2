"""Extracts from an exchange what the classification rules use, as one frozen value. Pure.

Body: an envelope is a JSON object whose `status` is the *string* `ok` or `error`. The integer
`status` of an RFC 7807 problem document does not count. Any bytes can be read; nothing here raises.

Intermediaries: a body without an envelope is matched against what proxies and gateways send
(Cloudflare pages and codes, ABP JSON, RFC 7807, Azure API Management and other gateways). Except
for Cloudflare's codes, the match is shown to the reader and does not decide a verdict.

Latency: the total is split into server time and network time, if the server's time is plausible.
"""

import json
import re
from codecs import BOM_UTF8
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Literal
from urllib.parse import urlsplit

from prober.classifier.expectations import UnmetExpectation, first_unmet_expectation
from prober.classifier.server_timing import requests_bearer, server_total_seconds
from prober.classifier.silence import attribute_silence
from prober.formatting import one_line
from prober.models import (
    Expectations,
    Failure,
    HttpExchange,
    Latency,
    PresentedCertificate,
    Probe,
    Response,
    TcpEvidence,
)
from prober.outcomes import FailureKind, LatencyComponent, Reason, ServerTimingAnomaly
from prober.redaction import NO_SECRETS, Redactor


class IntermediaryKind(StrEnum):
    """What a body without an envelope looks like."""

    EMPTY = "empty"
    OVER_LIMIT = "over_limit"
    CLOUDFLARE_CHALLENGE = "cloudflare_challenge"
    CLOUDFLARE_ERROR = "cloudflare_error"
    HTML = "html"
    ABP_JSON = "abp_json"
    PROBLEM_JSON = "problem_json"
    API_MANAGEMENT_JSON = "api_management_json"
    GATEWAY_JSON = "gateway_json"
    OTHER_JSON = "other_json"
    UNREADABLE_JSON = "unreadable_json"
    UNREADABLE_CODING = "unreadable_coding"
    TEXT = "text"


# On a 2xx, bodies of these kinds may be customer data: an attachment, or a response whose format
# has changed. They are not shown then.
MAYBE_CUSTOMER_DATA = frozenset(
    {IntermediaryKind.OTHER_JSON, IntermediaryKind.UNREADABLE_JSON, IntermediaryKind.TEXT}
)


@dataclass(frozen=True, slots=True)
class IntermediaryBody:
    """A kind, its description for messages, and the CDN's error code if the body names one."""

    kind: IntermediaryKind
    description: str
    code: int | None = None


EMPTY = IntermediaryBody(IntermediaryKind.EMPTY, "an empty body")
OVER_LIMIT = IntermediaryBody(IntermediaryKind.OVER_LIMIT, "a body over the probe's limit")
UNREADABLE_JSON = IntermediaryBody(IntermediaryKind.UNREADABLE_JSON, "invalid JSON")

_CODING_CHARACTERS = 40
_SCANNED_CHARACTERS = 16 * 1024
_TITLE_CHARACTERS = 80
_TITLE = re.compile(r"<title[^<>]{0,200}>([^<]{1,400})", re.IGNORECASE)
_CLOUDFLARE_CODE = re.compile(r"error(?: code)?:? {0,3}(\d{3,4})\b", re.IGNORECASE)
_HTML_STARTS = ("<!doctype html", "<html", "<head", "<body", "<title", "<h1", "<center", "<!--")


def unreadable_coding_body(coding: str) -> IntermediaryBody:
    """Describe a body whose content coding was not requested and is not supported."""
    name = one_line(coding, _CODING_CHARACTERS)
    description = f"a body in a content coding that was not requested ({name})"
    return IntermediaryBody(IntermediaryKind.UNREADABLE_CODING, description)


def intermediary_from_text(text: str, redactor: Redactor = NO_SECRETS) -> IntermediaryBody:
    """Describe a body that is not JSON."""
    head = text.lstrip()[:_SCANNED_CHARACTERS]
    if not head:
        return EMPTY
    lowered = head.lower()
    is_html = lowered.startswith(_HTML_STARTS)
    if is_html and "just a moment" in lowered:
        return IntermediaryBody(
            IntermediaryKind.CLOUDFLARE_CHALLENGE, "a Cloudflare challenge page"
        )
    code = _CLOUDFLARE_CODE.search(head)
    if code is not None and ("cloudflare" in lowered or lowered.startswith("error code:")):
        return IntermediaryBody(
            IntermediaryKind.CLOUDFLARE_ERROR, f"Cloudflare error code {code[1]}", int(code[1])
        )
    if is_html:
        return IntermediaryBody(IntermediaryKind.HTML, "an HTML page" + _titled(head, redactor))
    if lowered.startswith(("{", "[")):
        return UNREADABLE_JSON
    return IntermediaryBody(IntermediaryKind.TEXT, "plain text")


def intermediary_from_json(document: object) -> IntermediaryBody:
    """Describe a JSON document that is not an envelope."""
    if isinstance(document, Mapping):
        keys = document.keys()
        if "__abp" in keys or {"errorCode", "result"} <= keys:
            return IntermediaryBody(IntermediaryKind.ABP_JSON, "a gateway's JSON in ABP form")
        if _is_integer(document.get("status")) and keys & {"type", "title", "traceId"}:
            return IntermediaryBody(IntermediaryKind.PROBLEM_JSON, "a problem document (RFC 7807)")
        if {"statusCode", "message"} <= keys:
            return IntermediaryBody(
                IntermediaryKind.API_MANAGEMENT_JSON, "an API gateway's JSON (statusCode, message)"
            )
        if "errorCode" in keys:
            return IntermediaryBody(
                IntermediaryKind.GATEWAY_JSON, "a gateway's JSON with an errorCode"
            )
    return IntermediaryBody(IntermediaryKind.OTHER_JSON, "JSON of an unknown format")


def _titled(html: str, redactor: Redactor) -> str:
    title = _TITLE.search(html)
    words = "" if title is None else one_line(title[1], _TITLE_CHARACTERS, redactor)
    return f' titled "{words}"' if words else ""


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


MESSAGE_CHARACTERS = 500
EXCERPT_CHARACTERS = 200
_EXCERPT_BYTES = 4096
MAX_INLINE_BODY_BYTES = 64 * 1024
"""A larger body is better parsed in a thread than on the event loop: it may have very many keys."""
# An integer with more digits becomes a float. Parsing a long int takes quadratic time, and its
# arithmetic with a float can overflow (the largest float has 309 digits).
MAX_INTEGER_DIGITS = 300


@dataclass(frozen=True, slots=True)
class Body:
    """A parsed body.

    `status` is the envelope's, None if the body is not an envelope; then `intermediary` describes
    it. `message` and `path` are those of an error envelope, else empty: everything else in a
    platform's body is customer data. `document` is the parsed JSON, None if the body is not JSON.
    """

    status: Literal["ok", "error"] | None
    message: str = ""
    path: str = ""
    document: object = None
    intermediary: IntermediaryBody | None = None


NO_BODY = Body(None, intermediary=EMPTY)


def read_body(body: bytes, redactor: Redactor = NO_SECRETS) -> Body:
    """Parse a body, with `redactor`'s secrets removed from its texts. Never raises.

    Tolerated, because the sender matters more than the format: invalid UTF-8, a byte order mark,
    NaN and Infinity, numbers of any length, repeated keys (the last counts).
    """
    text = body.removeprefix(BOM_UTF8).decode(errors="replace")
    try:
        document = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return Body(None, intermediary=intermediary_from_text(text, redactor))
    if isinstance(document, dict):
        status = document.get("status")
        if status == "ok":
            return Body("ok", document=document)
        if status == "error":
            message, path = (_line(document, key, redactor) for key in ("message", "path"))
            return Body("error", message, path, document)
    return Body(None, document=document, intermediary=intermediary_from_json(document))


def excerpt(body: bytes, redactor: Redactor = NO_SECRETS) -> str:
    """Return the start of a body that is not the platform's: one line of up to 200 characters."""
    text = body.lstrip()[:_EXCERPT_BYTES].decode("utf-8-sig", "replace")
    return one_line(text, EXCERPT_CHARACTERS, redactor)


def _line(document: dict[str, object], key: str, redactor: Redactor) -> str:
    value = document.get(key)
    return one_line(value, MESSAGE_CHARACTERS, redactor) if isinstance(value, str) else ""


def _number(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_INTEGER_DIGITS else float(digits)


_DECODER = json.JSONDecoder(parse_int=_number)


def split(total_seconds: float, own_seconds: float, server: float | ServerTimingAnomaly) -> Latency:
    """Split a response time into server, network and the prober's own time.

    With an anomaly there is no split. A server time larger than the time that passed outside the
    prober is the anomaly EXCEEDS_TOTAL: one of the two clocks is wrong, and a negative network time
    would hide that.
    """
    outside_seconds = total_seconds - own_seconds
    if isinstance(server, ServerTimingAnomaly):
        return Latency(total_seconds, own_seconds=own_seconds, anomaly=server)
    if server > outside_seconds:
        anomaly = ServerTimingAnomaly.EXCEEDS_TOTAL
        return Latency(total_seconds, own_seconds=own_seconds, anomaly=anomaly)
    return Latency(total_seconds, server, outside_seconds - server, own_seconds)


def is_trustworthy(exchange: HttpExchange, max_loop_lag_seconds: float) -> bool:
    """Return whether a latency may be added to the histograms.

    Times from the kernel are exact. If the event loop timed an arrival, its lag during the attempt
    is an upper bound of the measurement's error.
    """
    return exchange.timing_fallback is None or exchange.loop_lag_seconds <= max_loop_lag_seconds


def slow_components(latency: Latency, probe: Probe) -> tuple[LatencyComponent, ...]:
    """Return the components over the probe's objectives; none if there is no split."""
    durations = (
        (LatencyComponent.SERVER, latency.server_seconds, probe.server_objective_seconds),
        (LatencyComponent.NETWORK, latency.network_seconds, probe.network_objective_seconds),
    )
    return tuple(
        component
        for component, seconds, objective_seconds in durations
        if seconds is not None and seconds > objective_seconds
    )


_HOST_CHARACTERS = 100
_ADDRESS_CHARACTERS = 60
SLOW_NETWORK_SECONDS = 0.1
"""From here on a network part is worth saying whether loss or distance explains it."""
_UNREGISTERED = "/portal_/unregistered"
_QUOTA = re.compile(
    r"\bquotas?\b.{0,80}\b(?:exceed|exhaust|reach|used up|over\b|limit)"
    r"|\b(?:exceed|exhaust|reach|used up|over the|above the|out of)\w*.{0,80}\bquotas?\b"
    r"|\bno (?:\w+ )?units (?:are )?(?:left|remaining)\b",
    re.IGNORECASE | re.DOTALL,
)
# Cloudflare's 1xxx codes that refuse a client because of its address, agent, country or rate. The
# other 1xxx codes report a problem of the site's configuration, as 5xx do.
_CLOUDFLARE_REFUSALS = frozenset(
    {1003, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1015, 1020, 1025, 1106}
)
_EDGE_STATUSES = frozenset({*range(520, 528), 530})  # Cloudflare's own codes for origin errors
_NO_HEADERS: Mapping[str, tuple[str, ...]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Observation:
    """What the rules use of one exchange.

    With a `failure`, the `response` is partial: only its status is used. `headers` are those of the
    response, by lower-case name. `unmet_expectation` is set only if the response has the status and
    envelope that the probe expects. `silence` is the reason for a timeout after the request was
    sent, None without one. `far_end` describes the other end of the TCP connection.
    `certificate` is the one that failed verification. A response to HEAD has no body, and so no
    envelope: `has_body` is False.
    """

    host: str
    latency: Latency
    failure: Failure | None = None
    response: Response | None = None
    body: Body = NO_BODY
    server: float | ServerTimingAnomaly = ServerTimingAnomaly.MISSING
    expected_status: int | None = None
    unmet_expectation: UnmetExpectation | None = None
    silence: Reason | None = None
    tcp: TcpEvidence | None = None
    stale_connection_retries: int = 0
    far_end: str = "the far end"
    certificate: PresentedCertificate | None = None
    has_body: bool = True
    headers: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _NO_HEADERS)
    redactor: Redactor = field(default=NO_SECRETS, repr=False, compare=False)

    @property
    def status(self) -> int:
        """The HTTP status; 0 without a response."""
        return 0 if self.response is None else self.response.status

    @property
    def has_server_time(self) -> bool:
        """Whether Server-Timing has a valid `total`; an invalid one proves nothing."""
        return not isinstance(self.server, ServerTimingAnomaly)

    @property
    def by_platform(self) -> bool:
        """Whether the platform sent the response: it has an envelope or a server time."""
        return self.body.status is not None or self.has_server_time

    @property
    def is_ok(self) -> bool:
        """Whether this is a 2xx with an `ok` envelope; to HEAD, a 2xx with a server time."""
        is_good = self.body.status == "ok" if self.has_body else self.has_server_time
        return is_good and self.has_class(2)

    @property
    def is_expected_error(self) -> bool:
        """Whether this is the 4xx with an `error` envelope that a negative check expects."""
        return (
            self.body.status == "error"
            and self.has_class(4)
            and self.status == self.expected_status
        )

    @property
    def is_over_limit(self) -> bool:
        """Whether the body exceeds the probe's limit."""
        return self.response is not None and self.response.body_over_limit

    @property
    def is_unknown_tenant(self) -> bool:
        """Whether the gateway redirects to the portal's page for unknown addresses.

        The path itself must match: a captive portal may put our address into its query.
        """
        if not self.has_class(3):
            return False
        return any(_is_unregistered(value) for value in self.header_values("location"))

    @property
    def by_edge(self) -> bool:
        """Whether headers name the CDN in front of the platform (Cloudflare).

        An intermediary on our side has no reason to set them. They prove nothing about successful
        responses, which pass through the CDN as well.
        """
        servers = (value.strip().lower() for value in self.header_values("server"))
        return "cloudflare" in servers or bool(self.header_values("cf-ray"))

    @property
    def is_refused_by_edge(self) -> bool:
        """Whether the CDN refused the request: a challenge page, or a 1xxx code for clients."""
        if "challenge" in (v.strip().lower() for v in self.header_values("cf-mitigated")):
            return True
        intermediary = self.body.intermediary
        if intermediary is None:
            return False
        if intermediary.kind is IntermediaryKind.CLOUDFLARE_CHALLENGE:
            return True
        return intermediary.code in _CLOUDFLARE_REFUSALS

    @property
    def is_edge_error(self) -> bool:
        """Whether the platform's CDN or gateway reports a failure of its origin."""
        intermediary = self.body.intermediary
        code = None if intermediary is None else intermediary.code
        if code is not None and 1000 <= code <= 1999:  # noqa: PLR2004 -- Cloudflare's 1xxx codes
            return True
        names_itself = self.status in _EDGE_STATUSES and code == self.status
        return self.has_class(5) and (self.by_edge or names_itself)

    @property
    def mentions_quota(self) -> bool:
        """Whether the error envelope's message says that a quota is used up."""
        return _QUOTA.search(self.body.message) is not None

    @property
    def asks_for_bearer(self) -> bool:
        """Whether the response has a challenge for a bearer token."""
        return requests_bearer(self.header_values("www-authenticate"))

    def has_class(self, hundreds: int) -> bool:
        """Return whether the status is in a class: 2 for 2xx, and so on."""
        return self.status // 100 == hundreds

    def header_values(self, name: str) -> tuple[str, ...]:
        """Return all values of a response header; `name` is in lower case."""
        return self.headers.get(name, ())


def observe(exchange: HttpExchange, expectations: Expectations) -> Observation:
    """Extract what the rules use from an exchange. Never raises."""
    observation = _observe(exchange, expectations)
    if exchange.stale_connection_retries:
        observation = replace(
            observation, stale_connection_retries=exchange.stale_connection_retries
        )
    if exchange.failure is None and not _is_worth_mentioning(exchange.tcp, observation.latency):
        return observation
    return replace(
        observation,
        silence=_silence(exchange),
        tcp=exchange.tcp,
        far_end=_far_end(exchange),
        certificate=exchange.presented_certificate,
    )


def _is_worth_mentioning(tcp: TcpEvidence | None, latency: Latency) -> bool:
    """Return whether the TCP statistics explain something about a response."""
    if tcp is None:
        return False
    is_slow = (latency.network_seconds or 0.0) >= SLOW_NETWORK_SECONDS
    return is_slow or tcp.retransmissions > 0 or bool(tcp.lost_addresses)


def _silence(exchange: HttpExchange) -> Reason | None:
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


def _far_end(exchange: HttpExchange) -> str:
    peer = "the proxy" if exchange.via_proxy else "the far end"
    if exchange.remote_address is None:
        return f"{peer} of the connection"
    return f"{peer} ({one_line(exchange.remote_address, _ADDRESS_CHARACTERS)})"


def _observe(exchange: HttpExchange, expectations: Expectations) -> Observation:
    host = _host(exchange.url)
    latency = Latency(exchange.total_seconds, own_seconds=exchange.phases.own or 0.0)
    response = exchange.response
    if response is None:
        return Observation(host, latency, failure=exchange.failure)
    headers = _by_name(response)
    if exchange.failure is not None:
        return Observation(host, latency, exchange.failure, response, headers=headers)
    server = server_total_seconds(headers.get("server-timing", ()))
    observation = Observation(
        host,
        latency,
        response=response,
        body=_body(response, exchange.redactor),
        redactor=exchange.redactor,
        server=server,
        expected_status=expectations.status,
        has_body=exchange.method != "HEAD",
        headers=headers,
    )
    return (
        _with_latency_and_expectations(observation, expectations)
        if observation.by_platform
        else observation
    )


def _with_latency_and_expectations(
    observation: Observation, expectations: Expectations
) -> Observation:
    """Add what applies to platform responses only: the latency split and the expectations."""
    latency = split(
        observation.latency.total_seconds, observation.latency.own_seconds, observation.server
    )
    unmet = None
    if observation.is_ok or observation.is_expected_error:
        unmet = first_unmet_expectation(
            expectations, observation.status, observation.body.document, latency.server_seconds
        )
    return Observation(
        observation.host,
        latency,
        response=observation.response,
        body=observation.body,
        server=observation.server,
        expected_status=observation.expected_status,
        unmet_expectation=unmet,
        has_body=observation.has_body,
        headers=observation.headers,
        redactor=observation.redactor,
    )


def _is_unregistered(location: str) -> bool:
    try:
        path = urlsplit(location.strip()).path
    except ValueError:
        return False
    return path.lower().rstrip("/").endswith(_UNREGISTERED)


def _body(response: Response, redactor: Redactor) -> Body:
    if response.body_over_limit:  # a truncated body may be valid JSON by chance
        return Body(None, intermediary=OVER_LIMIT)
    body = read_body(response.body, redactor)
    # A server may name a coding without applying it: an envelope that can be read counts.
    if response.unreadable_coding and body.status is None and response.body:
        return Body(None, intermediary=unreadable_coding_body(response.unreadable_coding))
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
