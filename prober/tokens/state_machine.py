"""The state that a tenant's token is in: a pure state machine over values. The law.

    missing -> unverified -> valid -> rejected

1.  A new fingerprint leads back to `unverified` from everywhere, and counts as a rotation, unless
    the prober itself asked for it (an OAuth token renewed: the same credential, no rotation).
2.  Only an answer that proves something moves the state. A 401 rejects; a 2xx of the platform
    accepts. A 403 and a 429 say nothing about the token, nor does a negative check's 404, nor
    anything that is not the platform's answer.
3.  An answer counts for the token that the request bore, and an acceptance only if the request
    began after the rejection: what was on its way when a token died proves nothing about now.
4.  Why it was rejected is told from its life: `expired` when its stated expiry had passed
    and it was not accepted since (a `max_age` is no expiry), `superseded` when it had been accepted
    before, else `never_accepted`.
5.  While it is rejected, one canary run at a time goes on, ever more seldom, by another probe than
    the last one that was refused: so a 401 that concerns one operation alone is found out. From
    then on that probe's 401 says nothing, until it is accepted or the token changes.
6.  A token that vanishes and comes back unchanged is as rejected as it was before.

What happened to a token, told from what was known before and after. Pure.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

from prober.models import TokenSource, TokenSourceKind, TokenStatus, Verdict
from prober.outcomes import Reason, RejectionCause, Responder, TokenEventKind, TokenState

_FIRST_SUCCESS, _LAST_SUCCESS = 200, 299
_ACCEPTED_AGAIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """What is remembered of a tenant's token; moments are epoch seconds.

    `stated_expiry` is what the token itself, or who issued it, says; `client_secret` is the
    fingerprint of the secret that OAuth tokens are asked for with. `refused_probe` had the last
    401; the 401s of `contradicted` probes have been proved to be theirs alone.
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
    """What a source yielded. `renewal`: the prober asked for it, the credential is the same."""

    fingerprint: str
    stated_expiry: float | None = None
    renewal: bool = False


@dataclass(frozen=True, slots=True)
class TokenResponse:
    """How a request that bore `fingerprint` was judged; `began_at` is when it was begun.

    `status` is None without an HTTP answer.
    """

    fingerprint: str
    probe: str
    verdict: Verdict
    status: int | None
    started_at: float


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long after a rejection the first canary runs, doubling each time up to a limit."""

    first_seconds: float = 60.0
    limit_seconds: float = 900.0

    def delay_seconds(self, canaries: int) -> float:
        """Return the pause after so many canaries."""
        doublings = min(canaries, 32)  # beyond, any limit is reached, and floats stay small
        return float(min(self.first_seconds * 2**doublings, self.limit_seconds))


@dataclass(frozen=True, slots=True)
class TokenPolicy:
    """What the settings say of a tenant's token."""

    source: TokenSource
    backoff: Backoff = Backoff()


def on_token_loaded(record: TokenRecord, token: TokenLoaded, at: float) -> TokenRecord:
    """Return the record after the source yielded a token."""
    if token.fingerprint == record.fingerprint:
        return _source_restored(record) if record.state is TokenState.MISSING else record
    if token.renewal:
        return _renewed(record, token, at)
    return TokenRecord(
        state=TokenState.UNVERIFIED,
        fingerprint=token.fingerprint,
        loaded_at=at,
        stated_expiry=token.stated_expiry,
        rotations=record.rotations + (0 if record.fingerprint is None else 1),
    )


def on_client_secret(record: TokenRecord, client_secret: str) -> TokenRecord:
    """Return the record after an OAuth client's secret was read: a new one is a new credential."""
    if client_secret == record.client_secret:
        return _source_restored(record) if record.state is TokenState.MISSING else record
    return TokenRecord(
        state=TokenState.UNVERIFIED,
        client_secret=client_secret,
        rotations=record.rotations + (0 if record.client_secret is None else 1),
    )


def on_token_missing(record: TokenRecord, problem: str) -> TokenRecord:
    """Return the record after the source yielded no usable token."""
    return replace(record, state=TokenState.MISSING, problem=problem)


def on_response(
    record: TokenRecord, answer: TokenResponse, policy: TokenPolicy, at: float
) -> TokenRecord:
    """Return the record after an answer to a request that bore a token."""
    if answer.fingerprint != record.fingerprint or record.state is TokenState.MISSING:
        return record
    if answer.verdict.reason is Reason.TOKEN_REJECTED:
        return _refused(record, answer.probe, policy, at)
    if not _accepts(answer):
        return record
    if record.rejected_since is not None and answer.started_at < record.rejected_since:
        return record
    if _is_unchanged(record, answer.probe, at):
        return record
    return _accepted(record, answer.probe, at)


def on_client_rejected(record: TokenRecord, policy: TokenPolicy, at: float) -> TokenRecord:
    """Return the record after the identity server refused the client: there is no token now."""
    if record.state is TokenState.REJECTED:
        return replace(record, fingerprint=None)
    rejected = _rejected(record, _rejection_cause(record), policy, at)
    return replace(rejected, fingerprint=None)


