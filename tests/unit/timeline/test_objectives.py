import pytest

from prober.outcomes import Reason, SkipCause
from prober.timeline.objectives import availability, availability_of, budget_left
from prober.timeline.slots import Slot
from prober.timeline.tally import Tally, added, with_run, with_skip
from tests.unit.timeline.runs import a_run


def test_the_platform_answers_for_its_own_failures_alone() -> None:
    found = availability(Slot(none=90, platform=5, network=3, held_back=2, prober=10))
    assert (found.asked, found.platform_failures, found.end_to_end_failures) == (100, 5, 10)
    assert (found.platform, found.end_to_end) == (0.95, 0.9)


def test_where_nothing_was_asked_nothing_is_known() -> None:
    found = availability(Slot(prober=3, in_maintenance=9))
    assert (found.platform, found.end_to_end) == (None, None)


def test_a_tally_tells_the_same_as_a_slot() -> None:
    reasons = (Reason.OK, Reason.SERVER_ERROR, Reason.DNS, Reason.INTERNAL_ERROR)
    tallies = [with_run(Tally(), a_run(reason=reason)) for reason in reasons]
    tally = added([*tallies, with_skip(Tally(), SkipCause.TOKEN_REJECTED)])
    slot = Slot(none=1, platform=1, network=1, prober=1, held_back=1)
    assert availability_of(tally) == availability(slot)


@pytest.mark.parametrize(("failures", "left"), [(0, 1.0), (108, 0.5), (216, 0.0), (432, -1.0)])
def test_the_budget_is_a_share_of_all_runs_of_thirty_days(failures: int, left: float) -> None:
    assert budget_left(failures, 1 / 60, 0.995) == pytest.approx(left)


def test_who_promises_everything_has_no_budget() -> None:
    assert budget_left(0, 1 / 60, 1.0) == 0.0
