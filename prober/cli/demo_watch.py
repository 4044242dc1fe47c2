"""What the demo sees of the daemon: how each probe stands, and whether that was to be expected."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from prober.credential import TokenStatus
from prober.model import Probe, Result, Tenant
from prober.outcomes import Side, TokenState
from prober.simulator.scenario import Expected, Phase
from prober.verdict.latency import slow_sides
from prober.views.status import StatusRow, status_lines


class Tokens(Protocol):
    """Who knows in which state a tenant's token is."""

    @property
    def statuses(self) -> Mapping[str, TokenStatus]:
        """What may be shown of each tenant's token."""
        ...


def objection(result: Result, probe: Probe, expected: Expected) -> str | None:
    """Return what is wrong with a result, or None if it is as expected. Pure."""
    reason = result.verdict.reason
    if reason not in expected.reasons:
        return f"{reason} in place of {' or '.join(expected.reasons)}: {result.verdict.evidence}"
    slow = slow_sides(result.verdict.latency, probe)
    if expected.slow is not None and expected.slow not in slow:
        return f"the {expected.slow} was not slow"
    if expected.slow is None and slow:
        return f"the {slow[0]} was slow"
    return None


class DemoWatch:
    """A recorder. `tell` gets a line whenever a probe stands otherwise than before."""

    def __init__(self, tenants: Sequence[Tenant], tell: Callable[[str], None] | None) -> None:
        self.tokens: Tokens | None = None
        self.phase: Phase | None = None
        self.phase_ends_at = 0.0
        self.unexpected: list[str] = []
        self._tell = tell
        self._began_at = 0.0
        self._heard: Counter[str] = Counter()
        self._last: dict[tuple[str, str], Result] = {}
        self._told: dict[tuple[str, str], tuple[str, str | None]] = {}
        self._tenants = tuple(tenants)
        self._probes: Mapping[tuple[str, str], Probe] = {
            (tenant.name, probe.name): probe for tenant in tenants for probe in tenant.probes
        }

    def begin(self, phase: Phase, now: float, speed: float) -> None:
        """Note that a phase has begun, its actions done; `now` is in epoch seconds."""
        self.end()
        self.phase, self._began_at = phase, now
        self.phase_ends_at = now + phase.seconds / speed

    def end(self) -> None:
        """End a phase: of every tenant something must have been heard."""
        if self.phase is not None:
            self.unexpected += [
                f"{self.phase.name}: nothing was heard of {tenant}"
                for tenant in self.phase.expect
                if not self._heard[tenant]
            ]
        self.phase = None
        self._heard.clear()

    def record(self, result: Result) -> None:
        """See `Recorder`; what began before the phase's actions were done belongs to none."""
        key = (result.tenant, result.probe)
        self._last[key] = result
        self._tell_change(key)
        if self.phase is None or result.started_at < self._began_at:
            return
        expected = self.phase.expect.get(result.tenant)
        if expected is None:
            return
        self._heard[result.tenant] += 1
        wrong = objection(result, self._probes[key], expected)
        if wrong is not None:
            self.unexpected.append(f"{self.phase.name}: {result.tenant}/{result.probe}: {wrong}")

    def rows(self) -> list[StatusRow]:
        """Return how every probe stands."""
        return [
            self._row(tenant, probe.name) for tenant in self._tenants for probe in tenant.probes
        ]

    def _row(self, tenant: Tenant, probe: str) -> StatusRow:
        result = self._last.get((tenant.name, probe))
        token = None if self.tokens is None else self.tokens.statuses[tenant.name]
        slow: tuple[Side, ...] = ()
        if result is not None:
            slow = slow_sides(result.verdict.latency, self._probes[(tenant.name, probe)])
        return StatusRow(
            tenant=tenant.name,
            environment=tenant.environment,
            probe=probe,
            token_state=TokenState.MISSING if token is None else token.state,
            verdict=None if result is None else result.verdict,
            token_fingerprint=None if token is None else token.fingerprint,
            slow=slow[0] if slow else None,
        )

    def _tell_change(self, key: tuple[str, str]) -> None:
        tenant = next(tenant for tenant in self._tenants if tenant.name == key[0])
        row = self._row(tenant, key[1])
        stands = (self._last[key].verdict.reason.value, row.slow)
        if self._tell is not None and self._told.get(key) != stands:
            self._told[key] = stands
            self._tell(status_lines([row])[0])
