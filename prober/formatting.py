"""Formats durations, times, ratios and sizes for people, and parses those that people write. Pure.

`one_line` makes text from elsewhere safe to show: a single line, bounded, encodable, and without
secrets.
"""

import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo
from difflib import get_close_matches
from typing import Annotated

from pydantic import BeforeValidator, Field

from prober.redaction import NO_SECRETS, Redactor

NOTHING = "-"
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_SECOND_UNIT = ((86_400 * 2, 86_400, "d"), (3600 * 2, 3600, "h"), (120, 60, "min"), (0, 1, "s"))
_TENTHS_BELOW_SECONDS = 0.1
_SECONDS_FROM = 1.0
_MANY_SECONDS = 10.0
_JUST_NOW_SECONDS = 10.0


def format_duration(seconds: float) -> str:
    """Return a length of time in one unit: `14 min`."""
    seconds = max(0.0, seconds)
    for min_seconds, unit_seconds, unit in _SECOND_UNIT:
        if seconds >= min_seconds:
            return f"{int(seconds // unit_seconds)} {unit}"
    raise AssertionError("the last limit is 0")


def format_ago(seconds: float) -> str:
    """Return how long ago something happened: `14 min ago`, `just now`."""
    return "just now" if seconds < _JUST_NOW_SECONDS else f"{format_duration(seconds)} ago"


def format_exact_duration(seconds: float) -> str:
    """Return a length of time to the second, in all units that it needs: `1 h 30 min`."""
    rest, parts = round(max(0.0, seconds)), []
    for unit_seconds, unit in _UNITS:
        number, rest = divmod(rest, unit_seconds)
        if number:
            parts.append(f"{number} {unit}")
    return " ".join(parts) or "0 s"


def format_latency(seconds: float | None) -> str:
    """Return a latency: `84 ms`, `1.25 s`."""
    if seconds is None:
        return NOTHING
    if seconds < _TENTHS_BELOW_SECONDS:
        return f"{seconds * 1000:.1f} ms"
    if seconds < _SECONDS_FROM:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.2f} s" if seconds < _MANY_SECONDS else f"{seconds:.1f} s"


def format_rounded_latency(seconds: float | None) -> str:
    """Return a latency to two digits, for columns that are compared: `84 ms`, `110 ms`, `1.2 s`."""
    if seconds is None:
        return NOTHING
    digits = 1 - math.floor(math.log10(seconds)) if seconds > 0 else 0
    rounded = round(seconds, digits)
    if rounded >= _SECONDS_FROM:
        return f"{rounded:.1f} s" if rounded < _MANY_SECONDS else f"{rounded:.0f} s"
    milliseconds = rounded * 1000
    return f"{milliseconds:.0f} ms" if milliseconds >= _MANY_SECONDS else f"{milliseconds:.1f} ms"


def format_timestamp(timestamp: float | None, zone: tzinfo = UTC) -> str:
    """Return a time: `2026-11-24 15:04:05Z`, elsewhere `2026-11-24 16:04:05+01:00`.

    A time outside of the years 1 to 9999 is `-`, like none.
    """
    local = None if timestamp is None else _local(timestamp, zone)
    return NOTHING if local is None else f"{local:%Y-%m-%d %H:%M:%S}{_offset(local)}"


def parse_iso_timestamp(text: str) -> float | None:
    """Return a time in ISO 8601 as epoch seconds, in UTC if it has no zone; None if it is none."""
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def format_hour_minute(timestamp: float, zone: tzinfo = UTC) -> str:
    """Return a time of day: `15:04Z`."""
    local = _local(timestamp, zone)
    return NOTHING if local is None else f"{local:%H:%M}{_offset(local)}"


def _local(timestamp: float, zone: tzinfo) -> datetime | None:
    """Return the time in a zone, None outside of the years 1 to 9999."""
    try:
        return datetime.fromtimestamp(timestamp, zone)
    except (ValueError, OverflowError, OSError):
        return None


def _offset(local: datetime) -> str:
    """Return the offset from UTC: `Z`, `+01:00`."""
    if local.tzinfo is UTC:
        return "Z"
    offset = f"{local:%z}"
    return f"{offset[:3]}:{offset[3:5]}"


