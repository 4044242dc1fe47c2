"""The recorder that knows how everything stands now: what pages show, without asking the history.

It lives on the event loop. Of the past it keeps a day, in slots; the rest it is told.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from prober.credential import TokenStatus, foretold_by, shared_with
from prober.maintenance import Maintenance
from prober.model import Result, Tenant
from prober.outcomes import Counterpart, SkipCause
from prober.timeline.light import light
from prober.timeline.slots import SLOT_SECONDS, Slot, slot_at, slot_of
from prober.timeline.spells import Spell, follow
from prober.timeline.standing import ProbeStanding, TenantStanding
from prober.timeline.tally import run_of
from prober.verdict.latency import slow_sides

DAY_SECONDS = 86_400
_ProbeKey = tuple[str, str]


class Board:
    """A recorder. `started_at` is in epoch seconds."""

    def __init__(self, tenants: Sequence[Tenant], started_at: float) -> None:
        self.tenants: dict[str, Tenant] = {}
        self.changes: Counter[str] = Counter()
        self._standings: dict[_ProbeKey, ProbeStanding] = {}
        self._slots: dict[str, dict[int, Slot]] = defaultdict(dict)
        self._earlier: Mapping[str, Slot] = {}
        self._certificates: dict[str, float] = {}
        self._known_since = started_at
        self._take_over(tenants)

    def apply(self, tenants: Sequence[Tenant]) -> None:
        """Take over settings: of what is gone nothing is kept, of all else everything."""
        self._take_over(tenants)
        self.changes.update(self.tenants.keys())

    def _take_over(self, tenants: Sequence[Tenant]) -> None:
        self.tenants = {tenant.name: tenant for tenant in tenants}
        probes = {(tenant.name, probe.name): probe for tenant in tenants for probe in tenant.probes}
        self._standings = {
            key: replace(self._standings.get(key) or ProbeStanding(probe), probe=probe)
            for key, probe in probes.items()
        }
        for kept in (self._slots, self._certificates, self.changes):
            for name in kept.keys() - self.tenants.keys():
                del kept[name]

    def record(self, result: Result) -> None:
        """See `Recorder`."""
        key = (result.tenant, result.probe)
        standing, run = self._standings[key], run_of(result)
        _, spell = follow(standing.spell, run)
        slow = slow_sides(result.verdict.latency, standing.probe)
        self._standings[key] = ProbeStanding(standing.probe, light(result), spell, slow)
        self._add(result.tenant, result.started_at, slot_of(run))
        expiry = result.exchange.certificate_expiry_timestamp_seconds
        if expiry is not None and result.counterpart is Counterpart.API:
            self._certificates[result.tenant] = expiry

    def skipped(self, tenant: str, probe: str, cause: SkipCause, at: float) -> None:
        """Take note of a due run that was not started."""
        key = (tenant, probe)
        self._standings[key] = replace(self._standings[key], skipped=cause)
        held_back = cause is SkipCause.TOKEN_REJECTED
        self._add(tenant, at, Slot(held_back=1) if held_back else Slot())

    def touch(self, tenant: str) -> None:
        """Take note that something else about a tenant has changed."""
        self.changes[tenant] += 1

    def remember(
        self,
        slots: Mapping[str, Mapping[int, Slot]],
        spells: Sequence[Spell],
        known_since: float | None,
    ) -> None:
        """Take over what was known before the start, and has not been recorded since."""
        for tenant, known in slots.items():
            for at, slot in known.items():
                self._slots[tenant][at] = slot + self._slots[tenant].get(at, Slot())
        for spell in spells:
            self._remember_spell(spell)
        if known_since is not None:
            self._known_since = min(self._known_since, known_since)
        self.changes.update(self.tenants.keys())

    def remember_earlier(self, sums: Mapping[str, Slot]) -> None:
        """Take over the sums of 30 days, but for the last one."""
        self._earlier = sums

    def standing(
        self,
        tenant: str,
        statuses: Mapping[str, TokenStatus],
        maintenance: Maintenance,
        now: float,
    ) -> TenantStanding:
        """Return how a tenant stands; `statuses` are those of all tenants' tokens."""
        known = self.tenants[tenant]
        slots = self._of_last_day(tenant, now)
        return TenantStanding(
            tenant=known,
            token=statuses[tenant],
            probes=tuple(self._standings[(tenant, probe.name)] for probe in known.probes),
            slots=slots,
            month=sum(slots.values(), self._earlier.get(tenant, Slot())),
            maintenance=maintenance,
            known_since=self._known_since,
            shared_with=shared_with(statuses, tenant),
            foretold_by=foretold_by(statuses, tenant),
            certificate_expiry=self._certificates.get(tenant),
        )

    def result(self, tenant: str, probe: str) -> Result | None:
        """Return the last result of a probe."""
        return self._standings[(tenant, probe)].result

    def _remember_spell(self, spell: Spell) -> None:
        key = (spell.tenant, spell.probe)
        standing = self._standings.get(key)
        if standing is None or spell.ended_at is not None:
            return
        if standing.result is None:
            self._standings[key] = replace(standing, spell=spell)
        elif standing.spell is not None and standing.spell.culprit is spell.culprit:
            longer = replace(standing.spell, started_at=spell.started_at)
            self._standings[key] = replace(standing, spell=longer)

    def _add(self, tenant: str, at: float, slot: Slot) -> None:
        slots, beginning = self._slots[tenant], slot_at(at)
        known = slots.get(beginning)
        slots[beginning] = slot if known is None else known + slot
        self.changes[tenant] += 1

    def _of_last_day(self, tenant: str, now: float) -> Mapping[int, Slot]:
        slots, since = self._slots[tenant], slot_at(now) - DAY_SECONDS + SLOT_SECONDS
        for at in [at for at in slots if at < since]:
            del slots[at]
        return dict(sorted(slots.items()))
