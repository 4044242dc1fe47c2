"""OAuth 2.0 client credentials (RFC 6749, 4.4): what is sent, and when again. Pure.

Client and secret travel in the body, as UiPath's documents have it.
"""

from dataclasses import dataclass
from urllib.parse import urlencode

from pydantic import SecretStr

from prober.credential import TokenSource
from prober.model import Request
from prober.tokens.jwt import expiry_of
from prober.verdict.identity import IssuedToken

_GREATEST_LEAD_SECONDS = 300.0
_LEAD_SHARE = 0.2
_GREATEST_MARGIN_SECONDS = 5.0
_MARGIN_SHARE = 0.1
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 60.0


@dataclass(frozen=True, slots=True)
class HeldToken:
    """A token from the identity server, and its life in epoch seconds; None: not known.

    `asked_at` is when it was asked for: no server can have begun to count before.
    """

    token: SecretStr
    asked_at: float
    expires_at: float | None

    def is_usable(self, now: float) -> bool:
        """Tell whether a request that is sent now will still arrive with a living token."""
        return self.expires_at is None or now < self.expires_at - self._share(
            _MARGIN_SHARE, _GREATEST_MARGIN_SECONDS
        )

    def is_to_be_renewed(self, now: float) -> bool:
        """Tell whether it is time to ask for the next one."""
        return self.expires_at is not None and now >= self.expires_at - self._share(
            _LEAD_SHARE, _GREATEST_LEAD_SECONDS
        )

    def _share(self, share: float, greatest_seconds: float) -> float:
        life_seconds = (self.expires_at or self.asked_at) - self.asked_at
        return min(share * life_seconds, greatest_seconds)


def held(issued: IssuedToken, asked_at: float) -> HeldToken:
    """Return an issued token with its expiry: as the answer has it, else as the token says."""
    if issued.lifetime_seconds is not None:
        return HeldToken(issued.token, asked_at, asked_at + issued.lifetime_seconds)
    return HeldToken(issued.token, asked_at, expiry_of(issued.token.get_secret_value()))


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


def pause_seconds(failures: int) -> float:
    """Return how long to wait after so many failures in a row before asking again."""
    return float(min(_FIRST_PAUSE_SECONDS * 2 ** min(failures - 1, 16), _LONGEST_PAUSE_SECONDS))
