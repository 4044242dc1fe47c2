"""Which exposition a scraper asks for: its Accept and Accept-Encoding headers, read. Pure."""

from dataclasses import dataclass

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_MAX_RANGES = 32


@dataclass(frozen=True, slots=True)
class _Range:
    """One element of such a header: what is named, in lower case, and how much it is wished."""

    name: str
    version: str | None
    quality: float


def wants_openmetrics(accept: str) -> bool:
    """Tell whether OpenMetrics 1.0.0 is named, and wished for at least as much as text 0.0.4.

    A wildcard means text, and whoever accepts neither gets text.
    """
    ranges = _ranges(accept)
    openmetrics = _quality(ranges, ("application/openmetrics-text",), "1.0.0")
    text = _quality(ranges, ("text/plain", "text/*", "*/*"), "0.0.4")
    return openmetrics > 0 and openmetrics >= text


def accepts_gzip(accept_encoding: str) -> bool:
    """Tell whether an answer may be compressed with gzip."""
    return _quality(_ranges(accept_encoding), ("gzip", "*"), None) > 0


def _quality(ranges: tuple[_Range, ...], names: tuple[str, ...], version: str | None) -> float:
    """Return the quality given to the first of `names` (the most specific) that is named at all."""
    for name in names:
        given = [r.quality for r in ranges if r.name == name and r.version in {None, version}]
        if given:
            return max(given)
    return 0.0


def _ranges(header: str) -> tuple[_Range, ...]:
    return tuple(_range(element) for element in header.split(",")[:_MAX_RANGES])


def _range(element: str) -> _Range:
    name, *rest = (part.strip().lower() for part in element.split(";"))
    pairs = (part.partition("=") for part in rest)
    parameters = {key.strip(): value.strip().strip('"') for key, _, value in pairs}
    return _Range(name, parameters.get("version"), _number(parameters.get("q", "1")))


def _number(quality: str) -> float:
    """Return a quality between 0 and 1; what cannot be read is 0: not wished for."""
    try:
        value = float(quality)
    except ValueError:
        return 0.0
    return value if 0.0 <= value <= 1.0 else 0.0
