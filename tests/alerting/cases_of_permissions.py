"""Cases of permissions that the user of a token has lost."""

from tests.alerting.cases import CREDENTIAL, Case, probe
from tests.alerting.cases_of_probes import failing, rejected, well

ALERT = "ProberTokenPermissionMissing"


def missing(name: str = "sources", values: str = "0x9 1x100") -> dict[str, str]:
    series = probe("prober_token_permission_missing", 'permission="sources-read"', name=name)
    return {series: values}


PERMISSION_CASES = (
    Case(
        ALERT,
        "lost, and the probe succeeds",
        {**well(), **well("sources"), **missing()},
        "15m",
        labels={"severity": "ticket", "permission": "sources-read", **CREDENTIAL},
    ),
    Case(ALERT, "lost by two probes", {**missing(), **missing("source")}, "15m"),
    Case(ALERT, "briefly", missing(values="0x9 1x10 0x100")),
    Case(ALERT, "never", missing(values="0x100")),
    Case(
        ALERT,
        "the probe is refused: that is its own alert",
        {**well(), **missing(), **failing("credential")},
    ),
    Case(
        ALERT,
        "every probe is refused: that is the tenant's alert",
        {**missing(), **failing("credential", "datasets"), **failing("credential")},
    ),
    Case(ALERT, "with a dead token", {**missing(), **rejected("acme")}),
)
