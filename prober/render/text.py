"""How a tenant stands, in words with the culprit first: `platform: 500s on 2 of 8 probes`. Pure.

One sign, one colour and one wording for the same thing in every view. Pure.

A colour never stands alone: the sign and the word say the same.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from rich.console import ConsoleOptions
from rich.text import Text

from prober.formatting import format_duration, format_hour_minute, format_latency
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
from prober.stats.status import ProbeStatus, TenantStatus

CULPRIT_LABELS: Mapping[Culprit, str] = MappingProxyType(
    {
        Culprit.NONE: "well",
        Culprit.PLATFORM: "platform",
        Culprit.NETWORK: "network path",
        Culprit.CREDENTIAL: "credential",
        Culprit.UNDECIDED: "platform or network",
        Culprit.REQUEST: "probe request",
        Culprit.TENANT: "tenant's set-up",
        Culprit.PROBER: "prober",
    }
)
REASONS: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.OK: "well",
        Reason.TOKEN_MISSING: "no token",
        Reason.RESOURCE_EXHAUSTED: "out of resources",
        Reason.TLS_CONFIGURATION: "TLS settings are unusable",
        Reason.INTERNAL_ERROR: "a bug of its own",
        Reason.DNS: "DNS fails",
        Reason.CONNECTION_REFUSED: "connection refused",
        Reason.UNREACHABLE: "no route",
        Reason.CONNECT_TIMEOUT: "cannot connect in time",
        Reason.TLS_CERTIFICATE: "untrusted certificate",
        Reason.CERTIFICATE_EXPIRED: "certificate expired",
        Reason.CERTIFICATE_NAME_MISMATCH: "certificate for another host",
        Reason.TLS_HANDSHAKE: "TLS handshake fails",
        Reason.PROXY: "the proxy refuses",
        Reason.CONNECTION_RESET: "connection reset",
        Reason.RESPONSE_TIMEOUT_UNACKNOWLEDGED: "requests are lost on the way",
        Reason.RESPONSE_TIMEOUT_FAR_END_SILENT: "does not respond, though it is reached",
        Reason.RESPONSE_TIMEOUT_PATH_LOST: "the path is lost while waiting",
        Reason.RESPONSE_TIMEOUT: "no answer in time",
        Reason.TRUNCATED: "answers cut short",
        Reason.PROTOCOL_ERROR: "answers are not HTTP",
        Reason.UNKNOWN_TENANT: "unknown organisation, tenant or service",
        Reason.EDGE_REFUSED: "refused by the platform's CDN",
        Reason.EDGE_ERROR: "error at the platform's edge",
        Reason.REDIRECTED: "redirected elsewhere",
        Reason.FOREIGN_RESPONSE: "somebody else answers",
        Reason.TOKEN_REJECTED: "token rejected",
        Reason.ROUTE_UNAUTHORIZED: "not authorized for this route",
        Reason.PERMISSION_DENIED: "permission denied",
        Reason.QUOTA_EXCEEDED: "quota exceeded",
        Reason.RATE_LIMITED: "rate limited",
        Reason.CLIENT_ERROR: "refused as wrong",
        Reason.SERVER_ERROR: "server errors",
        Reason.INCONSISTENT_ENVELOPE: "contradictory answers",
        Reason.MALFORMED_ENVELOPE: "malformed answers",
        Reason.EXPECTATION_FAILED: "unexpected answers",
        Reason.RESPONSE_TOO_LARGE: "answers too large",
    }
)
CAUSES: Mapping[RejectionCause, str] = MappingProxyType(
    {
        RejectionCause.EXPIRED: "expired",
        RejectionCause.SUPERSEDED: "superseded",
        RejectionCause.NEVER_ACCEPTED: "never accepted",
    }
)
SKIPS: Mapping[SkipCause, str] = MappingProxyType(
    {
        SkipCause.OVERLAP: "its last run has not ended",
        SkipCause.TOKEN_REJECTED: "held back, since the token is rejected",
        SkipCause.CONCURRENCY: "too many runs are in flight",
        SkipCause.MISFIRE: "it was due too long ago",
        SkipCause.RATE_LIMITED: "the platform asked to wait (Retry-After)",
    }
)
_COMPONENTS = MappingProxyType(
    {LatencyComponent.SERVER: Culprit.PLATFORM, LatencyComponent.NETWORK: Culprit.NETWORK}
)
_ORDER = tuple(CULPRIT_LABELS)  # of two culprits with as many probes, the earlier is named first
_MISSED_INTERVALS = 3


@dataclass(frozen=True, slots=True)
class StatusText:
    """What is said of a tenant. `is_known`: something was learned at all."""

    culprit: Culprit
    text: str
    since: float | None = None
    is_slow: bool = False
    is_known: bool = True

    @property
    def is_ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.is_known and self.culprit is Culprit.NONE


def status_text(standing: TenantStatus, now: float) -> StatusText:
    """Return what is said of a tenant at a moment (epoch seconds)."""
    return (
        _token_text(standing, now)
        or _failures_text(standing)
        or _shared_token_text(standing)
        or _missing_runs_text(standing, now)
        or _slow_text(standing)
        or StatusText(Culprit.NONE, _count_text(len(standing.probes)))
    )


def maintenance_text(standing: TenantStatus) -> str | None:
    """Return until when maintenance lasts, None where there is none."""
    ends_at = standing.maintenance.ends_at
    return None if ends_at is None else f"in maintenance until {format_hour_minute(ends_at)}"


def _token_text(standing: TenantStatus, now: float) -> StatusText | None:
    token = standing.token
    if token.state is TokenState.REJECTED and token.cause is not None:
        since = token.rejected_since
        when = "" if since is None else f" {format_duration(now - since)} ago"
        if token.cause is RejectionCause.NEVER_ACCEPTED:
            when = "" if since is None else f", for {format_duration(now - since)}"
        return StatusText(Culprit.CREDENTIAL, f"token {CAUSES[token.cause]}{when}", since)
    if token.state is TokenState.MISSING and token.problem is not None:
        return StatusText(Culprit.PROBER, f"no token: {token.problem}")
    return None


def _failures_text(standing: TenantStatus) -> StatusText | None:
    by_culprit: dict[Culprit, list[ProbeStatus]] = {}
    for each in standing.probes:
        if each.result is not None and not each.result.verdict.succeeded:
            by_culprit.setdefault(each.result.verdict.culprit, []).append(each)
    if not by_culprit:
        return None
    ordered = sorted(by_culprit.items(), key=lambda g: (-len(g[1]), _ORDER.index(g[0])))
    words = [
        f"{CULPRIT_LABELS[culprit]}: {_reason_words(group)}"
        f"{_scope_text(len(group), len(standing.probes))}"
        for culprit, group in ordered
    ]
    spells = [each.streak.started_at for each in ordered[0][1] if each.streak is not None]
    return StatusText(ordered[0][0], "; ".join(words), min(spells, default=None))


def _shared_token_text(standing: TenantStatus) -> StatusText | None:
    if standing.token_rejected_for is None:
        return None
    words = f"token is already rejected for {standing.token_rejected_for}, which shares it"
    return StatusText(Culprit.CREDENTIAL, words)


def _missing_runs_text(standing: TenantStatus, now: float) -> StatusText | None:
    if all(each.result is None for each in standing.probes):
        return StatusText(Culprit.NONE, "waiting for the first run", is_known=False)
    late = [each for each in standing.probes if _is_overdue(each, now)]
    if not late:
        return None
    skipped = late[0].skipped
    why = "nobody knows why" if skipped is None else SKIPS[skipped]
    words = f"prober: no run{_scope_text(len(late), len(standing.probes))} for long, {why}"
    return StatusText(Culprit.PROBER, words)


def _slow_text(standing: TenantStatus) -> StatusText | None:
    for side, culprit in _COMPONENTS.items():
        slow = [each for each in standing.probes if side in each.slow]
        if slow:
            took = max(_seconds(each, side) for each in slow)
            where = _scope_text(len(slow), len(standing.probes))
            words = f"{CULPRIT_LABELS[culprit]} slow: {format_latency(took)}{where}"
            return StatusText(culprit, words, is_slow=True)
    return None


def _is_overdue(standing: ProbeStatus, now: float) -> bool:
    if standing.result is None:
        return False
    silent_seconds = now - standing.result.started_at
    return silent_seconds > _MISSED_INTERVALS * standing.probe.interval_seconds + 30


def _seconds(standing: ProbeStatus, side: LatencyComponent) -> float:
    if standing.result is None:
        return 0.0
    took = standing.result.verdict.latency
    return (took.server_seconds if side is LatencyComponent.SERVER else took.network_seconds) or 0.0


def _reason_words(group: Sequence[ProbeStatus]) -> str:
    reasons = Counter(each.reason for each in group if each.reason is not None)
    return ", ".join(_text(reason, group) for reason, _ in reasons.most_common(2))


def _text(reason: Reason, group: Sequence[ProbeStatus]) -> str:
    if reason is not Reason.SERVER_ERROR:
        return REASONS[reason]
    statuses = {
        each.result.exchange.response.status
        for each in group
        if each.reason is reason and each.result and each.result.exchange.response
    }
    return f"{statuses.pop()}s" if len(statuses) == 1 else "5xx"


def _scope_text(number: int, of: int) -> str:
    if of == 1:
        return ""
    if number == of:
        return f" on all {of} probes"
    return f" on {number} of {of} probes"


def _count_text(number: int) -> str:
    return "well" if number == 1 else f"all {number} probes well"


_SYMBOLS = {
    Culprit.NONE: "✓",
    Culprit.UNDECIDED: "?",
    Culprit.PROBER: "!",
}
_ASCII_SYMBOLS = {"✓": "+", "✗": "x", "·": ".", "█": "#", "░": ".", "▒": "?"}
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
    """Return one character for a verdict's culprit."""
    return _SYMBOLS.get(culprit, "✗")


