from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from prober.maintenance import (
    FOREVER,
    MaintenanceSchedule,
    MaintenanceStatus,
    MaintenanceWindow,
    maintenance_status_at,
    validate_cron,
)

BERLIN = "Europe/Berlin"
SUNDAYS = MaintenanceWindow(7200.0, BERLIN, cron="0 2 * * sun")
ONCE = MaintenanceWindow(3600.0, start=datetime(2026, 12, 1, 22))  # noqa: DTZ001 -- a wall clock's
EVERY_OTHER_DAY = MaintenanceWindow(
    3600.0,
    BERLIN,
    start=datetime(2026, 10, 23, 22),  # noqa: DTZ001 -- a wall clock's
    repeat_seconds=2 * 86_400.0,
)


def moment(text: str, zone: str = BERLIN) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("window", "at", "ends_at"),
    [
        pytest.param(SUNDAYS, "2026-11-22T01:59:59", None, id="before"),
        pytest.param(SUNDAYS, "2026-11-22T02:00", "2026-11-22T04:00", id="its-first-second"),
        pytest.param(SUNDAYS, "2026-11-22T03:59:59", "2026-11-22T04:00", id="its-last-second"),
        pytest.param(SUNDAYS, "2026-11-22T04:00", None, id="after"),
        pytest.param(SUNDAYS, "2026-11-23T02:30", None, id="another-day"),
        pytest.param(ONCE, "2026-12-01T22:59:59", None, id="once-in-another-zone"),
        pytest.param(ONCE, "2026-12-01T23:30", "2026-12-02T00:00", id="once"),
        pytest.param(ONCE, "2026-12-02T23:30", None, id="once-only"),
        pytest.param(EVERY_OTHER_DAY, "2026-10-21T22:30", None, id="before-the-first"),
        pytest.param(EVERY_OTHER_DAY, "2026-10-23T22:30", "2026-10-23T23:00", id="the-first"),
        pytest.param(EVERY_OTHER_DAY, "2026-10-24T22:30", None, id="between"),
        pytest.param(
            EVERY_OTHER_DAY, "2026-10-25T22:30", "2026-10-25T23:00", id="after-clocks-changed"
        ),
    ],
)
def test_a_window_is_open_from_its_first_second_to_before_its_last(
    window: MaintenanceWindow, at: str, ends_at: str | None
) -> None:
    expected = None if ends_at is None else moment(ends_at)
    assert maintenance_status_at([window], moment(at)).ends_at == expected


def test_of_two_open_windows_the_later_end_counts() -> None:
    longer = MaintenanceWindow(4 * 3600.0, BERLIN, cron="30 1 * * sun")
    found = maintenance_status_at([SUNDAYS, longer], moment("2026-11-22T02:30"))
    assert found.ends_at == moment("2026-11-22T05:30")
    assert found.until == moment("2026-11-22T04:00")


def test_what_holds_holds_until_the_next_boundary() -> None:
    at = moment("2026-11-21T12:00")
    assert maintenance_status_at([SUNDAYS], at) == MaintenanceStatus(
        None, at, moment("2026-11-22T02:00")
    )
    assert maintenance_status_at([], at) == MaintenanceStatus(None, at, FOREVER)


@pytest.mark.parametrize("at", ["2026-11-22T01:00", "2026-11-22T02:00", "2026-11-22T05:00"])
def test_a_calendar_answers_as_the_windows_do(at: str) -> None:
    calendar = MaintenanceSchedule([SUNDAYS])
    for earlier in ("2026-11-20T00:00", at, "2026-11-22T03:00", at):
        found = calendar.at(moment(earlier))
        assert found.is_active == maintenance_status_at([SUNDAYS], moment(earlier)).is_active


def test_what_never_comes_is_no_cron_expression() -> None:
    with pytest.raises(ValueError, match="five fields"):
        validate_cron("0 0 30 2 *")
