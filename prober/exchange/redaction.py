"""A hostile server may echo the token: it is taken out before the answer becomes evidence. Pure."""

import base64
from collections.abc import Iterable
from urllib.parse import quote

from pydantic import SecretStr

from prober.model import Response

REDACTED = "[redacted]"


def secret_forms(authorization: SecretStr | None) -> tuple[str, ...]:
    """Return the token of an Authorization value, raw, URL-encoded and in base64, longest first."""
    if authorization is None:
        return ()
    token = authorization.get_secret_value().partition(" ")[2]
    if not token:
        return ()
    encoded = base64.b64encode(token.encode()).decode().rstrip("=")
    return tuple(sorted({token, quote(token, safe=""), encoded}, key=len, reverse=True))


def redact_text(text: str, authorization: SecretStr | None) -> str:
    """Return `text` without the token, in whichever form it stood there."""
    return _without(text, secret_forms(authorization))


def redact_response(response: Response, authorization: SecretStr | None) -> Response:
    """Return the response without the token in its headers and body."""
    forms = secret_forms(authorization)
    body = response.body
    clean = not any(form.encode() in body for form in forms) and not any(
        form in value for form in forms for _, value in response.headers
    )
    if clean:
        return response
    for form in forms:
        body = body.replace(form.encode(), REDACTED.encode())
    return Response(
        status=response.status,
        headers=tuple((name, _without(value, forms)) for name, value in response.headers),
        body=body,
        body_over_limit=response.body_over_limit,
    )


def _without(text: str, forms: Iterable[str]) -> str:
    for form in forms:
        text = text.replace(form, REDACTED)
    return text
