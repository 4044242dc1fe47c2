"""Failure streaks of single probes, and the incidents of tenants that they add up to. Pure.

A *failure streak* is a probe's failures in a row with the same culprit. An *incident* is a tenant's
failure streaks with the same culprit that overlap or follow each other closely.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from operator import itemgetter

from prober.outcomes import Culprit, Reason
from prober.stats.aggregates import RunSummary

QUIET_SECONDS = 300.0
"""Streaks with the same culprit that are at most this apart belong to one incident."""

_UNOBSERVED_SECONDS = 3600.0  # longer than the pauses of any canary by default


IncidentKey = tuple[float, str, str, bool]
"""When an incident started, its tenant, its culprit, and whether it was in maintenance."""


@dataclass(frozen=True, slots=True)
class FailureStreak:
    """Failures of one probe in a row with the same culprit; times are in epoch seconds.

    It ends (`ended_at`) with the first run that has another culprit or succeeds. `reason`, `rule`
    and `evidence` are of the first failure.
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
    """A tenant's failures with one culprit; ongoing while `ended_at` is None.

    `probes` and `reasons` are in the order in which they first failed; `evidence` is of the first
    failure.
    """

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
        """Identifies an incident, and orders incidents by their start."""
        return (self.started_at, self.tenant, self.culprit.value, self.in_maintenance)

    def seconds(self, now: float) -> float:
        """Return how long it lasted, up to `now` (epoch seconds) while it is ongoing."""
        return (now if self.ended_at is None else self.ended_at) - self.started_at


_CULPRITS = "|".join(culprit.value for culprit in Culprit)
INCIDENT_ID = re.compile(rf"([a-z0-9_-]{{1,63}})\.([0-9]{{1,11}})\.({_CULPRITS})(\.maintenance)?")


@dataclass(frozen=True, slots=True)
class IncidentId:
    """What an incident's id says: it was ongoing in the second that begins `at`."""

    tenant: str
    at: int
    culprit: Culprit
    in_maintenance: bool = False

    def __str__(self) -> str:
        suffix = ".maintenance" if self.in_maintenance else ""
        return f"{self.tenant}.{self.at}.{self.culprit}{suffix}"

    def is_of(self, incident: Incident) -> bool:
        """Return whether this is an id of an incident."""
        end = math.inf if incident.ended_at is None else incident.ended_at
        return (
            (incident.tenant, incident.culprit, incident.in_maintenance)
            == (self.tenant, self.culprit, self.in_maintenance)
        ) and math.floor(incident.started_at) <= self.at <= end


def incident_id(incident: Incident) -> str:
    """Return the id of an incident, which stays the same however it goes on."""
    return str(
        IncidentId(
            incident.tenant,
            math.floor(incident.started_at),
            incident.culprit,
            incident.in_maintenance,
        )
    )


def read_incident_id(text: str) -> IncidentId:
    """Return what an id says; raises ValueError."""
    found = INCIDENT_ID.fullmatch(text)
    if found is None:
        raise ValueError("write an incident's id, such as 'acme.1763942400.platform'")
    return IncidentId(found[1], int(found[2]), Culprit(found[3]), found[4] is not None)


def advance(
    streak: FailureStreak | None, run: RunSummary
) -> tuple[FailureStreak | None, FailureStreak | None]:
    """Return (the streak that this run ended, the streak that is ongoing after it) of a probe."""
    started = None if run.culprit is Culprit.NONE else _start_streak(run)
    if streak is None:
        return None, started
    if run.at - streak.last_failed_at > _UNOBSERVED_SECONDS:  # unknown in between
        return replace(streak, ended_at=streak.last_failed_at), started
    continues = (run.culprit, run.in_maintenance) == (streak.culprit, streak.in_maintenance)
    if continues:
        return None, replace(streak, last_failed_at=run.at, failures=streak.failures + 1)
    return replace(streak, ended_at=run.at), started


def close_if_stale(streak: FailureStreak, now: float) -> FailureStreak:
    """Return a streak as of `now`: without any run for long, it ended with its last failure."""
    if streak.ended_at is None and now - streak.last_failed_at > _UNOBSERVED_SECONDS:
        return replace(streak, ended_at=streak.last_failed_at)
    return streak


