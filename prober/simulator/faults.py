"""Every fault that can be asked for, as a table: what happens, and what a good prober says to it.

`stage` tells where it happens: ANSWER faults alter what is said, WIRE faults how it is sent, and
HANDSHAKE and LISTENER faults hit all tenants of a listener, since before a request nobody knows
whose it is. `reason` is the word that prober's outcome table has for it. Pure.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from urllib.parse import quote

from prober.simulator import pages
from prober.simulator.http import Answer, Request
from prober.simulator.platform import error

Alter = Callable[[Answer, Request], Answer]
TIMING = "Server-Timing"
OVER_LIMIT_BYTES = 2 * 1024 * 1024


class Stage(Enum):
    """Where a fault happens."""

    ANSWER = "answer"
    WIRE = "wire"
    HANDSHAKE = "TLS handshake"
    LISTENER = "listener"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; `alter` is what an ANSWER fault does to the honest, timed answer."""

    name: str
    stage: Stage
    reason: str
    summary: str
    alter: Alter = lambda honest, _: honest


def _say(status: int, message: str | None = None, **headers: str) -> Alter:
    """Say an error in the platform's envelope, in the time that was taken."""

    def alter(honest: Answer, _: Request) -> Answer:
        said = error(status, message)
        for name, value in {TIMING: _timing(honest), **headers}.items():
            said = said.with_header(name.replace("_", "-"), value)
        return said

    return alter


def _instead(answer: Answer) -> Alter:
    return lambda _honest, _: answer


def _status(status: int) -> Alter:
    return lambda honest, _: Answer(status, honest.headers, honest.body)


def _body(body: bytes) -> Alter:
    return lambda honest, _: Answer(honest.status, honest.headers, body)


def _header(name: str, value: str | None) -> Alter:
    return lambda honest, _: honest.with_header(name, value)


def _echo(_: Answer, request: Request) -> Answer:
    """Show the request's headers to whoever reads the page, as careless servers do."""
    sent = request.headers.get("authorization", "")
    hidden = base64.b64encode(sent.encode()).decode()
    told = f"{sent} {quote(sent)} {hidden} {sent.upper()}"
    body = f"<html><title>502 {told}</title>{told}</html>".encode()
    headers = (("Content-Type", "text/html"), ("X-Request-Authorization", told))
    return Answer(502, (*headers, ("X-Request-Id", sent)), body)


def _timing(honest: Answer) -> str | None:
    return next((value for name, value in honest.headers if name == TIMING), None)


_ERROR_BODY = json.dumps({"status": "error", "message": "simulated"}).encode()
_EMPTY_OK = b'{"status": "ok"}'
_LARGE_OK = b'{"status": "ok", "filler": "' + b"x" * OVER_LIMIT_BYTES + b'"}'

