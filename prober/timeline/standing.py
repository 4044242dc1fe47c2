"""How things stand now: a tenant, its token and its probes, as far as is known."""

from collections.abc import Mapping
from dataclasses import dataclass

from prober.credential import TokenStatus
from prober.maintenance import Maintenance
from prober.model import Probe, Result, Tenant
from prober.outcomes import Reason, Side, SkipCause, TokenState
from prober.timeline.slots import Slot
from prober.timeline.spells import Spell


@dataclass(frozen=True, slots=True)
class ProbeStanding:
    """How one probe stands: its last run, the spell it is in, and why it did not run since."""

    probe: Probe
    result: Result | None = None
    spell: Spell | None = None
    slow: tuple[Side, ...] = ()
    skipped: SkipCause | None = None

    @property
    def reason(self) -> Reason | None:
        """What the last run came to."""
        return None if self.result is None else self.result.verdict.reason


@dataclass(frozen=True, slots=True)
class TenantStanding:
    """How one tenant stands.

    `slots` are those of the last day, by their beginning in epoch seconds, `month` is the sum of
    the last 30. Nothing is known from before `known_since`.
    """

    tenant: Tenant
    token: TokenStatus
    probes: tuple[ProbeStanding, ...]
    slots: Mapping[int, Slot]
    month: Slot
    maintenance: Maintenance
    known_since: float
    shared_with: tuple[str, ...] = ()
    foretold_by: str | None = None
    certificate_expiry: float | None = None

    def is_held_back(self, standing: ProbeStanding) -> bool:
        """Whether a probe is not run since the token was rejected for another one."""
        if self.token.state is not TokenState.REJECTED:
            return False
        return standing.reason is not Reason.TOKEN_REJECTED
