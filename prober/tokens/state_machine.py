"""The state machine of a tenant's token: transitions over values. Pure.

    missing -> unverified -> valid -> rejected

1.  A new fingerprint leads to `unverified` from every state and counts as a rotation, unless the
    prober itself requested the token (a renewed OAuth token: the same credential, no rotation).
2.  Only conclusive responses change the state. A 401 rejects the token, and a 2xx of the platform
    accepts it. A 403 and a 429 prove nothing about it, and neither do a negative check's 404 and
    responses that are not from the platform.
3.  A response counts for the token that the request was sent with. An acceptance counts only if
    the request started after the rejection: a request that was in flight when the token became
    invalid proves nothing about the present.
4.  The cause of a rejection follows from the token's history: `expired` if its stated expiry has
    passed and it was not accepted since (`max_age` is no expiry), `superseded` if it had been
    accepted before, else `never_accepted`.
    A 401 of one route whose token another route accepts is classified as `route_unauthorized`
    before (see `route_check`), and proves nothing about the token either.
5.  While a token is rejected, one canary run at a time is sent, at growing intervals. It is sent
    by another probe than the one that was rejected last: if that one is accepted, the 401
    concerned a single operation and not the token. From then on a 401 of that probe is ignored,
    until the probe is accepted or the token changes.
6.  A token that goes missing and comes back unchanged is still rejected if it was before.

`events_between` derives the events from the status before and after a transition.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

from prober.models import TokenSource, TokenSourceKind, TokenStatus, Verdict
from prober.outcomes import Reason, RejectionCause, Responder, TokenEventKind, TokenState

_FIRST_SUCCESS, _LAST_SUCCESS = 200, 299
_ACCEPTED_RESOLUTION_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """What is known of a tenant's token. Times are epoch seconds.

    `stated_expiry` comes from the token itself or from its issuer. `client_secret` is the
    fingerprint of the OAuth client's secret. `refused_probe` had the last 401. The 401s of
    `contradicted` probes are known to concern those probes alone (rule 5).
    """

    state: TokenState = TokenState.MISSING
    fingerprint: str | None = None
    problem: str | None = None
    loaded_at: float | None = None
    stated_expiry: float | None = None
    client_secret: str | None = None
    first_accepted_at: float | None = None
    last_accepted_at: float | None = None
    rejected_since: float | None = None
    cause: RejectionCause | None = None
    refused_probe: str | None = None
    contradicted: frozenset[str] = frozenset()
    canaries: int = 0
    next_canary_at: float | None = None
    rotations: int = 0


@dataclass(frozen=True, slots=True)
class TokenLoaded:
    """A token from its source. `renewal`: requested by the prober with the same credential."""

    fingerprint: str
    stated_expiry: float | None = None
    renewal: bool = False


@dataclass(frozen=True, slots=True)
class TokenResponse:
    """The verdict on a request that was sent with the token of `fingerprint`.

    `started_at` is when the request started. `status` is None without an HTTP response.
    """

    fingerprint: str
    probe: str
    verdict: Verdict
    status: int | None
    started_at: float


@dataclass(frozen=True, slots=True)
class Backoff:
    """The wait before each canary after a rejection; it doubles each time, up to a limit."""

    first_seconds: float = 60.0
    limit_seconds: float = 900.0

    def delay_seconds(self, canaries: int) -> float:
        """Return the wait after this number of canaries."""
        doublings = min(
            canaries, 32
        )  # the limit is reached long before; avoids an overflow of the float
        return float(min(self.first_seconds * 2**doublings, self.limit_seconds))


@dataclass(frozen=True, slots=True)
class TokenPolicy:
    """The configuration of a tenant's token."""

    source: TokenSource
    backoff: Backoff = Backoff()


def on_token_loaded(record: TokenRecord, token: TokenLoaded, at: float) -> TokenRecord:
    """Return the record after a token was read from its source."""
    if token.fingerprint == record.fingerprint:
        return _source_restored(record) if record.state is TokenState.MISSING else record
    if token.renewal:
        return _renewed(record, token, at)
    # A new credential starts with an empty history; only the number of rotations goes on.
    return TokenRecord(
        state=TokenState.UNVERIFIED,
        fingerprint=token.fingerprint,
        loaded_at=at,
        stated_expiry=token.stated_expiry,
        rotations=record.rotations + (0 if record.fingerprint is None else 1),
    )


def on_client_secret(record: TokenRecord, client_secret: str) -> TokenRecord:
    """Return the record after an OAuth client's secret was read; a new one is a rotation."""
    if client_secret == record.client_secret:
        return _source_restored(record) if record.state is TokenState.MISSING else record
    # Without a fingerprint: the tokens of the old secret do not count for the new one.
    return TokenRecord(
        state=TokenState.UNVERIFIED,
        client_secret=client_secret,
        rotations=record.rotations + (0 if record.client_secret is None else 1),
    )


