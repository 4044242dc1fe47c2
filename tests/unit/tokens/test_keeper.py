import re

import pytest

from prober.errors import TokenUnavailableError
from prober.model import Latency, TokenSource, Verdict
from prober.outcomes import CLASSIFICATION, Provenance, Reason, TokenState
from prober.tokens.keeper import TokenKeeper
from prober.tokens.ledger import TokenRecord
from tests.builders import a_tenant

TENANT = a_tenant()
VARIABLE = TENANT.token.location
SECRET = "3f9c0d1e-not-a-real-token"
Change = tuple[str, TokenState, TokenState, TokenSource]


class House:
    """A keeper over an environment that a test may change, and what it told."""

    def __init__(self) -> None:
        self.environ = {VARIABLE: SECRET}
        self.changes: list[Change] = []
        self.keeper = TokenKeeper([TENANT], self.environ, self._on_change)

    def _on_change(
        self, tenant: str, before: TokenRecord, after: TokenRecord, source: TokenSource
    ) -> None:
        self.changes.append((tenant, before.state, after.state, source))


@pytest.fixture
def house() -> House:
    return House()


def a_verdict(reason: Reason) -> Verdict:
    row = CLASSIFICATION[reason]
    return Verdict(row.outcome, reason, row.culprit, Provenance.PLATFORM, "", "", Latency(0.5))


def test_a_token_is_known_by_a_stable_fingerprint_that_is_not_it(house: House) -> None:
    one, other = house.keeper.grant(TENANT), house.keeper.grant(TENANT)
    assert one.token.get_secret_value() == SECRET
    assert one.view == other.view
    assert re.fullmatch(r"[0-9a-f]{8}", one.view.fingerprint)
    assert one.view.fingerprint not in SECRET
    assert SECRET not in repr(one)


def test_two_processes_give_one_token_two_fingerprints(house: House) -> None:
    other = TokenKeeper([TENANT], house.environ)
    assert other.grant(TENANT).view != house.keeper.grant(TENANT).view


def test_a_new_token_is_a_rotation(house: House) -> None:
    before = house.keeper.grant(TENANT)
    house.environ[VARIABLE] = "another-token"
    after = house.keeper.grant(TENANT)
    assert before.view.fingerprint != after.view.fingerprint
    assert house.keeper.record(TENANT.name) == TokenRecord(
        TokenState.UNVERIFIED, after.view.fingerprint, rotations=1
    )


def test_a_change_is_told_once(house: House) -> None:
    view = house.keeper.grant(TENANT).view
    house.keeper.grant(TENANT)
    for at in (1.0, 1.0):
        house.keeper.observe(TENANT, view, a_verdict(Reason.OK), 200, at)
    for _ in range(2):
        house.keeper.observe(TENANT, view, a_verdict(Reason.TOKEN_REJECTED), 401, 2.0)
    assert house.changes == [
        (TENANT.name, TokenState.MISSING, TokenState.UNVERIFIED, TENANT.token),
        (TENANT.name, TokenState.UNVERIFIED, TokenState.VALID, TENANT.token),
        (TENANT.name, TokenState.VALID, TokenState.REJECTED, TENANT.token),
    ]


def test_a_missing_token_is_told_and_noted(house: House) -> None:
    house.keeper.grant(TENANT)
    house.environ.clear()
    with pytest.raises(TokenUnavailableError, match=f"{VARIABLE} is not set"):
        house.keeper.grant(TENANT)
    assert house.keeper.record(TENANT.name).state is TokenState.MISSING
    assert [after for _, _, after, _ in house.changes] == [
        TokenState.UNVERIFIED,
        TokenState.MISSING,
    ]
