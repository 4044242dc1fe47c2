"""The token's state machine at its limits: both sides of each comparison, and each field."""

from dataclasses import replace

import pytest

from prober.models import TokenSource, TokenStatus
from prober.outcomes import Reason, RejectionCause, Responder, TokenState
from prober.tokens.state_machine import (
    Backoff,
    TokenLoaded,
    TokenPolicy,
    TokenRecord,
    accepts,
    may_use_token,
    on_client_rejected,
    on_client_secret,
    on_response,
    on_token_loaded,
    status,
)
from tests.unit.tokens.test_state_machine import (
    MISSING,
    NOW,
    REFUSED,
    REJECTED,
    SOURCE,
    TERMS,
    UNVERIFIED,
    VALID,
    an_answer,
)


@pytest.mark.parametrize(
    ("code", "is_accepted"),
    [(199, False), (200, True), (299, True), (300, False), (None, False), (401, False)],
)
def test_only_a_2xx_of_the_platform_accepts(code: int | None, *, is_accepted: bool) -> None:
    assert accepts(an_answer(Reason.OK, code)) is is_accepted
    foreign = an_answer(Reason.OK, code, provenance=Responder.INTERMEDIARY)
    assert not accepts(foreign)


@pytest.mark.parametrize(
    ("ago", "is_same"), [(0.0, True), (0.999, True), (1.0, False), (1.001, False), (-0.001, False)]
)
def test_an_acceptance_within_a_second_changes_nothing(ago: float, *, is_same: bool) -> None:
    record = replace(VALID, last_accepted_at=NOW - ago)
    found = on_response(record, an_answer(Reason.OK, 200), TERMS, NOW)
    assert (found is record) is is_same
    assert on_response(record, an_answer(Reason.OK, 200), TERMS, NOW).state is TokenState.VALID


def test_an_acceptance_of_a_contradicted_probe_counts_at_once() -> None:
    record = replace(VALID, last_accepted_at=NOW, contradicted=frozenset({"datasets"}))
    assert on_response(record, an_answer(Reason.OK, 200), TERMS, NOW).contradicted == frozenset()


@pytest.mark.parametrize(("began_at", "counts"), [(NOW - 50.001, False), (NOW - 50, True)])
def test_a_request_counts_from_the_moment_of_the_rejection(
    began_at: float, *, counts: bool
) -> None:
    found = on_response(REJECTED, an_answer(Reason.OK, 200, began_at=began_at), TERMS, NOW)
    assert (found.state is TokenState.VALID) is counts


def test_what_an_acceptance_makes_of_a_rejected_token() -> None:
    record = replace(REJECTED, canaries=3, contradicted=frozenset({"streams"}))
    found = on_response(record, an_answer(Reason.OK, 200, probe="sources"), TERMS, NOW)
    assert found.contradicted == {"streams", "datasets"}
    assert (found.canaries, found.next_canary_at, found.refused_probe) == (0, None, None)
    assert (found.cause, found.rejected_since, found.last_accepted_at) == (None, None, NOW)
    unknown = replace(REJECTED, refused_probe=None)  # the client was rejected
    found = on_response(unknown, an_answer(Reason.OK, 200), TERMS, NOW)
    assert found.contradicted == frozenset()
    same = on_response(REJECTED, an_answer(Reason.OK, 200), TERMS, NOW)
    assert same.contradicted == frozenset()


@pytest.mark.parametrize(
    ("expires_at", "last_accepted_at", "cause"),
    [
        (NOW, NOW - 100, RejectionCause.EXPIRED),
        (NOW + 0.001, NOW - 100, RejectionCause.SUPERSEDED),
        (NOW - 100, NOW - 100, RejectionCause.EXPIRED),
        (NOW - 100.001, NOW - 100, RejectionCause.SUPERSEDED),
        (NOW - 100, None, RejectionCause.EXPIRED),
        (None, NOW - 100, RejectionCause.SUPERSEDED),
    ],
)
def test_an_expiry_explains_a_401_from_its_second_on(
    expires_at: float | None, last_accepted_at: float | None, cause: RejectionCause
) -> None:
    record = replace(VALID, stated_expiry=expires_at, last_accepted_at=last_accepted_at)
    found = on_response(record, REFUSED, TERMS, NOW)
    assert (found.cause, found.rejected_since) == (cause, NOW)
    assert (found.refused_probe, found.next_canary_at) == ("datasets", NOW + 60)


