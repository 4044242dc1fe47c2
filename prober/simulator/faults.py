"""Every fault that can be asked for, as a table: what happens, and what a good prober says to it.

`stage` tells where it happens: ANSWER faults alter what is said, WIRE faults how it is sent, and
HANDSHAKE and LISTENER faults hit all tenants of a listener, since before a request nobody knows
whose it is. `reason` is the word that prober's outcome table has for it. Pure.

Answers of others than the platform, as they are met in front of it. Pure.

Shapes follow published examples of each product; the words are our own where they are not the
product's marker.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from urllib.parse import quote

from prober.simulator import canned_responses
from prober.simulator.http import Request, Response
from prober.simulator.platform import error

Transform = Callable[[Response, Request], Response]
TIMING = "Server-Timing"
OVER_LIMIT_BYTES = 2 * 1024 * 1024


class FaultLayer(Enum):
    """Where a fault happens."""

    RESPONSE = "answer"
    WIRE = "wire"
    HANDSHAKE = "TLS handshake"
    LISTENER = "listener"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; `alter` is what an ANSWER fault does to the honest, timed answer."""

    name: str
    layer: FaultLayer
    reason: str
    summary: str
    transform: Transform = lambda honest, _: honest


def _error_response(status: int, message: str | None = None, **headers: str) -> Transform:
    """Say an error in the platform's envelope, in the time that was taken."""

    def alter(honest: Response, _: Request) -> Response:
        said = error(status, message)
        for name, value in {TIMING: _timing(honest), **headers}.items():
            said = said.with_header(name.replace("_", "-"), value)
        return said

    return alter


def _replace_with(answer: Response) -> Transform:
    return lambda _honest, _: answer


def _status(status: int) -> Transform:
    return lambda honest, _: Response(status, honest.headers, honest.body)


def _body(body: bytes) -> Transform:
    return lambda honest, _: Response(honest.status, honest.headers, body)


def _header(name: str, value: str | None) -> Transform:
    return lambda honest, _: honest.with_header(name, value)


def _echo(_: Response, request: Request) -> Response:
    """Show the request's headers to whoever reads the page, as careless servers do."""
    sent = request.headers.get("authorization", "")
    hidden = base64.b64encode(sent.encode()).decode()
    told = f"{sent} {quote(sent)} {hidden} {sent.upper()}"
    body = f"<html><title>502 {told}</title>{told}</html>".encode()
    headers = (("Content-Type", "text/html"), ("X-Request-Authorization", told))
    return Response(502, (*headers, ("X-Request-Id", sent)), body)


def _timing(honest: Response) -> str | None:
    return next((value for name, value in honest.headers if name == TIMING), None)


_ERROR_BODY = json.dumps({"status": "error", "message": "simulated"}).encode()
_EMPTY_OK = b'{"status": "ok"}'
_LARGE_OK = b'{"status": "ok", "filler": "' + b"x" * OVER_LIMIT_BYTES + b'"}'

