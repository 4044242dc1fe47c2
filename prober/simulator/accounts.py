"""Who may ask: users with one active token each, and what each tenant's user may not read. Pure.

The form of the platform's tokens and its answers to bad ones are not documented; those used here
are assumptions.
"""

import hashlib
import hmac
import random
from collections.abc import Iterable


def fingerprint(token: str) -> str:
    """Return a short name for a token, for logs."""
    return hashlib.sha256(token.encode()).hexdigest()[:8]


class Accounts:
    """The users of all tenants; tenants of one user share that user's one active token."""

    def __init__(self, users: Iterable[tuple[str, str]], seed: int) -> None:
        """Take pairs of tenant and user; equal seeds yield equal tokens."""
        self._random = random.Random(f"tokens/{seed}")  # noqa: S311 -- a simulator's tokens
        self._user_of = dict(users)
        self._token_of: dict[str, str] = {}
        self._denied: dict[str, frozenset[str]] = {}
        for user in self._user_of.values():
            if user not in self._token_of:
                self._token_of[user] = self._new_token()

    def token(self, tenant: str) -> str:
        """Return the one token that is accepted for a tenant."""
        return self._token_of[self._user_of[tenant]]

    def user(self, tenant: str) -> str:
        """Return the e-mail address of a tenant's user."""
        return self._user_of[tenant]

    def regenerate(self, tenant: str) -> str:
        """Generate a new token: the one before is dead at once, wherever it is used."""
        self._token_of[self._user_of[tenant]] = self._new_token()
        return self.token(tenant)

    def is_accepted(self, tenant: str, authorization: str | None) -> bool:
        """Tell whether an Authorization header bears the tenant's active token."""
        scheme, _, token = (authorization or "").partition(" ")
        same = hmac.compare_digest(token.strip().encode(), self.token(tenant).encode())
        return scheme.lower() == "bearer" and same

    def deny(self, tenant: str, permissions: Iterable[str]) -> None:
        """Take permissions (their names in the user interface) from a tenant's user."""
        self._denied[tenant] = frozenset(permissions)

    def denied(self, tenant: str) -> frozenset[str]:
        """Return the permissions that a tenant's user lacks."""
        return self._denied.get(tenant, frozenset())

    def _new_token(self) -> str:
        return f"{self._random.getrandbits(160):040x}"
