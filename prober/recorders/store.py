"""All families with the label values that they begin with: every series at 0 before anything ran.

The closed sets of words give the label values, so that a new word has its series without a change
here. Families whose label values only the world knows begin empty.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

from prober.model import PHASE_NAMES, Tenant
from prober.outcomes import (
    CLASSIFICATION,
    Culprit,
    HistoryLoss,
    Outcome,
    Reason,
    RejectionCause,
    ServerTimingAnomaly,
    Side,
    SkipCause,
    TimingFallback,
    TokenState,
)
from prober.recorders.families import FAMILIES, LATENCY_HISTOGRAMS, Family, Kind
from prober.recorders.series import ONLY, Block, Histogram, Labels, Shelf, Stale, bounds

HistogramScope = Literal["probe", "tenant", "off"]
"""Whether the latency histograms exist for each probe, for each tenant, or not at all."""

LOOP_LAG = "loop_lag"
OWN = "own"
GOOD_CODE, OTHER = "200", "other"

_Tails = Mapping[str, Labels]
_ONE: _Tails = MappingProxyType({ONLY: ()})


def _words(words: Iterable[str]) -> _Tails:
    return MappingProxyType(
        {word: (word.value if isinstance(word, StrEnum) else word,) for word in words}
    )


def _verdict(reason: Reason) -> Labels:
    row = CLASSIFICATION[reason]
    return (row.outcome.value, reason.value, row.culprit.value)


_TAILS: Mapping[str, _Tails] = MappingProxyType(
    {
        "prober_probe_runs_total": MappingProxyType({r: _verdict(r) for r in Reason}),
        "prober_probe_consecutive_failures": _words(c for c in Culprit if c is not Culprit.NONE),
        "prober_probe_last_duration_seconds": _words((*Side, OWN)),
        "prober_probe_last_phase_duration_seconds": _words(PHASE_NAMES),
        "prober_probe_latency_objective_missed_total": _words(Side),
        "prober_probe_latency_objective_seconds": _words(Side),
        "prober_probe_http_responses_total": _words((GOOD_CODE, OTHER)),
        "prober_probe_server_timing_anomalies_total": _words(ServerTimingAnomaly),
        "prober_measurements_discarded_total": _words((LOOP_LAG,)),
        "prober_probe_timing_fallbacks_total": _words(TimingFallback),
        "prober_token_state": _words(TokenState),
        "prober_token_rejected_cause": _words(RejectionCause),
        "prober_token_rejections_total": _words(RejectionCause),
        "prober_probe_skipped_total": _words(SkipCause),
        "prober_maintenance_runs_total": _words(Outcome),
        "prober_history_dropped_total": _words(HistoryLoss),
        "prober_shard_active": _words(("0",)),  # more where there are more shards
    }
)
_NOTHING_AT_START = frozenset(
    {
        "prober_probe_last_duration_seconds",
        "prober_probe_last_phase_duration_seconds",
        "prober_probe_last_tcp_rtt_seconds",
        "prober_token_info",
        "prober_token_expiry_timestamp_seconds",
        "prober_tls_certificate_expiry_timestamp_seconds",
        "prober_config_info",
    }
)


class Store:
    """The shelves of all families, in the table's order."""

    def __init__(self, histograms: HistogramScope) -> None:
        self._stale: Stale = OrderedDict()
        self._shelves = {
            family.name: Shelf(family, self._stale) for family in _families(histograms)
        }

    @property
    def shelves(self) -> Collection[Shelf]:
        """Every shelf, in the table's order."""
        return self._shelves.values()

    @property
    def series_count(self) -> int:
        """How many series (lines of text) there are now."""
        return sum(shelf.series_count for shelf in self.shelves)

    def refresh(self, most_owners: int) -> int:
        """Make stale texts anew, of so many owners; return how many there are left.

        What belongs to one owner is of one moment.
        """
        for _ in range(min(most_owners, len(self._stale))):
            _, blocks = self._stale.popitem(last=False)
            for block in blocks:
                block.refresh()
        return len(self._stale)

    def block(self, name: str, owner: Labels = ()) -> Block:
        """Return an owner's series of a family, made with its closed sets if they are new."""
        value = None if name in _NOTHING_AT_START else 0.0
        return self._shelves[name].block(owner, _TAILS.get(name, _ONE), value)

    def tell(self, name: str, owner: Labels, tail: Labels | None) -> None:
        """Set an owner's one series of an info family: 1 with `tail` as labels; None: absent."""
        tails: _Tails = {} if tail is None else {ONLY: tail}
        self._shelves[name].block(owner, tails, 1.0).redefine(tails, 1.0)

    def extend_labels(self, name: str, wanted: Iterable[str]) -> Labels:
        """Give a family further labels after its own, and return these, sorted.

        A name that the family has of its own is left out. Its series must be told anew.
        """
        shelf = self._shelves[name]
        extra = tuple(sorted(set(wanted) - set(shelf.family.labels)))
        shelf.labels = shelf.family.labels + extra
        return extra

    def histogram(self, name: str, owner: Labels = ()) -> Histogram | None:
        """Return an owner's histogram, or that of its tenant, or None if there shall be none."""
        shelf = self._shelves.get(name)
        return None if shelf is None else shelf.histogram(owner[: len(shelf.labels)])

    def keep_only(self, owners: Mapping[Labels, Collection[Labels]]) -> None:
        """Forget every owner that is not in `owners`, which is keyed by the owners' labels."""
        for shelf in self.shelves:
            wanted = owners.get(shelf.family.owner_labels)
            if wanted is not None:
                for owner in [owner for owner in shelf.blocks if owner not in wanted]:
                    shelf.drop(owner)


def series_estimate(tenants: Sequence[Tenant], histograms: HistogramScope) -> int:
    """Return how many series these settings yield at start, by arithmetic alone.

    Later come at most 18 for each probe (three parts, seven phases, seven more status codes, a
    round trip), two for each token, one for each host.
    """
    owners = {
        (): 1,
        ("tenant",): len(tenants),
        ("tenant", "probe"): sum(len(tenant.probes) for tenant in tenants),
    }
    return sum(
        _series_at_start(family) * owners.get(family.owner_labels, 0)
        for family in _families(histograms)
    )


def _series_at_start(family: Family) -> int:
    if family.kind is Kind.HISTOGRAM:
        return len(bounds(family)) + len(("count", "sum"))
    if family.name in _NOTHING_AT_START:
        return 0
    return len(_TAILS.get(family.name, _ONE))


def _families(histograms: HistogramScope) -> tuple[Family, ...]:
    if histograms == "off":
        return tuple(family for family in FAMILIES if family.name not in LATENCY_HISTOGRAMS)
    if histograms == "tenant":
        return tuple(
            replace(family, labels=("tenant",)) if family.name in LATENCY_HISTOGRAMS else family
            for family in FAMILIES
        )
    return FAMILIES
