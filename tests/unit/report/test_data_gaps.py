from dataclasses import replace

import pytest

from prober.report.builder import DataCoverage, find_gaps
from prober.report.models import Gap, GapCause
from prober.report.time_range import TimeRange
from prober.stats.aggregates import bucket_start
from tests.unit.stats.factories import NOW

MINUTE, QUARTER = 60.0, 900.0
ALL_MINUTES = range(120)
SPAN = TimeRange(NOW, NOW + 8 * QUARTER)
QUARTERS = {int(NOW + n * QUARTER) for n in range(8)}


def a_coverage(minutes: set[int], **changes: object) -> DataCoverage:
    """Return what a history has that recorded a run in these minutes after NOW."""
    starts = {int(NOW + minute * MINUTE) for minute in minutes}
    quarters = {bucket_start(start) for start in starts}
    coverage = DataCoverage(starts, quarters, quarters, NOW, None, NOW - 86_400)
    return replace(coverage, **changes)  # type: ignore[arg-type]


def without(*minutes: range) -> set[int]:
    return set(ALL_MINUTES) - {minute for each in minutes for minute in each}


def a_gap(first: int, last: int, cause: GapCause) -> Gap:
    return Gap(NOW + first * MINUTE, NOW + last * MINUTE, cause)


def test_where_all_is_known_there_is_no_gap() -> None:
    assert find_gaps(SPAN, a_coverage(without()), 120) == ()


def test_a_gap_is_as_long_as_no_run_is_recorded() -> None:
    found = find_gaps(SPAN, a_coverage(without(range(30, 60), range(91, 98))), 120)
    assert found == (
        a_gap(30, 60, GapCause.NOT_RUNNING),
        a_gap(91, 98, GapCause.NO_RUN),
    )


def test_a_hole_between_two_runs_in_neighbouring_quarters_is_a_gap() -> None:
    half_an_hour = TimeRange(NOW, NOW + 1800)
    assert find_gaps(half_an_hour, a_coverage({0, 29}), 120) == (a_gap(1, 29, GapCause.NO_RUN),)


def test_a_gap_begins_and_ends_within_a_quarter() -> None:
    found = find_gaps(SPAN, a_coverage(without(range(40, 82))), 120)
    assert found == (a_gap(40, 82, GapCause.NOT_RUNNING),)


def test_what_is_before_the_first_run_is_unknown_to_the_minute() -> None:
    began = NOW + 55 * MINUTE
    coverage = a_coverage(without(range(55)), oldest=began)
    hour = TimeRange(NOW, NOW + 3600)
    assert find_gaps(hour, coverage, 120) == (a_gap(0, 55, GapCause.BEFORE_HISTORY),)


def test_a_gap_is_divided_where_its_cause_changes() -> None:
    coverage = a_coverage(without(range(60)), oldest=NOW + 30 * MINUTE)
    assert find_gaps(SPAN, coverage, 120) == (
        a_gap(0, 30, GapCause.BEFORE_HISTORY),
        a_gap(30, 60, GapCause.NOT_RUNNING),
    )


def test_the_end_of_the_range_ends_a_gap() -> None:
    span = TimeRange(NOW, NOW + 110.5 * MINUTE)
    [found] = find_gaps(span, a_coverage(without(range(100, 120))), 120)
    assert (found.started_at, found.ended_at) == (NOW + 6000, NOW + 6630)


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({}, GapCause.NOT_RUNNING),
        ({"recorded": QUARTERS}, GapCause.NOT_WATCHED),
        ({"oldest": NOW + 2 * QUARTER}, GapCause.BEFORE_HISTORY),
        ({"oldest": NOW + 2 * QUARTER, "deleted_before": NOW + 900}, GapCause.NO_ROOM),
        ({"oldest": NOW + 2 * QUARTER, "retention_before": NOW + 900}, GapCause.TOO_OLD),
    ],
)
def test_each_gap_says_why(changes: dict[str, object], cause: GapCause) -> None:
    coverage = a_coverage(without(range(15)), **changes)
    assert find_gaps(SPAN, coverage, 120) == (a_gap(0, 15, cause),)


def test_what_is_shorter_than_two_runs_is_no_gap() -> None:
    coverage = a_coverage(without(range(30, 60)))
    assert find_gaps(SPAN, coverage, 2 * 3600) == ()
    assert find_gaps(SPAN, a_coverage(without(range(30, 31))), 120) == ()
    assert len(find_gaps(SPAN, a_coverage(without(range(30, 32))), 120)) == 1
