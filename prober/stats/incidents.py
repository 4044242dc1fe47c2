"""Failures in a row, and the incidents that they add up to.

A *spell* is what one probe suffered: failures in a row by one culprit. An *incident* is what a
tenant suffered: the spells of one culprit that overlap, or follow each other closely.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from operator import itemgetter

from prober.outcomes import Culprit, Reason
from prober.stats.aggregates import RunSummary

QUIET_SECONDS = 300.0
"""A culprit that is back within this time has never left: it is one incident."""

_UNOBSERVED_SECONDS = 3600.0  # longer than the pauses of any canary by default


IncidentKey = tuple[float, str, str, bool]
"""When an incident began, its tenant, its culprit, and whether it was in maintenance."""


@dataclass(frozen=True, slots=True)
class FailureStreak:
    """Failures in a row of one probe, by one culprit; moments are epoch seconds.

    It ends (`ended_at`) with the run that went otherwise. `reason`, `rule` and `evidence` are of
    the first failure.
    """

    tenant: str
    probe: str
    culprit: Culprit
    reason: Reason
    rule: str
    evidence: str
    started_at: float
    last_failed_at: float
    ended_at: float | None = None
    failures: int = 1
    in_maintenance: bool = False


@dataclass(frozen=True, slots=True)
class Incident:
    """What a tenant suffered by one culprit; it goes on while `ended_at` is None."""

    tenant: str
    culprit: Culprit
    started_at: float
    ended_at: float | None
    failures: int
    probes: tuple[str, ...]
    reasons: tuple[Reason, ...]
    evidence: str
    in_maintenance: bool = False

    @property
    def key(self) -> IncidentKey:
        """What no other incident has, and by which incidents are ordered."""
        return (self.started_at, self.tenant, self.culprit.value, self.in_maintenance)

    def seconds(self, now: float) -> float:
        """Return how long it lasted, up to now if it goes on."""
        return (now if self.ended_at is None else self.ended_at) - self.started_at


def advance(
    spell: FailureStreak | None, run: RunSummary
) -> tuple[FailureStreak | None, FailureStreak | None]:
    """Return (the spell that this run ended, the one that goes on after it) for a probe."""
    begun = None if run.culprit is Culprit.NONE else _start_streak(run)
    if spell is None:
        return None, begun
    if run.at - spell.last_failed_at > _UNOBSERVED_SECONDS:  # nobody knows what was in between
        return replace(spell, ended_at=spell.last_failed_at), begun
    goes_on = (run.culprit, run.in_maintenance) == (spell.culprit, spell.in_maintenance)
    if goes_on:
        return None, replace(spell, last_failed_at=run.at, failures=spell.failures + 1)
    return replace(spell, ended_at=run.at), begun


def close_if_stale(spell: FailureStreak, now: float) -> FailureStreak:
    """Return a spell as it is known at a moment: one that nobody watched since has ended."""
    if spell.ended_at is None and now - spell.last_failed_at > _UNOBSERVED_SECONDS:
        return replace(spell, ended_at=spell.last_failed_at)
    return spell


def incidents_from_streaks(spells: Iterable[FailureStreak]) -> tuple[Incident, ...]:
    """Fold spells into incidents, in the order of their beginnings.

    Takes time in proportion to the number of spells, apart from sorting them.
    """
    ordered = sorted(spells, key=lambda each: each.started_at)
    begun = [each for each, is_first in _folded(ordered) if is_first]
    return tuple(each.incident() for each in begun)


def newest_incidents(
    ordered: Iterable[FailureStreak], limit: int, before: IncidentKey | None = None
) -> tuple[Incident, ...]:
    """Fold spells, and return at most `limit` incidents, the newest first.

    `ordered` are in the order of their beginnings, and are not kept: what is held does not grow
    with their number. `before` leaves out incidents from this one on.
    """
    newest: list[tuple[IncidentKey, _OpenIncident]] = []  # a heap, the oldest on top
    for each, is_first in _folded(ordered):
        if not is_first or (before is not None and each.key >= before):
            continue
        heappush(newest, (each.key, each))
        if len(newest) > limit:
            heappop(newest)
    return tuple(each.incident() for _, each in sorted(newest, reverse=True, key=itemgetter(0)))


def _folded(ordered: Iterable[FailureStreak]) -> Iterator[tuple["_OpenIncident", bool]]:
    """Yield for each spell the incident that it is of, and whether it begins it."""
    current: dict[tuple[str, Culprit, bool], _OpenIncident] = {}
    for spell in ordered:
        group = (spell.tenant, spell.culprit, spell.in_maintenance)
        latest = current.get(group)
        if latest is not None and spell.started_at <= latest.end + QUIET_SECONDS:
            latest.add(spell)
            yield latest, False
        else:
            current[group] = opened = _OpenIncident(spell)
            yield opened, True


class _OpenIncident:
    """An incident that further spells may join; `end` is infinite while one of them goes on.

    The end is kept, not searched for: a search for each spell takes quadratic time.
    """

    __slots__ = ("_failures", "_first", "_probes", "_reasons", "end", "key")

    def __init__(self, first: FailureStreak) -> None:
        self._first = first
        self.key = (first.started_at, first.tenant, first.culprit.value, first.in_maintenance)
        self._failures = 0
        self._probes: dict[str, None] = {}  # in the order of their first failures
        self._reasons: dict[Reason, None] = {}
        self.end = -math.inf
        self.add(first)

    def add(self, spell: FailureStreak) -> None:
        """Take a spell that began at the same time as the one before it, or later."""
        ended_at = spell.ended_at
        self.end = max(self.end, math.inf if ended_at is None else ended_at)
        self._failures += spell.failures
        self._probes[spell.probe] = None
        self._reasons[spell.reason] = None

    def incident(self) -> Incident:
        """Return what the spells so far add up to."""
        first = self._first
        return Incident(
            tenant=first.tenant,
            culprit=first.culprit,
            started_at=first.started_at,
            ended_at=None if self.end == math.inf else self.end,
            failures=self._failures,
            probes=tuple(self._probes),
            reasons=tuple(self._reasons),
            evidence=first.evidence,
            in_maintenance=first.in_maintenance,
        )


def _start_streak(run: RunSummary) -> FailureStreak:
    return FailureStreak(
        tenant=run.tenant,
        probe=run.probe,
        culprit=run.culprit,
        reason=run.reason,
        rule=run.rule,
        evidence=run.evidence,
        started_at=run.at,
        last_failed_at=run.at,
        in_maintenance=run.in_maintenance,
    )
