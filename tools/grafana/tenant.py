"""One tenant: what failed, who is responsible, latency, and its token."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from tools.grafana import layout
from tools.grafana.alerts import alerts
from tools.grafana.field_config import (
    AVAILABILITY,
    BUDGET,
    COUNT,
    CULPRIT,
    STATUS,
    TOKEN,
    TOKEN_DAYS,
)
from tools.grafana.layout import Row, framed
from tools.grafana.palette import (
    COLOURS,
    CULPRIT_COLOURS,
    CULPRIT_WORDS,
    GOOD,
    STATUSES,
    TOKENS,
    Shown,
)
from tools.grafana.panels import About, AnyPanel, Column, Query, lines, listing, number, timeline
from tools.grafana.queries import (
    HERE,
    JOB,
    PROBE,
    RATE,
    TENANT,
    days_until,
    per_minute,
    probe_status,
    tenant_status,
    token_status,
)
from tools.grafana.tenant_latency import latency

_GLANCE = (4, 4)
_HALF, _THIRD = (12, 9), (8, 9)
_GOOD_CODE, _PAUSED = "200", "· paused (token rejected)"
_FINGERPRINT = 10
"""In a timeline beside the token's states: a fingerprint is merely there."""


def tenant() -> Dashboard:
    """Return the dashboard of one tenant."""
    of_tenant_or_all = f'{JOB}, tenant=~"$tenant|all"'
    return framed(
        layout.TENANT,
        "Prober: tenant",
        "What failed, who is responsible, latency by component, and the token of one tenant.",
        [layout.ONE_TENANT, layout.LOCATION, layout.PROBES],
        [
            Row("", [*_glance(), _probes(), alerts(of_tenant_or_all, (9, 9)), _runs(), _reasons()]),
            Row("Latency", latency()),
            Row("Values in responses", [_failed_checks(), _values(), _ages()]),
            Row("Token and responses", [_token(), _token_events(), _codes()]),
        ],
    )


def _glance() -> list[AnyPanel]:
    budget = f"max(tenant:prober_error_budget_left:ratio30d{{{TENANT}}})"
    expiry = days_until("prober_token_expiry_timestamp_seconds", TENANT, "job, tenant")
    return [
        number(
            About("Status", "The word names who is responsible; the probes are below."),
            tenant_status(HERE, TENANT),
            _GLANCE,
            STATUS,
        ),
        _availability(
            "platform", "Platform, 30 d", "Below the objective: the supplier missed the SLO."
        ),
        _availability(
            "end_to_end", "End-to-end, 30 d", "What a caller would have seen, whatever the cause."
        ),
        number(
            About(
                "Error budget left",
                "Under 25 %: avoid risky changes; below 0: the objective is missed.",
                ("ProberErrorBudgetBurns",),
            ),
            budget,
            _GLANCE,
            BUDGET,
        ),
        number(
            About(
                "Token",
                "Rejected: all probes but one are paused until it is replaced.",
                ("ProberTokenRejected",),
            ),
            token_status(TENANT),
            _GLANCE,
            TOKEN,
        ),
        number(
            About(
                "Token expires in",
                "Under 14 days: rotate it now, in working hours.",
                ("ProberTokenExpiresSoon",),
                nothing="unknown",
            ),
            expiry,
            _GLANCE,
            TOKEN_DAYS,
        ),
    ]


def _availability(indicator: str, title: str, description: str) -> AnyPanel:
    availability = f"max(tenant:prober_{indicator}_availability:ratio30d{{{TENANT}}})"
    return number(About(title, description), availability, _GLANCE, AVAILABILITY)


def _probes() -> AnyPanel:
    return timeline(
        About(
            "Status of each probe",
            "All probes alike: the tenant's token, network path or platform; a single one: that"
            " endpoint.",
        ),
        [Query(probe_status(PROBE, TENANT), "{{probe}}")],
        (15, 9),
        STATUSES,
    )


