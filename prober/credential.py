"""A tenant's credential in values: where its token is found, and what is known of its life.

The token itself stands in none of them: it is known by its fingerprint alone. Durations are
seconds, points in time are seconds since the epoch (UTC).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from prober.outcomes import RejectionCause, TokenEventKind, TokenState


class TokenSourceKind(StrEnum):
    """Where a token comes from; a label value of `prober_token_info`."""

    ENVIRONMENT = "env"
    FILE = "file"
    OAUTH = "oauth"


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """Who asks the identity server for tokens (RFC 6749, 4.4), and where the client's secret is.

    `secret` names a variable or a file, in the form of a token's source.
    """

    client_id: str
    secret: "TokenSource"
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class TokenSource:
    """Where a tenant's token is found: a variable's name, an absolute file name, or a token URL.

    `expires_at` and `max_age_seconds` are what the settings know of its life; `client` stands with
    a token URL alone.
    """

    kind: TokenSourceKind
    location: str
    expires_at: float | None = None
    max_age_seconds: float | None = None
    client: OAuthClient | None = None

    @property
    def origin(self) -> tuple[str, ...]:
        """What two sources have in common whose tokens share a fate, whatever they say of it."""
        client = () if self.client is None else (self.client.client_id,)
        return (self.kind.value, self.location, *client)

    def __str__(self) -> str:
        return f"{self.kind.value} {self.location}"


@dataclass(frozen=True, slots=True)
class TokenView:
    """What a result may say of the token that it was made with."""

    fingerprint: str
    source: TokenSource


@dataclass(frozen=True, slots=True)
class TokenStatus:
    """All that may be shown of a tenant's token now.

    `problem` says why there is none. `expires_at` is None where no expiry is known. The two
    acceptances, like `loaded_at`, are those of the present token.
    """

    tenant: str
    source: TokenSource
    state: TokenState = TokenState.MISSING
    fingerprint: str | None = None
    problem: str | None = None
    cause: RejectionCause | None = None
    loaded_at: float | None = None
    first_accepted_at: float | None = None
    last_accepted_at: float | None = None
    rejected_since: float | None = None
    next_canary_at: float | None = None
    expires_at: float | None = None
    rotations: int = 0


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """Something happened to a token at a moment: `status` is what is known of it since then.

    `shared_with` names the other tenants that hold the same token.
    """

    kind: TokenEventKind
    at: float
    status: TokenStatus
    shared_with: tuple[str, ...] = ()


def shared_with(statuses: Mapping[str, TokenStatus], tenant: str) -> tuple[str, ...]:
    """Return the other tenants that hold the same token: they share its fate."""
    fingerprint = statuses[tenant].fingerprint
    if fingerprint is None:
        return ()
    return tuple(
        name
        for name, status in statuses.items()
        if name != tenant and status.fingerprint == fingerprint
    )


def shared_groups(statuses: Mapping[str, TokenStatus]) -> tuple[tuple[str, ...], ...]:
    """Return the tenants of each token that more than one of them holds."""
    holders: dict[str, list[str]] = {}
    for name, status in statuses.items():
        if status.fingerprint is not None:
            holders.setdefault(status.fingerprint, []).append(name)
    return tuple(tuple(sorted(names)) for names in holders.values() if len(names) > 1)


def foretold_by(statuses: Mapping[str, TokenStatus], tenant: str) -> str | None:
    """Return a tenant that the same token is already rejected for, if this one's is not yet."""
    if statuses[tenant].state is TokenState.REJECTED:
        return None
    return next(
        (
            name
            for name in shared_with(statuses, tenant)
            if statuses[name].state is TokenState.REJECTED
        ),
        None,
    )
