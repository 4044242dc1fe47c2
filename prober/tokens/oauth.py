"""OAuth 2.0 client credentials (RFC 6749, 4.4): what is sent, and when again. Pure.

Client and secret travel in the body, as UiPath's documents have it.

When a token says that it expires, if it is a JWT (RFC 7519). Pure.

Nothing is verified, and nothing else is read: the date serves to warn in time, no more.
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
_LATEST = 253_402_300_799.0  # the end of the year 9999


def jwt_expiry(token: str) -> float | None:
    """Return `exp` in epoch seconds, None for any token that is no JWT with a usable one."""
    parts = token.split(".")
    if len(parts) != _PARTS:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return None
    expiry = claims.get("exp") if isinstance(claims, dict) else None
    if isinstance(expiry, bool) or not isinstance(expiry, int | float):
        return None
    return float(expiry) if 0 < expiry <= _LATEST else None


_MAX_LEAD_SECONDS = 300.0
_LEAD_SHARE = 0.2
_MAX_MARGIN_SECONDS = 5.0
_MARGIN_SHARE = 0.1
MIN_RENEWAL_SECONDS = 10.0
"""So long a token is used at least before the next one is asked for, unless it is rejected."""
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 60.0


@dataclass(frozen=True, slots=True)
class CachedToken:
    """A token from the identity server, and its life in epoch seconds; None: not known.

    `asked_at` is when it was asked for: no server can have begun to count before. `problem` says
    what is odd about its expiry.
    """

    token: SecretStr
    requested_at: float
    expires_at: float | None
    problem: str = ""

    def is_fresh(self, now: float) -> bool:
        """Tell whether it is too young to be renewed; a clock that was set back makes none so."""
        return 0 <= now - self.requested_at < MIN_RENEWAL_SECONDS

    def is_usable(self, now: float) -> bool:
        """Tell whether a request that is sent now will still arrive with a living token.

        One that was just issued is used whatever it says: the next one would say the same.
        """
        if self.is_fresh(now):
            return True
        return self.expires_at is None or now < self.expires_at - self._share(
            _MARGIN_SHARE, _MAX_MARGIN_SECONDS
        )

    def is_to_be_renewed(self, now: float) -> bool:
        """Tell whether it is time to ask for the next one."""
        if self.is_fresh(now):
            return False
        return self.expires_at is not None and now >= self.expires_at - self._share(
            _LEAD_SHARE, _MAX_LEAD_SECONDS
        )

    def _share(self, share: float, greatest_seconds: float) -> float:
        life_seconds = (self.expires_at or self.requested_at) - self.requested_at
        return min(share * life_seconds, greatest_seconds)


def cached_token(issued: IssuedToken, asked_at: float) -> CachedToken:
    """Return an issued token with its expiry: as the answer has it, else as the token says.

    A token that had expired when it was issued says that one of two clocks is wrong: it is used,
    and its expiry is not known.
    """
    if issued.lifetime_seconds is not None:
        return CachedToken(issued.token, asked_at, asked_at + issued.lifetime_seconds)
    expires_at = jwt_expiry(issued.token.get_secret_value())
    if expires_at is not None and expires_at <= asked_at + _MAX_MARGIN_SECONDS:
        ago = asked_at - expires_at
        problem = f"it had expired {ago:.0f} s before it was issued: compare the clocks"
        return CachedToken(issued.token, asked_at, None, problem)
    return CachedToken(issued.token, asked_at, expires_at)


def token_request(source: TokenSource, secret: SecretStr, *, version: str) -> Request:
    """Return the request for a token; raises ValueError if `source` names no client."""
    client = source.client
    if client is None:
        raise ValueError(f"{source} is no OAuth source")
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
    """Return how long to wait after so many failures in a row before asking again."""
    return float(min(_FIRST_PAUSE_SECONDS * 2 ** min(failures - 1, 16), _LONGEST_PAUSE_SECONDS))
