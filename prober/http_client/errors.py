"""Map exceptions of aiohttp, ssl and the system to a `FailureKind`: by type and cause, not text.

The meaning of an exception depends on the phase of the attempt. A reset during the TLS handshake is
a failed handshake; the same reset after the request was sent does not show who caused it.
"""

import ast
import errno
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import aiohttp
from aiohttp import http_exceptions

from prober.http_client.protocol import BodyCorruptError
from prober.models import Failure
from prober.outcomes import FailureKind

_BYTES_LITERAL = re.compile(r"b'(?:[^'\\]|\\.)*+'|b\"(?:[^\"\\]|\\.)*+\"")
_RESOURCE_ERRNOS = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN}
)
_PROXY_AUTHENTICATION_REQUIRED = 407
_SEND_PHASES = frozenset({"resolve", "connect", "tls"})

_TIMEOUT_IN = {
    "resolve": (FailureKind.DNS, "the name was not resolved in time"),
    "connect": (FailureKind.CONNECT_TIMEOUT, "TCP did not connect in time"),
    "tls": (FailureKind.TLS_HANDSHAKE, "the TLS handshake did not end in time"),
}
_BY_ERRNO = {
    errno.ECONNREFUSED: FailureKind.CONNECTION_REFUSED,
    errno.ETIMEDOUT: FailureKind.CONNECT_TIMEOUT,
}
_LOST_IN = {
    "resolve": FailureKind.DNS,
    "connect": FailureKind.UNREACHABLE,
    "tls": FailureKind.TLS_HANDSHAKE,
}

# OpenSSL's verify codes (x509_vfy.h). It checks dates and names only once it has found a chain to a
# trusted root, so such a certificate is otherwise trusted.
_CERTIFICATE_FAILURES: dict[int | None, FailureKind] = {
    9: FailureKind.CERTIFICATE_EXPIRED,  # not yet valid
    10: FailureKind.CERTIFICATE_EXPIRED,
    62: FailureKind.CERTIFICATE_NAME_MISMATCH,  # host name
    64: FailureKind.CERTIFICATE_NAME_MISMATCH,  # IP address
}


@dataclass(frozen=True, slots=True)
class AttemptProgress:
    """The phase in which the attempt failed, and whether it used a proxy."""

    phase: str
    through_proxy: bool = False


def proxy_auth_failure(status: int, progress: AttemptProgress) -> Failure | None:
    """Return the failure if a proxy responded with 407 itself, otherwise None.

    Only a proxy sends 407 (RFC 9110, 15.5.8).
    """
    if not (progress.through_proxy and status == _PROXY_AUTHENTICATION_REQUIRED):
        return None
    return Failure(FailureKind.PROXY, f"the proxy responded with HTTP {status}")


_DISCONNECT_ERRNOS = frozenset({errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE})


def is_disconnect(error: Exception) -> bool:
    """Return whether `error` means that the peer closed or reset the connection.

    TLS errors count: a connection may end within TLS, by close_notify or by an alert.
    """
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return True
    return any(
        isinstance(each, ConnectionError | ssl.SSLError)
        or (isinstance(each, OSError) and each.errno in _DISCONNECT_ERRNOS)
        for each in _exception_chain(error)
    )


def map_exception(error: Exception, progress: AttemptProgress) -> Failure:
    """Return the failure that `error` means for an attempt in the phase that `progress` names."""
    kind, detail = _classify(error, progress)
    return Failure(kind, detail)


def _classify(error: Exception, progress: AttemptProgress) -> tuple[FailureKind, str]:
    chain = tuple(_exception_chain(error))
    if any(isinstance(e, OSError) and e.errno in _RESOURCE_ERRNOS for e in chain):
        return (
            FailureKind.RESOURCE_EXHAUSTED,
            f"the prober's machine is out of a resource: {_describe(chain)}",
        )
    if any(isinstance(e, MemoryError) for e in chain):
        return FailureKind.RESOURCE_EXHAUSTED, "the prober's machine is out of memory"
    if isinstance(error, TimeoutError):
        return _timed_out(progress)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return FailureKind.PROXY, f"the proxy responded to CONNECT with HTTP {error.status}"
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return FailureKind.PROXY, f"the proxy cannot be reached: {_describe(chain)}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        if progress.through_proxy:  # the proxy resolves the name of the target
            return FailureKind.PROXY, f"the proxy's name was not resolved: {_describe(chain)}"
        return FailureKind.DNS, f"the name was not resolved: {_describe(chain)}"
    if any(isinstance(each, ssl.SSLCertVerificationError) for each in chain):
        return _certificate_failure(chain), f"the certificate is not accepted: {_describe(chain)}"
    if any(_is_handshake_error(e, progress) for e in chain):
        return FailureKind.TLS_HANDSHAKE, f"the TLS handshake failed: {_describe(chain)}"
    return _after_connecting(error, chain, progress)


