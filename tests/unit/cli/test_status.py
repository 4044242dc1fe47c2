"""Which tenants `prober status` counts as in trouble."""

from typing import Any

import pytest

from prober.cli.status import is_well, outcomes_of
from prober.outcomes import Outcome


def a_tenant(
    culprit: str, *, is_ok: bool, state: str = "valid", outcome: str | None = "success"
) -> dict[str, Any]:
    last_run = None if outcome is None else {"outcome": outcome}
    return {
        "is_ok": is_ok,
        "culprit": culprit,
        "token": {"state": state},
        "probes": [{"last_run": last_run}],
    }


@pytest.mark.parametrize(
    ("tenant", "well", "outcomes"),
    [
        (a_tenant("none", is_ok=True), True, []),
        (a_tenant("none", is_ok=False, state="unverified", outcome=None), True, []),
        (a_tenant("none", is_ok=True, state="rejected"), False, []),
        (a_tenant("platform", is_ok=False, outcome="api_error"), False, [Outcome.API_ERROR]),
        (a_tenant("prober", is_ok=False, outcome=None), False, [Outcome.PROBER_FAULT]),
    ],
    ids=["ok", "waits for its first run", "rejected token", "failing", "not probed"],
)
def test_who_is_in_trouble(tenant: dict[str, Any], *, well: bool, outcomes: list[Outcome]) -> None:
    assert is_well(tenant) == well
    assert outcomes_of(tenant) == outcomes
