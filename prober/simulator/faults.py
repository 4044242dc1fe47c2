"""The table of faults: what each one does, and the reason that a correct prober reports. Pure.

CONTENT faults change what a correct response says (see `content_faults.py`), RESPONSE faults
replace the response, WIRE faults change how it is sent. HANDSHAKE and LISTENER
faults affect all tenants of a listener, because before a request the tenant is unknown. `reason` is
a reason of the prober's outcome table.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from types import MappingProxyType
from urllib.parse import quote

from prober.simulator import canned_responses
from prober.simulator.content_faults import CONTENT_FAULTS, Patch
from prober.simulator.http import Request, Response
from prober.simulator.platform import error

Transform = Callable[[Response, Request], Response]
TIMING = "Server-Timing"
OVER_LIMIT_BYTES = 2 * 1024 * 1024


class FaultLayer(Enum):
    """The layer in which a fault happens."""

    CONTENT = "content"
    RESPONSE = "response"
    WIRE = "wire"
    HANDSHAKE = "TLS handshake"
    LISTENER = "listener"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    `transform` is what a RESPONSE fault does to the correct response, `patch` what a CONTENT fault
    does to its JSON object.
    """

    name: str
    layer: FaultLayer
    reason: str
    summary: str
    transform: Transform = lambda response, _: response
    patch: Patch = lambda content, _: content


def _error_response(status: int, message: str | None = None, **headers: str) -> Transform:
    """Return an error in the platform's envelope, with the Server-Timing of the response."""

    def alter(response: Response, _: Request) -> Response:
        failed = error(status, message)
        for name, value in {TIMING: _timing(response), **headers}.items():
            failed = failed.with_header(name.replace("_", "-"), value)
        return failed

    return alter


def _replace_with(replacement: Response) -> Transform:
    return lambda _response, _: replacement


def _status(status: int) -> Transform:
    return lambda response, _: Response(status, response.headers, response.body)


def _body(body: bytes) -> Transform:
    return lambda response, _: Response(response.status, response.headers, body)


def _header(name: str, value: str | None) -> Transform:
    return lambda response, _: response.with_header(name, value)


def _echo(_: Response, request: Request) -> Response:
    """Put the Authorization header into the page, as careless servers do."""
    sent = request.headers.get("authorization", "")
    encoded = base64.b64encode(sent.encode()).decode()
    echoed = f"{sent} {quote(sent)} {encoded} {sent.upper()}"
    body = f"<html><title>502 {echoed}</title>{echoed}</html>".encode()
    headers = (("Content-Type", "text/html"), ("X-Request-Authorization", echoed))
    return Response(502, (*headers, ("X-Request-Id", sent)), body)


def _timing(response: Response) -> str | None:
    return next((value for name, value in response.headers if name == TIMING), None)


_ERROR_BODY = json.dumps({"status": "error", "message": "simulated"}).encode()
_EMPTY_OK = b'{"status": "ok"}'
_LARGE_OK = b'{"status": "ok", "filler": "' + b"x" * OVER_LIMIT_BYTES + b'"}'

