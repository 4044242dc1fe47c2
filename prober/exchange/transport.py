"""How a tenant is reached: TLS context, proxy, and the sessions made of them."""

import os
import ssl
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver

from prober.errors import TlsConfigurationError
from prober.exchange.phases import TimedRequest, TimedTlsContext, timed_socket
from prober.exchange.wire import BoundedConnector
from prober.model import ConnectionPolicy, TransportOptions
from prober.proxy_environment import proxy_environment

# Gateways send long Content-Security-Policy lines; 32 KiB a line and 256 lines bound the head.
MAX_HEADER_LINE_BYTES = 32 * 1024
MAX_HEADER_LINES = 256
KEEPALIVE_SECONDS = 75.0


def tls_context(options: TransportOptions) -> ssl.SSLContext:
    """Return the TLS context of a tenant: TLS 1.2 at least, certificate and name verified.

    Raises TlsConfigurationError.
    """
    context = TimedTlsContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if options.ca_file is None:
        context.load_default_certs()
    else:
        with _named("ca_file", options.ca_file):
            context.load_verify_locations(cafile=options.ca_file)
    certificate, key = options.client_certificate_file, options.client_key_file
    if key is not None:
        with _named("client_certificate.key", key):
            pass
    if certificate is not None:
        with _named("client_certificate.certificate", certificate):
            context.load_cert_chain(certificate, key, password=_no_password)
    return context


@contextmanager
def _named(key: str, file: Path) -> Iterator[None]:
    """Refuse what is no file (opening a pipe could block for ever); let errors out by key."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise TlsConfigurationError(f"{key} {file}: is no regular file")
        yield
    except (OSError, ValueError) as error:
        raise TlsConfigurationError(f"{key} {file}: {_why(error)}") from error


class Proxies:
    """Which proxy to use. The environment is read once: it does not change under a process."""

    def __init__(self) -> None:
        # What is wrong with it was found when the settings were loaded.
        self._environment, _ = proxy_environment(os.environ)
        self._known: dict[tuple[str, str], str | None] = {}

    def of(self, url: str, options: TransportOptions) -> str | None:
        """Return the proxy to use for `url`: the setting's, else the environment's, else None."""
        if options.proxy_url is not None:
            return options.proxy_url
        if not (options.proxy_from_environment and self._environment.proxies):
            return None
        parts = urlsplit(url)
        key = parts.scheme, parts.netloc
        if key not in self._known:
            self._known[key] = self._environment.proxy_for(url)
        return self._known[key]


def new_session(
    resolver: AbstractResolver, policy: ConnectionPolicy, context: ssl.SSLContext
) -> aiohttp.ClientSession:
    """Return a session that holds no cookies, follows nothing, and bounds what it reads."""
    fresh = policy is ConnectionPolicy.FRESH
    connector = BoundedConnector(
        resolver=resolver,
        ssl=context,
        force_close=fresh,
        keepalive_timeout=None if fresh else KEEPALIVE_SECONDS,
        limit=0,
        use_dns_cache=False,
        socket_factory=timed_socket,
    )
    return aiohttp.ClientSession(
        connector=connector,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        request_class=TimedRequest,
        max_line_size=MAX_HEADER_LINE_BYTES,
        max_field_size=MAX_HEADER_LINE_BYTES,
        max_headers=MAX_HEADER_LINES,
    )


def _no_password() -> str:
    """Answer OpenSSL instead of letting it ask on the terminal."""
    return ""


def _why(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or str(error)