def style(culprit: Culprit) -> str:
    """Return the rich style of a verdict's culprit."""
    return _STYLES[culprit]


def token_symbol(state: TokenState) -> str:
    """Return one character for a token's state."""
    return _TOKEN_SYMBOLS[state]


def token_style(state: TokenState) -> str:
    """Return the rich style of a token's state."""
    return _TOKEN_STYLES[state]


def in_ascii(text: str) -> str:
    """Return `text` with our own signs replaced, for a terminal that has ASCII alone."""
    return "".join(_ASCII_SYMBOLS.get(character, character) for character in text)


def to_terminal_line(line: Text, options: ConsoleOptions) -> Text:
    """Keep a line a line, and in ASCII where the terminal has nothing else."""
    if options.ascii_only:
        line = Text(in_ascii(line.plain), spans=line.spans)
    line.rstrip()
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def headline(verdict: Verdict) -> str:
    """Return a verdict in two words, the culprit first: `platform: server_error`."""
    if verdict.outcome is Outcome.SUCCESS:
        return f"{verdict.outcome}: {verdict.reason}"
    return f"{verdict.culprit}: {verdict.reason}"


def milliseconds(seconds: float) -> str:
    """Return a duration in milliseconds with one decimal, without the unit: `1,234.5`."""
    return f"{seconds * 1000:,.1f}"
