"""What happened in a stretch of time: how many runs came to what, and how long answers took.

A tally is kept for a minute, an hour, or whatever is asked for: tallies can be added.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from prober.model import Result
from prober.outcomes import CLASSIFICATION, Counterpart, Culprit, Reason, SkipCause
from prober.timeline.sketch import Sketch, merged, with_duration

MAINTENANCE = "maintenance:"
SKIPPED = "skipped:"
_NOTHING: Mapping[str, int] = MappingProxyType({})
_NO_ANSWERS = Sketch()


@dataclass(frozen=True, slots=True)
class Tally:
    """`counts` by kind: a reason, `maintenance:` and a reason, or `skipped:` and a cause.

    `server` and `network` hold the answers that could be split, but for those in maintenance.
    """

    counts: Mapping[str, int] = field(default_factory=lambda: _NOTHING)
    server: Sketch = _NO_ANSWERS
    network: Sketch = _NO_ANSWERS

    def count(self, kind: str) -> int:
        """Return how many there were of a kind."""
        return self.counts.get(kind, 0)

    @property
    def runs(self) -> int:
        """How many runs there were outside maintenance."""
        return sum(self.by_reason.values())

    @property
    def by_reason(self) -> Mapping[Reason, int]:
        """How many runs outside maintenance came to each reason."""
        return {Reason(kind): count for kind, count in self.counts.items() if ":" not in kind}

    @property
    def by_culprit(self) -> Mapping[Culprit, int]:
        """How many runs outside maintenance were whose; `none` are the good ones."""
        culprits: Counter[Culprit] = Counter()
        for reason, count in self.by_reason.items():
            culprits[CLASSIFICATION[reason].culprit] += count
        return culprits

    @property
    def in_maintenance(self) -> int:
        """How many runs there were in maintenance."""
        return sum(n for kind, n in self.counts.items() if kind.startswith(MAINTENANCE))

    @property
    def held_back(self) -> int:
        """How many runs were skipped because the tenant's token was rejected."""
        return self.count(SKIPPED + SkipCause.TOKEN_REJECTED)


@dataclass(frozen=True, slots=True)
class Run:
    """What one run was, in brief: what histories are made of. `at` is in epoch seconds."""

    tenant: str
    probe: str
    at: float
    reason: Reason
    evidence: str = ""
    rule: str = ""
    in_maintenance: bool = False
    server_seconds: float | None = None
    network_seconds: float | None = None

    @property
    def culprit(self) -> Culprit:
        """Whose it is."""
        return CLASSIFICATION[self.reason].culprit


def run_of(result: Result) -> Run:
    """Return a result in brief; the identity server's time is not the API's."""
    verdict, latency = result.verdict, result.verdict.latency
    measured = result.counterpart is Counterpart.API and result.exchange.failure is None
    return Run(
        result.tenant,
        result.probe,
        result.started_at,
        verdict.reason,
        "" if verdict.succeeded else verdict.evidence,
        verdict.rule,
        result.in_maintenance,
        latency.server_seconds if measured else None,
        latency.network_seconds if measured else None,
    )


def with_run(tally: Tally, run: Run) -> Tally:
    """Return a tally and one run more."""
    if run.in_maintenance:
        return _counted(tally, MAINTENANCE + run.reason)
    return Tally(
        _one_more(tally.counts, run.reason.value),
        with_duration(tally.server, run.server_seconds),
        with_duration(tally.network, run.network_seconds),
    )


def with_skip(tally: Tally, cause: SkipCause) -> Tally:
    """Return a tally and one more due run that was not started."""
    return _counted(tally, SKIPPED + cause)


def added(tallies: Iterable[Tally]) -> Tally:
    """Return the tally of all that these hold."""
    counts: Counter[str] = Counter()
    every = list(tallies)
    for tally in every:
        counts.update(tally.counts)
    return Tally(
        dict(counts),
        merged(tally.server for tally in every),
        merged(tally.network for tally in every),
    )


def _counted(tally: Tally, kind: str) -> Tally:
    return Tally(_one_more(tally.counts, kind), tally.server, tally.network)


def _one_more(counts: Mapping[str, int], kind: str) -> Mapping[str, int]:
    return {**counts, kind: counts.get(kind, 0) + 1}
