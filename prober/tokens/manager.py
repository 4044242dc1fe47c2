"""The tokens of all tenants: their sources, the leases that probe runs get, and their records.

Outside `tokens` a token is known by its fingerprint alone: the first 8 hex digits of an
HMAC-SHA256. The key is in the state directory, or in this process only if there is none. Without
the key, a guessed token cannot be checked against a fingerprint.

`TokenRegistry` holds a record for each tenant, applies the state machine to it, and sends the
resulting statuses and events to the event sinks. `TokenManager` is what probe runs use.
"""

import asyncio
import hmac
import secrets
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from pydantic import SecretStr

from prober.models import (
    Tenant,
    TokenEvent,
    TokenRef,
    TokenSourceKind,
    TokenStatus,
    Verdict,
    shared_with,
)
from prober.outcomes import Reason, TokenEventKind, TokenState
from prober.sinks import EventSink
from prober.tokens import route_check, state_machine
from prober.tokens.oauth import CachedToken, jwt_expiry
from prober.tokens.oauth_client import OAuthTokenClient, SendRequest, TokenUnavailable
from prober.tokens.route_check import RouteCheckState, RouteConclusion, RouteDecision
from prober.tokens.sources import SourceReading, SourceWatcher
from prober.tokens.state_machine import (
    Backoff,
    TokenLoaded,
    TokenPolicy,
    TokenRecord,
    TokenResponse,
    events_between,
    expiry_stage,
)
from prober.tokens.state_machine import status as status_of

_DAY_SECONDS = 86_400.0
EXPIRING_SECONDS = (14 * _DAY_SECONDS, 3 * _DAY_SECONDS, 0.0)
"""The remaining times at which an event `EXPIRING` is sent; 0: the token has expired."""

Transition = Callable[[TokenRecord, TokenPolicy], TokenRecord]


class TokenRegistry:
    """One record for each tenant, and the events that follow from its changes."""

    def __init__(self, tenants: Sequence[Tenant], backoff: Backoff, sink: EventSink) -> None:
        self._sink = sink
        self._policies: dict[str, TokenPolicy] = {}
        self._records: dict[str, TokenRecord] = {}
        self._statuses: dict[str, TokenStatus] = {}
        self._notified_stages: dict[str, tuple[str | None, float | None]] = {}
        self._unsaved: set[str] = set()
        self.has_unsaved = asyncio.Event()
        self._sync_tenants(tenants, backoff, {})

    @property
    def statuses(self) -> Mapping[str, TokenStatus]:
        """The status of each tenant's token."""
        return self._statuses

    def record(self, tenant: str) -> TokenRecord:
        """Return the record of a tenant's token, an empty one if the tenant was removed."""
        return self._records.get(tenant, TokenRecord())

    def policy(self, tenant: str) -> TokenPolicy:
        """Return the configuration of a tenant's token."""
        return self._policies[tenant]

    def apply_config(
        self, tenants: Sequence[Tenant], backoff: Backoff, saved: Mapping[str, TokenRecord]
    ) -> None:
        """Apply a configuration; a new tenant starts with its saved record, if there is one."""
        before = dict(self._statuses)
        self._sync_tenants(tenants, backoff, saved)
        for name, status in self._statuses.items():
            if status != before.get(name):
                self._sink.on_token_status(status)

    def restore(self, records: Mapping[str, TokenRecord]) -> None:
        """Set records that were saved earlier. Sends statuses but no events: nothing happened."""
        for tenant in self._records.keys() & records.keys():
            self._records[tenant] = records[tenant]
            self._statuses[tenant] = self._status(tenant)
        for status in self._statuses.values():
            self._sink.on_token_status(status)

    def transition(self, tenant: str, transition: Transition, at: float) -> None:
        """Apply a transition to a tenant's record, and send the resulting status and events."""
        if tenant not in self._records:  # removed by a reload while a request was in flight
            return
        before, record = self._statuses[tenant], self._records[tenant]
        changed = transition(record, self._policies[tenant])
        if changed == record:
            return
        self._records[tenant] = changed
        self._unsaved.add(tenant)
        self.has_unsaved.set()
        after = self._statuses[tenant] = self._status(tenant)
        if after != before:
            self._sink.on_token_status(after)
            for kind in events_between(before, after):
                self._emit(kind, tenant, at)

    def notify_expiries(self, now: float) -> None:
        """Send an event for each token that is near its expiry, once for each stage."""
        for tenant, status in self._statuses.items():
            if status.expires_at is None:  # the usual case
                self._notified_stages.pop(tenant, None)
                continue
            # With the fingerprint, since a new token passes through the stages again.
            reached = (status.fingerprint, expiry_stage(status, EXPIRING_SECONDS, now))
            if reached != self._notified_stages.get(tenant):
                self._notified_stages[tenant] = reached
                if reached[1] is not None:
                    self._emit(TokenEventKind.EXPIRING, tenant, now)

    def take_unsaved(self) -> dict[str, TokenRecord]:
        """Return the records that have changed since the last call."""
        taken = {tenant: self._records[tenant] for tenant in self._unsaved}
        self._unsaved.clear()
        self.has_unsaved.clear()
        return taken

    def mark_unsaved(self, records: Mapping[str, TokenRecord]) -> None:
        """Return records that could not be saved to the unsaved ones."""
        # A tenant may have been removed while its record was being saved.
        self._unsaved |= records.keys() & self._records.keys()
        self.has_unsaved.set()

    def _sync_tenants(
        self, tenants: Sequence[Tenant], backoff: Backoff, saved: Mapping[str, TokenRecord]
    ) -> None:
        known = {**saved, **self._records}
        self._policies = {tenant.name: TokenPolicy(tenant.token, backoff) for tenant in tenants}
        self._records = {name: known.get(name, TokenRecord()) for name in self._policies}
        self._statuses = {name: self._status(name) for name in self._policies}
        self._unsaved &= self._policies.keys()
        for name in self._notified_stages.keys() - self._policies.keys():
            del self._notified_stages[name]

    def _status(self, tenant: str) -> TokenStatus:
        return status_of(tenant, self._records[tenant], self._policies[tenant].source)

    def _emit(self, kind: TokenEventKind, tenant: str, at: float) -> None:
        self._sink.on_token_event(
            TokenEvent(kind, at, self._statuses[tenant], shared_with(self._statuses, tenant))
        )


