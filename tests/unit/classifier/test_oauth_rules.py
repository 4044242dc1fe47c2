"""Answers of the identity server, row by row."""

import json
from dataclasses import replace

import pytest

from prober.classifier.oauth_rules import (
    classify_token_response,
    identity_table,
    issued_token,
    tokens_in,
)
from prober.models import Failure, HttpExchange
from prober.outcomes import CLASSIFICATION, FailureKind, Reason, Responder
from tests.unit.classifier.factories import an_answer

TOKEN = {"access_token": "abc", "expires_in": 3600, "token_type": "Bearer"}


def said(status: int, content: object, *headers: tuple[str, str]) -> HttpExchange:
    return an_answer(status, json.dumps(content).encode(), headers=headers)


CASES = {
    "issued": (said(200, TOKEN), Reason.OK, "15i"),
    "wrong-secret": (said(400, {"error": "invalid_client"}), Reason.TOKEN_REJECTED, "8i"),
    "wrong-secret-401": (said(401, {"error": "invalid_client"}), Reason.TOKEN_REJECTED, "8i"),
    "may-not": (said(400, {"error": "unauthorized_client"}), Reason.TOKEN_REJECTED, "8i"),
    "grant": (said(400, {"error": "invalid_grant"}), Reason.TOKEN_REJECTED, "8i"),
    "any-401-of-its-own": (said(401, {"error": "odd"}), Reason.TOKEN_REJECTED, "8i"),
    "scope": (said(400, {"error": "invalid_scope"}), Reason.CLIENT_ERROR, "10i"),
    "limited": (said(429, {"error": "slow_down"}), Reason.RATE_LIMITED, "10i"),
    "broken": (said(500, {"error": "server_error"}), Reason.SERVER_ERROR, "11i"),
    "away": (said(503, {"error": "temporarily_unavailable"}), Reason.SERVER_ERROR, "11i"),
    "no-token": (said(200, {}), Reason.MALFORMED_ENVELOPE, "12i"),
    "mac-token": (said(200, {**TOKEN, "token_type": "mac"}), Reason.MALFORMED_ENVELOPE, "12i"),
    "two-lines": (said(200, {"access_token": "a\nb"}), Reason.MALFORMED_ENVELOPE, "12i"),
    "no-object": (said(200, []), Reason.FOREIGN_RESPONSE, "7i"),
    "page": (an_answer(503, b"<html>"), Reason.FOREIGN_RESPONSE, "7i"),
    "log-in": (said(302, {}, ("Location", "https://x.example/login")), Reason.REDIRECTED, "7i"),
    "bare-401": (an_answer(401, b""), Reason.FOREIGN_RESPONSE, "7i"),
}


@pytest.mark.parametrize(("exchange", "reason", "row"), CASES.values(), ids=CASES)
def test_an_answer_of_the_identity_server(exchange: HttpExchange, reason: Reason, row: str) -> None:
    verdict = classify_token_response(exchange)
    expected = CLASSIFICATION[reason]

    assert (verdict.reason, verdict.rule) == (reason, row)
    assert (verdict.outcome, verdict.culprit) == (expected.outcome, expected.culprit)
    by_intermediary = row == "7i"
    assert (verdict.responder is Responder.INTERMEDIARY) == by_intermediary


@pytest.mark.parametrize("kind", FailureKind)
def test_what_happens_before_it_answers_is_judged_as_ever(kind: FailureKind) -> None:
    failure = HttpExchange("POST", "https://id.example/token", 0.1, failure=Failure(kind, "detail"))

    assert classify_token_response(failure).reason.value == kind.value


@pytest.mark.parametrize(
    ("lifetime", "expected"),
    [
        (3600, 3600.0),
        ("3600", 3600.0),
        (0, None),
        (-5, None),
        (None, None),
        (True, None),
        ("soon", None),
        (1e300, 10 * 366 * 86_400.0),
        ([], None),
    ],
)
def test_the_lifetime_of_a_token(lifetime: object, expected: float | None) -> None:
    response = said(200, {**TOKEN, "expires_in": lifetime}).response
    assert response is not None
    issued = issued_token(response)
    assert issued is not None
    assert issued.lifetime_seconds == expected


def test_every_row_has_a_case() -> None:
    assert {row.number for row in identity_table()} == {row for _, _, row in CASES.values()}


def test_a_token_never_stands_in_a_verdict() -> None:
    assert "abc" not in repr(classify_token_response(said(200, TOKEN)))


@pytest.mark.parametrize(
    ("status", "is_issued"), [(199, False), (200, True), (299, True), (300, False), (400, False)]
)
def test_a_token_is_issued_by_a_2xx(status: int, *, is_issued: bool) -> None:
    response = said(status, TOKEN).response
    assert response is not None
    found = issued_token(response)
    assert (found is not None) is is_issued
    if found is not None:
        assert found.token.get_secret_value() == "abc"
        assert found.lifetime_seconds == 3600.0
    assert issued_token(replace(response, body_over_limit=True)) is None


@pytest.mark.parametrize(("length", "is_usable"), [(16_384, True), (16_385, False)])
def test_the_longest_token(length: int, *, is_usable: bool) -> None:
    response = said(200, {"access_token": "x" * length}).response
    assert response is not None
    assert (issued_token(response) is not None) is is_usable


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (1, 1.0),
        (0.5, 0.5),
        (0, None),
        ("60", 60.0),
        (" 60 ", 60.0),
        (True, None),
        (float("inf"), None),
        (10**400, None),
        (1e12, 10 * 366 * 86_400.0),
        ("soon", None),
        ([], None),
    ],
)
def test_a_lifetime_in_any_form(value: object, seconds: float | None) -> None:
    response = said(200, {**TOKEN, "expires_in": value}).response
    assert response is not None
    found = issued_token(response)
    assert found is not None
    assert found.lifetime_seconds == seconds


def test_all_that_is_called_a_token_is_a_secret() -> None:
    content = {**TOKEN, "Refresh_Token": "r", "id_token": 5, "token_type": "Bearer", "x": "y"}
    response = said(500, content).response
    assert response is not None
    assert [each.get_secret_value() for each in tokens_in(response)] == ["abc", "r"]
    assert tokens_in(replace(response, body=b"[]")) == ()