def on_canary_started(record: TokenRecord, policy: TokenPolicy, now: float) -> TokenRecord:
    """Return the record after a canary run was started."""
    canaries = record.canaries + 1
    return replace(
        record, canaries=canaries, next_canary_at=now + policy.backoff.delay_seconds(canaries)
    )


def may_use_token(
    record: TokenRecord, probe: str, *, alone: bool, policy: TokenPolicy, now: float
) -> bool:
    """Tell whether a probe may use the token: always, but for a rejected one as its canary only.

    `alone`: the tenant has no other probe that could be the canary.
    """
    if record.state is not TokenState.REJECTED or record.next_canary_at is None:
        return True
    wait_seconds = record.next_canary_at - now
    # A longer wait than any pause means that the clock was set back.
    is_due = wait_seconds <= 0 or wait_seconds > policy.backoff.limit_seconds
    return is_due and (alone or probe != record.refused_probe)


def known_expiry(record: TokenRecord, source: TokenSource) -> float | None:
    """Return when the token expires, None where nobody knows.

    What the token says comes before what the settings say; `max_age` can only shorten it.
    """
    stated = stated_expiry(record, source)
    if source.max_age_seconds is None or record.first_accepted_at is None:
        return stated
    aged = record.first_accepted_at + source.max_age_seconds
    return aged if stated is None else min(stated, aged)


def stated_expiry(record: TokenRecord, source: TokenSource) -> float | None:
    """Return the expiry that the token states, else the one in the settings, else None."""
    return source.expires_at if record.stated_expiry is None else record.stated_expiry


def status(tenant: str, record: TokenRecord, source: TokenSource) -> TokenStatus:
    """Return what may be shown of a record."""
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
    state = TokenState.UNVERIFIED if record.cause is None else TokenState.REJECTED
    return replace(record, state=state, problem=None)


def _renewed(record: TokenRecord, token: TokenLoaded, at: float) -> TokenRecord:
    """Keep the life of the credential: its tokens are one after the other the same one."""
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
        return record
    if record.state is TokenState.REJECTED:
        return replace(record, refused_probe=probe)
    expired = _has_expired(record, policy.source, at)
    cause = RejectionCause.EXPIRED if expired else _rejection_cause(record)
    return replace(_rejected(record, cause, policy, at), refused_probe=probe)


def _has_expired(record: TokenRecord, source: TokenSource, at: float) -> bool:
    """Tell whether an expiry explains a 401.

    `max_age` is the user's own rule and no expiry, and an expiry after which the platform accepted
    the token was none either.
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
        contradicted=contradicted - {probe},
        canaries=0,
        next_canary_at=None,
    )


def _is_unchanged(record: TokenRecord, probe: str, at: float) -> bool:
    """Tell whether the token was accepted just before as well: moments are told to the second."""
    last = record.last_accepted_at
    return (
        record.state is TokenState.VALID
        and last is not None
        and 0 <= at - last < _ACCEPTED_AGAIN_SECONDS
        and probe not in record.contradicted
    )


def _accepts(answer: TokenResponse) -> bool:
    return (
        answer.verdict.responder is Responder.PLATFORM
        and answer.status is not None
        and _FIRST_SUCCESS <= answer.status <= _LAST_SUCCESS
    )


def events_between(before: TokenStatus, after: TokenStatus) -> tuple[TokenEventKind, ...]:
    """Return the events that lie between two states of knowledge, in order.

    A renewed OAuth token that is accepted, as the one before it was, is no event.
    """
    every = (
        (TokenEventKind.ROTATED, after.rotations > before.rotations),
        (TokenEventKind.LOADED, _is_first(before, after)),
        (TokenEventKind.MISSING, _is_missing(before, after)),
        (TokenEventKind.REJECTED, _became(TokenState.REJECTED, before, after)),
        (TokenEventKind.ACCEPTED, _is_accepted(before, after)),
    )
    return tuple(kind for kind, happened in every if happened)


def expiry_stage(
    status: TokenStatus, thresholds_seconds: Collection[float], now: float
) -> float | None:
    """Return the least threshold that the time left has fallen below, None if there is none.

    OAuth tokens are renewed ahead of their expiry, so theirs is no news.
    """
    if status.expires_at is None or status.source.kind is TokenSourceKind.OAUTH:
        return None
    left_seconds = status.expires_at - now
    return min((each for each in thresholds_seconds if left_seconds < each), default=None)


def _is_first(before: TokenStatus, after: TokenStatus) -> bool:
    return (
        before.fingerprint is None
        and after.fingerprint is not None
        and before.state is not TokenState.REJECTED
    )


def _is_missing(before: TokenStatus, after: TokenStatus) -> bool:
    return after.problem is not None and after.problem != before.problem


def _became(state: TokenState, before: TokenStatus, after: TokenStatus) -> bool:
    return after.state is state and before.state is not state


def _is_accepted(before: TokenStatus, after: TokenStatus) -> bool:
    if not _became(TokenState.VALID, before, after):
        return False
    return before.first_accepted_at is None or before.state is TokenState.REJECTED
