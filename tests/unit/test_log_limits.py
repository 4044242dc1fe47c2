"""What is said of what repeats, as a table of moments; and lines by the thousand."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.log_limits import (
    MAX_LINES_AT_ONCE,
    MAX_LINES_PER_SECOND,
    REPEAT_SECONDS,
    REPORT_DROPPED_SECONDS,
    LoggedStreak,
    TokenBucket,
    mark_logged,
    on_failure,
    take_token,
)


def said(moments: list[tuple[float, str]]) -> list[tuple[float, str, int]]:
    """Return what is told of failures: when, for which reason, with how many repeated."""
    row: LoggedStreak | None = None
    words = []
    for now, reason in moments:
        ruling = on_failure(row, reason, now)
        row = ruling.streak
        if ruling.should_log:
            words.append((now, reason, row.unlogged))
            row = mark_logged(row, now)
    return words


STORIES = {
    "one": ([(0, "dns")], [(0, "dns", 0)]),
    "again at once": ([(0, "dns"), (1, "dns"), (2, "dns")], [(0, "dns", 0)]),
    "again after a period": (
        [(0, "dns"), (1, "dns"), (REPEAT_SECONDS, "dns"), (REPEAT_SECONDS + 1, "dns")],
        [(0, "dns", 0), (REPEAT_SECONDS, "dns", 2)],
    ),
    "another reason is news": (
        [(0, "dns"), (1, "dns"), (2, "proxy"), (3, "dns")],
        [(0, "dns", 0), (2, "proxy", 0), (3, "dns", 0)],
    ),
}


@pytest.mark.parametrize(("moments", "words"), STORIES.values(), ids=STORIES)
def test_a_failure_is_told_once_in_a_period(
    moments: list[tuple[float, str]], words: list[tuple[float, str, int]]
) -> None:
    assert said(moments) == words


@given(st.lists(st.floats(0, 100), min_size=1, max_size=300))
def test_every_failure_is_told_or_counted(pauses: list[float]) -> None:
    now, row, logged = 0.0, None, 0
    for pause in pauses:
        now += pause
        ruling = on_failure(row, "dns", now)
        row = ruling.streak
        if ruling.should_log:
            logged += max(1, row.unlogged)
            row = mark_logged(row, now)
    assert row is not None
    assert logged + row.unlogged == row.failures == len(pauses)
    assert logged <= len(pauses)


@given(st.lists(st.floats(0, 5), max_size=200), st.integers(1, 400))
def test_lines_are_written_or_counted_and_never_more_than_the_rate(
    pauses: list[float], at_once: int
) -> None:
    now, allowance, written, counted = 0.0, TokenBucket(0.0), 0, 0
    for pause in pauses:
        now += pause
        for _ in range(at_once):
            passage = take_token(allowance, now)
            allowance = passage.then
            written += passage.write
            counted += passage.report_dropped
    assert written <= MAX_LINES_AT_ONCE + MAX_LINES_PER_SECOND * now + 1
    assert written + counted + allowance.dropped == len(pauses) * at_once


def test_what_was_left_out_is_said_at_most_once_a_second() -> None:
    allowance, says = TokenBucket(0.0, lines=0.0), []
    for number in range(1000):
        passage = take_token(allowance, number / 100)  # twice the rate
        allowance = passage.then
        if passage.report_dropped:
            says.append(number / 100)
    assert len(says) == 10
    assert all(b - a >= REPORT_DROPPED_SECONDS for a, b in pairwise(says))
