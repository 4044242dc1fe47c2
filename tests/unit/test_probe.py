import asyncio
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import pytest
from pydantic import SecretStr

from prober.classifier.oauth_rules import classify_token_response
from prober.classifier.rules import classify
from prober.models import (
    Expectations,
    HttpExchange,
    Probe,
    Request,
    Tenant,
    TokenRef,
    TransportOptions,
    Verdict,
)
from prober.outcomes import Culprit, Endpoint, FailureKind, Outcome, Reason
from prober.probe import MAX_INLINE_BODY_BYTES, ProbeDeps, run_probe
from prober.tokens.manager import TokenLease
from prober.tokens.oauth_client import TokenUnavailable
from tests.builders import a_probe, a_tenant
from tests.unit.classifier.factories import a_failure, an_answer

TENANT, PROBE = a_tenant(), a_probe()
REJECTED = an_answer(401, b'{"status":"error","message":"no"}')
NOW = 1_763_941_234.125


@dataclass
class Tokens:
    """Yields what is given, one after the other, to grants and renewals alike."""

    given: list[str | TokenUnavailable]
    observed: list[tuple[str, str, Reason, int | None, float]] = field(default_factory=list)

    async def lease(self, tenant: Tenant) -> TokenLease | TokenUnavailable:
        token = self.given.pop(0)
        if isinstance(token, TokenUnavailable):
            return token
        return TokenLease(SecretStr(token), TokenRef(f"print-of-{token}", tenant.token))

    async def refresh_rejected(
        self, tenant: Tenant, rejected: TokenLease
    ) -> TokenLease | TokenUnavailable:
        assert rejected.ref.fingerprint.startswith("print-of-")
        return await self.lease(tenant)

    def observe(
        self,
        tenant: Tenant,
        probe: str,
        view: TokenRef,
        verdict: Verdict,
        status: int | None,
        began_at: float,
    ) -> None:
        assert tenant is TENANT
        self.observed.append((probe, view.fingerprint, verdict.reason, status, began_at))


@dataclass
class Client:
    """Answers with the given exchanges one after the other."""

    answers: list[HttpExchange]
    asked_with: list[str] = field(default_factory=list)

    async def exchange(
        self, request: Request, probe: Probe, options: TransportOptions
    ) -> HttpExchange:
        assert (probe, options) == (PROBE, TENANT.transport)
        assert request.authorization is not None
        self.asked_with.append(request.authorization.get_secret_value())
        return self.answers.pop(0)


def a_house(
    tokens: Iterable[str | TokenUnavailable], *answers: HttpExchange
) -> tuple[ProbeDeps, Tokens, Client]:
    keeper, client = Tokens(list(tokens)), Client(list(answers))
    return ProbeDeps(keeper, client, classify, lambda: NOW), keeper, client


async def test_a_good_answer_is_a_success_and_is_told_to_the_keeper() -> None:
    house, tokens, client = a_house(["old"], an_answer())
    result = await run_probe(TENANT, PROBE, house)
    assert (result.tenant, result.probe, result.started_at) == (TENANT.name, PROBE.name, NOW)
    assert result.exchange == an_answer()
    assert result.verdict.outcome is Outcome.SUCCESS
    assert result.token == TokenRef("print-of-old", TENANT.token)
    assert client.asked_with == ["Bearer old"]
    assert tokens.observed == [(PROBE.name, "print-of-old", Reason.OK, 200, NOW)]


async def test_a_failure_in_the_network_has_no_status_to_observe() -> None:
    house, tokens, _ = a_house(["old"], a_failure(FailureKind.DNS))
    result = await run_probe(TENANT, PROBE, house)
    assert result.verdict.reason is Reason.DNS
    assert tokens.observed == [(PROBE.name, "print-of-old", Reason.DNS, None, NOW)]


