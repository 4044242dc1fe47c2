"""The correct platform: API, users, identity server and response times. Pure.

API: a request is checked for address, token, route and permission, in this order. Project and name
may be two path segments, as documented, or one with `%2F`, as the official client sends them.
Assumptions, because it is not documented: 401 for a missing or invalid token, 403 for a missing
permission, the messages of both, the format of tokens, and that the token is checked before the
route.

Users: each has one active token; permissions can be denied for each tenant.

Identity server: OAuth 2.0 client credentials (RFC 6749, 4.4), one client for each tenant. Unlike a
user's one active token, any number of issued tokens are valid until they expire.

Response times: drawn from a seeded log-normal distribution, or constant.
"""

import hashlib
import hmac
import json
import math
import random
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qs, unquote

from prober.simulator import canned_responses, fixtures
from prober.simulator.http import Request, Response


def token_fingerprint(token: str) -> str:
    """Return a short hash of a token, for logs."""
    return hashlib.sha256(token.encode()).hexdigest()[:8]


class UserStore:
    """The users of all tenants. Tenants of the same user share the user's one active token."""

    def __init__(self, users: Iterable[tuple[str, str]], seed: int) -> None:
        """`users`: pairs of tenant and user. Equal seeds give equal tokens."""
        self._random = random.Random(f"tokens/{seed}")  # noqa: S311 -- a simulator's tokens
        self._user_of = dict(users)
        self._token_of: dict[str, str] = {}
        self._denied: dict[str, frozenset[str]] = {}
        for user in self._user_of.values():
            if user not in self._token_of:
                self._token_of[user] = self._new_token()

    def token(self, tenant: str) -> str:
        """Return the active token of a tenant's user."""
        return self._token_of[self._user_of[tenant]]

    def user(self, tenant: str) -> str:
        """Return the e-mail address of a tenant's user."""
        return self._user_of[tenant]

    def regenerate(self, tenant: str) -> str:
        """Generate a new token. The previous one becomes invalid at once, for all tenants."""
        self._token_of[self._user_of[tenant]] = self._new_token()
        return self.token(tenant)

    def is_accepted(self, tenant: str, authorization: str | None) -> bool:
        """Return whether an Authorization header has the tenant's active token."""
        scheme, _, token = (authorization or "").partition(" ")
        same = hmac.compare_digest(token.strip().encode(), self.token(tenant).encode())
        return scheme.lower() == "bearer" and same

    def deny(self, tenant: str, permissions: Iterable[str]) -> None:
        """Deny permissions (named as in the user interface) to a tenant's user."""
        self._denied[tenant] = frozenset(permissions)

    def denied(self, tenant: str) -> frozenset[str]:
        """Return the permissions that are denied to a tenant's user."""
        return self._denied.get(tenant, frozenset())

    def _new_token(self) -> str:
        return f"{self._random.getrandbits(160):040x}"


Content = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Caller:
    """The tenant and the user of a request, and its time in epoch seconds."""

    tenant: str
    user: str
    now: float


@dataclass(frozen=True, slots=True)
class Route:
    """One operation; `permission` is named as in the user interface, None if none is needed."""

    method: str
    pattern: str
    permission: str | None
    content: Callable[[Caller], Content]


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


_OF = rf"(?:{fixtures.PROJECT}/{{name}}|id:[0-9a-f]{{{{16}}}})"
_DATASET = _OF.format(name=fixtures.DATASET)
_SOURCE = _OF.format(name=fixtures.SOURCE)
_STREAM = rf"{_DATASET}/(?:streams|triggers)/{fixtures.STREAM}"
_LABELS, _SOURCES, _STREAMS = "View labels", "View sources", "Consume streams"


