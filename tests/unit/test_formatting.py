from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from prober.formatting import (
    format_duration,
    format_exact_duration,
    format_hour_minute,
    format_latency,
    format_percent,
    format_size,
    format_timestamp,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 s"),
        (0.4, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (172_799, "47 h"),
        (172_800, "2 d"),
    ],
)
def test_a_duration_has_one_unit(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.0012, "1.2 ms"), (0.12, "120 ms"), (1.254, "1.25 s"), (12.34, "12.3 s")],
)
def test_a_latency_is_as_fine_as_it_matters(seconds: float | None, text: str) -> None:
    assert format_latency(seconds) == text


def test_nearly_all_is_not_all() -> None:
    assert [format_percent(each) for each in (1.0, 0.99999, None)] == ["100.00 %", "99.99 %", "-"]


def test_moments_and_sizes() -> None:
    assert format_timestamp(1_763_942_400.0) == "2025-11-24 00:00:00Z"
    assert format_timestamp(None) == "-"
    for impossible in (1e300, -1e300, 253_402_300_800.0, -62_135_596_801.0, float("inf")):
        assert format_timestamp(impossible) == format_hour_minute(impossible) == "-"
    assert format_timestamp(253_402_300_799.0, ZoneInfo("Asia/Kolkata")) == "-"
    assert format_timestamp(253_402_300_799.0) == "9999-12-31 23:59:59Z"
    assert format_size(1024 * 1024 * 1.25) == "1.2 MiB"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (61, "1 min 1 s"), (5400, "1 h 30 min"), (176_400.2, "2 d 1 h"), (-9, "0 s")],
)
def test_an_exact_duration_has_all_units_that_it_needs(seconds: float, text: str) -> None:
    assert format_exact_duration(seconds) == text


def test_moments_stand_on_other_clocks_too() -> None:
    assert (
        format_timestamp(1_763_942_400.0, ZoneInfo("Asia/Kolkata")) == "2025-11-24 05:30:00+05:30"
    )
    assert format_hour_minute(1_763_942_400.0, ZoneInfo("Europe/Berlin")) == "01:00+01:00"
    assert format_hour_minute(1_763_942_400.0, UTC) == "00:00Z"
