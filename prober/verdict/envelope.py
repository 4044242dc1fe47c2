"""Body bytes in, envelope or not out. Pure; survives every body.

An envelope is a JSON object whose `status` is the *string* `ok` or `error`: the integer of an
RFC 7807 problem document is not it. What is not an envelope is told by `foreign`.
"""

import json
from codecs import BOM_UTF8
from dataclasses import dataclass
from typing import Literal

from prober.redaction import NO_SECRETS, Redactor
from prober.verdict.foreign import EMPTY, Foreign, foreign_json, foreign_text
from prober.verdict.one_line import one_line

MESSAGE_CHARACTERS = 500
EXCERPT_CHARACTERS = 200
_EXCERPT_BYTES = 4096
# A number with more digits becomes a float: it needs no square time, and arithmetic on it cannot
# overflow (the largest float has 309 digits).
MAX_INTEGER_DIGITS = 300


@dataclass(frozen=True, slots=True)
class Body:
    """A body that was read.

    `status` is the envelope's, None when it is none; then `foreign` says what it is. `message` and
    `path` are an error envelope's, else empty: all else in a platform's body is customers' data.
    `document` is the parsed JSON, None when it is not JSON.
    """

    status: Literal["ok", "error"] | None
    message: str = ""
    path: str = ""
    document: object = None
    foreign: Foreign | None = None


NO_BODY = Body(None, foreign=EMPTY)


def read_body(body: bytes, redactor: Redactor = NO_SECRETS) -> Body:
    """Return what `body` is, with `redactor`'s secrets out of its texts; never raises.

    Tolerated, since who answered matters more than how well: invalid UTF-8, a byte order mark,
    NaN and Infinity, numbers of any length, repeated keys (the last counts).
    """
    text = body.removeprefix(BOM_UTF8).decode(errors="replace")
    try:
        document = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return Body(None, foreign=foreign_text(text, redactor))
    if isinstance(document, dict):
        status = document.get("status")
        if status == "ok":
            return Body("ok", document=document)
        if status == "error":
            message, path = (_line(document, key, redactor) for key in ("message", "path"))
            return Body("error", message, path, document)
    return Body(None, document=document, foreign=foreign_json(document))


def excerpt(body: bytes, redactor: Redactor = NO_SECRETS) -> str:
    """Return the beginning of a body that is not the platform's: one line, 200 characters."""
    text = body.lstrip()[:_EXCERPT_BYTES].decode("utf-8-sig", "replace")
    return one_line(text, EXCERPT_CHARACTERS, redactor)


def _line(document: dict[str, object], key: str, redactor: Redactor) -> str:
    value = document.get(key)
    return one_line(value, MESSAGE_CHARACTERS, redactor) if isinstance(value, str) else ""


def _number(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_INTEGER_DIGITS else float(digits)


_DECODER = json.JSONDecoder(parse_int=_number)
