import pytest

from prober.outcomes import Reason, SkipCause
from prober.stats.aggregates import Aggregate, TimeBucket, add_run, add_skip, merge_aggregates
from prober.stats.slo import availability_from_aggregate, availability_from_bucket, budget_left
from tests.unit.stats.factories import a_run


def test_the_platform_answers_for_its_own_failures_alone() -> None:
    found = availability_from_bucket(
        TimeBucket(none=90, platform=5, network=3, paused=2, prober=10), 0.995
    )
    assert (found.runs, found.platform_failures, found.end_to_end_failures) == (100, 5, 10)
    # In 95 of 110 runs the platform was observed: three ended on the network path, two were paused
    # for a rejected token, ten failed because of the prober.
    assert (found.observed_runs, found.coverage_ratio) == (95, 95 / 110)
    assert (found.platform_ratio, found.end_to_end_ratio) == (1 - 5 / 95, 0.9)


def test_where_the_platform_was_never_observed_it_is_neither_blamed_nor_cleared() -> None:
    found = availability_from_bucket(TimeBucket(network=60, undecided=40, paused=5), 0.995)
    assert (found.platform_ratio, found.objective_met, found.coverage_ratio) == (None, None, 0.0)
    assert found.end_to_end_ratio == 0.0


def test_what_the_tenant_or_its_credential_did_is_observed_and_no_failure_of_the_platform() -> None:
    found = availability_from_bucket(TimeBucket(credential=2, request=3, tenant=5), 0.995)
    assert (found.observed_runs, found.platform_ratio) == (10, 1.0)


def test_where_nothing_was_asked_nothing_is_known() -> None:
    found = availability_from_bucket(TimeBucket(prober=3, in_maintenance=9), 0.995)
    assert (found.platform_ratio, found.end_to_end_ratio) == (None, None)


def test_a_tally_tells_the_same_as_a_slot() -> None:
    reasons = (Reason.OK, Reason.SERVER_ERROR, Reason.DNS, Reason.INTERNAL_ERROR)
    tallies = [add_run(Aggregate(), a_run(reason=reason)) for reason in reasons]
    tally = merge_aggregates([*tallies, add_skip(Aggregate(), SkipCause.TOKEN_REJECTED)])
    slot = TimeBucket(none=1, platform=1, network=1, prober=1, paused=1)
    assert availability_from_aggregate(tally, 0.9) == availability_from_bucket(slot, 0.9)


@pytest.mark.parametrize(("failures", "left"), [(0, 1.0), (108, 0.5), (216, 0.0), (432, -1.0)])
def test_the_budget_is_a_share_of_all_runs_of_thirty_days(failures: int, left: float) -> None:
    assert budget_left(failures, 1 / 60, 0.995) == pytest.approx(left)


def test_who_promises_everything_has_no_budget() -> None:
    assert budget_left(0, 1 / 60, 1.0) == 0.0


def test_every_figure_of_a_bucket_is_passed_on() -> None:
    bucket = TimeBucket(none=970, platform=5, network=20, paused=5, in_maintenance=3, prober=2)
    found = availability_from_bucket(bucket, 0.99)
    assert found.objective_ratio == 0.99
    assert found.allowed_failures == pytest.approx(9.75)
    assert (found.paused, found.in_maintenance, found.prober_faults) == (5, 3, 2)
    assert found.objective_met is True
    nothing = availability_from_bucket(TimeBucket(), 0.99)
    assert (nothing.coverage_ratio, nothing.end_to_end_ratio, nothing.runs) == (None, None, 0)


@pytest.mark.parametrize(("failures", "is_met"), [(0, True), (1, True), (2, False)])
def test_an_objective_is_met_up_to_its_last_allowed_failure(failures: int, is_met: bool) -> None:
    bucket = TimeBucket(none=200 - failures, platform=failures)
    assert availability_from_bucket(bucket, 0.995).objective_met is is_met


def test_a_budget_of_less_than_a_failure_is_one() -> None:
    seconds_each = 30 * 86_400.0
    assert budget_left(0, 1 / seconds_each, 0.5) == 1.0
    assert budget_left(1, 1 / seconds_each, 0.5) == pytest.approx(-1.0)
    assert budget_left(0, 1 / seconds_each, 1.0) == 0.0
