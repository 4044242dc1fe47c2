from dataclasses import replace

import pytest

from prober.models import (
    TokenSource,
    TokenSourceKind,
    TokenStatus,
    shared_groups,
    shared_token_rejected_for,
    shared_with,
)
from prober.outcomes import RejectionCause
from prober.outcomes import TokenState as State
from prober.tokens.state_machine import events_between, expiry_stage

SOURCE = TokenSource(TokenSourceKind.FILE, "/token")
NEW = TokenStatus("acme", SOURCE)
EMPTY = replace(NEW, problem="empty")
LOADED = replace(NEW, state=State.UNVERIFIED, fingerprint="aaaaaaaa")
VALID = replace(LOADED, state=State.VALID, first_accepted_at=1.0)
REJECTED = replace(VALID, state=State.REJECTED, cause=RejectionCause.SUPERSEDED)
ROTATED = replace(LOADED, fingerprint="bbbbbbbb", rotations=1)


@pytest.mark.parametrize(
    ("before", "after", "reported"),
    [
        (NEW, EMPTY, ["token_missing"]),
        (EMPTY, EMPTY, []),
        (NEW, LOADED, ["token_loaded"]),
        (LOADED, VALID, ["token_accepted"]),
        (VALID, replace(VALID, last_accepted_at=2.0), []),
        (VALID, REJECTED, ["token_rejected"]),
        (REJECTED, VALID, ["token_accepted"]),
        (REJECTED, ROTATED, ["token_rotated"]),
        (VALID, replace(VALID, state=State.UNVERIFIED, fingerprint="bbbbbbbb"), []),
        (replace(VALID, state=State.UNVERIFIED), VALID, []),
    ],
    ids=[
        "missing",
        "still-missing",
        "loaded",
        "accepted",
        "accepted-again",
        "rejected",
        "forgiven",
        "rotated",
        "renewed",
        "renewed-and-accepted",
    ],
)
def test_what_happened(before: TokenStatus, after: TokenStatus, reported: list[str]) -> None:
    assert [kind.value for kind in events_between(before, after)] == reported


@pytest.mark.parametrize(
    ("left_seconds", "stage"),
    [(100.0, None), (49.0, 50.0), (10.0, 50.0), (9.0, 10.0), (0.0, 10.0), (-1.0, 0.0)],
)
def test_the_stage_of_an_expiry(left_seconds: float, stage: float | None) -> None:
    status = replace(VALID, expires_at=1000.0)

    assert expiry_stage(status, (50.0, 10.0, 0.0), 1000.0 - left_seconds) == stage


def test_without_a_known_expiry_and_for_oauth_there_is_no_stage() -> None:
    oauth = replace(VALID, expires_at=1.0, source=TokenSource(TokenSourceKind.OAUTH, "https://x"))

    assert [expiry_stage(each, (50.0,), 10.0) for each in (VALID, oauth)] == [None, None]


def test_tenants_with_one_token_share_a_fate() -> None:
    every = {
        "a": replace(VALID, tenant="a"),
        "b": replace(REJECTED, tenant="b"),
        "c": replace(ROTATED, tenant="c"),
        "d": replace(NEW, tenant="d"),
        "e": replace(NEW, tenant="e"),
    }

    assert [shared_with(every, each) for each in "abcd"] == [("b",), ("a",), (), ()]
    assert shared_groups(every) == (("a", "b"),)
    assert [shared_token_rejected_for(every, each) for each in "abc"] == ["b", None, None]
