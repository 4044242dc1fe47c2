"""Holds every tenant's token, watches where it comes from, and keeps the books of its life.

A token is known outside this room by its fingerprint alone: the first 8 hex digits of an
HMAC-SHA256 under a key that stands in the state directory, or, without one, in this process alone.
"""

import asyncio
import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from pydantic import SecretStr

from prober.credential import TokenSourceKind, TokenStatus, TokenView
from prober.model import Tenant, Verdict
from prober.outcomes import Reason, TokenState
from prober.tokens import ledger
from prober.tokens.books import Books, Listener
from prober.tokens.identity import Ask, IdentityAccount, Withheld
from prober.tokens.jwt import expiry_of
from prober.tokens.ledger import Answer, Backoff, Loaded, TokenRecord
from prober.tokens.oauth import HeldToken
from prober.tokens.sources import Sighting
from prober.tokens.watch import SourceWatch

WATCH_SECONDS = 2.0
_FINGERPRINT_HEX_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Grant:
    """A token to be used now, and what may be said of it. `fresh`: issued for this very use."""

    token: SecretStr
    view: TokenView
    fresh: bool = False


class Memory(Protocol):
    """Where records outlive the process. May block."""

    key: bytes

    def records(self) -> Mapping[str, TokenRecord]:
        """Return what was saved."""
        ...

    def save(self, records: Mapping[str, TokenRecord]) -> None:
        """Save; raises OSError."""
        ...