_FOREIGN = "foreign_response"
_ALL = (
    Fault("token_rejected", Stage.ANSWER, "token_rejected", "401 in the envelope", _say(401)),
    Fault(
        "token_rejected_by_gateway",
        Stage.ANSWER,
        "token_rejected",
        "401 with a Bearer challenge and no envelope",
        _instead(pages.GATEWAY_BEARER),
    ),
    Fault("permission_denied", Stage.ANSWER, "permission_denied", "403 in the envelope", _say(403)),
    Fault(
        "rate_limited",
        Stage.ANSWER,
        "rate_limited",
        "429 in the envelope, with Retry-After",
        _say(429, Retry_After="30"),
    ),
    Fault("client_error", Stage.ANSWER, "client_error", "422 in the envelope", _say(422)),
    Fault("server_error", Stage.ANSWER, "server_error", "500 in the envelope", _say(500)),
    Fault("unavailable", Stage.ANSWER, "server_error", "503 in the envelope", _say(503)),
    Fault(
        "html_502", Stage.ANSWER, _FOREIGN, "a web server's 502 page", _instead(pages.BAD_GATEWAY)
    ),
    Fault("echoed_token", Stage.ANSWER, _FOREIGN, "a 502 page that shows the token in it", _echo),
    Fault(
        "maintenance_503",
        Stage.ANSWER,
        _FOREIGN,
        "a maintenance page",
        _instead(pages.MAINTENANCE),
    ),
    Fault(
        "captive_portal",
        Stage.ANSWER,
        _FOREIGN,
        "200 with a guest network's page",
        _instead(pages.CAPTIVE_PORTAL),
    ),
    Fault(
        "redirect_log_in",
        Stage.ANSWER,
        "redirected",
        "302 to the identity server",
        _instead(pages.LOG_IN),
    ),
    Fault(
        "redirect_unregistered",
        Stage.ANSWER,
        "redirected",
        "302 to /portal_/unregistered",
        _instead(pages.unregistered("acme", "prod")),
    ),
    Fault("cdn_1010", Stage.ANSWER, _FOREIGN, "the CDN's 1010", _instead(pages.CDN_1010)),
    Fault("cdn_522", Stage.ANSWER, _FOREIGN, "the CDN's 522 page", _instead(pages.CDN_522)),
    Fault("cdn_524", Stage.ANSWER, _FOREIGN, "the CDN's 524", _instead(pages.CDN_524)),
    Fault(
        "cdn_challenge",
        Stage.ANSWER,
        _FOREIGN,
        "the CDN's 'Just a moment'",
        _instead(pages.CDN_CHALLENGE),
    ),
    Fault(
        "problem_document",
        Stage.ANSWER,
        _FOREIGN,
        "RFC 7807, whose status is a number",
        _instead(pages.PROBLEM_DOCUMENT),
    ),
    Fault(
        "gateway_abp",
        Stage.ANSWER,
        _FOREIGN,
        "401 in another product's JSON",
        _instead(pages.GATEWAY_ABP),
    ),
    Fault(
        "gateway_error_code",
        Stage.ANSWER,
        _FOREIGN,
        "a gateway's JSON with errorCode",
        _instead(pages.GATEWAY_ERROR_CODE),
    ),
    Fault(
        "ok_on_500",
        Stage.ANSWER,
        "inconsistent_envelope",
        "status 500 around an ok envelope",
        _status(500),
    ),
    Fault(
        "error_on_200",
        Stage.ANSWER,
        "inconsistent_envelope",
        "status 200 around an error envelope",
        lambda honest, _: Answer(200, honest.headers, _ERROR_BODY),
    ),
    Fault(
        "no_envelope",
        Stage.ANSWER,
        "malformed_envelope",
        "the platform's Server-Timing around HTML",
        _body(b"<html></html>"),
    ),
    Fault(
        "empty_body", Stage.ANSWER, "malformed_envelope", "the platform's answer, empty", _body(b"")
    ),
    Fault(
        "key_missing",
        Stage.ANSWER,
        "expectation_failed",
        "an ok envelope without the key that was asked for",
        lambda honest, _: Answer(200, honest.headers, _EMPTY_OK),
    ),
    Fault(
        "over_limit",
        Stage.ANSWER,
        "response_too_large",
        "two MiB of an ok envelope",
        lambda honest, _: Answer(200, honest.headers, _LARGE_OK),
    ),
    Fault("timing_missing", Stage.ANSWER, "ok", "no Server-Timing", _header(TIMING, None)),
    Fault(
        "timing_unparsable",
        Stage.ANSWER,
        "ok",
        "a Server-Timing that is no number",
        _header(TIMING, "total;dur=soon"),
    ),
    Fault(
        "timing_lying",
        Stage.ANSWER,
        "ok",
        "a Server-Timing longer than the whole attempt",
        _header(TIMING, "total;dur=3600000"),
    ),
    Fault("reset", Stage.WIRE, "connection_reset", "reset after the request"),
    Fault("close", Stage.WIRE, "connection_reset", "closed after the request, without a word"),
    Fault("hang", Stage.WIRE, "response_timeout", "no answer at all"),
    Fault("drip", Stage.WIRE, "response_timeout", "an answer of one byte a second"),
    Fault("truncated", Stage.WIRE, "truncated", "closed in the middle of the body"),
    Fault("truncated_chunks", Stage.WIRE, "truncated", "closed in the middle of the chunks"),
    Fault(
        "length_too_long",
        Stage.WIRE,
        "response_timeout",
        "a Content-Length that is never reached, the connection held open",
    ),
    Fault(
        "length_too_short",
        Stage.WIRE,
        "protocol_error",
        "a Content-Length that cuts the envelope",
    ),
    Fault("gzip_bomb", Stage.WIRE, "response_too_large", "1 GiB of zeros in 1 MiB"),
    Fault("gzip_corrupt", Stage.WIRE, "protocol_error", "Content-Encoding gzip around no gzip"),
    Fault("garbage", Stage.WIRE, "protocol_error", "an answer that is not HTTP"),
    Fault("endless_head", Stage.WIRE, "protocol_error", "a header that does not end"),
    Fault("certificate_expired", Stage.HANDSHAKE, "tls_certificate", "a certificate of yesterday"),
    Fault(
        "certificate_of_another",
        Stage.HANDSHAKE,
        "tls_certificate",
        "a certificate for another name",
    ),
    Fault(
        "certificate_unknown",
        Stage.HANDSHAKE,
        "tls_certificate",
        "a certificate of an unknown authority",
    ),
    Fault("handshake_closed", Stage.HANDSHAKE, "tls_handshake", "closed in the handshake"),
    Fault("handshake_hang", Stage.HANDSHAKE, "tls_handshake", "a handshake that never answers"),
    Fault("not_tls", Stage.HANDSHAKE, "tls_handshake", "plain text where TLS belongs"),
    Fault("refused", Stage.LISTENER, "connection_refused", "nobody listens"),
    Fault("black_hole", Stage.LISTENER, "connect_timeout", "connections are never accepted"),
)
FAULTS: Mapping[str, Fault] = MappingProxyType({fault.name: fault for fault in _ALL})
