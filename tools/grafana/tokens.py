"""All tokens: which are rejected and why, which expire soon, and which are shared."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from tools.grafana import layout
from tools.grafana.field_config import AGO, COUNT, TOKEN, TOKEN_DAYS
from tools.grafana.layout import TENANT_OF_ROW, TENANT_OF_SERIES, Row, framed
from tools.grafana.palette import TOKENS
from tools.grafana.panels import About, AnyPanel, Column, Query, lines, listing, timeline
from tools.grafana.queries import RATE, TENANT, days_until, timestamp_ms, token_status

_TIMESTAMPS = {
    "loaded": "Read from its source",
    "first_accepted": "First accepted",
    "last_accepted": "Last accepted",
}


def tokens() -> Dashboard:
    """Return the dashboard of all tokens."""
    return framed(
        layout.TOKENS,
        "Prober: tokens",
        "Which tokens are rejected and why, which expire soon, and which are shared.",
        layout.TENANTS,
        [Row("", [_states(), _lives(), _rejections(), _sharing()])],
    )


def _states() -> AnyPanel:
    return timeline(
        About(
            "Token of each tenant",
            "Several rejected at the same time: one shared user, or the identity server.",
            ("ProberTokenRejected",),
        ),
        [Query(token_status(TENANT), "{{tenant}}")],
        (24, 9),
        TOKENS,
        TENANT_OF_SERIES,
    )


def _lives() -> AnyPanel:
    timestamps = [
        Query(timestamp_ms(f"prober_token_{name}_timestamp_seconds", TENANT), name)
        for name in _TIMESTAMPS
    ]
    expiry = days_until("prober_token_expiry_timestamp_seconds", TENANT, "job, tenant")
    return listing(
        About(
            "Expiry and use of each token",
            "Rotate tokens with few days left; where the expiry is unknown, set expires_at or"
            " max_age.",
            ("ProberTokenExpiresSoon", "ProberTokenOverdue"),
        ),
        [Query(token_status(TENANT), "state"), Query(expiry, "days"), *timestamps],
        [
            Column("tenant", "Tenant", link=TENANT_OF_ROW),
            Column("state", "State", TOKEN),
            Column("days", "Expires in", TOKEN_DAYS),
            *(Column(name, title, AGO) for name, title in _TIMESTAMPS.items()),
        ],
        (24, 9),
        "-State",
    )


def _rejections() -> AnyPanel:
    rejections = f"increase(prober_token_rejections_total{{{TENANT}}}[{RATE}])"
    return lines(
        About(
            "Rejections by cause",
            "superseded: a new one was generated elsewhere; expired: it was not rotated in time;"
            " never_accepted: a copy error, or the wrong tenant.",
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
            "Several tenants on one fingerprint: a rejection for one is a rejection for all.",
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
