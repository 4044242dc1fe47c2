"""Maintenance at its limits: both sides of each."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from prober.maintenance import (
    FOREVER,
    MaintenanceSchedule,
    MaintenanceStatus,
    MaintenanceWindow,
    first_utc_time,
    maintenance_status_at,
    validate_cron,
)

START = datetime.fromisoformat("2026-11-24 02:00")  # a time on the wall: no zone
OCTOBER = datetime.fromisoformat("2026-10-01 00:30")
AT = START.replace(tzinfo=UTC).timestamp()
HOUR = 3600.0
DAY = 24 * HOUR


@pytest.mark.parametrize(
    ("at", "ends_at", "until"),
    [
        (-1.0, None, 0.0),
        (0.0, HOUR, HOUR),
        (HOUR - 1, HOUR, HOUR),
        (HOUR, None, DAY),
        (DAY, DAY + HOUR, DAY + HOUR),
    ],
)
def test_a_window_lasts_from_its_start_to_its_end(
    at: float, ends_at: float | None, until: float
) -> None:
    for window in (
        MaintenanceWindow(HOUR, cron="0 2 * * *"),
        MaintenanceWindow(HOUR, start=START, repeat_seconds=DAY),
    ):
        found = maintenance_status_at([window], AT + at)
        if at < 0 and window.cron is not None:
            assert found.ends_at is None
        assert found.ends_at == (None if ends_at is None else AT + ends_at)
        assert (found.since, found.until) == (AT + at, AT + until)
        assert found.is_active is (ends_at is not None)


def test_a_skipped_time_starts_when_the_clock_is_set_forward() -> None:
    zone, change = ZoneInfo("Europe/Berlin"), datetime(2026, 3, 29, 1, tzinfo=UTC)
    skipped = datetime.fromisoformat("2026-03-29 02:00")
    for seconds in range(0, 3600, 61):
        assert first_utc_time(skipped + timedelta(seconds=seconds), zone) == change
    before = datetime.fromisoformat("2026-03-29 01:59:59")
    assert first_utc_time(before, zone) == change - timedelta(seconds=1)
    assert first_utc_time(skipped + timedelta(hours=1), zone) == change


def test_a_single_window_is_over_for_good() -> None:
    window = MaintenanceWindow(HOUR, start=START)
    assert maintenance_status_at([window], AT + HOUR) == MaintenanceStatus(None, AT + HOUR, FOREVER)
    assert maintenance_status_at([window], AT - DAY).until == AT
    assert maintenance_status_at([], AT) == MaintenanceStatus(None, AT, FOREVER)


def test_of_two_windows_the_last_end_counts() -> None:
    windows = [MaintenanceWindow(HOUR, start=START), MaintenanceWindow(2 * HOUR, start=START)]
    found = maintenance_status_at(windows, AT)
    assert (found.ends_at, found.until) == (AT + 2 * HOUR, AT + HOUR)


def test_a_schedule_gives_what_is_computed_at_any_time() -> None:
    windows = (MaintenanceWindow(HOUR, cron="0 2 * * *"),)
    schedule = MaintenanceSchedule(windows)
    for at in (AT, AT - 1, AT + HOUR - 1, AT + HOUR, AT + DAY, AT - DAY, AT):
        expected = maintenance_status_at(windows, at)
        found = schedule.at(at)
        assert (found.ends_at, found.until) == (expected.ends_at, expected.until)
        assert found.since <= at < found.until


@pytest.mark.parametrize("expression", ["", "0 2 * *", "61 2 * * *", "x"])
def test_what_is_no_cron_expression_is_said(expression: str) -> None:
    with pytest.raises(ValueError, match="is not a cron expression") as caught:
        validate_cron(expression)
    assert str(caught.value).endswith(": write five fields such as '0 2 * * sun', minute first")
    validate_cron("0 2 * * sun")


@pytest.mark.parametrize(
    ("window", "starts"),
    [
        # Europe/Berlin, 2026-10-25: 02:00 to 03:00 comes twice, from 00:00Z and from 01:00Z.
        (MaintenanceWindow(60.0, "Europe/Berlin", "30 2 * * *"), 1),
        (MaintenanceWindow(60.0, "Europe/Berlin", "30 * * * *"), 2),
        (MaintenanceWindow(60.0, "Europe/Berlin", "30 0-23 * * *"), 2),
        (MaintenanceWindow(60.0, "Europe/Berlin", "30 0-22 * * *"), 1),
        (MaintenanceWindow(60.0, "Europe/Berlin", "*/30 2 * * *"), 4),
        (MaintenanceWindow(60.0, "Europe/Berlin", "0,30 2 * * *"), 2),
        (MaintenanceWindow(60.0, "Europe/Berlin", "0-59 2 * * *"), 12),
        (
            MaintenanceWindow(60.0, "Europe/Berlin", None, OCTOBER, HOUR),
            2,
        ),
        (
            MaintenanceWindow(60.0, "Europe/Berlin", None, OCTOBER, HOUR + 1),
            None,
        ),
    ],
)
def test_in_a_repeated_hour_only_frequent_windows_start_twice(
    window: MaintenanceWindow, starts: int | None
) -> None:
    begin = datetime(2026, 10, 25, tzinfo=UTC).timestamp()
    minutes = [
        maintenance_status_at([window], begin + 60.0 * minute + 1).is_active
        for minute in range(0, 120, 10)
    ]
    if starts is not None:
        assert sum(minutes) == starts
    else:
        assert sum(minutes) <= 1
