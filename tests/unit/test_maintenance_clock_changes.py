"""Windows when clocks are set forward and back, against a search through every minute of UTC."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.maintenance import MaintenanceSchedule, MaintenanceWindow, maintenance_status_at

BERLIN = "Europe/Berlin"
MINUTE, HOUR = 60.0, 3600.0
ZONES = sorted(available_timezones() - {"localtime", "Factory"})
MIDNIGHT = datetime(2000, 1, 1)  # noqa: DTZ001 -- a wall clock's

WHENEVER_THE_CLOCK_SHOWS_IT = {
    "0 * * * *": {0},
    "*/30 * * * *": {0, 30},
    "15,45 * * * *": {15, 45},
    "20 0-23 * * *": {20},
}


@lru_cache(maxsize=1024)
def clock_changes(zone: str) -> tuple[int, ...]:
    """Return the moments (epoch seconds) at which a zone's offset changes, 2000 to 2037."""
    info, found = ZoneInfo(zone), []

    def offset(at: int) -> timedelta | None:
        return datetime.fromtimestamp(at, UTC).astimezone(info).utcoffset()

    start, end, step = 946_684_800, 2_145_916_800, 7 * 86_400
    for before in range(start, end, step):
        low, high = before, before + step
        if offset(low) == offset(high):
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if offset(middle) == offset(low) else (low, middle)
        found.append(high)
    return tuple(found)


@st.composite
def moments_near_a_change(draw: st.DrawFn) -> tuple[str, float]:
    zone = draw(st.sampled_from(ZONES))
    changes = clock_changes(zone) or (1_700_000_000,)
    return zone, draw(st.sampled_from(changes)) + draw(st.integers(-4 * 3600, 4 * 3600))


