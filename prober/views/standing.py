"""How things stand, as documents: what the JSON API answers and pages are drawn from. Pure.

Durations are in seconds, points in time in epoch seconds; what is unknown is null.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from prober.outcomes import (
    Counterpart,
    Culprit,
    Outcome,
    Reason,
    RejectionCause,
    Side,
    SkipCause,
    TokenState,
)
from prober.timeline.objectives import availability, budget_left
from prober.timeline.slots import SLOT_SECONDS, Slot, slot_at, total
from prober.timeline.standing import ProbeStanding, TenantStanding
from prober.verdict.identity import IDENTITY_RULES
from prober.verdict.rules import RULES, Row, row_of
from prober.views.words import maintenance_words, say

SLOTS_A_DAY = 86_400 // SLOT_SECONDS


def _texts(rows: Iterable[Row]) -> Mapping[tuple[str, Reason], str]:
    """Return what rows say, by number and reason; of two that share both, either."""
    texts: dict[tuple[str, Reason], str] = {}
    for each in rows:
        key = (each.row, each.reason)
        texts[key] = f"{texts[key]}; or {each.when}" if key in texts else each.when
    return texts


_WHEN: Mapping[Counterpart, Mapping[tuple[str, Reason], str]] = MappingProxyType(
    {
        Counterpart.API: _texts(map(row_of, RULES)),
        Counterpart.IDENTITY: _texts(map(row_of, IDENTITY_RULES)),
    }
)


@dataclass(frozen=True, slots=True)
class LastRun:
    """What a probe's last run came to, and which row of the outcome table decided."""

    started_at: float
    outcome: Outcome
    reason: Reason
    culprit: Culprit
    row: str
    row_text: str
    evidence: str
    total_seconds: float
    server_seconds: float | None
    network_seconds: float | None
    slow: tuple[Side, ...]
    in_maintenance: bool


@dataclass(frozen=True, slots=True)
class ProbeDocument:
    """One probe. `failing_since` and `failures` are of the failures in a row that go on."""

    name: str
    method: str
    path: str
    interval_seconds: float
    is_held_back: bool
    skipped: SkipCause | None
    failing_since: float | None
    failures: int
    last_run: LastRun | None


@dataclass(frozen=True, slots=True)
class TokenDocument:
    """One token; `foretold_by` is a tenant that it is already rejected for."""

    state: TokenState
    source: str
    fingerprint: str | None
    cause: RejectionCause | None
    problem: str | None
    rejected_since: float | None
    first_accepted_at: float | None
    last_accepted_at: float | None
    expires_at: float | None
    rotations: int
    shared_with: tuple[str, ...]
    foretold_by: str | None


@dataclass(frozen=True, slots=True)
class SlotDocument:
    """A quarter of an hour: runs by culprit (`none`: good), and the mean time of answers."""

    start: float
    runs: int
    by_culprit: Mapping[Culprit, int]
    held_back: int
    in_maintenance: int
    server_seconds: float | None
    network_seconds: float | None


@dataclass(frozen=True, slots=True)
class AvailabilityDocument:
    """Two indicators over a day and 30 days, the promise, and what is left of its budget."""

    objective_ratio: float
    platform_day_ratio: float | None
    end_to_end_day_ratio: float | None
    platform_month_ratio: float | None
    end_to_end_month_ratio: float | None
    budget_left_ratio: float


@dataclass(frozen=True, slots=True)
class TenantDocument:
    """One tenant. `verdict` is in words, the culprit first; programs better read `is_well`."""

    name: str
    environment: str
    base_url: str
    verdict: str
    culprit: Culprit
    is_well: bool
    is_known: bool
    is_slow: bool
    since: float | None
    maintenance: str | None
    maintenance_ends_at: float | None
    certificate_expires_at: float | None
    known_since: float
    token: TokenDocument
    availability: AvailabilityDocument
    probes: tuple[ProbeDocument, ...]
    strip: tuple[SlotDocument, ...]