class TokenKeeper:
    """The tokens of all tenants. `now` tells epoch seconds."""

    def __init__(  # noqa: PLR0913 -- each is another collaborator
        self,
        tenants: Sequence[Tenant],
        environ: Mapping[str, str],
        ask: Ask,
        *,
        now: Callable[[], float],
        version: str,
        listener: Listener,
        backoff: Backoff = Backoff(),  # noqa: B008 -- a frozen value
    ) -> None:
        self._now = now
        self._key = secrets.token_bytes(32)
        self._ask = ask
        self._version = version
        self._books = Books(tenants, backoff, listener)
        self._watch = SourceWatch(environ, now, self._on_news)
        self._tenants: dict[str, Tenant] = {}
        self._accounts: dict[str, IdentityAccount] = {}
        self._granted: dict[str, Grant] = {}
        self._retired: list[IdentityAccount] = []
        self._open(tenants)

    @property
    def statuses(self) -> Mapping[str, TokenStatus]:
        """What may be shown of each tenant's token."""
        return self._books.statuses

    def adopt(
        self, tenants: Sequence[Tenant], backoff: Backoff, remembered: Mapping[str, TokenRecord]
    ) -> None:
        """Take over settings. A source that is new is read by who first needs it, or soon."""
        self._retired = [account for account in self._retired if account.is_asking]
        wanted = {tenant.name: tenant for tenant in tenants}
        for name in [n for n, t in self._tenants.items() if not _same_source(t, wanted.get(n))]:
            self._forget(name)
        self._books.adopt(tenants, backoff, remembered)
        self._open([tenant for tenant in tenants if tenant.name not in self._tenants])

    def restore(self, memory: Memory) -> None:
        """Take over the key and the records of an earlier process."""
        self._key = memory.key
        self._granted.clear()
        self._books.restore(memory.records())

    async def load(self) -> None:
        """Read every source."""
        await self._watch.load()

    async def look_around(self) -> None:
        """Look at every source once, within `WATCH_SECONDS`, and renew OAuth tokens."""
        await self._watch.look_around(WATCH_SECONDS)
        self._books.tell_expiries(self._now())
        for account in self._accounts.values():
            if account.held is not None and account.held.is_to_be_renewed(self._now()):
                account.begin()

    async def save(self, memory: Memory) -> None:
        """Save what has changed since the last time; raises OSError, and then loses nothing."""
        unsaved = self._books.take_unsaved()
        if not unsaved:
            return
        try:
            await asyncio.to_thread(memory.save, unsaved)
        except OSError:
            self._books.put_back(unsaved)
            raise

    async def close(self) -> None:
        """End what is going on."""
        for account in (*self._accounts.values(), *self._retired):
            await account.close()

    async def grant(self, tenant: Tenant) -> Grant | Withheld:
        """Return the token to use now; only an OAuth token or a new source can make one wait."""
        sighting = await self._watch.believed(tenant.name)
        account = self._accounts.get(tenant.name)
        if account is not None:
            return await self._issued(tenant, account)
        if sighting.secret is None:
            return Withheld(sighting.problem)
        return self._grant(tenant, sighting.secret)

    async def renewed(self, tenant: Tenant, rejected: Grant) -> Grant | Withheld:
        """Return what there is in place of a rejected token, having read its source again.

        Those who ask at the same time share one reading. Of a token that is known to be rejected
        the source is not read: it is watched anyway.
        """
        record = self._books.record(tenant.name)
        is_news = record.fingerprint == rejected.view.fingerprint
        if is_news and record.state is not TokenState.REJECTED and not rejected.fresh:
            await self._read_again(tenant.name)
        return await self.grant(tenant)

    def observe(
        self,
        tenant: Tenant,
        probe: str,
        view: TokenView,
        verdict: Verdict,
        status: int | None,
        began_at: float,
    ) -> None:
        """Take note of the answer to a request that bore the token of `view`."""
        answer, at = Answer(view.fingerprint, probe, verdict, status, began_at), self._now()
        self._books.apply(
            tenant.name, lambda record, terms: ledger.answered(record, answer, terms, at), at
        )

    def may_ask(self, tenant: Tenant, probe: str) -> bool:
        """Tell whether a probe may use its tenant's token now."""
        return ledger.may_ask(
            self._books.record(tenant.name),
            probe,
            alone=len(tenant.probes) == 1,
            terms=self._books.terms(tenant.name),
            now=self._now(),
        )

    def run_begun(self, tenant: Tenant) -> None:
        """Take note that a run of a probe was started: with a rejected token, it is the canary."""
        if self._books.record(tenant.name).state is TokenState.REJECTED:
            at = self._now()
            self._books.apply(
                tenant.name, lambda record, terms: ledger.canary_begun(record, terms, at), at
            )

    def fingerprint(self, token: SecretStr) -> str:
        """Return the short name of a token, from which it cannot be found again."""
        digest = hmac.new(self._key, token.get_secret_value().encode(), "sha256").hexdigest()
        return digest[:_FINGERPRINT_HEX_DIGITS]

    def _open(self, tenants: Sequence[Tenant]) -> None:
        for tenant in tenants:
            self._tenants[tenant.name] = tenant
            self._watch.add(tenant.name, tenant.token)
            if tenant.token.kind is TokenSourceKind.OAUTH:
                self._accounts[tenant.name] = self._account(tenant)

    def _account(self, tenant: Tenant) -> IdentityAccount:
        def on_answer(name: str, answer: HeldToken | Withheld) -> None:
            if self._accounts.get(name) is account:  # else who asked for it is no more
                self._on_identity(name, answer)

        account = IdentityAccount(tenant, self._ask, self._now, self._version, on_answer)
        return account

    def _forget(self, tenant: str) -> None:
        del self._tenants[tenant]
        self._watch.drop(tenant)
        self._granted.pop(tenant, None)
        account = self._accounts.pop(tenant, None)
        if account is not None and account.is_asking:
            self._retired.append(account)

    def _grant(self, tenant: Tenant, token: SecretStr, *, fresh: bool = False) -> Grant:
        known = self._granted.get(tenant.name)
        if known is None or known.token is not token or known.view.source is not tenant.token:
            known = Grant(token, TokenView(self.fingerprint(token), tenant.token))
            self._granted[tenant.name] = known
        return replace(known, fresh=True) if fresh else known

    async def _issued(self, tenant: Tenant, account: IdentityAccount) -> Grant | Withheld:
        held, now = account.held, self._now()
        # The canary of a rejected token asks with a new one: the old one's answer is known.
        rejected = self._books.record(tenant.name).state is TokenState.REJECTED
        if held is not None and held.is_usable(now) and not rejected:
            if held.is_to_be_renewed(now):
                account.begin()
            return self._grant(tenant, held.token)
        answer = await account.fetch()
        if isinstance(answer, Withheld):
            return answer
        return self._grant(tenant, answer.token, fresh=True)

    async def _read_again(self, tenant: str) -> None:
        if tenant in self._accounts:
            await self._accounts[tenant].fetch()
        else:
            await self._watch.read(tenant)

    def _on_news(self, tenant: str, sighting: Sighting) -> None:
        secret, at = sighting.secret, self._now()
        account = self._accounts.get(tenant)
        if account is not None:
            account.use(secret, sighting.problem)
        if secret is None:
            problem = sighting.problem
            self._books.apply(tenant, lambda record, _: ledger.missing(record, problem), at)
            return
        name = self.fingerprint(secret)
        if account is not None:
            self._books.apply(tenant, lambda record, _: ledger.client_known(record, name), at)
            return
        token = Loaded(name, expiry_of(secret.get_secret_value()))
        self._books.apply(tenant, lambda record, _: ledger.loaded(record, token, at), at)

    def _on_identity(self, tenant: str, answer: HeldToken | Withheld) -> None:
        at = self._now()
        if isinstance(answer, HeldToken):
            token = Loaded(self.fingerprint(answer.token), answer.expires_at, renewal=True)
            self._books.apply(tenant, lambda record, _: ledger.loaded(record, token, at), at)
        elif answer.verdict is not None and answer.verdict.reason is Reason.TOKEN_REJECTED:
            self._books.apply(
                tenant, lambda record, terms: ledger.client_refused(record, terms, at), at
            )


def _same_source(before: Tenant, after: Tenant | None) -> bool:
    """Tell whether a tenant's token comes from where it did, by the same way."""
    if after is None or before.token != after.token:
        return False
    is_asked_for = before.token.kind is TokenSourceKind.OAUTH
    return not is_asked_for or before.transport == after.transport
