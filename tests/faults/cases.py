"""Every fault of a network, a server or a setting, as a table: what happens, what is to be said.

Each becomes a tenant of one daemon. Faults of `prober simulate` keep their names; all others have a
server of their own (`talk`), a name of `names.py`, or a setting that cannot work.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from prober.outcomes import Reason
from prober.simulator.faults import FAULTS, FaultLayer
from tests.faults import malicious_server as hostile
from tests.faults.malicious_server import GOOD_BODY, JSON, MIB, TIMING, Talk, endless, says, whole

BASE = "http://127.0.0.1:{port}/acme/prod/reinfer_"
OK_HEAD = b"HTTP/1.1 200 OK\r\n" + TIMING + JSON
CHUNKED = OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
ERROR_BODY = b'{"status": "error", "message": "no"}'


@dataclass(frozen=True)
class Case:
    """One fault. `row` is of the outcome table; `tenant` goes over the settings of its tenant.

    `tls` names the certificate of `certificates.py` that `talk` is served with.
    """

    name: str
    row: str
    reason: Reason
    talk: Talk | None = None
    tls: str | None = None
    tenant: Mapping[str, Any] = field(default_factory=dict)


def _named(name: str, scheme: str = "http") -> dict[str, Any]:
    return {"base_url": f"{scheme}://{name}:{{port}}/acme/prod/reinfer_"}


def _proxied(scheme: str) -> dict[str, Any]:
    return {"base_url": f"{scheme}://platform.test/acme", "proxy": "http://127.0.0.1:{port}"}


def _identity(name: str, row: str, reason: Reason, talk: Talk) -> Case:
    oauth = {
        "token_url": "http://127.0.0.1:{port}/identity_/connect/token",
        "client_id": "client",
        "client_secret": {"file": "good.token"},
    }
    return Case(name, row, reason, talk, tenant={"token": {"oauth": oauth}})


def _oauth_error(error: str, status: str = "400 Bad Request") -> Talk:
    return says(whole(b'{"error": "%b"}' % error.encode(), status, JSON))


HEALTHY = ("good-name", "good-tls", "good-plain")

OWN = (
    Case("token-not-set", "1", Reason.TOKEN_MISSING, tenant={"token": {"env": "NOT_SET"}}),
    Case("token-no-file", "1", Reason.TOKEN_MISSING, tenant={"token": {"file": "none.token"}}),
    Case("token-empty", "1", Reason.TOKEN_MISSING, tenant={"token": {"file": "empty.token"}}),
    Case("token-directory", "1", Reason.TOKEN_MISSING, tenant={"token": {"file": "."}}),
    Case("token-two-words", "1", Reason.TOKEN_MISSING, tenant={"token": {"file": "two.token"}}),
    Case("token-endless", "1", Reason.TOKEN_MISSING, tenant={"token": {"file": "/dev/zero"}}),
    Case("token-too-long", "1", Reason.TOKEN_MISSING, tenant={"token": {"file": "long.token"}}),
    Case("ca-is-no-pem", "1", Reason.TLS_CONFIGURATION, tenant={"ca_file": "good.token"}),
    Case("ca-is-not-there", "1", Reason.TLS_CONFIGURATION, tenant={"ca_file": "none.pem"}),
    Case(
        "client-certificate-is-no-pem",
        "1",
        Reason.TLS_CONFIGURATION,
        tenant={"client_certificate": {"certificate": "good.token"}},
    ),
)
DNS = (
    Case("dns-nxdomain", "2", Reason.DNS, tenant=_named("nobody.test")),
    Case("dns-servfail", "2", Reason.DNS, tenant=_named("servfail.test")),
    Case("dns-refused", "2", Reason.DNS, tenant=_named("refused.test")),
    Case("dns-formerr", "2", Reason.DNS, tenant=_named("formerr.test")),
    Case("dns-no-data", "2", Reason.DNS, tenant=_named("no-data.test")),
    Case("dns-garbled", "2", Reason.DNS, tenant=_named("garbled.test")),
    Case("dns-circle", "2", Reason.DNS, tenant=_named("circle.test")),
    Case("dns-hang", "2", Reason.DNS, tenant=_named("hang.test")),
    Case("dns-wrong-address", "3", Reason.CONNECTION_REFUSED, tenant=_named("nobody-there.test")),
    Case("dns-wrong-family", "3", Reason.CONNECTION_REFUSED, tenant=_named("six.test")),
    Case("dns-no-way-there", "3", Reason.UNREACHABLE, tenant=_named("unroutable.test")),
    Case(
        "dns-wrong-server",
        "7",
        Reason.FOREIGN_RESPONSE,
        says(whole(b"<html><title>parked</title></html>", headers=b"")),
        tenant=_named("good.test"),
    ),
    Case("dns-half-dead", "15", Reason.OK, says(whole()), tenant=_named("half-dead.test")),
)
TCP = (
    Case("tcp-refused", "3", Reason.CONNECTION_REFUSED, tenant={"base_url": "http://127.0.0.1:1"}),
    Case("tcp-no-route", "3", Reason.UNREACHABLE, tenant={"base_url": "http://192.0.2.1"}),
    Case("tcp-closes", "6", Reason.CONNECTION_RESET, hostile.closes),
    Case("tcp-hangs", "6", Reason.RESPONSE_TIMEOUT, hostile.hangs),
    Case("reset-in-the-head", "6", Reason.CONNECTION_RESET, hostile.reset_after(OK_HEAD)),
    Case(
        "reset-in-the-body",
        "6",
        Reason.TRUNCATED,
        hostile.reset_after(OK_HEAD + b"Content-Length: 100\r\n\r\n{"),
    ),
    Case("half-close", "6", Reason.CONNECTION_RESET, hostile.half_close_after(b"")),
    Case(
        "half-close-in-the-body",
        "6",
        Reason.TRUNCATED,
        hostile.half_close_after(OK_HEAD + b"Content-Length: 100\r\n\r\n{"),
    ),
)
TLS = (
    Case("tls-self-signed", "4", Reason.TLS_CERTIFICATE, says(whole()), "self-signed"),
    Case("tls-old-protocol", "4", Reason.TLS_HANDSHAKE, says(whole()), "old-protocol"),
    Case("tls-client-certificate", "4", Reason.TLS_HANDSHAKE, says(whole()), "demands-1.3"),
    Case("tls-client-certificate-1-2", "4", Reason.TLS_HANDSHAKE, says(whole()), "demands-1.2"),
    Case("tls-reset", "4", Reason.TLS_HANDSHAKE, hostile.resets_handshake),
    Case("tls-closes", "4", Reason.TLS_HANDSHAKE, hostile.closes),
    Case("tls-hangs", "4", Reason.TLS_HANDSHAKE, hostile.hangs),
)
PROXY = (
    Case("proxy-refused", "5", Reason.PROXY, tenant={"proxy": "http://127.0.0.1:1"}),
    Case("proxy-unknown", "5", Reason.PROXY, tenant={"proxy": "http://nobody.test:3128"}),
    Case("proxy-hangs", "5", Reason.PROXY, hostile.hangs, tenant=_proxied("https")),
    Case("proxy-closes", "5", Reason.PROXY, hostile.closes, tenant=_proxied("https")),
    Case(
        "proxy-log-in",
        "5",
        Reason.PROXY,
        hostile.forwards_nothing_but_log_in,
        tenant=_proxied("https"),
    ),
    Case(
        "proxy-log-in-plain",
        "5",
        Reason.PROXY,
        hostile.forwards_nothing_but_log_in,
        tenant=_proxied("http"),
    ),
    Case(
        "proxy-bad-gateway",
        "5",
        Reason.PROXY,
        says(whole(b"<html></html>", "502 Bad Gateway", b"")),
        tenant=_proxied("https"),
    ),
)
HTTP = (
    Case("http-noise", "6a", Reason.PROTOCOL_ERROR, says(bytes(range(256)) * 64)),
    Case("http-2-preface", "6a", Reason.PROTOCOL_ERROR, says(b"\0\0\x12\4\0\0\0\0\0" + bytes(18))),
    Case("http-bad-status", "6a", Reason.PROTOCOL_ERROR, says(b"HTTP/1.1 nine OK\r\n\r\n")),
    Case(
        "head-of-100-mib",
        "6a",
        Reason.PROTOCOL_ERROR,
        endless(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x" * 65536, 100 * MIB),
    ),
    Case(
        "head-of-many-lines",
        "6a",
        Reason.PROTOCOL_ERROR,
        endless(b"HTTP/1.1 200 OK\r\n", b"X-Many: 1\r\n" * 1000, 100 * MIB),
    ),
    Case(
        "head-with-nul",
        "6a",
        Reason.PROTOCOL_ERROR,
        says(b"HTTP/1.1 200 OK\r\nX-\0: 1\r\n\r\n"),
    ),
    Case(
        "length-negative",
        "6a",
        Reason.PROTOCOL_ERROR,
        says(OK_HEAD + b"Content-Length: -1\r\n\r\n" + GOOD_BODY),
    ),
    Case(
        "lengths-contradict",
        "6a",
        Reason.PROTOCOL_ERROR,
        says(OK_HEAD + b"Content-Length: 5\r\nContent-Length: 32\r\n\r\n" + GOOD_BODY),
    ),
    Case(
        "length-and-chunks",
        "6a",
        Reason.PROTOCOL_ERROR,
        says(OK_HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + GOOD_BODY),
    ),
    Case("chunk-size-noise", "6a", Reason.PROTOCOL_ERROR, says(CHUNKED + b"zz\r\n" + GOOD_BODY)),
    Case("chunk-size-negative", "6a", Reason.PROTOCOL_ERROR, says(CHUNKED + b"-5\r\n" + GOOD_BODY)),
    Case(
        "chunk-size-huge",
        "6a",
        Reason.PROTOCOL_ERROR,
        says(CHUNKED + b"f" * 40 + b"\r\n" + GOOD_BODY),
    ),
    Case(
        "chunk-extension-endless",
        "6a",
        Reason.PROTOCOL_ERROR,
        endless(CHUNKED + b"5;x=", b"y" * 65536),
    ),
    Case(
        "trailers-endless",
        "6a",
        Reason.PROTOCOL_ERROR,
        endless(CHUNKED + b"20\r\n" + GOOD_BODY + b"\r\n0\r\n", b"X-Trailer: 1\r\n" * 1000),
    ),
    Case(
        "interim-answers-endless",
        "6a",
        Reason.PROTOCOL_ERROR,
        endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 500),
    ),
    Case("body-endless", "14", Reason.RESPONSE_TOO_LARGE, endless(OK_HEAD + b"\r\n", b" " * 65536)),
    Case(
        "body-endless-in-chunks",
        "6a",
        Reason.PROTOCOL_ERROR,
        endless(CHUNKED, (b"1\r\n \r\n") * 10_000),
    ),
    Case(
        "body-endless-of-nobody",
        "7",
        Reason.FOREIGN_RESPONSE,
        endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536),
    ),
    Case(
        "drip-in-time",
        "15",
        Reason.OK,
        says(
            OK_HEAD + b"Content-Length: %d\r\n\r\n" % len(GOOD_BODY),
            *map(bytes, zip(GOOD_BODY)),
            pause_seconds=0.01,
        ),
    ),
    Case("two-answers", "15", Reason.OK, says(whole() + whole(ERROR_BODY, "500 Oops"))),
    Case(
        "two-answers-reused",
        "15",
        Reason.OK,
        hostile.poisons,
        tenant={"probes": [{"use": "datasets", "connection": "reuse"}]},
    ),
    Case("http-1-0", "15", Reason.OK, says(b"HTTP/1.0 200 OK\r\n" + TIMING + b"\r\n" + GOOD_BODY)),
    Case("interim-answer", "15", Reason.OK, says(b"HTTP/1.1 103 Early Hints\r\n\r\n" + whole())),
)
BODIES = (
    Case(
        "body-not-utf-8",
        "15",
        Reason.OK,
        says(whole(b'{"status": "ok", "datasets": ["\xff\xfe"]}')),
    ),
    Case("body-with-bom", "15", Reason.OK, says(whole(b"\xef\xbb\xbf" + GOOD_BODY))),
    Case(
        "body-huge-number",
        "15",
        Reason.OK,
        says(whole(b'{"status": "ok", "n": 1%b, "datasets": [{}]}' % (b"0" * 500_000))),
    ),
    Case(
        "body-huge-exponent",
        "15",
        Reason.OK,
        says(whole(b'{"status": "ok", "n": 1e999999999, "datasets": [{}]}')),
    ),
    Case("body-nan", "15", Reason.OK, says(whole(b'{"status": "ok", "n": NaN, "datasets": [{}]}'))),
    Case("body-deep", "12", Reason.MALFORMED_ENVELOPE, says(whole(b"[" * 500_000))),
    Case(
        "body-deep-object",
        "12",
        Reason.MALFORMED_ENVELOPE,
        says(whole(b'{"status": "ok", "a": ' + b'{"a":' * 100_000)),
    ),
    Case(
        "body-deep-of-nobody",
        "7",
        Reason.FOREIGN_RESPONSE,
        says(whole(b"[" * 500_000, headers=b"")),
    ),
    Case("status-is-a-list", "12", Reason.MALFORMED_ENVELOPE, says(whole(b'{"status": ["ok"]}'))),
    Case("status-is-null", "12", Reason.MALFORMED_ENVELOPE, says(whole(b'{"status": null}'))),
    Case(
        "datasets-are-a-text",
        "13",
        Reason.EXPECTATION_FAILED,
        says(whole(b'{"status": "ok", "datasets": ""}')),
    ),
    Case(
        "gone-without-a-message",
        "10",
        Reason.CLIENT_ERROR,
        says(whole(b'{"status": "error"}', "410 Gone")),
    ),
    Case(
        "message-of-a-mebibyte",
        "11",
        Reason.SERVER_ERROR,
        says(whole(b'{"status": "error", "message": "%b"}' % (b"m" * 900_000), "500 Oops")),
    ),
    Case("status-of-999", "12", Reason.INCONSISTENT_ENVELOPE, says(whole(status="999 Odd"))),
    Case(
        "timing-negative", "15", Reason.OK, says(whole(headers=b"Server-Timing: total;dur=-5\r\n"))
    ),
    Case("timing-nan", "15", Reason.OK, says(whole(headers=b"Server-Timing: total;dur=nan\r\n"))),
    Case(
        "timing-endless",
        "15",
        Reason.OK,
        says(whole(headers=b"Server-Timing: " + b'a;desc="' * 3000 + b"\r\n")),
    ),
    Case(
        "redirect-to-itself",
        "7",
        Reason.REDIRECTED,
        says(whole(b"", "301 Moved", b"Location: http://127.0.0.1:{port}/\r\n")),
    ),
    Case("redirect-to-nowhere", "7", Reason.REDIRECTED, says(whole(b"", "307 Temporary", b""))),
    Case(
        "network-log-in",
        "7",
        Reason.FOREIGN_RESPONSE,
        says(whole(b"<html>", "511 Network Authentication Required", b"")),
    ),
)
AUTHORIZATION = (
    Case(
        "route-unauthorized",
        "8a",
        Reason.ROUTE_UNAUTHORIZED,
        hostile.by_path(
            b"/datasets",
            whole(ERROR_BODY, "401 Unauthorized"),
            whole(b'{"status": "ok", "user": {"id": "1"}}'),
        ),
    ),
    Case(
        "unauthorized-everywhere",
        "8",
        Reason.TOKEN_REJECTED,
        says(whole(ERROR_BODY, "401 Unauthorized")),
    ),
    Case(
        "payment-required",
        "9a",
        Reason.QUOTA_EXCEEDED,
        says(whole(ERROR_BODY, "402 Payment Required")),
    ),
    Case(
        "forbidden-for-a-quota",
        "9a",
        Reason.QUOTA_EXCEEDED,
        says(whole(b'{"status": "error", "message": "quota exceeded"}', "403 Forbidden")),
    ),
)
IDENTITY = (
    _identity("oauth-invalid-client", "8i", Reason.TOKEN_REJECTED, _oauth_error("invalid_client")),
    _identity(
        "oauth-401",
        "8i",
        Reason.TOKEN_REJECTED,
        says(whole(b"", "401 No", b"WWW-Authenticate: Basic\r\n")),
    ),
    _identity("oauth-slow-down", "10i", Reason.RATE_LIMITED, _oauth_error("slow_down", "429 Slow")),
    _identity("oauth-invalid-scope", "10i", Reason.CLIENT_ERROR, _oauth_error("invalid_scope")),
    _identity("oauth-failed", "11i", Reason.SERVER_ERROR, _oauth_error("server_error", "500 Oops")),
    _identity("oauth-no-token", "12i", Reason.MALFORMED_ENVELOPE, says(whole(b"{}", headers=JSON))),
    _identity("oauth-redirect", "7i", Reason.REDIRECTED, says(whole(b"", "302 Found", b""))),
    _identity("oauth-html", "7i", Reason.FOREIGN_RESPONSE, says(whole(b"<html>", headers=b""))),
    _identity("oauth-closes", "6", Reason.CONNECTION_RESET, hostile.closes),
)
OF_OUR_OWN = OWN + DNS + TCP + TLS + PROXY + HTTP + BODIES + AUTHORIZATION + IDENTITY
# Content faults are found by checks of single probes, not by every request: they have tests of
# their own.
SIMULATED = tuple(fault for fault in FAULTS.values() if fault.layer is not FaultLayer.CONTENT)
