"""Maintenance windows: when a tenant may fail without anybody being to blame. Pure.

Windows stand on the wall clock of a time zone, so that 02:00 stays 02:00 when clocks change.
Points in time that are passed in and returned are epoch seconds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time, once or again and again.

    It begins at each tick of `cron` (five fields, as in crontab(5)); or at `first`, a wall-clock
    time without a zone, and then every `every_seconds` if that is given.
    """

    duration_seconds: float
    time_zone: str = "UTC"
    cron: str | None = None
    first: datetime | None = None
    every_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Maintenance:
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


def maintenance(windows: Sequence[Window], at: float) -> Maintenance:
    """Return whether a window is open at a moment, and until when that holds."""
    spans = [span for window in windows for span in _spans_around(window, at)]
    open_ends = [end for start, end in spans if start <= at < end]
    boundaries = [moment for span in spans for moment in span if moment > at]
    ends_at = max(open_ends) if open_ends else None
    return Maintenance(ends_at, since=at, until=min(boundaries, default=FOREVER))


def check_cron(expression: str) -> None:
    """Raise ValueError, with what would be right, if this is no cron expression."""
    try:
        CronSim(expression, datetime(2024, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise ValueError(
            f"is no cron expression ({error}): write five fields such as '0 2 * * sun',"
            " minute first"
        ) from None


def _spans_around(window: Window, at: float) -> Iterator[tuple[float, float]]:
    """Yield the last span that began by `at`, and the next one."""
    for start in _starts_around(window, at):
        yield start, start + window.duration_seconds


def _starts_around(window: Window, at: float) -> Iterator[float]:
    zone = ZoneInfo(window.time_zone)
    if window.cron is not None:
        local = datetime.fromtimestamp(at, zone)
        # A second on, since ticks are strictly before, and whole minutes.
        before = next(CronSim(window.cron, local + timedelta(seconds=1), reverse=True), None)
        after = next(CronSim(window.cron, local), None)
        yield from (tick.timestamp() for tick in (before, after) if tick is not None)
    elif window.first is not None:
        for first in _repeated(window.first, window.every_seconds, at, zone):
            yield first.replace(tzinfo=zone).timestamp()


def _repeated(
    first: datetime, every_seconds: float | None, at: float, zone: ZoneInfo
) -> tuple[datetime, ...]:
    if every_seconds is None:
        return (first,)
    elapsed = datetime.fromtimestamp(at, zone).replace(tzinfo=None) - first
    number = max(0, int(elapsed.total_seconds() // every_seconds))
    return tuple(first + timedelta(seconds=every_seconds * n) for n in (number, number + 1))


class Calendar:
    """Answers for one tenant again and again; looks at its windows only when something ends."""

    def __init__(self, windows: Sequence[Window]) -> None:
        self._windows = tuple(windows)
        self._known = Maintenance(None, FOREVER, FOREVER)

    def at(self, moment: float) -> Maintenance:
        """Return what holds at a moment."""
        if not self._known.since <= moment < self._known.until:
            self._known = maintenance(self._windows, moment)
        return self._known