def format_percent(ratio: float | None) -> str:
    """Return a ratio: `99.95 %`. It is cut, not rounded: only 1 is `100.00 %`."""
    if ratio is None:
        return NOTHING
    percent = int(ratio * 10_000) / 100
    return f"{percent:.2f} %"


def format_budget(ratio: float) -> str:
    """Return the share of an error budget: `99.7 %`; only 1 is `100.0 %`."""
    return f"{ratio * 100 if ratio >= 1 else min(ratio * 100, 99.9):.1f} %"


def format_size(number_of_bytes: float) -> str:
    """Return a file's size: `12.3 MiB`."""
    return f"{number_of_bytes / 2**20:.1f} MiB"


_ELLIPSIS = "..."
# How much of a text is read for each character kept: a large body must not hold the event loop up.
_SCANNED_CHARACTERS = 4


def one_line(text: str, limit_characters: int, redactor: Redactor = NO_SECRETS) -> str:
    """Return the start of `text` in one line of at most `limit_characters` (at least 4).

    Unprintable characters (control and format characters, line ends, lone surrogates) become
    spaces, and runs of spaces become one. A text that is cut ends in `...`. The result can be
    encoded as UTF-8. Secrets are removed before the text is cut: half of one would not be found.
    """
    if len(text) <= limit_characters and text.isprintable():  # the fast path, for most texts
        text = redactor.text(text)
        if len(text) <= limit_characters:
            return " ".join(text.split())
    start = text.lstrip()
    head = start[: limit_characters * _SCANNED_CHARACTERS]
    is_whole = len(head) == len(start)
    redacted = redactor.text(head, is_cut=not is_whole)
    printable = "".join(char if char.isprintable() else " " for char in redacted)
    line = " ".join(printable.split())
    if len(line) <= limit_characters and is_whole:
        return line
    return line[: limit_characters - len(_ELLIPSIS)].rstrip() + _ELLIPSIS


DURATION_PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$"
SIZE_PATTERN = r"^[0-9]+(B|KiB|MiB)$"

_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_UNIT_BYTES = {"B": 1, "KiB": 1024, "MiB": 1024 * 1024}
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_SIZE = re.compile(r"([0-9]+)(B|KiB|MiB)")
_MAX_DAYS = 10_000
_MAX_DIGITS = 10
_MAX_MEBIBYTES = 1024


def duration_seconds(text: object) -> float:
    """Return the seconds that `text` stands for; raises ValueError."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        raise ValueError(f"a duration needs a unit: write '{text}s'")  # noqa: TRY004 -- pydantic
    if not isinstance(text, str) or not re.fullmatch(DURATION_PATTERN, text):
        raise ValueError("write a duration such as '500ms', '30s', '2m', '1h30m' or '14d'")
    parts = _DURATION_PART.findall(text)
    seconds = sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)
    if seconds > _MAX_DAYS * _UNIT_SECONDS["d"]:
        raise ValueError(f"is too long: write at most '{_MAX_DAYS}d'")
    return seconds


def size_bytes(text: object) -> int:
    """Return the bytes that `text` stands for; raises ValueError."""
    found = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError("write a size such as '512KiB' or '1MiB'")
    size = int(found[1]) * _UNIT_BYTES[found[2]] if len(found[1]) <= _MAX_DIGITS else 0
    if not 0 < size <= _MAX_MEBIBYTES * _UNIT_BYTES["MiB"]:
        raise ValueError(f"write a size from '1B' to '{_MAX_MEBIBYTES}MiB'")
    return size


Duration = Annotated[
    float,
    BeforeValidator(
        duration_seconds,
        json_schema_input_type=Annotated[str, Field(pattern=DURATION_PATTERN)],
    ),
]
"""A positive or zero time in seconds, written as `30s`."""

Size = Annotated[
    int,
    BeforeValidator(size_bytes, json_schema_input_type=Annotated[str, Field(pattern=SIZE_PATTERN)]),
]
"""A number of bytes, written as `1MiB`."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` with the most similar of the known names, "" if none is."""
    close = get_close_matches(name, list(known), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""
