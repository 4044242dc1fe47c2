"""Cases of alerts about values that checks read."""

from tests.alerting.cases import SERVER_ERROR, Case, probe, tenant


def failed(culprit: str = "tenant", severity: str = "ticket", check: str = "sync-age") -> str:
    labels = (f'check="{check}"', f'culprit="{culprit}"', f'severity="{severity}"')
    return probe("prober_probe_check_failed", *labels)


def value(check: str, item: str = "") -> str:
    return probe("prober_probe_value", f'check="{check}"', f'item="{item}"')


USED = "quota-used"
CHECK_CASES = (
    *(
        Case(
            "ProberCheckFailing",
            f"{culprit}, {severity}",
            {failed(culprit, severity): "0x9 1x100"},
            "10m",
            labels={"culprit": culprit, "severity": severity, "check": "sync-age"},
        )
        for culprit, severity in (
            ("tenant", "ticket"),
            ("tenant", "page"),
            ("credential", "ticket"),
            ("request", "ticket"),
        )
    ),
    Case(
        "ProberCheckFailing",
        "the platform's, too seldom to burn the budget",
        {failed("platform"): "0x9 1x100"},
        "19m30s",
        labels={"culprit": "platform", "severity": "ticket"},
    ),
    Case(
        "ProberCheckFailing",
        "two instances see the same",
        {failed(): "0x9 1x100", failed().replace('instance="a"', 'instance="b"'): "0x9 1x100"},
        "10m",
    ),
    Case("ProberCheckFailing", "briefly", {failed(): "0x9 1x8 0x100"}),
    Case("ProberCheckFailing", "never", {failed(): "0x100"}),
    Case(
        "ProberCheckFailing",
        "the platform's, while its errors burn the budget",
        {failed("platform"): "0x9 1x100", SERVER_ERROR: "0+0.5x100"},
    ),
    Case(
        "ProberQuotaNearlyUsedUp",
        "from 90 % on",
        {value(USED, "sources"): "0.5x9 0.9x100", value(USED, "users"): "0.2x100"},
        "15m",
        labels={"culprit": "tenant", "severity": "ticket"},
    ),
    Case("ProberQuotaNearlyUsedUp", "below", {value(USED, "sources"): "0.89x100"}),
    Case("ProberQuotaNearlyUsedUp", "used up: a check fails", {value(USED, "sources"): "1x100"}),
    Case(
        "ProberQuotaNearlyUsedUp",
        "in maintenance",
        {value(USED, "sources"): "0.95x100", tenant("prober_maintenance_active"): "1x100"},
    ),
)
