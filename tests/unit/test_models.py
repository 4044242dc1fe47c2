from dataclasses import MISSING, fields

import pytest
from pydantic import SecretStr

from prober.models import (
    PHASE_NAMES,
    Expectations,
    Failure,
    HttpExchange,
    Latency,
    Phases,
    Probe,
    Request,
    Response,
    Tenant,
    TokenSource,
    TokenSourceKind,
    TransportOptions,
    Verdict,
)
from prober.outcomes import Culprit, FailureKind, Outcome, Reason, Responder


def test_an_exchange_holds_a_response_or_a_failure() -> None:
    with pytest.raises(ValueError, match="a response or a failure"):
        HttpExchange("GET", "http://127.0.0.1/", 0.1)


def test_a_failure_may_carry_the_part_of_an_answer_that_came() -> None:
    failure, partial = Failure(FailureKind.TRUNCATED, "cut"), Response(200, (), b"")

    exchange = HttpExchange("GET", "http://127.0.0.1/", 0.1, response=partial, failure=failure)

    assert (exchange.response, exchange.failure) == (partial, failure)


def test_phases_are_listed_in_order_without_those_that_did_not_take_place() -> None:
    phases = Phases(transfer=0.3, wait=0.2, send=0.0)

    assert phases.as_pairs() == (("send", 0.0), ("wait", 0.2), ("transfer", 0.3))


def test_every_phase_has_a_name() -> None:
    every = Phases(1, 2, 3, 4, 5, 6, 7)

    assert every.as_pairs() == tuple(zip(PHASE_NAMES, (1, 2, 3, 4, 5, 6, 7), strict=True))


def test_all_values_of_a_header_are_found_in_any_case() -> None:
    response = Response(200, (("Server-Timing", "a"), ("X", "b"), ("server-timing", "c")), b"")

    assert response.header_values("SERVER-Timing") == ("a", "c")
    assert response.header_values("absent") == ()


def test_a_token_source_says_what_it_is_and_where() -> None:
    assert str(TokenSource(TokenSourceKind.FILE, "/run/token")) == "file /run/token"


def test_a_request_does_not_show_its_token() -> None:
    request = Request("GET", "http://127.0.0.1/", (), None, SecretStr("Bearer abc"))

    assert "abc" not in repr(request)


@pytest.mark.parametrize("outcome", Outcome)
def test_only_the_outcome_success_is_a_success(outcome: Outcome) -> None:
    verdict = Verdict(
        outcome, Reason.OK, Culprit.NONE, Responder.PLATFORM, "15", "seen", Latency(0.1)
    )

    assert verdict.succeeded is (outcome is Outcome.SUCCESS)


@pytest.mark.parametrize("model", [Probe, Tenant, TransportOptions], ids=lambda each: each.__name__)
def test_defaults_of_settings_are_in_the_schema_alone(model: type) -> None:
    repeated = [
        each.name
        for each in fields(model)
        if each.default not in {MISSING, None, (), Expectations()}
    ]
    assert repeated == []
