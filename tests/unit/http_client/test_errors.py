"""Exceptions as aiohttp and ssl really raise them, mapped by type and cause."""

import errno
import socket
import ssl

import aiohttp
import pytest
from aiohttp import http_exceptions
from aiohttp.client_reqrep import ConnectionKey

from prober.http_client.errors import AttemptProgress, map_exception, proxy_auth_failure
from prober.http_client.protocol import BodyCorruptError
from prober.outcomes import FailureKind as Kind

KEY = ConnectionKey("acme.example", 443, True, True, None, None, None)


def certificate_error(verify_code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = verify_code
    return error


def os_error(number: int) -> aiohttp.ClientConnectorError:
    return aiohttp.ClientConnectorError(KEY, OSError(number, "said by the system"))


def caused(outer: Exception, cause: Exception) -> Exception:
    outer.__cause__ = cause
    return outer


def alert(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, "said by OpenSSL")
    error.reason = reason
    return error


CASES = {
    "files used up": (os_error(errno.EMFILE), "connect", Kind.RESOURCE_EXHAUSTED),
    "out of memory": (MemoryError(), "wait", Kind.RESOURCE_EXHAUSTED),
    "slow name": (TimeoutError(), "resolve", Kind.DNS),
    "slow TCP": (aiohttp.ConnectionTimeoutError(), "connect", Kind.CONNECT_TIMEOUT),
    "slow TLS": (TimeoutError(), "tls", Kind.TLS_HANDSHAKE),
    "slow answer": (TimeoutError(), "wait", Kind.RESPONSE_TIMEOUT),
    "slow body": (TimeoutError(), "transfer", Kind.RESPONSE_TIMEOUT),
    "no such name": (
        aiohttp.ClientConnectorDNSError(KEY, socket.gaierror(-2, "not known")),
        "resolve",
        Kind.DNS,
    ),
    "refused": (os_error(errno.ECONNREFUSED), "connect", Kind.CONNECTION_REFUSED),
    "no route": (os_error(errno.EHOSTUNREACH), "connect", Kind.UNREACHABLE),
    "no network": (os_error(errno.ENETUNREACH), "connect", Kind.UNREACHABLE),
    "kernel's time-out": (os_error(errno.ETIMEDOUT), "connect", Kind.CONNECT_TIMEOUT),
    **{
        f"certificate, verify code {code}": (
            aiohttp.ClientConnectorCertificateError(KEY, certificate_error(code)),
            "tls",
            kind,
        )
        for code, kind in (
            (9, Kind.CERTIFICATE_EXPIRED),
            (10, Kind.CERTIFICATE_EXPIRED),
            (18, Kind.TLS_CERTIFICATE),
            (19, Kind.TLS_CERTIFICATE),
            (20, Kind.TLS_CERTIFICATE),
            (21, Kind.TLS_CERTIFICATE),
            (62, Kind.CERTIFICATE_NAME_MISMATCH),
            (64, Kind.CERTIFICATE_NAME_MISMATCH),
        )
    },
    "bad certificate": (
        aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLCertVerificationError(1, "expired")),
        "tls",
        Kind.TLS_CERTIFICATE,
    ),
    "bad handshake": (
        aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, "wrong version")),
        "tls",
        Kind.TLS_HANDSHAKE,
    ),
    "reset at once": (os_error(errno.ECONNRESET), "connect", Kind.CONNECTION_REFUSED),
    "a client certificate is demanded": (
        caused(aiohttp.ClientOSError(1, "alert"), alert("TLSV13_ALERT_CERTIFICATE_REQUIRED")),
        "wait",
        Kind.TLS_HANDSHAKE,
    ),
    "TLS breaks after the request": (
        caused(aiohttp.ClientOSError(1, "bad"), alert("DECRYPTION_FAILED_OR_BAD_RECORD_MAC")),
        "wait",
        Kind.CONNECTION_RESET,
    ),
    "an alert in the body": (
        caused(aiohttp.ClientOSError(1, "alert"), alert("TLSV1_ALERT_INTERNAL_ERROR")),
        "transfer",
        Kind.CONNECTION_RESET,
    ),
    "reset in handshake": (os_error(errno.ECONNRESET), "tls", Kind.TLS_HANDSHAKE),
    "reset after the request": (
        aiohttp.ClientOSError(errno.ECONNRESET, "reset"),
        "wait",
        Kind.CONNECTION_RESET,
    ),
    "closed after the request": (
        aiohttp.ServerDisconnectedError(),
        "wait",
        Kind.CONNECTION_RESET,
    ),
    "cut body": (aiohttp.ClientPayloadError(), "transfer", Kind.TRUNCATED),
    "body shorter than announced": (
        caused(aiohttp.ClientPayloadError(), http_exceptions.ContentLengthError("short")),
        "transfer",
        Kind.TRUNCATED,
    ),
    "corrupt body": (BodyCorruptError("x"), "transfer", Kind.PROTOCOL_ERROR),
    "not HTTP": (http_exceptions.BadStatusLine("SSH-2.0"), "wait", Kind.PROTOCOL_ERROR),
    "our bug": (ZeroDivisionError("oops"), "wait", Kind.INTERNAL_ERROR),
}


@pytest.mark.parametrize(("error", "phase", "kind"), CASES.values(), ids=CASES)
def test_an_exception_is_told_by_type_and_progress(
    error: Exception, phase: str, kind: Kind
) -> None:
    failure = map_exception(error, AttemptProgress(phase))
    assert failure.kind is kind
    assert failure.detail


@pytest.mark.parametrize(
    ("error", "phase"),
    [
        (TimeoutError(), "connect"),
        (aiohttp.ClientProxyConnectionError(KEY, OSError(errno.ECONNREFUSED, "no")), "connect"),
        (os_error(errno.ECONNRESET), "connect"),
        (TimeoutError(), "resolve"),
        (aiohttp.ClientConnectorDNSError(KEY, socket.gaierror(-2, "not known")), "resolve"),
    ],
    ids=["silent", "refusing", "resetting", "slow name", "no such name"],
)
def test_on_the_way_through_a_proxy_it_is_the_proxy(error: Exception, phase: str) -> None:
    assert map_exception(error, AttemptProgress(phase, through_proxy=True)).kind is Kind.PROXY


@pytest.mark.parametrize(
    ("status", "through_proxy", "is_refusal"),
    [(407, True, True), (407, False, False), (502, True, False), (200, True, False)],
)
def test_a_log_in_that_is_demanded_is_the_proxys(
    status: int, through_proxy: bool, is_refusal: bool
) -> None:
    refusal = proxy_auth_failure(status, AttemptProgress("wait", through_proxy=through_proxy))
    assert (refusal is not None) == is_refusal
    assert refusal is None or refusal.kind is Kind.PROXY
