"""The first dashboard to open: who is not well, whose it is, and whether promises hold."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from prober.outcomes import Culprit
from tools.grafana import layout
from tools.grafana.alerts import alerts, firing
from tools.grafana.field_config import (
    AGO,
    AVAILABILITY,
    BUDGET,
    CERTIFICATE_DAYS,
    COUNT,
    CULPRIT,
    DAYS_KNOWN,
    NONE_IS_WELL,
    TOKEN,
    TOKEN_DAYS,
    YES,
)
from tools.grafana.layout import TENANT_OF_ROW, TENANT_OF_SERIES, Row, framed
from tools.grafana.palette import BAD, CULPRIT_COLOURS, CULPRIT_WORDS, GOOD, STANDINGS, Code
from tools.grafana.panels import (
    About,
    AnyPanel,
    Column,
    Look,
    Query,
    lines,
    listing,
    number,
    timeline,
)
from tools.grafana.queries import JOB, TENANT, days_until, moment, tenant_standing, token_standing

_FAILURES = f"prober_probe_consecutive_failures{{{TENANT}}}"
_CERTIFICATE = "prober_tls_certificate_expiry_timestamp_seconds"
_ALERTS = f'{JOB}, environment=~"$environment|all"'
_GLANCE = (4, 4)
_TENANT = Column("tenant", "Tenant", link=TENANT_OF_ROW)


def overview() -> Dashboard:
    """Return the dashboard over all tenants."""
    return framed(
        layout.OVERVIEW,
        "Prober: overview",
        "Who is not well, whose it is, and whether promises hold, over all tenants.",
        layout.TENANTS,
        [
            Row("", [*_in_trouble(), *_ahead(), _standings(), alerts(_ALERTS, (9, 11))]),
            Row("What fails", [_failing(), _failing_over_time()]),
            Row("Promises", [_promises(), _budgets()]),
            Row("Tokens and certificates", [_tokens(), _certificates()]),
        ],
    )


def _in_trouble() -> list[AnyPanel]:
    out_of_use = f'prober_token_state{{{TENANT}, state=~"missing|rejected"}}'
    return [
        number(
            About(
                "Tenants failing", "More than none: the timeline below says which, and whose it is."
            ),
            f"sum(({tenant_standing(TENANT, TENANT)}) > bool {Code.PLATFORM_SLOW})",
            _GLANCE,
            NONE_IS_WELL,
        ),
        number(
            About(
                "Probes failing", "Many of one tenant are one cause; one of many is that endpoint."
            ),
            f"sum(max by (job, tenant, probe) ({_FAILURES}) > bool 0)",
            _GLANCE,
            NONE_IS_WELL,
        ),
        number(
            About(
                "Alerts firing", "None: nobody has to act; else the list below says who and how."
            ),
            f"count({firing(_ALERTS)}) or vector(0)",
            _GLANCE,
            NONE_IS_WELL,
        ),
        number(
            About(
                "Tokens out of use",
                "More than none: put the present token into its source, no restart is needed.",
                ("ProberTokenRejected",),
            ),
            f"sum(max by (job, tenant) ({out_of_use}))",
            _GLANCE,
            NONE_IS_WELL,
        ),
    ]


def _ahead() -> list[AnyPanel]:
    return [
        number(
            About(
                "Next certificate expires in",
                "Under 21 days: ask whoever ends TLS there to renew it.",
                ("ProberCertificateExpires",),
                nothing="no TLS seen",
            ),
            f"min({days_until(_CERTIFICATE, JOB, 'job, host')})",
            _GLANCE,
            CERTIFICATE_DAYS,
        ),
        number(
            About(
                "Probers answering",
                "Less than all: of what they watch nothing is known, whatever else is shown here.",
                ("ProberDown",),
                nothing="no prober at all",
            ),
            f"sum(up{{{JOB}}}) / count(up{{{JOB}}})",
            _GLANCE,
            Look("percentunit", 0, steps=((None, BAD), (1.0, GOOD))),
        ),
    ]


def _standings() -> AnyPanel:
    return timeline(
        About(
            "How each tenant stands",
            "The word names whose it is: act on credential, request and prober yourself, hand"
            " platform to the supplier; where several fail at once, look for what they share.",
        ),
        [Query(tenant_standing(TENANT, TENANT), "{{tenant}}")],
        (15, 11),
        STANDINGS,
        TENANT_OF_SERIES,
    )


def _failing() -> AnyPanel:
    return listing(
        About(
            "Probes that fail now",
            "One culprit on all probes of a tenant is one cause; the longest row began first.",
            nothing="No probe fails.",
        ),
        [Query(f"max by (job, tenant, probe, culprit) ({_FAILURES}) > 0", "failures")],
        [
            _TENANT,
            Column("probe", "Probe"),
            Column("culprit", "Culprit", CULPRIT),
            Column("failures", "Failures in a row", COUNT),
        ],
        (12, 9),
        "-Failures in a row",
    )


def _failing_over_time() -> AnyPanel:
    bad = [culprit for culprit in Culprit if culprit is not Culprit.NONE]
    failures = f"prober_probe_consecutive_failures{{{TENANT}, culprit="
    return lines(
        About(
            "Failing probes by culprit",
            "A step is one event; network over all tenants at once has its cause near the prober.",
            ("ProberVantagePointOffline",),
        ),
        [
            Query(
                f'sum(max by (job, tenant, probe) ({failures}"{culprit}"}}) > bool 0)',
                CULPRIT_WORDS[culprit],
            )
            for culprit in bad
        ],
        (12, 9),
        "none",
        {CULPRIT_WORDS[culprit]: CULPRIT_COLOURS[culprit] for culprit in bad},
        stacked=True,
    )


def _recorded(name: str) -> str:
    return f"max by (job, tenant) (tenant:prober_{name}{{{TENANT}}})"


def _promises() -> AnyPanel:
    objective = _recorded("availability_objective:ratio")
    month = _recorded("platform_availability:ratio30d")
    return listing(
        About(
            "Availability against the objective",
            "Platform: of the runs that the platform answered, those that it did not fail;"
            " end-to-end: of all runs, those that a caller would have seen succeed. Both are of the"
            " days that Prometheus still knows.",
            ("ProberErrorBudgetBurns", "ProberRetentionTooShort"),
        ),
        [
            Query(objective, "objective"),
            Query(_recorded("platform_availability:ratio1d"), "platform1d"),
            Query(month, "platform30d"),
            Query(f"{month} >= bool {objective}", "kept"),
            Query(_recorded("error_budget_left:ratio30d"), "budget"),
            Query(f"{_recorded('error_budget_known:ratio30d')} * 30", "known"),
            Query(_recorded("platform_availability_coverage:ratio1d"), "heard1d"),
            Query(_recorded("end_to_end_availability:ratio1d"), "endtoend1d"),
            Query(_recorded("end_to_end_availability:ratio30d"), "endtoend30d"),
        ],
        [
            _TENANT,
            Column("objective", "Objective", AVAILABILITY),
            Column("platform1d", "Platform, 1 d", AVAILABILITY),
            Column("platform30d", "Platform, 30 d", AVAILABILITY),
            Column("kept", "Kept", YES),
            Column("budget", "Budget left", BUDGET),
            Column("known", "Of 30 days, known", DAYS_KNOWN),
            Column("heard1d", "Runs answered, 1 d", AVAILABILITY),
            Column("endtoend1d", "End-to-end, 1 d", AVAILABILITY),
            Column("endtoend30d", "End-to-end, 30 d", AVAILABILITY),
        ],
        (15, 9),
        "Budget left",
    )


def _budgets() -> AnyPanel:
    return lines(
        About(
            "Error budget left",
            "A slope that meets 0 before 30 days are over breaks the promise; flat is well.",
            ("ProberErrorBudgetBurns",),
        ),
        [Query(_recorded("error_budget_left:ratio30d"), "{{tenant}}")],
        (9, 9),
        "percentunit",
    )


def _tokens() -> AnyPanel:
    expiry = days_until("prober_token_expiry_timestamp_seconds", TENANT, "job, tenant")
    return listing(
        About(
            "Tokens",
            "Rejected: somebody generated a new one, or it expired: replace it; few days left:"
            " rotate it in time.",
            ("ProberTokenRejected", "ProberTokenExpiresSoon"),
        ),
        [
            Query(token_standing(TENANT), "state"),
            Query(expiry, "days"),
            Query(moment("prober_token_last_accepted_timestamp_seconds", TENANT), "accepted"),
        ],
        [
            _TENANT,
            Column("state", "State", TOKEN),
            Column("days", "Expires in", TOKEN_DAYS),
            Column("accepted", "Last accepted", AGO),
        ],
        (14, 9),
        "-State",
    )


def _certificates() -> AnyPanel:
    return listing(
        About(
            "TLS certificates",
            "The first of the chain to expire, by host: under 21 days whoever ends TLS is late.",
            ("ProberCertificateExpires",),
            nothing="No certificate was seen: all is plain HTTP, or not reached yet.",
        ),
        [Query(days_until(_CERTIFICATE, JOB, "job, host"), "days")],
        [Column("host", "Host"), Column("days", "Expires in", CERTIFICATE_DAYS)],
        (10, 9),
        "Expires in",
    )