_FOREIGN = "foreign_response"
_ALL = (
    Fault(
        "token_rejected",
        FaultLayer.RESPONSE,
        "token_rejected",
        "401 in the envelope",
        _error_response(401),
    ),
    Fault(
        "token_rejected_by_gateway",
        FaultLayer.RESPONSE,
        "token_rejected",
        "401 with a Bearer challenge and no envelope",
        _replace_with(canned_responses.GATEWAY_BEARER),
    ),
    Fault(
        "permission_denied",
        FaultLayer.RESPONSE,
        "permission_denied",
        "403 in the envelope",
        _error_response(403),
    ),
    Fault(
        "rate_limited",
        FaultLayer.RESPONSE,
        "rate_limited",
        "429 in the envelope, with Retry-After",
        _error_response(429, Retry_After="30"),
    ),
    Fault(
        "client_error",
        FaultLayer.RESPONSE,
        "client_error",
        "422 in the envelope",
        _error_response(422),
    ),
    Fault(
        "server_error",
        FaultLayer.RESPONSE,
        "server_error",
        "500 in the envelope",
        _error_response(500),
    ),
    Fault(
        "unavailable",
        FaultLayer.RESPONSE,
        "server_error",
        "503 in the envelope",
        _error_response(503),
    ),
    Fault(
        "html_502",
        FaultLayer.RESPONSE,
        _FOREIGN,
        "a web server's 502 page",
        _replace_with(canned_responses.BAD_GATEWAY),
    ),
    Fault(
        "echoed_token",
        FaultLayer.RESPONSE,
        _FOREIGN,
        "a 502 page that shows the token in it",
        _echo,
    ),
    Fault(
        "maintenance_503",
        FaultLayer.RESPONSE,
        _FOREIGN,
        "a maintenance page",
        _replace_with(canned_responses.MAINTENANCE),
    ),
    Fault(
        "captive_portal",
        FaultLayer.RESPONSE,
        _FOREIGN,
        "200 with a guest network's page",
        _replace_with(canned_responses.CAPTIVE_PORTAL),
    ),
    Fault(
        "redirect_log_in",
        FaultLayer.RESPONSE,
        "redirected",
        "302 to the identity server",
        _replace_with(canned_responses.LOGIN_REDIRECT),
    ),
    Fault(
        "redirect_unregistered",
        FaultLayer.RESPONSE,
        "redirected",
        "302 to /portal_/canned_responses.unregistered",
        _replace_with(canned_responses.unregistered("acme", "prod")),
    ),
    Fault(
        "cdn_1010",
        FaultLayer.RESPONSE,
        _FOREIGN,
        "the CDN's 1010",
        _replace_with(canned_responses.CDN_1010),
    ),
    Fault(
        "cdn_522",
        FaultLayer.RESPONSE,
        _FOREIGN,
        "the CDN's 522 page",
        _replace_with(canned_responses.CDN_522),
    ),
    Fault(
        "cdn_524",
        FaultLayer.RESPONSE,
        _FOREIGN,
        "the CDN's 524",
        _replace_with(canned_responses.CDN_524),
    ),
    Fault(
        "cdn_challenge",
        FaultLayer.RESPONSE,
        _FOREIGN,
        "the CDN's 'Just a moment'",
        _replace_with(canned_responses.CDN_CHALLENGE),
    ),
    Fault(
        "problem_document",
        FaultLayer.RESPONSE,
        _FOREIGN,
        "RFC 7807, whose status is a number",
        _replace_with(canned_responses.PROBLEM_DOCUMENT),
    ),
    Fault(
        "gateway_abp",
        FaultLayer.RESPONSE,
        _FOREIGN,
        "401 in another product's JSON",
        _replace_with(canned_responses.GATEWAY_ABP),
    ),
    Fault(
        "gateway_error_code",
        FaultLayer.RESPONSE,
        _FOREIGN,
        "a gateway's JSON with errorCode",
        _replace_with(canned_responses.GATEWAY_ERROR_CODE),
    ),
    Fault(
        "ok_on_500",
        FaultLayer.RESPONSE,
        "inconsistent_envelope",
        "status 500 around an ok envelope",
        _status(500),
    ),
    Fault(
        "error_on_200",
        FaultLayer.RESPONSE,
        "inconsistent_envelope",
        "status 200 around an error envelope",
        lambda honest, _: Response(200, honest.headers, _ERROR_BODY),
    ),
    Fault(
        "no_envelope",
        FaultLayer.RESPONSE,
        "malformed_envelope",
        "the platform's Server-Timing around HTML",
        _body(b"<html></html>"),
    ),
    Fault(
        "empty_body",
        FaultLayer.RESPONSE,
        "malformed_envelope",
        "the platform's answer, empty",
        _body(b""),
    ),
    Fault(
        "key_missing",
        FaultLayer.RESPONSE,
        "expectation_failed",
        "an ok envelope without the key that was asked for",
        lambda honest, _: Response(200, honest.headers, _EMPTY_OK),
    ),
    Fault(
        "over_limit",
        FaultLayer.RESPONSE,
        "response_too_large",
        "two MiB of an ok envelope",
        lambda honest, _: Response(200, honest.headers, _LARGE_OK),
    ),
    Fault("timing_missing", FaultLayer.RESPONSE, "ok", "no Server-Timing", _header(TIMING, None)),
    Fault(
        "timing_unparsable",
        FaultLayer.RESPONSE,
        "ok",
        "a Server-Timing that is no number",
        _header(TIMING, "total;dur=soon"),
    ),
    Fault(
        "timing_lying",
        FaultLayer.RESPONSE,
        "ok",
        "a Server-Timing longer than the whole attempt",
        _header(TIMING, "total;dur=3600000"),
    ),
    Fault("reset", FaultLayer.WIRE, "connection_reset", "reset after the request"),
    Fault("close", FaultLayer.WIRE, "connection_reset", "closed after the request, without a word"),
    Fault("hang", FaultLayer.WIRE, "response_timeout", "no answer at all"),
    Fault("drip", FaultLayer.WIRE, "response_timeout", "an answer of one byte a second"),
    Fault("truncated", FaultLayer.WIRE, "truncated", "closed in the middle of the body"),
    Fault("truncated_chunks", FaultLayer.WIRE, "truncated", "closed in the middle of the chunks"),
    Fault(
        "length_too_long",
        FaultLayer.WIRE,
        "response_timeout",
        "a Content-Length that is never reached, the connection held open",
    ),
    Fault(
        "length_too_short",
        FaultLayer.WIRE,
        "protocol_error",
        "a Content-Length that cuts the envelope",
    ),
    Fault("gzip_bomb", FaultLayer.WIRE, "response_too_large", "1 GiB of zeros in 1 MiB"),
    Fault(
        "gzip_corrupt", FaultLayer.WIRE, "protocol_error", "Content-Encoding gzip around no gzip"
    ),
    Fault("garbage", FaultLayer.WIRE, "protocol_error", "an answer that is not HTTP"),
    Fault("endless_head", FaultLayer.WIRE, "protocol_error", "a header that does not end"),
    Fault(
        "certificate_expired", FaultLayer.HANDSHAKE, "tls_certificate", "a certificate of yesterday"
    ),
    Fault(
        "certificate_of_another",
        FaultLayer.HANDSHAKE,
        "tls_certificate",
        "a certificate for another name",
    ),
    Fault(
        "certificate_unknown",
        FaultLayer.HANDSHAKE,
        "tls_certificate",
        "a certificate of an unknown authority",
    ),
    Fault("handshake_closed", FaultLayer.HANDSHAKE, "tls_handshake", "closed in the handshake"),
    Fault(
        "handshake_hang", FaultLayer.HANDSHAKE, "tls_handshake", "a handshake that never answers"
    ),
    Fault("not_tls", FaultLayer.HANDSHAKE, "tls_handshake", "plain text where TLS belongs"),
    Fault("refused", FaultLayer.LISTENER, "connection_refused", "nobody listens"),
    Fault("black_hole", FaultLayer.LISTENER, "connect_timeout", "connections are never accepted"),
)
FAULTS: Mapping[str, Fault] = MappingProxyType({fault.name: fault for fault in _ALL})
