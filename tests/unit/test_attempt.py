from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
from pydantic import SecretStr

from prober.attempt import Collaborators, attempt
from prober.credential import TokenView
from prober.model import Exchange, Probe, Request, Tenant, TransportOptions, Verdict
from prober.outcomes import Counterpart, Culprit, FailureKind, Outcome, Reason
from prober.tokens.identity import Withheld
from prober.tokens.keeper import Grant
from prober.verdict.identity import judge_identity
from prober.verdict.rules import judge
from tests.builders import a_probe, a_tenant
from tests.unit.verdict.cases import a_failure, an_answer

TENANT, PROBE = a_tenant(), a_probe()
REJECTED = an_answer(401, b'{"status":"error","message":"no"}')
NOW = 1_763_941_234.125


@dataclass
class Tokens:
    """Yields what is given, one after the other, to grants and renewals alike."""

    given: list[str | Withheld]
    observed: list[tuple[str, str, Reason, int | None, float]] = field(default_factory=list)

    async def grant(self, tenant: Tenant) -> Grant | Withheld:
        token = self.given.pop(0)
        if isinstance(token, Withheld):
            return token
        return Grant(SecretStr(token), TokenView(f"print-of-{token}", tenant.token))

    async def renewed(self, tenant: Tenant, rejected: Grant) -> Grant | Withheld:
        assert rejected.view.fingerprint.startswith("print-of-")
        return await self.grant(tenant)

    def observe(
        self,
        tenant: Tenant,
        probe: str,
        view: TokenView,
        verdict: Verdict,
        status: int | None,
        began_at: float,
    ) -> None:
        assert tenant is TENANT
        self.observed.append((probe, view.fingerprint, verdict.reason, status, began_at))


@dataclass
class Client:
    """Answers with the given exchanges one after the other."""

    answers: list[Exchange]
    asked_with: list[str] = field(default_factory=list)

    async def exchange(self, request: Request, probe: Probe, options: TransportOptions) -> Exchange:
        assert (probe, options) == (PROBE, TENANT.transport)
        assert request.authorization is not None
        self.asked_with.append(request.authorization.get_secret_value())
        return self.answers.pop(0)


def a_house(
    tokens: Iterable[str | Withheld], *answers: Exchange
) -> tuple[Collaborators, Tokens, Client]:
    keeper, client = Tokens(list(tokens)), Client(list(answers))
    return Collaborators(keeper, client, judge, lambda: NOW), keeper, client


async def test_a_good_answer_is_a_success_and_is_told_to_the_keeper() -> None:
    house, tokens, client = a_house(["old"], an_answer())
    result = await attempt(TENANT, PROBE, house)
    assert (result.tenant, result.probe, result.started_at) == (TENANT.name, PROBE.name, NOW)
    assert result.exchange == an_answer()
    assert result.verdict.outcome is Outcome.SUCCESS
    assert result.token == TokenView("print-of-old", TENANT.token)
    assert client.asked_with == ["Bearer old"]
    assert tokens.observed == [(PROBE.name, "print-of-old", Reason.OK, 200, NOW)]


async def test_a_failure_in_the_network_has_no_status_to_observe() -> None:
    house, tokens, _ = a_house(["old"], a_failure(FailureKind.DNS))
    result = await attempt(TENANT, PROBE, house)
    assert result.verdict.reason is Reason.DNS
    assert tokens.observed == [(PROBE.name, "print-of-old", Reason.DNS, None, NOW)]


async def test_without_a_token_nobody_is_asked_and_the_prober_is_at_fault() -> None:
    house, tokens, client = a_house([Withheld("the environment variable ACME_TOKEN is not set")])
    result = await attempt(TENANT, PROBE, house)
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
    result = await attempt(TENANT, PROBE, house)
    assert result.verdict.outcome is Outcome.SUCCESS
    assert result.token == TokenView("print-of-new", TENANT.token)
    assert client.asked_with == ["Bearer old", "Bearer new"]
    assert tokens.observed == [(PROBE.name, "print-of-new", Reason.OK, 200, NOW)]


async def test_without_an_answer_of_the_identity_server_its_exchange_is_the_evidence() -> None:
    failure = a_failure(FailureKind.CONNECTION_REFUSED)
    withheld = Withheld("refused", failure, judge_identity(failure))
    house, tokens, client = a_house([withheld])
    result = await attempt(TENANT, PROBE, house)
    assert result.counterpart is Counterpart.IDENTITY
    assert (result.exchange, result.verdict) == (withheld.exchange, withheld.verdict)
    assert result.verdict.outcome is Outcome.NETWORK_FAILURE
    assert (result.token, client.asked_with, tokens.observed) == (None, [], [])


async def test_a_rejected_token_whose_source_is_now_empty_is_rejected_all_the_same() -> None:
    house, tokens, client = a_house(["old", Withheld("empty")], REJECTED)
    result = await attempt(TENANT, PROBE, house)
    assert result.verdict.reason is Reason.TOKEN_REJECTED
    assert client.asked_with == ["Bearer old"]
    assert [each[1] for each in tokens.observed] == ["print-of-old"]


async def test_a_rejected_token_that_is_still_there_is_not_tried_again() -> None:
    house, _, client = a_house(["old", "old"], REJECTED)
    result = await attempt(TENANT, PROBE, house)
    assert result.verdict.reason is Reason.TOKEN_REJECTED
    assert client.asked_with == ["Bearer old"]


async def test_the_second_rejection_is_final() -> None:
    house, tokens, client = a_house(["old", "new", "newer"], REJECTED, REJECTED)
    result = await attempt(TENANT, PROBE, house)
    assert result.verdict.reason is Reason.TOKEN_REJECTED
    assert result.token == TokenView("print-of-new", TENANT.token)
    assert client.asked_with == ["Bearer old", "Bearer new"]
    assert tokens.given == ["newer"]


@pytest.mark.parametrize("status", [403, 429, 500])
async def test_no_other_answer_is_asked_for_twice(status: int) -> None:
    refused = an_answer(status, b'{"status":"error","message":"no"}')
    house, _, client = a_house(["old", "new"], refused)
    await attempt(TENANT, PROBE, house)
    assert client.asked_with == ["Bearer old"]
