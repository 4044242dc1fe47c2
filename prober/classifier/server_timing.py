"""Parses `Server-Timing` header values into the server's time or an anomaly. Pure.

Grammar: https://www.w3.org/TR/server-timing/. Invalid input is handled as browsers do: a name or
value is the leading token and the rest is ignored; parameter names are case-insensitive; of several
equal parameters the first counts, even if it is incomplete; an entry without a name is skipped. An
unclosed quoted value is empty, and what follows it is ignored.

Also the grammar that HTTP list headers share (RFC 9110, 5.6): lists, tokens, quoted strings.

All patterns match in linear time, because a server controls the text: no two alternatives start
with the same character, quantifiers are possessive, and an unclosed quote extends to the end of the
text instead of being matched again at each position.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prober.outcomes import ServerTimingAnomaly

TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105 -- a grammar's token

_ATOM = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[^",;]++|[,;]', re.DOTALL)
_BEARER = re.compile(r"[ \t]*bearer(?:[ \t]+(?![ \t=])|[ \t]*\Z)", re.IGNORECASE)


def split_outside_quotes(text: str, delimiter: str) -> list[str]:
    """Split `text` at each delimiter (`,` or `;`) outside quoted strings."""
    if '"' not in text:
        return text.split(delimiter)
    cuts = [atom.start() for atom in _ATOM.finditer(text) if atom.group() == delimiter]
    return [
        text[before + 1 : after]
        for before, after in zip([-1, *cuts], [*cuts, len(text)], strict=True)
    ]


def requests_bearer(header_values: Iterable[str]) -> bool:
    """Return whether `WWW-Authenticate` values contain a challenge with the scheme `Bearer`.

    Commas separate both challenges and their parameters. A scheme is a token that no `=` follows
    (RFC 9110, 11.6.1).
    """
    return any(
        _BEARER.match(part) is not None
        for value in header_values
        for part in split_outside_quotes(value, ",")
    )


# One day. Probe timeouts are seconds, so a larger value cannot be the time of this response.
ABSURD_SECONDS = 86_400.0
TOTAL = "total"
MAX_VALUES = 16
MAX_VALUE_CHARACTERS = 2048
"""So much of the header is read: a hostile one takes 2 ms for each kilobyte."""

_NAME = re.compile(rf"[ \t]*+({TOKEN})")
_PARAMETER = re.compile(
    rf'[ \t]*+({TOKEN})[ \t]*+(?:=[ \t]*+(?:({TOKEN})|"((?:[^"\\]|\\.)*+)"|))?', re.DOTALL
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
# The whole value must be a number. `37.7ms` or `1.0.3` are ambiguous, and a wrong time is worse
# than none.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Metric:
    """One entry of the header. `duration_milliseconds` is None if absent or not a finite number."""

    name: str
    duration_milliseconds: float | None = None
    description: str = ""


def parse(value: str) -> tuple[Metric, ...]:
    """Return the metrics of one header value, in order; never raises."""
    metrics = map(_metric, split_outside_quotes(value, ","))
    return tuple([metric for metric in metrics if metric is not None])


def server_total_seconds(header_values: Sequence[str]) -> float | ServerTimingAnomaly:
    """Return the server's time in seconds, or an anomaly if there is none. Never raises.

    The first metric named `total` counts, valid or not: an intermediary may have appended later
    ones. MISSING: no header, or no such metric. UNPARSABLE: it has no duration, or one that is
    negative, not finite or over `ABSURD_SECONDS`.
    """
    # A cut may leave an unclosed quote, and what follows one is not read anyway.
    for value in header_values[:MAX_VALUES]:
        for metric in parse(value[:MAX_VALUE_CHARACTERS]):
            if metric.name == TOTAL:
                return _seconds(metric.duration_milliseconds)
    return ServerTimingAnomaly.MISSING


def _seconds(milliseconds: float | None) -> float | ServerTimingAnomaly:
    if milliseconds is None or not 0 <= milliseconds <= ABSURD_SECONDS * 1000:
        return ServerTimingAnomaly.UNPARSABLE
    return abs(milliseconds) / 1000  # abs: a server may send -0


def _metric(text: str) -> Metric | None:
    name_part, *parameter_parts = split_outside_quotes(text, ";")
    name = _NAME.match(name_part)
    if name is None:
        return None
    parameters: dict[str, str] = {}
    for part in parameter_parts:
        found = _PARAMETER.match(part)
        if found is not None:
            parameters.setdefault(found[1].lower(), _value(found))
    duration = _duration(parameters.get("dur", ""))
    return Metric(name[1], duration, parameters.get("desc", ""))


def _value(parameter: re.Match[str]) -> str:
    if parameter[2] is not None:
        return parameter[2]
    return _ESCAPE.sub(r"\1", parameter[3] or "")


def _duration(text: str) -> float | None:
    if _NUMBER.fullmatch(text) is None:
        return None
    milliseconds = float(text)
    return milliseconds if math.isfinite(milliseconds) else None
