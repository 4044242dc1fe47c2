"""An exchange, read once: what the rules look at, as one frozen value. Pure.

What a body is when it is no envelope: the marks of those who answer before the platform. Pure.

Shapes: Cloudflare's pages and codes, ABP's JSON, RFC 7807, Azure API Management and other gateways.
A mark is evidence for the reader; no verdict rests on it.

Body bytes in, envelope or not out. Pure; survives every body.

An envelope is a JSON object whose `status` is the *string* `ok` or `error`: the integer of an
RFC 7807 problem document is not it. What is not an envelope is told by `foreign`.

Where the time went: the server or the network, and whether to believe the number. Pure.
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

from prober.classifier.expectations import first_unmet_expectation
from prober.classifier.server_timing import requests_bearer, server_total_seconds
from prober.classifier.silence import attribute_silence
from prober.formatting import one_line
from prober.models import (
    Expectations,
    Failure,
    HttpExchange,
    Latency,
    Probe,
    Response,
    TcpEvidence,
)
from prober.outcomes import FailureKind, LatencyComponent, Reason, ServerTimingAnomaly
from prober.redaction import NO_SECRETS, Redactor


class IntermediaryKind(StrEnum):
    """The sub-type of a body that is no envelope."""

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


# Bodies of these kinds can be a customer's data on a 2xx: an attachment, or an answer whose form
# has changed. They are never shown then.
MAYBE_CUSTOMER_DATA = frozenset(
    {IntermediaryKind.OTHER_JSON, IntermediaryKind.UNREADABLE_JSON, IntermediaryKind.TEXT}
)


@dataclass(frozen=True, slots=True)
class IntermediaryBody:
    """A kind, the words for it in a sentence, and the CDN's own error code where it names one."""

    kind: IntermediaryKind
    words: str
    code: int | None = None


EMPTY = IntermediaryBody(IntermediaryKind.EMPTY, "an empty body")
OVER_LIMIT = IntermediaryBody(IntermediaryKind.OVER_LIMIT, "a body over the probe's limit")
UNREADABLE_JSON = IntermediaryBody(IntermediaryKind.UNREADABLE_JSON, "JSON that cannot be read")

_CODING_CHARACTERS = 40
_SCANNED_CHARACTERS = 16 * 1024
_TITLE_CHARACTERS = 80
_TITLE = re.compile(r"<title[^<>]{0,200}>([^<]{1,400})", re.IGNORECASE)
_CLOUDFLARE_CODE = re.compile(r"error(?: code)?:? {0,3}(\d{3,4})\b", re.IGNORECASE)
_HTML_STARTS = ("<!doctype html", "<html", "<head", "<body", "<title", "<h1", "<center", "<!--")


def foreign_coding(coding: str) -> IntermediaryBody:
    """Return what a body is in a content coding that was not asked for, and is not known."""
    name = one_line(coding, _CODING_CHARACTERS)
    words = f"a body in an encoding that was not asked for ({name})"
    return IntermediaryBody(IntermediaryKind.UNREADABLE_CODING, words)


def intermediary_from_text(text: str, redactor: Redactor = NO_SECRETS) -> IntermediaryBody:
    """Return what a body is that is not JSON."""
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
            IntermediaryKind.CLOUDFLARE_ERROR, f"Cloudflare's error code {code[1]}", int(code[1])
        )
    if is_html:
        return IntermediaryBody(IntermediaryKind.HTML, "an HTML page" + _titled(head, redactor))
    if lowered.startswith(("{", "[")):
        return UNREADABLE_JSON
    return IntermediaryBody(IntermediaryKind.TEXT, "plain text")


def intermediary_from_json(document: object) -> IntermediaryBody:
    """Return what a JSON document is that is no envelope."""
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
    return IntermediaryBody(IntermediaryKind.OTHER_JSON, "JSON of an unknown form")


def _titled(html: str, redactor: Redactor) -> str:
    title = _TITLE.search(html)
    words = "" if title is None else one_line(title[1], _TITLE_CHARACTERS, redactor)
    return f' titled "{words}"' if words else ""


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