_INTERMEDIARY = "foreign_response"
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
        "quota_exceeded",
        FaultLayer.RESPONSE,
        "quota_exceeded",
        "402 in the envelope",
        _error_response(402),
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
        "not_found",
        FaultLayer.RESPONSE,
        "client_error",
        "404 in the envelope",
        _error_response(404),
    ),
    Fault(
        "conflict",
        FaultLayer.RESPONSE,
        "client_error",
        "409 in the envelope",
        _error_response(409),
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
        _INTERMEDIARY,
        "a web server's 502 page",
        _replace_with(canned_responses.BAD_GATEWAY),
    ),
    Fault(
        "echoed_token",
        FaultLayer.RESPONSE,
        _INTERMEDIARY,
        "a 502 page that contains the token",
        _echo,
    ),
    Fault(
        "maintenance_503",
        FaultLayer.RESPONSE,
        _INTERMEDIARY,
        "a maintenance page",
        _replace_with(canned_responses.MAINTENANCE),
    ),
    Fault(
        "captive_portal",
        FaultLayer.RESPONSE,
        _INTERMEDIARY,
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
        "unknown_tenant",
        "302 to /portal_/unregistered",
        _replace_with(canned_responses.unregistered("acme", "prod")),
    ),
    Fault(
        "cdn_1010",
        FaultLayer.RESPONSE,
        "edge_refused",
        "the CDN's 1010",
        _replace_with(canned_responses.CDN_1010),
    ),
    Fault(
        "cdn_522",
        FaultLayer.RESPONSE,
        "edge_error",
        "the CDN's 522 page",
        _replace_with(canned_responses.CDN_522),
    ),
    Fault(
        "cdn_524",
        FaultLayer.RESPONSE,
        "edge_error",
        "the CDN's 524",
        _replace_with(canned_responses.CDN_524),
    ),
    Fault(
        "cdn_challenge",
        FaultLayer.RESPONSE,
        "edge_refused",
        "the CDN's 'Just a moment'",
        _replace_with(canned_responses.CDN_CHALLENGE),
    ),
    Fault(
        "problem_document",
        FaultLayer.RESPONSE,
        _INTERMEDIARY,
        "an RFC 7807 document, with a number as status",
        _replace_with(canned_responses.PROBLEM_DOCUMENT),
    ),
    Fault(
        "gateway_abp",
        FaultLayer.RESPONSE,
        _INTERMEDIARY,
        "401 in another product's JSON",
        _replace_with(canned_responses.GATEWAY_ABP),
    ),
    Fault(
        "gateway_error_code",
        FaultLayer.RESPONSE,
        _INTERMEDIARY,
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
        lambda response, _: Response(200, response.headers, _ERROR_BODY),
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
        "the platform's response, empty",
        _body(b""),
    ),
    Fault(
        "key_missing",
        FaultLayer.RESPONSE,
        "expectation_failed",
        "an ok envelope without the expected key",
        lambda response, _: Response(200, response.headers, _EMPTY_OK),
    ),
    Fault(
        "over_limit",
        FaultLayer.RESPONSE,
        "response_too_large",
        "an ok envelope of 2 MiB",
        lambda response, _: Response(200, response.headers, _LARGE_OK),
    ),
    Fault("timing_missing", FaultLayer.RESPONSE, "ok", "no Server-Timing", _header(TIMING, None)),
    Fault(
        "timing_unparsable",
        FaultLayer.RESPONSE,
        "ok",
        "a Server-Timing that is not a number",
        _header(TIMING, "total;dur=soon"),
    ),
    Fault(
        "timing_lying",
        FaultLayer.RESPONSE,
        "ok",
        "a Server-Timing longer than the whole request",
        _header(TIMING, "total;dur=3600000"),
    ),
    Fault("reset", FaultLayer.WIRE, "connection_reset", "reset after the request"),
    Fault(
        "close", FaultLayer.WIRE, "connection_reset", "closed after the request, without a response"
    ),
    Fault("hang", FaultLayer.WIRE, "response_timeout", "no response at all"),
    Fault("drip", FaultLayer.WIRE, "response_timeout", "one byte of the response a second"),
    Fault("truncated", FaultLayer.WIRE, "truncated", "closed in the middle of the body"),
    Fault("truncated_chunks", FaultLayer.WIRE, "truncated", "closed in the middle of the chunks"),
    Fault(
        "length_too_long",
        FaultLayer.WIRE,
        "response_timeout",
        "a Content-Length that is too large, on an open connection",
    ),
    Fault(
        "length_too_short",
        FaultLayer.WIRE,
        "protocol_error",
        "a Content-Length that truncates the envelope",
    ),
    Fault("gzip_bomb", FaultLayer.WIRE, "response_too_large", "1 GiB of zeros in 1 MiB"),
    Fault(
        "gzip_corrupt",
        FaultLayer.WIRE,
        "protocol_error",
        "Content-Encoding gzip on a body that is not gzip",
    ),
    Fault("garbage", FaultLayer.WIRE, "protocol_error", "a response that is not HTTP"),
    Fault("endless_head", FaultLayer.WIRE, "protocol_error", "a header that does not end"),
    Fault(
        "certificate_expired", FaultLayer.HANDSHAKE, "certificate_expired", "an expired certificate"
    ),
    Fault(
        "certificate_of_another",
        FaultLayer.HANDSHAKE,
        "certificate_name_mismatch",
        "a certificate for another name",
    ),
    Fault(
        "certificate_unknown",
        FaultLayer.HANDSHAKE,
        "tls_certificate",
        "a certificate of an untrusted CA",
    ),
    Fault("handshake_closed", FaultLayer.HANDSHAKE, "tls_handshake", "closed during the handshake"),
    Fault("handshake_hang", FaultLayer.HANDSHAKE, "tls_handshake", "a handshake that hangs"),
    Fault("not_tls", FaultLayer.HANDSHAKE, "tls_handshake", "plain text instead of TLS"),
    Fault("refused", FaultLayer.LISTENER, "connection_refused", "connections are refused"),
    Fault("black_hole", FaultLayer.LISTENER, "connect_timeout", "connections are never accepted"),
)
_CONTENT = tuple(
    Fault(fault.name, FaultLayer.CONTENT, fault.reason, fault.summary, patch=fault.patch)
    for fault in CONTENT_FAULTS.values()
)
FAULTS: Mapping[str, Fault] = MappingProxyType({fault.name: fault for fault in (*_ALL, *_CONTENT)})


def with_message(fault: Fault, message: str | None) -> Fault:
    """Return a fault with another error message in the envelope; None keeps the usual one.

    Raises ValueError if the fault is not an error in the envelope.
    """
    if message is None:
        return fault
    if fault.name not in ENVELOPE_ERRORS:
        names = ", ".join(sorted(ENVELOPE_ERRORS))
        raise ValueError(f"'{fault.name}' has no message; these have one: {names}")

    def transform(response: Response, request: Request) -> Response:
        failed = fault.transform(response, request)
        body = json.dumps({"status": "error", "message": message}).encode()
        return Response(failed.status, failed.headers, body)

    return replace(fault, transform=transform)


ENVELOPE_ERRORS = frozenset(
    {
        "token_rejected",
        "permission_denied",
        "quota_exceeded",
        "rate_limited",
        "client_error",
        "conflict",
        "not_found",
        "server_error",
        "unavailable",
    }
)
