"""The evidence of a verdict: one sentence, and named attributes of the response. Pure.

The sentence states what was observed, then what it means; alerts show it. Of a platform's body only
the message of an error envelope is quoted, because the rest is customer data. Every text is one
line of bounded length.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from prober.classifier.observation import (
    EMPTY,
    MAYBE_CUSTOMER_DATA,
    SLOW_NETWORK_SECONDS,
    IntermediaryKind,
    Observation,
    excerpt,
)
from prober.formatting import format_timestamp, one_line
from prober.models import PresentedCertificate, TcpEvidence
from prober.outcomes import FailureKind, Reason

_MOST_ROUND_TRIPS = 8
"""TCP, TLS and the request itself take two to four; a large response some more."""
_ADDRESSES_CHARACTERS = 120
_DETAIL_CHARACTERS = 200
_MESSAGE_CHARACTERS = 160
_LOCATION_CHARACTERS = 160

_NOT_SENT = "No request was sent to {host}: "
_NO_RESPONSE = "No response from {host}: "
_INCOMPLETE_RESPONSE = "The request was sent to {host}, but the response is incomplete: "
FAILURE_MESSAGES = {
    FailureKind.TOKEN_MISSING: _NOT_SENT + "the prober has no usable token",
    FailureKind.RESOURCE_EXHAUSTED: _NOT_SENT + "the prober is out of file descriptors or memory",
    FailureKind.TLS_CONFIGURATION: _NOT_SENT + "the TLS settings of the tenant are invalid",
    FailureKind.INTERNAL_ERROR: "Internal error of the prober",
    FailureKind.DNS: _NO_RESPONSE + "the host name could not be resolved",
    FailureKind.CONNECTION_REFUSED: _NO_RESPONSE + "the TCP connection was refused",
    FailureKind.UNREACHABLE: _NO_RESPONSE + "the host is unreachable",
    FailureKind.CONNECT_TIMEOUT: _NO_RESPONSE + "the TCP connection timed out",
    FailureKind.TLS_CERTIFICATE: _NO_RESPONSE + "the issuer of its TLS certificate is not trusted",
    FailureKind.CERTIFICATE_EXPIRED: _NO_RESPONSE
    + "its TLS certificate has expired or is not yet valid",
    FailureKind.CERTIFICATE_NAME_MISMATCH: _NO_RESPONSE
    + "its TLS certificate is for another host name",
    FailureKind.TLS_HANDSHAKE: _NO_RESPONSE + "the TLS handshake failed",
    FailureKind.PROXY: _NO_RESPONSE + "the proxy did not let the request through",
    FailureKind.CONNECTION_RESET: _INCOMPLETE_RESPONSE + "the connection was lost",
    FailureKind.RESPONSE_TIMEOUT: _INCOMPLETE_RESPONSE + "it timed out",
    FailureKind.TRUNCATED: _INCOMPLETE_RESPONSE + "it was truncated",
    FailureKind.PROTOCOL_ERROR: "The response from {host} is not valid HTTP",
}

STALE_CONNECTION = (
    "This was the second attempt, on a new connection: the server had closed a kept connection"
    " without a response"
)

# What a status from a proxy or from Cloudflare means: RFC 9110, RFC 6585, Cloudflare's own codes.
_STATUS_NOTES = {407: "the proxy requires authentication", 511: "the network requires a login"}
_CLOUDFLARE_NOTES = {
    520: "received an unknown error from its origin",
    521: "reports that its origin is down",
    522: "timed out connecting to its origin",
    523: "cannot reach its origin",
    524: "timed out waiting for its origin",
    525: "failed the TLS handshake with its origin",
    526: "rejects the certificate of its origin",
}


def failure_message(observation: Observation) -> str:
    """Describe a failed exchange."""
    failure = observation.failure
    if failure is None:
        return ""
    message = FAILURE_MESSAGES[failure.kind].format(host=observation.host)
    detail = one_line(failure.detail, _DETAIL_CHARACTERS)
    status = f"; the status was HTTP {observation.status}" if observation.status else ""
    detail = f" ({detail})" if detail else ""
    return message + detail + status + _certificate(observation) + _stale(observation)


def _certificate(observation: Observation) -> str:
    certificate = observation.certificate
    if certificate is None:
        return ""
    return (
        f". Issuer: {certificate.issuer or 'none'}; subject: {certificate.subject or 'none'};"
        f" {_validity(certificate)}"
    )


def _validity(certificate: PresentedCertificate) -> str:
    since, until = certificate.not_before_timestamp_seconds, certificate.not_after_timestamp_seconds
    return f"not before {format_timestamp(since)}, not after {format_timestamp(until)}"


def _stale(observation: Observation) -> str:
    return f". {STALE_CONNECTION}" if observation.stale_connection_retries else ""


def silence_message(observation: Observation) -> str:
    """Describe a timeout that TCP statistics explain."""
    tcp = observation.tcp
    if tcp is None:
        return failure_message(observation)
    status = f" The status was HTTP {observation.status}." if observation.status else ""
    describe = _SILENCE_MESSAGES[observation.silence]
    return f"{describe(observation, tcp)}.{status} TCP: {tcp_summary(tcp)}" + _stale(observation)


def tcp_summary(tcp: TcpEvidence) -> str:
    """Return the kernel's statistics of a connection as text."""
    parts = [
        f"round-trip time {tcp.rtt_seconds * 1e3:.1f} ms",
        _retransmissions(tcp),
        f"last packet received {tcp.since_received_seconds:.1f} s before the end",
    ]
    if tcp.lost_addresses:
        addresses = one_line(", ".join(tcp.lost_addresses), _ADDRESSES_CHARACTERS)
        parts.append(f"no connection to {addresses}")
    return ", ".join(parts)