def tenant_document(standing: TenantStanding, now: float) -> TenantDocument:
    """Return one tenant at a moment."""
    saying = say(standing, now)
    tenant = standing.tenant
    return TenantDocument(
        name=tenant.name,
        environment=tenant.environment,
        base_url=tenant.base_url,
        verdict=saying.words,
        culprit=saying.culprit,
        is_well=saying.is_well,
        is_known=saying.is_known,
        is_slow=saying.is_slow,
        since=saying.since,
        maintenance=maintenance_words(standing),
        maintenance_ends_at=standing.maintenance.ends_at,
        certificate_expires_at=standing.certificate_expiry,
        known_since=standing.known_since,
        token=_token(standing),
        availability=_availability(standing),
        probes=tuple(_probe(standing, each) for each in standing.probes),
        strip=strip(standing.slots, now),
    )


def strip(slots: Mapping[int, Slot], now: float) -> tuple[SlotDocument, ...]:
    """Return the last day in quarters of an hour, also those of which nothing is known."""
    last = slot_at(now)
    starts = range(last - (SLOTS_A_DAY - 1) * SLOT_SECONDS, last + 1, SLOT_SECONDS)
    return tuple(slot_document(start, slots.get(start, Slot())) for start in starts)


def _probe(standing: TenantStanding, each: ProbeStanding) -> ProbeDocument:
    spell = each.spell
    return ProbeDocument(
        name=each.probe.name,
        method=each.probe.method,
        path=each.probe.path,
        interval_seconds=each.probe.interval_seconds,
        is_held_back=standing.is_held_back(each),
        skipped=each.skipped,
        failing_since=None if spell is None else spell.started_at,
        failures=0 if spell is None else spell.failures,
        last_run=_last_run(each),
    )


def _last_run(each: ProbeStanding) -> LastRun | None:
    result = each.result
    if result is None:
        return None
    verdict = result.verdict
    return LastRun(
        started_at=result.started_at,
        outcome=verdict.outcome,
        reason=verdict.reason,
        culprit=verdict.culprit,
        row=verdict.rule,
        row_text=row_text(verdict.rule, verdict.reason, result.counterpart),
        evidence=verdict.evidence,
        total_seconds=result.exchange.total_seconds,
        server_seconds=verdict.latency.server_seconds,
        network_seconds=verdict.latency.network_seconds,
        slow=each.slow,
        in_maintenance=result.in_maintenance,
    )


def row_text(row: str, reason: Reason, counterpart: Counterpart = Counterpart.API) -> str:
    """Return what a row of the outcome table (or of the identity server's) says, in words."""
    return _WHEN[counterpart].get((row, reason), "")


def _token(standing: TenantStanding) -> TokenDocument:
    status = standing.token
    return TokenDocument(
        state=status.state,
        source=str(status.source),
        fingerprint=status.fingerprint,
        cause=status.cause,
        problem=status.problem,
        rejected_since=status.rejected_since,
        first_accepted_at=status.first_accepted_at,
        last_accepted_at=status.last_accepted_at,
        expires_at=status.expires_at,
        rotations=status.rotations,
        shared_with=standing.shared_with,
        foretold_by=standing.foretold_by,
    )


def _availability(standing: TenantStanding) -> AvailabilityDocument:
    tenant = standing.tenant
    day, month = availability(total(standing.slots.values())), availability(standing.month)
    runs_per_second = sum(1 / probe.interval_seconds for probe in tenant.probes)
    objective = tenant.availability_objective_ratio
    return AvailabilityDocument(
        objective_ratio=objective,
        platform_day_ratio=day.platform,
        end_to_end_day_ratio=day.end_to_end,
        platform_month_ratio=month.platform,
        end_to_end_month_ratio=month.end_to_end,
        budget_left_ratio=budget_left(month.platform_failures, runs_per_second, objective),
    )


def slot_document(start: int, slot: Slot) -> SlotDocument:
    """Return what happened from a moment on: in a quarter of an hour, or longer."""
    splits = slot.splits
    return SlotDocument(
        start=start,
        runs=slot.runs,
        by_culprit={culprit: slot.of(culprit) for culprit in Culprit if slot.of(culprit)},
        held_back=slot.held_back,
        in_maintenance=slot.in_maintenance,
        server_seconds=slot.server_seconds / splits if splits else None,
        network_seconds=slot.network_seconds / splits if splits else None,
    )


def worst_first(tenants: Sequence[TenantDocument]) -> tuple[TenantDocument, ...]:
    """Return tenants so that who looks first sees what is wrong first; else by name."""
    return tuple(sorted(tenants, key=lambda each: (each.is_well, each.is_slow, each.name)))
