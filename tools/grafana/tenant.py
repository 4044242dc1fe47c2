"""One tenant: what happened, whose it was, where the time goes, and its token's life."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from tools.grafana import layout
from tools.grafana.alerts import alerts
from tools.grafana.field_config import (
    AVAILABILITY,
    BUDGET,
    COUNT,
    CULPRIT,
    STANDING,
    TOKEN,
    TOKEN_DAYS,
)
from tools.grafana.layout import Row, framed
from tools.grafana.palette import (
    COLOURS,
    CULPRIT_COLOURS,
    CULPRIT_WORDS,
    GOOD,
    STANDINGS,
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
    probe_standing,
    tenant_standing,
    token_standing,
)
from tools.grafana.tenant_latency import latency

_GLANCE = (4, 4)
_HALF, _THIRD = (12, 9), (8, 9)
_GOOD_CODE, _HELD_BACK = "200", "· held back"
_FINGERPRINT = 10
"""In a timeline beside the token's states: a fingerprint is merely there."""


def tenant() -> Dashboard:
    """Return the dashboard of one tenant."""
    of_tenant_or_all = f'{JOB}, tenant=~"$tenant|all"'
    return framed(
        layout.TENANT,
        "Prober: tenant",
        "What happened to one tenant, whose it was, where its time goes, and its token's life.",
        [layout.ONE_TENANT, layout.LOCATION, layout.PROBES],
        [
            Row("", [*_glance(), _probes(), alerts(of_tenant_or_all, (9, 9)), _runs(), _reasons()]),
            Row("Where the time goes", latency()),
            Row("Its token, and its answers", [_token(), _token_events(), _codes()]),
        ],
    )


def _glance() -> list[AnyPanel]:
    budget = f"max(tenant:prober_error_budget_left:ratio30d{{{TENANT}}})"
    expiry = days_until("prober_token_expiry_timestamp_seconds", TENANT, "job, tenant")
    return [
        number(
            About("Stands", "The word names whose it is; the timeline below says which probes."),
            tenant_standing(HERE, TENANT),
            _GLANCE,
            STANDING,
        ),
        _promise(
            "platform", "Platform, 30 d", "Below the objective: the supplier broke a promise."
        ),
        _promise(
            "end_to_end", "End-to-end, 30 d", "What a caller would have seen, whatever the cause."
        ),
        number(
            About(
                "Error budget left",
                "Under 25 %: change nothing that is risky; below 0: the promise is broken.",
                ("ProberErrorBudgetBurns",),
            ),
            budget,
            _GLANCE,
            BUDGET,
        ),
        number(
            About(
                "Token",
                "Rejected: all probes but one are held back until it is replaced.",
                ("ProberTokenRejected",),
            ),
            token_standing(TENANT),
            _GLANCE,
            TOKEN,
        ),
        number(
            About(
                "Token expires in",
                "Under 14 days: rotate it now, in working hours.",
                ("ProberTokenExpiresSoon",),
                nothing="nobody knows",
            ),
            expiry,
            _GLANCE,
            TOKEN_DAYS,
        ),
    ]


def _promise(indicator: str, title: str, description: str) -> AnyPanel:
    availability = f"max(tenant:prober_{indicator}_availability:ratio30d{{{TENANT}}})"
    return number(About(title, description), availability, _GLANCE, AVAILABILITY)


def _probes() -> AnyPanel:
    return timeline(
        About(
            "How each probe stands",
            "All probes alike: the tenant's token, network or platform; one alone: that endpoint.",
        ),
        [Query(probe_standing(PROBE, TENANT), "{{probe}}")],
        (15, 9),
        STANDINGS,
    )


def _runs() -> AnyPanel:
    runs, held_back = "prober_probe_runs_total", f'{PROBE}, cause="token_rejected"'
    colours = {CULPRIT_WORDS[culprit]: colour for culprit, colour in CULPRIT_COLOURS.items()}
    return lines(
        About(
            "Runs by culprit",
            "The height is the rate of runs, the layer whose they were; where the height falls, the"
            " prober did not run.",
            ("ProberProbesStale",),
        ),
        [
            *(
                Query(per_minute(runs, f'{PROBE}, culprit="{culprit}"'), words)
                for culprit, words in CULPRIT_WORDS.items()
            ),
            Query(per_minute("prober_probe_skipped_total", held_back), _HELD_BACK),
        ],
        _HALF,
        "cpm",
        {**colours, _HELD_BACK: COLOURS["faint"]},
        stacked=True,
    )


def _reasons() -> AnyPanel:
    failed = f'increase(prober_probe_runs_total{{{PROBE}, culprit!="none"}}[$__range])'
    return listing(
        About(
            "What failed in this time, and why",
            "Look at the first line first; its reason is a row of the README's table of outcomes.",
            nothing="Nothing failed.",
        ),
        [Query(f"sum by (job, probe, culprit, reason) ({failed}) > 0", "runs")],
        [
            Column("culprit", "Culprit", CULPRIT),
            Column("reason", "Reason"),
            Column("probe", "Probe"),
            Column("runs", "Runs", COUNT),
        ],
        _HALF,
        "-Runs",
    )


def _token() -> AnyPanel:
    fingerprints = f"max by (fingerprint) (prober_token_info{{{TENANT}}}) * {_FINGERPRINT}"
    return timeline(
        About(
            "Token and fingerprints",
            "Rejected while the fingerprint stays: a new token was generated, not put here yet.",
            ("ProberTokenRejected",),
        ),
        [Query(token_standing(TENANT), "state"), Query(fingerprints, "{{fingerprint}}")],
        _THIRD,
        {**TOKENS, _FINGERPRINT: Shown("· present", COLOURS["line"])},
    )


def _token_events() -> AnyPanel:
    rejections = f"increase(prober_token_rejections_total{{{TENANT}}}[{RATE}])"
    rotations = f"increase(prober_token_rotations_total{{{TENANT}}}[{RATE}])"
    return lines(
        About(
            "Rotations and rejections",
            "Rejections that come again: find out who else generates tokens for this user.",
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
            "Whoever gave them: a 5xx here with network as culprit above is a proxy's between.",
        ),
        [Query(per_minute("prober_probe_http_responses_total", PROBE, "code"), "{{code}}")],
        _THIRD,
        "cpm",
        {_GOOD_CODE: GOOD},
        stacked=True,
    )