def shown(at: float, zone: str) -> datetime:
    return datetime.fromtimestamp(at, UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def minutes_around(at: float) -> range:
    return range(int(at // 60 * 60) - 30 * 3600, int(at) + 30 * 3600, 60)


def expected(starts: list[int], duration: float, at: float) -> tuple[float | None, float]:
    open_ends = [start + duration for start in starts if start <= at < start + duration]
    last = max((start for start in starts if start <= at), default=None)
    boundaries = [float(start) for start in starts if start > at][:1]
    boundaries += [last + duration] if last is not None and last + duration > at else []
    return max(open_ends, default=None), min(boundaries)


@given(
    where=moments_near_a_change(),
    cron=st.sampled_from(sorted(WHENEVER_THE_CLOCK_SHOWS_IT)),
    minutes=st.integers(1, 15),
)
def test_a_window_of_every_hour_begins_whenever_the_clock_shows_its_minute(
    where: tuple[str, float], cron: str, minutes: int
) -> None:
    zone, at = where
    wanted = WHENEVER_THE_CLOCK_SHOWS_IT[cron]
    starts = [m for m in minutes_around(at) if shown(m, zone).minute in wanted]
    found = maintenance_status_at([MaintenanceWindow(minutes * MINUTE, zone, cron=cron)], at)
    assert (found.ends_at, found.until) == expected(starts, minutes * MINUTE, at)


@given(
    where=moments_near_a_change(),
    every=st.sampled_from([15, 20, 30, 60]),
    first=st.integers(0, 59),
)
def test_so_does_one_that_is_repeated_every_hour_or_more_often(
    where: tuple[str, float], every: int, first: int
) -> None:
    zone, at = where
    starts = [m for m in minutes_around(at) if (shown(m, zone).minute - first) % every == 0]
    window = MaintenanceWindow(
        10 * MINUTE,
        zone,
        start=MIDNIGHT - timedelta(days=9) + timedelta(minutes=first),
        repeat_seconds=every * MINUTE,
    )
    found = maintenance_status_at([window], at)
    assert (found.ends_at, found.until) == expected(starts, 10 * MINUTE, at)


def first_shown(wanted: datetime, clock: list[tuple[int, datetime]]) -> int | None:
    """Return the first minute in which the clock shows `wanted`, or has skipped it."""
    for (_, before), (minute, now) in pairwise(clock):
        if before < wanted <= now:
            return minute
    return None


@given(
    where=moments_near_a_change(),
    time=st.tuples(st.integers(0, 23), st.integers(0, 59)),
    every=st.sampled_from(["cron", 86_400.0, 43_200.0]),
    hours=st.sampled_from([0.25, 1.0, 3.0]),
)
def test_any_other_window_begins_once(
    where: tuple[str, float], time: tuple[int, int], every: str | float, hours: float
) -> None:
    zone, at = where
    hour, minute = time
    day = shown(at, zone).replace(hour=hour, minute=minute, second=0)
    step = 1.0 if every == "cron" else float(every) / 86_400
    minutes = range(int(at // 60 * 60) - 80 * 3600, int(at) + 80 * 3600, 60)
    wanted = [day + timedelta(days=n * step) for n in range(-4, 5)]
    clock = [(each, shown(each, zone)) for each in minutes]
    starts = [start for w in wanted if (start := first_shown(w, clock)) is not None]
    if every == "cron":
        window = MaintenanceWindow(hours * HOUR, zone, cron=f"{minute} {hour} * * *")
    else:
        first = MIDNIGHT.replace(hour=hour, minute=minute) - timedelta(days=9)
        window = MaintenanceWindow(hours * HOUR, zone, start=first, repeat_seconds=float(every))
    found = maintenance_status_at([window], at)
    assert (found.ends_at, found.until) == expected(sorted(starts), hours * HOUR, at)


@pytest.mark.parametrize(
    "window",
    [
        MaintenanceWindow(900.0, BERLIN, cron="0 * * * *"),
        MaintenanceWindow(900.0, BERLIN, cron="*/30 * * * *"),
        MaintenanceWindow(900.0, BERLIN, start=MIDNIGHT, repeat_seconds=3600.0),
    ],
    ids=["hourly", "every half hour", "repeated"],
)
def test_both_of_two_equal_hours_of_autumn_have_their_window(window: MaintenanceWindow) -> None:
    first = datetime(2026, 10, 25, 0, tzinfo=UTC).timestamp()  # 02:00 in Berlin, summer time
    calendar = MaintenanceSchedule([window])
    for begins in (first, first + HOUR, first + 2 * HOUR):
        assert calendar.at(begins + 1).ends_at == begins + 900
        assert not calendar.at(begins + 1000).is_active


def test_a_night_window_that_began_before_the_clock_was_set_back_stays_open() -> None:
    window = MaintenanceWindow(2 * HOUR, BERLIN, cron="30 2 * * *")
    begins = datetime(2026, 10, 25, 0, 30, tzinfo=UTC).timestamp()
    calendar = MaintenanceSchedule([window])
    for minutes in range(0, 120, 10):
        assert calendar.at(begins + minutes * 60).ends_at == begins + 2 * HOUR
    tomorrow = datetime(2026, 10, 26, 1, 30, tzinfo=UTC).timestamp()
    assert calendar.at(begins + 2 * HOUR).until == tomorrow


def test_a_window_whose_time_is_skipped_begins_when_the_clock_is_set_forward() -> None:
    skipped = MaintenanceWindow(HOUR, BERLIN, cron="30 2 * * *")
    change = datetime(2027, 3, 28, 1, tzinfo=UTC).timestamp()
    assert maintenance_status_at([skipped], change - 1).until == change
    assert maintenance_status_at([skipped], change).ends_at == change + HOUR


def test_a_window_of_every_minute_is_found_in_few_steps_where_clocks_change() -> None:
    window = MaintenanceWindow(30.0, BERLIN, cron="* * * * *")
    change = datetime(2026, 10, 25, 1, tzinfo=UTC).timestamp()
    for second in range(-7200, 7200, 97):
        at = change + second
        found = maintenance_status_at([window], at)
        assert found.is_active == (at % 60 < 30)
        assert found.until == at // 60 * 60 + (30 if at % 60 < 30 else 60)
