from dataclasses import replace

import pytest

from prober.model import Latency, Verdict
from prober.outcomes import CLASSIFICATION, Provenance, Reason, TokenState
from prober.tokens.ledger import TokenRecord, judged, loaded, missing

MISSING = TokenRecord()
UNVERIFIED = TokenRecord(TokenState.UNVERIFIED, "aaaa1111")
VALID = TokenRecord(TokenState.VALID, "aaaa1111", first_accepted_at=1.0, last_accepted_at=2.0)
REJECTED = replace(VALID, state=TokenState.REJECTED, rejected_since=3.0)
NEVER_ACCEPTED = TokenRecord(TokenState.REJECTED, "aaaa1111", rejected_since=3.0)
LOST = replace(VALID, state=TokenState.MISSING)


def a_verdict(reason: Reason, provenance: Provenance = Provenance.PLATFORM) -> Verdict:
    row = CLASSIFICATION[reason]
    return Verdict(row.outcome, reason, row.culprit, provenance, "", "", Latency(0.5))


@pytest.mark.parametrize(
    ("before", "fingerprint", "after"),
    [
        (MISSING, "aaaa1111", UNVERIFIED),
        (UNVERIFIED, "aaaa1111", UNVERIFIED),
        (VALID, "aaaa1111", VALID),
        (REJECTED, "aaaa1111", REJECTED),
        (LOST, "aaaa1111", replace(VALID, state=TokenState.UNVERIFIED)),
        (VALID, "bbbb2222", TokenRecord(TokenState.UNVERIFIED, "bbbb2222", rotations=1)),
        (REJECTED, "bbbb2222", TokenRecord(TokenState.UNVERIFIED, "bbbb2222", rotations=1)),
        (LOST, "bbbb2222", TokenRecord(TokenState.UNVERIFIED, "bbbb2222", rotations=1)),
    ],
)
def test_what_the_source_yields_moves_the_state(
    before: TokenRecord, fingerprint: str, after: TokenRecord
) -> None:
    assert loaded(before, fingerprint) == after


@pytest.mark.parametrize("before", [MISSING, UNVERIFIED, VALID, REJECTED])
def test_a_source_without_token_leaves_what_was_known(before: TokenRecord) -> None:
    assert missing(before) == replace(before, state=TokenState.MISSING)


ACCEPTED = TokenRecord(TokenState.VALID, "aaaa1111", 9.0, 9.0)
ACCEPTED_AGAIN = TokenRecord(TokenState.VALID, "aaaa1111", 1.0, 9.0)


@pytest.mark.parametrize(
    ("before", "reason", "status", "after"),
    [
        (UNVERIFIED, Reason.OK, 200, ACCEPTED),
        (VALID, Reason.OK, 200, ACCEPTED_AGAIN),
        (REJECTED, Reason.OK, 200, ACCEPTED_AGAIN),
        (UNVERIFIED, Reason.PERMISSION_DENIED, 403, ACCEPTED),
        (UNVERIFIED, Reason.RATE_LIMITED, 429, ACCEPTED),
        (UNVERIFIED, Reason.EXPECTATION_FAILED, 200, ACCEPTED),
        (UNVERIFIED, Reason.OK, 404, UNVERIFIED),
        (UNVERIFIED, Reason.SERVER_ERROR, 500, UNVERIFIED),
        (VALID, Reason.DNS, None, VALID),
        (
            UNVERIFIED,
            Reason.TOKEN_REJECTED,
            401,
            TokenRecord(TokenState.REJECTED, "aaaa1111", rejected_since=9.0),
        ),
        (VALID, Reason.TOKEN_REJECTED, 401, replace(REJECTED, rejected_since=9.0)),
        (REJECTED, Reason.TOKEN_REJECTED, 401, REJECTED),
        (NEVER_ACCEPTED, Reason.OK, 404, NEVER_ACCEPTED),
    ],
)
def test_an_answer_moves_the_state_when_it_proves_something(
    before: TokenRecord, reason: Reason, status: int | None, after: TokenRecord
) -> None:
    assert judged(before, "aaaa1111", a_verdict(reason), status, 9.0) == after


def test_an_intermediarys_answer_accepts_no_token() -> None:
    verdict = a_verdict(Reason.FOREIGN_RESPONSE, Provenance.INTERMEDIARY)
    assert judged(UNVERIFIED, "aaaa1111", verdict, 200, 9.0) == UNVERIFIED


@pytest.mark.parametrize("reason", [Reason.OK, Reason.TOKEN_REJECTED])
def test_an_answer_to_a_token_since_replaced_says_nothing(reason: Reason) -> None:
    assert judged(UNVERIFIED, "bbbb2222", a_verdict(reason), 200, 9.0) == UNVERIFIED
