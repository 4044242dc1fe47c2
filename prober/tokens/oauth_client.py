"""Requests the tokens of one tenant from its OAuth server, one at a time, and caches them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from pydantic import SecretStr

from prober.classifier.oauth_rules import classify_token_response, issued_token, tokens_in
from prober.classifier.retry_after import retry_after_seconds
from prober.models import (
    AlertSeverity,
    ConnectionPolicy,
    HttpExchange,
    Probe,
    Request,
    Tenant,
    TransportOptions,
    Verdict,
)
from prober.redaction import Redactor
from prober.tokens.oauth import CachedToken, cached_token, retry_delay_seconds, token_request

SendRequest = Callable[[Request, Probe, TransportOptions], Awaitable[HttpExchange]]

_PROBE = Probe(
    name="token",
    sent_path="",
    method="POST",
    interval_seconds=60.0,
    timeout_seconds=10.0,
    connect_timeout_seconds=5.0,
    connection=ConnectionPolicy.FRESH,
    max_response_bytes=64 * 1024,
    server_objective_seconds=2.5,
    network_objective_seconds=0.5,
    severity=AlertSeverity.TICKET,
)
"""The limits of a token request: timeouts and the size of the response. No setting changes them."""


@dataclass(frozen=True, slots=True)
class TokenUnavailable:
    """Why there is no token, with the exchange if a token request failed."""

    problem: str
    exchange: HttpExchange | None = None
    verdict: Verdict | None = None


class OAuthTokenClient:
    """Requests tokens with a client's secret, one request at a time; backs off after failures.

    A Retry-After of a 429 or a 503 is applied if it is longer than the pause after failures.
    `on_response` is called once for every response, before callers of `fetch` get it.
    """

    def __init__(
        self,
        tenant: Tenant,
        send: SendRequest,
        now: Callable[[], float],
        version: str,
        on_response: Callable[[str, CachedToken | TokenUnavailable], None],
    ) -> None:
        self.cached: CachedToken | None = None
        self._tenant = tenant
        self._send = send
        self._now = now
        self._version = version
        self._on_response = on_response
        self._secret: SecretStr | None = None
        self._unavailable = TokenUnavailable("the client's secret has not been read yet")
        self._failures = 0
        self._problem_logged = False
        self._retry_at = 0.0
        self._wait_seconds = 0.0
        self._fetch_task: asyncio.Task[CachedToken | TokenUnavailable] | None = None

    @property
    def is_fetching(self) -> bool:
        """Whether a token request is in flight."""
        return self._fetch_task is not None

    @property
    def secret(self) -> SecretStr | None:
        """The client's secret; None if there is none."""
        return self._secret

    def set_secret(self, secret: SecretStr | None, problem: str) -> None:
        """Set a new secret, or the `problem` why there is none; drops the cached token."""
        self._secret, self._unavailable = secret, TokenUnavailable(problem)
        self.cached, self._failures, self._retry_at = None, 0, 0.0

    async def fetch(self) -> CachedToken | TokenUnavailable:
        """Return a new token, or why there is none; concurrent callers share one request."""
        # Shielded, since the others still wait when one caller is cancelled.
        return await asyncio.shield(self.start_fetch())

    def start_fetch(self) -> "asyncio.Task[CachedToken | TokenUnavailable]":
        """Start a request unless one is in flight; its task need not be awaited."""
        if self._fetch_task is None:
            self._fetch_task = asyncio.create_task(
                self._fetch(), name=f"token of {self._tenant.name}"
            )
            self._fetch_task.add_done_callback(self._on_fetch_done)
        return self._fetch_task

    async def close(self) -> None:
        """Cancel the request in flight."""
        if self._fetch_task is not None:
            self._fetch_task.cancel()
            await asyncio.gather(self._fetch_task, return_exceptions=True)

    def _on_fetch_done(self, _: "asyncio.Task[CachedToken | TokenUnavailable]") -> None:
        self._fetch_task = None

    async def _fetch(self) -> CachedToken | TokenUnavailable:
        secret, requested_at = self._secret, self._now()
        # A wait longer than the decided one means that the clock was set back: do not wait then.
        must_wait = 0 < self._retry_at - requested_at <= self._wait_seconds
        if secret is None or must_wait:
            return self._unavailable
        request = token_request(self._tenant.token, secret, version=self._version)
        exchange = await self._send(request, _PROBE, self._tenant.transport)
        known = [secret] if self.cached is None else [secret, self.cached.token]
        response = _read(exchange, requested_at, known)
        if secret is not self._secret:  # replaced during the request: its response is outdated
            return await self._fetch()
        self._store_response(response)
        self._on_response(self._tenant.name, response)
        return response

    def _store_response(self, response: CachedToken | TokenUnavailable) -> None:
        if isinstance(response, CachedToken):
            if response.problem and not self._problem_logged:
                self._problem_logged = True
                import structlog  # noqa: PLC0415 -- commands start without a log

                structlog.get_logger("prober").warning(
                    "token.expiry_ignored", tenant=self._tenant.name, problem=response.problem
                )
            self.cached, self._failures, self._retry_at = response, 0, 0.0
            return
        self._unavailable = response
        self._failures += 1
        now = self._now()
        failed = None if response.exchange is None else response.exchange.response
        self._wait_seconds = max(
            retry_delay_seconds(self._failures), retry_after_seconds(failed, now)
        )
        self._retry_at = now + self._wait_seconds


def _read(
    exchange: HttpExchange, requested_at: float, known: Sequence[SecretStr]
) -> CachedToken | TokenUnavailable:
    issued = None if exchange.response is None else issued_token(exchange.response)
    # A token may also be in a header or in the text of an error, and the caller need not know it.
    secrets = [*known, *(() if exchange.response is None else tokens_in(exchange.response))]
    exchange = _redacted(exchange, Redactor(secrets, token_shaped=True))
    verdict = classify_token_response(exchange)
    if not verdict.succeeded:
        issued = None
    if issued is not None:
        return cached_token(issued, requested_at)
    return TokenUnavailable(verdict.evidence, _redact_tokens(exchange), verdict)


def _redacted(exchange: HttpExchange, redactor: Redactor) -> HttpExchange:
    response, failure = exchange.response, exchange.failure
    if response is not None:
        headers = tuple((name, redactor.text(value)) for name, value in response.headers)
        response = replace(response, headers=headers)
    if failure is not None:
        failure = replace(failure, detail=redactor.text(failure.detail))
    return replace(exchange, response=response, failure=failure, redactor=redactor)


def _redact_tokens(exchange: HttpExchange) -> HttpExchange:
    """Remove the body of a 2xx response: it may contain a token in any form."""
    response = exchange.response
    if response is None or not 200 <= response.status <= 299:  # noqa: PLR2004
        return exchange
    return replace(exchange, response=replace(response, body=b""))
