"""What a report needs of the past, read once; the one place of the room that does I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prober.history.archive import Archive, PastTokenEvent, Tallies
from prober.history.calls import Calls, FailureHead, Forgotten, SlowAnswer
from prober.report.calls import MOST_SLOW, choose, unplanned
from prober.report.span import Span
from prober.timeline.slots import Slot, slot_at
from prober.timeline.spells import Spell, as_known
from prober.timeline.tally import Tally

_MOST_HEADS = 200_000
_MOST_TOKEN_EVENTS = 1000
_MOST_STEPS = 200
_STEPS_SECONDS = (60, 900, 3600, 4 * 3600, 24 * 3600, 7 * 24 * 3600)


@dataclass(frozen=True, slots=True)
class Past:
    """What the history tells of a tenant in a span; `oldest` is null where there is no history."""

    oldest: float | None
    totals: Mapping[str, Tally]
    tallies: Tallies
    step_seconds: int
    slots: Mapping[int, Slot]
    watched: frozenset[int]
    spells: tuple[Spell, ...]
    forgotten: Forgotten
    failure_count: int
    failures: tuple[tuple[FailureHead, Mapping[str, Any]], ...]
    slowest: tuple[SlowAnswer, ...]
    token_events: tuple[PastTokenEvent, ...]


def read_past(directory: Path, tenant: str, span: Span, now: float) -> Past:
    """Read the history in a state directory, beside the daemon that writes it; raises OSError."""
    archive, calls = Archive(directory), Calls(directory)
    since, until = span.since, span.until
    step = step_seconds(span)
    first = slot_at(since)
    spells = tuple(as_known(each, now) for each in archive.spells(since, until, tenant))
    heads = unplanned(calls.failures(tenant, since, until, limit=_MOST_HEADS), spells)
    chosen = choose(heads)
    documents = calls.documents(head.number for head in chosen)
    known = tuple((head, documents[head.number]) for head in chosen if head.number in documents)
    events = archive.token_events(tenant, limit=_MOST_TOKEN_EVENTS)
    return Past(
        oldest=archive.oldest(),
        totals=archive.totals(tenant, since, until),
        tallies=archive.tallies(tenant, since // step * step, until, step),
        step_seconds=step,
        slots=archive.slots(first, until, tenant).get(tenant, {}),
        watched=calls.watched(first, until),
        spells=tuple(each for each in spells if each.ended_at is None or each.ended_at >= since),
        forgotten=calls.forgotten(),
        failure_count=len(heads),
        failures=known,
        slowest=calls.slowest(tenant, since, until, limit=MOST_SLOW),
        token_events=tuple(each for each in reversed(events) if since <= each.at < until),
    )


def step_seconds(span: Span) -> int:
    """Return the length of a step, so that there are not too many of them in pictures."""
    fit = (step for step in _STEPS_SECONDS if span.seconds / step <= _MOST_STEPS)
    return next(fit, _STEPS_SECONDS[-1])
