"""Holds every tenant's token, watches where it comes from, and keeps the books of its life.

A token is known outside this room by its fingerprint alone: the first 8 hex digits of an
HMAC-SHA256 under a key that stands in the state directory, or, without one, in this process alone.
"""

import asyncio
import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
from prober.tokens.sources import SETTLE_SECONDS, Sighting, is_settled, open_source

WATCH_SECONDS = 0.5
_FINGERPRINT_HEX_DIGITS = 8
_MOST_LOOKS = 12
"""So often a source that keeps changing is looked at in one go: three seconds."""


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
        self._books = Books(tenants, backoff, listener)
        self._sources = {tenant.name: open_source(tenant.token, environ) for tenant in tenants}
        self._believed: dict[str, Sighting] = {}
        self._seen_since: dict[str, tuple[Sighting, float]] = {}
        self._rereading: dict[str, asyncio.Task[None]] = {}
        self._accounts = {
            tenant.name: IdentityAccount(tenant, ask, now, version, self._on_identity)
            for tenant in tenants
            if tenant.token.kind is TokenSourceKind.OAUTH
        }

    @property
    def statuses(self) -> Mapping[str, TokenStatus]:
        """What may be shown of each tenant's token."""
        return self._books.statuses

    def restore(self, memory: Memory) -> None:
        """Take over the key and the records of an earlier process."""
        self._key = memory.key
        self._books.restore(memory.records())

    async def load(self) -> None:
        """Read every source, so that each is believed; of one that keeps changing, what it has."""
        for _ in range(_MOST_LOOKS):
            await self._look_at(self._sources)
            if self._believed.keys() == self._sources.keys():
                return
            await asyncio.sleep(SETTLE_SECONDS)
        for tenant in self._sources.keys() - self._believed.keys():
            self._believe(tenant, self._seen_since[tenant][0])

    async def watch(self) -> None:
        """Look at every source again and again, and renew OAuth tokens; never ends by itself."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            await self._look_at(self._sources)
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
        for account in self._accounts.values():
            await account.close()

    async def grant(self, tenant: Tenant) -> Grant | Withheld:
        """Return the token to use now; only an OAuth token can make one wait."""
        account = self._accounts.get(tenant.name)
        if account is not None:
            return await self._issued(tenant, account)
        sighting = self._believed.get(tenant.name, Sighting(problem="it has not been read yet"))
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
            await self._reread(tenant.name)
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

    def _grant(self, tenant: Tenant, token: SecretStr, *, fresh: bool = False) -> Grant:
        return Grant(token, TokenView(self.fingerprint(token), tenant.token), fresh)

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

    async def _reread(self, tenant: str) -> None:
        task = self._rereading.get(tenant)
        if task is None:
            task = asyncio.create_task(self._read_again(tenant), name=f"read again: {tenant}")
            self._rereading[tenant] = task
            task.add_done_callback(lambda _: self._rereading.pop(tenant))
        await asyncio.shield(task)

    async def _read_again(self, tenant: str) -> None:
        if tenant in self._accounts:
            await self._accounts[tenant].fetch()
            return
        for _ in range(_MOST_LOOKS):
            await self._look_at([tenant])
            if self._seen_since[tenant][0] == self._believed.get(tenant):
                return
            await asyncio.sleep(SETTLE_SECONDS)

    async def _look_at(self, tenants: Sequence[str] | Mapping[str, object]) -> None:
        names = list(tenants)
        known = [self._believed.get(name) for name in names]
        sightings = await asyncio.to_thread(
            lambda: [
                self._sources[name].look(each) for name, each in zip(names, known, strict=True)
            ]
        )
        for name, sighting in zip(names, sightings, strict=True):
            now = self._now()
            last, since = self._seen_since.get(name, (sighting, now))
            since = since if last == sighting else now
            self._seen_since[name] = sighting, since
            if is_settled(sighting, since, now):
                self._believe(name, sighting)

    def _believe(self, tenant: str, sighting: Sighting) -> None:
        before = self._believed.get(tenant)
        self._believed[tenant] = sighting
        if before is not None and before.same_content(sighting):
            return
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
