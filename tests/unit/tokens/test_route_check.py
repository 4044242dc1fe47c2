"""Whether a 401 concerns the token or one route alone."""

from dataclasses import dataclass, field

import pytest

from prober.tokens.route_check import (
    CHECK_INTERVAL_SECONDS,
    RouteCheckState,
    RouteConclusion,
    RouteDecision,
    conclude,
    on_accepted,
    on_checked,
    on_refused,
)

CHECK = RouteConclusion(RouteDecision.CHECK)
REJECTED = RouteConclusion(RouteDecision.TOKEN_REJECTED)
NEW = RouteCheckState("0123abcd")


def unauthorized(route: str) -> RouteConclusion:
    return RouteConclusion(RouteDecision.ROUTE_UNAUTHORIZED, route)


def test_the_first_refusal_is_checked() -> None:
    assert conclude(NEW, "fetch", 1000.0) == CHECK


@pytest.mark.parametrize(("route", "expected"), [("me", unauthorized("me")), (None, REJECTED)])
def test_within_a_minute_the_last_check_holds_for_every_probe(
    route: str | None, expected: RouteConclusion
) -> None:
    state = on_refused(on_checked(NEW, route, 1000.0), "fetch", 1000.0)
    for probe in ("fetch", "stream"):
        assert conclude(state, probe, 1000.0) == expected
        assert conclude(state, probe, 1000.0 + CHECK_INTERVAL_SECONDS - 0.1) == expected
        assert conclude(state, probe, 1000.0 + CHECK_INTERVAL_SECONDS) == CHECK


def test_a_probe_whose_token_was_accepted_since_its_last_401_needs_no_check() -> None:
    state = on_accepted(on_refused(NEW, "fetch", 1000.0), "datasets", 1030.0)
    assert conclude(state, "fetch", 2000.0) == unauthorized("datasets")
    assert conclude(on_refused(state, "fetch", 2000.0), "fetch", 2060.0) == CHECK


def test_what_was_accepted_before_the_last_401_proves_nothing() -> None:
    state = on_refused(on_accepted(NEW, "datasets", 990.0), "fetch", 1000.0)
    assert conclude(state, "fetch", 1100.0) == CHECK


def test_a_probe_is_no_other_probe() -> None:
    state = on_accepted(on_refused(NEW, "fetch", 1000.0), "fetch", 1030.0)
    assert conclude(state, "fetch", 1100.0) == CHECK


def test_a_probe_that_was_accepted_after_a_refused_check_refutes_it() -> None:
    state = on_accepted(on_checked(NEW, None, 1000.0), "datasets", 1020.0)
    assert conclude(state, "fetch", 1030.0) == unauthorized("datasets")


def test_a_clock_that_was_set_back_does_not_suspend_checks() -> None:
    assert conclude(on_checked(NEW, "me", 5000.0), "fetch", 1000.0) == CHECK


@dataclass
class Runs:
    """Two probes or more, one refused by its route; the token dies at a given time."""

    dies_at: float
    state: RouteCheckState = NEW
    checks: list[float] = field(default_factory=list)

    def noticed_at(self, due: list[tuple[float, str]]) -> float | None:
        for at, probe in due:
            alive = at < self.dies_at
            if alive and not probe.startswith("unauthorized"):
                self.state = on_accepted(self.state, probe, at)
                continue
            conclusion = conclude(self.state, probe, at)
            if conclusion == CHECK:
                self.checks.append(at)
                self.state = on_checked(self.state, "me" if alive else None, at)
                conclusion = unauthorized("me") if alive else REJECTED
            if conclusion == REJECTED:
                return at
            self.state = on_refused(self.state, probe, at)
        return None


PROBES = {
    "one route": ["unauthorized"],
    "beside another": ["unauthorized", "datasets"],
    "two of six": ["unauthorized-1", "unauthorized-2", "a", "b", "c", "d"],
}


@pytest.mark.parametrize("probes", PROBES.values(), ids=list(PROBES))
@pytest.mark.parametrize("dies_at", [600.5, 610.5, 620.0, 631.0, 645.0, 659.9])
def test_a_token_that_dies_is_noticed_within_a_minute(probes: list[str], dies_at: float) -> None:
    step = 60.0 / len(probes)
    due = [
        (minute * 60.0 + index * step, probe)
        for minute in range(30)
        for index, probe in enumerate(probes)
    ]
    runs = Runs(dies_at)
    noticed_at = runs.noticed_at(due)
    assert noticed_at is not None
    assert noticed_at - dies_at <= 60.0
    gaps = [after - before for before, after in zip(runs.checks, runs.checks[1:], strict=False)]
    assert min(gaps, default=60.0) >= CHECK_INTERVAL_SECONDS


@pytest.mark.parametrize("probes", PROBES.values(), ids=list(PROBES))
def test_a_token_that_lives_is_never_said_to_be_rejected(probes: list[str]) -> None:
    due = [
        (minute * 60.0 + index, probe)
        for minute in range(100)
        for index, probe in enumerate(probes)
    ]
    assert Runs(1e9).noticed_at(due) is None