def _result(caller: Caller) -> Content:
    number = int(caller.now // fixtures.RESULT_SECONDS)
    created_at = fixtures.timestamp(number * fixtures.RESULT_SECONDS)
    return {
        "comment": fixtures.comment(caller.tenant, created_at),
        "sequence_id": fixtures.sequence_id(caller.tenant, number),
        "labels": [],
    }


def _fetched(caller: Caller) -> Content:
    result = _result(caller)
    return {
        "results": [result],
        "filtered": 0,
        "sequence_id": result["sequence_id"],
        "is_end_sequence": True,
    }


def _results(caller: Caller) -> Content:
    result = _result(caller)
    continuation = result["sequence_id"]
    return {
        "results": [{**result, "continuation": continuation, "prediction": {}}],
        "num_filtered": 0,
        "more_results": False,
        "continuation": continuation,
    }


def _predictions(caller: Caller) -> Content:
    uid = fixtures.comment(caller.tenant)["uid"]
    return {
        "predictions": [{"uid": uid, "labels": [{"name": ["Urgent"], "probability": 0.93}]}],
        "model": {"version": fixtures.MODEL_VERSION, "time": "2026-06-01T12:30:00+00:00"},
    }


def _sync_states(_: Caller) -> Content:
    names = ("new", "updated", "updated_properties_only", "updated_text_changed")
    return {**dict.fromkeys(names, 0), "unchanged": 1}


ROUTES = (
    Route("GET", "/auth/user", None, lambda a: {"user": fixtures.user(a.tenant, a.user)}),
    Route(
        "POST", "/auth/refresh-user-permissions", None, lambda _: {"permissions_refreshed": None}
    ),
    Route("GET", "/api/v1/datasets", _LABELS, lambda a: {"datasets": [fixtures.dataset(a.tenant)]}),
    Route(
        "GET",
        f"/api/v1/datasets/{_DATASET}",
        _LABELS,
        lambda a: {"dataset": fixtures.dataset(a.tenant)},
    ),
    Route("GET", "/api/v1/sources", _SOURCES, lambda a: {"sources": [fixtures.source(a.tenant)]}),
    Route(
        "GET",
        f"/api/v1/sources/{_SOURCE}",
        _SOURCES,
        lambda a: {"source": fixtures.source(a.tenant)},
    ),
    Route(
        "POST",
        f"/api/v1/sources/{_SOURCE}/statistics",
        _SOURCES,
        lambda _: {"statistics": {"num_comments": 48_210}},
    ),
    Route(
        "GET",
        f"/api/v1/sources/{_SOURCE}/comments/{fixtures.COMMENT}",
        _SOURCES,
        lambda a: {"comment": fixtures.comment(a.tenant)},
    ),
    Route("POST", f"/api/v1/sources/{_SOURCE}/sync(?:-raw-emails)?", _SOURCES, _sync_states),
    Route(
        "GET",
        "/api/(?:v1|_private)/projects",
        None,
        lambda a: {"projects": [fixtures.project(a.tenant)]},
    ),
    Route(
        "GET",
        f"/api/_private/projects/{fixtures.PROJECT}",
        None,
        lambda a: {"project": fixtures.project(a.tenant)},
    ),
    Route(
        "GET",
        f"/api/v1/datasets/{_DATASET}/streams",
        _LABELS,
        lambda a: {"streams": [fixtures.stream(a.tenant)]},
    ),
    Route(
        "GET",
        f"/api/v1/datasets/{_STREAM}",
        _LABELS,
        lambda a: {"stream": fixtures.stream(a.tenant)},
    ),
    Route(
        "GET",
        f"/api/v1/datasets/{_STREAM}/results",
        _STREAMS,
        _results,
    ),
    Route(
        "POST",
        f"/api/v1/datasets/{_STREAM}/fetch",
        _STREAMS,
        _fetched,
    ),
    Route(
        "POST",
        f"/api/v1/datasets/{_DATASET}/labellers/[0-9]+/predict-comments",
        _LABELS,
        _predictions,
    ),
    Route(
        "POST",
        f"/api/v1/datasets/{_DATASET}/labellers/[0-9]+/predict(?:-raw-emails)?",
        _LABELS,
        _predictions,
    ),
    Route(
        "GET",
        f"/api/_private/datasets/{_DATASET}/labellers/status",
        None,
        lambda a: {"dataset_status": fixtures.model_status(a.now)},
    ),
    Route(
        "GET",
        f"/api/(?:v1|_private)/datasets/{_DATASET}/labellers/(?:latest|[0-9]+)/validation",
        None,
        lambda _: {"label_groups": [], "validation": fixtures.validation()},
    ),
    Route(
        "POST",
        f"/api/_private/datasets/{_DATASET}/labellers",
        None,
        lambda _: {
            "labellers": [fixtures.model()],
            "model_tags": [],
            "max_number_pinned_models": 100,
        },
    ),
    Route("GET", "/api/_private/buckets", None, lambda a: {"buckets": [fixtures.bucket(a.tenant)]}),
    Route(
        "GET",
        "/api/_private/buckets/id:[0-9a-f]{16}/keyed-sync-states/",
        None,
        lambda a: {"keyed_sync_states": [fixtures.sync_state(a.now)]},
    ),
    Route(
        "GET",
        "/api/_private/integrations",
        None,
        lambda a: {"integrations": [fixtures.integration(a.tenant)]},
    ),
    Route("GET", "/api/_private/quotas", None, lambda _: {"quotas": fixtures.quotas()}),
    Route(
        "POST",
        "/api/v1/audit_events/query",
        "Read audit logs",
        lambda a: fixtures.audit_events(a.tenant, a.user),
    ),
    Route(
        "GET",
        "/api/(?:v1|_private)/users",
        "View users",
        lambda a: {"users": [fixtures.user(a.tenant, a.user)]},
    ),
)
_COMPILED = tuple((re.compile(route.pattern), route) for route in ROUTES)


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


def handle_request(  # noqa: PLR0913 -- what the platform knows of a request
    request: Request, path: str, tenant: str, accounts: UserStore, now: float, *, is_accepted: bool
) -> Response:
    """Return the platform's response; `path` is relative to the tenant's base address."""
    if not is_accepted:
        return error(HTTPStatus.UNAUTHORIZED)
    plain = unquote(path)
    matching = [route for pattern, route in _COMPILED if pattern.fullmatch(plain)]
    if not matching:
        return error(HTTPStatus.NOT_FOUND)
    for route in matching:
        if route.method == request.method:
            if route.permission in accounts.denied(tenant):
                return error(HTTPStatus.FORBIDDEN)
            return envelope(200, "ok", route.content(Caller(tenant, accounts.user(tenant), now)))
    return error(HTTPStatus.METHOD_NOT_ALLOWED)


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

    def __init__(self, tenants: Iterable[str], seed: int, lifetime_seconds: float) -> None:
        self.lifetime_seconds = lifetime_seconds
        self._random = random.Random(f"identity/{seed}")  # noqa: S311 -- a simulator's secrets
        self._secrets = {tenant: self._new() for tenant in tenants}
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
        self._secrets[tenant] = self._new()
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
        token = self._new()
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

    def _new(self) -> str:
        return f"{self._random.getrandbits(256):064x}"


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
