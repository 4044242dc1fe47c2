"""One tenant's tokens from the identity server: asked for one at a time, and kept."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import structlog
from pydantic import SecretStr

from prober.classifier.oauth_rules import classify_token_response, issued_token, tokens_in
from prober.classifier.retry_after import retry_after_seconds
from prober.models import HttpExchange, Probe, Request, Tenant, TransportOptions, Verdict
from prober.redaction import Redactor
from prober.tokens.oauth import CachedToken, cached_token, retry_delay_seconds, token_request

SendRequest = Callable[[Request, Probe, TransportOptions], Awaitable[HttpExchange]]

_logger = structlog.get_logger("prober")
_PROBE = Probe(name="token", path="", method="POST", body_limit_bytes=64 * 1024)
"""The bounds of the exchange: time-outs, and the length of the answer."""


@dataclass(frozen=True, slots=True)
class TokenUnavailable:
    """Why there is no token to ask with; with an exchange if the identity server was asked."""

    problem: str
    exchange: HttpExchange | None = None
    verdict: Verdict | None = None


class OAuthTokenClient:
    """Asks for tokens with a client's secret, one request at a time; after failures, less often.

    A Retry-After of a 429 or a 503 is heeded, if it is longer than the pause after failures.

    `on_answer` hears of every answer, once, before those who wait for it.
    """

    def __init__(
        self,
        tenant: Tenant,
        send: SendRequest,
        now: Callable[[], float],
        version: str,
        on_response: Callable[[str, CachedToken | TokenUnavailable], None],
    ) -> None:
        self.held: CachedToken | None = None
        self._tenant = tenant
        self._ask = send
        self._now = now
        self._version = version
        self._on_answer = on_response
        self._secret: SecretStr | None = None
        self._withheld = TokenUnavailable("the client's secret has not been read yet")
        self._failures = 0
        self._problem_logged = False
        self._ask_again_at = 0.0
        self._longest_wait_seconds = 0.0
        self._asking: asyncio.Task[CachedToken | TokenUnavailable] | None = None

    @property
    def is_fetching(self) -> bool:
        """Whether a request is under way."""
        return self._asking is not None

    def set_secret(self, secret: SecretStr | None, problem: str) -> None:
        """Take a new secret, or the `problem` that there is none; tokens of the old one go."""
        self._secret, self._withheld = secret, TokenUnavailable(problem)
        self.held, self._failures, self._ask_again_at = None, 0, 0.0

    async def fetch(self) -> CachedToken | TokenUnavailable:
        """Return a new token, or why there is none; callers at the same time share one request."""
        return await asyncio.shield(self.start_fetch())

    def start_fetch(self) -> "asyncio.Task[CachedToken | TokenUnavailable]":
        """Begin to ask, unless that is going on; nobody need wait for it."""
        if self._asking is None:
            self._asking = asyncio.create_task(self._fetch(), name=f"token of {self._tenant.name}")
            self._asking.add_done_callback(self._on_fetch_done)
        return self._asking

    async def close(self) -> None:
        """End what is going on."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    def _on_fetch_done(self, _: "asyncio.Task[CachedToken | TokenUnavailable]") -> None:
        self._asking = None

    async def _fetch(self) -> CachedToken | TokenUnavailable:
        secret, asked_at = self._secret, self._now()
        # A longer wait than the one that was decided means that the clock was set back.
        waits = 0 < self._ask_again_at - asked_at <= self._longest_wait_seconds
        if secret is None or waits:
            return self._withheld
        request = token_request(self._tenant.token, secret, version=self._version)
        exchange = await self._ask(request, _PROBE, self._tenant.transport)
        known = [secret] if self.held is None else [secret, self.held.token]
        answer = _read(exchange, asked_at, known)
        if secret is not self._secret:  # replaced while it was asked with
            return await self._fetch()
        self._store_response(answer)
        self._on_answer(self._tenant.name, answer)
        return answer

    def _store_response(self, answer: CachedToken | TokenUnavailable) -> None:
        if isinstance(answer, CachedToken):
            if answer.problem and not self._problem_logged:
                self._problem_logged = True
                _logger.warning(
                    "token_expiry_ignored", tenant=self._tenant.name, problem=answer.problem
                )
            self.held, self._failures, self._ask_again_at = answer, 0, 0.0
            return
        self._withheld = answer
        self._failures += 1
        now = self._now()
        response = None if answer.exchange is None else answer.exchange.response
        self._longest_wait_seconds = max(
            retry_delay_seconds(self._failures), retry_after_seconds(response, now)
        )
        self._ask_again_at = now + self._longest_wait_seconds


def _read(
    exchange: HttpExchange, asked_at: float, known: Sequence[SecretStr]
) -> CachedToken | TokenUnavailable:
    issued = None if exchange.response is None else issued_token(exchange.response)
    # A token may stand in a header, or in the words for an error: who asked need not know it yet.
    secrets = [*known, *(() if exchange.response is None else tokens_in(exchange.response))]
    exchange = _redacted(exchange, Redactor(secrets, token_shaped=True))
    verdict = classify_token_response(exchange)
    if not verdict.succeeded:
        issued = None
    if issued is not None:
        return cached_token(issued, asked_at)
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
    """Leave out the body of a 2xx: it may hold a token in whichever form."""
    response = exchange.response
    if response is None or not 200 <= response.status <= 299:  # noqa: PLR2004
        return exchange
    return replace(exchange, response=replace(response, body=b""))
