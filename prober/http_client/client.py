"""Send one timed request, read the response up to its limits, and return both as a value.

aiohttp's client is used in this package only. A failed exchange is a value too: `exchange` raises
nothing but cancellation. TLS contexts, proxies and sessions of the tenants are created here.
"""

import asyncio
import os
import ssl
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver
from pydantic import SecretStr
from yarl import URL

from prober.errors import TlsConfigurationError
from prober.file_signature import Signature, file_signature
from prober.formatting import one_line
from prober.http_client.certificate_inspector import CertificateInspector, TlsServer
from prober.http_client.dns import ThreadResolver
from prober.http_client.errors import (
    AttemptProgress,
    is_disconnect,
    map_exception,
    proxy_auth_failure,
)
from prober.http_client.kernel_timing import StampingEnabled
from prober.http_client.loop_budget import LoopBudget
from prober.http_client.protocol import (
    BodyCorruptError,
    LimitedBodyReader,
    LimitedConnector,
    content_codings,
)
from prober.http_client.timing import (
    Attempt,
    EventLoopLagMonitor,
    TimingSSLContext,
    phases_of,
    start_attempt,
    timed_socket,
)
from prober.http_client.tls import CertificateExpiry
from prober.models import (
    ConnectionPolicy,
    Failure,
    HttpExchange,
    PresentedCertificate,
    Probe,
    Request,
    Response,
    TransportOptions,
)
from prober.outcomes import FailureKind
from prober.proxy_environment import proxy_environment
from prober.redaction import Redactor, RedactorCache, secrets_of_url

# Gateways send long Content-Security-Policy lines. 32 KiB a line and 256 lines limit the head.
MAX_HEADER_LINE_BYTES = 32 * 1024
MAX_HEADER_LINES = 256
KEEPALIVE_SECONDS = 75.0


def tls_context(options: TransportOptions) -> ssl.SSLContext:
    """Return the TLS context of a tenant: TLS 1.2 at least, certificate and name verified.

    Raises TlsConfigurationError.
    """
    context = TimingSSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])  # aiohttp speaks no other protocol
    if options.ca_file is None:
        context.load_default_certs()
    else:
        with _named("ca_file", options.ca_file):
            context.load_verify_locations(cafile=options.ca_file)
    certificate, key = options.client_certificate_file, options.client_key_file
    if key is not None:
        # Alone at first: an error of `load_cert_chain` does not say which of the files it means.
        with _named("client_certificate.key", key):
            pass
    if certificate is not None:
        with _named("client_certificate.certificate", certificate):
            context.load_cert_chain(certificate, key, password=_refuse_password)
    return context


@contextmanager
def _named(key: str, file: Path) -> Iterator[None]:
    """Raise errors that name the key; refuse a pipe or device, which could block when opened."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise TlsConfigurationError(f"{key} {file}: not a regular file")
        yield
    except (OSError, ValueError) as error:
        raise TlsConfigurationError(f"{key} {file}: {_describe_error(error)}") from error


class ProxyResolver:
    """Selects the proxy of a URL. The environment is read once; it does not change at run time."""

    def __init__(self) -> None:
        # Errors in it were reported when the configuration was loaded.
        self._environment, _ = proxy_environment(os.environ)
        self._known: dict[tuple[str, str], str | None] = {}

    def proxy_for(self, url: str, options: TransportOptions) -> str | None:
        """Return the proxy for `url`: from the configuration, else the environment, else None."""
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
    """Return a session without cookies and redirects that limits what it reads."""
    fresh = policy is ConnectionPolicy.FRESH
    connector = LimitedConnector(
        resolver=resolver,
        ssl=context,
        force_close=fresh,
        keepalive_timeout=None if fresh else KEEPALIVE_SECONDS,
        limit=0,  # the wait for a free connection would count as connecting
        use_dns_cache=False,  # a lookup is a part of what a fresh connection measures
        socket_factory=timed_socket,
    )
    session = aiohttp.ClientSession(
        connector=connector,
        auto_decompress=False,  # a small body may decompress to gigabytes: LimitedBodyReader
        cookie_jar=aiohttp.DummyCookieJar(),  # no run may depend on an earlier one
        trust_env=False,  # it would also send passwords from ~/.netrc
        max_line_size=MAX_HEADER_LINE_BYTES,
        max_field_size=MAX_HEADER_LINE_BYTES,
        max_headers=MAX_HEADER_LINES,
    )
    # aiohttp silently repeats an idempotent request, which would falsify its durations. There is no
    # public setting for it; a test counts the requests that a server receives.
    session._retry_connection = False  # noqa: SLF001
    return session


def _refuse_password() -> str:
    """Return a password, so that OpenSSL does not prompt on the terminal."""
    return ""


def _describe_error(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or str(error)


MAX_SHOWN_HEADER_CHARACTERS = 32 * 1024
"""The limit of a response's header fields in evidence; the rest is cut off."""
_NAME_CHARACTERS = 256
_CERTIFICATE_NAME_CHARACTERS = 160
_DETAIL_CHARACTERS = 300


