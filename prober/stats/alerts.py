"""Which alert rules an incident can fire: the one place that connects reasons and alerts. Pure.

The rules are in `config/prometheus/rules`, and fire by themselves. Tests compare this table with
them and with the measured coverage, so that neither can change without the other.
"""

from collections.abc import Collection
from dataclasses import dataclass

from prober.outcomes import Culprit, Reason


@dataclass(frozen=True, slots=True)
class IncidentAlert:
    """An alert rule that an incident of one of `culprits` can fire.

    `needs_many` if it fires only where many tenants, or all of a location, fail alike.
    `shared_runbook` is the runbook of a rule that has none of its own name.
    """

    name: str
    culprits: frozenset[Culprit]
    reasons: frozenset[Reason]
    needs_many: bool = False
    shared_runbook: str | None = None

    @property
    def runbook(self) -> str:
        """The name of the rule's runbook."""
        return self.shared_runbook or self.name

    def can_explain(self, culprit: Culprit, reasons: Collection[Reason]) -> bool:
        """Return whether an incident with this culprit and these reasons can fire it."""
        return culprit in self.culprits and not self.reasons.isdisjoint(reasons)


_FAILURES = frozenset(Reason) - {Reason.OK}
_TOKEN = frozenset({Reason.TOKEN_REJECTED})
_CHECKS = frozenset({Reason.CHECK_FAILED})
_QUOTA = frozenset({Reason.QUOTA_EXCEEDED})
_RATE_LIMIT = frozenset({Reason.RATE_LIMITED})
_ENVELOPE = frozenset({Reason.INCONSISTENT_ENVELOPE, Reason.MALFORMED_ENVELOPE})
_MISSING_OBJECT = frozenset({Reason.CLIENT_ERROR})
# A failed check is a response all the same: it counts for checks and budgets alone.
_NO_CHECK = _FAILURES - _CHECKS
# While the token is rejected, only the alerts on the token itself fire.
_ROUTE = _NO_CHECK - _TOKEN

_ALL = frozenset(Culprit) - {Culprit.NONE}
_REFUSED = frozenset({Culprit.CREDENTIAL, Culprit.REQUEST, Culprit.TENANT})
_CREDENTIAL = frozenset({Culprit.CREDENTIAL})
_PLATFORM = frozenset({Culprit.PLATFORM})
_NETWORK = frozenset({Culprit.NETWORK})
_UNDECIDED = frozenset({Culprit.UNDECIDED})
_PROBER = frozenset({Culprit.PROBER})
_OTHERS = frozenset({Culprit.REQUEST, Culprit.TENANT})

INCIDENT_ALERTS = (
    IncidentAlert("ProberTokenRejected", _CREDENTIAL, _TOKEN),
    IncidentAlert("ProberPermissionDenied", _CREDENTIAL, _ROUTE),
    IncidentAlert("ProberTenantRefused", _REFUSED, _ROUTE),
    IncidentAlert("ProberRateLimited", frozenset({Culprit.REQUEST}), _RATE_LIMIT),
    IncidentAlert("ProberQuotaExceeded", _OTHERS, _QUOTA),
    IncidentAlert("ProberObjectMissing", _OTHERS, _MISSING_OBJECT),
    IncidentAlert(
        "ProberErrorBudgetBurnsFast", _PLATFORM, _FAILURES, shared_runbook="ProberErrorBudgetBurns"
    ),
    IncidentAlert(
        "ProberErrorBudgetBurnsSlowly",
        _PLATFORM,
        _FAILURES,
        shared_runbook="ProberErrorBudgetBurns",
    ),
    IncidentAlert("ProberEnvelopeInconsistent", _PLATFORM, _ENVELOPE),
    IncidentAlert("ProberTenantDown", _PLATFORM | _UNDECIDED, _NO_CHECK),
    IncidentAlert("ProberTenantUnreachable", _NETWORK, _NO_CHECK),
    IncidentAlert("ProberTenantUnreachableWidely", _NETWORK, _NO_CHECK),
    IncidentAlert("ProberTenantSilent", _UNDECIDED, _NO_CHECK),
    IncidentAlert("ProberTenantSilentFromLocation", _UNDECIDED, _NO_CHECK),
    IncidentAlert("ProberFault", _PROBER, _NO_CHECK),
    IncidentAlert("ProberCheckFailing", _ALL - _PROBER, _CHECKS),
    IncidentAlert("ProberProbeFailing", _ALL - _PROBER - _CREDENTIAL, _NO_CHECK),
    IncidentAlert(
        "ProberTenantFlapping", _ALL - _PROBER, _ROUTE, shared_runbook="ProberProbeFlapping"
    ),
    IncidentAlert("ProberProbeFlapping", _ALL, _ROUTE),
    IncidentAlert("ProberManyTokensRejected", _CREDENTIAL, _TOKEN, needs_many=True),
    IncidentAlert("ProberPlatformDown", _PLATFORM | _UNDECIDED, _NO_CHECK, needs_many=True),
    IncidentAlert("ProberVantagePointOffline", _NETWORK, _NO_CHECK, needs_many=True),
    IncidentAlert("ProberReferencesUnreachable", _NETWORK | _UNDECIDED, _NO_CHECK, needs_many=True),
    IncidentAlert("ProberLocationSilent", _UNDECIDED, _NO_CHECK, needs_many=True),
)
"""In the order in which a page lists them: those of one tenant, then those of many."""


def explained_alerts(
    culprit: Culprit, reasons: Collection[Reason], *, in_maintenance: bool = False
) -> tuple[IncidentAlert, ...]:
    """Return the alerts that an incident can fire; none in maintenance, which silences them."""
    if in_maintenance:
        return ()
    return tuple(each for each in INCIDENT_ALERTS if each.can_explain(culprit, reasons))