def _runs() -> AnyPanel:
    runs, paused = "prober_probe_runs_total", f'{PROBE}, cause="token_rejected"'
    colours = {CULPRIT_WORDS[culprit]: colour for culprit, colour in CULPRIT_COLOURS.items()}
    return lines(
        About(
            "Runs by responsible party",
            "The height is the rate of runs, the colour who is responsible; where the height falls,"
            " the prober did not run.",
            ("ProberProbesStale",),
        ),
        [
            *(
                Query(per_minute(runs, f'{PROBE}, culprit="{culprit}"'), words)
                for culprit, words in CULPRIT_WORDS.items()
            ),
            Query(per_minute("prober_probe_skipped_total", paused), _PAUSED),
        ],
        _HALF,
        "cpm",
        {**colours, _PAUSED: COLOURS["faint"]},
        stacked=True,
    )


def _reasons() -> AnyPanel:
    failed = f'increase(prober_probe_runs_total{{{PROBE}, culprit!="none"}}[$__range])'
    return listing(
        About(
            "Failures in this time range, by reason",
            "Start with the first line; the documentation explains each reason.",
            nothing="Nothing failed.",
        ),
        [Query(f"sum by (job, probe, culprit, reason) ({failed}) > 0", "runs")],
        [
            Column("culprit", "Responsible", CULPRIT),
            Column("reason", "Reason"),
            Column("probe", "Probe"),
            Column("runs", "Runs", COUNT),
        ],
        _HALF,
        "-Runs",
    )


def _failed_checks() -> AnyPanel:
    failed = f"max by (job, probe, check, culprit) (prober_probe_check_failed{{{PROBE}}}) == 1"
    return listing(
        About(
            "Failed checks",
            "The platform responds, and a value in its response is beyond its limit.",
            ("ProberCheckFailing",),
            nothing="No check fails.",
        ),
        [Query(failed, "failed")],
        [
            Column("culprit", "Responsible", CULPRIT),
            Column("probe", "Probe"),
            Column("check", "Check"),
            Column("failed", "Failed", COUNT, hidden=True),
        ],
        _THIRD,
        "Probe",
    )


def _values() -> AnyPanel:
    return lines(
        About(
            "Values",
            "What checks read in responses: counts, ratios, and 1 or 0 for true or false.",
            ("ProberQuotaNearlyUsedUp", "ProberModelRatingDrops"),
        ),
        [
            Query(
                f"max by (probe, check, item) (prober_probe_value{{{PROBE}}})",
                "{{probe}} {{check}} {{item}}",
            )
        ],
        _THIRD,
        "none",
    )


def _ages() -> AnyPanel:
    at = f"max by (probe, check, item) (prober_probe_value_timestamp_seconds{{{PROBE}}})"
    return lines(
        About("Ages", "How old the timestamps are that checks read in responses."),
        [Query(f"time() - {at}", "{{probe}} {{check}} {{item}}")],
        _THIRD,
        "s",
    )


def _token() -> AnyPanel:
    fingerprints = f"max by (fingerprint) (prober_token_info{{{TENANT}}}) * {_FINGERPRINT}"
    return timeline(
        About(
            "Token and fingerprints",
            "Rejected with the same fingerprint: a new token exists and is not configured here.",
            ("ProberTokenRejected",),
        ),
        [Query(token_status(TENANT), "state"), Query(fingerprints, "{{fingerprint}}")],
        _THIRD,
        {**TOKENS, _FINGERPRINT: Shown("· present", COLOURS["line"])},
    )


def _token_events() -> AnyPanel:
    rejections = f"increase(prober_token_rejections_total{{{TENANT}}}[{RATE}])"
    rotations = f"increase(prober_token_rotations_total{{{TENANT}}}[{RATE}])"
    return lines(
        About(
            "Rotations and rejections",
            "Repeated rejections: find out who else generates tokens for this user.",
            ("ProberTokenRejected", "ProberTokenRotated"),
        ),
        [
            Query(f"sum by (cause) ({rejections})", "rejected: {{cause}}"),
            Query(f"sum({rotations})", "rotated"),
        ],
        _THIRD,
        "none",
        {"rotated": GOOD},
    )


def _codes() -> AnyPanel:
    return lines(
        About(
            "HTTP status codes",
            "From any sender: a 5xx with network path responsible came from a proxy in between.",
        ),
        [Query(per_minute("prober_probe_http_responses_total", PROBE, "code"), "{{code}}")],
        _THIRD,
        "cpm",
        {_GOOD_CODE: GOOD},
        stacked=True,
    )
