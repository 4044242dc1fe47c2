"""The alerts that an incident explains are those of the rules and of the measured coverage."""

import re

import pytest

from prober.outcomes import Culprit, Reason
from prober.stats.alerts import INCIDENT_ALERTS, explained_alerts
from tests.alerting.coverage import CELLS, PAGE, TOKEN, Cell
from tests.alerting.coverage import reason as why_not_measured
from tests.alerting.fleet import REASONS
from tests.alerting.test_coverage import cell_of_the_page
from tests.alerting.test_rules import ALERTS

BY_NAME = {each.name: each for each in INCIDENT_ALERTS}
OF_NO_INCIDENT = {
    # of the token or the certificate before anything fails, and of what succeeds
    *("ProberTokenExpiresSoon", "ProberTokenExpiresVerySoon", "ProberTokenOverdue"),
    *("ProberTokenRotated", "ProberTokenShared", "ProberTokenPermissionMissing"),
    "ProberCertificateExpires",
    # of latency and of values
    *("ProberServerSlow", "ProberServerLatencyDrifts", "ProberNetworkSlow"),
    *("ProberNetworkLatencyDrifts", "ProberQuotaNearlyUsedUp", "ProberModelRatingDrops"),
    *("ProberStreamNotConsumed", "ProberStreamSilent"),
    # of the prober and of alerting
    *("Watchdog", "ProberAbsent", "ProberDown", "ProberLocationMissing", "ProberShardMissing"),
    *("ProberShardsDisagree", "ProberSchedulerStalled", "ProberProbesStale"),
    *("ProberProbesNeverRan", "ProberRetentionTooShort", "ProberScheduleLate"),
    *("ProberEventLoopLags", "ProberMeasurementsDiscarded", "ProberRunsSkipped"),
    *("ProberReloadFailed", "ProberStatusPageUnreadable", "ProberStateNotSaved"),
    "ProberSinkFails",
}
FAILING = ("hard down", "flapping", "never succeeded", "empty response")
_CHECK_ROW = re.compile(r"\| `[\w-]+` \| `[\w-]+` \| (\w+) \| (\w+):", re.ASCII)
_REFERENCE_ROW = re.compile(r"\| (?:one|all) tenants? (?:is|are) (\w+) \| [\w ]+ \| (\w+):")


def names(culprit: str, *reasons: str) -> set[str]:
    found = explained_alerts(Culprit(culprit), [Reason(each) for each in reasons])
    return {each.name for each in found}


def test_every_rule_is_in_the_table_or_is_of_no_incident() -> None:
    assert set(BY_NAME) | OF_NO_INCIDENT == set(ALERTS)
    assert not set(BY_NAME) & OF_NO_INCIDENT
    assert len(BY_NAME) == len(INCIDENT_ALERTS)


@pytest.mark.parametrize("name", BY_NAME)
def test_runbook_culprit_and_scope_are_those_of_the_rule(name: str) -> None:
    alert, rule = BY_NAME[name], ALERTS[name]
    assert rule["annotations"]["runbook_url"].rstrip("/").rpartition("/")[2] == alert.runbook
    culprit = rule["labels"].get("culprit")
    if culprit is not None and name != "ProberTenantSilentFromLocation":  # others decide that one
        assert Culprit(culprit) in alert.culprits
    is_of_many = rule["labels"]["scope"] in {"platform", "location"}
    assert alert.needs_many is is_of_many


def cells() -> list[Cell]:
    return [each for each in CELLS if each.pattern in FAILING and why_not_measured(each) is None]


@pytest.mark.parametrize("cell", cells(), ids=str)
def test_what_the_coverage_notifies_is_explained(cell: Cell) -> None:
    culprit = cell.culprit.partition(":")[0]
    reason = "token_rejected" if cell.culprit == TOKEN else REASONS[culprit][0]
    if cell.pattern == "empty response":
        reason = "expectation_failed"
    notified = set(re.findall(r"\bProber\w+", cell_of_the_page(cell)))
    assert notified
    assert notified <= names(culprit, reason)


def test_checks_and_references_are_explained() -> None:
    text = PAGE.read_text()
    checks, references = _CHECK_ROW.findall(text), _REFERENCE_ROW.findall(text)
    assert len(checks) > 10
    assert len(references) > 10
    for culprit, alert in checks:
        assert alert in names(culprit, "check_failed")
    for state, alert in references:
        culprit, reason = {
            "unreachable": ("network", "connection_refused"),
            "silent": ("undecided", "response_timeout"),
        }[state]
        assert alert in names(culprit, reason)


def test_every_alert_explains_something_that_can_be() -> None:
    every = {
        name
        for culprit in Culprit
        for reason in Reason
        for name in names(culprit, reason)
        if culprit is not Culprit.NONE
    }
    assert every == set(BY_NAME)


@pytest.mark.parametrize(
    ("culprit", "reason", "expected"),
    [
        ("credential", "token_rejected", {"ProberTokenRejected", "ProberManyTokensRejected"}),
        ("prober", "token_missing", {"ProberFault", "ProberProbeFlapping"}),
        ("tenant", "check_failed", {"ProberCheckFailing"}),
    ],
)
def test_no_more_is_listed_than_can_fire(culprit: str, reason: str, expected: set[str]) -> None:
    assert names(culprit, reason) == expected


def test_each_kind_has_its_own_alert() -> None:
    assert "ProberQuotaExceeded" in names("tenant", "quota_exceeded")
    assert "ProberRateLimited" in names("request", "rate_limited")
    assert "ProberObjectMissing" in names("request", "client_error")
    assert "ProberEnvelopeInconsistent" in names("platform", "server_error", "malformed_envelope")
    assert "ProberEnvelopeInconsistent" not in names("platform", "server_error")
    assert "ProberQuotaExceeded" not in names("tenant", "expectation_failed")


def test_maintenance_silences_all() -> None:
    assert explained_alerts(Culprit.PLATFORM, [Reason.SERVER_ERROR], in_maintenance=True) == ()
