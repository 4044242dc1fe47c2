"""The law of a token's life, transition by transition."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from prober.models import Latency, TokenSource, TokenSourceKind, Verdict
from prober.outcomes import CLASSIFICATION, Reason, RejectionCause, Responder, TokenState
from prober.tokens.state_machine import (
    Backoff,
    TokenLoaded,
    TokenPolicy,
    TokenRecord,
    TokenResponse,
    known_expiry,
    may_use_token,
    on_canary_started,
    on_client_rejected,
    on_client_secret,
    on_response,
    on_token_loaded,
    on_token_missing,
    status,
)

NOW = 1_000_000.0
SOURCE = TokenSource(TokenSourceKind.FILE, "/token")
TERMS = TokenPolicy(SOURCE, Backoff(60.0, 900.0))
EXPIRES_SOON = TokenPolicy(replace(SOURCE, expires_at=NOW - 1))

MISSING = TokenRecord()
UNVERIFIED = TokenRecord(TokenState.UNVERIFIED, "aaaaaaaa", loaded_at=NOW - 900)
VALID = replace(
    UNVERIFIED,
    state=TokenState.VALID,
    first_accepted_at=NOW - 800,
    last_accepted_at=NOW - 100,
)
REJECTED = replace(
    VALID,
    state=TokenState.REJECTED,
    rejected_since=NOW - 50,
    cause=RejectionCause.SUPERSEDED,
    refused_probe="datasets",
    next_canary_at=NOW + 10,
)


def a_verdict(reason: Reason, provenance: Responder = Responder.PLATFORM) -> Verdict:
    row = CLASSIFICATION[reason]
    return Verdict(row.outcome, reason, row.culprit, provenance, "", "", Latency(0.5))


def an_answer(
    reason: Reason,
    code: int | None,
    *,
    fingerprint: str = "aaaaaaaa",
    probe: str = "datasets",
    began_at: float = NOW - 1,
    provenance: Responder = Responder.PLATFORM,
) -> TokenResponse:
    return TokenResponse(fingerprint, probe, a_verdict(reason, provenance), code, began_at)


OK, REFUSED = an_answer(Reason.OK, 200), an_answer(Reason.TOKEN_REJECTED, 401)
OLD_OK = an_answer(Reason.OK, 200, began_at=NOW - 51)
FRESH = TokenRecord(TokenState.UNVERIFIED, "bbbbbbbb", loaded_at=NOW, rotations=1)


def after(
    answer: TokenResponse, terms: TokenPolicy = TERMS
) -> Callable[[TokenRecord], TokenRecord]:
    return lambda record: on_response(record, answer, terms, NOW)


def read(fingerprint: str, *, renewal: bool = False) -> Callable[[TokenRecord], TokenRecord]:
    return lambda record: on_token_loaded(record, TokenLoaded(fingerprint, renewal=renewal), NOW)


def gone(record: TokenRecord) -> TokenRecord:
    return on_token_missing(record, "empty")


def client(secret: str) -> Callable[[TokenRecord], TokenRecord]:
    return lambda record: on_client_secret(record, secret)


def refused_client(record: TokenRecord) -> TokenRecord:
    return on_client_rejected(record, TERMS, NOW)


def rejected(record: TokenRecord, cause: RejectionCause, probe: str | None) -> TokenRecord:
    return replace(
        record,
        state=TokenState.REJECTED,
        rejected_since=NOW,
        cause=cause,
        refused_probe=probe,
        next_canary_at=NOW + 60,
    )


def accepted(record: TokenRecord) -> TokenRecord:
    return replace(
        record,
        state=TokenState.VALID,
        first_accepted_at=record.first_accepted_at or NOW,
        last_accepted_at=NOW,
        rejected_since=None,
        cause=None,
        refused_probe=None,
        next_canary_at=None,
        canaries=0,
    )


SUPERSEDED, EXPIRED, NEVER = (
    RejectionCause.SUPERSEDED,
    RejectionCause.EXPIRED,
    RejectionCause.NEVER_ACCEPTED,
)
OTHER_OK = an_answer(Reason.OK, 200, probe="sources")
OTHER_REFUSED = an_answer(Reason.TOKEN_REJECTED, 401, probe="sources")
JUST_ACCEPTED = replace(VALID, last_accepted_at=NOW - 0.5)
FOUND_FALSE = replace(accepted(REJECTED), contradicted=frozenset({"datasets"}))
CLIENT = TokenRecord(TokenState.UNVERIFIED, client_secret="cccccccc")
OAUTH_VALID = replace(VALID, client_secret="cccccccc")
OAUTH_REJECTED = replace(REJECTED, client_secret="cccccccc")

TRANSITIONS = {
    # a source yields, or does not
    "first-token": (MISSING, read("aaaaaaaa"), replace(UNVERIFIED, loaded_at=NOW)),
    "the-same-again": (VALID, read("aaaaaaaa"), VALID),
    "the-same-though-rejected": (REJECTED, read("aaaaaaaa"), REJECTED),
    "another-after-unverified": (UNVERIFIED, read("bbbbbbbb"), FRESH),
    "another-after-valid": (VALID, read("bbbbbbbb"), FRESH),
    "another-after-rejected": (REJECTED, read("bbbbbbbb"), FRESH),
    "vanished": (VALID, gone, replace(VALID, state=TokenState.MISSING, problem="empty")),
    "vanished-and-back": (gone(VALID), read("aaaaaaaa"), replace(VALID, state=UNVERIFIED.state)),
    "vanished-and-back-rejected": (gone(REJECTED), read("aaaaaaaa"), REJECTED),
    "vanished-and-another": (gone(VALID), read("bbbbbbbb"), FRESH),
    # the platform answers
    "accepted-at-first": (UNVERIFIED, after(OK), accepted(UNVERIFIED)),
    "accepted-again": (VALID, after(OK), replace(VALID, last_accepted_at=NOW)),
    "accepted-a-moment-ago-as-well": (JUST_ACCEPTED, after(OK), JUST_ACCEPTED),
    "accepted-later-than-now-since-the-clock-was-set": (
        replace(VALID, last_accepted_at=NOW + 9),
        after(OK),
        replace(VALID, last_accepted_at=NOW),
    ),
    "never-accepted": (UNVERIFIED, after(REFUSED), rejected(UNVERIFIED, NEVER, "datasets")),
    "superseded": (VALID, after(REFUSED), rejected(VALID, SUPERSEDED, "datasets")),
    "expired": (VALID, after(REFUSED, EXPIRES_SOON), rejected(VALID, EXPIRED, "datasets")),
    "expired-before-it-was-ever-accepted": (
        UNVERIFIED,
        after(REFUSED, EXPIRES_SOON),
        rejected(UNVERIFIED, EXPIRED, "datasets"),
    ),
    "past-its-max-age-which-is-no-expiry": (
        VALID,
        after(REFUSED, TokenPolicy(replace(SOURCE, max_age_seconds=600.0))),
        rejected(VALID, SUPERSEDED, "datasets"),
    ),
    "accepted-after-its-expiry-which-was-none": (
        VALID,
        after(REFUSED, TokenPolicy(replace(SOURCE, expires_at=NOW - 200))),
        rejected(VALID, SUPERSEDED, "datasets"),
    ),
    "refused-again-keeps-since-and-cause": (
        REJECTED,
        after(OTHER_REFUSED),
        replace(REJECTED, refused_probe="sources"),
    ),
    "the-canary-that-was-refused-is-accepted": (REJECTED, after(OK), accepted(REJECTED)),
    "another-is-accepted-so-the-first-refusal-was-its-own": (
        REJECTED,
        after(OTHER_OK),
        FOUND_FALSE,
    ),
    "the-contradicted-probe-says-nothing": (FOUND_FALSE, after(REFUSED), FOUND_FALSE),
    "the-contradicted-probe-is-accepted-at-last": (
        FOUND_FALSE,
        after(OK),
        replace(FOUND_FALSE, contradicted=frozenset()),
    ),
    "any-other-still-rejects": (
        FOUND_FALSE,
        after(OTHER_REFUSED),
        rejected(FOUND_FALSE, SUPERSEDED, "sources"),
    ),
    "late-acceptance-from-before-the-rejection": (REJECTED, after(OLD_OK), REJECTED),
    "answer-for-another-token": (
        VALID,
        after(an_answer(Reason.TOKEN_REJECTED, 401, fingerprint="older")),
        VALID,
    ),
    "answer-after-it-vanished": (gone(VALID), after(REFUSED), gone(VALID)),
    # what proves nothing
    "403": (VALID, after(an_answer(Reason.PERMISSION_DENIED, 403)), VALID),
    "403-while-rejected": (REJECTED, after(an_answer(Reason.PERMISSION_DENIED, 403)), REJECTED),
    "403-at-first": (UNVERIFIED, after(an_answer(Reason.PERMISSION_DENIED, 403)), UNVERIFIED),
    "429": (UNVERIFIED, after(an_answer(Reason.RATE_LIMITED, 429)), UNVERIFIED),
    "500": (UNVERIFIED, after(an_answer(Reason.SERVER_ERROR, 500)), UNVERIFIED),
    "expected-404": (UNVERIFIED, after(an_answer(Reason.OK, 404)), UNVERIFIED),
    "no-answer": (VALID, after(an_answer(Reason.DNS, None)), VALID),
    "200-of-somebody-else": (
        UNVERIFIED,
        after(an_answer(Reason.FOREIGN_RESPONSE, 200, provenance=Responder.INTERMEDIARY)),
        UNVERIFIED,
    ),
    "200-of-the-platform-that-disappoints": (
        UNVERIFIED,
        after(an_answer(Reason.EXPECTATION_FAILED, 200)),
        accepted(UNVERIFIED),
    ),
    # OAuth clients
    "a-client": (MISSING, client("cccccccc"), CLIENT),
    "the-same-client": (OAUTH_VALID, client("cccccccc"), OAUTH_VALID),
    "another-secret": (
        OAUTH_REJECTED,
        client("dddddddd"),
        TokenRecord(TokenState.UNVERIFIED, client_secret="dddddddd", rotations=1),
    ),
    "a-renewed-token-is-no-rotation": (
        OAUTH_VALID,
        read("bbbbbbbb", renewal=True),
        replace(OAUTH_VALID, state=UNVERIFIED.state, fingerprint="bbbbbbbb", loaded_at=NOW),
    ),
    "a-renewed-token-of-a-rejected-client": (
        OAUTH_REJECTED,
        read("bbbbbbbb", renewal=True),
        replace(OAUTH_REJECTED, fingerprint="bbbbbbbb", loaded_at=NOW),
    ),
    "the-client-is-refused": (
        OAUTH_VALID,
        refused_client,
        replace(rejected(OAUTH_VALID, SUPERSEDED, None), fingerprint=None),
    ),
    "a-new-client-is-refused": (CLIENT, refused_client, rejected(CLIENT, NEVER, None)),
    "the-client-is-refused-again": (
        OAUTH_REJECTED,
        refused_client,
        replace(OAUTH_REJECTED, fingerprint=None),
    ),
}


@pytest.mark.parametrize(("before", "event", "expected"), TRANSITIONS.values(), ids=TRANSITIONS)
def test_a_transition(
    before: TokenRecord, event: Callable[[TokenRecord], TokenRecord], expected: TokenRecord
) -> None:
    assert event(before) == expected


@pytest.mark.parametrize(
    ("canaries", "pause_seconds"),
    [(0, 60), (1, 120), (2, 240), (3, 480), (4, 900), (5, 900), (10_000, 900)],
)
def test_the_pause_doubles_up_to_its_limit(canaries: int, pause_seconds: float) -> None:
    assert Backoff(60.0, 900.0).delay_seconds(canaries) == pause_seconds


def test_a_canary_that_began_puts_off_the_next_one() -> None:
    first = on_canary_started(REJECTED, TERMS, NOW)
    second = on_canary_started(first, TERMS, NOW + 120)

    assert (first.canaries, first.next_canary_at) == (1, NOW + 120)
    assert (second.canaries, second.next_canary_at) == (2, NOW + 360)


@pytest.mark.parametrize(
    ("record", "probe", "alone", "now", "allowed"),
    [
        (UNVERIFIED, "datasets", False, NOW, True),
        (VALID, "datasets", False, NOW, True),
        (MISSING, "datasets", False, NOW, True),
        (REJECTED, "sources", False, NOW, False),
        (REJECTED, "sources", False, NOW + 10, True),
        (REJECTED, "datasets", False, NOW + 10, False),
        (REJECTED, "datasets", True, NOW + 10, True),
        (REJECTED, "sources", False, NOW - 890, False),
        (REJECTED, "sources", False, NOW - 891, True),
    ],
    ids=[
        "unverified",
        "valid",
        "missing",
        "not-yet",
        "due",
        "due-but-the-one-that-was-refused",
        "due-and-there-is-no-other",
        "the-longest-pause",
        "the-clock-was-set-back",
    ],
)
def test_who_may_ask(
    record: TokenRecord, probe: str, alone: bool, now: float, allowed: bool
) -> None:
    assert may_use_token(record, probe, alone=alone, policy=TERMS, now=now) is allowed


@pytest.mark.parametrize(
    ("stated", "configured", "max_age", "expected"),
    [
        (None, None, None, None),
        (None, 500.0, None, 500.0),
        (400.0, 500.0, None, 400.0),
        (600.0, 500.0, None, 600.0),
        (None, None, 1000.0, NOW + 200),
        (NOW + 100, None, 1000.0, NOW + 100),
        (NOW + 300, None, 1000.0, NOW + 200),
    ],
)
def test_when_a_token_expires(
    stated: float | None, configured: float | None, max_age: float | None, expected: float | None
) -> None:
    source = replace(SOURCE, expires_at=configured, max_age_seconds=max_age)

    assert known_expiry(replace(VALID, stated_expiry=stated), source) == expected


def test_max_age_counts_from_the_first_acceptance_and_not_before() -> None:
    assert known_expiry(UNVERIFIED, replace(SOURCE, max_age_seconds=1000.0)) is None


def test_a_cause_and_a_problem_are_shown_while_they_hold_alone() -> None:
    shown = [status("acme", each, SOURCE) for each in (REJECTED, gone(REJECTED), VALID)]

    assert [(each.cause, each.problem) for each in shown] == [
        (SUPERSEDED, None),
        (None, "empty"),
        (None, None),
    ]
