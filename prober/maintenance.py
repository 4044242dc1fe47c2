"""Maintenance windows: periods in which failures of a tenant are not counted. Pure.

Windows are defined in the wall-clock time of a time zone, so that 02:00 stays 02:00 when the clock
changes. Times that are passed in and returned are epoch seconds.

A clock that is set forward skips wall-clock times, and a clock that is set back shows some twice.
As in Debian's cron(8), there are two kinds of windows then:

- A window that repeats every hour or more often starts whenever the clock shows its time: at both
  of two equal times, and not at a skipped one. So does one whose minute or hour starts with `*`.
- Any other window starts once: at the first of two equal times, and if its time is skipped, at the
  first time after the change.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

FOREVER = float("inf")

_HOUR = timedelta(hours=1)
_NEARBY = timedelta(hours=25)  # no time zone ever changed its offset by more than a day
_MINUTES_AN_HOUR, _HOURS_A_DAY = 60, 24


@dataclass(frozen=True, slots=True)
class MaintenanceWindow:
    """A maintenance window, once or repeated.

    It starts at each time of `cron` (five fields, as in crontab(5)); or at `start`, a wall-clock
    time without a zone, and then every `repeat_seconds` if that is given.
    """

    duration_seconds: float
    time_zone: str = "UTC"
    cron: str | None = None
    start: datetime | None = None
    repeat_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class MaintenanceStatus:
    """Whether there is maintenance. `ends_at` is the end of the last active window, else None.

    The status is valid in [`since`, `until`).
    """

    ends_at: float | None
    since: float
    until: float

    @property
    def is_active(self) -> bool:
        """Whether there is maintenance."""
        return self.ends_at is not None


def maintenance_status_at(windows: Sequence[MaintenanceWindow], at: float) -> MaintenanceStatus:
    """Return whether there is maintenance at a time, and until when that is valid."""
    spans = [span for window in windows for span in _spans_around(window, at)]
    active_ends = [end for start, end in spans if start <= at < end]
    boundaries = [boundary for span in spans for boundary in span if boundary > at]
    ends_at = max(active_ends) if active_ends else None
    return MaintenanceStatus(ends_at, since=at, until=min(boundaries, default=FOREVER))


def validate_cron(expression: str) -> None:
    """Raise ValueError, with a hint at what is valid, for an invalid cron expression."""
    try:
        CronSim(expression, datetime(2024, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise ValueError(
            f"is not a cron expression ({error}): write five fields such as '0 2 * * sun',"
            " minute first"
        ) from None


def _spans_around(window: MaintenanceWindow, at: float) -> Iterator[tuple[float, float]]:
    """Yield the last window that started by `at`, and the next one, as (start, end)."""
    for start in _starts_around(window, at):
        yield start, start + window.duration_seconds


def _starts_around(window: MaintenanceWindow, at: float) -> Iterator[float]:
    time_utc = datetime.fromtimestamp(math.floor(at), UTC)
    zone = ZoneInfo(window.time_zone)
    starts = _all_starts if _starts_at_every_clock_time(window) else _single_start
    nearby = _offsets_around(time_utc, zone)
    for reverse, offset in ((True, max(nearby)), (False, min(nearby))):
        nearest = _nearest(window, time_utc, zone, offset, starts, reverse=reverse)
        if nearest is not None:
            yield nearest.timestamp()


def _nearest(
    window: MaintenanceWindow,
    time_utc: datetime,
    zone: ZoneInfo,
    offset: timedelta,
    starts: Callable[[datetime, ZoneInfo], Sequence[datetime]],
    *,
    reverse: bool,
) -> datetime | None:
    """Return the last start by `time_utc`, or the first one after it.

    Near a clock change, wall-clock times and UTC times are in different orders. The search
    therefore goes on past the first match, by as much as the clock changes.
    """
    found: datetime | None = None
    limit: datetime | None = None
    wall = time_utc.replace(tzinfo=None) + offset
    for time in _times_before(window, wall) if reverse else _times_after(window, wall):
        if limit is not None and (time < limit if reverse else time > limit):
            break
        for start in starts(time, zone):
            if (start <= time_utc) is not reverse:
                continue
            if found is None or (start > found if reverse else start < found):
                found = start
        if found is not None and limit is None:
            nearby = _offsets_around(found, zone)
            change = max(nearby) - min(nearby)
            limit = time - change if reverse else time + change
    return found


def _times_before(window: MaintenanceWindow, wall: datetime) -> Iterator[datetime]:
    """Yield the wall-clock times at which a window starts, from `wall` backwards."""
    if window.cron is not None:
        # One second later, since CronSim returns only times before the given one.
        ticks = CronSim(window.cron, _as_utc(wall) + timedelta(seconds=1), reverse=True)
        yield from (tick.replace(tzinfo=None) for tick in ticks)
    elif window.start is not None and window.start <= wall:
        every = window.repeat_seconds
        last = 0 if every is None else int((wall - window.start).total_seconds() // every)
        for number in range(last, -1, -1):
            yield window.start + timedelta(seconds=(every or 0.0) * number)


def _times_after(window: MaintenanceWindow, wall: datetime) -> Iterator[datetime]:
    """Yield the wall-clock times at which a window starts, from `wall` onwards."""
    if window.cron is not None:
        ticks = CronSim(window.cron, _as_utc(wall) - timedelta(seconds=1))
        yield from (tick.replace(tzinfo=None) for tick in ticks)
    elif window.start is not None and window.repeat_seconds is None:
        yield window.start
    elif window.start is not None and window.repeat_seconds is not None:
        passed = (wall - window.start).total_seconds() // window.repeat_seconds
        for number in count(max(0, int(passed))):
            yield window.start + timedelta(seconds=window.repeat_seconds * number)


def _as_utc(wall: datetime) -> datetime:
    """Return a wall-clock time as if it were UTC, where CronSim applies no rules of its own."""
    return wall.replace(tzinfo=UTC)


def _starts_at_every_clock_time(window: MaintenanceWindow) -> bool:
    """Return whether a window repeats so often that a repeated clock time is a second start."""
    if window.cron is None:
        return window.repeat_seconds is not None and window.repeat_seconds <= _HOUR.total_seconds()
    fields = window.cron.split()
    parsed = CronSim(window.cron, datetime(2024, 1, 1, tzinfo=UTC))
    return (
        fields[-5].startswith("*")
        or fields[-4].startswith("*")
        or len(parsed.minutes) == _MINUTES_AN_HOUR
        or len(parsed.hours) == _HOURS_A_DAY
    )


def _all_starts(time: datetime, zone: ZoneInfo) -> Sequence[datetime]:
    """Return every UTC time at which the clock of a zone shows `time`: none, one, or two."""
    earlier, later = (_offset(time, zone, fold) for fold in (0, 1))
    if earlier < later:  # skipped (PEP 495)
        return ()
    return tuple(_as_utc(time) - offset for offset in dict.fromkeys((earlier, later)))


def _single_start(time: datetime, zone: ZoneInfo) -> Sequence[datetime]:
    return (first_utc_time(time, zone),)


def first_utc_time(time: datetime, zone: ZoneInfo) -> datetime:
    """Return the first UTC time at which the clock of a zone shows `time`.

    If the clock skips that time, the UTC time at which the clock is set forward.
    """
    before, after = (_offset(time, zone, fold) for fold in (0, 1))
    if before >= after:
        return _as_utc(time) - before
    # The clock is set forward between these two: bisect to the second.
    early, late = _as_utc(time) - after, _as_utc(time) - before
    while late - early > timedelta(seconds=1):
        middle = early + timedelta(seconds=(late - early) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == before:
            early = middle
        else:
            late = middle
    return late


def _offset(time: datetime, zone: ZoneInfo, fold: int) -> timedelta:
    return time.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta()


def _offsets_around(time_utc: datetime, zone: ZoneInfo) -> tuple[timedelta, ...]:
    """Return the zone's UTC offsets some time before a UTC time, at it, and after it."""
    times = (time_utc - _NEARBY, time_utc, time_utc + _NEARBY)
    return tuple(each.astimezone(zone).utcoffset() or timedelta() for each in times)


class MaintenanceSchedule:
    """The maintenance status of one tenant; computed again only when it may have changed."""

    def __init__(self, windows: Sequence[MaintenanceWindow]) -> None:
        self._windows = tuple(windows)
        self._cached = MaintenanceStatus(None, FOREVER, FOREVER)

    def at(self, timestamp: float) -> MaintenanceStatus:
        """Return the status at a time (epoch seconds)."""
        if not self._cached.since <= timestamp < self._cached.until:
            self._cached = maintenance_status_at(self._windows, timestamp)
        return self._cached
