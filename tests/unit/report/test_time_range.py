from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from prober.report.time_range import TimeRange, parse_time, parse_time_zone, time_range

NOW = datetime(2025, 3, 5, 12, 0, 30, tzinfo=UTC).timestamp()
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "zone", "moment"),
    [
        ("now", UTC, "2025-03-05T12:00:30+00:00"),
        ("24h", UTC, "2025-03-04T12:00:30+00:00"),
        ("1h30m", BERLIN, "2025-03-05T10:30:30+00:00"),
        ("2025-03-01", UTC, "2025-03-01T00:00:00+00:00"),
        ("2025-03-01", BERLIN, "2025-02-28T23:00:00+00:00"),
        ("2025-03-01T15:04", BERLIN, "2025-03-01T14:04:00+00:00"),
        ("2025-03-01T15:04Z", BERLIN, "2025-03-01T15:04:00+00:00"),
        ("2025-03-01T15:04+05:30", UTC, "2025-03-01T09:34:00+00:00"),
    ],
)
def test_a_moment_is_how_long_ago_or_a_date(text: str, zone: ZoneInfo, moment: str) -> None:
    assert parse_time(text, NOW, zone) == datetime.fromisoformat(moment).timestamp()


@pytest.mark.parametrize("text", ["", "yesterday", "7", "2025-13-01", "1d ago"])
def test_what_is_no_moment_is_told_what_would_be_right(text: str) -> None:
    with pytest.raises(ValueError, match="write how long ago, such as '24h'"):
        parse_time(text, NOW, ZoneInfo("Asia/Tokyo"))


def test_a_span_is_whole_minutes_and_ends_now_at_the_latest() -> None:
    assert time_range(NOW - 3600, NOW + 9999, NOW + 0.7) == TimeRange(NOW - 3570, NOW)
    assert time_range(NOW - 3600, NOW, NOW) == TimeRange(NOW - 3570, NOW)
    assert time_range(NOW - 90, NOW - 30, NOW) == TimeRange(NOW - 90 + 0, NOW - 30)


@pytest.mark.parametrize(
    ("since", "until", "why"),
    [
        (1, 2, "in the future"),
        (-60, -60, "is empty"),
        (-20, -10, "is shorter than a minute"),
        (-20, 0, "is shorter than a minute"),
        (-9e8, 0, "is too long"),
    ],
)
def test_an_empty_span_is_refused(since: float, until: float, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        time_range(NOW + since, NOW + until, NOW)


def test_zones_have_names() -> None:
    assert parse_time_zone("UTC") is UTC
    assert parse_time_zone("Europe/Berlin") == BERLIN
    for name in ("Mars/Olympus", "../etc/passwd", ""):
        with pytest.raises(ValueError, match="there is no time zone"):
            parse_time_zone(name)
