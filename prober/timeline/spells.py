"""Failures in a row, and the incidents that they add up to.

A *spell* is what one probe suffered: failures in a row by one culprit. An *incident* is what a
tenant suffered: the spells of one culprit that overlap, or follow each other closely.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from prober.outcomes import Culprit, Reason
from prober.timeline.tally import Run

QUIET_SECONDS = 300.0
"""A culprit that is back within this time has never left: it is one incident."""

_UNWATCHED_SECONDS = 3600.0  # longer than the pauses of any canary by default


@dataclass(frozen=True, slots=True)
class Spell:
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

    def seconds(self, now: float) -> float:
        """Return how long it lasted, up to now if it goes on."""
        return (now if self.ended_at is None else self.ended_at) - self.started_at


def follow(spell: Spell | None, run: Run) -> tuple[Spell | None, Spell | None]:
    """Return (the spell that this run ended, the one that goes on after it) for a probe."""
    begun = None if run.culprit is Culprit.NONE else _begun(run)
    if spell is None:
        return None, begun
    if run.at - spell.last_failed_at > _UNWATCHED_SECONDS:  # nobody knows what was in between
        return replace(spell, ended_at=spell.last_failed_at), begun
    goes_on = (run.culprit, run.in_maintenance) == (spell.culprit, spell.in_maintenance)
    if goes_on:
        return None, replace(spell, last_failed_at=run.at, failures=spell.failures + 1)
    return replace(spell, ended_at=run.at), begun


def as_known(spell: Spell, now: float) -> Spell:
    """Return a spell as it is known at a moment: one that nobody watched since has ended."""
    if spell.ended_at is None and now - spell.last_failed_at > _UNWATCHED_SECONDS:
        return replace(spell, ended_at=spell.last_failed_at)
    return spell


def incidents(spells: Iterable[Spell]) -> tuple[Incident, ...]:
    """Fold spells into incidents, in the order of their beginnings."""
    groups: dict[tuple[str, Culprit, bool], list[list[Spell]]] = {}
    for spell in sorted(spells, key=lambda each: each.started_at):
        key = (spell.tenant, spell.culprit, spell.in_maintenance)
        folded = groups.setdefault(key, [])
        if folded and spell.started_at <= _end(folded[-1]) + QUIET_SECONDS:
            folded[-1].append(spell)
        else:
            folded.append([spell])
    found = [_incident(spells) for folded in groups.values() for spells in folded]
    return tuple(sorted(found, key=lambda each: each.started_at))


def _begun(run: Run) -> Spell:
    return Spell(
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


def _end(spells: Sequence[Spell]) -> float:
    ends = [each.ended_at for each in spells]
    return max(float("inf") if end is None else end for end in ends)


def _incident(spells: Sequence[Spell]) -> Incident:
    first, end = spells[0], _end(spells)
    return Incident(
        tenant=first.tenant,
        culprit=first.culprit,
        started_at=first.started_at,
        ended_at=None if end == float("inf") else end,
        failures=sum(spell.failures for spell in spells),
        probes=tuple(dict.fromkeys(spell.probe for spell in spells)),
        reasons=tuple(dict.fromkeys(spell.reason for spell in spells)),
        evidence=first.evidence,
        in_maintenance=first.in_maintenance,
    )