def _certificate_failure(chain: tuple[BaseException, ...]) -> FailureKind:
    # aiohttp's own exception is of OpenSSL's type as well, but has no code.
    codes = (getattr(each, "verify_code", None) for each in chain)
    code = next((code for code in codes if code is not None), None)
    return _CERTIFICATE_FAILURES.get(code, FailureKind.TLS_CERTIFICATE)


def _after_connecting(
    error: Exception, chain: tuple[BaseException, ...], progress: AttemptProgress
) -> tuple[FailureKind, str]:
    if any(isinstance(e, BodyCorruptError) for e in chain):
        return FailureKind.PROTOCOL_ERROR, "the body is not valid in its Content-Encoding"
    if any(isinstance(e, http_exceptions.PayloadEncodingError) for e in chain):
        return FailureKind.TRUNCATED, "the body ended before its announced length"
    if any(isinstance(e, http_exceptions.HttpProcessingError) for e in chain):
        return FailureKind.PROTOCOL_ERROR, f"what was received is not HTTP: {_describe(chain)}"
    if isinstance(error, aiohttp.ClientPayloadError):
        return FailureKind.TRUNCATED, "the body was cut short"
    if isinstance(error, aiohttp.ClientConnectionError | OSError):
        return _connection_lost(chain, progress)
    return FailureKind.INTERNAL_ERROR, f"the prober failed: {type(error).__name__}: {error}"


def _connection_lost(
    chain: tuple[BaseException, ...], progress: AttemptProgress
) -> tuple[FailureKind, str]:
    if progress.phase not in _SEND_PHASES:
        return (
            FailureKind.CONNECTION_RESET,
            f"the connection was closed in phase '{progress.phase}', after the request was sent",
        )
    if progress.through_proxy and progress.phase != "tls":
        return FailureKind.PROXY, f"the connection through the proxy failed: {_describe(chain)}"
    for error in chain:
        if progress.phase == "connect" and isinstance(error, ConnectionResetError):
            return FailureKind.CONNECTION_REFUSED, "accepted, and reset at once"
        if isinstance(error, OSError) and error.errno in _BY_ERRNO:
            return _BY_ERRNO[error.errno], _describe(chain)
    return _LOST_IN[progress.phase], _describe(chain)


def _is_handshake_error(error: BaseException, progress: AttemptProgress) -> bool:
    """Return whether the TLS handshake failed.

    In TLS 1.3 a server may send an alert after the client has completed the handshake, for example
    if it requires a client certificate and got none (RFC 8446, 4.4.2.4).
    """
    if not isinstance(error, ssl.SSLError):
        return False
    is_alert = "_ALERT_" in (
        getattr(error, "reason", None) or ""
    )  # OpenSSL's name for it, not its text
    return progress.phase in _SEND_PHASES or (is_alert and progress.phase != "transfer")


def _timed_out(progress: AttemptProgress) -> tuple[FailureKind, str]:
    if progress.through_proxy and progress.phase in {"resolve", "connect"}:
        return FailureKind.PROXY, "the proxy did not respond in time"
    if progress.phase in _TIMEOUT_IN:
        return _TIMEOUT_IN[progress.phase]
    return (
        FailureKind.RESPONSE_TIMEOUT,
        f"no complete response in time: the attempt ended in phase '{progress.phase}'",
    )


def _exception_chain(error: BaseException) -> Iterator[BaseException]:
    """Yield `error` and its causes; aiohttp also keeps a cause in an attribute."""
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        each = pending.pop(0)
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        pending += [each.__cause__, each.__context__]
        for name in ("os_error", "certificate_error"):
            inner = getattr(each, name, None)
            pending.append(inner if isinstance(inner, BaseException) else None)


def _describe(chain: tuple[BaseException, ...]) -> str:
    """Return the text of the innermost error: the system's reason, without the URL."""
    inner = chain[-1]
    for each in chain:
        verify_message = getattr(each, "verify_message", None)  # aiohttp's subclass has none
        if verify_message:
            return str(verify_message)
        if isinstance(each, OSError) and each.strerror:
            inner = each
    text = inner.strerror if isinstance(inner, OSError) and inner.strerror else str(inner)
    # Not cut here: redaction comes later, and would not find a secret that was cut in two.
    return " ".join(_BYTES_LITERAL.sub(_of_literal, text).split()) or type(inner).__name__


def _of_literal(found: re.Match[str]) -> str:
    """Return the text of a bytes literal in an aiohttp message, without its escapes.

    The escapes would be one more encoding in which redaction must find a secret.
    """
    try:
        content: object = ast.literal_eval(found[0])
    except (SyntaxError, ValueError):
        return found[0]
    return f"'{content.decode('latin-1')}'" if isinstance(content, bytes) else found[0]
