"""What is logged of what repeats, and how many lines there may be: decisions over values. Pure.

A probe's failure is logged at once when it is news. The same failure again is counted, and told
with its count once in a period. Whatever else happens, lines beyond a rate are left out and
counted. Moments are seconds on one monotonic clock.
"""

from dataclasses import dataclass, replace

FOLD_SECONDS = 600.0
"""How long repetitions of a failure are only counted."""
MAX_LINES_PER_SECOND = 50.0
MAX_LINES_AT_ONCE = 2000.0
"""So many lines may come at once: at a start, or when everything fails at the same time."""
SAY_SECONDS = 1.0
"""How often it is said, at most, that lines were left out."""


@dataclass(frozen=True, slots=True)
class Fold:
    """The failures in a row of one probe for one reason, and those not told since `told_at`."""

    reason: str
    began_at: float
    told_at: float
    failures: int = 1
    untold: int = 0


@dataclass(frozen=True, slots=True)
class Ruling:
    """What to do about a failure: whether to tell it, and the row of failures that it stands in."""

    tell: bool
    row: Fold


def failed(before: Fold | None, reason: str, now: float) -> Ruling:
    """Return what is to be done about a failure; the row to keep tells nothing any more if told."""
    if before is None or before.reason != reason:
        return Ruling(True, Fold(reason, now, now))
    row = replace(before, failures=before.failures + 1, untold=before.untold + 1)
    return Ruling(now - before.told_at >= FOLD_SECONDS, row)


def told(row: Fold, now: float) -> Fold:
    """Return the row of failures after it was told."""
    return replace(row, told_at=now, untold=0)


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many lines may be written, and how many were left out and not yet told of."""

    at: float
    lines: float = MAX_LINES_AT_ONCE
    left_out: int = 0
    said_at: float = float("-inf")


@dataclass(frozen=True, slots=True)
class Passage:
    """Whether a line is written, and before it, how many were left out (0: nothing to say)."""

    write: bool
    say_left_out: int
    then: Allowance


def line(before: Allowance, now: float) -> Passage:
    """Return what becomes of one more line."""
    refill = max(0.0, now - before.at) * MAX_LINES_PER_SECOND
    lines = min(MAX_LINES_AT_ONCE, before.lines + refill)
    if lines < 1:
        return Passage(False, 0, replace(before, at=now, lines=lines, left_out=before.left_out + 1))
    then = replace(before, at=now, lines=lines - 1)
    if before.left_out == 0 or now - before.said_at < SAY_SECONDS:
        return Passage(True, 0, then)
    return Passage(True, before.left_out, replace(then, left_out=0, said_at=now))