@dataclass(slots=True)
class _Done:
    """An attempt that has ended. `found_stale_connection`: the request may be repeated."""

    attempt: Attempt
    response: Response | None
    failure: Failure | None
    found_stale_connection: bool = False
    stale_connection_retries: int = 0
    total_seconds: float = 0.0
    certificate: PresentedCertificate | None = None


@dataclass(slots=True)
class _Partial:
    """The response of an attempt as far as it was received, and the budget for reading it."""

    budget: LoopBudget
    response: Response | None = None


class ProbeHttpClient:
    """Holds the sessions of all tenants; use as an asynchronous context manager."""

    def __init__(self, loop_lag: EventLoopLagMonitor) -> None:
        self._loop_lag = loop_lag
        self._budget = LoopBudget()
        self._resolver = ThreadResolver()
        self._proxies = ProxyResolver()
        self._contexts: dict[TransportOptions, ssl.SSLContext] = {}
        self._file_signatures: dict[TransportOptions, tuple[Signature, ...]] = {}
        self._sessions: dict[tuple[TransportOptions, ConnectionPolicy], aiohttp.ClientSession] = {}
        self._users: Counter[aiohttp.ClientSession] = Counter()
        self._retired: set[aiohttp.ClientSession] = set()
        self._certificates = CertificateExpiry()
        self._inspector = CertificateInspector()
        self._redactors = RedactorCache()
        self._proxy_secrets: dict[str, tuple[SecretStr, ...]] = {}
        self._stamping: StampingEnabled | None = None

    async def __aenter__(self) -> Self:
        """Enable kernel timestamps, or sample the event loop where they are not supported."""
        self._stamping = StampingEnabled()
        if not self._stamping.supported:
            self._loop_lag.start()
        return self

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close every session and connection."""
        for session in (*self._sessions.values(), *self._retired):
            await session.close()
        self._sessions.clear()
        self._retired.clear()
        await self._resolver.close()
        self._loop_lag.stop()
        if self._stamping is not None:
            self._stamping.close()

    async def reload_tls(self, every: Iterable[TransportOptions]) -> None:
        """Load the TLS contexts of all tenants, again if their files have changed.

        Sessions with an old context are closed when their last request is done. A context that
        cannot be loaded makes the exchanges that need it fail. Files are read in a thread, because
        loading takes tens of milliseconds.
        """
        wanted = set(every)
        versions = await asyncio.to_thread(
            lambda: {each: _file_signatures(each) for each in wanted}
        )
        stale = {
            each for each in self._contexts if versions.get(each) != self._file_signatures.get(each)
        }
        loaded: dict[TransportOptions, ssl.SSLContext] = {}
        for options in (wanted - self._contexts.keys()) | (wanted & stale):
            with suppress(TlsConfigurationError):
                loaded[options] = await asyncio.to_thread(tls_context, options)
        for options in stale:
            del self._contexts[options]
        self._contexts |= loaded
        self._file_signatures = versions
        for key in [key for key in self._sessions if key[0] in stale]:
            await self._close_when_idle(self._sessions.pop(key))

    async def exchange(
        self, request: Request, probe: Probe, options: TransportOptions
    ) -> HttpExchange:
        """Send `request` and return the exchange; raises nothing but cancellation.

        The request is sent once. It is repeated, on a new connection, only if the server closed a
        kept connection without a byte of response: a server may close an idle connection at any
        time, also while a request is on its way (RFC 9112, 9.3.1).
        """
        proxy = self._proxies.proxy_for(request.url, options)
        redactor = self._redactors.of((*request.secrets, *self._secrets_of(proxy)))
        try:
            session = self._session(options, probe.connection)
        except TlsConfigurationError as error:
            return failed_before_send(request, FailureKind.TLS_CONFIGURATION, str(error), redactor)
        self._users[session] += 1
        try:
            limits = _limits(probe.timeout_seconds, probe.connect_timeout_seconds)
            done = await self._attempt(session, request, probe, proxy, limits)
            if done.found_stale_connection:
                limits = _remaining_limits(probe, done.total_seconds)
                done = await self._attempt(
                    session, request, probe, proxy, limits, stale_connection_retries=1
                )
            server = _server_with_bad_certificate(done, request, proxy)
            if server is not None:
                done.certificate = await self._inspector.inspect(server)
        finally:
            self._users[session] -= 1
            if session in self._retired:
                await self._close_when_idle(session)
        if done.response is not None:
            # Redaction looks at each byte; many long bodies at once would block the event loop.
            done.response = await self._budget.run(partial(_redacted, done.response, redactor))
        return self._build_exchange(request, redactor, done)

    def _secrets_of(self, proxy: str | None) -> tuple[SecretStr, ...]:
        """Return the secrets in a proxy's URL: a proxy may echo its password."""
        if proxy is None or "@" not in proxy:
            return ()
        if proxy not in self._proxy_secrets:
            self._proxy_secrets[proxy] = secrets_of_url(proxy)
        return self._proxy_secrets[proxy]

    async def _close_when_idle(self, session: aiohttp.ClientSession) -> None:
        """Close a session that is no longer used when its last request is done."""
        if self._users[session] > 0:
            self._retired.add(session)
            return
        self._retired.discard(session)
        del self._users[session]
        await session.close()

    async def _attempt(
        self,
        session: aiohttp.ClientSession,
        request: Request,
        probe: Probe,
        proxy: str | None,
        limits: aiohttp.ClientTimeout,
        *,
        stale_connection_retries: int = 0,
    ) -> _Done:
        """Send the request once; a repeated one always on a new connection."""
        lag = self._loop_lag.open()
        try:
            attempt = start_attempt(
                through_tunnel=proxy is not None and request.url.startswith("https:"),
                needs_new_connection=stale_connection_retries > 0,
            )
            attempt.via_proxy = proxy is not None
            received = _Partial(self._budget)
            try:
                response = await _send(session, request, probe, proxy, limits, received)
            except Exception as error:  # noqa: BLE001 -- each error becomes a verdict
                done = _failed(attempt, error, received)
            else:
                progress = AttemptProgress("wait", proxy is not None)
                done = _Done(attempt, response, proxy_auth_failure(response.status, progress))
            done.total_seconds = attempt.end(failed=done.failure is not None)
            self._loop_lag.observe(attempt.late_seconds)
        finally:
            self._loop_lag.close(lag)
        attempt.loop_lag_seconds = max(lag.max_seconds, attempt.late_seconds)
        done.stale_connection_retries = stale_connection_retries
        return done

    def _build_exchange(self, request: Request, redactor: Redactor, done: _Done) -> HttpExchange:
        attempt, failure = done.attempt, done.failure
        return HttpExchange(
            method=request.method,
            url=redactor.remembered(request.url),
            total_seconds=done.total_seconds,
            phases=phases_of(attempt.timing, done.total_seconds),
            response=done.response,
            failure=None
            if failure is None
            else Failure(failure.kind, one_line(failure.detail, _DETAIL_CHARACTERS, redactor)),
            connection_reused=attempt.timing.reused,
            remote_address=attempt.remote_address,
            certificate_expiry_timestamp_seconds=self._certificates.of(attempt.tls_object),
            timing_bound_seconds=attempt.timing.bound_nanoseconds * 1e-9,
            timing_fallback=attempt.timing.fallback,
            tcp=attempt.evidence,
            via_proxy=attempt.via_proxy,
            stale_connection_retries=done.stale_connection_retries,
            presented_certificate=_redacted_certificate(done.certificate, redactor),
            loop_lag_seconds=attempt.loop_lag_seconds,
            redactor=redactor,
        )

    def _session(
        self, options: TransportOptions, policy: ConnectionPolicy
    ) -> aiohttp.ClientSession:
        key = (options, policy)
        if key not in self._sessions:
            if options not in self._contexts:
                self._contexts[options] = tls_context(options)
            self._sessions[key] = new_session(self._resolver, policy, self._contexts[options])
        return self._sessions[key]


