"""When a token says that it expires, if it is a JWT (RFC 7519). Pure.

Nothing is verified, and nothing else is read: the date serves to warn in time, no more.
"""

import base64
import binascii
import json

_PARTS = 3
_LATEST = 253_402_300_799.0  # the end of the year 9999


def expiry_of(token: str) -> float | None:
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
