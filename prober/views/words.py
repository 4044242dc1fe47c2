"""How a tenant stands, in words with the culprit first: `platform: 500s on 2 of 8 probes`. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from prober.outcomes import Culprit, Reason, RejectionCause, Side, SkipCause, TokenState
from prober.timeline.standing import ProbeStanding, TenantStanding
from prober.views.quantities import duration, hour_and_minute, latency

WHOSE: Mapping[Culprit, str] = MappingProxyType(
    {
        Culprit.NONE: "well",
        Culprit.PLATFORM: "platform",
        Culprit.NETWORK: "our network",
        Culprit.CREDENTIAL: "credential",
        Culprit.UNDECIDED: "platform or network",
        Culprit.REQUEST: "our request",
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
        Reason.TLS_CERTIFICATE: "bad certificate",
        Reason.TLS_HANDSHAKE: "TLS handshake fails",
        Reason.PROXY: "the proxy refuses",
        Reason.CONNECTION_RESET: "connection reset",
        Reason.RESPONSE_TIMEOUT_UNACKNOWLEDGED: "requests are lost on the way",
        Reason.RESPONSE_TIMEOUT_FAR_END_SILENT: "does not respond, though it is reached",
        Reason.RESPONSE_TIMEOUT_PATH_LOST: "the path is lost while waiting",
        Reason.RESPONSE_TIMEOUT: "no answer in time",
        Reason.TRUNCATED: "answers cut short",
        Reason.PROTOCOL_ERROR: "answers are not HTTP",
        Reason.REDIRECTED: "redirected elsewhere",
        Reason.FOREIGN_RESPONSE: "somebody else answers",
        Reason.TOKEN_REJECTED: "token rejected",
        Reason.PERMISSION_DENIED: "permission denied",
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
    }
)
_SIDES = MappingProxyType({Side.SERVER: Culprit.PLATFORM, Side.NETWORK: Culprit.NETWORK})
_ORDER = tuple(WHOSE)  # of two culprits with as many probes, the earlier is named first
_MISSED_INTERVALS = 3


@dataclass(frozen=True, slots=True)
class Saying:
    """What is said of a tenant. `is_known`: something was learned at all."""

    culprit: Culprit
    words: str
    since: float | None = None
    is_slow: bool = False
    is_known: bool = True

    @property
    def is_well(self) -> bool:
        """Whether nothing is wrong."""
        return self.is_known and self.culprit is Culprit.NONE


def say(standing: TenantStanding, now: float) -> Saying:
    """Return what is said of a tenant at a moment (epoch seconds)."""
    return (
        _of_token(standing, now)
        or _of_failures(standing)
        or _of_foretold(standing)
        or _of_missing_runs(standing, now)
        or _of_slowness(standing)
        or Saying(Culprit.NONE, _all(len(standing.probes)))
    )


def maintenance_words(standing: TenantStanding) -> str | None:
    """Return until when maintenance lasts, None where there is none."""
    ends_at = standing.maintenance.ends_at
    return None if ends_at is None else f"in maintenance until {hour_and_minute(ends_at)}"


def _of_token(standing: TenantStanding, now: float) -> Saying | None:
    token = standing.token
    if token.state is TokenState.REJECTED and token.cause is not None:
        since = token.rejected_since
        when = "" if since is None else f" {duration(now - since)} ago"
        if token.cause is RejectionCause.NEVER_ACCEPTED:
            when = "" if since is None else f", for {duration(now - since)}"
        return Saying(Culprit.CREDENTIAL, f"token {CAUSES[token.cause]}{when}", since)
    if token.state is TokenState.MISSING and token.problem is not None:
        return Saying(Culprit.PROBER, f"no token: {token.problem}")
    return None


def _of_failures(standing: TenantStanding) -> Saying | None:
    by_culprit: dict[Culprit, list[ProbeStanding]] = {}
    for each in standing.probes:
        if each.result is not None and not each.result.verdict.succeeded:
            by_culprit.setdefault(each.result.verdict.culprit, []).append(each)
    if not by_culprit:
        return None
    ordered = sorted(by_culprit.items(), key=lambda g: (-len(g[1]), _ORDER.index(g[0])))
    words = [
        f"{WHOSE[culprit]}: {_reason_words(group)}{_where(len(group), len(standing.probes))}"
        for culprit, group in ordered
    ]
    spells = [each.spell.started_at for each in ordered[0][1] if each.spell is not None]
    return Saying(ordered[0][0], "; ".join(words), min(spells, default=None))


def _of_foretold(standing: TenantStanding) -> Saying | None:
    if standing.foretold_by is None:
        return None
    words = f"token is already rejected for {standing.foretold_by}, which shares it"
    return Saying(Culprit.CREDENTIAL, words)


def _of_missing_runs(standing: TenantStanding, now: float) -> Saying | None:
    if all(each.result is None for each in standing.probes):
        return Saying(Culprit.NONE, "waiting for the first run", is_known=False)
    late = [each for each in standing.probes if _is_overdue(each, now)]
    if not late:
        return None
    skipped = late[0].skipped
    why = "nobody knows why" if skipped is None else SKIPS[skipped]
    words = f"prober: no run{_where(len(late), len(standing.probes))} for long, {why}"
    return Saying(Culprit.PROBER, words)


def _of_slowness(standing: TenantStanding) -> Saying | None:
    for side, culprit in _SIDES.items():
        slow = [each for each in standing.probes if side in each.slow]
        if slow:
            took = max(_seconds(each, side) for each in slow)
            where = _where(len(slow), len(standing.probes))
            words = f"{WHOSE[culprit]} slow: {latency(took)}{where}"
            return Saying(culprit, words, is_slow=True)
    return None


def _is_overdue(standing: ProbeStanding, now: float) -> bool:
    if standing.result is None:
        return False
    silent_seconds = now - standing.result.started_at
    return silent_seconds > _MISSED_INTERVALS * standing.probe.interval_seconds + 30


def _seconds(standing: ProbeStanding, side: Side) -> float:
    if standing.result is None:
        return 0.0
    took = standing.result.verdict.latency
    return (took.server_seconds if side is Side.SERVER else took.network_seconds) or 0.0


def _reason_words(group: Sequence[ProbeStanding]) -> str:
    reasons = Counter(each.reason for each in group if each.reason is not None)
    return ", ".join(_words(reason, group) for reason, _ in reasons.most_common(2))


def _words(reason: Reason, group: Sequence[ProbeStanding]) -> str:
    if reason is not Reason.SERVER_ERROR:
        return REASONS[reason]
    statuses = {
        each.result.exchange.response.status
        for each in group
        if each.reason is reason and each.result and each.result.exchange.response
    }
    return f"{statuses.pop()}s" if len(statuses) == 1 else "5xx"


def _where(number: int, of: int) -> str:
    if of == 1:
        return ""
    if number == of:
        return f" on all {of} probes"
    return f" on {number} of {of} probes"


def _all(number: int) -> str:
    return "well" if number == 1 else f"all {number} probes well"
