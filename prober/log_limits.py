"""Which repeated failures are logged, and how many lines may be written. Pure.

A new failure of a probe is logged at once. Repetitions of it are counted, and logged with their
count once per `REPEAT_SECONDS`. Independently of that, all lines together have a rate limit; lines
beyond it are dropped and counted. Times are seconds on one monotonic clock.
"""

from dataclasses import dataclass, replace

REPEAT_SECONDS = 600.0
"""How long repetitions of a failure are only counted."""
MAX_LINES_PER_SECOND = 50.0
MAX_LINES_AT_ONCE = 2000.0
"""The size of the bucket: a start, or many tenants that fail at the same time, is a burst."""
REPORT_DROPPED_SECONDS = 1.0
"""The least time between two reports of dropped lines."""


@dataclass(frozen=True, slots=True)
class LoggedStreak:
    """Consecutive failures of one probe for one reason; `unlogged` since the last logged one."""

    reason: str
    logged_at: float
    failures: int = 1
    unlogged: int = 0


@dataclass(frozen=True, slots=True)
class LogDecision:
    """Whether to log a failure, and the streak that it belongs to."""

    should_log: bool
    streak: LoggedStreak


def on_failure(before: LoggedStreak | None, reason: str, now: float) -> LogDecision:
    """Return what to do about a failure.

    After logging, the caller must pass the streak to `mark_logged`. That is a second step because
    the logged line reports `unlogged`.
    """
    # Another reason is news, even if the probe never recovered in between.
    if before is None or before.reason != reason:
        return LogDecision(True, LoggedStreak(reason, now))
    streak = replace(before, failures=before.failures + 1, unlogged=before.unlogged + 1)
    return LogDecision(now - before.logged_at >= REPEAT_SECONDS, streak)


def mark_logged(streak: LoggedStreak, now: float) -> LoggedStreak:
    """Return the streak after its last failure was logged."""
    return replace(streak, logged_at=now, unlogged=0)


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """The lines that may be written at time `at`, and the dropped ones not yet reported."""

    at: float
    lines: float = MAX_LINES_AT_ONCE
    dropped: int = 0
    reported_at: float = float("-inf")


@dataclass(frozen=True, slots=True)
class BucketDecision:
    """Whether to write a line, and how many dropped lines to report before it (0: no report)."""

    write: bool
    report_dropped: int
    then: TokenBucket


def take_token(before: TokenBucket, now: float) -> BucketDecision:
    """Return what to do about one more line, and the bucket after it."""
    # max(): a clock that was set back must not take away lines.
    refill = max(0.0, now - before.at) * MAX_LINES_PER_SECOND
    lines = min(MAX_LINES_AT_ONCE, before.lines + refill)
    if lines < 1:
        return BucketDecision(
            False, 0, replace(before, at=now, lines=lines, dropped=before.dropped + 1)
        )
    then = replace(before, at=now, lines=lines - 1)
    # At the limit every refilled token lets one line through. Without a pause between reports each
    # of those lines would bring a report of its own, and half of the log would be reports.
    if before.dropped == 0 or now - before.reported_at < REPORT_DROPPED_SECONDS:
        return BucketDecision(True, 0, then)
    # The report itself takes no token: it is rare, and it must not be dropped.
    return BucketDecision(True, before.dropped, replace(then, dropped=0, reported_at=now))
