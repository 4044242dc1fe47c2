"""The correct platform: API, users, identity server and response times. Pure.

API: a request is checked for address, token, route and permission, in this order. Project and name
may be two path segments, as documented, or one with `%2F`, as the official client sends them.
Assumptions, because it is not documented: 401 for a missing or invalid token, 403 for a missing
permission, the messages of both, the format of tokens, and that the token is checked before the
route.

Users: each has one active token. Tokens are opaque, or JWTs that expire.

Identity server: OAuth 2.0 client credentials (RFC 6749, 4.4), one client for each tenant. Unlike a
user's one active token, any number of issued tokens are valid until they expire.

Response times: drawn from a seeded log-normal distribution, or constant.
"""

import base64
import hashlib
import hmac
import json
import math
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qs, unquote

from prober.simulator import (
    canned_responses,
    routes_of_datasets,
    routes_of_projects,
    routes_of_sources,
)
from prober.simulator.api import Call
from prober.simulator.http import Request, Response
from prober.simulator.resources import ApiError, TenantResources


def token_fingerprint(token: str) -> str:
    """Return a short hash of a token, for logs."""
    return hashlib.sha256(token.encode()).hexdigest()[:8]


class TokenFactory:
    """Makes tokens: opaque ones, or JWTs (RFC 7519) that expire. Equal seeds give equal tokens."""

    def __init__(self, seed: str, bits: int, jwt_seconds: float | None = None) -> None:
        """`jwt_seconds`: the lifetime of tokens; without it they are opaque and do not expire."""
        self.jwt_seconds = jwt_seconds
        self._random = random.Random(seed)  # noqa: S311 -- a simulator's tokens
        self._bits = bits

    def new(self, tenant: str, now: float) -> str:
        """Return a new token of a tenant's user or client."""
        opaque = f"{self._random.getrandbits(self._bits):0{self._bits // 4}x}"
        if self.jwt_seconds is None:
            return opaque
        organisation = hashlib.sha256(tenant.encode()).hexdigest()[:32]
        claims = {
            "prt_id": organisation,
            "scope": "Ixp.ApiAccess",
            "iat": int(now),
            "exp": int(now + self.jwt_seconds),
            "jti": opaque,
        }
        signed = f"{_segment({'alg': 'HS256', 'typ': 'JWT'})}.{_segment(claims)}"
        signature = hmac.digest(opaque.encode(), signed.encode(), "sha256")
        return f"{signed}.{_base64(signature)}"


def _segment(content: Mapping[str, object]) -> str:
    return _base64(json.dumps(content).encode())


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


class UserStore:
    """The users of all tenants. Tenants of the same user share the user's one active token."""

    def __init__(
        self, users: Iterable[tuple[str, str]], seed: int, jwt_seconds: float | None, now: float
    ) -> None:
        """`users`: pairs of tenant and user. `now`: when their tokens were generated."""
        self._factory = TokenFactory(f"tokens/{seed}", 160, jwt_seconds)
        self._user_of = dict(users)
        self._token_of: dict[str, tuple[str, float]] = {}
        for tenant, user in self._user_of.items():
            if user not in self._token_of:
                self.regenerate(tenant, now)

    def token(self, tenant: str) -> str:
        """Return the active token of a tenant's user."""
        return self._token_of[self._user_of[tenant]][0]

    def user(self, tenant: str) -> str:
        """Return the e-mail address of a tenant's user."""
        return self._user_of[tenant]

    def regenerate(self, tenant: str, now: float) -> str:
        """Generate a new token. The previous one becomes invalid at once, for all tenants."""
        expires_at = now + (self._factory.jwt_seconds or math.inf)
        self._token_of[self._user_of[tenant]] = (self._factory.new(tenant, now), expires_at)
        return self.token(tenant)

    def is_accepted(self, tenant: str, authorization: str | None, now: float) -> bool:
        """Return whether an Authorization header has the tenant's active token."""
        scheme, _, token = (authorization or "").partition(" ")
        active, expires_at = self._token_of[self._user_of[tenant]]
        same = hmac.compare_digest(token.strip().encode(), active.encode())
        return scheme.lower() == "bearer" and same and now < expires_at


Content = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class TenantAddress:
    """The address of a tenant: organisation and tenant, or its own domain."""

    organisation: str | None = None
    tenant: str | None = None
    domain: str | None = None

    @property
    def prefix(self) -> str:
        """The path prefix before `/api`."""
        return "" if self.domain else f"/{self.organisation}/{self.tenant}/reinfer_"


ROUTES = (*routes_of_projects.ROUTES, *routes_of_sources.ROUTES, *routes_of_datasets.ROUTES)


def tenant_of(request: Request, addresses: Mapping[str, TenantAddress]) -> tuple[str, str] | None:
    """Return the tenant of a request and the path after its base address, or None.

    A tenant with its own domain has no path prefix. The Host header selects it unless there
    is only one.
    """
    path = request.path
    for name, address in addresses.items():
        if address.domain is None and path.startswith(f"{address.prefix}/"):
            return name, path.removeprefix(address.prefix)
    rooted = {address.domain: name for name, address in addresses.items() if address.domain}
    named = rooted.get(request.headers.get("host", "").partition(".")[0])
    if named is None and len(rooted) == 1:
        named = next(iter(rooted.values()))
    if named is None or not path.startswith(("/api/", "/auth/")):
        return None
    return named, path


def gateway_response(request: Request) -> Response:
    """Return the gateway's response to a request for an unknown tenant."""
    organisation, tenant, *_ = [*request.path.strip("/").split("/"), "", ""]
    return canned_responses.unregistered(organisation, tenant)