MESSAGE_CHARACTERS = 500
EXCERPT_CHARACTERS = 200
_EXCERPT_BYTES = 4096
# A number with more digits becomes a float: it needs no square time, and arithmetic on it cannot
# overflow (the largest float has 309 digits).
MAX_INTEGER_DIGITS = 300


@dataclass(frozen=True, slots=True)
class Body:
    """A body that was read.

    `status` is the envelope's, None when it is none; then `foreign` says what it is. `message` and
    `path` are an error envelope's, else empty: all else in a platform's body is customers' data.
    `document` is the parsed JSON, None when it is not JSON.
    """

    status: Literal["ok", "error"] | None
    message: str = ""
    path: str = ""
    document: object = None
    intermediary: IntermediaryBody | None = None


NO_BODY = Body(None, intermediary=EMPTY)


def read_body(body: bytes, redactor: Redactor = NO_SECRETS) -> Body:
    """Return what `body` is, with `redactor`'s secrets out of its texts; never raises.

    Tolerated, since who answered matters more than how well: invalid UTF-8, a byte order mark,
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
    """Return the beginning of a body that is not the platform's: one line, 200 characters."""
    text = body.lstrip()[:_EXCERPT_BYTES].decode("utf-8-sig", "replace")
    return one_line(text, EXCERPT_CHARACTERS, redactor)


def _line(document: dict[str, object], key: str, redactor: Redactor) -> str:
    value = document.get(key)
    return one_line(value, MESSAGE_CHARACTERS, redactor) if isinstance(value, str) else ""


