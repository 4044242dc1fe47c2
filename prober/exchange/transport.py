"""How a tenant is reached: TLS context, proxy, and the sessions made of them."""

import os
import ssl
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.abc import AbstractResolver

from prober.errors import TlsConfigurationError
from prober.exchange.phases import TimedTlsContext, timed_socket
from prober.exchange.wire import BoundedConnector
from prober.model import ConnectionPolicy, TransportOptions

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
    try:
        if options.ca_file is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(cafile=options.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise TlsConfigurationError(f"CA file {options.ca_file}: {_why(error)}") from error
    if options.client_certificate_file is not None:
        try:
            context.load_cert_chain(
                options.client_certificate_file,
                options.client_key_file,
                password=_no_password,
            )
        except (OSError, ssl.SSLError) as error:
            where = options.client_certificate_file
            raise TlsConfigurationError(f"client certificate {where}: {_why(error)}") from error
    return context


class Proxies:
    """Which proxy to use. The environment is searched once: it does not change under a process."""

    def __init__(self) -> None:
        self._environment = getproxies()
        self._known: dict[tuple[str, str], str | None] = {}

    def of(self, url: str, options: TransportOptions) -> str | None:
        """Return the proxy to use for `url`: the setting's, else the environment's, else None."""
        if options.proxy_url is not None:
            return options.proxy_url
        if not (options.proxy_from_environment and self._environment):
            return None
        parts = urlsplit(url)
        key = parts.scheme, parts.netloc.rpartition("@")[2]
        if key not in self._known:
            bypassed = proxy_bypass(key[1])
            self._known[key] = None if bypassed else self._environment.get(parts.scheme)
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
        max_line_size=MAX_HEADER_LINE_BYTES,
        max_field_size=MAX_HEADER_LINE_BYTES,
        max_headers=MAX_HEADER_LINES,
    )


def _no_password() -> str:
    """Answer OpenSSL instead of letting it ask on the terminal."""
    return ""


def _why(error: OSError) -> str:
    return error.strerror or os.strerror(error.errno or 0)
