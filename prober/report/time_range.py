"""Reads the time range of a report as people write it: `7d`, `2026-11-24T15:04Z`. Pure."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from prober.formatting import duration_seconds

_MINUTE_SECONDS = 60
_MAX_SECONDS = 10_000 * 86_400
_HINT = "write how long ago, such as '24h' or '7d', or a time such as '2026-11-24T15:04'"


@dataclass(frozen=True, slots=True)
class TimeRange:
    """From `since` to before `until`, in epoch seconds: whole minutes, but for the present one."""

    since: float
    until: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.until - self.since


def parse_time_zone(name: str) -> tzinfo:
    """Return a time zone by its IANA name; raises ValueError."""
    if name == "UTC":  # works without a time zone database, and prints as "Z"
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        hint = "write one such as 'Europe/Berlin'"
        raise ValueError(f"there is no time zone '{name}': {hint}") from None


def parse_time(text: str, now: float, zone: tzinfo) -> float:
    """Return the time (epoch seconds) that `text` means; raises ValueError.

    A date alone is its midnight; a time without an offset is in the zone.
    """
    if text == "now":
        return now
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        try:
            return now - duration_seconds(text)
        except ValueError:
            raise ValueError(_HINT) from None
    try:
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=zone)).timestamp()
    except (OverflowError, ValueError):
        raise ValueError(_HINT) from None


def time_range(since: float, until: float, now: float) -> TimeRange:
    """Return a range in whole minutes; of the current minute, the part that is over.

    Raises ValueError for an empty or too long range.
    """
    first = math.ceil(since / _MINUTE_SECONDS) * _MINUTE_SECONDS
    last = min(math.ceil(until / _MINUTE_SECONDS) * _MINUTE_SECONDS, math.floor(now))
    if since >= now:
        raise ValueError("begins in the future: there is no data yet")
    if since >= until:
        raise ValueError("is empty: it ends before it begins")
    if last - first > _MAX_SECONDS:
        raise ValueError("is too long: write at most 10000 days")
    if first >= last:
        raise ValueError("is shorter than a minute")
    return TimeRange(float(first), float(last))
