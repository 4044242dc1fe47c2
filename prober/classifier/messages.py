"""The sentence that a verdict rests on, to be read in an alert at night. Pure.

It says what was seen, and then what that means. Nothing of a platform's body but the message of
an error envelope is quoted.

Named details that are worth showing beside a verdict: bounded, single-line, encodable. Pure.
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
from prober.formatting import one_line
from prober.models import TcpEvidence
from prober.outcomes import FailureKind, Reason

_MOST_ROUND_TRIPS = 8
"""TCP, TLS and the request itself take two to four; a large response some more."""
_ADDRESSES_CHARACTERS = 120
_DETAIL_CHARACTERS = 200
_MESSAGE_CHARACTERS = 160
_LOCATION_CHARACTERS = 160

_NOT_SENT = "The prober did not get to ask {host}: "
_NO_RESPONSE = "No answer from {host}: "
_INCOMPLETE_RESPONSE = "The request was sent to {host}, but no whole answer came: "
FAILURE_WORDS = {
    FailureKind.TOKEN_MISSING: _NOT_SENT + "it has no usable token",
    FailureKind.RESOURCE_EXHAUSTED: _NOT_SENT + "its machine is out of files or memory",
    FailureKind.TLS_CONFIGURATION: _NOT_SENT + "its own TLS settings cannot be used",
    FailureKind.INTERNAL_ERROR: "The prober failed by a fault of its own",
    FailureKind.DNS: _NO_RESPONSE + "its name could not be resolved",
    FailureKind.CONNECTION_REFUSED: _NO_RESPONSE + "the TCP connection was refused",
    FailureKind.UNREACHABLE: _NO_RESPONSE + "there is no way to it",
    FailureKind.CONNECT_TIMEOUT: _NO_RESPONSE + "no TCP connection in time",
    FailureKind.TLS_CERTIFICATE: _NO_RESPONSE + "the issuer of its TLS certificate is not trusted",
    FailureKind.CERTIFICATE_EXPIRED: _NO_RESPONSE
    + "its TLS certificate has expired or is not yet valid",
    FailureKind.CERTIFICATE_NAME_MISMATCH: _NO_RESPONSE
    + "its TLS certificate is for another host name",
    FailureKind.TLS_HANDSHAKE: _NO_RESPONSE + "the TLS handshake failed",
    FailureKind.PROXY: _NO_RESPONSE + "the proxy did not let the request through",
    FailureKind.CONNECTION_RESET: _INCOMPLETE_RESPONSE + "the connection was lost",
    FailureKind.RESPONSE_TIMEOUT: _INCOMPLETE_RESPONSE + "the time ran out",
    FailureKind.TRUNCATED: _INCOMPLETE_RESPONSE + "the answer was cut short",
    FailureKind.PROTOCOL_ERROR: "What {host} answered is not HTTP",
}

# What a status says when it comes from a proxy or from Cloudflare: RFC 9110, RFC 6585, and
# Cloudflare's own codes.
_STATUS_NOTES = {407: "a proxy demands a log-in", 511: "the network demands a log-in"}
_CLOUDFLARE_NOTES = {
    520: "got an unknown error from its origin",
    521: "finds its origin down",
    522: "could not connect to its origin in time",
    523: "cannot reach its origin",
    524: "got no answer from its origin in time",
    525: "had no TLS handshake with its origin",
    526: "does not accept its origin's certificate",
}


def failure_message(seen: Observation) -> str:
    """Word a failure; `detail` is the exchange's own account of it."""
    failure = seen.failure
    if failure is None:
        return ""
    sentence = FAILURE_WORDS[failure.kind].format(host=seen.host)
    detail = one_line(failure.detail, _DETAIL_CHARACTERS)
    began = f"; HTTP {seen.status} had begun" if seen.status else ""
    return sentence + (f" ({detail})" if detail else "") + began


def silence_message(seen: Observation) -> str:
    """Word a time-out that the kernel explains; the far end is whoever acknowledges for it."""
    tcp = seen.tcp
    if tcp is None:
        return failure_message(seen)
    began = f" HTTP {seen.status} had begun." if seen.status else ""
    return f"{_SILENCES[seen.silence](seen, tcp)}.{began} TCP: {tcp_words(tcp)}"


def tcp_words(tcp: TcpEvidence) -> str:
    """Return what the kernel knew of a connection, in words."""
    again = "nothing" if not tcp.retransmissions else f"{tcp.retransmissions} segment(s)"
    words = [
        f"round trip {tcp.rtt_seconds * 1e3:.1f} ms",
        f"{again} sent again",
        f"last heard {tcp.since_heard_seconds:.1f} s before the end",
    ]
    if tcp.lost_addresses:
        words.append(
            f"connected after {one_line(', '.join(tcp.lost_addresses), _ADDRESSES_CHARACTERS)}"
        )
    return ", ".join(words)


