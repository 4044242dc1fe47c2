"""Holds every tenant's token, watches where it comes from, and keeps the books of its life.

A token is known outside this room by its fingerprint alone: the first 8 hex digits of an
HMAC-SHA256 under a key that stands in the state directory, or, without one, in this process alone.

The records of all tenants' tokens: applies the law to them, and tells what that changed.
"""

import asyncio
import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
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
from prober.tokens import state_machine
from prober.tokens.oauth import CachedToken, jwt_expiry
from prober.tokens.oauth_client import OAuthTokenClient, SendRequest, TokenUnavailable
from prober.tokens.sources import SourceReading, SourceWatcher
from prober.tokens.state_machine import (
    Backoff,
    TokenLoaded,
    TokenPolicy,
    TokenRecord,
    TokenResponse,
    events_between,
    expiry_stage,
    status,
)

_DAY_SECONDS = 86_400.0
EXPIRING_SECONDS = (14 * _DAY_SECONDS, 3 * _DAY_SECONDS, 0.0)
"""How long before its expiry a token is said to expire; 0: it has."""

Change = Callable[[TokenRecord, TokenPolicy], TokenRecord]


class TokenRegistry:
    """One record for each tenant."""

    def __init__(self, tenants: Sequence[Tenant], backoff: Backoff, sink: EventSink) -> None:
        self._sink = sink
        self._terms: dict[str, TokenPolicy] = {}
        self._records: dict[str, TokenRecord] = {}
        self._statuses: dict[str, TokenStatus] = {}
        self._expiry_told: dict[str, tuple[str | None, float | None]] = {}
        self._unsaved: set[str] = set()
        self.has_unsaved = asyncio.Event()
        self._sync_tenants(tenants, backoff, {})

    @property
    def statuses(self) -> Mapping[str, TokenStatus]:
        """What may be shown of each tenant's token."""
        return self._statuses

    def record(self, tenant: str) -> TokenRecord:
        """Return what is known of a tenant's token; of a tenant that is gone, nothing."""
        return self._records.get(tenant, TokenRecord())

    def policy(self, tenant: str) -> TokenPolicy:
        """Return what the settings say of a tenant's token."""
        return self._terms[tenant]

    def apply_config(
        self, tenants: Sequence[Tenant], backoff: Backoff, saved: Mapping[str, TokenRecord]
    ) -> None:
        """Take over settings; of a new tenant, what is remembered from earlier days."""
        before = dict(self._statuses)
        self._sync_tenants(tenants, backoff, saved)
        for name, each in self._statuses.items():
            if each != before.get(name):
                self._sink.on_token_status(each)

    def restore(self, records: Mapping[str, TokenRecord]) -> None:
        """Take over what was remembered of these tenants, without telling it as news."""
        for tenant in self._records.keys() & records.keys():
            self._records[tenant] = records[tenant]
            self._statuses[tenant] = self._status(tenant)
        for each in self._statuses.values():
            self._sink.on_token_status(each)

    def transition(self, tenant: str, change: Change, at: float) -> None:
        """Change a tenant's record, and tell what that means; one that is gone has none."""
        if tenant not in self._records:
            return
        before, record = self._statuses[tenant], self._records[tenant]
        changed = change(record, self._terms[tenant])
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
        """Tell of each token that has come near its expiry, once for each stage."""
        for tenant, each in self._statuses.items():
            if each.expires_at is None:  # as nearly always; a stage that was told may come again
                self._expiry_told.pop(tenant, None)
                continue
            reached = (each.fingerprint, expiry_stage(each, EXPIRING_SECONDS, now))
            if reached != self._expiry_told.get(tenant):
                self._expiry_told[tenant] = reached
                if reached[1] is not None:
                    self._emit(TokenEventKind.EXPIRING, tenant, now)

    def take_unsaved(self) -> dict[str, TokenRecord]:
        """Return the records that have changed since they were last taken."""
        taken = {tenant: self._records[tenant] for tenant in self._unsaved}
        self._unsaved.clear()
        self.has_unsaved.clear()
        return taken

    def mark_unsaved(self, tenants: Mapping[str, TokenRecord]) -> None:
        """Note that these could not be saved."""
        self._unsaved |= tenants.keys()
        self.has_unsaved.set()

    def _sync_tenants(
        self, tenants: Sequence[Tenant], backoff: Backoff, saved: Mapping[str, TokenRecord]
    ) -> None:
        known = {**saved, **self._records}
        self._terms = {tenant.name: TokenPolicy(tenant.token, backoff) for tenant in tenants}
        self._records = {name: known.get(name, TokenRecord()) for name in self._terms}
        self._statuses = {name: self._status(name) for name in self._terms}
        self._unsaved &= self._terms.keys()
        for name in self._expiry_told.keys() - self._terms.keys():
            del self._expiry_told[name]

    def _status(self, tenant: str) -> TokenStatus:
        return status(tenant, self._records[tenant], self._terms[tenant].source)

    def _emit(self, kind: TokenEventKind, tenant: str, at: float) -> None:
        self._sink.on_token_event(
            TokenEvent(kind, at, self._statuses[tenant], shared_with(self._statuses, tenant))
        )


