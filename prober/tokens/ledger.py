"""The state that a tenant's token is in: a pure state machine over values.

missing -> unverified -> valid -> rejected; a new fingerprint leads back to unverified and counts
as a rotation. Only an answer that proves something about the token moves the state: a 401 rejects
it, and an answer that the platform gives to a token's owner alone accepts it. A negative check that
is answered with 404, a failure in the network and the like say nothing about it.
"""

from dataclasses import dataclass, replace

from prober.model import Verdict
from prober.outcomes import Provenance, Reason, TokenState

_ACCEPTING = frozenset({Reason.PERMISSION_DENIED, Reason.RATE_LIMITED})
_FIRST_SUCCESS, _LAST_SUCCESS = 200, 299


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """What is known of a tenant's token; moments are epoch seconds."""

    state: TokenState = TokenState.MISSING
    fingerprint: str | None = None
    first_accepted_at: float | None = None
    last_accepted_at: float | None = None
    rejected_since: float | None = None
    rotations: int = 0


def loaded(record: TokenRecord, fingerprint: str) -> TokenRecord:
    """Return the record after the source yielded a token with `fingerprint`."""
    if fingerprint == record.fingerprint:
        if record.state is TokenState.MISSING:
            return replace(record, state=TokenState.UNVERIFIED)
        return record
    rotated = 0 if record.fingerprint is None else 1
    return TokenRecord(
        state=TokenState.UNVERIFIED,
        fingerprint=fingerprint,
        rotations=record.rotations + rotated,
    )


def missing(record: TokenRecord) -> TokenRecord:
    """Return the record after the source yielded no usable token."""
    return replace(record, state=TokenState.MISSING)


def judged(
    record: TokenRecord, fingerprint: str, verdict: Verdict, status: int | None, at: float
) -> TokenRecord:
    """Return the record after an answer to a request that bore the token `fingerprint`."""
    if fingerprint != record.fingerprint:  # an answer to a token that has been replaced since
        return record
    if verdict.reason is Reason.TOKEN_REJECTED:
        since = at if record.rejected_since is None else record.rejected_since
        return replace(record, state=TokenState.REJECTED, rejected_since=since)
    if not _accepts(verdict, status):
        return record
    first = at if record.first_accepted_at is None else record.first_accepted_at
    return replace(
        record,
        state=TokenState.VALID,
        first_accepted_at=first,
        last_accepted_at=at,
        rejected_since=None,
    )


def _accepts(verdict: Verdict, status: int | None) -> bool:
    if verdict.provenance is not Provenance.PLATFORM or status is None:
        return False
    return verdict.reason in _ACCEPTING or _FIRST_SUCCESS <= status <= _LAST_SUCCESS