def on_token_missing(record: TokenRecord, problem: str) -> TokenRecord:
    """Return the record after the source had no usable token."""
    # Everything else stays, so that the same token may come back (rule 6).
    return replace(record, state=TokenState.MISSING, problem=problem)


def on_response(
    record: TokenRecord, response: TokenResponse, policy: TokenPolicy, at: float
) -> TokenRecord:
    """Return the record after a response to a request that was sent with a token."""
    if response.fingerprint != record.fingerprint or record.state is TokenState.MISSING:
        return record  # of an earlier token (rule 3)
    if response.verdict.reason is Reason.TOKEN_REJECTED:
        return _refused(record, response.probe, policy, at)
    if not accepts(response):
        return record
    if record.rejected_since is not None and response.started_at < record.rejected_since:
        return record  # was in flight when the token was rejected (rule 3)
    if _is_unchanged(record, response.probe, at):
        return record
    return _accepted(record, response.probe, at)


def accepts(response: TokenResponse) -> bool:
    """Return whether a response proves that the token was accepted: a 2xx of the platform."""
    # The status and not the verdict: a 2xx with unexpected content proves the token valid too.
    return (
        response.verdict.responder is Responder.PLATFORM
        and response.status is not None
        and _FIRST_SUCCESS <= response.status <= _LAST_SUCCESS
    )


def on_client_rejected(record: TokenRecord, policy: TokenPolicy, at: float) -> TokenRecord:
    """Return the record after the OAuth server rejected the client; there is no token then."""
    # Rejected again: the canary's backoff goes on and does not start from the beginning.
    if record.state is TokenState.REJECTED:
        return replace(record, fingerprint=None)
    rejected = _rejected(record, _rejection_cause(record), policy, at)
    return replace(rejected, fingerprint=None)


def on_canary_started(record: TokenRecord, policy: TokenPolicy, now: float) -> TokenRecord:
    """Return the record after a canary run was started; the next one has to wait longer."""
    # Counted at the start and not at the response, so that a slow canary remains the only one.
    canaries = record.canaries + 1
    return replace(
        record, canaries=canaries, next_canary_at=now + policy.backoff.delay_seconds(canaries)
    )


def may_use_token(
    record: TokenRecord, probe: str, *, alone: bool, policy: TokenPolicy, now: float
) -> bool:
    """Return whether a probe may use the token; with a rejected token only the canary may.

    `alone`: the tenant has no other probe that could be the canary.
    """
    if record.state is not TokenState.REJECTED or record.next_canary_at is None:
        return True
    wait_seconds = record.next_canary_at - now
    # The wait is never longer than the limit, unless the clock was set back: then it is over.
    is_due = wait_seconds <= 0 or wait_seconds > policy.backoff.limit_seconds
    return is_due and (alone or probe != record.refused_probe)


def known_expiry(record: TokenRecord, source: TokenSource) -> float | None:
    """Return when the token expires, or None if that is unknown.

    The token's own expiry takes precedence over the configured one; `max_age` can only shorten it.
    """
    stated = stated_expiry(record, source)
    # Counted from the first acceptance, since it is not known when the token was created.
    if source.max_age_seconds is None or record.first_accepted_at is None:
        return stated
    aged = record.first_accepted_at + source.max_age_seconds
    return aged if stated is None else min(stated, aged)


def stated_expiry(record: TokenRecord, source: TokenSource) -> float | None:
    """Return the expiry that the token states, else the configured one, else None."""
    return source.expires_at if record.stated_expiry is None else record.stated_expiry


def status(tenant: str, record: TokenRecord, source: TokenSource) -> TokenStatus:
    """Return the part of a record that may be shown."""
    return TokenStatus(
        tenant=tenant,
        source=source,
        state=record.state,
        fingerprint=record.fingerprint,
        problem=record.problem if record.state is TokenState.MISSING else None,
        cause=record.cause if record.state is TokenState.REJECTED else None,
        loaded_at=record.loaded_at,
        first_accepted_at=record.first_accepted_at,
        last_accepted_at=record.last_accepted_at,
        rejected_since=record.rejected_since,
        next_canary_at=record.next_canary_at,
        expires_at=known_expiry(record, source),
        rotations=record.rotations,
    )


def _source_restored(record: TokenRecord) -> TokenRecord:
    # `cause` is kept while the token is missing, and set only if it was rejected before (rule 6).
    state = TokenState.UNVERIFIED if record.cause is None else TokenState.REJECTED
    return replace(record, state=state, problem=None)


def _renewed(record: TokenRecord, token: TokenLoaded, at: float) -> TokenRecord:
    """Return the record with a renewed token; the history of the credential goes on."""
    # That a token was issued does not prove that the platform accepts it: still rejected.
    rejected = record.state is TokenState.REJECTED
    return replace(
        record,
        state=TokenState.REJECTED if rejected else TokenState.UNVERIFIED,
        fingerprint=token.fingerprint,
        problem=None,
        loaded_at=at,
        stated_expiry=token.stated_expiry,
    )


