"""All tokens: which are dead and why, which will be, and which are shared."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from tools.grafana import layout
from tools.grafana.field_config import AGO, COUNT, TOKEN, TOKEN_DAYS
from tools.grafana.layout import TENANT_OF_ROW, TENANT_OF_SERIES, Row, framed
from tools.grafana.palette import TOKENS
from tools.grafana.panels import About, AnyPanel, Column, Query, lines, listing, timeline
from tools.grafana.queries import RATE, TENANT, days_until, moment, token_standing

_MOMENTS = {
    "loaded": "Read from its source",
    "first_accepted": "First accepted",
    "last_accepted": "Last accepted",
}


def tokens() -> Dashboard:
    """Return the dashboard of all tokens."""
    return framed(
        layout.TOKENS,
        "Prober: tokens",
        "Which tokens are dead and why, which will be soon, and which are shared.",
        layout.TENANTS,
        [Row("", [_states(), _lives(), _rejections(), _sharing()])],
    )


def _states() -> AnyPanel:
    return timeline(
        About(
            "Token of each tenant",
            "Rejected at the same moment for several: one shared user, or the identity service.",
            ("ProberTokenRejected",),
        ),
        [Query(token_standing(TENANT), "{{tenant}}")],
        (24, 9),
        TOKENS,
        TENANT_OF_SERIES,
    )


def _lives() -> AnyPanel:
    moments = [
        Query(moment(f"prober_token_{name}_timestamp_seconds", TENANT), name) for name in _MOMENTS
    ]
    expiry = days_until("prober_token_expiry_timestamp_seconds", TENANT, "job, tenant")
    return listing(
        About(
            "Life of each token",
            "Rotate what has few days left; where nobody knows, set expires_at or max_age.",
            ("ProberTokenExpiresSoon", "ProberTokenOverdue"),
        ),
        [Query(token_standing(TENANT), "state"), Query(expiry, "days"), *moments],
        [
            Column("tenant", "Tenant", link=TENANT_OF_ROW),
            Column("state", "State", TOKEN),
            Column("days", "Expires in", TOKEN_DAYS),
            *(Column(name, title, AGO) for name, title in _MOMENTS.items()),
        ],
        (24, 9),
        "-State",
    )


def _rejections() -> AnyPanel:
    rejections = f"increase(prober_token_rejections_total{{{TENANT}}}[{RATE}])"
    return lines(
        About(
            "Rejections by cause",
            "superseded: somebody generated a new one; expired: it was forgotten; never_accepted: a"
            " bad paste or the wrong tenant.",
            ("ProberTokenRejected",),
        ),
        [Query(f"sum by (cause) ({rejections})", "{{cause}}")],
        (12, 9),
        "none",
    )


def _sharing() -> AnyPanel:
    return listing(
        About(
            "Fingerprints",
            "More than one tenant on one: when it is rejected for one, it is for all of them.",
            ("ProberTokenShared",),
        ),
        [
            Query(
                "count by (job, fingerprint, source)"
                f" (max by (job, tenant, fingerprint, source) (prober_token_info{{{TENANT}}}))",
                "tenants",
            )
        ],
        [
            Column("fingerprint", "Fingerprint"),
            Column("source", "Source"),
            Column("tenants", "Tenants", COUNT),
        ],
        (12, 9),
        "-Tenants",
    )
