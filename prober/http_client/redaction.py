"""A hostile server may echo what was sent: secrets are taken out before that is evidence. Pure.

Found are a secret as it is, in one case, URL-encoded, and in base64 wherever it stands in what was
encoded.
"""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import replace
from urllib.parse import quote
from weakref import ref

from pydantic import SecretStr

from prober.models import Response

REDACTED = "[redacted]"
_MIN_SECRET_LENGTH = 6
"""Fewer characters than this tell too little of a secret, and occur everywhere."""


def secret_encodings(secrets: Iterable[SecretStr]) -> tuple[str, ...]:
    """Return every form in which a secret is looked for, longest first."""
    forms: set[str] = set()
    for secret in secrets:
        text = secret.get_secret_value()
        if text:
            forms |= {text, text.lower(), text.upper()}
            forms |= {quote(text), quote(text, safe=""), quote(text, safe="").lower()}
            forms |= {
                core for core in _base64_cores(text.encode()) if len(core) >= _MIN_SECRET_LENGTH
            }
    return tuple(sorted(forms, key=len, reverse=True))


class SecretPatternCache:
    """Remembers the forms of each secret as long as somebody holds it, and no longer."""

    def __init__(self) -> None:
        # By identity: to compare two secrets takes longer than to look for one in an answer.
        self._known: dict[int, tuple[ref[SecretStr], tuple[str, ...]]] = {}

    def get(self, secrets: Sequence[SecretStr]) -> tuple[str, ...]:
        """Return what `secret_forms` returns."""
        if len(secrets) != 1:
            return secret_encodings(secrets)
        secret, key = secrets[0], id(secrets[0])
        found = self._known.get(key)
        if found is None or found[0]() is not secret:
            held = ref(secret, lambda _: self._known.pop(key, None))
            found = self._known[key] = held, secret_encodings(secrets)
        return found[1]


def redact_text(text: str, encodings: Sequence[str]) -> str:
    """Return `text` without any of `forms`, and without one that it was cut in the midst of."""
    for form in encodings:
        text = text.replace(form, REDACTED)
    for form in encodings:
        begin = text.rfind(form[:_MIN_SECRET_LENGTH], max(0, len(text) - len(form)))
        if begin >= 0 and form.startswith(text[begin:]):
            return text[:begin] + REDACTED
    return text


def redact_response(response: Response, encodings: Sequence[str]) -> Response:
    """Return the response without any of `forms` in its headers and body."""
    headers = response.headers
    every_header = "\n".join(f"{name}\n{value}" for name, value in headers)
    if any(form in every_header for form in encodings):
        headers = tuple(
            (redact_text(name, encodings), redact_text(v, encodings)) for name, v in headers
        )
    # Latin-1 gives each byte one character, and takes every body there and back.
    text = response.body.decode("latin-1")
    redacted = redact_text(text, encodings)
    if redacted == text and headers is response.headers:
        return response
    body = redacted.encode("latin-1")
    return replace(response, headers=headers, body=body)


def _base64_cores(secret: bytes) -> Iterable[str]:
    """Yield what of the base64 text depends on the secret alone, for each place it can begin at."""
    for offset in range(3):
        whole = b"\0" * offset + secret
        first, last = -(-offset * 8 // 6), len(whole) * 8 // 6
        yield base64.b64encode(whole).decode()[first:last]
        yield base64.urlsafe_b64encode(whole).decode()[first:last]