WATCH_SECONDS = 2.5
_FINGERPRINT_HEX_DIGITS = 8


@dataclass(frozen=True, slots=True)
class TokenLease:
    """A token to be used now, and what may be said of it. `fresh`: issued for this very use."""

    token: SecretStr
    ref: TokenRef
    fresh: bool = False


class TokenRecordStore(Protocol):
    """Where records outlive the process. May block."""

    key: bytes

    def records(self) -> Mapping[str, TokenRecord]:
        """Return what was saved."""
        ...

    def save(self, records: Mapping[str, TokenRecord]) -> None:
        """Save; raises OSError."""
        ...


class TokenManager:
    """The tokens of all tenants. `now` tells epoch seconds."""

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
        self._ask = send
        self._version = version
        self._books = TokenRegistry(tenants, backoff, sink)
        self._watch = SourceWatcher(environ, now, self._on_source_change)
        self._tenants: dict[str, Tenant] = {}
        self._accounts: dict[str, OAuthTokenClient] = {}
        self._granted: dict[str, TokenLease] = {}
        self._retired: list[OAuthTokenClient] = []
        self._open_sources(tenants)

    @property
    def statuses(self) -> Mapping[str, TokenStatus]:
        """What may be shown of each tenant's token."""
        return self._books.statuses

    def apply_config(
        self, tenants: Sequence[Tenant], backoff: Backoff, saved: Mapping[str, TokenRecord]
    ) -> None:
        """Take over settings. A source that is new is read by who first needs it, or soon."""
        self._retired = [account for account in self._retired if account.is_fetching]
        wanted = {tenant.name: tenant for tenant in tenants}
        for name in [n for n, t in self._tenants.items() if not _same_source(t, wanted.get(n))]:
            self._remove(name)
        self._books.apply_config(tenants, backoff, saved)
        self._open_sources([tenant for tenant in tenants if tenant.name not in self._tenants])

    def restore(self, store: TokenRecordStore) -> None:
        """Take over the key and the records of an earlier process."""
        self._key = store.key
        self._granted.clear()
        self._books.restore(store.records())

    async def load(self) -> None:
        """Read every source."""
        await self._watch.load()

    async def poll(self) -> None:
        """Look at every source once, within `WATCH_SECONDS`, and renew OAuth tokens."""
        await self._watch.poll_all(WATCH_SECONDS)
        self._books.notify_expiries(self._now())
        for account in self._accounts.values():
            if account.held is not None and account.held.is_to_be_renewed(self._now()):
                account.start_fetch()

    async def wait_for_unsaved(self) -> None:
        """Wait until something has changed since the last time that it was saved."""
        await self._books.has_unsaved.wait()

    async def save(self, store: TokenRecordStore) -> None:
        """Save what has changed since the last time; raises OSError, and then loses nothing."""
        unsaved = self._books.take_unsaved()
        if not unsaved:
            return
        try:
            await asyncio.to_thread(store.save, unsaved)
        except OSError:
            self._books.mark_unsaved(unsaved)
            raise

    async def close(self) -> None:
        """End what is going on."""
        for account in (*self._accounts.values(), *self._retired):
            await account.close()

    async def lease(self, tenant: Tenant) -> TokenLease | TokenUnavailable:
        """Return the token to use now; only an OAuth token or a new source can make one wait."""
        sighting = await self._watch.current(tenant.name)
        account = self._accounts.get(tenant.name)
        if account is not None:
            return await self._issued_lease(tenant, account)
        if sighting.secret is None:
            return TokenUnavailable(sighting.problem)
        return self._lease(tenant, sighting.secret)

    async def refresh_rejected(
        self, tenant: Tenant, rejected: TokenLease
    ) -> TokenLease | TokenUnavailable:
        """Return what there is in place of a rejected token, having read its source again.

        Those who ask at the same time share one reading. Of a token that is known to be rejected
        the source is not read: it is watched anyway.
        """
        record = self._books.record(tenant.name)
        is_news = record.fingerprint == rejected.ref.fingerprint
        if is_news and record.state is not TokenState.REJECTED and not rejected.fresh:
            await self._reread_source(tenant.name)
        return await self.lease(tenant)

    def observe(
        self,
        tenant: Tenant,
        probe: str,
        token: TokenRef,
        verdict: Verdict,
        status: int | None,
        started_at: float,
    ) -> None:
        """Take note of the answer to a request that bore the token of `view`."""
        answer, at = (
            TokenResponse(token.fingerprint, probe, verdict, status, started_at),
            self._now(),
        )
        self._books.transition(
            tenant.name,
            lambda record, terms: state_machine.on_response(record, answer, terms, at),
            at,
        )

    def may_probe(self, tenant: Tenant, probe: str) -> bool:
        """Tell whether a probe may use its tenant's token now."""
        return state_machine.may_use_token(
            self._books.record(tenant.name),
            probe,
            alone=len(tenant.probes) == 1,
            policy=self._books.policy(tenant.name),
            now=self._now(),
        )

    def on_run_started(self, tenant: Tenant) -> None:
        """Take note that a run of a probe was started: with a rejected token, it is the canary."""
        if self._books.record(tenant.name).state is TokenState.REJECTED:
            at = self._now()
            self._books.transition(
                tenant.name,
                lambda record, terms: state_machine.on_canary_started(record, terms, at),
                at,
            )

    def fingerprint(self, token: SecretStr) -> str:
        """Return the short name of a token, from which it cannot be found again."""
        digest = hmac.new(self._key, token.get_secret_value().encode(), "sha256").hexdigest()
        return digest[:_FINGERPRINT_HEX_DIGITS]

    def _open_sources(self, tenants: Sequence[Tenant]) -> None:
        for tenant in tenants:
            self._tenants[tenant.name] = tenant
            self._watch.add(tenant.name, tenant.token)
            if tenant.token.kind is TokenSourceKind.OAUTH:
                self._accounts[tenant.name] = self._oauth_client(tenant)

    def _oauth_client(self, tenant: Tenant) -> OAuthTokenClient:
        def on_answer(name: str, answer: CachedToken | TokenUnavailable) -> None:
            if self._accounts.get(name) is account:  # else who asked for it is no more
                self._on_token_response(name, answer)

        account = OAuthTokenClient(tenant, self._ask, self._now, self._version, on_answer)
        return account

    def _remove(self, tenant: str) -> None:
        del self._tenants[tenant]
        self._watch.drop(tenant)
        self._granted.pop(tenant, None)
        account = self._accounts.pop(tenant, None)
        if account is not None and account.is_fetching:
            self._retired.append(account)

    def _lease(self, tenant: Tenant, token: SecretStr, *, fresh: bool = False) -> TokenLease:
        known = self._granted.get(tenant.name)
        if known is None or known.token is not token or known.ref.source is not tenant.token:
            known = TokenLease(token, TokenRef(self.fingerprint(token), tenant.token))
            self._granted[tenant.name] = known
        return replace(known, fresh=True) if fresh else known

    async def _issued_lease(
        self, tenant: Tenant, account: OAuthTokenClient
    ) -> TokenLease | TokenUnavailable:
        held, now = account.held, self._now()
        # The canary of a rejected token asks with a new one: the old one's answer is known.
        rejected = self._books.record(tenant.name).state is TokenState.REJECTED
        if held is not None and held.is_usable(now) and not rejected:
            if held.is_to_be_renewed(now):
                account.start_fetch()
            return self._lease(tenant, held.token)
        answer = await account.fetch()
        if isinstance(answer, TokenUnavailable):
            return answer
        return self._lease(tenant, answer.token, fresh=True)

    async def _reread_source(self, tenant: str) -> None:
        if tenant in self._accounts:
            await self._accounts[tenant].fetch()
        else:
            await self._watch.read(tenant)

    def _on_source_change(self, tenant: str, sighting: SourceReading) -> None:
        secret, at = sighting.secret, self._now()
        account = self._accounts.get(tenant)
        if account is not None:
            account.set_secret(secret, sighting.problem)
        if secret is None:
            problem = sighting.problem
            self._books.transition(
                tenant, lambda record, _: state_machine.on_token_missing(record, problem), at
            )
            return
        name = self.fingerprint(secret)
        if account is not None:
            self._books.transition(
                tenant, lambda record, _: state_machine.on_client_secret(record, name), at
            )
            return
        token = TokenLoaded(name, jwt_expiry(secret.get_secret_value()))
        self._books.transition(
            tenant, lambda record, _: state_machine.on_token_loaded(record, token, at), at
        )

    def _on_token_response(self, tenant: str, answer: CachedToken | TokenUnavailable) -> None:
        at = self._now()
        if isinstance(answer, CachedToken):
            token = TokenLoaded(self.fingerprint(answer.token), answer.expires_at, renewal=True)
            self._books.transition(
                tenant, lambda record, _: state_machine.on_token_loaded(record, token, at), at
            )
        elif answer.verdict is not None and answer.verdict.reason is Reason.TOKEN_REJECTED:
            self._books.transition(
                tenant,
                lambda record, terms: state_machine.on_client_rejected(record, terms, at),
                at,
            )


def _same_source(before: Tenant, after: Tenant | None) -> bool:
    """Tell whether a tenant's token comes from where it did, by the same way."""
    if after is None or before.token != after.token:
        return False
    is_asked_for = before.token.kind is TokenSourceKind.OAUTH
    return not is_asked_for or before.transport == after.transport
