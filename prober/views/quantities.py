"""Durations, moments and shares as people read them. Pure."""

from datetime import UTC, datetime, tzinfo

NOTHING = "-"
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_SECOND_ON = ((86_400 * 2, 86_400, "d"), (3600 * 2, 3600, "h"), (120, 60, "min"), (0, 1, "s"))
_TENTHS_BELOW_SECONDS = 0.1
_SECONDS_FROM = 1.0
_MANY_SECONDS = 10.0


def duration(seconds: float) -> str:
    """Return a length of time in one unit: `14 min`."""
    seconds = max(0.0, seconds)
    for least, unit_seconds, unit in _SECOND_ON:
        if seconds >= least:
            return f"{int(seconds // unit_seconds)} {unit}"
    raise AssertionError("the last limit is 0")


def exact_duration(seconds: float) -> str:
    """Return a length of time to the second, in all units that it needs: `1 h 30 min`."""
    rest, parts = round(max(0.0, seconds)), []
    for unit_seconds, unit in _UNITS:
        number, rest = divmod(rest, unit_seconds)
        if number:
            parts.append(f"{number} {unit}")
    return " ".join(parts) or "0 s"


def latency(seconds: float | None) -> str:
    """Return how long an answer took: `84 ms`, `1.25 s`."""
    if seconds is None:
        return NOTHING
    if seconds < _TENTHS_BELOW_SECONDS:
        return f"{seconds * 1000:.1f} ms"
    if seconds < _SECONDS_FROM:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.2f} s" if seconds < _MANY_SECONDS else f"{seconds:.1f} s"


def moment(timestamp: float | None, zone: tzinfo = UTC) -> str:
    """Return a point in time: `2026-11-24 15:04:05Z`, elsewhere `2026-11-24 16:04:05+01:00`."""
    if timestamp is None:
        return NOTHING
    local = datetime.fromtimestamp(timestamp, zone)
    return f"{local:%Y-%m-%d %H:%M:%S}{_offset(local)}"


def hour_and_minute(timestamp: float, zone: tzinfo = UTC) -> str:
    """Return a time of day: `15:04Z`."""
    local = datetime.fromtimestamp(timestamp, zone)
    return f"{local:%H:%M}{_offset(local)}"


def _offset(local: datetime) -> str:
    """Return how far a wall clock is from UTC, to the minute."""
    if local.tzinfo is UTC:
        return "Z"
    written = f"{local:%z}"
    return f"{written[:3]}:{written[3:5]}"


def share(ratio: float | None) -> str:
    """Return a ratio so that 99.99 % and 100 % look different: `99.95 %`."""
    if ratio is None:
        return NOTHING
    shown = int(ratio * 10_000) / 100  # cut, not rounded: nearly all is not all
    return f"{shown:.2f} %"


def size(number_of_bytes: float) -> str:
    """Return a file's size: `12.3 MiB`."""
    return f"{number_of_bytes / 2**20:.1f} MiB"