_CERTIFICATE_FAILURES = frozenset(
    {
        FailureKind.TLS_CERTIFICATE,
        FailureKind.CERTIFICATE_EXPIRED,
        FailureKind.CERTIFICATE_NAME_MISMATCH,
    }
)
_HTTPS_PORT = 443


def _server_with_bad_certificate(
    done: _Done, request: Request, proxy: str | None
) -> TlsServer | None:
    """Return the server that presented the invalid certificate, None if it is not known."""
    if done.failure is None or done.failure.kind not in _CERTIFICATE_FAILURES:
        return None
    if proxy is not None and not proxy.startswith("http:"):
        return None  # the certificate may be the proxy's own
    address = next((s.address for s in reversed(done.attempt.sockets) if s.connected), "")
    host, _, port = address.rpartition(":")
    url = urlsplit(request.url)
    if not host or not port.isdecimal() or url.hostname is None:
        return None
    return TlsServer(url.hostname, url.port or _HTTPS_PORT, (host.strip("[]"), int(port)), proxy)


def _redacted_certificate(
    certificate: PresentedCertificate | None, redactor: Redactor
) -> PresentedCertificate | None:
    if certificate is None:
        return None
    subject, issuer = (
        one_line(name, _CERTIFICATE_NAME_CHARACTERS, redactor)
        for name in (certificate.subject, certificate.issuer)
    )
    return replace(certificate, subject=subject, issuer=issuer)


