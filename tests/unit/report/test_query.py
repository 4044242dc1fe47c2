from pathlib import Path

import pytest

from prober.outcomes import TokenEventKind
from prober.report.query import read_history, step_seconds
from prober.report.time_range import TimeRange
from tests.unit.report.factories import DAY, write_the_day
from tests.unit.report.report_factory import NOW, a_report


@pytest.mark.parametrize(
    ("hours", "step"),
    [(0.5, 60), (3, 60), (24, 900), (50, 900), (7 * 24, 3600), (30 * 24, 4 * 3600)],
)
def test_a_picture_has_a_bounded_number_of_steps(hours: float, step: int) -> None:
    assert step_seconds(TimeRange(DAY, DAY + hours * 3600)) == step


def test_ten_thousand_days_are_a_few_steps() -> None:
    assert step_seconds(TimeRange(0.0, 10_000 * 86_400.0)) == 7 * 86_400


def test_what_happened_to_the_token_in_the_span_is_read(tmp_path: Path) -> None:
    write_the_day(tmp_path, range(17 * 60, 17 * 60 + 5))
    [event] = read_history(
        tmp_path, "acme-prod", TimeRange(DAY + 17 * 3600, DAY + 18 * 3600), NOW
    ).token_events
    assert (event.kind, event.fingerprint) == (TokenEventKind.REJECTED, "0123abcd")
    after = TimeRange(DAY + 17 * 3600 + 60, DAY + 18 * 3600)
    assert read_history(tmp_path, "acme-prod", after, NOW).token_events == ()
    assert a_report(tmp_path).availability.paused == 5


def test_a_spell_that_ended_unwatched_before_the_span_is_not_of_it(tmp_path: Path) -> None:
    write_the_day(tmp_path, range(9 * 60, 9 * 60 + 5))
    later = TimeRange(DAY + 12 * 3600, DAY + 13 * 3600)
    assert read_history(tmp_path, "acme-prod", later, NOW).incidents.count == 0


def test_without_a_history_nothing_is_known(tmp_path: Path) -> None:
    past = read_history(tmp_path, "acme-prod", TimeRange(DAY, NOW), NOW)
    assert (past.oldest, past.totals, past.failures) == (None, {}, ())
