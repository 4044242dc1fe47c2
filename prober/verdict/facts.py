"""Named details that are worth showing beside a verdict: bounded, single-line, encodable. Pure."""

from collections.abc import Mapping
from types import MappingProxyType

from prober.verdict.envelope import excerpt
from prober.verdict.evidence import tcp_words
from prober.verdict.foreign import MAYBE_CUSTOMER_DATA, ForeignKind
from prober.verdict.one_line import one_line
from prober.verdict.seen import Seen

FACT_CHARACTERS = 300

_HEADER_NAMES = (
    "server",
    "content-type",
    "retry-after",
    "www-authenticate",
    "cf-ray",
    "x-correlation-id",
    "x-request-id",
    "x-uipath-correlation-id",
    "request-context",
)
_HEADERS = tuple((name, name.replace("-", "_")) for name in _HEADER_NAMES)


def facts(seen: Seen) -> Mapping[str, str]:
    """Return the facts of an exchange; names are in snake case.

    Of the connection there is one only where something went wrong, or was sent again.
    """
    found: dict[str, str] = {}
    if seen.response is not None:
        found = _of_response(seen)
    tcp = seen.tcp
    if tcp is not None and (seen.failure is not None or tcp.retransmissions or tcp.lost_addresses):
        found["tcp"] = tcp_words(tcp)
    return MappingProxyType({name: value for name, value in found.items() if value})


def _of_response(seen: Seen) -> dict[str, str]:
    found = {"http_status": str(seen.status), "message": seen.body.message}
    found["path"] = _bounded(seen.body.path)
    if seen.has_class(3):
        found["location"] = _header(seen, "location")
    if not seen.has_server_time:
        found["server_timing"] = _header(seen, "server-timing")
    for name, fact in _HEADERS:
        if name in seen.headers:
            found[fact] = _header(seen, name)
    found["marker"] = _marker(seen)
    found["excerpt"] = _excerpt(seen)
    return found


def _header(seen: Seen, name: str) -> str:
    return _bounded(", ".join(seen.header_values(name)))


def _bounded(text: str) -> str:
    return one_line(text, FACT_CHARACTERS)


def _marker(seen: Seen) -> str:
    if seen.failure is not None or seen.body.foreign is None:
        return ""
    return seen.body.foreign.kind.value


def _excerpt(seen: Seen) -> str:
    """Show only what cannot be customers' data; of a failed exchange the sender is unknown."""
    foreign = seen.body.foreign
    if seen.response is None or seen.failure is not None or foreign is None or seen.by_platform:
        return ""
    if foreign.kind is ForeignKind.OVER_LIMIT:
        return ""
    if seen.has_class(2) and foreign.kind in MAYBE_CUSTOMER_DATA:
        return ""
    return excerpt(seen.response.body)
