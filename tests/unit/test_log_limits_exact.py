"""The log's limits, on both sides of each."""

import pytest

from prober.log_limits import (
    MAX_LINES_AT_ONCE,
    REPORT_DROPPED_SECONDS,
    BucketDecision,
    LogDecision,
    LoggedStreak,
    TokenBucket,
    mark_logged,
    on_failure,
    take_token,
)


@pytest.mark.parametrize(("seconds", "is_logged"), [(599.999, False), (600.0, True)])
def test_a_failure_is_logged_again_after_ten_minutes(seconds: float, *, is_logged: bool) -> None:
    before = LoggedStreak("dns", 100.0, failures=3, unlogged=2)
    assert on_failure(before, "dns", 100.0 + seconds) == LogDecision(
        is_logged, LoggedStreak("dns", 100.0, failures=4, unlogged=3)
    )
    assert on_failure(before, "proxy", 100.0 + seconds) == LogDecision(
        True, LoggedStreak("proxy", 100.0 + seconds, failures=1, unlogged=0)
    )
    assert on_failure(None, "dns", 7.0) == LogDecision(True, LoggedStreak("dns", 7.0, 1, 0))
    assert mark_logged(before, 9.0) == LoggedStreak("dns", 9.0, failures=3, unlogged=0)


def test_a_bucket_begins_full() -> None:
    assert TokenBucket(0.0) == TokenBucket(0.0, 2000.0, 0, float("-inf"))
    assert take_token(TokenBucket(0.0), 1.0).then == TokenBucket(1.0, MAX_LINES_AT_ONCE - 1)


@pytest.mark.parametrize(
    ("lines", "seconds", "left"),
    [(1.0, 0.0, 0.0), (1.5, 0.0, 0.5), (0.5, 0.25, 12.0), (0.0, 0.5, 24.0), (5.0, -9.0, 4.0)],
)
def test_a_line_takes_a_token_and_fifty_come_back_each_second(
    lines: float, seconds: float, left: float
) -> None:
    found = take_token(TokenBucket(10.0, lines), 10.0 + seconds)
    assert (found.write, found.report_dropped) == (True, 0)
    assert found.then.at == 10.0 + seconds
    assert found.then.lines == pytest.approx(left)


@pytest.mark.parametrize(("lines", "seconds"), [(0.999, 0.0), (0.0, 0.0199), (0.0, -100.0)])
def test_without_a_whole_token_a_line_is_dropped_and_counted(lines: float, seconds: float) -> None:
    before = TokenBucket(10.0, lines, dropped=4, reported_at=3.0)
    found = take_token(before, 10.0 + seconds)
    assert (found.write, found.report_dropped) == (False, 0)
    assert (found.then.dropped, found.then.reported_at) == (5, 3.0)
    assert found.then.lines == pytest.approx(lines + max(0.0, seconds) * 50)


@pytest.mark.parametrize(
    ("dropped", "seconds_before", "reported"),
    [(0, 99.0, 0), (1, 0.999, 0), (1, REPORT_DROPPED_SECONDS, 1), (7, 1.5, 7)],
)
def test_dropped_lines_are_reported_once_a_second(
    dropped: int, seconds_before: float, reported: int
) -> None:
    before = TokenBucket(10.0, 5.0, dropped, 10.0 - seconds_before)
    left = 0 if reported else dropped
    at = 10.0 if reported else before.reported_at
    assert take_token(before, 10.0) == BucketDecision(
        True, reported, TokenBucket(10.0, 4.0, left, at)
    )
