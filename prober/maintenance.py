"""Maintenance windows: when a tenant may fail without anybody being to blame. Pure.

Windows stand on the wall clock of a time zone, so that 02:00 stays 02:00 when clocks change.
Points in time that are passed in and returned are epoch seconds.

A clock that is set forward skips wall-clock times, and one that is set back shows some twice. As in
Debian's cron(8), there are two kinds of windows then:

- A window that comes every hour or more often begins whenever the clock shows its time: at both of
  two equal times, and at no skipped one. So does one whose minute or hour begins with `*`.
- Any other window begins once: at the first of two equal times, and when its time is skipped, at
  the first moment after it.
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
_NEARBY = timedelta(hours=25)  # no clock was ever set by more than a day
_MINUTES_AN_HOUR, _HOURS_A_DAY = 60, 24


@dataclass(frozen=True, slots=True)
class MaintenanceWindow:
    """A stretch of time, once or again and again.

    It begins at each tick of `cron` (five fields, as in crontab(5)); or at `first`, a wall-clock
    time without a zone, and then every `every_seconds` if that is given.
    """

    duration_seconds: float
    time_zone: str = "UTC"
    cron: str | None = None
    start: datetime | None = None
    repeat_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class MaintenanceStatus:
    """Whether windows are open. `ends_at`: when the last of the open ones closes, else None.

    It holds in [`since`, `until`).
    """

    ends_at: float | None
    since: float
    until: float

    @property
    def is_active(self) -> bool:
        """Whether a window is open."""
        return self.ends_at is not None


def maintenance_status_at(windows: Sequence[MaintenanceWindow], at: float) -> MaintenanceStatus:
    """Return whether a window is open at a moment, and until when that holds."""
    spans = [span for window in windows for span in _spans_around(window, at)]
    open_ends = [end for start, end in spans if start <= at < end]
    boundaries = [moment for span in spans for moment in span if moment > at]
    ends_at = max(open_ends) if open_ends else None
    return MaintenanceStatus(ends_at, since=at, until=min(boundaries, default=FOREVER))


def validate_cron(expression: str) -> None:
    """Raise ValueError, with what would be right, if this is no cron expression."""
    try:
        CronSim(expression, datetime(2024, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise ValueError(
            f"is no cron expression ({error}): write five fields such as '0 2 * * sun',"
            " minute first"
        ) from None


def _spans_around(window: MaintenanceWindow, at: float) -> Iterator[tuple[float, float]]:
    """Yield the last span that began by `at`, and the next one."""
    for start in _starts_around(window, at):
        yield start, start + window.duration_seconds


def _starts_around(window: MaintenanceWindow, at: float) -> Iterator[float]:
    moment = datetime.fromtimestamp(math.floor(at), UTC)
    zone = ZoneInfo(window.time_zone)
    starts = _all_starts if _follows_the_clock(window) else _single_start
    nearby = _offsets_around(moment, zone)
    for reverse, offset in ((True, max(nearby)), (False, min(nearby))):
        begun = _nearest(window, moment, zone, offset, starts, reverse=reverse)
        if begun is not None:
            yield begun.timestamp()


def _nearest(
    window: MaintenanceWindow,
    moment: datetime,
    zone: ZoneInfo,
    offset: timedelta,
    starts: Callable[[datetime, ZoneInfo], Sequence[datetime]],
    *,
    reverse: bool,
) -> datetime | None:
    """Return the last start by `moment`, or the first one after it.

    Near a change of the clock, wall-clock times are not in the order of moments: all that are
    nearer on the wall clock than the change is long are looked at, too.
    """
    found: datetime | None = None
    limit: datetime | None = None
    wall = moment.replace(tzinfo=None) + offset
    for time in _times_before(window, wall) if reverse else _times_after(window, wall):
        if limit is not None and (time < limit if reverse else time > limit):
            break
        for start in starts(time, zone):
            if (start <= moment) is not reverse:
                continue
            if found is None or (start > found if reverse else start < found):
                found = start
        if found is not None and limit is None:
            nearby = _offsets_around(found, zone)
            change = max(nearby) - min(nearby)
            limit = time - change if reverse else time + change
    return found


def _times_before(window: MaintenanceWindow, wall: datetime) -> Iterator[datetime]:
    """Yield the wall-clock times at which a window begins, from `wall` backwards."""
    if window.cron is not None:
        # A second on, since ticks are strictly before, and whole seconds.
        ticks = CronSim(window.cron, _as_utc(wall) + timedelta(seconds=1), reverse=True)
        yield from (tick.replace(tzinfo=None) for tick in ticks)
    elif window.start is not None and window.start <= wall:
        every = window.repeat_seconds
        last = 0 if every is None else int((wall - window.start).total_seconds() // every)
        for number in range(last, -1, -1):
            yield window.start + timedelta(seconds=(every or 0.0) * number)


def _times_after(window: MaintenanceWindow, wall: datetime) -> Iterator[datetime]:
    """Yield the wall-clock times at which a window begins, from `wall` onwards."""
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
    """Return a wall-clock time as if of UTC, where CronSim has no rules for clocks that change."""
    return wall.replace(tzinfo=UTC)


def _follows_the_clock(window: MaintenanceWindow) -> bool:
    """Tell whether a window comes every hour or more often, so that equal times are two times."""
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
    """Return every moment (UTC) at which the clock of a zone shows `time`: none, one, or two."""
    earlier, later = (_offset(time, zone, fold) for fold in (0, 1))
    if earlier < later:  # skipped (PEP 495)
        return ()
    return tuple(_as_utc(time) - offset for offset in dict.fromkeys((earlier, later)))


def _single_start(time: datetime, zone: ZoneInfo) -> Sequence[datetime]:
    return (first_moment(time, zone),)


def first_moment(time: datetime, zone: ZoneInfo) -> datetime:
    """Return the first moment (UTC) at which the clock of a zone shows `time`.

    When the clock skips that time: the first moment thereafter, when the clock is set.
    """
    before, after = (_offset(time, zone, fold) for fold in (0, 1))
    if before >= after:
        return _as_utc(time) - before
    # The clock is set somewhere in between: halve the seconds until it is known where.
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


def _offsets_around(moment: datetime, zone: ZoneInfo) -> tuple[timedelta, ...]:
    """Return the zone's offsets from UTC some time before a moment, at it, and after it."""
    moments = (moment - _NEARBY, moment, moment + _NEARBY)
    return tuple(each.astimezone(zone).utcoffset() or timedelta() for each in moments)


class MaintenanceSchedule:
    """Answers for one tenant again and again; looks at its windows only when something ends."""

    def __init__(self, windows: Sequence[MaintenanceWindow]) -> None:
        self._windows = tuple(windows)
        self._known = MaintenanceStatus(None, FOREVER, FOREVER)

    def at(self, moment: float) -> MaintenanceStatus:
        """Return what holds at a moment."""
        if not self._known.since <= moment < self._known.until:
            self._known = maintenance_status_at(self._windows, moment)
        return self._known
