"""The first dashboard to open: which tenants fail, who is responsible, and whether SLOs are met."""

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
    NONE_IS_OK,
    TOKEN,
    TOKEN_DAYS,
    YES,
)
from tools.grafana.layout import TENANT_OF_ROW, TENANT_OF_SERIES, Row, framed
from tools.grafana.palette import BAD, CULPRIT_COLOURS, CULPRIT_WORDS, GOOD, STATUSES, Code
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
from tools.grafana.queries import JOB, TENANT, days_until, tenant_status, timestamp_ms, token_status

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
        "Which tenants fail, who is responsible, and whether SLOs are met.",
        layout.TENANTS,
        [
            Row("", [*_in_trouble(), *_ahead(), _statuses(), alerts(_ALERTS, (9, 11))]),
            Row("What fails", [_failing(), _failing_over_time()]),
            Row("Objectives", [_objectives(), _budgets()]),
            Row("Tokens and certificates", [_tokens(), _certificates()]),
        ],
    )


def _in_trouble() -> list[AnyPanel]:
    not_usable = f'prober_token_state{{{TENANT}, state=~"missing|rejected"}}'
    return [
        number(
            About(
                "Tenants failing", "The timeline below shows which tenants, and who is responsible."
            ),
            f"sum(({tenant_status(TENANT, TENANT)}) > bool {Code.PLATFORM_SLOW})",
            _GLANCE,
            NONE_IS_OK,
        ),
        number(
            About(
                "Probes failing",
                "All probes of a tenant: one common cause; one probe: that endpoint.",
            ),
            f"sum(max by (job, tenant, probe) ({_FAILURES}) > bool 0)",
            _GLANCE,
            NONE_IS_OK,
        ),
        number(
            About("Alerts firing", "The list below shows who has to act, and how."),
            f"count({firing(_ALERTS)}) or vector(0)",
            _GLANCE,
            NONE_IS_OK,
        ),
        number(
            About(
                "Tokens not usable",
                "Put the user's current token into its source; no restart is needed.",
                ("ProberTokenRejected",),
            ),
            f"sum(max by (job, tenant) ({not_usable}))",
            _GLANCE,
            NONE_IS_OK,
        ),
    ]


def _ahead() -> list[AnyPanel]:
    return [
        number(
            About(
                "Next certificate expires in",
                "Under 21 days: ask the operator of that TLS endpoint to renew it.",
                ("ProberCertificateExpires",),
                nothing="no TLS",
            ),
            f"min({days_until(_CERTIFICATE, JOB, 'job, host')})",
            _GLANCE,
            CERTIFICATE_DAYS,
        ),
        number(
            About(
                "Probers up",
                "Under 100 %: there is no data for the tenants of the probers that are down.",
                ("ProberDown",),
                nothing="no prober",
            ),
            f"sum(up{{{JOB}}}) / count(up{{{JOB}}})",
            _GLANCE,
            Look("percentunit", 0, steps=((None, BAD), (1.0, GOOD))),
        ),
    ]


def _statuses() -> AnyPanel:
    return timeline(
        About(
            "Status of each tenant",
            "The word names who is responsible: act on credential, probe request and prober"
            " yourself, report platform to the supplier; if several tenants fail at once, look for"
            " what they have in common.",
        ),
        [Query(tenant_status(TENANT, TENANT), "{{tenant}}")],
        (15, 11),
        STATUSES,
        TENANT_OF_SERIES,
    )


def _failing() -> AnyPanel:
    return listing(
        About(
            "Failing probes",
            "The same culprit on all probes of a tenant: one common cause. The highest number of"
            " failures started first.",
            nothing="No probe fails.",
        ),
        [Query(f"max by (job, tenant, probe, culprit) ({_FAILURES}) > 0", "failures")],
        [
            _TENANT,
            Column("probe", "Probe"),
            Column("culprit", "Responsible", CULPRIT),
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
            "Failing probes by responsible party",
            "A step is one event. Network path on all tenants: the cause is near the prober.",
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


def _objectives() -> AnyPanel:
    objective = _recorded("availability_objective:ratio")
    month = _recorded("platform_availability:ratio30d")
    return listing(
        About(
            "Availability against the objective",
            "Platform: share of the runs with a response from the platform that it did not fail;"
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
            Query(_recorded("platform_availability_coverage:ratio1d"), "observed1d"),
            Query(_recorded("end_to_end_availability:ratio1d"), "endtoend1d"),
            Query(_recorded("end_to_end_availability:ratio30d"), "endtoend30d"),
        ],
        [
            _TENANT,
            Column("objective", "Objective", AVAILABILITY),
            Column("platform1d", "Platform, 1 d", AVAILABILITY),
            Column("platform30d", "Platform, 30 d", AVAILABILITY),
            Column("kept", "Met", YES),
            Column("budget", "Budget left", BUDGET),
            Column("known", "Days with data, of 30", DAYS_KNOWN),
            Column("observed1d", "Runs with a response, 1 d", AVAILABILITY),
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
            "At this slope, the line reaches 0 before 30 days are over if the objective is missed.",
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
            "Rejected: it expired or was replaced elsewhere: configure the current one. Few days"
            " left: rotate it in time.",
            ("ProberTokenRejected", "ProberTokenExpiresSoon"),
        ),
        [
            Query(token_status(TENANT), "state"),
            Query(expiry, "days"),
            Query(timestamp_ms("prober_token_last_accepted_timestamp_seconds", TENANT), "accepted"),
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
            "The first certificate of each host to expire; under 21 days renewal is overdue.",
            ("ProberCertificateExpires",),
            nothing="No certificate seen: plain HTTP only, or no connection yet.",
        ),
        [Query(days_until(_CERTIFICATE, JOB, "job, host"), "days")],
        [Column("host", "Host"), Column("days", "Expires in", CERTIFICATE_DAYS)],
        (10, 9),
        "Expires in",
    )