def _file_signatures(options: TransportOptions) -> tuple[Signature, ...]:
    """Return the signatures of the files of a TLS context."""
    files = (options.ca_file, options.client_certificate_file, options.client_key_file)
    return tuple(file_signature(file) for file in files if file is not None)


def _redacted(response: Response, redactor: Redactor) -> Response:
    """Return a response without secrets in its headers, or verbatim in its body.

    Very long headers are cut, because redaction looks at each character.
    """
    headers = response.headers
    size = sum(len(name) + len(value) for name, value in headers)
    longest_name = max((len(name) for name, _ in headers), default=0)
    if size <= MAX_SHOWN_HEADER_CHARACTERS and longest_name <= _NAME_CHARACTERS:
        headers = redactor.pairs(headers)
    else:
        headers = tuple(_cut_headers(headers, redactor))
    return Response(
        response.status,
        headers,
        redactor.data(response.body),
        response.body_over_limit,
        response.unreadable_coding,
    )


def _cut_headers(
    headers: tuple[tuple[str, str], ...], redactor: Redactor
) -> Iterator[tuple[str, str]]:
    room = MAX_SHOWN_HEADER_CHARACTERS
    for name, value in headers:
        shown = value[: max(0, room)]
        room -= len(name) + len(shown)
        text = redactor.text(shown, is_cut=len(shown) < len(value))
        yield redactor.text(name[:_NAME_CHARACTERS]), text