def test_a_rejected_client_starts_the_pauses_anew_if_it_was_missing() -> None:
    gone = replace(REJECTED, state=TokenState.MISSING, canaries=5, next_canary_at=NOW - 9)
    found = on_client_rejected(gone, TERMS, NOW)
    assert (found.canaries, found.next_canary_at, found.refused_probe) == (0, NOW + 60, None)
    assert (found.fingerprint, found.rejected_since) == (None, NOW)
    again = on_client_rejected(replace(REJECTED, canaries=5), TERMS, NOW)
    assert (again.canaries, again.next_canary_at) == (5, NOW + 10)


def test_a_renewed_token_has_its_own_expiry_and_no_problem() -> None:
    missing = replace(VALID, state=TokenState.MISSING, problem="no answer")
    found = on_token_loaded(missing, TokenLoaded("cccccccc", NOW + 3600, renewal=True), NOW)
    assert (found.state, found.problem) == (TokenState.UNVERIFIED, None)
    assert (found.stated_expiry, found.loaded_at) == (NOW + 3600, NOW)
    assert found.first_accepted_at == VALID.first_accepted_at


def test_the_same_client_secret_restores_a_missing_source_alone() -> None:
    missing = replace(MISSING, client_secret="s", problem="gone", fingerprint="aaaaaaaa")
    found = on_client_secret(missing, "s")
    assert found == replace(missing, state=TokenState.UNVERIFIED, problem=None)
    refused = replace(missing, cause=RejectionCause.SUPERSEDED)
    assert on_client_secret(refused, "s").state is TokenState.REJECTED
    known = replace(VALID, client_secret="s")
    assert on_client_secret(known, "s") is known
    assert on_client_secret(known, "t").rotations == 1
    assert on_client_secret(replace(known, client_secret=None), "t").rotations == 0


@pytest.mark.parametrize(
    ("wait", "may"),
    [(0.0, True), (-0.001, True), (0.001, False), (1.0, False), (900.0, False), (900.001, True)],
)
def test_a_canary_is_due_at_its_time_or_if_the_clock_was_set_back(
    wait: float, *, may: bool
) -> None:
    record = replace(REJECTED, next_canary_at=NOW + wait)
    assert may_use_token(record, "sources", alone=False, policy=TERMS, now=NOW) is may
    assert may_use_token(record, "datasets", alone=True, policy=TERMS, now=NOW) is may
    assert not may_use_token(record, "datasets", alone=False, policy=TERMS, now=NOW)


@pytest.mark.parametrize(
    "record", [VALID, UNVERIFIED, MISSING, replace(REJECTED, next_canary_at=None)]
)
def test_without_a_pause_every_probe_may(record: TokenRecord) -> None:
    assert may_use_token(record, "datasets", alone=False, policy=TERMS, now=NOW)
    waiting = replace(record, next_canary_at=NOW + 10)
    may = may_use_token(waiting, "sources", alone=False, policy=TERMS, now=NOW)
    assert may is (record.state is not TokenState.REJECTED)


def test_the_status_shows_each_field_of_the_record() -> None:
    record = TokenRecord(
        TokenState.REJECTED,
        "dddddddd",
        "a problem",
        loaded_at=1.0,
        stated_expiry=2.0,
        first_accepted_at=3.0,
        last_accepted_at=4.0,
        rejected_since=5.0,
        cause=RejectionCause.EXPIRED,
        next_canary_at=6.0,
        rotations=7,
    )
    assert status("acme", record, SOURCE) == TokenStatus(
        tenant="acme",
        source=SOURCE,
        state=TokenState.REJECTED,
        fingerprint="dddddddd",
        problem=None,
        cause=RejectionCause.EXPIRED,
        loaded_at=1.0,
        first_accepted_at=3.0,
        last_accepted_at=4.0,
        rejected_since=5.0,
        next_canary_at=6.0,
        expires_at=2.0,
        rotations=7,
    )
    missing = status("acme", replace(record, state=TokenState.MISSING), SOURCE)
    assert (missing.problem, missing.cause) == ("a problem", None)


def test_the_pauses_by_default() -> None:
    assert TokenPolicy(TokenSource(SOURCE.kind, "x")).backoff == Backoff(60.0, 900.0)
    waits = [Backoff(1.0, 10.0).delay_seconds(canaries) for canaries in range(5)]
    assert waits == [1.0, 2.0, 4.0, 8.0, 10.0]
    assert Backoff().delay_seconds(10_000) == 900.0
