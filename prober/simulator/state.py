"""The simulator's state: accounts, latencies, active faults, and logged requests.

It decides about requests without sleeping or writing; the server does both.
"""

import json
import random
from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from http import HTTPStatus

from prober.simulator import canned_responses, platform
from prober.simulator.faults import FAULTS, Fault, FaultLayer, with_message
from prober.simulator.http import Request, Response
from prober.simulator.platform import (
    Caller,
    Latency,
    OAuthServer,
    TenantAddress,
    UserStore,
    gateway_response,
    handle_request,
    tenant_of,
    token_fingerprint,
)
from prober.simulator.resources import TenantResources

MAX_LOGGED = 10_000


@dataclass(frozen=True, slots=True)
class SimulatedTenant:
    """One tenant of the simulated platform.

    Tenants of the same `user` share that user's token. `behind_proxy` gives the tenant a network
    proxy, with which its network can be delayed and cut.
    """

    name: str
    address: TenantAddress
    user: str = ""
    behind_proxy: bool = False


@dataclass(slots=True)
class ActiveFault:
    """An active fault, for one tenant or all, for some paths or all, `times` times or always.

    `message` replaces the message of an error in the envelope.
    """

    fault: Fault
    tenant: str | None = None
    path: str | None = None
    times: int | None = None
    message: str | None = None

    def applies_to(self, tenant: str, path: str) -> bool:
        """Return whether the fault applies to a request; to token requests only if `path` does."""
        if path == platform.PATH and not (self.path or "").startswith("/identity_"):
            return False
        return (
            self.times != 0
            and self.tenant in {None, tenant}
            and (self.path is None or fnmatchcase(path, self.path))
        )

    def count(self) -> None:
        """Count one request that the fault was applied to."""
        if self.times is not None:
            self.times -= 1


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with a request. `server_seconds` is None if the platform does not see it.

    CONTENT faults have changed the response already; `content_faults` are their names.
    """

    tenant: str | None
    response: Response
    server_seconds: float | None
    fault: Fault | None = None
    content_faults: tuple[str, ...] = ()

    @property
    def fault_names(self) -> str | None:
        """The names of all faults of this request, None if there are none."""
        named = (*self.content_faults, *(() if self.fault is None else (self.fault.name,)))
        return ", ".join(named) or None


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """A request and its outcome; `at` is in epoch seconds."""

    at: float
    tenant: str | None
    method: str
    path: str
    token_fingerprint: str | None
    status: int
    fault: str | None

    def as_dict(self) -> dict[str, object]:
        """Return the request as a JSON object."""
        return asdict(self)


class SimulatorState:
    """Everything that the simulator keeps in memory."""

    def __init__(
        self,
        tenants: Iterable[SimulatedTenant],
        seed: int,
        latency: Latency,
        issued_token_seconds: float = 3600.0,
        *,
        jwt_seconds: float | None = None,
        now: float = 0.0,
    ) -> None:
        """`jwt_seconds`: with it all tokens are JWTs, and users' tokens live so long from `now`."""
        self.tenants = {tenant.name: tenant for tenant in tenants}
        users = [(t.name, t.user or f"prober@{t.name}.example") for t in self.tenants.values()]
        self.accounts = UserStore(users, seed, jwt_seconds, now)
        self.resources = {name: TenantResources(name, email) for name, email in users}
        jwt = jwt_seconds is not None
        self.identity = OAuthServer(self.tenants, seed, issued_token_seconds, jwt=jwt)
        self.faults: list[ActiveFault] = []
        self.requests: deque[LoggedRequest] = deque(maxlen=MAX_LOGGED)
        self._addresses = {t.name: t.address for t in self.tenants.values()}
        self._latencies = dict.fromkeys(self.tenants, latency)
        self._random = random.Random(f"latency/{seed}")  # noqa: S311 -- a simulator's times

    def decide(self, request: Request, now: float) -> Decision:
        """Decide about a request; `now` is in epoch seconds."""
        if request.method == "CONNECT" or "://" in request.target:
            return Decision(None, canned_responses.PROXY_AUTHENTICATION, None)
        if request.headers.get("user-agent", "").startswith("Python-urllib"):
            return Decision(None, canned_responses.CDN_1010, None)
        if request.path == platform.PATH:
            return self._decide_token(request, now)
        found = tenant_of(request, self._addresses)
        if found is None:
            return Decision(None, gateway_response(request), None)
        tenant, path = found
        authorization = request.headers.get("authorization")
        accepted = any(
            store.is_accepted(tenant, authorization, now)
            for store in (self.accounts, self.identity)
        )
        response = handle_request(
            request,
            path,
            Caller(tenant, self.accounts.user(tenant), now),
            self.resources[tenant],
            is_accepted=accepted,
        )
        response, content_faults = self._with_content_faults(response, tenant, path, now)
        seconds = self._latencies[tenant].draw(self._random)
        return Decision(tenant, response, seconds, self._fault(tenant, path), content_faults)

    def log(self, request: Request, decision: Decision, status: int, at: float) -> None:
        """Log a request, with the fingerprint of its token."""
        token = request.headers.get("authorization", "").partition(" ")[2]
        self.requests.append(
            LoggedRequest(
                at=at,
                tenant=decision.tenant,
                method=request.method,
                path=request.target,
                token_fingerprint=token_fingerprint(token) if token else None,
                status=status,
                fault=decision.fault_names,
            )
        )

    def set_latency(self, latency: Latency, tenant: str | None = None) -> None:
        """Set the response time of one tenant, or of all. Raises KeyError."""
        for name in self.tenants if tenant is None else (self.require_tenant(tenant),):
            self._latencies[name] = latency

    def set_fault(self, active: ActiveFault) -> None:
        """Start a fault; it precedes earlier ones. Raises KeyError for an unknown tenant."""
        if active.tenant is not None:
            self.require_tenant(active.tenant)
        self.faults.insert(0, active)

    def clear_faults(self, tenant: str | None = None) -> None:
        """End the faults of one tenant, or all."""
        self.faults = [f for f in self.faults if tenant is not None and f.tenant != tenant]

    def handshake_fault(self) -> Fault | None:
        """Return the active HANDSHAKE fault, or None."""
        return self._faults_at(FaultLayer.HANDSHAKE)

    def listener_fault(self) -> Fault | None:
        """Return the active LISTENER fault, or None."""
        return self._faults_at(FaultLayer.LISTENER)

    def require_tenant(self, tenant: str) -> str:
        """Return `tenant` if it exists. Raises KeyError."""
        if tenant not in self.tenants:
            raise KeyError(f"unknown tenant '{tenant}'; known: {', '.join(self.tenants)}")
        return tenant

    def _decide_token(self, request: Request, now: float) -> Decision:
        tenant, issued = self.identity.respond(request, now)
        if tenant is None:
            return Decision(None, issued, None)
        seconds = self._latencies[tenant].draw(self._random)
        return Decision(tenant, issued, seconds, self._fault(tenant, platform.PATH))

    def _faults_at(self, layer: FaultLayer) -> Fault | None:
        return next((a.fault for a in self.faults if a.fault.layer is layer), None)

    def _with_content_faults(
        self, response: Response, tenant: str, path: str, now: float
    ) -> tuple[Response, tuple[str, ...]]:
        """Return the response with all CONTENT faults of a request, and their names.

        A fault that does not change the response does not count as one of its `times`.
        """
        applicable = [
            active
            for active in self.faults
            if active.fault.layer is FaultLayer.CONTENT and active.applies_to(tenant, path)
        ]
        is_json = ("Content-Type", "application/json") in response.headers
        if not applicable or response.status != HTTPStatus.OK or not is_json:
            return response, ()
        content, names = json.loads(response.body), []
        for active in applicable:
            changed = active.fault.patch(content, now)
            if changed is not content:
                names.append(active.fault.name)
                content = changed
                active.count()
        if not names:
            return response, ()
        body = json.dumps(content).encode()
        return Response(response.status, response.headers, body), tuple(names)

    def _fault(self, tenant: str, path: str) -> Fault | None:
        """Return the RESPONSE or WIRE fault of a request, with its own message."""
        for active in self.faults:
            if active.fault.layer in {FaultLayer.RESPONSE, FaultLayer.WIRE} and active.applies_to(
                tenant, path
            ):
                active.count()
                return with_message(active.fault, active.message)
        return None


def fault_named(name: str) -> Fault:
    """Return a fault by name. Raises KeyError that lists the names."""
    if name not in FAULTS:
        raise KeyError(f"unknown fault '{name}'; known: {', '.join(FAULTS)}")
    return FAULTS[name]