def failed_before_send(
    request: Request, kind: FailureKind, detail: str, redactor: Redactor
) -> HttpExchange:
    """Return the exchange of a request that failed before anything was sent."""
    url = redactor.text(request.url)
    return HttpExchange(request.method, url, 0.0, failure=Failure(kind, detail), redactor=redactor)


def _failed(attempt: Attempt, error: Exception, received: _Partial) -> _Done:
    """Return an attempt that ended with `error`, with the received part of the response."""
    timing = attempt.timing
    failure = map_exception(error, AttemptProgress(timing.phase, attempt.via_proxy))
    # aiohttp has no response object for a refused CONNECT, only this exception.
    if isinstance(error, aiohttp.ClientHttpProxyError):
        received.response = received.response or _proxy_response(error)
    is_stale = timing.reused and not attempt.has_response_bytes and is_disconnect(error)
    return _Done(attempt, received.response, failure, is_stale)


def _proxy_response(error: aiohttp.ClientHttpProxyError) -> Response:
    """Return the proxy's response to CONNECT, as evidence."""
    headers = () if error.headers is None else tuple(error.headers.items())
    return Response(error.status, headers, b"")


async def _send(
    session: aiohttp.ClientSession,
    request: Request,
    probe: Probe,
    proxy: str | None,
    limits: aiohttp.ClientTimeout,
    received: _Partial,
) -> Response:
    headers = list(request.headers)
    if request.authorization is not None:
        headers.append(("Authorization", request.authorization.get_secret_value()))
    response = await session.request(
        request.method,
        _address(request.url),
        headers=headers,
        data=request.body,
        allow_redirects=False,
        proxy=proxy,
        timeout=limits,
    )
    # Kept if the body fails: a status and headers are evidence without it.
    head = Response(response.status, tuple(response.headers.items()), b"")
    received.response = head
    try:
        return await _read(response, head, probe.max_response_bytes, received.budget)
    finally:
        _release_connection(response, probe.connection)


@lru_cache(maxsize=16_384)
def _address(url: str) -> URL:
    return URL(url, encoded=True)


@lru_cache(maxsize=256)
def _limits(total_seconds: float, connect_seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(
        total=total_seconds,
        connect=connect_seconds,
        sock_connect=connect_seconds,
        # Above this threshold, aiohttp rounds a timeout up to the next full second.
        ceil_threshold=total_seconds + 1,
    )


_SHORTEST_TIMEOUT_SECONDS = 0.001  # zero means no timeout in aiohttp


def _remaining_limits(probe: Probe, used_seconds: float) -> aiohttp.ClientTimeout:
    """Return the timeouts of a repeated request: the probe's timeout covers both requests."""
    total_seconds = max(_SHORTEST_TIMEOUT_SECONDS, probe.timeout_seconds - used_seconds)
    # Not cached: each value is different, and would displace the timeouts of the probes.
    return _limits.__wrapped__(total_seconds, probe.connect_timeout_seconds)


async def _read(
    response: aiohttp.ClientResponse, head: Response, limit_bytes: int, budget: LoopBudget
) -> Response:
    codings = content_codings(response.headers.getall("Content-Encoding", ()))
    body = LimitedBodyReader(codings, limit_bytes)
    while chunk := await response.content.readany():
        # Decoding even a short chunk may take long; without a coding it is only appended.
        below_limit = await budget.run(partial(body.feed, chunk)) if codings else body.feed(chunk)
        if not below_limit:
            response.close()
            break
    content, is_complete = body.finish()
    if not is_complete:
        raise BodyCorruptError("the compressed body ended early")
    return Response(head.status, head.headers, content, body.over_limit, body.unreadable_coding)


def _release_connection(response: aiohttp.ClientResponse, policy: ConnectionPolicy) -> None:
    # What is left of a body would be read as the head of the next response.
    if policy is ConnectionPolicy.REUSE and response.content.is_eof():
        response.release()
    else:
        response.close()
