"""Which span of time a report is of, as people write it: `7d`, `2026-11-24T15:04Z`. Pure."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from prober.formatting import duration_seconds

_MINUTE_SECONDS = 60
_MOST_SECONDS = 10_000 * 86_400
_RIGHT = "write how long ago, such as '24h' or '7d', or a moment such as '2026-11-24T15:04'"


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Whole minutes from `since` to before `until`, in epoch seconds."""

    since: float
    until: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.until - self.since


def parse_time_zone(name: str) -> tzinfo:
    """Return a time zone by its IANA name; raises ValueError."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        right = "write one such as 'Europe/Berlin'"
        raise ValueError(f"there is no time zone '{name}': {right}") from None


def parse_time(text: str, now: float, zone: tzinfo) -> float:
    """Return the moment (epoch seconds) that `text` stands for; raises ValueError.

    A date without a time is its midnight, a time without an offset stands on the zone's clock.
    """
    if text == "now":
        return now
    try:
        written = datetime.fromisoformat(text)
    except ValueError:
        try:
            return now - duration_seconds(text)
        except ValueError:
            raise ValueError(_RIGHT) from None
    try:
        return (written if written.tzinfo else written.replace(tzinfo=zone)).timestamp()
    except (OverflowError, ValueError):
        raise ValueError(_RIGHT) from None


def time_range(since: float, until: float, now: float) -> TimeRange:
    """Return a span in whole minutes, the one that goes on included; what is to come is cut off.

    Raises ValueError for one that is empty.
    """
    first = math.ceil(since / _MINUTE_SECONDS) * _MINUTE_SECONDS
    last = math.ceil(min(until, now) / _MINUTE_SECONDS) * _MINUTE_SECONDS
    if since >= now:
        raise ValueError("begins in the future: nothing is known of it yet")
    if since >= until:
        raise ValueError("is empty: it ends before it begins")
    if last - first > _MOST_SECONDS:
        raise ValueError("is too long: write at most 10000 days")
    if first == last:
        raise ValueError("is shorter than a minute")
    return TimeRange(float(first), float(last))
