"""The one table from foreign exceptions to our `FailureKind`: by type and cause, never by text.

What an exception means depends on how far the attempt had come: a reset while TLS is shaking hands
is the handshake's failure, the same reset after the request was sent may be anybody's.
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

# OpenSSL's verify codes (x509_vfy.h). Dates are looked at once a chain to a trusted root was found,
# so these two mean: otherwise trusted.
_CERTIFICATE_FAILURES: dict[int | None, FailureKind] = {
    9: FailureKind.CERTIFICATE_EXPIRED,  # not yet valid
    10: FailureKind.CERTIFICATE_EXPIRED,
    62: FailureKind.CERTIFICATE_NAME_MISMATCH,  # host name
    64: FailureKind.CERTIFICATE_NAME_MISMATCH,  # IP address
}


@dataclass(frozen=True, slots=True)
class AttemptProgress:
    """How far the attempt had come when it failed, and by which way it went."""

    phase: str
    through_proxy: bool = False


def proxy_auth_failure(status: int, progress: AttemptProgress) -> Failure | None:
    """Return the failure that an answer to a request through a proxy is, None if it is none.

    407 is the proxy's own (RFC 9110 15.5.8): one whom it lets through gets another.
    """
    if not (progress.through_proxy and status == _PROXY_AUTHENTICATION_REQUIRED):
        return None
    return Failure(FailureKind.PROXY, f"the proxy answered with HTTP {status}")


_DISCONNECT_ERRNOS = frozenset({errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE})


def is_disconnect(error: Exception) -> bool:
    """Return whether `error` means that the far end closed or reset the connection.

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
    """Return what `error` means for an attempt that had come as far as `progress` says."""
    kind, detail = _classify(error, progress)
    return Failure(kind, detail)


def _classify(error: Exception, progress: AttemptProgress) -> tuple[FailureKind, str]:
    chain = tuple(_exception_chain(error))
    if any(isinstance(e, OSError) and e.errno in _RESOURCE_ERRNOS for e in chain):
        return (
            FailureKind.RESOURCE_EXHAUSTED,
            f"the prober's machine is short of it: {_describe(chain)}",
        )
    if any(isinstance(e, MemoryError) for e in chain):
        return FailureKind.RESOURCE_EXHAUSTED, "the prober's machine is out of memory"
    if isinstance(error, TimeoutError):
        return _timed_out(progress)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return FailureKind.PROXY, f"the proxy answered CONNECT with HTTP {error.status}"
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return FailureKind.PROXY, f"the proxy cannot be reached: {_describe(chain)}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        if progress.through_proxy:  # the target's name is the proxy's to resolve
            return FailureKind.PROXY, f"the proxy's name was not resolved: {_describe(chain)}"
        return FailureKind.DNS, f"the name was not resolved: {_describe(chain)}"
    if any(isinstance(each, ssl.SSLCertVerificationError) for each in chain):
        return _certificate_failure(chain), f"the certificate is refused: {_describe(chain)}"
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
        return FailureKind.PROTOCOL_ERROR, "the body is not what its Content-Encoding says"
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
        return FailureKind.PROXY, f"the way through the proxy failed: {_describe(chain)}"
    for error in chain:
        if progress.phase == "connect" and isinstance(error, ConnectionResetError):
            return FailureKind.CONNECTION_REFUSED, "accepted, and reset at once"
        if isinstance(error, OSError) and error.errno in _BY_ERRNO:
            return _BY_ERRNO[error.errno], _describe(chain)
    return _LOST_IN[progress.phase], _describe(chain)


def _is_handshake_error(error: BaseException, progress: AttemptProgress) -> bool:
    """Tell whether TLS failed: in 1.3 a server may refuse us by an alert when we think it is done.

    That is what becomes of a client certificate that it demands and we do not have.
    """
    if not isinstance(error, ssl.SSLError):
        return False
    is_alert = "_ALERT_" in (
        getattr(error, "reason", None) or ""
    )  # OpenSSL's name for it, not its text
    return progress.phase in _SEND_PHASES or (is_alert and progress.phase != "transfer")


def _timed_out(progress: AttemptProgress) -> tuple[FailureKind, str]:
    if progress.through_proxy and progress.phase in {"resolve", "connect"}:
        return FailureKind.PROXY, "the proxy did not answer in time"
    if progress.phase in _TIMEOUT_IN:
        return _TIMEOUT_IN[progress.phase]
    return (
        FailureKind.RESPONSE_TIMEOUT,
        f"no whole answer in time: the attempt ended in phase '{progress.phase}'",
    )


def _exception_chain(error: BaseException) -> Iterator[BaseException]:
    """Yield `error` and what it came from; aiohttp keeps the cause in an attribute as well."""
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
    """Word the innermost error: it names the system's own reason and no URL of ours."""
    inner = chain[-1]
    for each in chain:
        verify_message = getattr(each, "verify_message", None)  # aiohttp's subclass has none
        if verify_message:
            return str(verify_message)
        if isinstance(each, OSError) and each.strerror:
            inner = each
    text = inner.strerror if isinstance(inner, OSError) and inner.strerror else str(inner)
    # Not cut here: of a secret that is cut before it is removed, a part would remain.
    return " ".join(_BYTES_LITERAL.sub(_of_literal, text).split()) or type(inner).__name__


def _of_literal(found: re.Match[str]) -> str:
    """Return the text of a bytes literal: aiohttp quotes what it received, with its escapes.

    These would be one more encoding around a secret that a server echoes.
    """
    try:
        content: object = ast.literal_eval(found[0])
    except (SyntaxError, ValueError):
        return found[0]
    return f"'{content.decode('latin-1')}'" if isinstance(content, bytes) else found[0]