def _retransmissions(tcp: TcpEvidence) -> str:
    return (
        f"{tcp.retransmissions} segment(s) retransmitted"
        if tcp.retransmissions
        else "no retransmissions"
    )


def _unacknowledged(observation: Observation, tcp: TcpEvidence) -> str:
    return (
        f"The request to {observation.host} was lost in the network: {observation.far_end} never "
        f"acknowledged it after {tcp.retransmissions} retransmission(s)"
    )


def _far_end_silent(observation: Observation, tcp: TcpEvidence) -> str:
    return (
        f"No response from {observation.host}: {observation.far_end} acknowledged the request "
        f"and was still reachable {tcp.since_received_seconds:.1f} s before the timeout"
    )


def _path_lost(observation: Observation, tcp: TcpEvidence) -> str:
    return (
        f"The network path to {observation.host} failed after the request: {observation.far_end} "
        f"acknowledged it, and answered no keep-alive probe in the last "
        f"{tcp.since_received_seconds:.1f} s"
    )


_SILENCE_MESSAGES: Mapping[Reason | None, Callable[[Observation, TcpEvidence], str]] = (
    MappingProxyType(
        {
            Reason.RESPONSE_TIMEOUT_UNACKNOWLEDGED: _unacknowledged,
            Reason.RESPONSE_TIMEOUT_FAR_END_SILENT: _far_end_silent,
            Reason.RESPONSE_TIMEOUT_PATH_LOST: _path_lost,
        }
    )
)


def gateway_rejection_message(observation: Observation) -> str:
    """Describe a 401 that a gateway sent in place of the platform."""
    return (
        f"{_intermediary(observation)}, but with a Bearer challenge: "
        "a gateway in front of the platform rejected the token"
    )


def redirect_message(observation: Observation) -> str:
    """Describe a redirect by an intermediary; redirects are not followed."""
    location = one_line(", ".join(observation.header_values("location")), _LOCATION_CHARACTERS)
    redirect = f"HTTP {observation.status} " + (
        f"to {location}" if location else "without a Location"
    )
    if observation.is_unknown_tenant:
        return (
            f"{redirect}: the gateway does not know this organisation, tenant or service; "
            "check the tenant's address"
        )
    return f"{redirect}: redirected by an intermediary, not by the platform"


def intermediary_message(observation: Observation) -> str:
    """Describe a response of an intermediary."""
    return _intermediary_message(observation, "sent by an intermediary, not by the platform")


def edge_refused_message(observation: Observation) -> str:
    """Describe a refusal by the platform's CDN."""
    return (
        f"{_intermediary(observation)}: the CDN in front of the platform blocks the prober's "
        "address or User-Agent; ask the supplier to allow it"
    )


def edge_error_message(observation: Observation) -> str:
    """Describe a 5xx of the platform's CDN."""
    return _intermediary_message(observation, "the platform's CDN reports that its origin failed")


def quota_exceeded_message(observation: Observation) -> str:
    """Describe a 402, or a 403 about a quota."""
    return _platform_message(observation, "a quota of the tenant is used up")


