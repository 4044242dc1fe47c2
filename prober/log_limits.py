"""What is logged of what repeats, and how many lines there may be: decisions over values. Pure.

A probe's failure is logged at once when it is news. The same failure again is counted, and told
with its count once in a period. Whatever else happens, lines beyond a rate are left out and
counted. Moments are seconds on one monotonic clock.
"""

from dataclasses import dataclass, replace

REPEAT_SECONDS = 600.0
"""How long repetitions of a failure are only counted."""
MAX_LINES_PER_SECOND = 50.0
MAX_LINES_AT_ONCE = 2000.0
"""So many lines may come at once: at a start, or when everything fails at the same time."""
REPORT_DROPPED_SECONDS = 1.0
"""How often it is said, at most, that lines were left out."""


@dataclass(frozen=True, slots=True)
class LoggedStreak:
    """The failures in a row of one probe for one reason, and those not told since `told_at`."""

    reason: str
    logged_at: float
    failures: int = 1
    unlogged: int = 0


@dataclass(frozen=True, slots=True)
class LogDecision:
    """What to do about a failure: whether to tell it, and the row of failures that it stands in."""

    should_log: bool
    streak: LoggedStreak


def on_failure(before: LoggedStreak | None, reason: str, now: float) -> LogDecision:
    """Return what is to be done about a failure; the row to keep tells nothing any more if told."""
    if before is None or before.reason != reason:
        return LogDecision(True, LoggedStreak(reason, now))
    row = replace(before, failures=before.failures + 1, unlogged=before.unlogged + 1)
    return LogDecision(now - before.logged_at >= REPEAT_SECONDS, row)


def mark_logged(row: LoggedStreak, now: float) -> LoggedStreak:
    """Return the row of failures after it was told."""
    return replace(row, logged_at=now, unlogged=0)


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """How many lines may be written, and how many were left out and not yet told of."""

    at: float
    lines: float = MAX_LINES_AT_ONCE
    dropped: int = 0
    reported_at: float = float("-inf")


@dataclass(frozen=True, slots=True)
class BucketDecision:
    """Whether a line is written, and before it, how many were left out (0: nothing to say)."""

    write: bool
    report_dropped: int
    then: TokenBucket


def take_token(before: TokenBucket, now: float) -> BucketDecision:
    """Return what becomes of one more line."""
    refill = max(0.0, now - before.at) * MAX_LINES_PER_SECOND
    lines = min(MAX_LINES_AT_ONCE, before.lines + refill)
    if lines < 1:
        return BucketDecision(
            False, 0, replace(before, at=now, lines=lines, dropped=before.dropped + 1)
        )
    then = replace(before, at=now, lines=lines - 1)
    if before.dropped == 0 or now - before.reported_at < REPORT_DROPPED_SECONDS:
        return BucketDecision(True, 0, then)
    return BucketDecision(True, before.dropped, replace(then, dropped=0, reported_at=now))
