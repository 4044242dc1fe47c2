"""What a body is when it is no envelope: the marks of those who answer before the platform. Pure.

Shapes: Cloudflare's pages and codes, ABP's JSON, RFC 7807, Azure API Management and other gateways.
A mark is evidence for the reader; no verdict rests on it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from prober.redaction import NO_SECRETS, Redactor
from prober.verdict.one_line import one_line


class ForeignKind(StrEnum):
    """The sub-type of a body that is no envelope."""

    EMPTY = "empty"
    OVER_LIMIT = "over_limit"
    CLOUDFLARE_CHALLENGE = "cloudflare_challenge"
    CLOUDFLARE_ERROR = "cloudflare_error"
    HTML = "html"
    ABP_JSON = "abp_json"
    PROBLEM_JSON = "problem_json"
    API_MANAGEMENT_JSON = "api_management_json"
    GATEWAY_JSON = "gateway_json"
    OTHER_JSON = "other_json"
    UNREADABLE_JSON = "unreadable_json"
    UNREADABLE_CODING = "unreadable_coding"
    TEXT = "text"


# Bodies of these kinds can be a customer's data on a 2xx: an attachment, or an answer whose form
# has changed. They are never shown then.
MAYBE_CUSTOMER_DATA = frozenset(
    {ForeignKind.OTHER_JSON, ForeignKind.UNREADABLE_JSON, ForeignKind.TEXT}
)


@dataclass(frozen=True, slots=True)
class Foreign:
    """A kind, and the words for it in a sentence."""

    kind: ForeignKind
    words: str


EMPTY = Foreign(ForeignKind.EMPTY, "an empty body")
OVER_LIMIT = Foreign(ForeignKind.OVER_LIMIT, "a body over the probe's limit")
UNREADABLE_JSON = Foreign(ForeignKind.UNREADABLE_JSON, "JSON that cannot be read")

_CODING_CHARACTERS = 40
_LOOKED_AT_CHARACTERS = 16 * 1024
_TITLE_CHARACTERS = 80
_TITLE = re.compile(r"<title[^<>]{0,200}>([^<]{1,400})", re.IGNORECASE)
_CLOUDFLARE_CODE = re.compile(r"error(?: code)?:? {0,3}(\d{3,4})\b", re.IGNORECASE)
_HTML_STARTS = ("<!doctype html", "<html", "<head", "<body", "<title", "<h1", "<center", "<!--")


def foreign_coding(coding: str) -> Foreign:
    """Return what a body is in a content coding that was not asked for, and is not known."""
    name = one_line(coding, _CODING_CHARACTERS)
    words = f"a body in an encoding that was not asked for ({name})"
    return Foreign(ForeignKind.UNREADABLE_CODING, words)


def foreign_text(text: str, redactor: Redactor = NO_SECRETS) -> Foreign:
    """Return what a body is that is not JSON."""
    head = text.lstrip()[:_LOOKED_AT_CHARACTERS]
    if not head:
        return EMPTY
    lowered = head.lower()
    is_html = lowered.startswith(_HTML_STARTS)
    if is_html and "just a moment" in lowered:
        return Foreign(ForeignKind.CLOUDFLARE_CHALLENGE, "a Cloudflare challenge page")
    code = _CLOUDFLARE_CODE.search(head)
    if code is not None and ("cloudflare" in lowered or lowered.startswith("error code:")):
        return Foreign(ForeignKind.CLOUDFLARE_ERROR, f"Cloudflare's error code {code[1]}")
    if is_html:
        return Foreign(ForeignKind.HTML, "an HTML page" + _titled(head, redactor))
    if lowered.startswith(("{", "[")):
        return UNREADABLE_JSON
    return Foreign(ForeignKind.TEXT, "plain text")


def foreign_json(document: object) -> Foreign:
    """Return what a JSON document is that is no envelope."""
    if isinstance(document, Mapping):
        keys = document.keys()
        if "__abp" in keys or {"errorCode", "result"} <= keys:
            return Foreign(ForeignKind.ABP_JSON, "a gateway's JSON in ABP form")
        if _is_integer(document.get("status")) and keys & {"type", "title", "traceId"}:
            return Foreign(ForeignKind.PROBLEM_JSON, "a problem document (RFC 7807)")
        if {"statusCode", "message"} <= keys:
            return Foreign(
                ForeignKind.API_MANAGEMENT_JSON, "an API gateway's JSON (statusCode, message)"
            )
        if "errorCode" in keys:
            return Foreign(ForeignKind.GATEWAY_JSON, "a gateway's JSON with an errorCode")
    return Foreign(ForeignKind.OTHER_JSON, "JSON of an unknown form")


def _titled(html: str, redactor: Redactor) -> str:
    title = _TITLE.search(html)
    words = "" if title is None else one_line(title[1], _TITLE_CHARACTERS, redactor)
    return f' titled "{words}"' if words else ""


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
