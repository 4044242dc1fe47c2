"""The records of all tenants' tokens: applies the law to them, and tells what that changed."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from prober.credential import TokenEvent, TokenStatus, shared_with
from prober.model import Tenant
from prober.outcomes import TokenEventKind
from prober.tokens.events import events_between, expiry_stage
from prober.tokens.ledger import Backoff, Terms, TokenRecord, status

_DAY_SECONDS = 86_400.0
EXPIRING_SECONDS = (14 * _DAY_SECONDS, 3 * _DAY_SECONDS, 0.0)
"""How long before its expiry a token is said to expire; 0: it has."""

Change = Callable[[TokenRecord, Terms], TokenRecord]


class Listener(Protocol):
    """Who hears of tokens."""

    def token_changed(self, status: TokenStatus) -> None:
        """Take note of what is known of a tenant's token now."""
        ...

    def token_event(self, event: TokenEvent) -> None:
        """Take note of what happened to a tenant's token."""
        ...


class Books:
    """One record for each tenant."""

    def __init__(self, tenants: Sequence[Tenant], backoff: Backoff, listener: Listener) -> None:
        self._listener = listener
        self._terms: dict[str, Terms] = {}
        self._records: dict[str, TokenRecord] = {}
        self._statuses: dict[str, TokenStatus] = {}
        self._expiry_told: dict[str, tuple[str | None, float | None]] = {}
        self._unsaved: set[str] = set()
        self._take_over(tenants, backoff, {})

    @property
    def statuses(self) -> Mapping[str, TokenStatus]:
        """What may be shown of each tenant's token."""
        return self._statuses

    def record(self, tenant: str) -> TokenRecord:
        """Return what is known of a tenant's token; of a tenant that is gone, nothing."""
        return self._records.get(tenant, TokenRecord())

    def terms(self, tenant: str) -> Terms:
        """Return what the settings say of a tenant's token."""
        return self._terms[tenant]

    def adopt(
        self, tenants: Sequence[Tenant], backoff: Backoff, remembered: Mapping[str, TokenRecord]
    ) -> None:
        """Take over settings; of a new tenant, what is remembered from earlier days."""
        before = dict(self._statuses)
        self._take_over(tenants, backoff, remembered)
        for name, each in self._statuses.items():
            if each != before.get(name):
                self._listener.token_changed(each)

    def restore(self, records: Mapping[str, TokenRecord]) -> None:
        """Take over what was remembered of these tenants, without telling it as news."""
        for tenant in self._records.keys() & records.keys():
            self._records[tenant] = records[tenant]
            self._statuses[tenant] = self._status(tenant)
        for each in self._statuses.values():
            self._listener.token_changed(each)

    def apply(self, tenant: str, change: Change, at: float) -> None:
        """Change a tenant's record, and tell what that means; one that is gone has none."""
        if tenant not in self._records:
            return
        before, record = self._statuses[tenant], self._records[tenant]
        changed = change(record, self._terms[tenant])
        if changed == record:
            return
        self._records[tenant] = changed
        self._unsaved.add(tenant)
        after = self._statuses[tenant] = self._status(tenant)
        if after != before:
            self._listener.token_changed(after)
            for kind in events_between(before, after):
                self._tell(kind, tenant, at)

    def tell_expiries(self, now: float) -> None:
        """Tell of each token that has come near its expiry, once for each stage."""
        for tenant, each in self._statuses.items():
            if each.expires_at is None:  # as nearly always; a stage that was told may come again
                self._expiry_told.pop(tenant, None)
                continue
            reached = (each.fingerprint, expiry_stage(each, EXPIRING_SECONDS, now))
            if reached != self._expiry_told.get(tenant):
                self._expiry_told[tenant] = reached
                if reached[1] is not None:
                    self._tell(TokenEventKind.EXPIRING, tenant, now)

    def take_unsaved(self) -> dict[str, TokenRecord]:
        """Return the records that have changed since they were last taken."""
        taken = {tenant: self._records[tenant] for tenant in self._unsaved}
        self._unsaved.clear()
        return taken

    def put_back(self, tenants: Mapping[str, TokenRecord]) -> None:
        """Note that these could not be saved."""
        self._unsaved |= tenants.keys()

    def _take_over(
        self, tenants: Sequence[Tenant], backoff: Backoff, remembered: Mapping[str, TokenRecord]
    ) -> None:
        known = {**remembered, **self._records}
        self._terms = {tenant.name: Terms(tenant.token, backoff) for tenant in tenants}
        self._records = {name: known.get(name, TokenRecord()) for name in self._terms}
        self._statuses = {name: self._status(name) for name in self._terms}
        self._unsaved &= self._terms.keys()
        for name in self._expiry_told.keys() - self._terms.keys():
            del self._expiry_told[name]

    def _status(self, tenant: str) -> TokenStatus:
        return status(tenant, self._records[tenant], self._terms[tenant].source)

    def _tell(self, kind: TokenEventKind, tenant: str, at: float) -> None:
        self._listener.token_event(
            TokenEvent(kind, at, self._statuses[tenant], shared_with(self._statuses, tenant))
        )
