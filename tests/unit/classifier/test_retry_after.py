from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.classifier.retry_after import (
    MAX_RETRY_AFTER_SECONDS,
    parse_retry_after,
    retry_after_seconds,
)
from prober.models import Response

NOW = datetime(2025, 11, 24, 12, 0, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("60", 60.0),
        ("0", 0.0),
        ("007", 7.0),
        (" 60\t", 60.0),
        ("300", 300.0),
        ("301", 300.0),
        ("9" * 5000, 300.0),
        ("0" * 5000 + "5", 5.0),
        ("Mon, 24 Nov 2025 12:01:00 GMT", 60.0),
        ("Monday, 24-Nov-25 12:01:00 GMT", 60.0),
        ("Mon Nov 24 12:01:00 2025", 60.0),
        ("Mon Nov  4 12:01:00 2025", 0.0),
        ("Tue, 24 Nov 2026 12:01:00 GMT", 300.0),
        ("Mon, 24 Nov 2025 12:00:60 GMT", 60.0),
        ("Mon, 24 Nov 2025 11:59:00 GMT", 0.0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:60 GMT", 0.0),
    ],
)
def test_a_wait(value: str, seconds: float) -> None:
    assert parse_retry_after([value], NOW) == seconds


@pytest.mark.parametrize(
    "value",
    [
        "",
        "-1",
        "+5",
        "1.5",
        "1e3",
        "5 seconds",
        "60, 120",
        "soon",
        "٦٠",
        "6 0",
        "nan",
        "inf",
        "0x10",
        "2025-11-24T12:01:00Z",
        "Mon, 24 Nov 2025 12:01:00 +0000",
        "Mon, 24 Nov 2025 12:01:00 CET",
        "Mon, 31 Feb 2025 12:01:00 GMT",
        "Mon, 24 Nov 2025 25:01:00 GMT",
        "Mon, 24 Nov 2025 12:61:00 GMT",
        "Mon, 24 Nov 0000 12:01:00 GMT",
        "Mon, 24 Nov 2025 12:01:00 GMT\n",
        "24 Nov 2025 12:01:00 GMT",
        "Mon, 24 nov 2025 12:01:00 GMT",
    ],
)
def test_what_cannot_be_read_is_ignored(value: str) -> None:
    assert parse_retry_after([value], NOW) == 0.0
    assert parse_retry_after([value, "7"], NOW) == 7.0


def test_the_longest_of_several_counts_and_none_is_no_wait() -> None:
    assert parse_retry_after(["3", "9", "5"], NOW) == 9.0
    assert parse_retry_after([], NOW) == 0.0


@pytest.mark.parametrize(
    ("status", "seconds"), [(429, 60.0), (503, 60.0), (200, 0.0), (301, 0.0), (500, 0.0)]
)
def test_the_statuses_that_may_ask_to_wait(status: int, seconds: float) -> None:
    assert retry_after_seconds(Response(status, (("retry-after", "60"),), b""), NOW) == seconds
    assert retry_after_seconds(None, NOW) == 0.0


@given(st.text(max_size=60), st.floats(0.0, 4e9))
def test_any_value_gives_a_wait_within_the_cap(value: str, now: float) -> None:
    assert 0.0 <= parse_retry_after([value], now) <= MAX_RETRY_AFTER_SECONDS


@given(st.integers(-1000, 1000))
def test_a_date_and_its_distance_in_seconds_mean_the_same(seconds: int) -> None:
    at = datetime.fromtimestamp(NOW, UTC) + timedelta(seconds=seconds)
    date = f"{at:%a, %d %b %Y %H:%M:%S} GMT"
    assert parse_retry_after([date], NOW) == parse_retry_after([str(max(seconds, 0))], NOW)