def newest_incidents(
    ordered: Iterable[FailureStreak], limit: int, before: IncidentKey | None = None
) -> tuple[Incident, ...]:
    """Return at most `limit` incidents of some streaks, the newest first.

    `ordered` must be in the order of their start. Streaks are not kept, so that memory does not
    grow with their number. With `before`, only incidents that are older than this one.
    """
    newest: list[tuple[IncidentKey, _OpenIncident]] = []  # a heap, the oldest on top
    for each, is_first in _fold(ordered):
        if not is_first or (before is not None and each.key >= before):
            continue
        heappush(newest, (each.key, each))
        if len(newest) > limit:
            heappop(newest)
    return tuple(each.incident() for _, each in sorted(newest, reverse=True, key=itemgetter(0)))


@dataclass(frozen=True, slots=True)
class IncidentTotals:
    """How many incidents had one culprit, and how long they lasted within a time range."""

    incidents: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class IncidentDigest:
    """Incidents in bounded size, however many there were.

    `longest` are in the order of their start; `totals` leave maintenance out.
    """

    count: int = 0
    longest: tuple[Incident, ...] = ()
    totals: Mapping[Culprit, IncidentTotals] = field(default_factory=dict)


def digest_incidents(
    ordered: Iterable[FailureStreak], since: float, until: float, limit: int
) -> IncidentDigest:
    """Return the number of incidents, the `limit` longest, and the totals of each culprit.

    `ordered` must be in the order of their start, and is not kept. What is ongoing lasts up to
    `until`; totals count only the time from `since` to `until`.
    """
    count = 0
    longest: list[tuple[float, float, int, Incident]] = []  # a heap, the shortest on top
    totals: dict[Culprit, IncidentTotals] = {}
    for incident in _completed(ordered):
        count += 1
        heappush(longest, (incident.seconds(until), -incident.started_at, -count, incident))
        if len(longest) > limit:
            heappop(longest)
        if not incident.in_maintenance:
            before = totals.get(incident.culprit, IncidentTotals())
            seconds = before.seconds + _seconds_within(incident, since, until)
            totals[incident.culprit] = IncidentTotals(before.incidents + 1, seconds)
    listed = sorted((each for *_, each in longest), key=lambda each: each.key)
    return IncidentDigest(count, tuple(listed), totals)


def _seconds_within(incident: Incident, since: float, until: float) -> float:
    ended_at = until if incident.ended_at is None else min(incident.ended_at, until)
    return max(0.0, ended_at - max(incident.started_at, since))


def _completed(ordered: Iterable[FailureStreak]) -> Iterator[Incident]:
    """Yield each incident as soon as no further streak can belong to it."""
    current: dict[tuple[str, Culprit, bool], _OpenIncident] = {}
    for each, is_first in _fold(ordered):
        if is_first:
            _, tenant, culprit, in_maintenance = each.key
            before = current.get((tenant, Culprit(culprit), in_maintenance))
            current[tenant, Culprit(culprit), in_maintenance] = each
            if before is not None:
                yield before.incident()
    for each in current.values():
        yield each.incident()


def find_incident(ordered: Iterable[FailureStreak], wanted: IncidentId) -> Incident | None:
    """Return the incident of an id, None if there is none.

    `ordered` must be in the order of their start; no more of it is read than needed.
    """
    group = (wanted.tenant, wanted.culprit, wanted.in_maintenance)
    own = (each for each in ordered if (each.tenant, each.culprit, each.in_maintenance) == group)
    current: _OpenIncident | None = None
    for each, is_first in _fold(own):
        if is_first and current is not None and wanted.is_of(current.incident()):
            break
        if is_first and math.floor(each.key[0]) > wanted.at:
            return None
        current = each
    if current is None or not wanted.is_of(current.incident()):
        return None
    return current.incident()


def _fold(ordered: Iterable[FailureStreak]) -> Iterator[tuple["_OpenIncident", bool]]:
    """Yield for each streak the incident that it belongs to, and whether it is the first in it."""
    current: dict[tuple[str, Culprit, bool], _OpenIncident] = {}
    for streak in ordered:
        group = (streak.tenant, streak.culprit, streak.in_maintenance)
        latest = current.get(group)
        if latest is not None and streak.started_at <= latest.end + QUIET_SECONDS:
            latest.add(streak)
            yield latest, False
        else:
            current[group] = opened = _OpenIncident(streak)
            yield opened, True


class _OpenIncident:
    """An incident that further streaks may be added to; `end` is infinite while one is ongoing.

    The end is stored: computing it for each new streak would take quadratic time.
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

    def add(self, streak: FailureStreak) -> None:
        """Add a streak that did not start before the last one that was added."""
        ended_at = streak.ended_at
        self.end = max(self.end, math.inf if ended_at is None else ended_at)
        self._failures += streak.failures
        self._probes[streak.probe] = None
        self._reasons[streak.reason] = None

    def incident(self) -> Incident:
        """Return the incident as of the streaks so far."""
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
