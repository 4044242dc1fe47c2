"""OAuth 2.0 client credentials (RFC 6749, 4.4): the token request, and when to renew. Pure.

The client's ID and secret are sent in the body, as in UiPath's documentation. If the response
names no lifetime, the expiry is read from the token if it is a JWT (RFC 7519). No signature is
verified and no other claim is read: the expiry only serves to renew and to warn in time.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from urllib.parse import urlencode

from pydantic import SecretStr

from prober.classifier.oauth_rules import IssuedToken
from prober.models import Request, TokenSource

_PARTS = 3
_MAX_TIMESTAMP = 253_402_300_799.0  # the end of the year 9999; later ones break datetime


def jwt_expiry(token: str) -> float | None:
    """Return the claim `exp` in epoch seconds; None for other tokens than a JWT with that claim."""
    parts = token.split(".")
    if len(parts) != _PARTS:
        return None
    try:
        # base64url without padding (RFC 7515); the decoder needs it.
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return None
    expiry = claims.get("exp") if isinstance(claims, dict) else None
    if isinstance(expiry, bool) or not isinstance(expiry, int | float):
        return None
    return float(expiry) if 0 < expiry <= _MAX_TIMESTAMP else None


_MAX_LEAD_SECONDS = 300.0
_LEAD_SHARE = 0.2
_MAX_MARGIN_SECONDS = 5.0
_MARGIN_SHARE = 0.1
MIN_LIFETIME_SECONDS = 5.0
"""A shorter lifetime cannot be respected: every few runs would need a token of their own."""
MIN_RENEWAL_SECONDS = 10.0
"""How long a token with such a lifetime is used, unless it is rejected."""
_FIRST_RETRY_SECONDS, _MAX_RETRY_SECONDS = 1.0, 60.0


@dataclass(frozen=True, slots=True)
class CachedToken:
    """A token from the OAuth server. `expires_at` is in epoch seconds, None if unknown.

    `requested_at` is when the request was sent: the lifetime cannot have started earlier.
    `problem` says what is wrong with the expiry.
    """

    token: SecretStr
    requested_at: float
    expires_at: float | None
    problem: str = ""

    def _ignores_expiry(self, now: float) -> bool:
        """Return whether the token is used whatever its expiry says.

        A server that issues tokens with hardly any lifetime would issue the next one with the same,
        and would get a request for each run.
        """
        if self.expires_at is None or self.expires_at - self.requested_at >= MIN_LIFETIME_SECONDS:
            return False
        return 0 <= now - self.requested_at < MIN_RENEWAL_SECONDS  # < 0: the clock was set back

    def is_usable(self, now: float) -> bool:
        """Return whether a request that is sent now arrives before the token expires."""
        if self.expires_at is None or self._ignores_expiry(now):
            return True
        return now < self.expires_at - self._share(_MARGIN_SHARE, _MAX_MARGIN_SECONDS)

    def needs_renewal(self, now: float) -> bool:
        """Return whether to request the next token; well before this one becomes unusable."""
        if self.expires_at is None or self._ignores_expiry(now):
            return False
        return now >= self.expires_at - self._share(_LEAD_SHARE, _MAX_LEAD_SECONDS)

    def _share(self, share: float, max_seconds: float) -> float:
        lifetime_seconds = (self.expires_at or self.requested_at) - self.requested_at
        return min(share * lifetime_seconds, max_seconds)


def cached_token(issued: IssuedToken, requested_at: float) -> CachedToken:
    """Return an issued token with its expiry from the response, or else from the token itself.

    If a token had already expired when it was issued, one of two clocks is wrong. It is used, and
    its expiry is unknown.
    """
    if issued.lifetime_seconds is not None:
        return CachedToken(issued.token, requested_at, requested_at + issued.lifetime_seconds)
    expires_at = jwt_expiry(issued.token.get_secret_value())
    if expires_at is not None and expires_at <= requested_at + _MAX_MARGIN_SECONDS:
        left = expires_at - requested_at
        expiry = (
            f"expires {left:.0f} s after" if left > 0 else f"had expired {abs(left):.0f} s before"
        )
        problem = f"it {expiry} it was issued: compare the clocks"
        return CachedToken(issued.token, requested_at, None, problem)
    return CachedToken(issued.token, requested_at, expires_at)


def token_request(source: TokenSource, secret: SecretStr, *, version: str) -> Request:
    """Return the token request; raises ValueError if `source` has no client."""
    client = source.client
    if client is None:
        raise ValueError(f"{source} is not an OAuth source")
    form = {
        "grant_type": "client_credentials",
        "client_id": client.client_id,
        "client_secret": secret.get_secret_value(),
    }
    if client.scope is not None:
        form["scope"] = client.scope
    return Request(
        method="POST",
        url=source.location,
        headers=(
            ("User-Agent", f"prober/{version}"),
            ("Accept", "application/json"),
            ("Accept-Encoding", "gzip, deflate"),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ),
        body=urlencode(form).encode(),
        authorization=None,
        secrets=(secret,),
    )


def retry_delay_seconds(failures: int) -> float:
    """Return how long to wait before the next request after this many consecutive failures."""
    return float(min(_FIRST_RETRY_SECONDS * 2 ** min(failures - 1, 16), _MAX_RETRY_SECONDS))
