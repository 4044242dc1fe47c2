"""Words, symbols and colours for statuses, the same on pages, in reports and in terminals. Pure.

A status text begins with the culprit: `platform: 500s on 2 of 8 probes`. A colour is never the
only sign of anything: the symbol and the words say the same.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from rich.console import ConsoleOptions
from rich.text import Text

from prober.formatting import format_ago, format_duration, format_hour_minute, format_latency
from prober.models import Verdict
from prober.outcomes import (
    Culprit,
    LatencyComponent,
    Outcome,
    Reason,
    RejectionCause,
    SkipCause,
    TokenState,
)

if TYPE_CHECKING:  # commands show verdicts without any status
    from prober.stats.status import ProbeStatus, TenantStatus

# In this order: of two culprits with equally many probes, the earlier one is named first.
CULPRIT_LABELS: Mapping[Culprit, str] = MappingProxyType(
    {
        Culprit.NONE: "OK",
        Culprit.PLATFORM: "platform",
        Culprit.NETWORK: "network path",
        Culprit.CREDENTIAL: "credential",
        Culprit.UNDECIDED: "platform or network",
        Culprit.TENANT: "tenant's set-up",
        Culprit.REQUEST: "probe request",
        Culprit.PROBER: "prober",
    }
)
REASONS: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.OK: "OK",
        Reason.TOKEN_MISSING: "no token",
        Reason.RESOURCE_EXHAUSTED: "out of resources",
        Reason.TLS_CONFIGURATION: "invalid TLS settings",
        Reason.INTERNAL_ERROR: "internal error",
        Reason.DNS: "DNS failure",
        Reason.CONNECTION_REFUSED: "connection refused",
        Reason.UNREACHABLE: "unreachable",
        Reason.CONNECT_TIMEOUT: "connect timeout",
        Reason.TLS_CERTIFICATE: "untrusted certificate",
        Reason.CERTIFICATE_EXPIRED: "expired certificate",
        Reason.CERTIFICATE_NAME_MISMATCH: "certificate for another host",
        Reason.TLS_HANDSHAKE: "TLS handshake failure",
        Reason.PROXY: "refused by the proxy",
        Reason.CONNECTION_RESET: "connection reset",
        Reason.RESPONSE_TIMEOUT_UNACKNOWLEDGED: "requests lost on the way",
        Reason.RESPONSE_TIMEOUT_FAR_END_SILENT: "reached, but no response",
        Reason.RESPONSE_TIMEOUT_PATH_LOST: "connection lost while waiting",
        Reason.RESPONSE_TIMEOUT: "response timeout",
        Reason.TRUNCATED: "incomplete responses",
        Reason.PROTOCOL_ERROR: "invalid HTTP",
        Reason.UNKNOWN_TENANT: "unknown organisation, tenant or service",
        Reason.EDGE_REFUSED: "refused by the platform's CDN",
        Reason.EDGE_ERROR: "error of the platform's CDN",
        Reason.REDIRECTED: "redirected elsewhere",
        Reason.FOREIGN_RESPONSE: "response from an intermediary",
        Reason.TOKEN_REJECTED: "token rejected",
        Reason.ROUTE_UNAUTHORIZED: "not authorized for this route",
        Reason.PERMISSION_DENIED: "permission denied",
        Reason.QUOTA_EXCEEDED: "quota exceeded",
        Reason.RATE_LIMITED: "rate limited",
        Reason.CLIENT_ERROR: "client error (4xx)",
        Reason.SERVER_ERROR: "server errors",
        Reason.INCONSISTENT_ENVELOPE: "contradictory responses",
        Reason.MALFORMED_ENVELOPE: "malformed responses",
        Reason.EXPECTATION_FAILED: "unexpected responses",
        Reason.RESPONSE_TOO_LARGE: "responses too large",
        Reason.CHECK_FAILED: "a check of the content failed",
    }
)
CAUSES: Mapping[RejectionCause, str] = MappingProxyType(
    {
        RejectionCause.EXPIRED: "expired",
        RejectionCause.SUPERSEDED: "replaced elsewhere",
        RejectionCause.NEVER_ACCEPTED: "never accepted",
    }
)
SKIPS: Mapping[SkipCause, str] = MappingProxyType(
    {
        SkipCause.OVERLAP: "the previous run has not ended",
        SkipCause.TOKEN_REJECTED: "paused (token rejected)",
        SkipCause.CONCURRENCY: "too many runs in flight",
        SkipCause.MISFIRE: "missed its start time",
        SkipCause.RATE_LIMITED: "paused (rate limited)",
    }
)
_COMPONENT_CULPRITS = MappingProxyType(
    {LatencyComponent.SERVER: Culprit.PLATFORM, LatencyComponent.NETWORK: Culprit.NETWORK}
)
_CULPRIT_ORDER = tuple(CULPRIT_LABELS)
_MISSED_INTERVALS = 3
_OVERDUE_GRACE_SECONDS = 30  # as the alert ProberProbesStale


@dataclass(frozen=True, slots=True)
class StatusText:
    """A tenant's status in words; `is_known` is False before the first run."""

    culprit: Culprit
    text: str
    since: float | None = None
    is_slow: bool = False
    is_known: bool = True

    @property
    def is_ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.is_known and self.culprit is Culprit.NONE