def identity_intermediary_message(observation: Observation) -> str:
    """Describe a response to a token request that the identity server did not send."""
    intermediary = observation.body.intermediary
    body = "a JSON document" if intermediary is None else intermediary.description
    return (
        f"HTTP {observation.status} with {body}, no OAuth response: "
        f"sent by an intermediary, not by the identity server{_status_note(observation)}"
    )


def token_rejected_message(observation: Observation) -> str:
    """Describe a 401 of the platform."""
    return _platform_message(observation, "the platform rejected the token")


def route_unauthorized_message(accepted_route: str) -> str:
    """Describe a 401 of one route; `accepted_route` names a route that accepts the same token."""
    accepted = one_line(accepted_route, _DETAIL_CHARACTERS)
    return (
        f"HTTP 401 on this route alone: {accepted} accepts the same token, so the token is valid"
        " and has no access to this route"
    )


def permission_denied_message(observation: Observation) -> str:
    """Describe a 403 of the platform."""
    return _platform_message(observation, "the token has no permission for this request")


def response_too_large_message(observation: Observation) -> str:
    """Describe a body over the probe's limit."""
    return (
        f"{_platform(observation)}: the body was not read; "
        "request less data, or raise the probe's limit"
    )


def malformed_envelope_message(observation: Observation) -> str:
    """Describe a response with Server-Timing and without an envelope."""
    if (
        observation.body.intermediary is not None
        and observation.body.intermediary.kind is IntermediaryKind.UNREADABLE_CODING
    ):
        return (
            f"{_platform(observation)}: sent by the platform; "
            "it or an intermediary encoded the body"
        )
    return f"{_platform(observation)}: sent by the platform, but not in its own format"


def rate_limited_message(observation: Observation) -> str:
    """Describe a 429 of the platform."""
    wait = one_line(", ".join(observation.header_values("retry-after")), 40)
    after = f" (Retry-After: {wait})" if wait else ""
    return _platform_message(observation, f"the platform limits the request rate{after}")


def client_error_message(observation: Observation) -> str:
    """Describe another 4xx of the platform."""
    return _platform_message(observation, "the platform rejected the request as invalid")


def server_error_message(observation: Observation) -> str:
    """Describe a 5xx of the platform."""
    return _platform_message(observation, "the platform failed")


def inconsistent_envelope_message(observation: Observation) -> str:
    """Describe an envelope that contradicts the status code."""
    return _platform_message(observation, "status code and envelope contradict each other")


def expectation_failed_message(observation: Observation) -> str:
    """Describe a well-formed response that does not meet an expectation."""
    unmet = observation.unmet_expectation
    detail = "" if unmet is None else f", but {unmet.message}"
    return f"{_platform(observation)}{detail}{_message(observation)}"


def expected_error_message(observation: Observation) -> str:
    """Describe the success of a negative check."""
    return f"{_platform(observation)}, as the probe expects{_latency(observation)}"


def success_message(observation: Observation) -> str:
    """Describe a success."""
    return _platform(observation) + _latency(observation)


def _platform_message(observation: Observation, meaning: str) -> str:
    return f"{_platform(observation)}: {meaning}{_message(observation)}"


def _intermediary_message(observation: Observation, meaning: str) -> str:
    return f"{_intermediary(observation)}: {meaning}{_status_note(observation)}"


def _intermediary(observation: Observation) -> str:
    intermediary = observation.body.intermediary or EMPTY
    header = (
        "no Server-Timing total"
        if observation.header_values("server-timing")
        else "no Server-Timing"
    )
    return f"HTTP {observation.status} with {intermediary.description}, no envelope, {header}"


def _platform(observation: Observation) -> str:
    if observation.body.status is not None:
        return f"HTTP {observation.status} with an {observation.body.status} envelope"
    if not observation.has_body:
        return f"HTTP {observation.status} with Server-Timing, to a HEAD request"
    intermediary = observation.body.intermediary or EMPTY
    return (
        f"HTTP {observation.status} with Server-Timing and {intermediary.description}, no envelope"
    )


def _message(observation: Observation) -> str:
    message = one_line(observation.body.message, _MESSAGE_CHARACTERS)
    return f'; message: "{message}"' if message else ""


def _latency(observation: Observation) -> str:
    latency = observation.latency
    if latency.server_seconds is None or latency.network_seconds is None:
        return ""
    network = f"network {latency.network_seconds:.3f} s"
    return f"; server {latency.server_seconds:.3f} s, {network}{_why_slow(observation)}"


