import pytest

from prober.outcomes import CLASSIFICATION, Classification, Culprit, FailureKind, Outcome, Reason


def test_every_reason_is_classified() -> None:
    assert set(CLASSIFICATION) == set(Reason)


@pytest.mark.parametrize("kind", FailureKind)
def test_every_kind_of_failure_is_a_reason(kind: FailureKind) -> None:
    assert Reason(kind.value).name == kind.name


@pytest.mark.parametrize("kind", FailureKind)
def test_a_failed_exchange_is_the_networks_or_the_probers(kind: FailureKind) -> None:
    outcome = CLASSIFICATION[Reason(kind.value)].outcome

    assert outcome in {Outcome.NETWORK_FAILURE, Outcome.PROBER_FAULT}


def test_a_success_has_no_culprit_and_all_else_has_one() -> None:
    innocent = {reason for reason, c in CLASSIFICATION.items() if c.culprit is Culprit.NONE}

    assert innocent == {Reason.OK}
    assert CLASSIFICATION[Reason.OK].outcome is Outcome.SUCCESS


@pytest.mark.parametrize(
    ("outcome", "culprits"),
    [
        (Outcome.SUCCESS, {Culprit.NONE}),
        (Outcome.AUTH_FAILURE, {Culprit.CREDENTIAL}),
        (Outcome.API_ERROR, {Culprit.REQUEST, Culprit.TENANT, Culprit.PLATFORM}),
        (Outcome.NETWORK_FAILURE, {Culprit.NETWORK, Culprit.PLATFORM, Culprit.UNDECIDED}),
        (Outcome.PROBER_FAULT, {Culprit.PROBER}),
    ],
)
def test_an_outcome_has_these_culprits(outcome: Outcome, culprits: set[Culprit]) -> None:
    assert {c.culprit for c in CLASSIFICATION.values() if c.outcome is outcome} == culprits


def test_what_may_be_the_platforms_or_the_networks_is_undecided() -> None:
    undecided = {r for r, c in CLASSIFICATION.items() if c.culprit is Culprit.UNDECIDED}

    assert undecided == {
        Reason.CERTIFICATE_NAME_MISMATCH,
        Reason.CONNECTION_RESET,
        Reason.RESPONSE_TIMEOUT,
        Reason.TRUNCATED,
    }


def test_the_table_cannot_be_changed() -> None:
    assert not hasattr(CLASSIFICATION, "__setitem__")
    assert CLASSIFICATION[Reason.OK] == Classification(Outcome.SUCCESS, Culprit.NONE)