@dataclass(frozen=True, slots=True)
class Caller:
    """The tenant of a request, its user, and its time in epoch seconds."""

    tenant: str
    email: str
    now: float


def handle_request(
    request: Request, path: str, caller: Caller, resources: TenantResources, *, is_accepted: bool
) -> Response:
    """Return the platform's response; `path` is relative to the tenant's base address.

    The response to HEAD is that to GET: the server leaves its body out.
    """
    if not is_accepted:
        return error(HTTPStatus.UNAUTHORIZED)
    try:
        return _respond(request, unquote(path), caller, resources)
    except ApiError as refused:
        return error(refused.status, refused.message)


def _respond(request: Request, path: str, caller: Caller, resources: TenantResources) -> Response:
    method = "GET" if request.method == "HEAD" else request.method
    matching = [(route, found) for route in ROUTES if (found := route.pattern.fullmatch(path))]
    if not matching:
        raise ApiError(HTTPStatus.NOT_FOUND)
    for route, found in matching:
        if route.method == method:
            call = Call(
                request, caller.tenant, caller.email, caller.now, resources, found.groupdict()
            )
            route.check_permissions(call)
            content = route.handler(call)
            return content if isinstance(content, Response) else envelope(200, "ok", content)
    raise ApiError(HTTPStatus.METHOD_NOT_ALLOWED)


def error(status: int, message: str | None = None) -> Response:
    """Return an error in the platform's envelope."""
    return envelope(
        status, "error", {"message": message or f"{status} {HTTPStatus(status).phrase}"}
    )


def envelope(status: int, word: str, content: Content) -> Response:
    """Return a response in the platform's envelope."""
    body = json.dumps({"status": word, **content}).encode()
    return Response(status, (("Content-Type", "application/json"),), body)


PATH = "/identity_/connect/token"


class OAuthServer:
    """The OAuth clients of all tenants and their tokens. Times are epoch seconds."""

    def __init__(
        self, tenants: Iterable[str], seed: int, lifetime_seconds: float, *, jwt: bool = False
    ) -> None:
        self.lifetime_seconds = lifetime_seconds
        self._secret_factory = TokenFactory(f"identity/{seed}", 256)
        jwt_seconds = lifetime_seconds if jwt else None
        self._token_factory = TokenFactory(f"issued/{seed}", 256, jwt_seconds)
        self._secrets = {tenant: self._new_secret(tenant) for tenant in tenants}
        self._issued: dict[str, tuple[str, float]] = {}

    def client_id(self, tenant: str) -> str:
        """Return the client ID of a tenant's client."""
        return f"{tenant}-client"

    def secret(self, tenant: str) -> str:
        """Return the secret of a tenant's client."""
        return self._secrets[tenant]

    def issued_tokens(self, tenant: str) -> list[str]:
        """Return the tokens issued to a tenant's client that are still stored."""
        return [token for token, (owner, _) in self._issued.items() if owner == tenant]

    def replace_secret(self, tenant: str) -> str:
        """Replace the secret of a tenant's client. Issued tokens stay valid."""
        self._secrets[tenant] = self._new_secret(tenant)
        return self._secrets[tenant]

    def is_accepted(self, tenant: str, authorization: str | None, now: float) -> bool:
        """Return whether an Authorization header has a valid token of the tenant's client."""
        scheme, _, token = (authorization or "").partition(" ")
        owner, expires_at = self._issued.get(token.strip(), ("", 0.0))
        return scheme.lower() == "bearer" and owner == tenant and now < expires_at

    def respond(self, request: Request, now: float) -> tuple[str | None, Response]:
        """Return the tenant of the client, None if unknown, and the response."""
        fields = parse_qs(request.body.decode("latin-1"))
        form = {name: values[0] for name, values in fields.items()}
        clients = {self.client_id(tenant): tenant for tenant in self._secrets}
        tenant = clients.get(form.get("client_id", ""))
        if request.method != "POST" or form.get("grant_type") != "client_credentials":
            return tenant, _error("unsupported_grant_type")
        if tenant is None or not self._is_valid(tenant, form.get("client_secret", "")):
            return tenant, _error("invalid_client")
        self._issued = {
            token: (owner, expires_at)
            for token, (owner, expires_at) in self._issued.items()
            if expires_at > now
        }
        token = self._token_factory.new(tenant, now)
        self._issued[token] = (tenant, now + self.lifetime_seconds)
        content = {
            "access_token": token,
            "expires_in": self.lifetime_seconds,
            "token_type": "Bearer",
            "scope": form.get("scope", ""),
        }
        return tenant, _json(200, content)

    def _is_valid(self, tenant: str, secret: str) -> bool:
        return hmac.compare_digest(secret.encode(), self._secrets[tenant].encode())

    def _new_secret(self, tenant: str) -> str:
        return self._secret_factory.new(tenant, 0.0)


def _error(error: str) -> Response:
    return _json(400, {"error": error})


def _json(status: int, content: dict[str, object]) -> Response:
    headers = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
    return Response(status, headers, json.dumps(content).encode())


MAX_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Latency:
    """A log-normal distribution of seconds, constant if `sigma` is 0."""

    median_seconds: float = 0.04
    sigma: float = 0.25

    def draw(self, source: random.Random) -> float:
        """Return the duration of the next response, in seconds."""
        if self.sigma == 0:
            return self.median_seconds
        drawn = self.median_seconds * math.exp(source.gauss(0.0, self.sigma))
        return min(drawn, MAX_SECONDS)