def status_text(tenant_status: "TenantStatus", now: float) -> StatusText:
    """Return a tenant's status in words; `now` is in epoch seconds."""
    # What explains most comes first: a rejected token makes all other probes fail or pause.
    return (
        _token_text(tenant_status, now)
        or _failures_text(tenant_status)
        or _shared_token_text(tenant_status)
        or _missing_runs_text(tenant_status, now)
        or _slow_text(tenant_status)
        or StatusText(Culprit.NONE, _ok_text(len(tenant_status.probes)))
    )


def maintenance_text(tenant_status: "TenantStatus") -> str | None:
    """Return until when maintenance lasts, None outside maintenance."""
    ends_at = tenant_status.maintenance.ends_at
    return None if ends_at is None else f"in maintenance until {format_hour_minute(ends_at)}"


def _token_text(tenant_status: "TenantStatus", now: float) -> StatusText | None:
    token = tenant_status.token
    if token.state is TokenState.REJECTED and token.cause is not None:
        since = token.rejected_since
        if since is None:
            when = ""
        elif token.cause is RejectionCause.NEVER_ACCEPTED:
            when = f" (for {format_duration(now - since)})"
        else:
            when = f" ({format_ago(now - since)})"
        return StatusText(Culprit.CREDENTIAL, f"token {CAUSES[token.cause]}{when}", since)
    if token.state is TokenState.MISSING and token.problem is not None:
        return StatusText(Culprit.PROBER, f"no token: {token.problem}")
    return None


def _failures_text(tenant_status: "TenantStatus") -> StatusText | None:
    by_culprit: dict[Culprit, list[ProbeStatus]] = {}
    for each in tenant_status.probes:
        if each.result is not None and not each.result.verdict.succeeded:
            by_culprit.setdefault(each.result.verdict.culprit, []).append(each)
    if not by_culprit:
        return None
    ordered = sorted(by_culprit.items(), key=lambda g: (-len(g[1]), _CULPRIT_ORDER.index(g[0])))
    texts = [
        f"{CULPRIT_LABELS[culprit]}: {_reasons_text(group)}"
        f"{_scope_text(len(group), len(tenant_status.probes))}"
        for culprit, group in ordered
    ]
    starts = [each.streak.started_at for each in ordered[0][1] if each.streak is not None]
    return StatusText(ordered[0][0], "; ".join(texts), min(starts, default=None))


def _shared_token_text(tenant_status: "TenantStatus") -> StatusText | None:
    other = tenant_status.token_rejected_for
    if other is None:
        return None
    return StatusText(Culprit.CREDENTIAL, f"token shared with {other}, where it is rejected")


def _missing_runs_text(tenant_status: "TenantStatus", now: float) -> StatusText | None:
    if all(each.result is None for each in tenant_status.probes):
        return StatusText(Culprit.NONE, "waiting for the first run", is_known=False)
    overdue = [each for each in tenant_status.probes if _is_overdue(each, now)]
    if not overdue:
        return None
    skipped = overdue[0].skipped
    why = "unknown reason" if skipped is None else SKIPS[skipped]
    scope = _scope_text(len(overdue), len(tenant_status.probes))
    return StatusText(Culprit.PROBER, f"prober: no recent run{scope}: {why}")


def _slow_text(tenant_status: "TenantStatus") -> StatusText | None:
    for component, culprit in _COMPONENT_CULPRITS.items():
        slow = [each for each in tenant_status.probes if component in each.slow]
        if slow:
            seconds = max(_component_seconds(each, component) for each in slow)
            scope = _scope_text(len(slow), len(tenant_status.probes))
            text = f"{CULPRIT_LABELS[culprit]} slow: {format_latency(seconds)}{scope}"
            return StatusText(culprit, text, is_slow=True)
    return None