def _refused(record: TokenRecord, probe: str, policy: TokenPolicy, at: float) -> TokenRecord:
    if probe in record.contradicted:
        return record  # this probe's 401 does not concern the token (rule 5)
    if record.state is TokenState.REJECTED:
        # Cause and time are those of the first 401. The next canary is another probe.
        return replace(record, refused_probe=probe)
    expired = _has_expired(record, policy.source, at)
    cause = RejectionCause.EXPIRED if expired else _rejection_cause(record)
    return replace(_rejected(record, cause, policy, at), refused_probe=probe)


def _has_expired(record: TokenRecord, source: TokenSource, at: float) -> bool:
    """Return whether an expiry explains a 401.

    `max_age` is a rule of the user and no expiry. An expiry after which the platform still accepted
    the token was wrong.
    """
    expiry = stated_expiry(record, source)
    if expiry is None or expiry > at:
        return False
    return record.last_accepted_at is None or record.last_accepted_at <= expiry


def _rejected(
    record: TokenRecord, cause: RejectionCause, policy: TokenPolicy, at: float
) -> TokenRecord:
    return replace(
        record,
        state=TokenState.REJECTED,
        rejected_since=at,
        cause=cause,
        refused_probe=None,
        canaries=0,
        next_canary_at=at + policy.backoff.delay_seconds(0),
    )


def _rejection_cause(record: TokenRecord) -> RejectionCause:
    ever = record.first_accepted_at is not None
    return RejectionCause.SUPERSEDED if ever else RejectionCause.NEVER_ACCEPTED


def _accepted(record: TokenRecord, probe: str, at: float) -> TokenRecord:
    contradicted = record.contradicted
    # Another probe was rejected with the same token: its 401 concerns that probe alone (rule 5).
    if record.state is TokenState.REJECTED and record.refused_probe not in {None, probe}:
        contradicted |= {str(record.refused_probe)}
    return replace(
        record,
        state=TokenState.VALID,
        first_accepted_at=at if record.first_accepted_at is None else record.first_accepted_at,
        last_accepted_at=at,
        rejected_since=None,
        cause=None,
        refused_probe=None,
        contradicted=contradicted - {probe},  # this probe's 401s count again
        canaries=0,
        next_canary_at=None,
    )


def _is_unchanged(record: TokenRecord, probe: str, at: float) -> bool:
    """Return whether the token was accepted within the last second too.

    Times have a resolution of one second, and tenants with many probes would otherwise change
    their record, and have it saved, several times a second.
    """
    last = record.last_accepted_at
    return (
        record.state is TokenState.VALID
        and last is not None
        and 0 <= at - last < _ACCEPTED_RESOLUTION_SECONDS
        and probe not in record.contradicted
    )


def events_between(before: TokenStatus, after: TokenStatus) -> tuple[TokenEventKind, ...]:
    """Return the events that a change of the status means, in order.

    The acceptance of a renewed OAuth token is no event if the token before it was accepted too.
    """
    candidates = (
        (TokenEventKind.ROTATED, after.rotations > before.rotations),
        (TokenEventKind.LOADED, _is_first(before, after)),
        (TokenEventKind.MISSING, _is_missing(before, after)),
        (TokenEventKind.REJECTED, _became(TokenState.REJECTED, before, after)),
        (TokenEventKind.ACCEPTED, _is_accepted(before, after)),
    )
    return tuple(kind for kind, happened in candidates if happened)


def expiry_stage(
    status: TokenStatus, thresholds_seconds: Collection[float], now: float
) -> float | None:
    """Return the lowest threshold that the remaining time is below, or None.

    OAuth tokens are renewed before they expire, so there is nothing to warn of.
    """
    if status.expires_at is None or status.source.kind is TokenSourceKind.OAUTH:
        return None
    left_seconds = status.expires_at - now
    return min((each for each in thresholds_seconds if left_seconds < each), default=None)


def _is_first(before: TokenStatus, after: TokenStatus) -> bool:
    # A rejected OAuth client has no fingerprint; the token of its canary is not a first one.
    return (
        before.fingerprint is None
        and after.fingerprint is not None
        and before.state is not TokenState.REJECTED
    )


def _is_missing(before: TokenStatus, after: TokenStatus) -> bool:
    # Another problem is another event: the file may have become unreadable in place of empty.
    return after.problem is not None and after.problem != before.problem


def _became(state: TokenState, before: TokenStatus, after: TokenStatus) -> bool:
    return after.state is state and before.state is not state


def _is_accepted(before: TokenStatus, after: TokenStatus) -> bool:
    if not _became(TokenState.VALID, before, after):
        return False
    return before.first_accepted_at is None or before.state is TokenState.REJECTED
