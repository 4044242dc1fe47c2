"""One event, one notification: grouping and inhibition, by a model of Alertmanager."""

from tests.alerting.notifications import Firing, Model
from tests.alerting.test_rules import ALERTS

MODEL = Model()
HOUR = 3600


def firing(name: str, at: float = 0, **labels: str) -> Firing:
    known = {"job": "prober", "environment": "production", "alertname": name}
    return Firing({**known, **ALERTS[name]["labels"], **labels}, at)


def sent(*alerts: Firing) -> list[tuple[str, int]]:
    """Return the receiver and the number of alerts of each notification."""
    return [(each.receiver, len(each.alerts)) for each in MODEL.notifications(alerts, HOUR)]


def test_tenants_that_hang_within_one_interval_are_one_page() -> None:
    alerts = [
        firing("ProberTenantSilent", at, tenant=name, location="here")
        for name, at in (("acme", 0), ("two", 60), ("three", 90))
    ]
    assert sent(*alerts) == [("pager", 3)]


def test_one_dead_token_is_one_page_that_names_its_tenants() -> None:
    alerts = [
        firing("ProberTokenRejected", at, tenant=name, cause="superseded", fingerprint="x")
        for name, at in (("acme", 0), ("two", 60))
    ]
    (page,) = MODEL.notifications(alerts, HOUR)
    assert [each["tenant"] for each in page.alerts] == ["acme", "two"]


def test_two_dead_tokens_are_two_pages() -> None:
    alerts = [
        firing("ProberTokenRejected", tenant=name, cause="superseded", fingerprint=name)
        for name in ("acme", "two")
    ]
    assert sent(*alerts) == [("pager", 1), ("pager", 1)]


def test_what_a_dead_token_explains_is_not_sent() -> None:
    cause = firing("ProberTokenRejected", tenant="acme", cause="superseded")
    assert sent(
        cause,
        firing("ProberProbeFailing", tenant="acme", severity="page", culprit="request"),
        firing("ProberTenantRefused", tenant="acme", culprit="credential"),
        firing("ProberPermissionDenied", tenant="acme", severity="ticket"),
    ) == [("pager", 1)]


def test_another_tenants_probe_is_not_explained_by_it() -> None:
    cause = firing("ProberTokenRejected", tenant="acme", cause="superseded")
    other = firing("ProberProbeFailing", tenant="two", severity="ticket", culprit="request")
    assert sent(cause, other) == [("pager", 1), ("tickets", 1)]


def test_a_location_that_is_cut_off_explains_its_probes_and_no_refusal() -> None:
    cause = firing("ProberVantagePointOffline", location="here")
    probe = {"tenant": "acme", "location": "here", "severity": "ticket"}
    assert sent(cause, firing("ProberProbeFailing", 0, culprit="undecided", **probe)) == [
        ("pager", 1)
    ]
    assert sent(cause, firing("ProberProbeFailing", 0, culprit="request", **probe)) == [
        ("pager", 1),
        ("tickets", 1),
    ]


def test_a_location_that_reaches_no_reference_explains_all_that_it_cannot_reach() -> None:
    cause = firing("ProberReferencesUnreachable", location="here", culprit="network")
    others = [
        firing(name, 0, tenant=tenant, location=location, culprit=culprit)
        for name, tenant, location, culprit in (
            ("ProberVantagePointOffline", "all", "here", "network"),
            ("ProberTenantUnreachable", "acme", "here", "network"),
            ("ProberTenantSilent", "acme", "here", "undecided"),
        )
    ]
    assert sent(cause, *others) == [("pager", 1)]
    elsewhere = firing(
        "ProberTenantUnreachable", tenant="acme", location="there", culprit="network"
    )
    refused = firing("ProberTenantDown", tenant="acme", location="here", culprit="platform")
    assert len(sent(cause, elsewhere, refused)) == 3


def test_a_page_replaces_the_ticket_of_the_same_culprit() -> None:
    alerts = [
        firing("ProberProbeFailing", tenant="acme", severity="ticket", culprit="platform"),
        firing("ProberErrorBudgetBurnsFast", 60, tenant="acme"),
    ]
    assert sent(*alerts) == [("pager", 1)]


def test_the_watchdog_goes_elsewhere() -> None:
    assert sent(firing("Watchdog"))[0] == ("deadman", 1)


def test_a_check_that_pages_explains_no_other_check() -> None:
    quota, mailbox = (
        firing(
            "ProberCheckFailing",
            tenant="acme",
            culprit="tenant",
            probe="x",
            severity=severity,
            check=check,
        )
        for severity, check in (("page", "quota-used"), ("ticket", "sync-age"))
    )
    silent = firing("ProberStreamSilent", tenant="acme", probe="y")
    assert sent(quota, mailbox, silent) == [("pager", 1), ("tickets", 1), ("tickets", 1)]


def test_many_checks_that_fail_at_once_are_one_ticket() -> None:
    alerts = [
        firing(
            "ProberCheckFailing",
            at,
            tenant=tenant,
            culprit="tenant",
            severity="ticket",
            probe="x",
            check=check,
        )
        for at, (tenant, check) in enumerate(
            (tenant, check) for tenant in ("acme", "two") for check in ("enabled", "sync-age")
        )
    ]
    assert sent(*alerts) == [("tickets", 4)]
