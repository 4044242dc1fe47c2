"""What happened to a token, told from what was known before and after. Pure."""

from collections.abc import Collection

from prober.credential import TokenSourceKind, TokenStatus
from prober.outcomes import TokenEventKind, TokenState


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
