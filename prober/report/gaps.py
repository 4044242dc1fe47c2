"""Of which stretches nothing is known, and why. Pure."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import groupby

from prober.report.document import Gap, GapCause
from prober.report.span import Span
from prober.timeline.slots import SLOT_SECONDS, slot_at


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What there is in the history: `known` are the tenant's slots, `watched` those of anybody.

    `oldest` is its first slot; before `forgotten_before` it had to make room, before
    `too_old_before` nothing is kept.
    """

    known: Collection[int]
    watched: Collection[int]
    oldest: float
    forgotten_before: float | None
    too_old_before: float


def gaps(span: Span, knowledge: Knowledge, least_seconds: float) -> tuple[Gap, ...]:
    """Return the stretches of at least so many seconds, to the quarter of an hour."""
    starts = range(slot_at(span.since), int(span.until), SLOT_SECONDS)
    found: list[Gap] = []
    for cause, group in groupby(starts, lambda start: _cause(start, knowledge)):
        members = list(group)
        if cause is not None:
            began = max(span.since, float(members[0]))
            ended = min(span.until, float(members[-1] + SLOT_SECONDS))
            found.append(Gap(began, ended, cause))
    return tuple(_long_enough(found, max(least_seconds, SLOT_SECONDS)))


def _cause(start: int, knowledge: Knowledge) -> GapCause | None:
    if start in knowledge.known:
        return None
    if start in knowledge.watched:
        return GapCause.NOT_WATCHED
    if start >= knowledge.oldest:
        return GapCause.NOT_RUNNING
    if knowledge.forgotten_before is not None and start < knowledge.forgotten_before:
        return GapCause.NO_ROOM
    return GapCause.TOO_OLD if start < knowledge.too_old_before else GapCause.BEFORE_HISTORY


def _long_enough(found: list[Gap], least_seconds: float) -> Iterator[Gap]:
    for gap in found:
        if gap.ended_at - gap.started_at >= least_seconds:
            yield gap
