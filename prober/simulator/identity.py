"""The identity server: OAuth 2.0 client credentials (RFC 6749, 4.4), one client for each tenant.

Pure. Unlike a user's one active token, any number of issued tokens live side by side until they
expire.
"""

import hmac
import json
import random
from collections.abc import Iterable
from urllib.parse import parse_qs

from prober.simulator.http import Answer, Request

PATH = "/identity_/connect/token"


class Identity:
    """The clients of all tenants, and the tokens issued to them; moments are epoch seconds."""

    def __init__(self, tenants: Iterable[str], seed: int, lifetime_seconds: float) -> None:
        self.lifetime_seconds = lifetime_seconds
        self._random = random.Random(f"identity/{seed}")  # noqa: S311 -- a simulator's secrets
        self._secrets = {tenant: self._new() for tenant in tenants}
        self._issued: dict[str, tuple[str, float]] = {}

    def client_id(self, tenant: str) -> str:
        """Return the public name of a tenant's client."""
        return f"{tenant}-client"

    def secret(self, tenant: str) -> str:
        """Return the secret of a tenant's client."""
        return self._secrets[tenant]

    def issued(self, tenant: str) -> list[str]:
        """Return the tokens that were issued to a tenant's client and not yet forgotten."""
        return [token for token, (owner, _) in self._issued.items() if owner == tenant]

    def replace_secret(self, tenant: str) -> str:
        """Give a tenant's client a new secret; tokens that were issued live on."""
        self._secrets[tenant] = self._new()
        return self._secrets[tenant]

    def is_accepted(self, tenant: str, authorization: str | None, now: float) -> bool:
        """Tell whether an Authorization header bears a living token of the tenant's client."""
        scheme, _, token = (authorization or "").partition(" ")
        owner, expires_at = self._issued.get(token.strip(), ("", 0.0))
        return scheme.lower() == "bearer" and owner == tenant and now < expires_at

    def answer(self, request: Request, now: float) -> tuple[str | None, Answer]:
        """Return whose client asks, if it is known, and what it gets."""
        fields = parse_qs(request.body.decode("latin-1"))
        form = {name: values[0] for name, values in fields.items()}
        clients = {self.client_id(tenant): tenant for tenant in self._secrets}
        tenant = clients.get(form.get("client_id", ""))
        if request.method != "POST" or form.get("grant_type") != "client_credentials":
            return tenant, _error("unsupported_grant_type")
        if tenant is None or not self._knows(tenant, form.get("client_secret", "")):
            return tenant, _error("invalid_client")
        self._issued = {
            token: (owner, expires_at)
            for token, (owner, expires_at) in self._issued.items()
            if expires_at > now
        }
        token = self._new()
        self._issued[token] = (tenant, now + self.lifetime_seconds)
        content = {
            "access_token": token,
            "expires_in": self.lifetime_seconds,
            "token_type": "Bearer",
            "scope": form.get("scope", ""),
        }
        return tenant, _json(200, content)

    def _knows(self, tenant: str, secret: str) -> bool:
        return hmac.compare_digest(secret.encode(), self._secrets[tenant].encode())

    def _new(self) -> str:
        return f"{self._random.getrandbits(256):064x}"


def _error(error: str) -> Answer:
    return _json(400, {"error": error})


def _json(status: int, content: dict[str, object]) -> Answer:
    headers = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
    return Answer(status, headers, json.dumps(content).encode())