async def test_without_a_token_nobody_is_asked_and_the_prober_is_at_fault() -> None:
    house, tokens, client = a_house(
        [TokenUnavailable("the environment variable ACME_TOKEN is not set")]
    )
    result = await run_probe(TENANT, PROBE, house)
    verdict = result.verdict
    assert (verdict.outcome, verdict.reason, verdict.culprit) == (
        Outcome.PROBER_FAULT,
        Reason.TOKEN_MISSING,
        Culprit.PROBER,
    )
    assert result.exchange.url == TENANT.base_url + PROBE.path
    assert result.exchange.failure is not None
    assert "ACME_TOKEN is not set" in result.exchange.failure.detail
    assert (result.token, client.asked_with, tokens.observed) == (None, [], [])


async def test_a_rejected_token_that_was_replaced_is_followed_by_the_new_one() -> None:
    house, tokens, client = a_house(["old", "new"], REJECTED, an_answer())
    result = await run_probe(TENANT, PROBE, house)
    assert result.verdict.outcome is Outcome.SUCCESS
    assert result.token == TokenRef("print-of-new", TENANT.token)
    assert client.asked_with == ["Bearer old", "Bearer new"]
    assert tokens.observed == [(PROBE.name, "print-of-new", Reason.OK, 200, NOW)]


async def test_without_an_answer_of_the_identity_server_its_exchange_is_the_evidence() -> None:
    failure = a_failure(FailureKind.CONNECTION_REFUSED)
    withheld = TokenUnavailable("refused", failure, classify_token_response(failure))
    house, tokens, client = a_house([withheld])
    result = await run_probe(TENANT, PROBE, house)
    assert result.endpoint is Endpoint.IDENTITY
    assert (result.exchange, result.verdict) == (withheld.exchange, withheld.verdict)
    assert result.verdict.outcome is Outcome.NETWORK_FAILURE
    assert (result.token, client.asked_with, tokens.observed) == (None, [], [])


async def test_a_rejected_token_whose_source_is_now_empty_is_rejected_all_the_same() -> None:
    house, tokens, client = a_house(["old", TokenUnavailable("empty")], REJECTED)
    result = await run_probe(TENANT, PROBE, house)
    assert result.verdict.reason is Reason.TOKEN_REJECTED
    assert client.asked_with == ["Bearer old"]
    assert [each[1] for each in tokens.observed] == ["print-of-old"]


async def test_a_rejected_token_that_is_still_there_is_not_tried_again() -> None:
    house, _, client = a_house(["old", "old"], REJECTED)
    result = await run_probe(TENANT, PROBE, house)
    assert result.verdict.reason is Reason.TOKEN_REJECTED
    assert client.asked_with == ["Bearer old"]


async def test_the_second_rejection_is_final() -> None:
    house, tokens, client = a_house(["old", "new", "newer"], REJECTED, REJECTED)
    result = await run_probe(TENANT, PROBE, house)
    assert result.verdict.reason is Reason.TOKEN_REJECTED
    assert result.token == TokenRef("print-of-new", TENANT.token)
    assert client.asked_with == ["Bearer old", "Bearer new"]
    assert tokens.given == ["newer"]


@pytest.mark.parametrize("status", [403, 429, 500])
async def test_no_other_answer_is_asked_for_twice(status: int) -> None:
    refused = an_answer(status, b'{"status":"error","message":"no"}')
    house, _, client = a_house(["old", "new"], refused)
    await run_probe(TENANT, PROBE, house)
    assert client.asked_with == ["Bearer old"]


@pytest.mark.parametrize(("size", "in_thread"), [(100, False), (MAX_INLINE_BODY_BYTES + 1, True)])
async def test_a_large_body_is_classified_off_the_event_loop(size: int, *, in_thread: bool) -> None:
    threads: list[int] = []

    def noted(exchange: HttpExchange, expectations: Expectations) -> Verdict:
        threads.append(threading.get_ident())
        return classify(exchange, expectations)

    house, _, _ = a_house(["old"], an_answer(200, b'{"status": "ok"}' + b" " * size))
    result = await run_probe(
        TENANT, PROBE, replace(house, classify=noted, in_thread=asyncio.to_thread)
    )
    assert result.verdict.outcome is Outcome.SUCCESS
    assert (threads[0] != threading.get_ident()) is in_thread
