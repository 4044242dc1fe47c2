"""Which requests need consent, and which are never sent. Pure.

Consent is by what is allowed: GET and HEAD are free, a POST only on `READ_ONLY_POSTS`; everything
else needs `allow_writes`, and routes that the vendor bills need `allow_billable`. Requests that
move a stream or delete data are refused whatever the consents.

The list of free routes is compared with the path as it is written: any unusual spelling of a route
is not on it. Refused and billed routes are found in every spelling that some server might accept:
percent-encoded (also twice), in other case, with empty or dot segments, parameters after ';' or a
trailing slash.
"""

import re
from collections.abc import Iterable, Mapping
from posixpath import normpath
from types import MappingProxyType
from urllib.parse import parse_qsl, unquote

_PROJECT = r"(?!\.{1,2}(?:/|%))[A-Za-z0-9_.-]+"
_NAME = r"[A-Za-z0-9_-]+"
_OWNED = rf"(?:{_PROJECT}(?:/|%2[Ff]){_NAME}|id:[0-9a-f]{{16}})"
_DATASET = rf"/api/v1/datasets/{_OWNED}"
_PRIVATE_DATASET = rf"/api/_private/datasets/{_OWNED}"

READ_ONLY_POSTS: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {
        name: re.compile(pattern + "/?")
        for name, pattern in (
            ("fetch", rf"{_DATASET}/(?:streams|triggers)/{_NAME}/fetch"),
            (
                "query",
                rf"(?:/api/v1/audit_events|/api/_private/issues|{_PRIVATE_DATASET})/query",
            ),
            ("statistics", rf"(?:/api/v1/sources/{_OWNED}|{_PRIVATE_DATASET})/statistics"),
            ("predict-comments", rf"{_DATASET}/labellers/[0-9]+/predict-comments"),
            ("labellers", rf"{_PRIVATE_DATASET}/labellers"),
            ("permissions", r"/api/_private/permissions/(?:derived|reduced)"),
        )
    }
)
"""The POST routes that only read, by the words in which messages and documentation name them."""

_PREDICTION = re.compile(
    rf"(?:{_DATASET}|{_PRIVATE_DATASET})/labellers/(?:[0-9]+/)?"
    r"(?:predict|predict-raw-emails|predict-extractions)/?"
)
"""These are billed, and write nothing."""

# The vendor bills `predict*` and `sync*`. That `predict-extractions`, `sync-csv`, uploads and the
# routes that ask a language model are billed like their neighbours is an assumption.
_BILLED = re.compile(
    r"/(predict|predict-raw-emails|predict-extractions|sync|sync-raw-emails|sync-csv"
    r"|conversational-filter-query|suggest-taxonomy|gx-fetch|thread-themes)$"
)
_SYNC = re.compile(r"/(sync|sync-raw-emails|sync-csv)$")
_BILLED_UPLOAD = re.compile(r"/(comments|emails|documents)$")
_REFUSED = re.compile(r"/(advance|reset|exceptions|delete)$")
_SAFE_METHODS = frozenset({"GET", "HEAD"})
_MAX_DECODINGS = 5

_UNPRINTABLE = "".join(map(chr, range(0x21)))

_OVERRIDES = frozenset(
    {"x-http-method-override", "x-http-method", "x-method-override", "-method", "-http-method"}
    | {"x-original-method", "x-original-url", "x-rewrite-url"}
)
"""Headers, parameters and keys that some servers obey: they ask for another method or path.
Compared without case, and with '-' for '_'."""

NEVER = "moves or deletes data: prober never does that"


def normalized_route(path: str) -> str:
    """Return the route that a lenient server may find in a path: decoded, without query."""
    route = path.partition("?")[0].partition("#")[0]
    for _ in range(_MAX_DECODINGS):
        decoded = unquote(route)
        if decoded == route:
            break
        route = decoded
    route = route.partition("?")[0].partition("#")[0].replace("\\", "/")
    segments = [segment.partition(";")[0].strip(_UNPRINTABLE) for segment in route.split("/")]
    joined = "/".join(segment for segment in segments if segment)
    return normpath(f"/{joined}").casefold()


def is_refused(method: str, path: str) -> bool:
    """Return whether a request moves a stream or deletes data."""
    is_deletion = method.upper() not in _SAFE_METHODS | {"POST", "PUT", "PATCH"}
    return is_deletion or bool(_REFUSED.search(normalized_route(path)))


def is_billed(method: str, path: str) -> bool:
    """Return whether the vendor bills a request."""
    if method in _SAFE_METHODS:
        return False
    route = normalized_route(path)
    return bool(_BILLED.search(route)) or (method == "PUT" and bool(_BILLED_UPLOAD.search(route)))


def writes(method: str, path: str) -> str | None:
    """Return in words that a request writes, or may write; None if it is known to read only."""
    route = path.partition("?")[0]
    if method in _SAFE_METHODS or (method == "POST" and is_read_only_post(path)):
        return None
    if method == "POST" and _PREDICTION.fullmatch(route):
        return None
    if method != "POST" or _SYNC.search(normalized_route(path)):
        return "writes data"
    return f"may write data (a POST is free only on the routes of {', '.join(READ_ONLY_POSTS)})"


def is_read_only_post(path: str) -> bool:
    """Return whether a POST to `path` is known to read only."""
    route = path.partition("?")[0]
    return any(pattern.fullmatch(route) for pattern in READ_ONLY_POSTS.values())


def method_override(
    headers: Iterable[str], parameters: Iterable[str], path: str, body: object
) -> tuple[str, str] | None:
    """Return the key and the name with which a request requests another method or path, or None.

    A server that obeys it would do something else than what consent was given for.
    """
    in_path = parse_qsl(path.partition("?")[2], keep_blank_values=True)
    for key, names in (
        ("headers", headers),
        ("query", parameters),
        ("path", [name for name, _ in in_path]),
        ("json", body if isinstance(body, Mapping) else ()),
    ):
        for name in names:
            if str(name).casefold().replace("_", "-") in _OVERRIDES:
                return key, str(name)
    return None
