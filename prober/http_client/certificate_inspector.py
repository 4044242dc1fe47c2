"""Read the certificate of a server that failed verification, as evidence of who presented it.

A failed handshake does not give access to the certificate. So a second handshake is made without
verification, on a separate connection that is closed once the certificate is read: no request, no
token and no client certificate is sent on it.
"""

import asyncio
import base64
import ssl
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from prober.models import PresentedCertificate

INTERVAL_SECONDS = 60.0
TIMEOUT_SECONDS = 3.0
_MAX_PROXY_HEAD_BYTES = 16 * 1024
_END_OF_HEAD = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class TlsServer:
    """A server by its name, and the address that the failed attempt was connected to.

    With a `proxy` (its URL), `address` is the proxy's.
    """

    host: str
    port: int
    address: tuple[str, int]
    proxy: str | None = None


class CertificateInspector:
    """Makes at most one such handshake a minute with each host, and caches its result.

    `clock` returns monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._locks: defaultdict[tuple[str, int], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._known: dict[tuple[str, int], tuple[float, PresentedCertificate | None]] = {}

    async def inspect(self, server: TlsServer) -> PresentedCertificate | None:
        """Return the certificate that a server presents, None if it cannot be read."""
        key = (server.host, server.port)
        async with self._locks[key]:
            known = self._known.get(key)
            if known is not None and self._clock() - known[0] < INTERVAL_SECONDS:
                return known[1]
            begun = self._clock()
            self._known[key] = begun, None  # counts even if this is cancelled
            found = await _present(server)
            self._known[key] = begun, found
            return found


async def _present(server: TlsServer) -> PresentedCertificate | None:
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            der = await _read(server)
    except (OSError, ValueError, EOFError, asyncio.LimitOverrunError):
        return None  # the evidence lacks the certificate; the verdict is the same
    return None if not der else parse_certificate(der)


async def _read(server: TlsServer) -> bytes | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    host, port = server.address
    if server.proxy is None:
        _, writer = await asyncio.open_connection(
            host, port, ssl=context, server_hostname=server.host
        )
    else:
        reader, writer = await asyncio.open_connection(host, port, limit=_MAX_PROXY_HEAD_BYTES)
    try:
        if server.proxy is not None:
            await _open_tunnel(server, server.proxy, reader, writer)
            await writer.start_tls(context, server_hostname=server.host)
        certificate: bytes | None = writer.get_extra_info("ssl_object").getpeercert(
            binary_form=True
        )
        return certificate
    finally:
        writer.transport.abort()  # closing would wait for the server's close_notify


async def _open_tunnel(
    server: TlsServer, proxy: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Ask the proxy for a tunnel (RFC 9110, 9.3.6); raises OSError if it refuses."""
    name = f"[{server.host}]" if ":" in server.host else server.host
    lines = [f"CONNECT {name}:{server.port} HTTP/1.1", f"Host: {name}:{server.port}"]
    parts = urlsplit(proxy)
    if parts.username is not None:
        user, password = unquote(parts.username), unquote(parts.password or "")
        credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {credentials}")
    writer.write("\r\n".join([*lines, "", ""]).encode())
    status = (await reader.readuntil(_END_OF_HEAD)).split(b"\r\n", 1)[0].split(b" ")
    if len(status) < 2 or not status[1].startswith(b"2"):  # noqa: PLR2004 -- version, status
        raise OSError("the proxy refused the tunnel")


def parse_certificate(der: bytes) -> PresentedCertificate | None:
    """Return names and dates of a certificate, None if it cannot be parsed.

    The names are not redacted or cut: they may be long, and may contain secrets.
    """
    # Imported late: most daemons never need it, and it takes 8 MiB.
    from cryptography import x509  # noqa: PLC0415

    try:
        certificate = x509.load_der_x509_certificate(der)
        return PresentedCertificate(
            subject=certificate.subject.rfc4514_string(),
            issuer=certificate.issuer.rfc4514_string(),
            not_before_timestamp_seconds=certificate.not_valid_before_utc.timestamp(),
            not_after_timestamp_seconds=certificate.not_valid_after_utc.timestamp(),
        )
    except Exception:  # noqa: BLE001 -- a hostile server's bytes: the parser may raise anything
        return None