WATCH_SECONDS = 2.5
"""The time in which every source is polled once."""
_FINGERPRINT_HEX_DIGITS = 8


@dataclass(frozen=True, slots=True)
class TokenLease:
    """A token to use now, with its reference for results. `fresh`: issued for this very use.

    `other_secrets` are the token before this one, and the client secret that it was issued for: a
    server may echo them as well.
    """

    token: SecretStr
    ref: TokenRef
    fresh: bool = False
    other_secrets: tuple[SecretStr, ...] = ()


class TokenRecordStore(Protocol):
    """Stores records across restarts. May block."""

    key: bytes

    def records(self) -> Mapping[str, TokenRecord]:
        """Return the saved records."""
        ...

    def save(self, records: Mapping[str, TokenRecord]) -> None:
        """Save records; raises OSError."""
        ...


class TokenManager:
    """The tokens of all tenants. `now` returns epoch seconds."""

    def __init__(  # noqa: PLR0913 -- each is another collaborator
        self,
        tenants: Sequence[Tenant],
        environ: Mapping[str, str],
        send: SendRequest,
        *,
        now: Callable[[], float],
        version: str,
        sink: EventSink,
        backoff: Backoff = Backoff(),  # noqa: B008 -- a frozen value
    ) -> None:
        self._now = now
        self._key = secrets.token_bytes(32)
        self._send = send
        self._version = version
        self._registry = TokenRegistry(tenants, backoff, sink)
        self._source_watcher = SourceWatcher(environ, now, self._on_source_change)
        self._tenants: dict[str, Tenant] = {}
        self._oauth_clients: dict[str, OAuthTokenClient] = {}
        self._leases: dict[str, TokenLease] = {}
        self._retired_clients: list[OAuthTokenClient] = []
        self._route_checks: dict[str, RouteCheckState] = {}
        self._route_locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._open_sources(tenants)

    @property
    def statuses(self) -> Mapping[str, TokenStatus]:
        """The status of each tenant's token."""
        return self._registry.statuses

    def apply_config(
        self, tenants: Sequence[Tenant], backoff: Backoff, saved: Mapping[str, TokenRecord]
    ) -> None:
        """Apply a configuration. A new source is read at its first use, or by the watcher."""
        self._retired_clients = [client for client in self._retired_clients if client.is_fetching]
        wanted = {tenant.name: tenant for tenant in tenants}
        for name in [n for n, t in self._tenants.items() if not _same_source(t, wanted.get(n))]:
            self._remove(name)
        self._registry.apply_config(tenants, backoff, saved)
        self._open_sources([tenant for tenant in tenants if tenant.name not in self._tenants])

    def restore(self, store: TokenRecordStore) -> None:
        """Set the key and the records that an earlier process has saved."""
        self._key = store.key
        self._leases.clear()  # their fingerprints are made with the old key
        self._registry.restore(store.records())

    def adopt(self, store: TokenRecordStore) -> None:
        """Continue with a store that could only be opened after the sources were read.

        The result is as if it had been open at the start: its records replace those that were made
        since, and its key makes the fingerprints. What a token went through since the start is
        lost where the store knows the tenant; the next response shows it again.
        """
        saved = store.records()
        unsaved = {
            name: self._rekeyed(name, store.key) for name in self._tenants.keys() - saved.keys()
        }
        self._key = store.key
        self._leases.clear()
        self._route_checks.clear()  # they hold fingerprints too
        self._registry.restore({**saved, **unsaved})
        self._registry.mark_unsaved(unsaved)
        for name in self._tenants.keys() & saved.keys():
            reading, client = self._source_watcher.accepted(name), self._oauth_clients.get(name)
            if reading is None:
                continue
            issued = None if client is None else client.cached
            self._note_reading(name, reading)
            if issued is not None:
                self._on_token_response(name, issued)

    def _rekeyed(self, tenant: str, key: bytes) -> TokenRecord:
        """Return a tenant's record with the fingerprints that another key makes.

        What was made from a secret that is no longer known is dropped with the record's state.
        """
        record = self._registry.record(tenant)
        reading, client = self._source_watcher.accepted(tenant), self._oauth_clients.get(tenant)
        issued = None if client is None or client.cached is None else client.cached.token
        secret = None if reading is None else reading.secret
        new = {
            fingerprint_of(each, self._key): fingerprint_of(each, key)
            for each in (secret, issued)
            if each is not None
        }
        for fingerprint in (record.fingerprint, record.client_secret):
            if fingerprint is not None and fingerprint not in new:
                return TokenRecord()
        return replace(
            record,
            fingerprint=new.get(record.fingerprint or ""),
            client_secret=new.get(record.client_secret or ""),
        )

    async def load(self) -> None:
        """Read every source."""
        await self._source_watcher.load()

    async def poll(self) -> None:
        """Poll every source once, within `WATCH_SECONDS`, and renew OAuth tokens."""
        await self._source_watcher.poll_all(WATCH_SECONDS)
        self._registry.notify_expiries(self._now())
        for client in self._oauth_clients.values():
            if client.cached is not None and client.cached.needs_renewal(self._now()):
                client.start_fetch()

    async def wait_for_unsaved(self) -> None:
        """Wait until a record has changed since records were last saved."""
        await self._registry.has_unsaved.wait()

    async def save(self, store: TokenRecordStore) -> None:
        """Save what has changed since the last time; after an OSError nothing is lost."""
        unsaved = self._registry.take_unsaved()
        if not unsaved:
            return
        try:
            await asyncio.to_thread(store.save, unsaved)
        except OSError:
            self._registry.mark_unsaved(unsaved)
            raise

    async def close(self) -> None:
        """Cancel the OAuth requests in flight, and stop watching files."""
        self._source_watcher.close()
        for client in (*self._oauth_clients.values(), *self._retired_clients):
            await client.close()

    async def lease(self, tenant: Tenant) -> TokenLease | TokenUnavailable:
        """Return the token to use now; waits only for an OAuth token or a new source."""
        reading = await self._source_watcher.current(tenant.name)
        client = self._oauth_clients.get(tenant.name)
        if client is not None:
            return await self._issued_lease(tenant, client)
        if reading.secret is None:
            return TokenUnavailable(reading.problem)
        return self._lease(tenant, reading.secret)

    async def refresh_rejected(
        self, tenant: Tenant, rejected: TokenLease, probe: str
    ) -> TokenLease | TokenUnavailable:
        """Return the token after a new read of the source of one that was rejected for `probe`.

        Concurrent callers share one read. If the rejection is already known, the source is not
        read again: the watcher does that anyway. Nor is another OAuth token requested in place of
        one that was issued for this very request, or for a route that is known to refuse a token
        that others accept: it would cost a token for each run.
        """
        record = self._registry.record(tenant.name)
        is_news = record.fingerprint == rejected.ref.fingerprint
        if (
            is_news
            and record.state is not TokenState.REJECTED
            and not rejected.fresh
            and not self._is_route_unauthorized(tenant, probe, rejected.ref)
        ):
            await self._reread_source(tenant.name)
        return await self.lease(tenant)

    async def confirm_rejection(
        self,
        tenant: Tenant,
        probe: str,
        token: TokenRef,
        check: Callable[[], Awaitable[str | None]],
    ) -> str | None:
        """Return what accepts a token that `probe` was refused with, None if it is rejected.

        `check` requests another route with the same token, and returns its name if it accepts. It
        is called at most about once a minute for a tenant's credential; probes that are refused
        meanwhile wait for it and share its conclusion.
        """
        if tenant.name not in self._tenants:  # removed by a reload meanwhile
            return None
        async with self._route_locks[tenant.name]:
            # Another probe that waited for the same check may have had the token rejected.
            if self._registry.record(tenant.name).state is TokenState.REJECTED:
                return None
            began_at = self._now()
            conclusion = self._route_conclusion(tenant, probe, token)
            accepted_route = conclusion.accepted_route
            if conclusion.decision is RouteDecision.CHECK:
                accepted_route = await check()
                state = self._route_state(tenant, token)
                self._route_checks[tenant.name] = route_check.on_checked(
                    state, accepted_route, began_at
                )
            self._route_checks[tenant.name] = route_check.on_refused(
                self._route_state(tenant, token), probe, began_at
            )
            return accepted_route

    def observe(
        self,
        tenant: Tenant,
        probe: str,
        token: TokenRef,
        verdict: Verdict,
        status: int | None,
        started_at: float,
    ) -> None:
        """Process the verdict on a request that was sent with `token`."""
        response = TokenResponse(token.fingerprint, probe, verdict, status, started_at)
        at = self._now()
        # A tenant without a 401 has no state, so this usually costs nothing.
        is_checked = tenant.name in self._route_checks and probe != route_check.ROUTE_CHECK
        if is_checked and state_machine.accepts(response):
            self._route_checks[tenant.name] = route_check.on_accepted(
                self._route_state(tenant, token), probe, started_at
            )
        self._registry.transition(
            tenant.name,
            lambda record, policy: state_machine.on_response(record, response, policy, at),
            at,
        )

    def may_probe(self, tenant: Tenant, probe: str) -> bool:
        """Return whether a probe may use its tenant's token now."""
        return state_machine.may_use_token(
            self._registry.record(tenant.name),
            probe,
            alone=len(tenant.probes) == 1,
            policy=self._registry.policy(tenant.name),
            now=self._now(),
        )

    def on_run_started(self, tenant: Tenant) -> None:
        """Note that a run was started; with a rejected token it is the canary."""
        if self._registry.record(tenant.name).state is TokenState.REJECTED:
            at = self._now()
            self._registry.transition(
                tenant.name,
                lambda record, policy: state_machine.on_canary_started(record, policy, at),
                at,
            )

    def fingerprint(self, token: SecretStr) -> str:
        """Return the fingerprint of a token; the token cannot be derived from it."""
        return fingerprint_of(token, self._key)

    def _route_conclusion(self, tenant: Tenant, probe: str, token: TokenRef) -> RouteConclusion:
        return route_check.conclude(self._route_state(tenant, token), probe, self._now())

    def _is_route_unauthorized(self, tenant: Tenant, probe: str, token: TokenRef) -> bool:
        """Return whether a 401 does not require a new OAuth token."""
        if tenant.name not in self._oauth_clients or tenant.name not in self._route_checks:
            return False
        conclusion = self._route_conclusion(tenant, probe, token)
        return conclusion.decision is RouteDecision.ROUTE_UNAUTHORIZED

    def _route_state(self, tenant: Tenant, token: TokenRef) -> RouteCheckState:
        """Return what is known of the 401s of the credential that `token` belongs to.

        OAuth tokens follow one another, and are one credential as long as the client's secret is.
        """
        is_issued = tenant.token.kind is TokenSourceKind.OAUTH
        record = self._registry.record(tenant.name)
        credential = record.client_secret or "" if is_issued else token.fingerprint
        known = self._route_checks.get(tenant.name)
        if known is not None and known.credential == credential:
            return known
        return RouteCheckState(credential)

    def _open_sources(self, tenants: Sequence[Tenant]) -> None:
        for tenant in tenants:
            self._tenants[tenant.name] = tenant
            self._source_watcher.add(tenant.name, tenant.token)
            if tenant.token.kind is TokenSourceKind.OAUTH:
                self._oauth_clients[tenant.name] = self._oauth_client(tenant)

    def _oauth_client(self, tenant: Tenant) -> OAuthTokenClient:
        def on_response(name: str, response: CachedToken | TokenUnavailable) -> None:
            # A reload may have replaced this client while its request was in flight.
            if self._oauth_clients.get(name) is client:
                self._on_token_response(name, response)

        client = OAuthTokenClient(tenant, self._send, self._now, self._version, on_response)
        return client

    def _remove(self, tenant: str) -> None:
        del self._tenants[tenant]
        self._source_watcher.drop(tenant)
        self._leases.pop(tenant, None)
        self._route_checks.pop(tenant, None)
        self._route_locks.pop(tenant, None)
        client = self._oauth_clients.pop(tenant, None)
        # Kept until its request has ended, so that `close` can cancel it.
        if client is not None and client.is_fetching:
            self._retired_clients.append(client)

    def _lease(
        self,
        tenant: Tenant,
        token: SecretStr,
        client_secret: SecretStr | None = None,
        *,
        fresh: bool = False,
    ) -> TokenLease:
        # Cached, since every run needs one and a fingerprint is the cost of an HMAC.
        lease = self._leases.get(tenant.name)
        if lease is None or lease.token is not token or lease.ref.source is not tenant.token:
            before = None if lease is None or lease.token is token else lease.token
            others = tuple(each for each in (client_secret, before) if each is not None)
            ref = TokenRef(self.fingerprint(token), tenant.token)
            lease = TokenLease(token, ref, other_secrets=others)
            self._leases[tenant.name] = lease
        return replace(lease, fresh=True) if fresh else lease

    async def _issued_lease(
        self, tenant: Tenant, client: OAuthTokenClient
    ) -> TokenLease | TokenUnavailable:
        cached, now = client.cached, self._now()
        # The canary of a rejected token uses a newly issued one: the old one would be rejected.
        rejected = self._registry.record(tenant.name).state is TokenState.REJECTED
        if cached is not None and cached.is_usable(now) and not rejected:
            if cached.needs_renewal(now):
                client.start_fetch()
            return self._lease(tenant, cached.token, client.secret)
        response = await client.fetch()
        if isinstance(response, TokenUnavailable):
            return response
        return self._lease(tenant, response.token, client.secret, fresh=True)

    async def _reread_source(self, tenant: str) -> None:
        if tenant in self._oauth_clients:
            await self._oauth_clients[tenant].fetch()
        else:
            await self._source_watcher.read(tenant)

    def _on_source_change(self, tenant: str, reading: SourceReading) -> None:
        client = self._oauth_clients.get(tenant)
        if client is not None:
            client.set_secret(reading.secret, reading.problem)
        self._note_reading(tenant, reading)

    def _note_reading(self, tenant: str, reading: SourceReading) -> None:
        secret, at = reading.secret, self._now()
        client = self._oauth_clients.get(tenant)
        if secret is None:
            problem = reading.problem
            self._registry.transition(
                tenant, lambda record, _: state_machine.on_token_missing(record, problem), at
            )
            return
        fingerprint = self.fingerprint(secret)
        if client is not None:
            self._registry.transition(
                tenant, lambda record, _: state_machine.on_client_secret(record, fingerprint), at
            )
            return
        token = TokenLoaded(fingerprint, jwt_expiry(secret.get_secret_value()))
        self._registry.transition(
            tenant, lambda record, _: state_machine.on_token_loaded(record, token, at), at
        )

    def _on_token_response(self, tenant: str, response: CachedToken | TokenUnavailable) -> None:
        at = self._now()
        if isinstance(response, CachedToken):
            token = TokenLoaded(self.fingerprint(response.token), response.expires_at, renewal=True)
            self._registry.transition(
                tenant, lambda record, _: state_machine.on_token_loaded(record, token, at), at
            )
        elif response.verdict is not None and response.verdict.reason is Reason.TOKEN_REJECTED:
            self._registry.transition(
                tenant,
                lambda record, policy: state_machine.on_client_rejected(record, policy, at),
                at,
            )


def fingerprint_of(secret: SecretStr, key: bytes) -> str:
    """Return the fingerprint that a key makes of a secret; it does not reveal the secret. Pure."""
    digest = hmac.new(key, secret.get_secret_value().encode(), "sha256").hexdigest()
    return digest[:_FINGERPRINT_HEX_DIGITS]


def _same_source(before: Tenant, after: Tenant | None) -> bool:
    """Return whether a tenant's token still has the same source, reached in the same way."""
    if after is None or before.token != after.token:
        return False
    # An OAuth token is requested over the tenant's transport (proxy, certificates).
    is_requested = before.token.kind is TokenSourceKind.OAUTH
    return not is_requested or before.transport == after.transport