def _unacknowledged(seen: Observation, tcp: TcpEvidence) -> str:
    return (
        f"The request to {seen.host} was lost on the way: {seen.far_end} never acknowledged it,"
        f" though it was sent again {tcp.retransmissions} time(s)"
    )


def _far_end_silent(seen: Observation, tcp: TcpEvidence) -> str:
    return (
        f"{seen.host} does not respond: {seen.far_end} acknowledged the whole request and still"
        f" answered {tcp.since_heard_seconds:.1f} s before the time ran out"
    )


def _path_lost(seen: Observation, tcp: TcpEvidence) -> str:
    return (
        f"The path to {seen.host} was lost after the request: {seen.far_end} acknowledged it, and"
        f" for the last {tcp.since_heard_seconds:.1f} s not even keep-alive probes were answered"
    )


_SILENCES: Mapping[Reason | None, Callable[[Observation, TcpEvidence], str]] = MappingProxyType(
    {
        Reason.RESPONSE_TIMEOUT_UNACKNOWLEDGED: _unacknowledged,
        Reason.RESPONSE_TIMEOUT_FAR_END_SILENT: _far_end_silent,
        Reason.RESPONSE_TIMEOUT_PATH_LOST: _path_lost,
    }
)


def gateway_rejection_message(seen: Observation) -> str:
    """Word a 401 that a gateway gave for the platform."""
    return (
        f"{_intermediary(seen)}, but a challenge for a Bearer token: "
        "a gateway in front of the platform rejected the token"
    )


def redirect_message(seen: Observation) -> str:
    """Word a redirect that is not the platform's; redirects are not followed."""
    location = one_line(", ".join(seen.header_values("location")), _LOCATION_CHARACTERS)
    answer = f"HTTP {seen.status} to {location}" if location else f"HTTP {seen.status} to nowhere"
    if seen.is_unknown_tenant:
        return (
            f"{answer}: the gateway does not know this organisation, tenant or service; "
            "check the tenant's address"
        )
    return f"{answer}: redirected by an intermediary, the platform did not answer"


def intermediary_message(seen: Observation) -> str:
    """Word an answer that is not the platform's."""
    return f"{_intermediary(seen)}: answered by an intermediary, not by the platform{_noted(seen)}"


def edge_refused_message(seen: Observation) -> str:
    """Word a refusal of the platform's CDN."""
    return (
        f"{_intermediary(seen)}: the CDN in front of the platform refuses the prober's address"
        " or agent; ask the supplier to allow it"
    )


def edge_error_message(seen: Observation) -> str:
    """Word a 5xx of the platform's CDN."""
    return f"{_intermediary(seen)}: the platform's CDN reports that its origin failed{_noted(seen)}"


def quota_exceeded_message(seen: Observation) -> str:
    """Word a 402, or a 403 about a quota."""
    return f"{_platform(seen)}: a quota of the tenant is used up{_message(seen)}"


def identity_intermediary_message(seen: Observation) -> str:
    """Word an answer to the request for a token that is not the identity server's."""
    words = "a JSON document" if seen.body.intermediary is None else seen.body.intermediary.words
    return (
        f"HTTP {seen.status} with {words}, no OAuth response: "
        f"answered by an intermediary, not by the identity server{_noted(seen)}"
    )


def token_rejected_message(seen: Observation) -> str:
    """Word the platform's 401."""
    return f"{_platform(seen)}: the platform rejected the token{_message(seen)}"


def permission_denied_message(seen: Observation) -> str:
    """Word the platform's 403."""
    return f"{_platform(seen)}: the token may not make this request{_message(seen)}"


def response_too_large_message(seen: Observation) -> str:
    """Word a body that was longer than the probe allows."""
    return f"{_platform(seen)}: the answer was not judged; ask for less, or raise the probe's limit"


def malformed_envelope_message(seen: Observation) -> str:
    """Word a Server-Timing without an envelope."""
    if (
        seen.body.intermediary is not None
        and seen.body.intermediary.kind is IntermediaryKind.UNREADABLE_CODING
    ):
        return f"{_platform(seen)}: the platform answered, and it or an intermediary encoded it so"
    return f"{_platform(seen)}: the platform answered, but not in its own form"


def rate_limited_message(seen: Observation) -> str:
    """Word the platform's 429."""
    wait = one_line(", ".join(seen.header_values("retry-after")), 40)
    after = f" and asks to wait (Retry-After: {wait})" if wait else ""
    return f"{_platform(seen)}: the platform limits the rate{after}{_message(seen)}"


def client_error_message(seen: Observation) -> str:
    """Word another 4xx of the platform."""
    return f"{_platform(seen)}: the platform finds fault with the request{_message(seen)}"


def server_error_message(seen: Observation) -> str:
    """Word the platform's 5xx."""
    return f"{_platform(seen)}: the platform failed{_message(seen)}"


