"""Header text in, the server's own time or an anomaly out: `Server-Timing`. Pure.

Grammar: https://www.w3.org/TR/server-timing/. Junk is tolerated as browsers do: a name or value
is the leading token of its place and the rest is passed over, parameter names are compared without
case, the first of several equal parameters counts even when it is incomplete, what has no name is
skipped. An unclosed quoted value is empty, and nothing that follows it is read.

The grammar that HTTP's list headers share (RFC 9110 5.6): lists, tokens, quoted strings. Pure.

All patterns take linear time: no alternative shares a first character with its neighbour, and an
unclosed quote runs to the end of the text instead of being tried again.
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
    """Return the parts of `text` between delimiters (`,` or `;`) that stand outside of quotes."""
    if '"' not in text:
        return text.split(delimiter)
    cuts = [atom.start() for atom in _ATOM.finditer(text) if atom.group() == delimiter]
    return [
        text[before + 1 : after]
        for before, after in zip([-1, *cuts], [*cuts, len(text)], strict=True)
    ]


def requests_bearer(header_values: Iterable[str]) -> bool:
    """Tell whether one of the challenges in `WWW-Authenticate` values has the scheme `Bearer`.

    A challenge and its parameters are separated by commas alike: a scheme is a word with no `=`
    behind it (RFC 9110 11.6.1).
    """
    return any(
        _BEARER.match(part) is not None
        for value in header_values
        for part in split_outside_quotes(value, ",")
    )


# A whole day: the prober's time-outs are seconds, so a larger number is no time of this answer.
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
# The whole value must be a number: `37.7ms` or `1.0.3` may be anything, and a wrong time is worse
# than none.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `duration_milliseconds` is None when absent, not a number or not finite."""

    name: str
    duration_milliseconds: float | None = None
    description: str = ""


def parse(value: str) -> tuple[Metric, ...]:
    """Return the metrics of one header value, in order; never raises."""
    metrics = map(_metric, split_outside_quotes(value, ","))
    return tuple([metric for metric in metrics if metric is not None])


def server_total_seconds(header_values: Sequence[str]) -> float | ServerTimingAnomaly:
    """Return the server's time in seconds, or why there is none; never raises.

    The first metric named `total` counts, valid or not: what comes behind it may have been added
    by an intermediary. MISSING: no header, or no such metric. UNPARSABLE: it has no duration, or
    one that is negative, not finite or over `ABSURD_SECONDS`.
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
    return abs(milliseconds) / 1000  # abs: a server may say -0


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
