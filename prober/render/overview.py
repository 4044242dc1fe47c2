"""Which tenants the overview shows, and in which order: those in trouble first, worst first. Pure.

The same filter serves the page, its live updates and the API. Counts are always over all tenants: a
filter must not hide that something else is wrong.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from prober.outcomes import Culprit
from prober.render.documents import TenantStatusDocument, TimeBucketDocument
from prober.render.text import CULPRIT_LABELS

FIRST_ENVIRONMENT = "production"
_CULPRIT_ORDER = tuple(CULPRIT_LABELS)


class TenantState(StrEnum):
    """The state of a tenant on the overview."""

    FAILING = "failing"
    SLOW = "slow"
    WAITING = "waiting"
    MAINTENANCE = "maintenance"
    OK = "ok"


TROUBLE = frozenset({TenantState.FAILING, TenantState.SLOW})


def tenant_state(tenant: TenantStatusDocument) -> TenantState:
    """Return the state of a tenant; failures in maintenance are expected, and no trouble."""
    if tenant.maintenance is not None:
        return TenantState.MAINTENANCE
    if not tenant.is_known:
        return TenantState.WAITING
    if tenant.is_ok:
        return TenantState.OK
    return TenantState.SLOW if tenant.is_slow else TenantState.FAILING


class SortKey(StrEnum):
    """The columns of the overview that it can be sorted by."""

    NAME = "name"
    STATE = "state"
    FAILURES = "failures"
    SERVER = "server"
    NETWORK = "network"
    AVAILABILITY = "availability"
    TOKEN = "token"  # noqa: S105 -- a column's name
    CERTIFICATE = "certificate"


@dataclass(frozen=True, slots=True)
class OverviewFilter:
    """What is shown: everything that is given must match; of several values, one must.

    `words` are matched in name, environment, verdict, address and `label=value`, in any case.
    """

    words: tuple[str, ...] = ()
    states: frozenset[TenantState] = frozenset()
    culprits: frozenset[Culprit] = frozenset()
    environments: frozenset[str] = frozenset()
    labels: tuple[tuple[str, str], ...] = ()
    sort: SortKey = SortKey.NAME
    descending: bool = False

    @property
    def is_active(self) -> bool:
        """Whether it leaves anything out."""
        return bool(self.words or self.states or self.culprits or self.environments or self.labels)

    def matches(self, tenant: TenantStatusDocument) -> bool:
        """Return whether a tenant is shown."""
        state = tenant_state(tenant)
        if self.states and state not in self.states:
            return False
        if self.culprits and not (state in TROUBLE and tenant.culprit in self.culprits):
            return False
        if self.environments and tenant.environment not in self.environments:
            return False
        by_label: dict[str, set[str]] = {}
        for label, value in self.labels:
            by_label.setdefault(label, set()).add(value)
        if any(tenant.labels.get(label) not in values for label, values in by_label.items()):
            return False
        text = _searched_text(tenant) if self.words else ""
        return all(word.casefold() in text for word in self.words)


@dataclass(frozen=True, slots=True)
class TenantGroup:
    """The tenants of an environment that are not in trouble."""

    environment: str
    tenants: tuple[TenantStatusDocument, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """What the overview shows. `culprits` and `states` count all tenants, without the filter."""

    filter: OverviewFilter
    total: int
    states: Mapping[TenantState, int]
    culprits: Mapping[Culprit, int]
    environments: tuple[str, ...]
    trouble: tuple[TenantStatusDocument, ...]
    groups: tuple[TenantGroup, ...]

    @property
    def in_trouble(self) -> int:
        """How many tenants need attention, without the filter."""
        return sum(self.states.get(state, 0) for state in TROUBLE)

    @property
    def tenants(self) -> tuple[TenantStatusDocument, ...]:
        """The tenants that match the filter."""
        return (*self.trouble, *(each for group in self.groups for each in group.tenants))

    @property
    def shown(self) -> int:
        """How many tenants match the filter."""
        return len(self.trouble) + sum(len(group.tenants) for group in self.groups)

    @property
    def headline(self) -> str:
        """The state of all tenants in one sentence."""
        noun = "tenant" if self.total == 1 else "tenants"
        if self.in_trouble:
            verb = "needs" if self.in_trouble == 1 else "need"
            return f"{self.in_trouble} of {self.total} {noun} {verb} attention"
        waiting = self.states.get(TenantState.WAITING, 0)
        if waiting:
            return f"{waiting} of {self.total} {noun} wait for the first run"
        return f"{self.total}/{self.total} {noun} OK" if self.total else "No tenants"

    @property
    def title(self) -> str:
        """The title of the page, which begins with the number of tenants in trouble."""
        return f"({self.in_trouble}) {self.headline}" if self.in_trouble else self.headline

    @property
    def worst(self) -> Culprit:
        """The culprit that most tenants in trouble have; `none` without trouble."""
        return next(iter(self.culprits), Culprit.NONE)


def overview(tenants: Iterable[TenantStatusDocument], wanted: OverviewFilter) -> Overview:
    """Return what the overview shows of some tenants."""
    every = tuple(tenants)
    states = Counter(map(tenant_state, every))
    culprits = Counter(each.culprit for each in every if tenant_state(each) in TROUBLE)
    shown = [each for each in every if wanted.matches(each)]
    trouble = [each for each in shown if tenant_state(each) in TROUBLE]
    rest = [each for each in shown if tenant_state(each) not in TROUBLE]
    environments = tuple(sorted({each.environment for each in every}, key=_environment_order))
    return Overview(
        filter=wanted,
        total=len(every),
        states=dict(states),
        culprits=dict(
            sorted(culprits.items(), key=lambda pair: (-pair[1], _CULPRIT_ORDER.index(pair[0])))
        ),
        environments=environments,
        trouble=tuple(sorted(trouble, key=severity)),
        groups=tuple(
            TenantGroup(name, _sorted((each for each in rest if each.environment == name), wanted))
            for name in environments
        ),
    )


def severity(tenant: TenantStatusDocument) -> tuple[object, ...]:
    """Return the key that sorts the worst tenant first.

    Failing before slow, production before other environments, and then by the share of probes that
    fail, by culprit, and by how long it has lasted.
    """
    failing = sum(each.failing_since is not None or each.is_paused for each in tenant.probes)
    return (
        tenant.is_slow,
        *_environment_order(tenant.environment)[:1],
        -failing / max(len(tenant.probes), 1),
        _CULPRIT_ORDER.index(tenant.culprit),
        math.inf if tenant.since is None else tenant.since,
        tenant.name,
    )


def _environment_order(environment: str) -> tuple[bool, str]:
    return environment != FIRST_ENVIRONMENT, environment


def _sorted(
    tenants: Iterable[TenantStatusDocument], wanted: OverviewFilter
) -> tuple[TenantStatusDocument, ...]:
    """Return tenants in order; those for which the column is unknown are last either way."""
    value = _SORT_VALUES[wanted.sort]
    by_name = sorted(tenants, key=lambda each: each.name)
    known = [each for each in by_name if value(each) is not None]
    unknown = [each for each in by_name if value(each) is None]
    known.sort(key=value, reverse=wanted.descending)  # type: ignore[arg-type]
    return (*known, *unknown)


_SORT_VALUES: Mapping[SortKey, Callable[[TenantStatusDocument], str | float | None]] = (
    MappingProxyType(
        {
            SortKey.NAME: lambda each: each.name,
            SortKey.STATE: lambda each: tuple(TenantState).index(tenant_state(each)),
            SortKey.FAILURES: lambda each: sum(map(_failures, each.strip)),
            SortKey.SERVER: lambda each: each.server_p95_seconds,
            SortKey.NETWORK: lambda each: each.network_p95_seconds,
            SortKey.AVAILABILITY: lambda each: each.availability.month.platform_ratio,
            SortKey.TOKEN: lambda each: each.token.expires_at,
            SortKey.CERTIFICATE: lambda each: each.certificate_expires_at,
        }
    )
)


def _failures(bucket: TimeBucketDocument) -> int:
    return bucket.runs - bucket.by_culprit.get(Culprit.NONE, 0)


def _searched_text(tenant: TenantStatusDocument) -> str:
    labels = (f"{label}={value}" for label, value in tenant.labels.items())
    parts = (tenant.name, tenant.environment, tenant.base_url, tenant.verdict, *labels)
    return "\n".join(parts).casefold()
