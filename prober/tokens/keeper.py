"""Holds each tenant's token source and record, and tells of changes.

A token is known outside this room by its fingerprint alone: the first 8 hex digits of an
HMAC-SHA256 under a key that the process makes for itself.
"""

import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import SecretStr

from prober.errors import TokenUnavailableError
from prober.model import Tenant, TokenSource, TokenView, Verdict
from prober.tokens.ledger import TokenRecord, judged, loaded, missing
from prober.tokens.sources import Source, open_source

_FINGERPRINT_HEX_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Grant:
    """A token to be used now, and what may be said of it."""

    token: SecretStr
    view: TokenView


OnChange = Callable[[str, TokenRecord, TokenRecord, TokenSource], None]
"""Called with tenant, record before, record after, source, whenever a record changes."""


class TokenKeeper:
    """The tokens of all tenants."""

    def __init__(
        self,
        tenants: Sequence[Tenant],
        environ: Mapping[str, str],
        on_change: OnChange = lambda *_: None,
    ) -> None:
        self._key = secrets.token_bytes(32)
        self._on_change = on_change
        self._sources: dict[str, tuple[TokenSource, Source]] = {
            tenant.name: (tenant.token, open_source(tenant.token, environ)) for tenant in tenants
        }
        self._records = {tenant.name: TokenRecord() for tenant in tenants}

    def grant(self, tenant: Tenant) -> Grant:
        """Return the token that the source holds now; raises TokenUnavailableError."""
        named, source = self._sources[tenant.name]
        try:
            token = source.read()
        except TokenUnavailableError:
            self._update(tenant.name, missing(self._records[tenant.name]))
            raise
        fingerprint = self.fingerprint(token)
        self._update(tenant.name, loaded(self._records[tenant.name], fingerprint))
        return Grant(token, TokenView(fingerprint, named))

    def observe(
        self, tenant: Tenant, view: TokenView, verdict: Verdict, status: int | None, at: float
    ) -> None:
        """Take note of the answer to a request that bore the token of `view`."""
        record = self._records[tenant.name]
        self._update(tenant.name, judged(record, view.fingerprint, verdict, status, at))

    def record(self, tenant: str) -> TokenRecord:
        """Return what is known of a tenant's token."""
        return self._records[tenant]

    def fingerprint(self, token: SecretStr) -> str:
        """Return the short name of a token, from which it cannot be found again."""
        digest = hmac.new(self._key, token.get_secret_value().encode(), "sha256").hexdigest()
        return digest[:_FINGERPRINT_HEX_DIGITS]

    def _update(self, tenant: str, record: TokenRecord) -> None:
        before = self._records[tenant]
        if record != before:
            self._records[tenant] = record
            self._on_change(tenant, before, record, self._sources[tenant][0])
