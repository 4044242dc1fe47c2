"""Selects the failed requests that a report shows. Pure."""

from array import array
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from prober.outcomes import Culprit
from prober.render.documents import FailureSummary, IncidentDocument
from prober.stats.incidents import FailureStreak

MAX_PLATFORM_FAILURES, MAX_SLOW_REQUESTS = 40, 20
MAX_ALIKE, MAX_OTHER_FAILURES = 3, 8
_HOUR_SECONDS = 3600
CULPRIT_PRIORITY = (
    Culprit.PLATFORM,
    Culprit.UNDECIDED,
    Culprit.TENANT,
    Culprit.REQUEST,
    Culprit.CREDENTIAL,
    Culprit.NETWORK,
    Culprit.PROBER,
)


class MaintenanceFailures:
    """When probes failed in maintenance: a failure has no note of that, its streak has."""

    def __init__(self) -> None:
        self._starts: dict[str, array[float]] = defaultdict(lambda: array("d"))
        # For each start, the end of the longest streak up to it.
        self._ends: dict[str, array[float]] = defaultdict(lambda: array("d"))

    def add(self, streak: FailureStreak) -> None:
        """Add a streak in maintenance; streaks must come in the order of their start."""
        starts, ends = self._starts[streak.probe], self._ends[streak.probe]
        starts.append(streak.started_at)
        ends.append(max(streak.last_failed_at, ends[-1] if ends else streak.last_failed_at))

    def has(self, failure: FailureSummary) -> bool:
        """Return whether a failure was in maintenance."""
        if failure.probe not in self._starts:
            return False
        position = bisect_right(self._starts[failure.probe], failure.at)
        return position > 0 and self._ends[failure.probe][position - 1] >= failure.at


def select_samples(failures: Iterable[FailureSummary]) -> tuple[FailureSummary, ...]:
    """Return the failures to show: the platform's first, and a few of each other culprit.

    Of each hour, probe, reason and culprit only the first few are taken: further ones add no
    evidence, and would push out other incidents.
    """
    seen: Counter[tuple[object, ...]] = Counter()
    ranked: dict[Culprit, list[tuple[int, float, int, FailureSummary]]] = {
        each: [] for each in CULPRIT_PRIORITY
    }
    for failure in failures:
        kind = (failure.probe, failure.reason, failure.culprit, failure.at // _HOUR_SECONDS)
        seen[kind] += 1
        if seen[kind] <= MAX_ALIKE:
            # First all first ones, then all second ones: each incident gets its turn.
            rank = (seen[kind], failure.at, failure.number, failure)
            ranked[failure.culprit].append(rank)
    selected: list[FailureSummary] = []
    for culprit, each in ranked.items():
        limit = MAX_PLATFORM_FAILURES if culprit is Culprit.PLATFORM else MAX_OTHER_FAILURES
        first = [failure for *_, failure in sorted(each)[:limit]]
        selected += sorted(first, key=lambda failure: (failure.at, failure.number))
    return tuple(selected)


def incident_number(failure: FailureSummary, incidents: Sequence[IncidentDocument]) -> int | None:
    """Return the number of the incident that a failure belongs to, None if it is not listed."""
    for each in incidents:
        ended_at = float("inf") if each.ended_at is None else each.ended_at
        is_during = each.started_at <= failure.at <= ended_at and failure.probe in each.probes
        if is_during and each.culprit is failure.culprit and not each.in_maintenance:
            return each.number
    return None