def _number(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_INTEGER_DIGITS else float(digits)


_DECODER = json.JSONDecoder(parse_int=_number)


def split(total_seconds: float, own_seconds: float, server: float | ServerTimingAnomaly) -> Latency:
    """Split a response's time into server, network and the prober's own.

    An anomaly is passed on, without a split. A server time larger than all that passed outside the
    prober is EXCEEDS_TOTAL: one of both clocks is wrong, and a negative network time would hide
    which.
    """
    outside_seconds = total_seconds - own_seconds
    if isinstance(server, ServerTimingAnomaly):
        return Latency(total_seconds, own_seconds=own_seconds, anomaly=server)
    if server > outside_seconds:
        anomaly = ServerTimingAnomaly.EXCEEDS_TOTAL
        return Latency(total_seconds, own_seconds=own_seconds, anomaly=anomaly)
    return Latency(total_seconds, server, outside_seconds - server, own_seconds)


def is_trustworthy(exchange: HttpExchange, max_loop_lag_seconds: float) -> bool:
    """Tell whether a latency may enter the histograms.

    What the kernel has timed is. Where an arrival was timed by the event loop, its lag during the
    attempt is the measurement's error.
    """
    return exchange.timing_fallback is None or exchange.loop_lag_seconds <= max_loop_lag_seconds


def slow_components(latency: Latency, probe: Probe) -> tuple[LatencyComponent, ...]:
    """Return the sides that are over the probe's objectives; none where there is no split."""
    over = (
        (LatencyComponent.SERVER, latency.server_seconds, probe.server_objective_seconds),
        (LatencyComponent.NETWORK, latency.network_seconds, probe.network_objective_seconds),
    )
    return tuple(side for side, took, most in over if took is not None and took > most)


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
# Cloudflare's 1xxx codes with which it refuses a client: its address, agent, country, or rate.
# The other 1xxx codes tell of the site's own set-up, as 5xx do.
_CLOUDFLARE_REFUSALS = frozenset(
    {1003, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1015, 1020, 1025, 1106}
)
_EDGE_STATUSES = frozenset({*range(520, 528), 530})  # Cloudflare's own, about its origin
_NO_HEADERS: Mapping[str, tuple[str, ...]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Observation:
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
    unmet_expectation: str | None = None
    silence: Reason | None = None
    tcp: TcpEvidence | None = None
    far_end: str = "the far end"
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
    def is_unknown_tenant(self) -> bool:
        """Whether the gateway redirects to the portal's page for addresses that it does not know.

        The path must be the page's own: a captive portal may carry ours in a query.
        """
        if not self.has_class(3):
            return False
        return any(_is_unregistered(value) for value in self.header_values("location"))

    @property
    def by_edge(self) -> bool:
        """Whether headers name the CDN that the platform's address leads to (Cloudflare).

        An intermediary of our own that answers for itself has no reason to set them. They prove
        nothing about successful responses, which pass through the CDN as well.
        """
        servers = (value.strip().lower() for value in self.header_values("server"))
        return "cloudflare" in servers or bool(self.header_values("cf-ray"))

    @property
    def is_refused_by_edge(self) -> bool:
        """Whether the CDN refused us: a challenge page, or a 1xxx code for refused clients."""
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
        """Whether the platform's CDN or gateway says that what is behind it failed."""
        intermediary = self.body.intermediary
        code = None if intermediary is None else intermediary.code
        if code is not None and 1000 <= code <= 1999:  # noqa: PLR2004 -- Cloudflare's own
            return True
        names_itself = self.status in _EDGE_STATUSES and code == self.status
        return self.has_class(5) and (self.by_edge or names_itself)

    @property
    def mentions_quota(self) -> bool:
        """Whether the error envelope's message says that a quota is used up."""
        return _QUOTA.search(self.body.message) is not None

    @property
    def asks_for_bearer(self) -> bool:
        """Whether the answer challenges for a bearer token."""
        return requests_bearer(self.header_values("www-authenticate"))

    def has_class(self, hundreds: int) -> bool:
        """Tell whether the status is of a class: 2 for 2xx, and so on."""
        return self.status // 100 == hundreds

    def header_values(self, name: str) -> tuple[str, ...]:
        """Return all values of a header of the answer; `name` in lower case."""
        return self.headers.get(name, ())


def observe(exchange: HttpExchange, expectations: Expectations) -> Observation:
    """Read an exchange; never raises."""
    seen = _observe(exchange, expectations)
    if exchange.failure is None and not _explains(exchange.tcp, seen.latency):
        return seen
    return replace(seen, silence=_silence(exchange), tcp=exchange.tcp, far_end=_far_end(exchange))


def _explains(tcp: TcpEvidence | None, latency: Latency) -> bool:
    """Tell whether what the kernel knows is worth a word beside a response."""
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
    whose = "the proxy" if exchange.via_proxy else "the far end"
    if exchange.remote_address is None:
        return f"{whose} of the connection"
    return f"{whose} ({one_line(exchange.remote_address, _ADDRESS_CHARACTERS)})"


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
    seen = Observation(
        host,
        latency,
        response=response,
        body=_body(response, exchange.redactor),
        redactor=exchange.redactor,
        server=server,
        expected_status=expectations.status,
        headers=headers,
    )
    return _with_latency_and_expectations(seen, expectations) if seen.by_platform else seen


def _with_latency_and_expectations(seen: Observation, expectations: Expectations) -> Observation:
    """Add what only a platform's answer has: the latency split, and expectations to meet."""
    latency = split(seen.latency.total_seconds, seen.latency.own_seconds, seen.server)
    sentence = None
    if seen.is_ok or seen.is_expected_error:
        sentence = first_unmet_expectation(
            expectations, seen.status, seen.body.document, latency.server_seconds
        )
    return Observation(
        seen.host,
        latency,
        response=seen.response,
        body=seen.body,
        server=seen.server,
        expected_status=seen.expected_status,
        unmet_expectation=sentence,
        headers=seen.headers,
        redactor=seen.redactor,
    )


def _is_unregistered(location: str) -> bool:
    try:
        path = urlsplit(location.strip()).path
    except ValueError:
        return False
    return path.lower().rstrip("/").endswith(_UNREGISTERED)


def _body(response: Response, redactor: Redactor) -> Body:
    if response.body_over_limit:  # what was cut may by chance still be JSON; it is not read
        return Body(None, intermediary=OVER_LIMIT)
    body = read_body(response.body, redactor)
    # A server may name a coding, and not encode: an envelope that can be read is one.
    if response.unreadable_coding and body.status is None and response.body:
        return Body(None, intermediary=foreign_coding(response.unreadable_coding))
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
