"""One timed request: sends it, reads the answer within bounds, and returns what came as a value.

This room alone knows aiohttp's client. A failed exchange is a value: nothing but cancellation is
raised out of `exchange`.
"""

import asyncio
import ssl
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from prober.errors import TlsConfigurationError
from prober.exchange.body import BodyCorruptError, BoundedBody
from prober.exchange.certificates import CertificateExpiry
from prober.exchange.failures import Progress, failure_of, refusal_of_proxy
from prober.exchange.loop_lag import LagWatch, LoopLag
from prober.exchange.phases import Attempt, begin_attempt, phases_of
from prober.exchange.redaction import KnownForms, redact_response, redact_text
from prober.exchange.resolver import ThreadResolver
from prober.exchange.transport import Proxies, new_session, tls_context
from prober.file_version import Version, file_version
from prober.http_client.kernel_timing import StampingEnabled
from prober.model import (
    ConnectionPolicy,
    Exchange,
    Failure,
    Probe,
    Request,
    Response,
    TransportOptions,
)
from prober.outcomes import FailureKind


class ExchangeClient:
    """Holds the sessions of all tenants; use as an asynchronous context manager."""

    def __init__(self, loop_lag: LoopLag) -> None:
        self._loop_lag = loop_lag
        self._resolver = ThreadResolver()
        self._proxies = Proxies()
        self._contexts: dict[TransportOptions, ssl.SSLContext] = {}
        self._versions: dict[TransportOptions, tuple[Version, ...]] = {}
        self._sessions: dict[tuple[TransportOptions, ConnectionPolicy], aiohttp.ClientSession] = {}
        self._users: Counter[aiohttp.ClientSession] = Counter()
        self._retired: set[aiohttp.ClientSession] = set()
        self._certificates = CertificateExpiry()
        self._forms = KnownForms()
        self._stamping: StampingEnabled | None = None

    async def __aenter__(self) -> Self:
        """Let the kernel stamp what arrives, and return the client, ready."""
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

    async def renew(self, every: Iterable[TransportOptions]) -> None:
        """Load the TLS contexts of all tenants, those whose files have changed anew.

        What is no longer used is let go of once nothing is under way by it. A context that cannot
        be loaded is told by the exchanges that need it. Done in a thread: it takes tens of
        milliseconds.
        """
        wanted = set(every)
        versions = await asyncio.to_thread(lambda: {each: _versions(each) for each in wanted})
        stale = {each for each in self._contexts if versions.get(each) != self._versions.get(each)}
        loaded: dict[TransportOptions, ssl.SSLContext] = {}
        for options in (wanted - self._contexts.keys()) | (wanted & stale):
            with suppress(TlsConfigurationError):
                loaded[options] = await asyncio.to_thread(tls_context, options)
        for options in stale:
            del self._contexts[options]
        self._contexts |= loaded
        self._versions = versions
        for key in [key for key in self._sessions if key[0] in stale]:
            await self._retire(self._sessions.pop(key))

    async def exchange(self, request: Request, probe: Probe, options: TransportOptions) -> Exchange:
        """Send `request` once and return what it brought; raises nothing but cancellation."""
        try:
            session = self._session(options, probe.connection)
        except TlsConfigurationError as error:
            return never_sent(request, FailureKind.TLS_CONFIGURATION, str(error))
        self._users[session] += 1
        lag = self._loop_lag.open()
        try:
            proxy = self._proxies.of(request.url, options)
            attempt = begin_attempt(
                through_tunnel=proxy is not None and request.url.startswith("https:")
            )
            response, failure = await self._attempt(session, request, probe, attempt, proxy)
            total_seconds = attempt.end(failed=failure is not None)
            self._loop_lag.saw(attempt.timing.late_nanoseconds * 1e-9)
        finally:
            self._loop_lag.close(lag)
            self._users[session] -= 1
            if session in self._retired:
                await self._retire(session)
        told = self._told(request, attempt, total_seconds, response, failure, lag)
        return replace(told, via_proxy=proxy is not None)

    async def _retire(self, session: aiohttp.ClientSession) -> None:
        """Close a session that gets no more to do, as soon as nothing is under way by it."""
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
        attempt: Attempt,
        proxy: str | None,
    ) -> tuple[Response | None, Failure | None]:
        partial: list[Response] = []
        try:
            response = await _send(session, request, probe, proxy, partial)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 -- whatever it was becomes a verdict
            failure = failure_of(error, Progress(attempt.timing.phase, proxy is not None))
            if isinstance(error, aiohttp.ClientHttpProxyError):
                partial.append(_proxys_answer(error))
            return (partial[0] if partial else None), failure
        return response, refusal_of_proxy(response.status, Progress("wait", proxy is not None))

    def _told(
        self,
        request: Request,
        attempt: Attempt,
        total_seconds: float,
        response: Response | None,
        failure: Failure | None,
        lag: LagWatch,
    ) -> Exchange:
        secrets = self._forms.of(request.secrets)
        return Exchange(
            method=request.method,
            url=request.url,
            total_seconds=total_seconds,
            phases=phases_of(attempt.timing, total_seconds),
            response=None if response is None else redact_response(response, secrets),
            failure=None
            if failure is None
            else Failure(failure.kind, redact_text(failure.detail, secrets)),
            connection_reused=attempt.timing.reused,
            remote_address=attempt.remote_address,
            certificate_expiry_timestamp_seconds=self._certificates.of(attempt.tls_object),
            loop_lag_seconds=max(lag.greatest_seconds, attempt.timing.late_nanoseconds * 1e-9),
            timing_bound_seconds=attempt.timing.bound_nanoseconds * 1e-9,
            timing_fallback=attempt.timing.fallback,
            tcp=attempt.evidence,
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


def _versions(options: TransportOptions) -> tuple[Version, ...]:
    """Return the versions of the files that a TLS context is made of."""
    files = (options.ca_file, options.client_certificate_file, options.client_key_file)
    return tuple(file_version(file) for file in files if file is not None)


def never_sent(request: Request, kind: FailureKind, detail: str) -> Exchange:
    """Return the exchange of a request that could not even be made."""
    return Exchange(
        method=request.method, url=request.url, total_seconds=0.0, failure=Failure(kind, detail)
    )


def _proxys_answer(error: aiohttp.ClientHttpProxyError) -> Response:
    """Return what the proxy said to CONNECT: evidence of who answered."""
    headers = () if error.headers is None else tuple(error.headers.items())
    return Response(error.status, headers, b"")


async def _send(
    session: aiohttp.ClientSession,
    request: Request,
    probe: Probe,
    proxy: str | None,
    partial: list[Response],
) -> Response:
    headers = list(request.headers)
    if request.authorization is not None:
        headers.append(("Authorization", request.authorization.get_secret_value()))
    answer = await session.request(
        request.method,
        _address(request.url),
        headers=headers,
        data=request.body,
        allow_redirects=False,
        proxy=proxy,
        timeout=_limits(probe.timeout_seconds, probe.connect_timeout_seconds),
    )
    head = Response(answer.status, tuple(answer.headers.items()), b"")
    partial.append(head)
    try:
        return await _read(answer, head, probe.body_limit_bytes)
    finally:
        _let_go(answer, probe.connection)


@lru_cache(maxsize=16_384)
def _address(url: str) -> URL:
    return URL(url, encoded=True)


@lru_cache(maxsize=256)
def _limits(total_seconds: float, connect_seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(
        total=total_seconds,
        connect=connect_seconds,
        sock_connect=connect_seconds,
        ceil_threshold=total_seconds + 1,
    )


async def _read(answer: aiohttp.ClientResponse, head: Response, limit_bytes: int) -> Response:
    body = BoundedBody(answer.headers.get("Content-Encoding", "").strip().lower(), limit_bytes)
    while chunk := await answer.content.readany():
        if not body.feed(chunk):
            answer.close()
            break
    content, whole = body.finish()
    if not whole:
        raise BodyCorruptError("the compressed body ended early")
    return Response(head.status, head.headers, content, body_over_limit=body.over_limit)


def _let_go(answer: aiohttp.ClientResponse, policy: ConnectionPolicy) -> None:
    if policy is ConnectionPolicy.REUSE and answer.content.is_eof():
        answer.release()
    else:
        answer.close()