def _is_overdue(probe_status: "ProbeStatus", now: float) -> bool:
    if probe_status.result is None:
        return False
    silent_seconds = now - probe_status.result.started_at
    interval_seconds = probe_status.probe.interval_seconds
    return silent_seconds > _MISSED_INTERVALS * interval_seconds + _OVERDUE_GRACE_SECONDS


def _component_seconds(probe_status: "ProbeStatus", component: LatencyComponent) -> float:
    if probe_status.result is None:
        return 0.0
    latency = probe_status.result.verdict.latency
    is_server = component is LatencyComponent.SERVER
    return (latency.server_seconds if is_server else latency.network_seconds) or 0.0


def _reasons_text(group: Sequence["ProbeStatus"]) -> str:
    reasons = Counter(each.reason for each in group if each.reason is not None)
    return ", ".join(_reason_text(reason, group) for reason, _ in reasons.most_common(2))


def _reason_text(reason: Reason, group: Sequence["ProbeStatus"]) -> str:
    if reason is not Reason.SERVER_ERROR:
        return REASONS[reason]
    statuses = {
        each.result.exchange.response.status
        for each in group
        if each.reason is reason and each.result and each.result.exchange.response
    }
    return f"{statuses.pop()}s" if len(statuses) == 1 else "5xx"


def _scope_text(count: int, total: int) -> str:
    if total == 1:
        return ""
    if count == total:
        return f" on all {total} probes"
    return f" on {count} of {total} probes"


def _ok_text(probe_count: int) -> str:
    return "OK" if probe_count == 1 else f"{probe_count}/{probe_count} probes OK"


_SYMBOLS = {
    Culprit.NONE: "✓",
    Culprit.UNDECIDED: "?",
    Culprit.PROBER: "!",
}
_ASCII_SYMBOLS = {"✓": "+", "✗": "x", "·": ".", "█": "#", "░": ".", "▒": "?", "…": "."}
_STYLES = {
    Culprit.NONE: "green",
    Culprit.CREDENTIAL: "yellow",
    Culprit.REQUEST: "yellow",
    Culprit.TENANT: "yellow",
    Culprit.PLATFORM: "red",
    Culprit.NETWORK: "blue",
    Culprit.UNDECIDED: "magenta",
    Culprit.PROBER: "magenta",
}
_TOKEN_SYMBOLS = {
    TokenState.MISSING: "!",
    TokenState.UNVERIFIED: "·",
    TokenState.VALID: "✓",
    TokenState.REJECTED: "✗",
}
_TOKEN_STYLES = {
    TokenState.MISSING: "magenta",
    TokenState.UNVERIFIED: "dim",
    TokenState.VALID: "green",
    TokenState.REJECTED: "yellow",
}


def symbol(culprit: Culprit) -> str:
    """Return one character for a culprit."""
    return _SYMBOLS.get(culprit, "✗")


def style(culprit: Culprit) -> str:
    """Return the rich style of a culprit."""
    return _STYLES[culprit]


def token_symbol(state: TokenState) -> str:
    """Return one character for a token's state."""
    return _TOKEN_SYMBOLS[state]


def token_style(state: TokenState) -> str:
    """Return the rich style of a token's state."""
    return _TOKEN_STYLES[state]


def in_ascii(text: str) -> str:
    """Return `text` with the symbols replaced, for a terminal that can print ASCII only."""
    return "".join(_ASCII_SYMBOLS.get(character, character) for character in text)


def to_terminal_line(line: Text, options: ConsoleOptions) -> Text:
    """Return a line that is cut and not folded, in ASCII where the terminal can print no more."""
    if options.ascii_only:
        line = Text(in_ascii(line.plain), spans=line.spans)
    line.rstrip()
    # The ellipsis that rich adds to a line that it cuts is not in ASCII.
    line.no_wrap, line.overflow = True, "crop" if options.ascii_only else "ellipsis"
    return line


def headline(verdict: Verdict) -> str:
    """Return a verdict in short, the culprit first: `platform: server_error`."""
    if verdict.outcome is Outcome.SUCCESS:
        return f"{verdict.outcome}: {verdict.reason}"
    return f"{CULPRIT_LABELS[verdict.culprit]}: {verdict.reason}"


def milliseconds(seconds: float) -> str:
    """Return a duration in milliseconds with one decimal, without the unit: `1,234.5`."""
    return f"{seconds * 1000:,.1f}"