def _why_slow(observation: Observation) -> str:
    """Say whether packet loss or distance explains a slow network, else nothing."""
    network_seconds, tcp = observation.latency.network_seconds, observation.tcp
    if tcp is None or network_seconds is None or network_seconds < SLOW_NETWORK_SECONDS:
        return ""
    statistics = f"{_retransmissions(tcp)}, round-trip time {tcp.rtt_seconds * 1e3:.0f} ms"
    if tcp.retransmissions:
        return f" (packet loss: {statistics})"
    if network_seconds <= _MOST_ROUND_TRIPS * tcp.rtt_seconds:
        return f" (distance: {statistics})"
    return f" (neither loss on our side nor distance explains it: {statistics})"


def _status_note(observation: Observation) -> str:
    note = _meaning_of_status(observation)
    return f" ({note})" if note else ""


def _meaning_of_status(observation: Observation) -> str:
    by_cloudflare = any(
        "cloudflare" in value.lower() for value in observation.header_values("server")
    )
    if by_cloudflare and observation.status in _CLOUDFLARE_NOTES:
        return f"Cloudflare {_CLOUDFLARE_NOTES[observation.status]}"
    return _STATUS_NOTES.get(observation.status, "")


ATTRIBUTE_CHARACTERS = 300

_HEADER_NAMES = (
    "server",
    "content-type",
    "retry-after",
    "www-authenticate",
    "cf-ray",
    "x-correlation-id",
    "x-request-id",
    "x-uipath-correlation-id",
    "request-context",
)
_HEADERS = tuple((name, name.replace("-", "_")) for name in _HEADER_NAMES)

REQUEST_ID_FACTS = ("x_correlation_id", "x_uipath_correlation_id", "x_request_id", "cf_ray")
"""Attributes with an id by which the supplier finds a request, the most useful first."""


def extract_attributes(observation: Observation) -> Mapping[str, str]:
    """Return named details of an exchange, in snake case.

    `tcp` is included only after a failure, a retransmission or a lost address.
    """
    attributes: dict[str, str] = {}
    if observation.response is not None:
        attributes = _response_attributes(observation)
    if observation.stale_connection_retries:
        attributes["stale_connection"] = STALE_CONNECTION
    certificate = observation.certificate
    if certificate is not None:
        attributes["certificate_issuer"] = certificate.issuer
        attributes["certificate_subject"] = certificate.subject
        attributes["certificate_validity"] = _validity(certificate)
    tcp = observation.tcp
    if tcp is not None and (
        observation.failure is not None or tcp.retransmissions or tcp.lost_addresses
    ):
        attributes["tcp"] = tcp_summary(tcp)
    return MappingProxyType({name: value for name, value in attributes.items() if value})


def _response_attributes(observation: Observation) -> dict[str, str]:
    attributes = {"http_status": str(observation.status), "message": observation.body.message}
    attributes["path"] = _bounded(observation.body.path)
    if observation.has_class(3):
        attributes["location"] = _header(observation, "location")
    if not observation.has_server_time:
        attributes["server_timing"] = _header(observation, "server-timing")
    for name, key in _HEADERS:
        if name in observation.headers:
            attributes[key] = _header(observation, name)
    attributes["marker"] = _marker(observation)
    attributes["excerpt"] = _excerpt(observation)
    return attributes


def _header(observation: Observation, name: str) -> str:
    return _bounded(", ".join(observation.header_values(name)))


def _bounded(text: str) -> str:
    return one_line(text, ATTRIBUTE_CHARACTERS)


def _marker(observation: Observation) -> str:
    if observation.failure is not None or observation.body.intermediary is None:
        return ""
    return observation.body.intermediary.kind.value


def _excerpt(observation: Observation) -> str:
    """Return what cannot be customer data; the sender of a failed exchange is unknown."""
    intermediary = observation.body.intermediary
    if (
        observation.response is None
        or observation.failure is not None
        or intermediary is None
        or observation.by_platform
    ):
        return ""
    if intermediary.kind in {IntermediaryKind.OVER_LIMIT, IntermediaryKind.UNREADABLE_CODING}:
        return ""
    if observation.has_class(2) and intermediary.kind in MAYBE_CUSTOMER_DATA:
        return ""
    return excerpt(observation.response.body, observation.redactor)
