from dataclasses import replace

import pytest

from prober.report.builder import DataCoverage, find_gaps
from prober.report.models import Gap, GapCause
from prober.report.time_range import TimeRange
from tests.unit.stats.factories import NOW

QUARTER = 900.0
SLOTS = {int(NOW + n * QUARTER) for n in range(8)}
SPAN = TimeRange(NOW, NOW + 8 * QUARTER)
ALL = DataCoverage(SLOTS, SLOTS, NOW, None, NOW - 86_400)


def without(*numbers: int) -> DataCoverage:
    left = {slot for slot in SLOTS if (slot - NOW) / QUARTER not in numbers}
    return DataCoverage(left, left, NOW, None, NOW - 86_400)


def test_where_all_is_known_there_is_no_gap() -> None:
    assert find_gaps(SPAN, ALL, 120) == ()


def test_quarters_that_follow_each_other_are_one_gap() -> None:
    found = find_gaps(SPAN, without(2, 3, 6), 120)
    assert found == (
        Gap(NOW + 2 * QUARTER, NOW + 4 * QUARTER, GapCause.NOT_RUNNING),
        Gap(NOW + 6 * QUARTER, NOW + 7 * QUARTER, GapCause.NOT_RUNNING),
    )


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({}, GapCause.NOT_RUNNING),
        ({"recorded": SLOTS}, GapCause.NOT_WATCHED),
        ({"oldest": NOW + 2 * QUARTER}, GapCause.BEFORE_HISTORY),
        ({"oldest": NOW + 2 * QUARTER, "deleted_before": NOW + 900}, GapCause.NO_ROOM),
        ({"oldest": NOW + 2 * QUARTER, "retention_before": NOW + 900}, GapCause.TOO_OLD),
    ],
)
def test_each_gap_says_why(changes: dict[str, object], cause: GapCause) -> None:
    knowledge = replace(without(0), **changes)  # type: ignore[arg-type]
    assert find_gaps(SPAN, knowledge, 120) == (Gap(NOW, NOW + QUARTER, cause),)


def test_what_is_shorter_than_two_runs_is_no_gap() -> None:
    assert find_gaps(SPAN, without(2, 3), 2 * 3600) == ()
    assert find_gaps(TimeRange(NOW + 300, NOW + 8 * QUARTER), without(0), 120) == ()
    assert len(find_gaps(TimeRange(NOW + 300, NOW + 8 * QUARTER), without(0, 1), 120)) == 1