def inconsistent_envelope_message(seen: Observation) -> str:
    """Word an envelope that its status code contradicts."""
    return f"{_platform(seen)}: status code and envelope contradict each other{_message(seen)}"


def expectation_failed_message(seen: Observation) -> str:
    """Word an answer in good form that the probe is not content with."""
    return f"{_platform(seen)}, but {seen.unmet_expectation}{_message(seen)}"


def expected_error_message(seen: Observation) -> str:
    """Word the success of a negative check."""
    return f"{_platform(seen)}, as the probe expects: the platform itself answered{_times(seen)}"


def success_message(seen: Observation) -> str:
    """Word a success."""
    return _platform(seen) + _times(seen)


def _intermediary(seen: Observation) -> str:
    foreign = seen.body.intermediary or EMPTY
    header = "no Server-Timing total" if seen.header_values("server-timing") else "no Server-Timing"
    return f"HTTP {seen.status} with {foreign.words}, no envelope, {header}"


def _platform(seen: Observation) -> str:
    if seen.body.status is not None:
        return f"HTTP {seen.status} with an {seen.body.status} envelope"
    foreign = seen.body.intermediary or EMPTY
    return f"HTTP {seen.status} with Server-Timing and {foreign.words}, no envelope"


def _message(seen: Observation) -> str:
    message = one_line(seen.body.message, _MESSAGE_CHARACTERS)
    return f'; it says "{message}"' if message else ""


def _times(seen: Observation) -> str:
    latency = seen.latency
    if latency.server_seconds is None or latency.network_seconds is None:
        return ""
    network = f"network {latency.network_seconds:.3f} s"
    return f"; server {latency.server_seconds:.3f} s, {network}{_why_slow(seen)}"


def _why_slow(seen: Observation) -> str:
    """Say of a network part that is worth a word whether loss or distance explains it."""
    network_seconds, tcp = seen.latency.network_seconds, seen.tcp
    if tcp is None or network_seconds is None or network_seconds < SLOW_NETWORK_SECONDS:
        return ""
    rtt = f"round trip {tcp.rtt_seconds * 1e3:.0f} ms"
    if tcp.retransmissions:
        return f" (loss: {tcp.retransmissions} segment(s) sent again, {rtt})"
    if network_seconds <= _MOST_ROUND_TRIPS * tcp.rtt_seconds:
        return f" (distance: {rtt}, nothing sent again)"
    return f" (neither our loss nor distance explains it: {rtt}, nothing sent again)"


def _noted(seen: Observation) -> str:
    note = _note(seen)
    return f" ({note})" if note else ""


def _note(seen: Observation) -> str:
    by_cloudflare = any("cloudflare" in value.lower() for value in seen.header_values("server"))
    if by_cloudflare and seen.status in _CLOUDFLARE_NOTES:
        return f"Cloudflare {_CLOUDFLARE_NOTES[seen.status]}"
    return _STATUS_NOTES.get(seen.status, "")


FACT_CHARACTERS = 300

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


def extract_attributes(seen: Observation) -> Mapping[str, str]:
    """Return the facts of an exchange; names are in snake case.

    Of the connection there is one only where something went wrong, or was sent again.
    """
    found: dict[str, str] = {}
    if seen.response is not None:
        found = _response_attributes(seen)
    tcp = seen.tcp
    if tcp is not None and (seen.failure is not None or tcp.retransmissions or tcp.lost_addresses):
        found["tcp"] = tcp_words(tcp)
    return MappingProxyType({name: value for name, value in found.items() if value})


def _response_attributes(seen: Observation) -> dict[str, str]:
    found = {"http_status": str(seen.status), "message": seen.body.message}
    found["path"] = _bounded(seen.body.path)
    if seen.has_class(3):
        found["location"] = _header(seen, "location")
    if not seen.has_server_time:
        found["server_timing"] = _header(seen, "server-timing")
    for name, fact in _HEADERS:
        if name in seen.headers:
            found[fact] = _header(seen, name)
    found["marker"] = _marker(seen)
    found["excerpt"] = _excerpt(seen)
    return found


def _header(seen: Observation, name: str) -> str:
    return _bounded(", ".join(seen.header_values(name)))


def _bounded(text: str) -> str:
    return one_line(text, FACT_CHARACTERS)


def _marker(seen: Observation) -> str:
    if seen.failure is not None or seen.body.intermediary is None:
        return ""
    return seen.body.intermediary.kind.value


def _excerpt(seen: Observation) -> str:
    """Show only what cannot be customers' data; of a failed exchange the sender is unknown."""
    foreign = seen.body.intermediary
    if seen.response is None or seen.failure is not None or foreign is None or seen.by_platform:
        return ""
    if foreign.kind in {IntermediaryKind.OVER_LIMIT, IntermediaryKind.UNREADABLE_CODING}:
        return ""
    if seen.has_class(2) and foreign.kind in MAYBE_CUSTOMER_DATA:
        return ""
    return excerpt(seen.response.body, seen.redactor)
